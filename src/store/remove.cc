// DELETE: one commit for all items of a request; more only when what they change would not fit one batch of the journal.
#include "store/env.h"
#include "store/keys.h"
#include "store/versions.h"

namespace archipel::store {
namespace {

// Version records that one commit drops or moves. Each extent that a dropped one names takes about four times as much of the commit as of
// its version, in the registry's records; so this stays well inside a batch of 4 MiB.
constexpr size_t kChangedBytesMax = 512u << 10;
constexpr std::string_view kAllRefused =
    "all refused";  // detail of build()'s error, never seen outside this file

// Items of one commit. build() fills the outcomes; its last run is the one that counts.
struct Group {
  std::string bucket, owner, marker_owner;
  bool bypass_governance = false;
  UnixMs now_ms = 0;
  std::vector<size_t> places;  // in the request
  std::vector<DeleteItem> items;
  std::vector<VersionId> marker_ids;
  std::vector<DeleteOutcome> outcomes;
};

// What an item can change, in bytes of records: the latest version, the one behind it, and the one it names. 0: nothing at all.
Result<size_t> cost_of(const index::View& view, const RemoveRequest& request, const DeleteItem& item,
                       Versioning versioning) {
  ASSIGN_OR_RETURN(std::optional<std::string> current, view.get(object_key(request.bucket, item.key)));
  size_t cost = current ? current->size() : 0;
  if (versioning == Versioning::never) return cost;
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> newest,
                   find_newest_noncurrent(view, request.bucket, item.key, Depth::listing));
  if (newest) cost += newest->bytes.size();
  if (!item.version) return cost + 1;
  if (!parse_version(*item.version)) return cost + 1;
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> named,
                   find_version(view, request.bucket, item.key, item.version, Depth::listing));
  return named ? cost + named->bytes.size() : 0;
}

// Items that change nothing, as far as what was acknowledged goes, are done already.
Result<std::vector<std::shared_ptr<Group>>> make_groups(Env& env, const RemoveRequest& request,
                                                        const BucketInfo& bucket,
                                                        std::vector<DeleteOutcome>& outcomes) {
  std::shared_ptr<const index::Snapshot> snapshot = env.kv.snapshot();
  SnapshotView view(*snapshot);
  std::vector<std::shared_ptr<Group>> groups;
  size_t bytes_in_group = 0;
  for (size_t i = 0; i < request.items.size(); ++i) {
    const DeleteItem& item = request.items[i];
    if (!outcomes[i].result) continue;
    ASSIGN_OR_RETURN(size_t cost, cost_of(view, request, item, bucket.versioning));
    if (cost == 0 && !item.if_is) continue;
    if (groups.empty() || bytes_in_group + cost > kChangedBytesMax) {
      auto group = std::make_shared<Group>();
      group->bucket = request.bucket;
      group->owner = bucket.owner;
      group->marker_owner = request.owner;
      group->bypass_governance = request.bypass_governance;
      group->now_ms = env.clock.unix_ms();
      groups.push_back(std::move(group));
      bytes_in_group = 0;
    }
    groups.back()->places.push_back(i);
    groups.back()->items.push_back(item);
    groups.back()->marker_ids.push_back(env.random.bytes<16>());
    bytes_in_group += cost;
  }
  return groups;
}

Result<void> build_remove(Group& group, const index::View& view, std::vector<index::Mutation>& out) {
  ASSIGN_OR_RETURN(VersionEdit edit, VersionEdit::begin(view, group.bucket, group.owner, group.now_ms));
  group.outcomes.clear();
  bool any = false;
  for (size_t i = 0; i < group.items.size(); ++i) {
    const DeleteItem& item = group.items[i];
    DeleteOutcome outcome{item.key, {}, item.version, false, {}};
    outcome.result =
        edit.remove(item, group.bypass_governance, group.marker_ids[i], group.marker_owner, outcome);
    any = any || outcome.result;
    group.outcomes.push_back(std::move(outcome));
  }
  // An item that found nothing waits, too, for the commits that made it so.
  if (!any) return fail(Code::precondition, "nothing is to be removed", std::string(kAllRefused));
  RETURN_IF_ERROR(edit.finish(out));
  size_t bytes = 0;
  for (const index::Mutation& m : out) bytes += m.key.size() + (m.value ? m.value->size() : 0);
  // The versions grew since they were grouped.
  if (group.items.size() > 1 && bytes > 6 * kChangedBytesMax)
    return fail(Code::throttled, "the objects to delete are being replaced; try again", "SlowDown");
  return {};
}

io::Task<Result<void>> remove_group(Env& env, std::shared_ptr<Group> group) {
  index::Intent intent;
  intent.build = [group](const index::View& view, const std::vector<index::SmallLocation>&,
                         std::vector<index::Mutation>& out) { return build_remove(*group, view, out); };
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  if (!committed && committed.error().detail != kAllRefused) co_return fail(committed.error());
  co_return Result<void>();
}

}  // namespace

io::Task<Result<std::vector<DeleteOutcome>>> remove_objects(Env& env, RemoveRequest request) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env, request.bucket));
  if (request.items.size() > kDeleteKeysMax)
    co_return fail(Code::limit, "one request deletes at most 1,000 keys", "InvalidRequest");
  if (request.owner.size() > kOwnerBytesMax)
    co_return fail(Code::invalid, "an owner is an account id", "InvalidRequest");

  std::vector<DeleteOutcome> outcomes;
  outcomes.reserve(request.items.size());
  for (const DeleteItem& item : request.items)
    outcomes.push_back({item.key, check_object_key(item.key), item.version, false, {}});
  auto look = [&] { return make_groups(env, request, bucket->info, outcomes); };
  CO_ASSIGN_OR_RETURN(std::vector<std::shared_ptr<Group>> groups, co_await env.workers.run(look));
  for (const std::shared_ptr<Group>& group : groups) {
    Result<void> removed = co_await remove_group(env, group);
    for (size_t i = 0; i < group->places.size(); ++i) {
      DeleteOutcome& outcome = outcomes[group->places[i]];
      if (!removed)
        outcome.result = fail(with_s3_code(removed.error()));
      else
        outcome = std::move(group->outcomes[i]);
      if (!outcome.result) outcome.result = fail(with_s3_code(outcome.result.error()));
    }
  }
  co_return outcomes;
}

}  // namespace archipel::store
