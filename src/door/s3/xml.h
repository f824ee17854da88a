// The XML of the S3 API: a writer for answers, and the two documents that this door reads.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace archipel::door::s3 {

inline constexpr size_t kDeleteKeysMax = 1000;               // S3 limit
inline constexpr size_t kDeleteDocumentBytesMax = 2u << 20;  // 1,000 keys of 1,024 bytes with their tags
inline constexpr size_t kBucketDocumentBytesMax = 16u << 10;
inline constexpr std::string_view kS3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

// Writes one document. Text is escaped so that a parser gives it back unchanged; control characters become character references,
// as S3 writes them (XML 1.0 parsers refuse most of those: that is what encoding-type=url is for).
class XmlWriter {
 public:
  // `name_space` empty: none.
  explicit XmlWriter(std::string_view root, std::string_view name_space = kS3Namespace);
  XmlWriter& open(std::string_view name);
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

// <Delete>, with or without a namespace prefix. Errors: MalformedXML (not well-formed, a DTD, an unknown element, no keys or more than kDeleteKeysMax), NotImplemented
// (VersionId other than "null", conditional deletes).
struct DeleteDocument {
  std::vector<std::string> keys;  // as given: neither checked for length nor for uniqueness
  bool quiet = false;
};
Result<DeleteDocument> parse_delete(std::string_view xml);

// <CreateBucketConfiguration>: the location constraint, empty if none. Errors: MalformedXML, NotImplemented (other settings).
Result<std::string> parse_create_bucket(std::string_view xml);

}  // namespace archipel::door::s3
