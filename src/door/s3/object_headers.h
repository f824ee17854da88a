// Request and response headers of objects: conditions, ranges, metadata, and what a GET or HEAD says of an object.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "door/s3/target.h"
#include "http/message.h"
#include "store/store.h"

namespace archipel::door::s3 {

// If-Match and its three siblings, each under `prefix` ("" or "x-amz-copy-source-"). ETags lose their quotes; a weak tag keeps its W/ in
// if_match, where it never matches (RFC 9110 §13.1.1). Dates that do not parse are ignored.
store::Conditions read_conditions(const http::Headers& headers, std::string_view prefix, UnixMs now);

// The conditions of a PUT: If-Match or If-None-Match, each with "*" or ETags (S3 takes of If-None-Match only "*"). Errors: NotImplemented for dates, and for both.
Result<store::Conditions> read_put_conditions(const http::Headers& headers, UnixMs now);

// Do `conditions` of a PUT hold for what is there now (nullptr: nothing)? Errors: PreconditionFailed; NoSuchKey for If-Match on nothing.
Result<void> check_put_conditions(const store::Conditions& conditions, const store::ObjectInfo* current);

// One byte range. nullopt for what S3 serves whole: no header, several ranges, other units, anything malformed.
std::optional<store::Store::Range> parse_range(std::string_view header);
// Decimal digits only; past 64 bits it saturates. nullopt for anything else.
std::optional<uint64_t> parse_decimal(std::string_view text);
// First byte and length of `range` in an object of `size` bytes. InvalidRange if it is outside.
Result<std::pair<uint64_t, uint64_t>> resolve_range(const store::Store::Range& range, uint64_t size);

// A version id as this service makes them: "null", or 32 lower-case hex digits. Errors: InvalidArgument.
Result<void> check_version_name(std::string_view version);
// versionId of the query; absent: the current version. Errors: InvalidArgument.
Result<store::VersionName> read_version(const Target& target);
// What to ask the store for the attributes of the version that the target names, or to change them. Errors: as read_version().
Result<store::HeadRequest> attributes_of(const Target& target);
Result<store::AttributeChange> change_of(const Target& target);
// x-amz-version-id, once the bucket has ever had versioning.
void add_version(const store::BucketInfo& bucket, std::string_view version, http::Headers& out);
// The same of what a request wrote: S3 names a new version only while versioning is enabled, not the null version of a suspended bucket.
void add_written_version(const store::BucketInfo& bucket, std::string_view version, http::Headers& out);
// A header that is "true" or "false", in any case; absent is false. Errors: InvalidArgument.
Result<bool> read_flag(const http::Headers& headers, std::string_view name);

struct ObjectHeaders {
  std::map<std::string, std::string> headers;  // system headers that are kept
  std::map<std::string, std::string> metadata;
};
// Errors: MetadataTooLarge (over 2,048 bytes), InvalidArgument (an empty metadata name). aws-chunked is taken out of Content-Encoding.
Result<ObjectHeaders> read_object_headers(const http::Headers& headers);

// ETag, Last-Modified, Accept-Ranges, kept headers, metadata, number of tags, lock; the checksum if `with_checksum`.
void describe_object(const store::ObjectInfo& info, bool with_checksum, http::Headers& out);
// `parts`: of a multipart object, for a composite checksum.
void add_checksum(const store::Checksum& checksum, uint32_t parts, http::Headers& out);
std::string quoted(std::string_view etag);

}  // namespace archipel::door::s3
