// Put, Get and Delete of what configures a bucket. A PUT parses the whole document, and keeps it in our own spelling: what a GET gives back
// is what will be acted on.
#include "door/s3/access.h"
#include "door/s3/bucket_documents.h"
#include "door/s3/bucket_handlers.h"
#include "door/s3/cors.h"
#include "door/s3/errors.h"
#include "door/s3/lifecycle_document.h"
#include "door/s3/xml.h"

namespace archipel::door::s3 {
namespace {

// A client's document in our spelling, or the reason to refuse it.
using Canonical = Result<std::string> (*)(Call&, std::string_view xml);

io::Task<Result<std::string>> read_canonical(Call& call, size_t bytes_max, Canonical canonical) {
  auto document = co_await read_request_document(call, bytes_max, "MalformedXML");
  if (!document) co_return std::unexpected(std::move(document).error());
  if (document->text.empty()) co_return refuse("MissingRequestBodyError");
  co_return canonical(call, document->text);
}

io::Task<Result<void>> put_document(Call& call, std::string name, size_t bytes_max, Canonical canonical,
                                    int status = 200) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto document = co_await read_canonical(call, bytes_max, canonical);
  if (!document) co_return std::unexpected(std::move(document).error());
  store::BucketChange change;
  change.configs[std::move(name)] = std::move(*document);
  auto done = co_await configure(call, std::move(change), status);
  co_return done;
}

io::Task<Result<void>> get_document(Call& call, std::string name, std::string_view code_if_absent) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  std::string_view document = config_of(*bucket, name);
  if (document.empty()) co_return refuse(code_if_absent);
  auto sent = co_await reply_xml(call, std::string(document));
  co_return sent;
}

// Absent already = success.
io::Task<Result<void>> delete_document(Call& call, std::string name) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  store::BucketChange change;
  change.configs[std::move(name)] = std::nullopt;
  auto done = co_await configure(call, std::move(change), 204);
  co_return done;
}

Result<std::string> canonical_cors(Call&, std::string_view xml) {
  ASSIGN_OR_RETURN(CorsRules rules, parse_cors(xml));
  return write_cors(rules);
}
Result<std::string> canonical_encryption(Call&, std::string_view xml) {
  ASSIGN_OR_RETURN(DefaultEncryption encryption, parse_encryption(xml));
  return write_encryption(encryption);
}
Result<std::string> canonical_lifecycle(Call& call, std::string_view xml) {
  ASSIGN_OR_RETURN(store::LifecycleRules rules, parse_lifecycle(xml, &call.door.random));
  return write_lifecycle(rules);
}
Result<std::string> canonical_object_lock(Call&, std::string_view xml) {
  ASSIGN_OR_RETURN(DefaultRetention retention, parse_object_lock(xml));
  return write_object_lock(retention);
}
Result<std::string> canonical_request_payment(Call&, std::string_view xml) {
  RETURN_IF_ERROR(parse_request_payment(xml));
  return write_request_payment();
}
Result<std::string> canonical_tagging(Call&, std::string_view xml) {
  ASSIGN_OR_RETURN(Tags tags, parse_bucket_tagging(xml));
  return write_bucket_tagging(tags);
}
Result<std::string> canonical_website(Call&, std::string_view xml) {
  ASSIGN_OR_RETURN(Website website, parse_website(xml));
  return write_website(website);
}

}  // namespace

io::Task<Result<void>> configure(Call& call, store::BucketChange change, int status) {
  auto changed = co_await call.door.store.configure_bucket(call.target.bucket, std::move(change));
  if (!changed) co_return std::unexpected(std::move(changed).error());
  auto sent = co_await reply(call, make_response(call, status));
  co_return sent;
}

std::shared_ptr<const BucketSettings> settings_of(Call& call, const store::BucketInfo& bucket) {
  return call.door.settings.of(bucket);
}

void add_expiration(Call& call, const store::BucketInfo& bucket, std::string_view key,
                    const store::ObjectInfo& info, http::Headers& out) {
  call.object_size = info.size;
  if (!info.latest || info.delete_marker || !bucket.configs) return;
  auto settings = settings_of(call, bucket);
  // Rules that cannot be read expire nothing either.
  if (!settings->lifecycle || !*settings->lifecycle) return;
  store::LifecycleSubject object{key, info.size, info.modified_ms, false, &info.attributes.tags};
  std::string value = expiration_header(**settings->lifecycle, object);
  if (!value.empty()) out.add("x-amz-expiration", std::move(value));
}

io::Task<Result<void>> get_bucket_cors(Call& call) {
  return get_document(call, "cors", "NoSuchCORSConfiguration");
}
io::Task<Result<void>> put_bucket_cors(Call& call) {
  return put_document(call, "cors", kCorsDocumentBytesMax, canonical_cors);
}
io::Task<Result<void>> delete_bucket_cors(Call& call) {
  return delete_document(call, "cors");
}

io::Task<Result<void>> get_bucket_encryption(Call& call) {
  return get_document(call, "encryption", "ServerSideEncryptionConfigurationNotFoundError");
}
io::Task<Result<void>> put_bucket_encryption(Call& call) {
  return put_document(call, "encryption", kBucketDocumentBytesMax, canonical_encryption);
}
io::Task<Result<void>> delete_bucket_encryption(Call& call) {
  return delete_document(call, "encryption");
}

io::Task<Result<void>> get_bucket_lifecycle(Call& call) {
  return get_document(call, "lifecycle", "NoSuchLifecycleConfiguration");
}
io::Task<Result<void>> put_bucket_lifecycle(Call& call) {
  return put_document(call, "lifecycle", store::kBucketConfigBytesMax, canonical_lifecycle);
}
io::Task<Result<void>> delete_bucket_lifecycle(Call& call) {
  return delete_document(call, "lifecycle");
}

io::Task<Result<void>> get_bucket_tagging(Call& call) {
  return get_document(call, "tagging", "NoSuchTagSet");
}
io::Task<Result<void>> put_bucket_tagging(Call& call) {
  return put_document(call, "tagging", kBucketDocumentBytesMax * 4, canonical_tagging, 204);
}
io::Task<Result<void>> delete_bucket_tagging(Call& call) {
  return delete_document(call, "tagging");
}

io::Task<Result<void>> get_bucket_website(Call& call) {
  return get_document(call, "website", "NoSuchWebsiteConfiguration");
}
io::Task<Result<void>> put_bucket_website(Call& call) {
  return put_document(call, "website", kBucketDocumentBytesMax * 8, canonical_website);
}
io::Task<Result<void>> delete_bucket_website(Call& call) {
  return delete_document(call, "website");
}

// What the only document that is taken says is what holds anyway: nothing is kept.
io::Task<Result<void>> get_bucket_request_payment(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto sent = co_await reply_xml(call, write_request_payment());
  co_return sent;
}
io::Task<Result<void>> put_bucket_request_payment(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto document = co_await read_canonical(call, kBucketDocumentBytesMax, canonical_request_payment);
  if (!document) co_return std::unexpected(std::move(document).error());
  auto sent = co_await reply(call, make_response(call, 200));
  co_return sent;
}

io::Task<Result<void>> get_bucket_versioning(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto sent = co_await reply_xml(call, write_versioning(bucket->versioning));
  co_return sent;
}
io::Task<Result<void>> put_bucket_versioning(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto document = co_await read_request_document(call, kBucketDocumentBytesMax, "MalformedXML");
  if (!document) co_return std::unexpected(std::move(document).error());
  store::BucketChange change;
  CO_ASSIGN_OR_RETURN(change.versioning, parse_versioning(document->text));
  if (bucket->object_lock && *change.versioning != store::Versioning::enabled)
    co_return refuse("InvalidBucketState",
                     "An Object Lock configuration is present on this bucket, so the versioning state cannot "
                     "be changed.");
  auto done = co_await configure(call, std::move(change), 200);
  co_return done;
}

io::Task<Result<void>> get_object_lock_configuration(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  if (!bucket->object_lock) co_return refuse("ObjectLockConfigurationNotFoundError");
  std::string_view document = config_of(*bucket, "object-lock");
  std::string shown(document);
  if (shown.empty()) shown = write_object_lock({});  // locked, without a default
  auto sent = co_await reply_xml(call, std::move(shown));
  co_return sent;
}
io::Task<Result<void>> put_object_lock_configuration(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto document = co_await read_canonical(call, kBucketDocumentBytesMax, canonical_object_lock);
  if (!document) co_return std::unexpected(std::move(document).error());
  if (!bucket->object_lock && bucket->versioning != store::Versioning::enabled)
    co_return refuse("InvalidBucketState",
                     "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration");
  store::BucketChange change;
  change.enable_object_lock = !bucket->object_lock;
  change.configs["object-lock"] = std::move(*document);
  auto done = co_await configure(call, std::move(change), 200);
  co_return done;
}

}  // namespace archipel::door::s3
