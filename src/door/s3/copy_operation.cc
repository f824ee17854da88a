#include "door/s3/call.h"
#include "door/s3/checksums.h"
#include "door/s3/errors.h"
#include "door/s3/object_headers.h"
#include "door/s3/xml.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

struct CopySource {
  std::string bucket, key;
};

// "[/]bucket/key[?versionId=null]", percent-encoded; a '+' is a space, as S3 reads it.
Result<CopySource> parse_copy_source(std::string_view header) {
  static constexpr std::string_view kVersion = "?versionId=";
  if (size_t at = header.rfind(kVersion); at != std::string_view::npos) {
    if (header.substr(at + kVersion.size()) != "null")
      return refuse("NotImplemented",
                    "Versions are not offered: versionId of x-amz-copy-source must be \"null\" or absent.");
    header = header.substr(0, at);
  }
  auto decoded = http::percent_decode(header, http::Plus::space);
  if (!decoded || !valid_utf8(*decoded) || decoded->find('\0') != std::string::npos)
    return refuse("InvalidArgument", "Invalid copy source encoding.");
  std::string_view source = *decoded;
  if (source.starts_with('/')) source.remove_prefix(1);
  size_t slash = source.find('/');
  if (slash == 0 || slash == std::string_view::npos || slash + 1 == source.size())
    return refuse("InvalidArgument", "Invalid copy source: expecting bucket/key.");
  CopySource out{std::string(source.substr(0, slash)), std::string(source.substr(slash + 1))};
  if (out.key.size() > kKeyBytesMax) return refuse("KeyTooLongError");
  return out;
}

Result<bool> parse_directive(const http::Headers& headers) {
  const std::string* directive = headers.find("x-amz-metadata-directive");
  if (directive == nullptr || *directive == "COPY") return false;
  if (*directive == "REPLACE") return true;
  return refuse("InvalidArgument", "Unknown metadata directive.");
}

Result<store::CopyRequest> read_copy_request(const Call& call) {
  const http::Headers& headers = call.request.headers;
  UnixMs now = call.door.clock.unix_ms();
  store::CopyRequest request;
  ASSIGN_OR_RETURN(CopySource source, parse_copy_source(headers.get("x-amz-copy-source")));
  request.source_bucket = std::move(source.bucket);
  request.source_key = std::move(source.key);
  request.bucket = call.target.bucket;
  request.key = call.target.key;
  ASSIGN_OR_RETURN(request.replace_metadata, parse_directive(headers));
  if (!request.replace_metadata && request.source_bucket == request.bucket &&
      request.source_key == request.key)
    return refuse(
        "InvalidRequest",
        "This copy request is illegal because it is trying to copy an object to itself without changing the "
        "object's metadata, storage class, website redirect location or encryption attributes.");
  request.source_conditions = read_conditions(headers, "x-amz-copy-source-", now);
  ASSIGN_OR_RETURN(request.conditions, read_put_conditions(headers, now));
  if (request.replace_metadata) {
    ASSIGN_OR_RETURN(ObjectHeaders kept, read_object_headers(headers));
    request.headers = std::move(kept.headers);
    request.metadata = std::move(kept.metadata);
  }
  return request;
}

}  // namespace

io::Task<Result<void>> copy_object(Call& call) {
  CO_ASSIGN_OR_RETURN(store::CopyRequest request, read_copy_request(call));
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto source = co_await open_source(call, request.source_bucket, request.source_key, std::nullopt,
                                     call.request.headers.get("x-amz-source-expected-bucket-owner"));
  if (!source) co_return std::unexpected(std::move(source).error());
  set_access(call, request.attributes);
  auto copied = co_await call.door.store.copy(std::move(request));
  if (!copied) {
    Error error = std::move(copied).error();
    // A copy has no 304: whatever condition of the source fails, it is 412.
    if (s3_error_of(error).code == "NotModified") error = make_error("PreconditionFailed");
    co_return fail(std::move(error));
  }
  XmlWriter xml("CopyObjectResult");
  xml.element("LastModified", http::format_iso_extended(copied->modified_ms))
      .element("ETag", quoted(copied->etag));
  if (const store::Checksum& checksum = copied->checksum; checksum.kind != ChecksumKind::none) {
    std::string name = "Checksum" + std::string(checksum_algorithm(checksum.kind));
    xml.element(name, base64(as_bytes(checksum.value))).element("ChecksumType", "FULL_OBJECT");
  }
  auto sent = co_await reply_xml(call, xml.take());
  co_return sent;
}

}  // namespace archipel::door::s3
