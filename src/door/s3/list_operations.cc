#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/list_query.h"
#include "door/s3/list_token.h"
#include "door/s3/object_headers.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

void write_entries(XmlWriter& xml, const Call& call, const ListQuery& query, const store::ListResult& result,
                   const store::BucketInfo* owner_of) {
  for (const store::ListEntry& e : result.entries) {
    xml.open("Contents").element("Key", query.name(e.key));
    xml.element("LastModified", http::format_iso_extended(e.info.modified_ms))
        .element("ETag", quoted(e.info.etag));
    write_checksum_kind(xml, e.info.checksum);
    xml.element("Size", e.info.size);
    if (owner_of != nullptr) {
      const std::string& owner = e.info.attributes.owner;
      write_account(xml, "Owner", call, owner.empty() ? owner_of->owner : owner);
    }
    xml.element("StorageClass", "STANDARD").close();
  }
  write_common_prefixes(xml, query, result.common_prefixes);
}

// The prefix of ListObjects. Some clients (boto3) decode everything of this answer but the prefix, so it goes as it is wherever those
// that decode it read the same.
std::string prefix_v1(const ListQuery& query) {
  bool same_either_way = query.prefix.find_first_of("%+") == std::string::npos;
  return same_either_way ? query.prefix : query.name(query.prefix);
}

void write_echo(XmlWriter& xml, const ListQuery& query, std::string_view prefix) {
  xml.element("Name", query.bucket).element("Prefix", prefix);
  if (!query.delimiter.empty()) xml.element("Delimiter", query.name(query.delimiter));
  xml.element("MaxKeys", uint64_t{query.max_keys});
  if (query.url_encoding) xml.element("EncodingType", "url");
}

// max-keys=0 asks for nothing, and gets it.
io::Task<Result<store::ListResult>> run_list(Call& call, const ListQuery& query, std::string start_after) {
  if (query.max_keys == 0) co_return store::ListResult{};
  store::ListRequest request{query.bucket, query.prefix, query.delimiter, std::move(start_after),
                             query.max_keys};
  auto result = co_await call.door.store.list(std::move(request));
  co_return result;
}

}  // namespace

io::Task<Result<void>> list_objects_v1(Call& call) {
  auto query = read_list_query(call.target, "max-keys");
  if (!query) co_return std::unexpected(std::move(query).error());
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  std::string marker(call.target.value("marker"));
  auto result = co_await run_list(call, *query, marker);
  if (!result) co_return std::unexpected(std::move(result).error());
  XmlWriter xml("ListBucketResult");
  write_echo(xml, *query, prefix_v1(*query));
  xml.element("Marker", query->name(marker));
  // Without a delimiter the last key serves as the next marker, and S3 says so by leaving this out.
  if (result->truncated && !query->delimiter.empty()) xml.element("NextMarker", query->name(result->next));
  xml.element("IsTruncated", result->truncated);
  write_entries(xml, call, *query, *result, &*bucket);
  result->entries = {};  // a slow client holds the document only
  auto sent = co_await reply_xml(call, xml.take());
  co_return sent;
}

io::Task<Result<void>> list_objects_v2(Call& call) {
  auto query = read_list_query(call.target, "max-keys");
  if (!query) co_return std::unexpected(std::move(query).error());
  const Target& target = call.target;
  std::string start_after(target.value("start-after"));
  const http::QueryParam* token = target.param("continuation-token");
  if (token != nullptr && !token->value.empty()) {  // an empty one asks for the first page
    auto next = open_token(token->value);
    if (!next) co_return refuse("InvalidArgument", "The continuation token provided is incorrect");
    start_after = std::move(*next);
  }
  std::string_view fetch_owner = target.value("fetch-owner");
  if (!fetch_owner.empty() && fetch_owner != "true" && fetch_owner != "false")
    co_return refuse("InvalidArgument", "fetch-owner must be true or false.");
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto result = co_await run_list(call, *query, std::move(start_after));
  if (!result) co_return std::unexpected(std::move(result).error());
  XmlWriter xml("ListBucketResult");
  write_echo(xml, *query, query->name(query->prefix));
  xml.element("KeyCount", uint64_t{result->entries.size() + result->common_prefixes.size()});
  if (token != nullptr) xml.element("ContinuationToken", token->value);
  if (result->truncated) xml.element("NextContinuationToken", make_token(result->next));
  if (target.param("start-after") != nullptr)
    xml.element("StartAfter", query->name(target.value("start-after")));
  xml.element("IsTruncated", result->truncated);
  write_entries(xml, call, *query, *result, fetch_owner == "true" ? &*bucket : nullptr);
  result->entries = {};  // a slow client holds the document only
  auto sent = co_await reply_xml(call, xml.take());
  co_return sent;
}

}  // namespace archipel::door::s3
