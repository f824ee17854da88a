#include <charconv>

#include "door/s3/call.h"
#include "door/s3/checksums.h"
#include "door/s3/errors.h"
#include "door/s3/list_token.h"
#include "door/s3/object_headers.h"
#include "door/s3/xml.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

constexpr size_t kListKeysMax = 1000;

// What both versions of the listing share.
struct ListQuery {
  store::ListRequest request;
  size_t max_keys = kListKeysMax;  // as asked for, clamped
  bool url_encoding = false;
  bool has_delimiter = false;

  std::string name(std::string_view text) const {
    return url_encoding ? http::uri_encode(text, http::Slash::keep) : std::string(text);
  }
};

Result<size_t> parse_max_keys(const http::QueryParam* parameter) {
  if (parameter == nullptr || parameter->value.empty()) return kListKeysMax;
  const std::string& text = parameter->value;
  int32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0)
    return refuse("InvalidArgument", "max-keys must be an integer between 0 and 2147483647.");
  return std::min(static_cast<size_t>(value), kListKeysMax);
}

Result<ListQuery> read_list_query(const Target& target) {
  ListQuery out;
  out.request.bucket = target.bucket;
  out.request.prefix = target.value("prefix");
  out.request.delimiter = target.value("delimiter");
  out.has_delimiter = !out.request.delimiter.empty();
  ASSIGN_OR_RETURN(out.max_keys, parse_max_keys(target.param("max-keys")));
  out.request.max_keys = out.max_keys;
  if (const http::QueryParam* encoding = target.param("encoding-type");
      encoding != nullptr && !encoding->value.empty()) {
    if (encoding->value != "url")
      return refuse("InvalidArgument", "Invalid Encoding Method specified in Request");
    out.url_encoding = true;
  }
  return out;
}

void write_owner(XmlWriter& xml, const store::Account& account) {
  xml.open("Owner").element("ID", account.id).element("DisplayName", account.display_name).close();
}

void write_entries(XmlWriter& xml, const ListQuery& query, const store::ListResult& result,
                   const store::Account* owner) {
  for (const store::ListEntry& e : result.entries) {
    xml.open("Contents").element("Key", query.name(e.key));
    xml.element("LastModified", http::format_iso_extended(e.info.modified_ms))
        .element("ETag", quoted(e.info.etag));
    if (e.info.checksum.kind != ChecksumKind::none)
      xml.element("ChecksumAlgorithm", checksum_algorithm(e.info.checksum.kind))
          .element("ChecksumType", "FULL_OBJECT");
    xml.element("Size", e.info.size);
    if (owner != nullptr) write_owner(xml, *owner);
    xml.element("StorageClass", "STANDARD").close();
  }
  for (const std::string& prefix : result.common_prefixes)
    xml.open("CommonPrefixes").element("Prefix", query.name(prefix)).close();
}

void write_echo(XmlWriter& xml, const ListQuery& query) {
  xml.element("Name", query.request.bucket).element("Prefix", query.name(query.request.prefix));
  if (query.has_delimiter) xml.element("Delimiter", query.name(query.request.delimiter));
  xml.element("MaxKeys", uint64_t{query.max_keys});
  if (query.url_encoding) xml.element("EncodingType", "url");
}

// max-keys=0 asks for nothing, and gets it.
io::Task<Result<store::ListResult>> run_list(Call& call, store::ListRequest request) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  if (request.max_keys == 0) co_return store::ListResult{};
  auto result = co_await call.door.store.list(std::move(request));
  co_return result;
}

}  // namespace

io::Task<Result<void>> list_objects_v1(Call& call) {
  auto query = read_list_query(call.target);
  if (!query) co_return std::unexpected(std::move(query).error());
  query->request.start_after = call.target.value("marker");
  auto result = co_await run_list(call, query->request);
  if (!result) co_return std::unexpected(std::move(result).error());
  XmlWriter xml("ListBucketResult");
  write_echo(xml, *query);
  xml.element("Marker", query->name(query->request.start_after));
  // Without a delimiter the last key serves as the next marker, and S3 says so by leaving this out.
  if (result->truncated && query->has_delimiter) xml.element("NextMarker", query->name(result->next));
  xml.element("IsTruncated", result->truncated);
  write_entries(xml, *query, *result, call.identity.account.get());
  result->entries = {};  // a slow client holds the document only
  auto sent = co_await reply_xml(call, xml.take());
  co_return sent;
}

io::Task<Result<void>> list_objects_v2(Call& call) {
  auto query = read_list_query(call.target);
  if (!query) co_return std::unexpected(std::move(query).error());
  const Target& target = call.target;
  query->request.start_after = target.value("start-after");
  const http::QueryParam* token = target.param("continuation-token");
  if (token != nullptr) {
    auto next = open_token(token->value);
    if (!next) co_return refuse("InvalidArgument", "The continuation token provided is incorrect");
    query->request.start_after = std::move(*next);
  }
  std::string_view fetch_owner = target.value("fetch-owner");
  if (!fetch_owner.empty() && fetch_owner != "true" && fetch_owner != "false")
    co_return refuse("InvalidArgument", "fetch-owner must be true or false.");
  auto result = co_await run_list(call, query->request);
  if (!result) co_return std::unexpected(std::move(result).error());
  XmlWriter xml("ListBucketResult");
  write_echo(xml, *query);
  xml.element("KeyCount", uint64_t{result->entries.size() + result->common_prefixes.size()});
  if (token != nullptr) xml.element("ContinuationToken", token->value);
  if (result->truncated) xml.element("NextContinuationToken", make_token(result->next));
  if (target.param("start-after") != nullptr)
    xml.element("StartAfter", query->name(target.value("start-after")));
  xml.element("IsTruncated", result->truncated);
  write_entries(xml, *query, *result, fetch_owner == "true" ? call.identity.account.get() : nullptr);
  result->entries = {};  // a slow client holds the document only
  auto sent = co_await reply_xml(call, xml.take());
  co_return sent;
}

}  // namespace archipel::door::s3
