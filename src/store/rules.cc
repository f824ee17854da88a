#include "store/rules.h"

#include <algorithm>

namespace archipel::store {
namespace {

std::unexpected<Error> bad_bucket_name(std::string_view why) {
  return fail(Code::invalid, "a bucket name " + std::string(why), "InvalidBucketName");
}

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// Four groups of 1..3 digits: looks like an IPv4 address, whatever the groups' values.
bool looks_like_ip(std::string_view name) {
  int groups = 1;
  size_t digits = 0;
  for (char c : name) {
    if (c == '.') {
      if (digits == 0) return false;
      ++groups;
      digits = 0;
    } else if (c >= '0' && c <= '9') {
      if (++digits > 3) return false;
    } else {
      return false;
    }
  }
  return groups == 4 && digits > 0;
}

// RFC 3629: shortest forms only, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    auto byte = [&](size_t at) { return at < text.size() ? static_cast<uint8_t>(text[at]) : uint8_t{0}; };
    uint8_t lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    size_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                    : (lead & 0xf0) == 0xe0        ? 3
                    : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                   : 0;
    if (length == 0) return false;
    for (size_t j = 1; j < length; ++j)
      if ((byte(i + j) & 0xc0) != 0x80) return false;
    uint8_t second = byte(i + 1);
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f)) return false;
    if ((lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) return false;
    i += length;
  }
  return true;
}

size_t total_bytes(const std::map<std::string, std::string>& map) {
  size_t total = 0;
  for (const auto& [name, value] : map) total += name.size() + value.size();
  return total;
}

bool matches(const std::vector<std::string>& etags, const ObjectInfo& info) {
  return std::any_of(etags.begin(), etags.end(),
                     [&](const std::string& etag) { return etag == "*" || etag == info.etag; });
}

// Later than `since`, by whole seconds.
bool modified_since(const ObjectInfo& info, UnixMs since) {
  return info.modified_ms / 1000 > since / 1000;
}

std::unexpected<Error> precondition_failed(std::string_view which) {
  return fail(Code::precondition, "the condition " + std::string(which) + " does not hold",
              "PreconditionFailed");
}

}  // namespace

std::unexpected<Error> no_such_bucket() {
  return fail(Code::not_found, "the bucket does not exist", "NoSuchBucket");
}

std::unexpected<Error> no_such_key() {
  return fail(Code::not_found, "the object does not exist", "NoSuchKey");
}

std::unexpected<Error> no_such_version() {
  return fail(Code::not_found, "the object has no version of this id", "NoSuchVersion");
}

Error with_s3_code(Error error) {
  if (!error.detail.empty()) return error;
  switch (error.code) {
    case Code::unavailable:
    case Code::undetermined:
    case Code::timeout:
      error.detail = "ServiceUnavailable";
      break;
    case Code::throttled:
    case Code::limit:
      error.detail = "SlowDown";
      break;
    case Code::invalid:
    case Code::unsupported:
      error.detail = "InvalidRequest";
      break;
    default:
      error.detail = "InternalError";
      break;
  }
  return error;
}

Result<void> check_bucket_name(std::string_view name) {
  if (name.size() < 3 || name.size() > 63) return bad_bucket_name("has 3 to 63 characters");
  for (char c : name)
    if (!is_lower_or_digit(c) && c != '.' && c != '-')
      return bad_bucket_name("holds only lower-case letters, digits, dots and hyphens");
  if (!is_lower_or_digit(name.front()) || !is_lower_or_digit(name.back()))
    return bad_bucket_name("begins and ends with a letter or digit");
  if (name.find("..") != std::string_view::npos) return bad_bucket_name("holds no two dots in a row");
  if (looks_like_ip(name)) return bad_bucket_name("is not an IP address");
  for (std::string_view prefix : {"xn--", "sthree-"})
    if (name.starts_with(prefix)) return bad_bucket_name("does not begin with " + std::string(prefix));
  for (std::string_view suffix : {"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"})
    if (name.ends_with(suffix)) return bad_bucket_name("does not end in " + std::string(suffix));
  return {};
}

Result<void> check_object_key(std::string_view key) {
  if (key.empty()) return fail(Code::invalid, "an object key is not empty", "InvalidRequest");
  if (key.size() > kKeyBytesMax)
    return fail(Code::invalid, "an object key has at most 1,024 bytes", "KeyTooLongError");
  if (key.find('\0') != std::string_view::npos)
    return fail(Code::invalid, "an object key holds no NUL", "InvalidRequest");
  if (!is_utf8(key)) return fail(Code::invalid, "an object key is valid UTF-8", "InvalidRequest");
  return {};
}

Result<void> check_metadata(const std::map<std::string, std::string>& headers,
                            const std::map<std::string, std::string>& metadata) {
  if (total_bytes(metadata) > kUserMetadataBytesMax)
    return fail(Code::limit, "user metadata have at most 2,048 bytes, names and values together",
                "MetadataTooLarge");
  if (total_bytes(headers) > kSystemHeaderBytesMax)
    return fail(Code::limit, "the headers kept with an object have at most 8,192 bytes together",
                "MetadataTooLarge");
  return {};
}

Result<void> check_read_conditions(const Conditions& conditions, const ObjectInfo& info) {
  if (!conditions.if_match.empty()) {
    if (!matches(conditions.if_match, info)) return precondition_failed("If-Match");
  } else if (conditions.if_unmodified_since_ms && modified_since(info, *conditions.if_unmodified_since_ms)) {
    return precondition_failed("If-Unmodified-Since");
  }
  bool unchanged = false;
  if (!conditions.if_none_match.empty())
    unchanged = matches(conditions.if_none_match, info);
  else if (conditions.if_modified_since_ms)
    unchanged = !modified_since(info, *conditions.if_modified_since_ms);
  if (unchanged) return fail(Code::precondition, "the object has not changed", "NotModified");
  return {};
}

Result<void> check_copy_conditions(const Conditions& conditions, const ObjectInfo& info) {
  Result<void> result = check_read_conditions(conditions, info);
  if (!result) result.error().detail = "PreconditionFailed";
  return result;
}

Result<void> check_write_conditions(const Conditions& conditions, const ObjectInfo* current) {
  if (!current) {
    if (!conditions.if_match.empty()) return no_such_key();
    return {};
  }
  return check_copy_conditions(conditions, *current);
}

Result<void> check_attributes(const Attributes& attributes) {
  if (attributes.tags.size() > kTagsMax || total_bytes(attributes.tags) > kTagBytesMax)
    return fail(Code::limit, "an object has too many tags", "InvalidRequest");
  if (attributes.acl.size() > kObjectAclBytesMax)
    return fail(Code::limit, "the access control list of an object has at most 64 KiB", "InvalidRequest");
  if (attributes.owner.size() > kOwnerBytesMax)
    return fail(Code::invalid, "an object's owner is an account id", "InvalidRequest");
  return {};
}

Result<void> check_unlocked(const Attributes& attributes, UnixMs now_ms, bool bypass_governance) {
  if (attributes.legal_hold) return fail(Code::denied, "the version is under a legal hold", "AccessDenied");
  const Retention& retention = attributes.retention;
  if (retention.mode == Retention::Mode::none || retention.until_ms <= now_ms) return {};
  if (retention.mode == Retention::Mode::governance && bypass_governance) return {};
  return fail(Code::denied, "the version is retained until a time that has not come", "AccessDenied");
}

Result<void> check_retention_change(const Retention& before, const Retention& after, UnixMs now_ms,
                                    bool bypass_governance) {
  if (before.mode == Retention::Mode::none || before.until_ms <= now_ms) return {};
  if (before.mode == Retention::Mode::governance && bypass_governance) return {};
  if (after.mode == before.mode && after.until_ms >= before.until_ms) return {};
  return fail(Code::denied, "a retention that still runs may only be lengthened", "AccessDenied");
}

Result<void> check_lockable(const Attributes& attributes, bool bucket_has_lock) {
  if (bucket_has_lock || (attributes.retention.mode == Retention::Mode::none && !attributes.legal_hold))
    return {};
  return fail(Code::invalid, "the bucket has no object lock configuration", "InvalidRequest");
}

Result<ByteRange> resolve_range(const std::optional<Store::Range>& range, uint64_t size) {
  if (!range) return ByteRange{0, size};
  auto unsatisfiable = [&] {
    return fail(Code::invalid, "the range holds no byte of an object of " + std::to_string(size) + " bytes",
                "InvalidRange");
  };
  if (size == 0) return unsatisfiable();
  if (!range->first) {
    uint64_t suffix = std::min(range->last.value_or(0), size);
    if (suffix == 0) return unsatisfiable();
    return ByteRange{size - suffix, suffix};
  }
  uint64_t first = *range->first;
  uint64_t last = std::min(range->last.value_or(size - 1), size - 1);
  if (first >= size || (range->last && *range->last < first)) return unsatisfiable();
  return ByteRange{first, last - first + 1};
}

}  // namespace archipel::store
