// The XML of the S3 API: a writer for answers, a reader for any small document, and the large documents read without it.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/store.h"

namespace archipel::door::s3 {

inline constexpr size_t kDeleteKeysMax = 1000;               // S3 limit
inline constexpr size_t kDeleteDocumentBytesMax = 2u << 20;  // 1,000 keys of 1,024 bytes with their tags
inline constexpr size_t kBucketDocumentBytesMax = 16u << 10;
inline constexpr std::string_view kS3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

inline constexpr std::string_view kXmlDeclaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

// Writes one document; it begins with kXmlDeclaration. Text is escaped so that a parser gives it back unchanged; control characters become character references,
// as S3 writes them (XML 1.0 parsers refuse most of those: that is what encoding-type=url is for).
class XmlWriter {
 public:
  // `name_space` empty: none.
  explicit XmlWriter(std::string_view root, std::string_view name_space = kS3Namespace);
  XmlWriter& open(std::string_view name);
  // With attributes, as they are to stand there: ` a="b"`.
  XmlWriter& open(std::string_view name, std::string_view attributes);
  XmlWriter& close();
  XmlWriter& element(std::string_view name, std::string_view text);
  XmlWriter& element(std::string_view name, uint64_t number) { return element(name, std::to_string(number)); }
  XmlWriter& element(std::string_view name, bool value) {
    return element(name, std::string_view(value ? "true" : "false"));
  }
  XmlWriter& element(std::string_view name, const char* text) {
    return element(name, std::string_view(text));
  }
  XmlWriter& text(std::string_view text);
  // Closes what is open and hands the document over.
  std::string take();

 private:
  std::string out_;
  std::vector<std::string> open_;
};

inline constexpr size_t kXmlDepthMax = 16;         // of elements within elements
inline constexpr size_t kXmlElementsMax = 10'000;  // of one document that becomes a tree

// An element and what is in it. Names lack the vocabulary's prefix; an element of another namespace has an empty name.
struct XmlElement {
  std::string name;
  std::string text;  // of an element without children, blanks kept; with children there is no text but blanks
  std::vector<std::pair<std::string, std::string>> attributes;  // as written, prefixes too; no declarations
  std::vector<XmlElement> children;

  const XmlElement* child(std::string_view child_name) const;  // the first of that name, or nullptr
  std::string_view value(
      std::string_view child_name) const;  // its text without blanks around; empty if absent
  std::string_view trimmed() const;        // text without blanks around
  std::string_view attribute(
      std::string_view local_name) const;  // by its name without prefix; empty if absent
  // Are all children among `names`, each at most once unless it ends with '*' there ("Rule*")?
  bool has_only(std::initializer_list<std::string_view> names) const;
};
// Errors: MalformedXML: not well-formed, a DTD, another root, text beside elements, over the limits above.
Result<XmlElement> parse_xml(std::string_view xml, std::string_view root);

// <Delete>, with or without a namespace prefix. Errors: MalformedXML (not well-formed, a DTD, an unknown element, a condition that is none,
// no objects or more than kDeleteKeysMax). `now` settles years of two digits.
struct DeleteDocument {
  std::vector<store::DeleteItem> items;  // as given: neither checked for length nor for uniqueness
  bool quiet = false;
};
Result<DeleteDocument> parse_delete(std::string_view xml, UnixMs now);

}  // namespace archipel::door::s3
