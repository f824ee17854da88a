// ListObjectVersions: all versions and delete markers, by key, newest first.
#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/list_query.h"
#include "door/s3/object_headers.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

void write_version(XmlWriter& xml, const Call& call, const ListQuery& query, const store::ListEntry& entry,
                   const store::BucketInfo& bucket) {
  const store::ObjectInfo& info = entry.info;
  xml.open(info.delete_marker ? "DeleteMarker" : "Version").element("Key", query.name(entry.key));
  xml.element("VersionId", info.version.empty() ? std::string_view("null") : std::string_view(info.version))
      .element("IsLatest", info.latest)
      .element("LastModified", http::format_iso_extended(info.modified_ms));
  if (!info.delete_marker) {
    xml.element("ETag", quoted(info.etag));
    write_checksum_kind(xml, info.checksum);
    xml.element("Size", info.size);
  }
  const std::string& owner = info.attributes.owner;
  write_account(xml, "Owner", call, owner.empty() ? bucket.owner : owner);
  if (!info.delete_marker) xml.element("StorageClass", "STANDARD");
  xml.close();
}

io::Task<Result<store::ListVersionsResult>> run_list(Call& call, const ListQuery& query) {
  if (query.max_keys == 0) co_return store::ListVersionsResult{};
  store::ListVersionsRequest request;
  request.bucket = query.bucket;
  request.prefix = query.prefix;
  request.delimiter = query.delimiter;
  request.key_marker = call.target.value("key-marker");
  request.version_marker = call.target.value("version-id-marker");
  request.max_keys = query.max_keys;
  auto result = co_await call.door.store.list_versions(std::move(request));
  co_return result;
}

}  // namespace

io::Task<Result<void>> list_object_versions(Call& call) {
  auto query = read_list_query(call.target, "max-keys");
  if (!query) co_return std::unexpected(std::move(query).error());
  const http::QueryParam* version = call.target.param("version-id-marker");
  if (version != nullptr) {
    if (version->value.empty()) co_return refuse("InvalidArgument", "A version-id marker cannot be empty.");
    if (call.target.value("key-marker").empty())
      co_return refuse("InvalidArgument", "A version-id marker cannot be specified without a key marker.");
    CO_RETURN_IF_ERROR(check_version_name(version->value));
  }
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto result = co_await run_list(call, *query);
  if (!result) co_return std::unexpected(std::move(result).error());
  XmlWriter xml("ListVersionsResult");
  xml.element("Name", query->bucket).element("Prefix", query->name(query->prefix));
  xml.element("KeyMarker", query->name(call.target.value("key-marker")))
      .element("VersionIdMarker", call.target.value("version-id-marker"));
  if (result->truncated) {
    xml.element("NextKeyMarker", query->name(result->next_key));
    // After a common prefix the listing goes on at its end, wherever its versions are.
    if (!result->next_version.empty()) xml.element("NextVersionIdMarker", result->next_version);
  }
  xml.element("MaxKeys", uint64_t{query->max_keys});
  if (!query->delimiter.empty()) xml.element("Delimiter", query->name(query->delimiter));
  if (query->url_encoding) xml.element("EncodingType", "url");
  xml.element("IsTruncated", result->truncated);
  for (const store::ListEntry& entry : result->entries) write_version(xml, call, *query, entry, *bucket);
  write_common_prefixes(xml, *query, result->common_prefixes);
  result->entries = {};  // a slow client holds the document only
  auto sent = co_await reply_xml(call, xml.take());
  co_return sent;
}

}  // namespace archipel::door::s3
