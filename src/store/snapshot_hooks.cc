#include "store/snapshot_hooks.h"

#include <algorithm>
#include <iterator>

#include "index/snapshot_manifest.h"

namespace archipel::store {
namespace {

Result<std::vector<extent::ExtentRef>> extents_of_all(const index::Snapshot& view) {
  std::vector<extent::ExtentRef> out;
  ASSIGN_OR_RETURN(std::vector<index::SnapshotManifest> kept, index::read_snapshots(view));
  ASSIGN_OR_RETURN(std::vector<index::RetiredSnapshot> retired, index::read_retired_snapshots(view));
  for (const index::SnapshotManifest& manifest : kept)
    std::ranges::move(manifest.refs(), std::back_inserter(out));
  for (const index::RetiredSnapshot& one : retired)
    std::ranges::move(one.manifest.refs(), std::back_inserter(out));
  return out;
}

Result<std::vector<SnapshotHooks::Retired>> retired_ones(const index::Snapshot& view) {
  ASSIGN_OR_RETURN(std::vector<index::RetiredSnapshot> retired, index::read_retired_snapshots(view));
  std::vector<SnapshotHooks::Retired> out;
  for (const index::RetiredSnapshot& one : retired)
    out.push_back({one.manifest.number, one.retired_ms, one.manifest.refs()});
  return out;
}

io::Task<Result<void>> forget(index::Committer* committer, uint64_t number) {
  index::Intent intent;
  intent.own = true;
  intent.build = [number](const index::View&, const std::vector<index::SmallLocation>&,
                          std::vector<index::Mutation>& out) {
    out.push_back(index::forget_retired_snapshot(number));
    return Result<void>{};
  };
  Result<index::CommitPosition> committed = co_await committer->commit(std::move(intent));
  if (!committed) co_return fail(committed.error());
  co_return {};
}

}  // namespace

SnapshotHooks journal_snapshots(index::Committer& committer, Duration delay) {
  SnapshotHooks hooks;
  hooks.limit = [delay](const index::Snapshot& view, UnixMs journalled_ms) {
    return index::truncation_limit(view, journalled_ms, delay);
  };
  hooks.extents = extents_of_all;
  hooks.retired = retired_ones;
  hooks.forget = [&committer](uint64_t number) { return forget(&committer, number); };
  return hooks;
}

}  // namespace archipel::store
