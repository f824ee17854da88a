#include "door/s3/tagging.h"

#include <algorithm>

#include "door/s3/errors.h"
#include "door/s3/target.h"
#include "door/s3/xml.h"
#include "http/uri.h"

namespace archipel::door::s3 {

namespace {

constexpr size_t kNameCharactersMax = 128, kValueCharactersMax = 256;

bool good_characters(std::string_view text) {
  static constexpr std::string_view kSigns = " +-=._:/@";
  return std::ranges::all_of(text, [](char c) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter || static_cast<unsigned char>(c) >= 0x80 || kSigns.contains(c);
  });
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

Result<void> add_tag(TagMap& tags, std::string name, std::string value, std::string_view code_if_twice) {
  if (name.empty() || characters(name) > kNameCharactersMax || !good_characters(name))
    return refuse("InvalidTag", "The TagKey you have provided is invalid");
  if (characters(value) > kValueCharactersMax || !good_characters(value))
    return refuse("InvalidTag", "The TagValue you have provided is invalid");
  if (name.starts_with("aws:"))
    return refuse("InvalidTag", "Tags whose names begin with \"aws:\" belong to the service.");
  if (!tags.emplace(std::move(name), std::move(value)).second)
    return refuse(code_if_twice, "Cannot provide multiple Tags with the same key");
  if (tags.size() > kObjectTagsMax) return refuse("InvalidTag", "Object tags cannot be greater than 10");
  return {};
}

}  // namespace

Result<TagMap> parse_tagging_header(std::string_view text) {
  auto pieces = http::parse_query(text);
  if (!pieces)
    return refuse("InvalidArgument",
                  "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters "
                  "without tag name duplicates.");
  TagMap out;
  for (http::QueryParam& piece : *pieces) {
    if (!valid_utf8(piece.name) || !valid_utf8(piece.value))
      return refuse("InvalidArgument", "The header 'x-amz-tagging' must be UTF-8.");
    RETURN_IF_ERROR(add_tag(out, std::move(piece.name), std::move(piece.value), "InvalidArgument"));
  }
  return out;
}

Result<TagMap> parse_tagging(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "Tagging"));
  const XmlElement* set = root.child("TagSet");
  if (set == nullptr || !root.has_only({"TagSet"}) || !set->has_only({"Tag*"})) return refuse("MalformedXML");
  TagMap out;
  for (const XmlElement& tag : set->children) {
    const XmlElement *name = tag.child("Key"), *value = tag.child("Value");
    if (name == nullptr || value == nullptr || !tag.has_only({"Key", "Value"})) return refuse("MalformedXML");
    RETURN_IF_ERROR(add_tag(out, name->text, value->text, "InvalidTag"));
  }
  return out;
}

std::string write_tagging(const TagMap& tags) {
  XmlWriter xml("Tagging");
  xml.open("TagSet");
  for (const auto& [name, value] : tags) xml.open("Tag").element("Key", name).element("Value", value).close();
  return xml.take();
}

}  // namespace archipel::door::s3
