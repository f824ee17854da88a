#include "store/directory.h"

#include <algorithm>
#include <mutex>

#include "store/keys.h"

namespace archipel::store {
namespace {

Result<std::shared_ptr<const BucketConfigs>> read_configs(const index::Snapshot& snapshot,
                                                          std::string_view bucket) {
  const std::string from = configs_prefix(bucket);
  BucketConfigs configs;
  Result<void> outcome;
  RETURN_IF_ERROR(snapshot.scan(from, after_prefix(from),
                                [&](std::string_view key, std::string_view value, std::string*) {
                                  Result<std::string> document = decode_config(value);
                                  if (document)
                                    configs.emplace(key.substr(from.size()), std::move(*document));
                                  else
                                    outcome = fail(document.error());
                                  return outcome.has_value();
                                }));
  RETURN_IF_ERROR(outcome);
  if (configs.empty()) return std::shared_ptr<const BucketConfigs>();
  return std::make_shared<const BucketConfigs>(std::move(configs));
}

// `known` is what was there before; may be null.
Result<std::shared_ptr<const Bucket>> make_bucket(const index::Snapshot& snapshot, std::string_view name,
                                                  std::string_view bytes, const Bucket* known) {
  ASSIGN_OR_RETURN(BucketRecord record, decode_bucket(bytes));
  ASSIGN_OR_RETURN(std::optional<std::string> slot_bytes,
                   snapshot.get(kek_key(record.owner, kKekGeneration)));
  if (!slot_bytes) return fail(Code::corrupt, "the owner of a bucket has no key slot", "InternalError");
  ASSIGN_OR_RETURN(uint64_t slot, decode_count(*slot_bytes));
  if (slot >= crypto::kKekSlots)
    return fail(Code::corrupt, "the owner of a bucket has a key slot out of range", "InternalError");
  auto bucket = std::make_shared<Bucket>();
  bucket->info.name = name;
  bucket->info.owner = record.owner;
  bucket->info.created_ms = record.created_ms;
  bucket->info.versioning = record.versioning;
  bucket->info.object_lock = record.object_lock;
  bucket->info.quota = record.quota;
  ASSIGN_OR_RETURN(bucket->info.configs, read_configs(snapshot, name));
  // Who keeps what the documents mean by their pointer need not read the same ones again.
  if (known && known->info.configs && bucket->info.configs && *known->info.configs == *bucket->info.configs)
    bucket->info.configs = known->info.configs;
  bucket->kek_slot = static_cast<int>(slot);
  return std::shared_ptr<const Bucket>(std::move(bucket));
}

}  // namespace

Result<void> Directory::load() {
  std::lock_guard refreshing(refreshing_);
  std::shared_ptr<const index::Snapshot> snapshot = kv_.snapshot();
  ASSIGN_OR_RETURN(std::shared_ptr<const Identities> identities, read_identities(*snapshot));
  std::unordered_map<std::string, std::shared_ptr<const Bucket>> buckets;
  Result<void> outcome;
  RETURN_IF_ERROR(snapshot->scan(kBucketPrefix, after_prefix(std::string(kBucketPrefix)),
                                 [&](std::string_view key, std::string_view value, std::string*) {
                                   std::string name(key.substr(kBucketPrefix.size()));
                                   std::shared_ptr<const Bucket> before = this->bucket(name);
                                   auto bucket = make_bucket(*snapshot, name, value, before.get());
                                   if (bucket)
                                     buckets.emplace(name, std::move(*bucket));
                                   else
                                     outcome = fail(bucket.error());
                                   return outcome.has_value();
                                 }));
  RETURN_IF_ERROR(outcome);
  std::unique_lock lock(mutex_);
  identities_ = std::move(identities);
  buckets_ = std::move(buckets);
  return {};
}

Result<void> Directory::refresh_accounts() {
  std::lock_guard refreshing(refreshing_);
  ASSIGN_OR_RETURN(std::shared_ptr<const Identities> identities, read_identities(*kv_.snapshot()));
  std::unique_lock lock(mutex_);
  identities_ = std::move(identities);
  return {};
}

Result<void> Directory::refresh_bucket(const std::string& name) {
  std::lock_guard refreshing(refreshing_);
  std::shared_ptr<const index::Snapshot> snapshot = kv_.snapshot();
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, snapshot->get(bucket_key(name)));
  std::shared_ptr<const Bucket> entry;
  if (bytes) {
    std::shared_ptr<const Bucket> before = bucket(name);
    ASSIGN_OR_RETURN(entry, make_bucket(*snapshot, name, *bytes, before.get()));
  }
  std::unique_lock lock(mutex_);
  if (entry)
    buckets_[name] = std::move(entry);
  else
    buckets_.erase(name);
  return {};
}

std::shared_ptr<const Bucket> Directory::bucket(const std::string& name) const {
  std::shared_lock lock(mutex_);
  auto found = buckets_.find(name);
  return found == buckets_.end() ? nullptr : found->second;
}

}  // namespace archipel::store
