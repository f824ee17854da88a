#include "door/s3/object_headers.h"

#include <algorithm>
#include <charconv>

#include "door/s3/checksums.h"
#include "door/s3/errors.h"
#include "door/s3/lock_headers.h"
#include "http/date.h"
#include "http/h1_parser.h"

namespace archipel::door::s3 {

static std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// "a", W/"b", c: quotes are optional, as S3 takes them. A comma inside quotes cannot occur: our ETags are hexadecimal.
static std::vector<std::string> parse_etags(std::string_view text, bool weak_matches) {
  std::vector<std::string> out;
  while (true) {
    size_t comma = text.find(',');
    std::string_view tag = http::trim_blanks(text.substr(0, comma));
    bool weak = tag.starts_with("W/");
    if (weak && weak_matches) tag.remove_prefix(2);
    if (!(weak && !weak_matches) && tag.size() >= 2 && tag.front() == '"' && tag.back() == '"')
      tag = tag.substr(1, tag.size() - 2);
    if (!tag.empty()) out.emplace_back(tag);
    if (comma == std::string_view::npos) return out;
    text.remove_prefix(comma + 1);
  }
}

store::Conditions read_conditions(const http::Headers& headers, std::string_view prefix, UnixMs now) {
  std::string p(prefix);
  store::Conditions out;
  if (const std::string* v = headers.find(p + "if-match")) {
    out.if_match = parse_etags(*v, false);
    if (out.if_match.empty())
      out.if_match.emplace_back();  // an empty list matches nothing; absent would match all
  }
  if (const std::string* v = headers.find(p + "if-none-match")) out.if_none_match = parse_etags(*v, true);
  if (const std::string* v = headers.find(p + "if-modified-since"))
    out.if_modified_since_ms = http::parse_http_date(*v, now);
  if (const std::string* v = headers.find(p + "if-unmodified-since"))
    out.if_unmodified_since_ms = http::parse_http_date(*v, now);
  return out;
}

Result<store::Conditions> read_put_conditions(const http::Headers& headers, UnixMs now) {
  for (std::string_view name : {"if-modified-since", "if-unmodified-since"})
    if (headers.find(name) != nullptr)
      return refuse("NotImplemented", "A PUT takes If-Match or If-None-Match, no dates.");
  if (headers.find("if-none-match") != nullptr && headers.find("if-match") != nullptr)
    return refuse("NotImplemented", "A PUT takes If-Match or If-None-Match, not both.");
  return read_conditions(headers, "", now);
}

Result<void> check_put_conditions(const store::Conditions& conditions, const store::ObjectInfo* current) {
  auto is_current = [&](const std::string& tag) {
    return current != nullptr && (tag == "*" || tag == current->etag);
  };
  if (std::ranges::any_of(conditions.if_none_match, is_current)) return refuse("PreconditionFailed");
  if (conditions.if_match.empty()) return {};
  if (current == nullptr) return refuse("NoSuchKey");
  if (std::ranges::none_of(conditions.if_match, is_current)) return refuse("PreconditionFailed");
  return {};
}

// Decimal digits only; numbers past 64 bits saturate, which is past every object's end.
std::optional<uint64_t> parse_decimal(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? value : UINT64_MAX;
}

std::optional<store::Store::Range> parse_range(std::string_view header) {
  header = http::trim_blanks(header);
  if (lower(header.substr(0, 6)) != "bytes=") return std::nullopt;
  std::string_view spec = http::trim_blanks(header.substr(6));
  size_t dash = spec.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  std::string_view first = http::trim_blanks(spec.substr(0, dash)),
                   last = http::trim_blanks(spec.substr(dash + 1));
  store::Store::Range range;
  if (!first.empty()) {
    range.first = parse_decimal(first);
    if (!range.first) return std::nullopt;
  }
  if (!last.empty()) {
    range.last = parse_decimal(last);
    if (!range.last) return std::nullopt;
  }
  if (!range.first && !range.last) return std::nullopt;
  if (range.first && range.last && *range.first > *range.last) return std::nullopt;
  return range;
}

Result<std::pair<uint64_t, uint64_t>> resolve_range(const store::Store::Range& range, uint64_t size) {
  if (!range.first) {
    uint64_t length = std::min(*range.last, size);
    if (length == 0) return refuse("InvalidRange");
    return std::pair{size - length, length};
  }
  if (*range.first >= size) return refuse("InvalidRange");
  uint64_t last = range.last ? std::min(*range.last, size - 1) : size - 1;
  return std::pair{*range.first, last - *range.first + 1};
}

Result<void> check_version_name(std::string_view version) {
  bool ours = version.size() == 32 && version.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (!ours && version != "null") return refuse("InvalidArgument", "Invalid version id specified");
  return {};
}

Result<store::VersionName> read_version(const Target& target) {
  const http::QueryParam* parameter = target.param("versionId");
  if (parameter == nullptr) return store::VersionName();
  if (parameter->value.empty()) return refuse("InvalidArgument", "Version id cannot be the empty string");
  RETURN_IF_ERROR(check_version_name(parameter->value));
  return store::VersionName(parameter->value);
}

Result<store::HeadRequest> attributes_of(const Target& target) {
  store::HeadRequest what;
  what.bucket = target.bucket;
  what.key = target.key;
  what.attributes_only = true;
  ASSIGN_OR_RETURN(what.version, read_version(target));
  return what;
}

Result<store::AttributeChange> change_of(const Target& target) {
  store::AttributeChange change;
  change.bucket = target.bucket;
  change.key = target.key;
  ASSIGN_OR_RETURN(change.version, read_version(target));
  return change;
}

void add_written_version(const store::BucketInfo& bucket, std::string_view version, http::Headers& out) {
  if (bucket.versioning == store::Versioning::enabled) add_version(bucket, version, out);
}

void add_version(const store::BucketInfo& bucket, std::string_view version, http::Headers& out) {
  if (bucket.versioning != store::Versioning::never && !version.empty())
    out.add("x-amz-version-id", std::string(version));
}

Result<bool> read_flag(const http::Headers& headers, std::string_view name) {
  const std::string* value = headers.find(name);
  if (value == nullptr) return false;
  std::string text = lower(*value);
  if (text != "true" && text != "false")
    return refuse("InvalidArgument", std::string(name) + " must be true or false.");
  return text == "true";
}

// Content-Encoding without aws-chunked, which describes the request and not the object.
static std::string strip_aws_chunked(std::string_view value) {
  std::string out;
  while (true) {
    size_t comma = value.find(',');
    std::string_view coding = http::trim_blanks(value.substr(0, comma));
    if (!coding.empty() && lower(coding) != "aws-chunked") {
      if (!out.empty()) out += ", ";
      out += coding;
    }
    if (comma == std::string_view::npos) return out;
    value.remove_prefix(comma + 1);
  }
}

Result<ObjectHeaders> read_object_headers(const http::Headers& headers) {
  static constexpr std::string_view kKept[] = {"cache-control",    "content-disposition", "content-encoding",
                                               "content-language", "content-type",        "expires"};
  static constexpr std::string_view kPrefix = "x-amz-meta-";
  ObjectHeaders out;
  size_t metadata_bytes = 0;
  for (const auto& [name, value] : headers) {
    if (std::ranges::find(kKept, name) != std::end(kKept)) {
      std::string kept = name == "content-encoding" ? strip_aws_chunked(value) : value;
      if (!kept.empty()) out.headers.emplace(name, std::move(kept));
      continue;
    }
    if (!name.starts_with(kPrefix)) continue;
    std::string key = name.substr(kPrefix.size());
    if (key.empty()) return refuse("InvalidArgument", "A metadata header has no name after x-amz-meta-.");
    auto [it, inserted] = out.metadata.emplace(std::move(key), value);
    metadata_bytes += value.size() + (inserted ? it->first.size() : 1);
    if (!inserted) it->second += ',' + value;
  }
  if (metadata_bytes > store::kUserMetadataBytesMax) return refuse("MetadataTooLarge");
  return out;
}

std::string quoted(std::string_view etag) {
  return '"' + std::string(etag) + '"';
}

void add_checksum(const store::Checksum& checksum, uint32_t parts, http::Headers& out) {
  if (checksum.kind == ChecksumKind::none) return;
  out.add(std::string(checksum_header(checksum.kind)), checksum_text(checksum, parts));
  out.add("x-amz-checksum-type", std::string(checksum_type(checksum)));
}

void describe_object(const store::ObjectInfo& info, bool with_checksum, http::Headers& out) {
  out.add("etag", quoted(info.etag));
  out.add("last-modified", http::format_http_date(info.modified_ms));
  out.add("accept-ranges", "bytes");
  if (!info.headers.contains("content-type")) out.add("content-type", "binary/octet-stream");
  for (const auto& [name, value] : info.headers) out.add(name, value);
  for (const auto& [name, value] : info.metadata) out.add("x-amz-meta-" + name, value);
  if (!info.attributes.tags.empty())
    out.add("x-amz-tagging-count", std::to_string(info.attributes.tags.size()));
  add_lock(info.attributes, out);
  if (with_checksum) add_checksum(info.checksum, info.parts, out);
}

}  // namespace archipel::door::s3
