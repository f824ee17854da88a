#include "store/keys.h"

#include "base/bytes.h"

namespace archipel::store {
namespace {

std::string joined(std::string_view prefix, std::string_view rest) {
  std::string out;
  out.reserve(prefix.size() + rest.size() + 8);
  out.append(prefix).append(rest);
  return out;
}

std::string two_names(std::string_view prefix, std::string_view bucket, std::string_view key) {
  std::string out;
  out.reserve(prefix.size() + bucket.size() + key.size() + 2 + sizeof(uint64_t));
  out.append(prefix).append(bucket).push_back('\0');
  out.append(key).push_back('\0');
  return out;
}

}  // namespace

std::string account_key(std::string_view access_key) {
  return joined(kAccountPrefix, access_key);
}

std::string bucket_key(std::string_view bucket) {
  return joined(kBucketPrefix, bucket);
}

std::string kek_key(std::string_view tenant, uint32_t generation) {
  std::string out = joined(kKekPrefix, tenant);
  Writer(out).u8('/').u32(generation);
  return out;
}

std::string owner_prefix(std::string_view owner) {
  std::string out = joined(kOwnerPrefix, owner);
  out.push_back('\0');
  return out;
}

std::string owner_key(std::string_view owner, std::string_view bucket) {
  return owner_prefix(owner).append(bucket);
}

std::string reference_key(const crypto::DataId& data_id) {
  return joined(kReferencePrefix, as_text(data_id));
}

std::string objects_prefix(std::string_view bucket) {
  std::string out = joined(kObjectPrefix, bucket);
  out.push_back('\0');
  return out;
}

std::string object_key(std::string_view bucket, std::string_view key) {
  return two_names(kObjectPrefix, bucket, key);
}

std::optional<std::string_view> object_key_of(std::string_view view_key, size_t prefix_bytes) {
  if (view_key.size() < prefix_bytes + 2 || view_key.back() != '\0') return std::nullopt;
  return view_key.substr(prefix_bytes, view_key.size() - prefix_bytes - 1);
}

std::string after_object(std::string_view bucket, std::string_view key) {
  std::string out = object_key(bucket, key);
  out.back() = '\x01';
  return out;
}

std::string versions_prefix(std::string_view bucket) {
  std::string out = joined(kVersionPrefix, bucket);
  out.push_back('\0');
  return out;
}

std::string versions_of(std::string_view bucket, std::string_view key) {
  return two_names(kVersionPrefix, bucket, key);
}

std::string version_key(std::string_view bucket, std::string_view key, uint64_t order) {
  std::string out = versions_of(bucket, key);
  Writer(out).u64(~order);
  return out;
}

std::optional<VersionPlace> version_place_of(std::string_view view_key, size_t prefix_bytes) {
  // The last nine bytes are a NUL and the order; the key before them holds no NUL.
  if (view_key.size() < prefix_bytes + 2 + sizeof(uint64_t)) return std::nullopt;
  const size_t end = view_key.size() - sizeof(uint64_t) - 1;
  std::string_view key = view_key.substr(prefix_bytes, end - prefix_bytes);
  if (view_key[end] != '\0' || key.find('\0') != std::string_view::npos) return std::nullopt;
  return VersionPlace{key, ~Reader(view_key.substr(end + 1)).u64()};
}

std::string null_key(std::string_view bucket, std::string_view key) {
  return two_names(kNullPrefix, bucket, key);
}

std::string configs_prefix(std::string_view bucket) {
  std::string out = joined(kConfigPrefix, bucket);
  out.push_back('\0');
  return out;
}

std::string config_key(std::string_view bucket, std::string_view name) {
  return configs_prefix(bucket).append(name);
}

std::string bucket_usage_key(std::string_view bucket) {
  return joined(kUsagePrefix, "b/").append(bucket);
}

std::string owner_usage_key(std::string_view owner) {
  return joined(kUsagePrefix, "a/").append(owner);
}

std::string after_prefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<uint8_t>(prefix.back()) + 1);
  return prefix;
}

}  // namespace archipel::store
