#include "door/s3/new_object.h"

#include "door/s3/errors.h"
#include "door/s3/lock_headers.h"
#include "door/s3/tagging.h"

namespace archipel::door::s3 {

namespace {

constexpr size_t kRedirectBytesMax = 2048;

Result<void> check_storage_class(const http::Headers& headers) {
  const std::string* storage_class = headers.find("x-amz-storage-class");
  if (storage_class != nullptr && *storage_class != "STANDARD")
    return refuse("InvalidStorageClass", "There is one storage class here: STANDARD.");
  return {};
}

Result<void> read_redirect(const http::Headers& headers, ObjectHeaders& kept) {
  const std::string* location = headers.find("x-amz-website-redirect-location");
  if (location == nullptr) return {};
  bool good =
      location->starts_with('/') || location->starts_with("http://") || location->starts_with("https://");
  if (!good || location->size() > kRedirectBytesMax)
    return refuse("InvalidRedirectLocation",
                  "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.");
  kept.headers.emplace("x-amz-website-redirect-location", *location);
  return {};
}

}  // namespace

Result<NewObject> read_new_object(const Call& call) {
  const http::Headers& headers = call.request.headers;
  NewObject out;
  RETURN_IF_ERROR(check_storage_class(headers));
  ASSIGN_OR_RETURN(out.kept, read_object_headers(headers));
  RETURN_IF_ERROR(read_redirect(headers, out.kept));
  if (const std::string* tags = headers.find("x-amz-tagging")) {
    ASSIGN_OR_RETURN(out.attributes.tags, parse_tagging_header(*tags));
    out.tags_given = true;
  }
  ASSIGN_OR_RETURN(AskedLock lock, read_lock(headers, call.door.clock.unix_ms()));
  out.attributes.retention = lock.retention;
  out.attributes.legal_hold = lock.legal_hold.value_or(false);
  out.lock_given = lock.asked();
  ASSIGN_OR_RETURN(out.encryption, read_encryption(headers));
  return out;
}

Result<void> apply_bucket_defaults(Call& call, const store::BucketInfo& bucket, bool has_integrity,
                                   NewObject& object) {
  if (object.lock_given && !bucket.object_lock)
    return refuse("InvalidRequest", "Bucket is missing Object Lock Configuration");
  std::shared_ptr<const BucketSettings> settings = call.door.settings.of(bucket);
  store::Attributes& attributes = object.attributes;
  if (bucket.object_lock && attributes.retention.mode == store::Retention::Mode::none) {
    ASSIGN_OR_RETURN(std::optional<DefaultRetention> retention, settings->object_lock);
    if (retention && retention->mode != store::Retention::Mode::none)
      attributes.retention = {retention->mode, retention->until(call.door.clock.unix_ms())};
  }
  bool locked = attributes.retention.mode != store::Retention::Mode::none || attributes.legal_hold;
  if (locked && !has_integrity)
    return refuse(
        "InvalidRequest",
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object "
        "Lock parameters");
  store::Encryption& encryption = object.encryption.encryption;
  if (encryption.kind == store::Encryption::Kind::none) {
    ASSIGN_OR_RETURN(std::optional<DefaultEncryption> by_default, settings->encryption);
    if (by_default && by_default->kind == store::Encryption::Kind::sse_kms)
      return refuse("NotImplemented", "Server-side encryption with keys of a key service is not offered.");
    if (by_default) encryption.kind = by_default->kind;
  }
  return {};
}

}  // namespace archipel::door::s3
