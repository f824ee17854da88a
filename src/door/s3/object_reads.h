// What a request says of the object it reads, and of the answer it wants. Private to door/s3.
#pragma once

#include "door/s3/call.h"
#include "door/s3/checksums.h"
#include "door/s3/object_headers.h"
#include "door/s3/sse_headers.h"
#include "door/s3/xml.h"

namespace archipel::door::s3 {

// Version, part, conditions and customer key of a GET or HEAD. Errors: InvalidArgument; InvalidRequest (a part together with a range).
Result<store::HeadRequest> read_head_request(const Call& call);

// x-amz-checksum-mode: ENABLED.
bool wants_checksum(const Call& call);

// Answers a read that was refused. 304 carries the ETag, 416 the size, 404 and 405 say that it is a delete marker: they ask the store once
// more for the version that the refusal spoke of.
io::Task<Result<void>> refuse_read(Call& call, store::BucketInfo bucket, store::HeadRequest what,
                                   Error error);

// Headers that the query overrides (response-content-type and its siblings). Errors: InvalidRequest (the request is anonymous),
// InvalidArgument (control characters).
Result<void> override_headers(const Call& call, http::Headers& out);

// A number of 1 to store::kPartNumberMax. Errors: InvalidArgument.
Result<uint32_t> read_part_number(const Target& target);

// A request that writes bytes says how many, and not more than one PUT may bring. Errors: MissingContentLength, EntityTooLarge.
Result<void> check_length(const Call& call);

// <ChecksumCRC32> and the like; and <ChecksumType> with the first. Nothing if there is no checksum. `parts` counts for a composite one.
void write_checksum(XmlWriter& xml, const store::Checksum& checksum, uint32_t parts);
void write_checksum_value(XmlWriter& xml, const store::Checksum& checksum, uint32_t parts);

// "[/]bucket/key[?versionId=…]" of x-amz-copy-source, percent-encoded; a '+' is a space, as S3 reads it. Errors: InvalidArgument, KeyTooLongError.
struct CopySource {
  std::string bucket, key;
  store::VersionName version;
};
Result<CopySource> parse_copy_source(std::string_view header);

}  // namespace archipel::door::s3
