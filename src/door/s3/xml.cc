#include "door/s3/xml.h"

#include <charconv>
#include <pugixml.hpp>

#include "base/check.h"
#include "door/s3/checksums.h"
#include "door/s3/errors.h"
#include "door/s3/multipart_documents.h"
#include "door/s3/target.h"
#include "http/date.h"

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
  out_ = kXmlDeclaration;
  out_ += '<';
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
  return open(name, {});
}

XmlWriter& XmlWriter::open(std::string_view name, std::string_view attributes) {
  out_ += '<';
  out_ += name;
  out_ += attributes;
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

// XML 1.0's Char (https://www.w3.org/TR/xml/#charsets), of what is a Unicode scalar value or a surrogate.
static bool xml_char(uint32_t c) {
  if (c < 0x20) return c == '\t' || c == '\n' || c == '\r';
  return c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) && c != 0xfffe && c != 0xffff;
}

// Has `text`, which is UTF-8, only characters that XML knows?
static bool xml_chars_only(std::string_view text) {
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 && !xml_char(byte)) return false;
  }
  return text.find("\xef\xbf\xbe") == std::string_view::npos &&
         text.find("\xef\xbf\xbf") == std::string_view::npos;
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
  return xml_char(value);
}

// What pugixml lets pass and we do not: DTDs, unknown references, characters that XML forbids, text that is not UTF-8.
static bool acceptable(std::string_view xml) {
  if (!valid_utf8(xml) || !xml_chars_only(xml)) return false;
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

static std::string_view trim(std::string_view text) {
  static constexpr std::string_view kBlanks = " \t\r\n";
  size_t from = text.find_first_not_of(kBlanks);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(kBlanks) - from + 1);
}

// The root element, and the prefix that it gives to the names of this vocabulary ("s3:", or none).
struct Root {
  pugi::xml_node node;
  std::string prefix;

  // The name of an element below the root without the prefix; empty if it is of another namespace.
  std::string_view name_of(const pugi::xml_node& element) const {
    std::string_view name = element.name();
    if (!name.starts_with(prefix)) return {};
    name.remove_prefix(prefix.size());
    return name.find(':') == std::string_view::npos ? name : std::string_view{};
  }
};

// The one element of the document; pugixml itself does not mind several, nor text beside them.
static pugi::xml_node only_element(const pugi::xml_document& document) {
  pugi::xml_node found;
  for (const pugi::xml_node& child : document.children()) {
    bool blank = child.type() == pugi::node_pcdata && trim(child.value()).empty();
    if (blank) continue;
    if (child.type() != pugi::node_element || found) return {};
    found = child;
  }
  return found;
}

static Result<Root> parse_root(pugi::xml_document& document, std::string_view xml, std::string_view root) {
  if (xml.starts_with("\xef\xbb\xbf")) xml.remove_prefix(3);
  if (!acceptable(xml)) return malformed();
  auto parsed = document.load_buffer(
      xml.data(), xml.size(), pugi::parse_default | pugi::parse_ws_pcdata_single | pugi::parse_fragment,
      pugi::encoding_utf8);
  if (!parsed) return malformed();
  Root out{only_element(document), {}};
  if (!out.node) return malformed();
  std::string_view name = out.node.name();
  if (size_t colon = name.find(':'); colon != std::string_view::npos) {
    out.prefix = name.substr(0, colon + 1);
    std::string declaration = "xmlns:" + std::string(name.substr(0, colon));
    if (!out.node.attribute(declaration.c_str())) return malformed();
  }
  if (out.name_of(out.node) != root) return malformed();
  return out;
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

const XmlElement* XmlElement::child(std::string_view child_name) const {
  for (const XmlElement& element : children)
    if (element.name == child_name) return &element;
  return nullptr;
}

std::string_view XmlElement::trimmed() const {
  return trim(text);
}

std::string_view XmlElement::value(std::string_view child_name) const {
  const XmlElement* found = child(child_name);
  return found == nullptr ? std::string_view{} : found->trimmed();
}

std::string_view XmlElement::attribute(std::string_view local_name) const {
  for (const auto& [name_as_written, value_of] : attributes) {
    std::string_view local = name_as_written;
    if (size_t colon = local.find(':'); colon != std::string_view::npos) local.remove_prefix(colon + 1);
    if (local == local_name) return value_of;
  }
  return {};
}

bool XmlElement::has_only(std::initializer_list<std::string_view> names) const {
  for (auto element = children.begin(); element != children.end(); ++element) {
    bool known = false, repeats = false;
    for (std::string_view allowed : names) {
      bool many = allowed.ends_with('*');
      if (many) allowed.remove_suffix(1);
      if (allowed != element->name) continue;
      known = true;
      repeats = !many && child(allowed) != &*element;
    }
    if (!known || repeats) return false;
  }
  return true;
}

// `left`: how many more elements there may be.
static bool read_tree(const Root& root, const pugi::xml_node& node, size_t depth, size_t& left,
                      XmlElement& out) {
  if (depth > kXmlDepthMax || left == 0) return false;
  --left;
  out.name = root.name_of(node);
  for (const pugi::xml_attribute& a : node.attributes()) {
    std::string_view name = a.name();
    if (name != "xmlns" && !name.starts_with("xmlns:")) out.attributes.emplace_back(name, a.value());
  }
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() == pugi::node_element) {
      if (!read_tree(root, child, depth + 1, left, out.children.emplace_back())) return false;
    } else if (child.type() == pugi::node_pcdata || child.type() == pugi::node_cdata) {
      out.text += child.value();
    }
  }
  if (out.children.empty()) return true;
  bool blank = trim(out.text).empty();
  out.text.clear();
  return blank;
}

Result<XmlElement> parse_xml(std::string_view xml, std::string_view root_name) {
  pugi::xml_document document;
  ASSIGN_OR_RETURN(Root root, parse_root(document, xml, root_name));
  XmlElement out;
  size_t left = kXmlElementsMax;
  if (!read_tree(root, root.node, 1, left, out)) return malformed();
  return out;
}

// A condition of one object, or nothing of the kind.
static bool read_condition(std::string_view name, std::string_view value, UnixMs now,
                           store::DeleteItem& item) {
  if (name == "ETag") {
    if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"'))
      value = value.substr(1, value.size() - 2);
    item.conditions.if_match.assign(1, std::string(value));
    return true;
  }
  if (name == "LastModifiedTime") {
    item.if_modified_ms = http::parse_http_date(value, now);
    if (!item.if_modified_ms) item.if_modified_ms = http::parse_iso_extended(value);
    return item.if_modified_ms.has_value();
  }
  uint64_t size = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), size);
  item.if_size = size;
  return name == "Size" && error == std::errc{} && end == value.data() + value.size();
}

static Result<store::DeleteItem> parse_object(const Root& root, const pugi::xml_node& object, UnixMs now) {
  store::DeleteItem item;
  for (const pugi::xml_node& child : object.children()) {
    std::string_view name = root.name_of(child);
    auto text = text_of(child);
    if (!text) return malformed();
    if (name == "Key") {
      if (!item.key.empty() || text->empty()) return malformed();
      item.key = std::move(*text);
    } else if (name == "VersionId") {
      if (item.version) return malformed();
      if (!text->empty()) item.version = std::move(*text);
    } else if (!read_condition(name, trim(*text), now, item)) {
      return malformed();
    }
  }
  if (item.key.empty()) return malformed();
  return item;
}

Result<DeleteDocument> parse_delete(std::string_view xml, UnixMs now) {
  pugi::xml_document document;
  ASSIGN_OR_RETURN(Root root, parse_root(document, xml, "Delete"));
  DeleteDocument out;
  for (const pugi::xml_node& child : root.node.children()) {
    std::string_view name = root.name_of(child);
    if (name == "Object") {
      if (out.items.size() == kDeleteKeysMax) return malformed();
      ASSIGN_OR_RETURN(store::DeleteItem item, parse_object(root, child, now));
      out.items.push_back(std::move(item));
    } else if (name == "Quiet") {
      auto text = text_of(child);
      if (!text) return malformed();
      std::string_view value = trim(*text);  // a boolean's blanks collapse
      if (value != "true" && value != "false") return malformed();
      out.quiet = value == "true";
    } else {
      return malformed();
    }
  }
  if (out.items.empty()) return malformed();
  return out;
}

static Result<store::CompleteUpload::Part> parse_part(const Root& root, const pugi::xml_node& element) {
  store::CompleteUpload::Part part;
  bool has_etag = false;
  for (const pugi::xml_node& child : element.children()) {
    std::string_view name = root.name_of(child);
    auto text = text_of(child);
    if (!text) return malformed();
    std::string_view value = trim(*text);
    if (name == "PartNumber") {
      auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), part.number);
      if (error != std::errc{} || end != value.data() + value.size()) return malformed();
      if (part.number < 1 || part.number > store::kPartNumberMax)
        return refuse("InvalidArgument", "PartNumber must be >= 1 and <= 10000");
    } else if (name == "ETag") {
      if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"'))
        value = value.substr(1, value.size() - 2);
      part.etag = value;
      has_etag = true;
    } else {
      static constexpr std::string_view kChecksum = "Checksum";
      if (!name.starts_with(kChecksum)) return malformed();
      auto checksum = parse_object_checksum(checksum_of_algorithm(name.substr(kChecksum.size())), value);
      if (!checksum || checksum->kind == ChecksumKind::none) return malformed();
      part.checksum = std::move(*checksum);
    }
  }
  if (part.number == 0 || !has_etag) return malformed();
  return part;
}

Result<std::vector<store::CompleteUpload::Part>> parse_complete(std::string_view xml) {
  pugi::xml_document document;
  ASSIGN_OR_RETURN(Root root, parse_root(document, xml, "CompleteMultipartUpload"));
  std::vector<store::CompleteUpload::Part> out;
  for (const pugi::xml_node& child : root.node.children()) {
    if (root.name_of(child) != "Part" || out.size() == store::kPartNumberMax) return malformed();
    ASSIGN_OR_RETURN(store::CompleteUpload::Part part, parse_part(root, child));
    out.push_back(std::move(part));
  }
  if (out.empty()) return malformed();
  return out;
}

}  // namespace archipel::door::s3
