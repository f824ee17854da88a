// Buckets: created, configured, deleted when empty, listed by owner; what they keep and may keep. A bucket never changes hands, so its owner is the tenant of its keys.
#include <algorithm>
#include <ranges>

#include "store/env.h"
#include "store/inventory.h"
#include "store/keys.h"
#include "store/part_sets.h"
#include "store/staged_view.h"
#include "store/usage.h"
#include "store/wrap.h"

namespace archipel::store {
namespace {

// What a configuration document may be called; what is in it is the door's.
constexpr std::string_view kConfigNames[] = {
    "acl",       "cors",   "encryption",    "lifecycle",       "logging", "object-lock", "ownership",
    "placement", "policy", "public-access", "request-payment", "tagging", "website"};

Result<void> check_config(const std::string& name, const std::string& document) {
  if (std::ranges::find(kConfigNames, name) == std::end(kConfigNames))
    return fail(Code::invalid, "a bucket has no configuration of this name", "InvalidRequest");
  if (document.size() > kBucketConfigBytesMax)
    return fail(Code::limit, "a configuration document has at most 256 KiB", "EntityTooLarge");
  return {};
}

// Unknown names are said with those that are known: a bucket is made, or placed, by a person.
Result<void> check_placement(Env& env, const BucketPlacement& asked) {
  RETURN_IF_ERROR(check_bucket_placement(asked));
  const std::shared_ptr<const Placements> known = env.placements.get();
  auto refused = [](std::string_view what, const std::string& name, const auto& names) {
    std::string all;
    for (const std::string& one : names) all += (all.empty() ? "" : ", ") + one;
    return fail(Code::denied,
                "there is no " + std::string(what) + " \"" + name + "\" at this gateway; there are " + all,
                "PlacementRefused");
  };
  if (!asked.policy.empty() && !known->find(asked.policy))
    return refused("placement policy", asked.policy, known->policies());
  if (!asked.data_class.empty() && !known->data_classes().contains(asked.data_class))
    return refused("data class", asked.data_class, std::views::keys(known->data_classes()));
  Result<const PlacementClass*> found = known->resolve(asked);
  if (!found) return fail(found.error());
  return {};
}

// The document, or its removal if it asks for nothing.
index::Mutation placement_mutation(const std::string& bucket, const BucketPlacement& asked) {
  index::Mutation out{config_key(bucket, kPlacementDocument), std::nullopt};
  if (asked != BucketPlacement()) out.value = encode_config(encode(asked));
  return out;
}

Result<size_t> count_buckets(const index::View& view, const std::string& owner) {
  std::string from = owner_prefix(owner);
  size_t count = 0;
  RETURN_IF_ERROR(view.scan(from, after_prefix(from), [&](std::string_view, std::string_view) {
    return ++count < kBucketsPerOwnerMax;
  }));
  return count;
}

Result<void> build_create(const CreateBucket& request, const BucketRecord& record, const index::View& view,
                          std::vector<index::Mutation>& out) {
  std::string key = bucket_key(request.name);
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(key));
  if (bytes) {
    ASSIGN_OR_RETURN(BucketRecord known, decode_bucket(*bytes));
    if (known.owner == record.owner)
      return fail(Code::exists, "you own a bucket of this name already", "BucketAlreadyOwnedByYou");
    return fail(Code::exists, "another account has a bucket of this name; choose another",
                "BucketAlreadyExists");
  }
  ASSIGN_OR_RETURN(size_t owned, count_buckets(view, record.owner));
  if (owned >= kBucketsPerOwnerMax)
    return fail(Code::limit, "an account has at most 1,000 buckets", "TooManyBuckets");
  RETURN_IF_ERROR(ensure_kek_slot(view, record.owner, out));
  out.push_back({std::move(key), encode(record)});
  out.push_back({owner_key(record.owner, request.name), std::string()});
  for (const auto& [name, document] : request.configs)
    out.push_back({config_key(request.name, name), encode_config(document)});
  if (const BucketPlacement asked{request.policy, request.data_class}; asked != BucketPlacement())
    out.push_back(placement_mutation(request.name, asked));
  out.push_back({bucket_usage_key(request.name), encode(UsageRecord{{}, {}, Tallies()})});
  RETURN_IF_ERROR(begin_extent_tallies(view, out));
  // An account whose buckets have all been counted from their beginning is counted too.
  ASSIGN_OR_RETURN(std::optional<UsageRecord> account, read_usage(view, owner_usage_key(record.owner)));
  if (!account && owned == 0) out.push_back({owner_usage_key(record.owner), encode(UsageRecord())});
  return {};
}

Result<bool> any_under(const index::View& view, const std::string& prefix) {
  bool any = false;
  RETURN_IF_ERROR(view.scan(prefix, after_prefix(prefix), [&](std::string_view, std::string_view) {
    any = true;
    return false;
  }));
  return any;
}

// What is left of a bucket's usage are parts of uploads that go with it.
Result<void> end_usage(const std::string& name, const std::string& owner, const index::View& view,
                       std::vector<index::Mutation>& out) {
  ASSIGN_OR_RETURN(std::optional<UsageRecord> usage, read_usage(view, bucket_usage_key(name)));
  Usage left;
  if (usage) {
    left = usage->used;
  } else {
    ASSIGN_OR_RETURN(left, count_usage(view, name));
  }
  UsageChange change(view, {}, owner, {});
  change.drop(left.bytes, left.versions);
  RETURN_IF_ERROR(change.finish(out));
  if (usage) out.push_back({bucket_usage_key(name), std::nullopt});
  return {};
}

Result<void> build_delete(const std::string& name, const index::View& view,
                          std::vector<index::Mutation>& out) {
  std::string key = bucket_key(name);
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(key));
  if (!bytes) return no_such_bucket();
  ASSIGN_OR_RETURN(BucketRecord record, decode_bucket(*bytes));
  ASSIGN_OR_RETURN(bool objects, any_under(view, objects_prefix(name)));
  if (objects)
    return fail(Code::precondition, "the bucket holds objects; delete them first", "BucketNotEmpty");
  ASSIGN_OR_RETURN(bool versions, any_under(view, versions_prefix(name)));
  if (versions)
    return fail(Code::precondition,
                "the bucket holds versions or delete markers of objects; delete every version first",
                "BucketNotEmpty");
  RETURN_IF_ERROR(drop_bucket_uploads(name, view, out));
  RETURN_IF_ERROR(end_usage(name, record.owner, view, out));
  const std::string configs = configs_prefix(name);
  RETURN_IF_ERROR(view.scan(configs, after_prefix(configs), [&](std::string_view config, std::string_view) {
    out.push_back({std::string(config), std::nullopt});
    return true;
  }));
  out.push_back({std::move(key), std::nullopt});
  out.push_back({owner_key(record.owner, name), std::nullopt});
  return {};
}

// Versioning once begun is only suspended, object lock stays for ever.
Result<void> apply(const BucketChange& change, BucketRecord& record) {
  auto refused = [](std::string_view why) {
    return fail(Code::precondition, std::string(why), "InvalidBucketState");
  };
  if (change.versioning) {
    if (*change.versioning == Versioning::never)
      return fail(Code::invalid, "versioning is enabled or suspended", "InvalidRequest");
    if (record.object_lock && *change.versioning == Versioning::suspended)
      return refused("versioning cannot be suspended in a bucket with object lock");
    record.versioning = *change.versioning;
  }
  if (change.enable_object_lock) {
    if (record.versioning != Versioning::enabled)
      return refused("object lock needs versioning to be enabled");
    record.object_lock = true;
  }
  if (change.quota) record.quota = *change.quota;
  return {};
}

Result<void> build_configure(const std::string& name, const BucketChange& change, const index::View& view,
                             std::vector<index::Mutation>& out) {
  std::string key = bucket_key(name);
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(key));
  if (!bytes) return no_such_bucket();
  ASSIGN_OR_RETURN(BucketRecord record, decode_bucket(*bytes));
  RETURN_IF_ERROR(apply(change, record));
  for (const auto& [config, document] : change.configs) {
    index::Mutation mutation{config_key(name, config), std::nullopt};
    if (document) mutation.value = encode_config(*document);
    out.push_back(std::move(mutation));
  }
  const bool quota = record.quota.bytes > 0 || record.quota.versions > 0;
  ASSIGN_OR_RETURN(std::optional<UsageRecord> usage, read_usage(view, bucket_usage_key(name)));
  if (quota && !usage) {
    UsageRecord counted;
    ASSIGN_OR_RETURN(counted.used, count_usage(view, name));
    out.push_back({bucket_usage_key(name), encode(counted)});
  }
  std::string changed = encode(record);
  if (changed != *bytes) out.push_back({std::move(key), std::move(changed)});
  return {};
}

Result<void> build_account_quota(const std::string& owner, const Quota& quota, const index::View& view,
                                 std::vector<index::Mutation>& out) {
  ASSIGN_OR_RETURN(std::optional<UsageRecord> record, read_usage(view, owner_usage_key(owner)));
  if (!record) {
    ASSIGN_OR_RETURN(Usage counted, count_owner_usage(view, owner));
    record = UsageRecord{counted, {}};
  }
  record->limit = quota;
  out.push_back({owner_usage_key(owner), encode(*record)});
  return {};
}

Result<void> check_owner(const std::string& owner) {
  if (!owner.empty() && owner.size() <= kOwnerBytesMax && owner.find('\0') == std::string::npos) return {};
  return fail(Code::invalid, "a bucket's owner is an account id", "InvalidRequest");
}

io::Task<Result<void>> commit_bucket(Env& env, std::string name, index::Intent intent) {
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  // Refreshed even after an error: its outcome may be unknown.
  auto refresh = [&] { return env.directory.refresh_bucket(name); };
  Result<void> refreshed = co_await env.workers.run(refresh);
  if (!committed) co_return fail(committed.error());
  co_return refreshed;
}

Result<std::vector<BucketInfo>> read_buckets(const index::Snapshot& snapshot, const std::string& owner) {
  std::string from = owner_prefix(owner);
  std::vector<BucketInfo> buckets;
  RETURN_IF_ERROR(
      snapshot.scan(from, after_prefix(from), [&](std::string_view key, std::string_view, std::string*) {
        BucketInfo& bucket = buckets.emplace_back();
        bucket.name = key.substr(from.size());
        bucket.owner = owner;
        return buckets.size() < kBucketsPerOwnerMax;
      }));
  for (BucketInfo& bucket : buckets) {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, snapshot.get(bucket_key(bucket.name)));
    if (!bytes)
      return fail(Code::corrupt, "the view lists a bucket that is not there; delete the index directory",
                  "InternalError");
    ASSIGN_OR_RETURN(BucketRecord record, decode_bucket(*bytes));
    bucket.created_ms = record.created_ms;
    bucket.versioning = record.versioning;
    bucket.object_lock = record.object_lock;
    bucket.quota = record.quota;
  }
  return buckets;
}

}  // namespace

Result<void> check_bucket_unchanged(const index::View& view, std::string_view bucket,
                                    std::string_view owner) {
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(bucket_key(bucket)));
  if (!bytes) return no_such_bucket();
  ASSIGN_OR_RETURN(BucketRecord record, decode_bucket(*bytes));
  if (record.owner != owner) return no_such_bucket();
  return {};
}

io::Task<Result<void>> create_bucket(Env& env, CreateBucket request) {
  CO_RETURN_IF_ERROR(check_bucket_name(request.name));
  CO_RETURN_IF_ERROR(check_owner(request.owner));
  for (const auto& [name, document] : request.configs) CO_RETURN_IF_ERROR(check_config(name, document));
  CO_RETURN_IF_ERROR(check_placement(env, {request.policy, request.data_class}));
  BucketRecord record{request.owner, env.clock.unix_ms()};
  if (request.object_lock) {
    record.versioning = Versioning::enabled;
    record.object_lock = true;
  }
  const std::string name = request.name;
  index::Intent intent;
  intent.build = [request = std::move(request), record](
                     const index::View& view, const std::vector<index::SmallLocation>&,
                     std::vector<index::Mutation>& out) { return build_create(request, record, view, out); };
  Result<void> result = co_await commit_bucket(env, name, std::move(intent));
  co_return result;
}

io::Task<Result<BucketInfo>> configure_bucket(Env& env, std::string name, BucketChange change) {
  for (const auto& [config, document] : change.configs)
    CO_RETURN_IF_ERROR(check_config(config, document.value_or("")));
  index::Intent intent;
  intent.build = [name, change = std::move(change)](
                     const index::View& view, const std::vector<index::SmallLocation>&,
                     std::vector<index::Mutation>& out) { return build_configure(name, change, view, out); };
  CO_RETURN_IF_ERROR(co_await commit_bucket(env, name, std::move(intent)));
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env, name));
  co_return bucket->info;
}

io::Task<Result<BucketInfo>> place_bucket(Env& env, std::string name, BucketPlacement placement) {
  CO_RETURN_IF_ERROR(check_placement(env, placement));
  index::Intent intent;
  intent.build = [name, placement = std::move(placement)](const index::View& view,
                                                          const std::vector<index::SmallLocation>&,
                                                          std::vector<index::Mutation>& out) -> Result<void> {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(bucket_key(name)));
    if (!bytes) return no_such_bucket();
    out.push_back(placement_mutation(name, placement));
    return {};
  };
  CO_RETURN_IF_ERROR(co_await commit_bucket(env, name, std::move(intent)));
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env, name));
  co_return bucket->info;
}

io::Task<Result<StoreInventory>> inventory(Env& env) {
  auto read = [&] { return read_inventory(*env.kv.snapshot()); };
  Result<StoreInventory> kept = co_await env.workers.run(read);
  co_return kept;
}

io::Task<Result<Usage>> bucket_usage(Env& env, std::string name) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env, name));
  auto look = [&]() -> Result<Usage> {
    std::shared_ptr<const index::Snapshot> snapshot = env.kv.snapshot();
    SnapshotView view(*snapshot);
    ASSIGN_OR_RETURN(std::optional<UsageRecord> record, read_usage(view, bucket_usage_key(name)));
    if (record) return record->used;
    return count_usage(view, name);
  };
  Result<Usage> usage = co_await env.workers.run(look);
  co_return usage;
}

io::Task<Result<std::pair<Usage, Quota>>> account_usage(Env& env, std::string owner) {
  auto look = [&]() -> Result<std::pair<Usage, Quota>> {
    std::shared_ptr<const index::Snapshot> snapshot = env.kv.snapshot();
    SnapshotView view(*snapshot);
    ASSIGN_OR_RETURN(std::optional<UsageRecord> record, read_usage(view, owner_usage_key(owner)));
    if (record) return std::pair(record->used, record->limit);
    ASSIGN_OR_RETURN(Usage counted, count_owner_usage(view, owner));
    return std::pair(counted, Quota());
  };
  Result<std::pair<Usage, Quota>> usage = co_await env.workers.run(look);
  co_return usage;
}

io::Task<Result<void>> set_account_quota(Env& env, std::string owner, Quota quota) {
  CO_RETURN_IF_ERROR(check_owner(owner));
  index::Intent intent;
  intent.build = [owner, quota](const index::View& view, const std::vector<index::SmallLocation>&,
                                std::vector<index::Mutation>& out) {
    return build_account_quota(owner, quota, view, out);
  };
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  if (!committed) co_return fail(committed.error());
  co_return Result<void>();
}

io::Task<Result<void>> delete_bucket(Env& env, std::string name) {
  if (!check_bucket_name(name)) co_return no_such_bucket();
  index::Intent intent;
  intent.build = [name](const index::View& view, const std::vector<index::SmallLocation>&,
                        std::vector<index::Mutation>& out) { return build_delete(name, view, out); };
  Result<void> result = co_await commit_bucket(env, name, std::move(intent));
  co_return result;
}

io::Task<Result<std::vector<BucketInfo>>> list_buckets(Env& env, std::string owner) {
  auto read = [&] { return read_buckets(*env.kv.snapshot(), owner); };
  Result<std::vector<BucketInfo>> buckets = co_await env.workers.run(read);
  if (buckets) {
    for (BucketInfo& bucket : *buckets)
      if (std::shared_ptr<const Bucket> known = env.directory.bucket(bucket.name))
        bucket.configs = known->info.configs;
  }
  co_return buckets;
}

}  // namespace archipel::store
