// Tags of objects: their limits, and the two ways in which requests write them. Pure functions.
//
// Source: S3 user guide, "Categorizing your storage using tags": at most 10, names of 1 to 128 and values of up to 256 characters, each name
// once, letters, digits, spaces and + - = . _ : / @.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace archipel::door::s3 {

inline constexpr size_t kObjectTagsMax = 10;
inline constexpr size_t kTaggingDocumentBytesMax = 64u << 10;

using TagMap = std::map<std::string, std::string>;

// x-amz-tagging: "name=value&…", percent-encoded. Errors: InvalidArgument (encoding, a name twice), InvalidTag.
Result<TagMap> parse_tagging_header(std::string_view text);
// <Tagging>. Errors: MalformedXML, InvalidTag.
Result<TagMap> parse_tagging(std::string_view xml);
std::string write_tagging(const TagMap& tags);

}  // namespace archipel::door::s3
