#include "door/s3/bucket_handlers.h"
#include "door/s3/errors.h"
#include "door/s3/new_object.h"
#include "door/s3/object_reads.h"
#include "door/s3/slow_answer.h"
#include "door/s3/xml.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

// COPY, REPLACE, or not there: COPY.
Result<bool> replaces(const http::Headers& headers, std::string_view name) {
  const std::string* directive = headers.find(name);
  if (directive == nullptr || *directive == "COPY") return false;
  if (*directive == "REPLACE") return true;
  return refuse("InvalidArgument",
                "Unknown " + std::string(name.substr(std::string_view("x-amz-").size())) + ".");
}

// A copy onto itself must change something that a copy can change.
Result<void> check_changes(const store::CopyRequest& request, const NewObject& object) {
  bool same = request.source_bucket == request.bucket && request.source_key == request.key;
  bool changes = request.replace_metadata || request.source_version ||
                 object.encryption.encryption.kind != store::Encryption::Kind::none ||
                 request.source_customer_key ||
                 object.kept.headers.contains("x-amz-website-redirect-location");
  if (same && !changes)
    return refuse(
        "InvalidRequest",
        "This copy request is illegal because it is trying to copy an object to itself without changing the "
        "object's metadata, storage class, website redirect location or encryption attributes.");
  return {};
}

Result<ChecksumKind> read_algorithm(const http::Headers& headers) {
  const std::string* algorithm = headers.find("x-amz-checksum-algorithm");
  if (algorithm == nullptr) return ChecksumKind::none;
  ChecksumKind kind = checksum_of_algorithm(*algorithm);
  if (kind == ChecksumKind::none)
    return refuse("InvalidRequest",
                  "Checksum algorithm provided is unsupported. Please try again with any of the "
                  "valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
  return kind;
}

Result<store::CopyRequest> read_copy_request(const Call& call) {
  const http::Headers& headers = call.request.headers;
  UnixMs now = call.door.clock.unix_ms();
  store::CopyRequest request;
  ASSIGN_OR_RETURN(CopySource source, parse_copy_source(headers.get("x-amz-copy-source")));
  request.source_bucket = std::move(source.bucket);
  request.source_key = std::move(source.key);
  request.source_version = std::move(source.version);
  request.bucket = call.target.bucket;
  request.key = call.target.key;
  ASSIGN_OR_RETURN(request.replace_metadata, replaces(headers, "x-amz-metadata-directive"));
  ASSIGN_OR_RETURN(request.replace_tags, replaces(headers, "x-amz-tagging-directive"));
  request.source_conditions = read_conditions(headers, "x-amz-copy-source-", now);
  ASSIGN_OR_RETURN(request.conditions, read_put_conditions(headers, now));
  ASSIGN_OR_RETURN(request.source_customer_key, read_customer_key(headers, "x-amz-copy-source-"));
  ASSIGN_OR_RETURN(request.checksum, read_algorithm(headers));
  return request;
}

io::Task<Result<SlowAnswer>> copy(Call& call, store::CopyRequest request, store::BucketInfo bucket,
                                  store::BucketInfo source_bucket) {
  auto key = request.customer_key;
  std::string source_version = request.source_version.value_or("");
  auto copied = co_await call.door.store.copy(std::move(request));
  if (!copied) {
    Error error = std::move(copied).error();
    // A copy has no 304: whatever condition of the source fails, it is 412.
    if (s3_error_of(error).code == "NotModified") error = make_error("PreconditionFailed");
    co_return fail(std::move(error));
  }
  SlowAnswer answer;
  if (source_bucket.versioning != store::Versioning::never && !source_version.empty())
    answer.headers.add("x-amz-copy-source-version-id", source_version);
  add_written_version(bucket, copied->version, answer.headers);
  add_encryption(copied->encryption, key.get(), answer.headers);
  add_expiration(call, bucket, call.target.key, *copied, answer.headers);
  XmlWriter xml("CopyObjectResult");
  xml.element("LastModified", http::format_iso_extended(copied->modified_ms))
      .element("ETag", quoted(copied->etag));
  write_checksum(xml, copied->checksum, copied->parts);
  answer.document = xml.take();
  co_return answer;
}

}  // namespace

io::Task<Result<void>> copy_object(Call& call) {
  CO_ASSIGN_OR_RETURN(store::CopyRequest request, read_copy_request(call));
  CO_ASSIGN_OR_RETURN(NewObject object, read_new_object(call));
  CO_RETURN_IF_ERROR(check_changes(request, object));
  if (object.tags_given && !request.replace_tags)
    co_return refuse("InvalidArgument", "x-amz-tagging goes with x-amz-tagging-directive: REPLACE.");
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  // The service computes the digests of a copy itself.
  CO_RETURN_IF_ERROR(apply_bucket_defaults(call, *bucket, true, object));
  auto source = co_await open_source(call, request.source_bucket, request.source_key, request.source_version,
                                     call.request.headers.get("x-amz-source-expected-bucket-owner"));
  if (!source) co_return std::unexpected(std::move(source).error());
  fill(call, object, request);
  auto done =
      co_await reply_when_done(call, copy(call, std::move(request), std::move(*bucket), std::move(*source)));
  co_return done;
}

}  // namespace archipel::door::s3
