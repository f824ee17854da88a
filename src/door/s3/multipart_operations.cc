// Multipart uploads: create, parts, copies as parts, complete, abort.
#include "door/s3/bucket_handlers.h"
#include "door/s3/errors.h"
#include "door/s3/multipart_documents.h"
#include "door/s3/new_object.h"
#include "door/s3/object_reads.h"
#include "door/s3/slow_answer.h"
#include "door/s3/xml.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

// Which checksum the object will have. Without a word from the client it is CRC64NVME over the whole object, as S3 has it.
Result<void> read_upload_checksum(const http::Headers& headers, store::CreateUpload& request) {
  const std::string* algorithm = headers.find("x-amz-checksum-algorithm");
  const std::string* type = headers.find("x-amz-checksum-type");
  if (algorithm == nullptr) {
    if (type != nullptr)
      return refuse(
          "InvalidRequest",
          "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.");
    request.checksum = ChecksumKind::crc64nvme;
    return {};
  }
  request.checksum = checksum_of_algorithm(*algorithm);
  if (request.checksum == ChecksumKind::none)
    return refuse("InvalidRequest",
                  "Checksum algorithm provided is unsupported. Please try again with any of the "
                  "valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
  request.composite = composite_by_default(request.checksum);
  if (type != nullptr) {
    ASSIGN_OR_RETURN(request.composite, read_composite(request.checksum, *type));
  }
  return {};
}

Result<store::PartRequest> read_part_request(const Call& call) {
  store::PartRequest part;
  part.bucket = call.target.bucket;
  part.key = call.target.key;
  part.upload = call.target.value("uploadId");
  ASSIGN_OR_RETURN(part.number, read_part_number(call.target));
  ASSIGN_OR_RETURN(part.customer_key, read_customer_key(call.request.headers));
  return part;
}

// A part's checksum must be of its upload's algorithm; an upload whose algorithm nobody chose takes any.
Result<void> check_part_checksum(const store::UploadInfo& upload, ChecksumKind kind) {
  if (kind == ChecksumKind::none || kind == upload.checksum || upload.checksum == ChecksumKind::crc64nvme ||
      upload.checksum == ChecksumKind::none)
    return {};
  return refuse("InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: " +
                                      std::string(checksum_algorithm(upload.checksum)) +
                                      ", actual checksum Type: " + std::string(checksum_algorithm(kind)));
}

}  // namespace

io::Task<Result<void>> create_multipart_upload(Call& call) {
  store::CreateUpload request;
  CO_RETURN_IF_ERROR(read_upload_checksum(call.request.headers, request));
  CO_ASSIGN_OR_RETURN(NewObject object, read_new_object(call));
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  CO_RETURN_IF_ERROR(apply_bucket_defaults(call, *bucket, true, object));
  request.bucket = call.target.bucket;
  request.key = call.target.key;
  fill(call, object, request);
  request.initiator = call.account_id();
  ChecksumKind kind = request.checksum;
  bool composite = request.composite;
  auto upload = co_await call.door.store.create_upload(std::move(request));
  if (!upload) co_return std::unexpected(std::move(upload).error());
  http::Response response = make_response(call, 200);
  response.headers.add("content-type", "application/xml");
  if (call.request.headers.find("x-amz-checksum-algorithm") != nullptr) {
    response.headers.add("x-amz-checksum-algorithm", std::string(checksum_algorithm(kind)));
    response.headers.add("x-amz-checksum-type", composite ? "COMPOSITE" : "FULL_OBJECT");
  }
  add_encryption(object.encryption.encryption, object.encryption.customer_key.get(), response.headers);
  XmlWriter xml("InitiateMultipartUploadResult");
  xml.element("Bucket", call.target.bucket).element("Key", call.target.key).element("UploadId", upload->id);
  auto sent = co_await reply(call, std::move(response), xml.take());
  co_return sent;
}

io::Task<Result<void>> upload_part(Call& call) {
  CO_RETURN_IF_ERROR(check_length(call));
  CO_ASSIGN_OR_RETURN(store::PartRequest request, read_part_request(call));
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto upload = co_await call.door.store.find_upload(request.bucket, request.key, request.upload);
  if (!upload) co_return std::unexpected(std::move(upload).error());
  CO_RETURN_IF_ERROR(check_part_checksum(*upload, call.plan.checksum));
  request.length = call.plan.length;
  auto key = request.customer_key;
  if (call.plan.checksum != upload->checksum) call.plan.computed = upload->checksum;
  RequestBody body(call.exchange, call.plan, call.identity, store::kObjectBytesMax, call.door.workers);
  auto part = co_await call.door.store.put_part(std::move(request), body);
  call.bytes_in = body.bytes();
  if (body.failure()) {
    if (part) co_return fail(Code::internal, "the store kept a part that failed its checks");
    co_return fail(*body.failure());
  }
  if (!part) co_return std::unexpected(std::move(part).error());
  http::Response response = make_response(call, 200);
  response.headers.add("etag", quoted(part->etag));
  // What the client sent and saw checked; else what was computed.
  store::Checksum checksum = body.said();
  if (checksum.kind == ChecksumKind::none) checksum = part->checksum;
  if (checksum.kind != ChecksumKind::none)
    response.headers.add(std::string(checksum_header(checksum.kind)), checksum_text(checksum, 0));
  add_encryption(upload->encryption, key.get(), response.headers);
  auto sent = co_await reply(call, std::move(response));
  co_return sent;
}

// "bytes=first-last", both there.
static Result<std::pair<uint64_t, uint64_t>> parse_copy_range(std::string_view text) {
  static constexpr std::string_view kUnit = "bytes=";
  size_t dash = text.find('-');
  if (text.starts_with(kUnit) && dash != std::string_view::npos) {
    auto first = parse_decimal(text.substr(kUnit.size(), dash - kUnit.size()));
    auto last = parse_decimal(text.substr(dash + 1));
    if (first && last && *first <= *last) return std::pair{*first, *last};
  }
  return refuse(
      "InvalidArgument",
      "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are "
      "the zero-based offsets of the first and last bytes to copy");
}

static io::Task<Result<SlowAnswer>> copy_part(Call& call, store::CopyPartRequest request,
                                              store::BucketInfo source_bucket, store::Encryption encryption) {
  auto key = request.part.customer_key;
  std::string source_version = request.source_version.value_or("");
  auto part = co_await call.door.store.copy_part(std::move(request));
  if (!part) {
    Error error = std::move(part).error();
    if (s3_error_of(error).code == "NotModified") error = make_error("PreconditionFailed");
    co_return fail(std::move(error));
  }
  SlowAnswer answer;
  if (source_bucket.versioning != store::Versioning::never && !source_version.empty())
    answer.headers.add("x-amz-copy-source-version-id", source_version);
  add_encryption(encryption, key.get(), answer.headers);
  XmlWriter xml("CopyPartResult");
  xml.element("LastModified", http::format_iso_extended(part->modified_ms))
      .element("ETag", quoted(part->etag));
  write_checksum_value(xml, part->checksum, 0);
  answer.document = xml.take();
  co_return answer;
}

io::Task<Result<void>> upload_part_copy(Call& call) {
  const http::Headers& headers = call.request.headers;
  store::CopyPartRequest request;
  CO_ASSIGN_OR_RETURN(request.part, read_part_request(call));
  CO_ASSIGN_OR_RETURN(CopySource source, parse_copy_source(headers.get("x-amz-copy-source")));
  if (const std::string* range = headers.find("x-amz-copy-source-range")) {
    CO_ASSIGN_OR_RETURN(request.range, parse_copy_range(*range));
  }
  request.source_conditions = read_conditions(headers, "x-amz-copy-source-", call.door.clock.unix_ms());
  CO_ASSIGN_OR_RETURN(request.source_customer_key, read_customer_key(headers, "x-amz-copy-source-"));
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto source_bucket = co_await open_source(call, source.bucket, source.key, source.version,
                                            headers.get("x-amz-source-expected-bucket-owner"));
  if (!source_bucket) co_return std::unexpected(std::move(source_bucket).error());
  auto upload =
      co_await call.door.store.find_upload(request.part.bucket, request.part.key, request.part.upload);
  if (!upload) co_return std::unexpected(std::move(upload).error());
  request.source_bucket = std::move(source.bucket);
  request.source_key = std::move(source.key);
  request.source_version = std::move(source.version);
  auto done = co_await reply_when_done(
      call, copy_part(call, std::move(request), std::move(*source_bucket), std::move(upload->encryption)));
  co_return done;
}

static io::Task<Result<SlowAnswer>> complete(Call& call, store::CompleteUpload request,
                                             store::BucketInfo bucket) {
  auto key = request.customer_key;
  auto info = co_await call.door.store.complete_upload(std::move(request));
  if (!info) co_return std::unexpected(std::move(info).error());
  SlowAnswer answer;
  add_written_version(bucket, info->version, answer.headers);
  add_encryption(info->encryption, key.get(), answer.headers);
  add_expiration(call, bucket, call.target.key, *info, answer.headers);
  XmlWriter xml("CompleteMultipartUploadResult");
  xml.element("Location", location_of(call))
      .element("Bucket", call.target.bucket)
      .element("Key", call.target.key);
  xml.element("ETag", quoted(info->etag));
  write_checksum(xml, info->checksum, info->parts);
  answer.document = xml.take();
  co_return answer;
}

// What the headers say of the object to be.
static Result<store::CompleteUpload> read_complete_request(const Call& call) {
  const http::Headers& headers = call.request.headers;
  store::CompleteUpload request;
  request.bucket = call.target.bucket;
  request.key = call.target.key;
  request.upload = call.target.value("uploadId");
  ASSIGN_OR_RETURN(request.conditions, read_put_conditions(headers, call.door.clock.unix_ms()));
  ASSIGN_OR_RETURN(request.checksum, read_object_checksum(headers));
  if (const std::string* type = headers.find("x-amz-checksum-type");
      type != nullptr && request.checksum.kind != ChecksumKind::none) {
    ASSIGN_OR_RETURN(bool composite, read_composite(request.checksum.kind, *type));
    if (composite != request.checksum.composite)
      return refuse("InvalidRequest", "The checksum is not of the type that x-amz-checksum-type names.");
  }
  if (const std::string* size = headers.find("x-amz-mp-object-size")) {
    request.size = parse_decimal(*size);
    if (!request.size) return refuse("InvalidRequest", "Value for x-amz-mp-object-size header is invalid.");
  }
  ASSIGN_OR_RETURN(request.customer_key, read_customer_key(headers));
  return request;
}

io::Task<Result<void>> complete_multipart_upload(Call& call) {
  CO_ASSIGN_OR_RETURN(store::CompleteUpload request, read_complete_request(call));
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto read = co_await read_request_document(call, kCompleteDocumentBytesMax, "MalformedXML");
  if (!read) co_return std::unexpected(std::move(read).error());
  CO_ASSIGN_OR_RETURN(request.parts, parse_complete(read->text));
  read->text = {};
  // Parts of an upload whose algorithm nobody chose were checked by whatever checksum they came with; the upload keeps another.
  auto upload = co_await call.door.store.find_upload(request.bucket, request.key, request.upload);
  if (upload && upload->checksum == ChecksumKind::crc64nvme)
    for (store::CompleteUpload::Part& part : request.parts)
      if (part.checksum.kind != ChecksumKind::crc64nvme) part.checksum = {};
  auto done = co_await reply_when_done(call, complete(call, std::move(request), std::move(*bucket)));
  co_return done;
}

io::Task<Result<void>> abort_multipart_upload(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  std::string upload(call.target.value("uploadId"));
  auto aborted =
      co_await call.door.store.abort_upload(call.target.bucket, call.target.key, std::move(upload));
  if (!aborted) co_return aborted;
  auto sent = co_await reply(call, make_response(call, 204));
  co_return sent;
}

}  // namespace archipel::door::s3
