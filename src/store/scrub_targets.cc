#include "store/scrub_targets.h"

#include <algorithm>

#include "index/epochs.h"
#include "store/collector_state.h"
#include "store/keys.h"

namespace archipel::store {
namespace {

using Kind = ScrubTarget::Kind;
using Visit = std::function<bool(const ScrubTarget&)>;

struct Chain {
  index::Applied applied;
  std::vector<index::EpochOpen> opens;  // as the view keeps them, by epoch
  std::vector<index::EpochHeld> held;   // epochs with commits
};

Result<Chain> read_chain(const index::Snapshot& snapshot) {
  Chain chain;
  ASSIGN_OR_RETURN(std::optional<index::Applied> applied, index::read_applied(snapshot));
  if (!applied) return chain;
  chain.applied = *applied;
  ASSIGN_OR_RETURN(chain.opens, index::read_opens(snapshot));
  if (!chain.opens.empty() && chain.opens.back().epoch == applied->epoch)
    chain.held = index::epochs_held(chain.opens, chain.opens.back(), applied->seq);
  return chain;
}

// Below it commit blobs are kept only if their section holds live bytes.
ScrubTarget target_of(Kind kind, const extent::ExtentRef& ref) {
  return {kind, ref.id.epoch, ref.id.counter, ref.open, ref};
}

// A little higher than collection's limit, which goes by the time that was journalled; and not lower where the clock was set back since, or
// the delay was made longer: what collection has begun to delete at some island is wanted at none.
Result<index::CommitPosition> commit_floor(const TargetView& at) {
  if (!at.snapshots.limit) return index::CommitPosition{};
  CommitSweep sweep;
  ASSIGN_OR_RETURN(std::optional<std::string> state, at.view->get(commit_sweep_key()));
  if (state) {
    ASSIGN_OR_RETURN(sweep, decode_commit_sweep(*state));
  }
  UnixMs latest = at.now_ms;
  ASSIGN_OR_RETURN(std::optional<std::string> journalled, at.view->get(collector_time_key()));
  if (journalled) {
    ASSIGN_OR_RETURN(UnixMs time, decode_time(*journalled));
    latest = std::max(latest, time);
  }
  ASSIGN_OR_RETURN(std::optional<index::CommitPosition> limit, at.snapshots.limit(*at.view, latest));
  return std::max(limit.value_or(index::CommitPosition{}), sweep.first.highest());
}

// The chunks of kept snapshots, in the order of positions.
Result<std::vector<ScrubTarget>> snapshot_chunks(const TargetView& at) {
  std::vector<ScrubTarget> chunks;
  if (!at.snapshots.extents) return chunks;
  ASSIGN_OR_RETURN(std::vector<extent::ExtentRef> refs, at.snapshots.extents(*at.view));
  for (const extent::ExtentRef& ref : refs) chunks.push_back(target_of(Kind::snapshot, ref));
  std::ranges::sort(chunks, {}, &ScrubTarget::position);
  return chunks;
}

// One walk: each part goes on while the visitor wants more.
class Walk {
 public:
  Walk(const TargetView& at, const ScrubPosition& from, const Visit& visit)
      : at_(at), snapshot_(*at.view), from_(from), visit_(visit) {}

  Result<void> run() {
    ASSIGN_OR_RETURN(chain_, read_chain(snapshot_));
    ASSIGN_OR_RETURN(floor_, commit_floor(at_));
    for (uint64_t epoch = 1; going_ && epoch <= chain_.applied.epoch; ++epoch)
      give({Kind::claim, epoch, 0, {}, {}});
    for (const index::EpochOpen& open : chain_.opens)
      if (going_) give({Kind::open, open.epoch, 0, {}, {}});
    RETURN_IF_ERROR(old_commits());
    commits();
    ASSIGN_OR_RETURN(std::vector<ScrubTarget> chunks, snapshot_chunks(at_));
    for (const ScrubTarget& chunk : chunks)
      if (going_) give(chunk);
    return extents();
  }

 private:
  void give(const ScrubTarget& target) {
    if (target.position() >= from_) going_ = visit_(target);
  }
  // Below the floor: those whose sections hold live bytes.
  Result<void> old_commits() {
    if (!going_ || floor_ == index::CommitPosition{}) return {};
    return scan_live(snapshot_, {extent::ExtentRef::Kind::section, {}},
                     [&](const ExtentKey& key, const LiveRecord& record) {
                       const index::CommitPosition at{key.id.epoch, key.id.counter};
                       if (key.kind != extent::ExtentRef::Kind::section || at >= floor_) return false;
                       give(target_of(Kind::commit, record.ref));
                       return going_;
                     });
  }
  void commits() {
    for (const index::EpochHeld& epoch : chain_.held) {
      uint64_t seq = 1;
      const uint64_t number = epoch.open.epoch;
      if (number < floor_.epoch) continue;
      if (number == floor_.epoch) seq = std::max(seq, floor_.seq);
      if (from_.kind > static_cast<uint8_t>(Kind::commit)) return;
      if (from_.kind == static_cast<uint8_t>(Kind::commit) && from_.epoch > number) continue;
      if (from_.kind == static_cast<uint8_t>(Kind::commit) && from_.epoch == number)
        seq = std::max(seq, from_.number);
      for (; going_ && seq <= epoch.commits; ++seq) give({Kind::commit, number, seq, epoch.open.bits, {}});
    }
  }
  Result<void> extents() {
    if (!going_) return {};
    ExtentKey first{extent::ExtentRef::Kind::data, {}};
    if (from_.kind == static_cast<uint8_t>(Kind::extent)) first.id = {from_.epoch, from_.number};
    return scan_live(snapshot_, first, [&](const ExtentKey& key, const LiveRecord& record) {
      if (key.kind != extent::ExtentRef::Kind::data) return false;
      give(target_of(Kind::extent, record.ref));
      return going_;
    });
  }

  const TargetView& at_;
  const index::Snapshot& snapshot_;
  const ScrubPosition from_;
  const Visit& visit_;
  Chain chain_;
  index::CommitPosition floor_;
  bool going_ = true;
};

}  // namespace

index::ChainReader::Name ScrubTarget::name() const {
  switch (kind) {
    case Kind::claim:
      return {index::BlobKind::claim, epoch, 0, {}};
    case Kind::open:
      return {index::BlobKind::open, epoch, 0, {}};
    default:
      return {index::BlobKind::commit, epoch, number, open};
  }
}

std::string ScrubTarget::describe() const {
  switch (kind) {
    case Kind::claim:
      return "claim " + std::to_string(epoch);
    case Kind::open:
      return "epoch-open " + std::to_string(epoch);
    case Kind::commit:
      return "commit " + std::to_string(epoch) + "/" + std::to_string(number);
    default:
      return "extent " + std::to_string(epoch) + "/" + std::to_string(number);
  }
}

Result<void> scan_targets(const TargetView& at, const ScrubPosition& from, const Visit& visit) {
  return Walk(at, from, visit).run();
}

Result<bool> still_wanted(const TargetView& at, const ScrubTarget& target) {
  if (target.kind == Kind::claim || target.kind == Kind::open) return true;
  if (target.kind == Kind::snapshot) {
    ASSIGN_OR_RETURN(std::optional<std::string> doomed, at.view->get(doomed_key(target.key())));
    if (doomed) return false;
    ASSIGN_OR_RETURN(std::vector<ScrubTarget> chunks, snapshot_chunks(at));
    return std::ranges::find(chunks, target.position(), &ScrubTarget::position) != chunks.end();
  }
  ASSIGN_OR_RETURN(std::optional<ScrubTarget> found, find_target(at, target.key()));
  return found.has_value();
}

Result<std::optional<ScrubTarget>> find_target(const TargetView& at, const ExtentKey& key) {
  const bool data = key.kind == extent::ExtentRef::Kind::data;
  ASSIGN_OR_RETURN(std::optional<std::string> live, at.view->get(live_key(key)));
  if (live) {
    ASSIGN_OR_RETURN(LiveRecord record, decode_live(*live));
    return target_of(data ? Kind::extent : Kind::commit, record.ref);
  }
  if (data) {
    ASSIGN_OR_RETURN(std::optional<std::string> doomed, at.view->get(doomed_key(key)));
    if (doomed) return std::nullopt;
    if (!at.snapshots.extents) return std::nullopt;
    ASSIGN_OR_RETURN(std::vector<extent::ExtentRef> chunks, at.snapshots.extents(*at.view));
    const auto chunk = std::ranges::find(chunks, key, key_of);
    if (chunk == chunks.end()) return std::nullopt;
    return target_of(Kind::snapshot, *chunk);
  }
  ASSIGN_OR_RETURN(index::CommitPosition floor, commit_floor(at));
  if (index::CommitPosition{key.id.epoch, key.id.counter} < floor) return std::nullopt;
  ASSIGN_OR_RETURN(Chain chain, read_chain(*at.view));
  for (const index::EpochHeld& epoch : chain.held) {
    if (epoch.open.epoch != key.id.epoch || key.id.counter > epoch.commits) continue;
    return ScrubTarget{Kind::commit, key.id.epoch, key.id.counter, epoch.open.bits, {}};
  }
  return std::nullopt;
}

Result<std::vector<JoinedLate>> joined_late(const index::Snapshot& snapshot) {
  std::vector<JoinedLate> late;
  ASSIGN_OR_RETURN(Chain chain, read_chain(snapshot));
  if (chain.opens.empty()) return late;
  const std::vector<index::RosterEntry>& now = chain.opens.back().roster;
  for (size_t i = 0; i < now.size(); ++i) {
    if (now[i].state == index::RosterEntry::State::lost) continue;
    for (const index::EpochOpen& open : chain.opens) {
      const bool there = i < open.roster.size() && open.roster[i].state != index::RosterEntry::State::lost &&
                         open.roster[i].incarnation == now[i].incarnation;
      if (!there) continue;
      if (open.epoch > 1)
        late.push_back({static_cast<int>(i), now[i].incarnation, open.epoch, open.opened_ms});
      break;
    }
  }
  return late;
}

Result<uint32_t> lost_islands(const index::Snapshot& snapshot) {
  ASSIGN_OR_RETURN(Chain chain, read_chain(snapshot));
  if (chain.opens.empty()) return 0u;
  const std::vector<index::RosterEntry>& now = chain.opens.back().roster;
  uint32_t lost = 0;
  for (size_t i = 0; i < now.size(); ++i)
    if (now[i].state == index::RosterEntry::State::lost) lost |= 1u << i;
  return lost;
}

}  // namespace archipel::store
