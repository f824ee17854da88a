#include "door/s3/xml_fields.h"

#include <charconv>

#include "door/s3/errors.h"

namespace archipel::door::s3 {

static constexpr size_t kNameShownMax = 64;  // of a client's element, in a message

std::unexpected<Error> malformed_xml(std::string_view what) {
  return refuse(
      "MalformedXML",
      "The XML you provided was not well-formed or did not validate against the published schema: " +
          std::string(what) + ".");
}

const XmlElement* XmlFields::one(std::string_view name) {
  asked_.emplace(name);
  const XmlElement* found = nullptr;
  for (const XmlElement& child : element_.children) {
    if (child.name != name) continue;
    if (found != nullptr && !wrong_) wrong_ = "<" + std::string(name) + "> occurs twice";
    if (found == nullptr) found = &child;
  }
  return found;
}

const XmlElement* XmlFields::need(std::string_view name) {
  const XmlElement* found = one(name);
  if (found == nullptr && !wrong_) wrong_ = "<" + std::string(name) + "> is missing";
  return found;
}

std::vector<const XmlElement*> XmlFields::all(std::string_view name) {
  asked_.emplace(name);
  std::vector<const XmlElement*> out;
  for (const XmlElement& child : element_.children)
    if (child.name == name) out.push_back(&child);
  return out;
}

const std::string* XmlFields::value_of(const XmlElement* child) {
  if (child == nullptr) return nullptr;
  if (child->children.empty()) return &child->text;
  if (!wrong_) wrong_ = "<" + child->name + "> must hold text only";
  return nullptr;
}

std::optional<std::string> XmlFields::text(std::string_view name) {
  const std::string* value = value_of(one(name));
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::string XmlFields::need_text(std::string_view name) {
  const std::string* value = value_of(need(name));
  return value == nullptr ? std::string() : *value;
}

std::optional<int64_t> XmlFields::integer(std::string_view name) {
  const XmlElement* child = one(name);
  if (value_of(child) == nullptr) return std::nullopt;
  std::string_view digits = child->trimmed();
  int64_t out = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  if (error == std::errc{} && end == digits.data() + digits.size()) return out;
  if (!wrong_) wrong_ = "<" + std::string(name) + "> must be a whole number";
  return std::nullopt;
}

std::optional<bool> XmlFields::boolean(std::string_view name) {
  const XmlElement* child = one(name);
  if (value_of(child) == nullptr) return std::nullopt;
  std::string lower(child->trimmed());
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  if (lower == "true" || lower == "1") return true;
  if (lower == "false" || lower == "0") return false;
  if (!wrong_) wrong_ = "<" + std::string(name) + "> must be true or false";
  return std::nullopt;
}

Result<void> XmlFields::finish() const {
  std::string what;
  if (wrong_) {
    what = *wrong_;
  } else if (element_.children.empty() && !element_.trimmed().empty()) {
    what = "it must hold elements, not text";
  } else {
    for (const XmlElement& child : element_.children)
      if (!asked_.contains(child.name)) {
        what = child.name.empty() ? "an element of another namespace is not expected here"
                                  : "<" + child.name.substr(0, kNameShownMax) + "> is not expected here";
        break;
      }
  }
  if (what.empty()) return {};
  return malformed_xml("in <" + element_.name.substr(0, kNameShownMax) + ">, " + what);
}

}  // namespace archipel::door::s3
