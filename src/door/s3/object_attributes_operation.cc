// GetObjectAttributes: what HEAD says and more, as a document, and only what was asked for.
#include <algorithm>

#include "door/s3/errors.h"
#include "door/s3/object_reads.h"
#include "door/s3/xml.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

constexpr uint64_t kPartsMax = 1000;  // of one answer (S3 limit)

struct Wanted {
  bool etag = false, checksum = false, parts = false, storage_class = false, size = false;
  uint64_t max_parts = kPartsMax;
  uint64_t marker = 0;
};

Result<uint64_t> read_header_number(const http::Headers& headers, std::string_view name,
                                    uint64_t when_absent) {
  const std::string* text = headers.find(name);
  if (text == nullptr) return when_absent;
  auto number = parse_decimal(*text);
  if (!number || *number > INT32_MAX)
    return refuse("InvalidArgument", std::string(name) + " must be an integer between 0 and 2147483647.");
  return *number;
}

Result<void> want(std::string_view name, Wanted& out) {
  if (name == "ETag") {
    out.etag = true;
  } else if (name == "Checksum") {
    out.checksum = true;
  } else if (name == "ObjectParts") {
    out.parts = true;
  } else if (name == "StorageClass") {
    out.storage_class = true;
  } else if (name == "ObjectSize") {
    out.size = true;
  } else {
    return refuse("InvalidArgument", "Invalid attribute name specified.");
  }
  return {};
}

Result<Wanted> read_wanted(const http::Headers& headers) {
  Wanted out;
  bool any = false;
  for (const auto& [name, value] : headers) {
    if (name != "x-amz-object-attributes") continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      size_t comma = std::min(rest.find(','), rest.size());
      std::string_view word = rest.substr(0, comma);
      while (word.starts_with(' ')) word.remove_prefix(1);
      while (word.ends_with(' ')) word.remove_suffix(1);
      RETURN_IF_ERROR(want(word, out));
      any = true;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  if (!any)
    return refuse(
        "InvalidArgument",
        "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing "
        "or empty");
  ASSIGN_OR_RETURN(out.max_parts, read_header_number(headers, "x-amz-max-parts", kPartsMax));
  out.max_parts = std::min(out.max_parts, kPartsMax);
  ASSIGN_OR_RETURN(out.marker, read_header_number(headers, "x-amz-part-number-marker", 0));
  return out;
}

void write_parts(XmlWriter& xml, const Wanted& wanted, const store::ObjectParts& page) {
  xml.open("ObjectParts").element("IsTruncated", page.truncated).element("MaxParts", wanted.max_parts);
  xml.element("PartNumberMarker", wanted.marker);
  if (!page.parts.empty()) xml.element("NextPartNumberMarker", uint64_t{page.parts.back().number});
  xml.element("PartsCount", uint64_t{page.total});
  for (const store::PartInfo& part : page.parts) {
    xml.open("Part");
    write_checksum_value(xml, part.checksum, 0);
    xml.element("PartNumber", uint64_t{part.number}).element("Size", part.size).close();
  }
  xml.close();
}

io::Task<Result<store::ObjectParts>> read_parts(Call& call, store::HeadRequest what, const Wanted& wanted) {
  auto after = static_cast<uint32_t>(std::min<uint64_t>(wanted.marker, store::kPartNumberMax));
  auto page = co_await call.door.store.object_parts(
      std::move(what), after, std::max<size_t>(static_cast<size_t>(wanted.max_parts), 1));
  if (page && wanted.max_parts == 0) page->parts.clear();
  co_return page;
}

}  // namespace

io::Task<Result<void>> get_object_attributes(Call& call) {
  CO_ASSIGN_OR_RETURN(Wanted wanted, read_wanted(call.request.headers));
  CO_ASSIGN_OR_RETURN(store::HeadRequest what, read_head_request(call));
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto info = co_await call.door.store.head(what);
  if (!info) {
    auto refused = co_await refuse_read(call, std::move(*bucket), std::move(what), std::move(info).error());
    co_return refused;
  }
  CO_RETURN_IF_ERROR(confirm_read(call, *info));
  XmlWriter xml("GetObjectAttributesResponse");
  if (wanted.etag) xml.element("ETag", info->etag);
  if (wanted.checksum && info->checksum.kind != ChecksumKind::none) {
    xml.open("Checksum");
    write_checksum(xml, info->checksum, info->parts);
    xml.close();
  }
  if (wanted.parts && info->parts > 0) {
    what.version = info->version;
    what.conditions = {};
    auto page = co_await read_parts(call, std::move(what), wanted);
    if (!page) co_return std::unexpected(std::move(page).error());
    write_parts(xml, wanted, *page);
  }
  if (wanted.storage_class) xml.element("StorageClass", "STANDARD");
  if (wanted.size) xml.element("ObjectSize", info->size);
  http::Response response = make_response(call, 200);
  response.headers.add("content-type", "application/xml");
  response.headers.add("last-modified", http::format_http_date(info->modified_ms));
  add_version(*bucket, info->version, response.headers);
  auto sent = co_await reply(call, std::move(response), xml.take());
  co_return sent;
}

}  // namespace archipel::door::s3
