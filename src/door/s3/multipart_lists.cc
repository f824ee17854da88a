// ListParts and ListMultipartUploads.
#include "door/s3/errors.h"
#include "door/s3/list_query.h"
#include "door/s3/object_headers.h"
#include "door/s3/object_reads.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

void write_upload_kind(XmlWriter& xml, const store::UploadInfo& upload) {
  if (upload.checksum == ChecksumKind::none) return;
  xml.element("ChecksumAlgorithm", checksum_algorithm(upload.checksum))
      .element("ChecksumType", upload.composite ? "COMPOSITE" : "FULL_OBJECT");
}

std::string_view owner_of(const store::UploadInfo& upload, const store::BucketInfo& bucket) {
  return upload.owner.empty() ? std::string_view(bucket.owner) : std::string_view(upload.owner);
}

std::string parts_document(const Call& call, const store::BucketInfo& bucket,
                           const store::ListPartsResult& page, size_t marker, size_t max_parts) {
  const store::UploadInfo& upload = page.upload;
  XmlWriter xml("ListPartsResult");
  xml.element("Bucket", call.target.bucket).element("Key", call.target.key).element("UploadId", upload.id);
  write_account(xml, "Initiator", call, upload.initiator);
  write_account(xml, "Owner", call, owner_of(upload, bucket));
  xml.element("StorageClass", "STANDARD").element("PartNumberMarker", uint64_t{marker});
  if (!page.parts.empty()) xml.element("NextPartNumberMarker", uint64_t{page.parts.back().number});
  xml.element("MaxParts", uint64_t{max_parts}).element("IsTruncated", page.truncated);
  write_upload_kind(xml, upload);
  for (const store::PartInfo& part : page.parts) {
    xml.open("Part").element("PartNumber", uint64_t{part.number});
    xml.element("LastModified", http::format_iso_extended(part.modified_ms))
        .element("ETag", quoted(part.etag))
        .element("Size", part.size);
    write_checksum_value(xml, part.checksum, 0);
    xml.close();
  }
  return xml.take();
}

}  // namespace

io::Task<Result<void>> list_parts(Call& call) {
  const Target& target = call.target;
  CO_ASSIGN_OR_RETURN(size_t asked, read_number(target.param("max-parts"), "max-parts", kListKeysMax));
  CO_ASSIGN_OR_RETURN(size_t marker,
                      read_number(target.param("part-number-marker"), "part-number-marker", 0));
  size_t max_parts = std::min(asked, kListKeysMax);
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto after = static_cast<uint32_t>(std::min<size_t>(marker, store::kPartNumberMax));
  // A page of no parts still says whose upload it is.
  auto page =
      co_await call.door.store.list_parts(target.bucket, target.key, std::string(target.value("uploadId")),
                                          after, std::max<size_t>(max_parts, 1));
  if (!page) co_return std::unexpected(std::move(page).error());
  if (max_parts == 0) {
    page->parts.clear();
    page->truncated = false;
  }
  auto sent = co_await reply_xml(call, parts_document(call, *bucket, *page, marker, max_parts));
  co_return sent;
}

static io::Task<Result<store::ListUploadsResult>> run_list(Call& call, const ListQuery& query) {
  if (query.max_keys == 0) co_return store::ListUploadsResult{};
  store::ListUploadsRequest request;
  request.bucket = query.bucket;
  request.prefix = query.prefix;
  request.delimiter = query.delimiter;
  request.key_marker = call.target.value("key-marker");
  // Without a key it says nothing, and S3 ignores it.
  if (!request.key_marker.empty()) request.upload_marker = call.target.value("upload-id-marker");
  request.max_uploads = query.max_keys;
  auto result = co_await call.door.store.list_uploads(std::move(request));
  co_return result;
}

io::Task<Result<void>> list_multipart_uploads(Call& call) {
  auto query = read_list_query(call.target, "max-uploads");
  if (!query) co_return std::unexpected(std::move(query).error());
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto page = co_await run_list(call, *query);
  if (!page) co_return std::unexpected(std::move(page).error());
  XmlWriter xml("ListMultipartUploadsResult");
  xml.element("Bucket", query->bucket).element("KeyMarker", query->name(call.target.value("key-marker")));
  xml.element("UploadIdMarker", call.target.value("upload-id-marker"));
  if (page->truncated)
    xml.element("NextKeyMarker", query->name(page->next_key))
        .element("NextUploadIdMarker", page->next_upload);
  if (!query->delimiter.empty()) xml.element("Delimiter", query->name(query->delimiter));
  xml.element("Prefix", query->name(query->prefix)).element("MaxUploads", uint64_t{query->max_keys});
  if (query->url_encoding) xml.element("EncodingType", "url");
  xml.element("IsTruncated", page->truncated);
  for (const store::UploadInfo& upload : page->uploads) {
    xml.open("Upload").element("Key", query->name(upload.key)).element("UploadId", upload.id);
    write_account(xml, "Initiator", call, upload.initiator);
    write_account(xml, "Owner", call, owner_of(upload, *bucket));
    xml.element("StorageClass", "STANDARD")
        .element("Initiated", http::format_iso_extended(upload.initiated_ms));
    write_upload_kind(xml, upload);
    xml.close();
  }
  write_common_prefixes(xml, *query, page->common_prefixes);
  auto sent = co_await reply_xml(call, xml.take());
  co_return sent;
}

}  // namespace archipel::door::s3
