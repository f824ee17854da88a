// DELETE: one commit for all keys of a request; more only when what they doom would not fit one batch of the journal.
#include <map>
#include <set>

#include "store/env.h"
#include "store/keys.h"
#include "store/references.h"

namespace archipel::store {
namespace {

// Version records dropped by one commit. Each extent that they name takes about four times as much of the commit as of its version, in
// the registry's records; so this stays well inside a batch of 4 MiB.
constexpr size_t kDroppedBytesMax = 512u << 10;

using Group = std::vector<std::string>;

// The keys that exist, in groups of one commit each.
Result<std::vector<Group>> find_existing(const index::Snapshot& snapshot, const std::string& bucket,
                                         const std::set<std::string>& keys) {
  std::vector<Group> groups;
  size_t bytes_in_group = kDroppedBytesMax;
  for (const std::string& key : keys) {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, snapshot.get(object_key(bucket, key)));
    if (!bytes) continue;
    if (bytes_in_group + bytes->size() > kDroppedBytesMax) {
      groups.emplace_back();
      bytes_in_group = 0;
    }
    groups.back().push_back(key);
    bytes_in_group += bytes->size();
  }
  return groups;
}

Result<void> build_remove(const std::string& bucket, const std::string& owner, const Group& keys,
                          UnixMs now_ms, const index::View& view, std::vector<index::Mutation>& out) {
  RETURN_IF_ERROR(check_bucket_unchanged(view, bucket, owner));
  References references(view);
  size_t dropped = 0;
  for (const std::string& key : keys) {
    std::string place = object_key(bucket, key);
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(place));
    if (!bytes) continue;
    dropped += bytes->size();
    // The objects grew since they were grouped.
    if (keys.size() > 1 && dropped > 2 * kDroppedBytesMax)
      return fail(Code::throttled, "the objects to delete are being replaced; try again", "SlowDown");
    RETURN_IF_ERROR(references.drop_version(*bytes));
    out.push_back({std::move(place), std::nullopt});
  }
  return references.finish(now_ms, out);
}

io::Task<Result<void>> remove_group(Env& env, std::string bucket, std::string owner, Group keys) {
  index::Intent intent;
  UnixMs now_ms = env.clock.unix_ms();
  intent.build = [bucket, owner, keys = std::move(keys), now_ms](const index::View& view,
                                                                 const std::vector<index::SmallLocation>&,
                                                                 std::vector<index::Mutation>& out) {
    return build_remove(bucket, owner, keys, now_ms, view, out);
  };
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  if (!committed) co_return fail(committed.error());
  co_return Result<void>();
}

}  // namespace

io::Task<Result<std::vector<DeleteOutcome>>> remove_objects(Env& env, std::string bucket_name,
                                                            std::vector<std::string> keys) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env, bucket_name));
  if (keys.size() > kDeleteKeysMax)
    co_return fail(Code::limit, "one request deletes at most 1,000 keys", "InvalidRequest");

  std::map<std::string, Result<void>> outcomes;  // each key once, however often it is named
  std::set<std::string> valid;
  for (const std::string& key : keys) {
    Result<void> checked = check_object_key(key);
    if (checked) valid.insert(key);
    outcomes.emplace(key, std::move(checked));
  }
  auto find = [&] { return find_existing(*env.kv.snapshot(), bucket_name, valid); };
  CO_ASSIGN_OR_RETURN(std::vector<Group> groups, co_await env.workers.run(find));
  for (Group& group : groups) {
    Group named = group;
    Result<void> removed = co_await remove_group(env, bucket_name, bucket->info.owner, std::move(group));
    if (!removed)
      for (const std::string& key : named) outcomes[key] = fail(with_s3_code(removed.error()));
  }

  std::vector<DeleteOutcome> result;
  result.reserve(keys.size());
  for (std::string& key : keys) {
    Result<void> outcome = outcomes.at(key);
    result.push_back({std::move(key), std::move(outcome)});
  }
  co_return result;
}

}  // namespace archipel::store
