#include "door/s3/xml.h"

#include <charconv>
#include <pugixml.hpp>

#include "base/check.h"
#include "door/s3/errors.h"
#include "door/s3/target.h"

namespace archipel::door::s3 {

static void append_escaped(std::string& out, std::string_view text) {
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          static constexpr char kDigits[] = "0123456789abcdef";
          out += "&#x";
          if (c >= 0x10) out += '1';
          out += kDigits[c & 15];
          out += ';';
        } else {
          out += c;
        }
    }
  }
}

XmlWriter::XmlWriter(std::string_view root, std::string_view name_space) {
  out_ = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<";
  out_ += root;
  if (!name_space.empty()) {
    out_ += " xmlns=\"";
    out_ += name_space;
    out_ += '"';
  }
  out_ += '>';
  open_.emplace_back(root);
}

XmlWriter& XmlWriter::open(std::string_view name) {
  out_ += '<';
  out_ += name;
  out_ += '>';
  open_.emplace_back(name);
  return *this;
}

XmlWriter& XmlWriter::close() {
  CHECK(!open_.empty());
  out_ += "</";
  out_ += open_.back();
  out_ += '>';
  open_.pop_back();
  return *this;
}

XmlWriter& XmlWriter::text(std::string_view text) {
  append_escaped(out_, text);
  return *this;
}

XmlWriter& XmlWriter::element(std::string_view name, std::string_view value) {
  return open(name).text(value).close();
}

std::string XmlWriter::take() {
  while (!open_.empty()) close();
  return std::move(out_);
}

static std::unexpected<Error> malformed() {
  return refuse("MalformedXML");
}

// "&...;" as XML knows it without a DTD. pugixml leaves unknown references in the text and ends it at "&#0;": both would turn one key
// into another, so they are refused here.
static bool good_reference(std::string_view name) {
  if (name == "amp" || name == "lt" || name == "gt" || name == "quot" || name == "apos") return true;
  if (!name.starts_with('#')) return false;
  name.remove_prefix(1);
  int base = 10;
  if (name.starts_with('x')) {
    base = 16;
    name.remove_prefix(1);
  }
  uint32_t value = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value, base);
  if (error != std::errc{} || end != name.data() + name.size()) return false;
  return value > 0 && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
}

// What pugixml lets pass and we do not: DTDs, unknown references, NUL, text that is not UTF-8.
static bool acceptable(std::string_view xml) {
  if (!valid_utf8(xml) || xml.find('\0') != std::string_view::npos) return false;
  size_t at = 0;
  while ((at = xml.find_first_of("<&", at)) != std::string_view::npos) {
    std::string_view rest = xml.substr(at);
    size_t length = 1;
    if (rest[0] == '&') {
      size_t end = rest.find(';');
      if (end == std::string_view::npos || !good_reference(rest.substr(1, end - 1))) return false;
      length = end;
    } else if (rest.starts_with("<![CDATA[")) {
      length = rest.find("]]>");
    } else if (rest.starts_with("<!--")) {
      length = rest.find("-->", 4);
    } else if (rest.starts_with("<!")) {
      return false;
    }
    if (length == std::string_view::npos) return false;
    at += length;
  }
  return true;
}

static Result<pugi::xml_node> parse_root(pugi::xml_document& document, std::string_view xml,
                                         std::string_view root) {
  if (xml.starts_with("\xef\xbb\xbf")) xml.remove_prefix(3);
  if (!acceptable(xml)) return malformed();
  auto parsed = document.load_buffer(xml.data(), xml.size(),
                                     pugi::parse_default | pugi::parse_ws_pcdata_single, pugi::encoding_utf8);
  if (!parsed) return malformed();
  pugi::xml_node node = document.document_element();
  if (node.name() != root || node.next_sibling()) return malformed();
  return node;
}

// The text of an element without children; nullopt if it has any.
static std::optional<std::string> text_of(const pugi::xml_node& node) {
  std::string out;
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() != pugi::node_pcdata && child.type() != pugi::node_cdata) return std::nullopt;
    out += child.value();
  }
  return out;
}

static Result<std::string> parse_object(const pugi::xml_node& object) {
  std::optional<std::string> key;
  for (const pugi::xml_node& child : object.children()) {
    std::string_view name = child.name();
    auto text = text_of(child);
    if (!text) return malformed();
    if (name == "Key") {
      if (key || text->empty()) return malformed();
      key = std::move(*text);
    } else if (name == "VersionId") {
      if (*text != "null")
        return refuse("NotImplemented", "Versions are not offered: VersionId must be \"null\" or absent.");
    } else if (name == "ETag" || name == "LastModifiedTime" || name == "Size") {
      return refuse("NotImplemented", "Conditional deletes are not offered.");
    } else {
      return malformed();
    }
  }
  if (!key) return malformed();
  return std::move(*key);
}

Result<DeleteDocument> parse_delete(std::string_view xml) {
  pugi::xml_document document;
  ASSIGN_OR_RETURN(pugi::xml_node root, parse_root(document, xml, "Delete"));
  DeleteDocument out;
  for (const pugi::xml_node& child : root.children()) {
    std::string_view name = child.name();
    if (name == "Object") {
      if (out.keys.size() == kDeleteKeysMax) return malformed();
      ASSIGN_OR_RETURN(std::string key, parse_object(child));
      out.keys.push_back(std::move(key));
    } else if (name == "Quiet") {
      auto text = text_of(child);
      if (text != "true" && text != "false") return malformed();
      out.quiet = text == "true";
    } else {
      return malformed();
    }
  }
  if (out.keys.empty()) return malformed();
  return out;
}

Result<std::string> parse_create_bucket(std::string_view xml) {
  pugi::xml_document document;
  ASSIGN_OR_RETURN(pugi::xml_node root, parse_root(document, xml, "CreateBucketConfiguration"));
  std::string location;
  for (const pugi::xml_node& child : root.children()) {
    std::string_view name = child.name();
    if (name != "LocationConstraint") {
      if (name == "Location" || name == "Bucket" || name == "Tags")
        return refuse("NotImplemented", "CreateBucketConfiguration: only LocationConstraint is offered.");
      return malformed();
    }
    auto text = text_of(child);
    if (!text) return malformed();
    location = std::move(*text);
  }
  return location;
}

}  // namespace archipel::door::s3
