#include "store/collector_plan.h"

#include <algorithm>
#include <map>

#include "extent/header.h"
#include "store/keys.h"

namespace archipel::store {
namespace {

using index::CommitPosition;
using Kind = extent::ExtentRef::Kind;

constexpr size_t kVisitedMax = 16'384;  // records of x/ looked at for one page

int64_t to_ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

// Ids of `kind` in [from, to) that are live or doomed.
Result<std::set<extent::ExtentId>> known_ids(const index::Snapshot& view, Kind kind, extent::ExtentId from,
                                             extent::ExtentId to) {
  std::set<extent::ExtentId> out;
  auto note = [&out](std::string_view key, std::string_view, std::string*) {
    if (std::optional<ExtentKey> extent = extent_of(key)) out.insert(extent->id);
    return true;
  };
  RETURN_IF_ERROR(view.scan(live_key({kind, from}), live_key({kind, to}), note));
  RETURN_IF_ERROR(view.scan(doomed_key({kind, from}), doomed_key({kind, to}), note));
  return out;
}

}  // namespace

uint64_t stored_bytes(const extent::ExtentRef& ref, int shard) {
  return ref.geometry.shard_bytes(shard) + (ref.kind == Kind::data ? extent::kShardHeaderBytes : ref.base);
}

Result<DoomedPage> find_doomed(const index::Snapshot& view, const ExtentKey& from, const DueRule& due,
                               size_t batch) {
  CommitSweep sweep;
  ASSIGN_OR_RETURN(std::optional<std::string> state, view.get(commit_sweep_key()));
  if (state) {
    ASSIGN_OR_RETURN(sweep, decode_commit_sweep(*state));
  }
  const CommitPosition swept = sweep.first.highest();
  DoomedPage page;
  Result<void> outcome;
  size_t visited = 0;
  auto look = [&](std::string_view view_key, std::string_view value, std::string*) {
    std::optional<ExtentKey> key = extent_of(view_key);
    Result<DoomedRecord> record = decode_doomed(value);
    if (!key || !record) {
      outcome =
          key ? fail(record.error()) : fail(Code::corrupt, "the view holds a damaged key of a doomed extent");
      return false;
    }
    if (++visited > kVisitedMax || page.items.size() + page.dropped.size() >= batch) {
      page.next = *key;
      return false;
    }
    const bool first = record->stage == DoomedRecord::Stage::doomed;
    if (first) {
      ++page.extents;
      for (int shard = 0; shard < record->ref.geometry.code.n; ++shard)
        page.bytes += stored_bytes(record->ref, shard);
    }
    const UnixMs at = record->since_ms + to_ms(first ? due.grace : due.again);
    if (at > due.now_ms) return true;
    if (at > due.journalled_ms) page.tick = true;
    if (key->kind == Kind::section && !(position_of(record->ref) < swept)) {
      page.dropped.push_back({std::string(view_key), std::string(value), std::nullopt});
      return true;
    }
    page.items.push_back({record->ref, record->left});
    page.records.push_back(*record);
    page.values.emplace_back(value);
    return true;
  };
  RETURN_IF_ERROR(view.scan(doomed_key(from), after_prefix(std::string(kDoomedPrefix)), look));
  RETURN_IF_ERROR(outcome);
  return page;
}

Result<std::vector<EpochWork>> find_epochs(const index::Snapshot& view, uint64_t current) {
  ASSIGN_OR_RETURN(std::vector<index::EpochOpen> opens, index::read_opens(view));
  std::vector<EpochWork> out;
  for (index::EpochOpen& open : opens) {
    if (open.epoch >= current) continue;
    EpochWork work;
    ASSIGN_OR_RETURN(std::optional<std::string> value, view.get(epoch_swept_key(open.epoch)));
    if (value) {
      ASSIGN_OR_RETURN(work.state, decode_epoch_sweep(*value));
      if (work.state->stage == EpochSweep::Stage::done) continue;
      work.value = *value;
    }
    ASSIGN_OR_RETURN(work.range, index::reserved_extents(view, open.epoch));
    work.open = std::move(open);
    out.push_back(std::move(work));
  }
  return out;
}

Result<std::vector<Deleter::Item>> find_orphans(const index::Snapshot& view, const EpochWork& work,
                                                uint64_t from, uint64_t to,
                                                const std::set<extent::ExtentId>& in_use) {
  const uint64_t epoch = work.open.epoch;
  ASSIGN_OR_RETURN(std::set<extent::ExtentId> known, known_ids(view, Kind::data, {epoch, from}, {epoch, to}));
  std::vector<Deleter::Item> out;
  for (uint64_t counter = from; counter < to; ++counter) {
    Deleter::Item item;
    item.ref.id = {epoch, counter};
    if (known.contains(item.ref.id) || in_use.contains(item.ref.id)) continue;
    item.ref.attempt = index::attempt_of(work.open.attempt_seed, item.ref.id);
    // Wherever its shards were to go: a shard's name says its island, so every island is asked for the one name it may have.
    item.ref.geometry.code = work.open.code;
    out.push_back(std::move(item));
  }
  return out;
}

Result<CommitWork> find_commits(const index::Snapshot& view, std::optional<CommitPosition> limit) {
  CommitWork work;
  ASSIGN_OR_RETURN(work.value, view.get(commit_sweep_key()));
  if (work.value) {
    ASSIGN_OR_RETURN(work.state, decode_commit_sweep(*work.value));
  }
  work.limit = limit;
  if (!limit) return work;
  ASSIGN_OR_RETURN(std::vector<index::EpochOpen> opens, index::read_opens(view));
  std::map<uint64_t, uint64_t> tails;  // of epochs that a later one builds on
  for (const index::EpochOpen& open : opens) tails[open.parent_epoch] = open.parent_seq;
  for (index::EpochOpen& open : opens) {
    uint64_t last = 0;
    if (open.epoch == limit->epoch) {
      last = limit->seq == 0 ? 0 : limit->seq - 1;
    } else if (auto tail = tails.find(open.epoch); open.epoch < limit->epoch && tail != tails.end()) {
      last = tail->second + static_cast<uint64_t>(index::kInFlightMax);
    }
    if (last > 0) work.ranges.push_back({std::move(open), last});
  }
  return work;
}

Result<CommitPage> find_dead_commits(const index::Snapshot& view, const CommitWork& work, CommitPosition from,
                                     CommitPosition until, size_t batch) {
  CommitPage page;
  page.end = until;
  size_t looked_at = 0;
  for (const CommitRange& range : work.ranges) {
    const uint64_t epoch = range.open.epoch;
    if (epoch < from.epoch || epoch > until.epoch) continue;
    const uint64_t first = epoch == from.epoch ? std::max<uint64_t>(from.seq, 1) : 1;
    uint64_t last = range.last;
    if (epoch == until.epoch) last = until.seq == 0 ? 0 : std::min(last, until.seq - 1);
    if (first > last) continue;
    const uint64_t end = std::min(last + 1, first + (batch - looked_at));
    ASSIGN_OR_RETURN(std::set<extent::ExtentId> known,
                     known_ids(view, Kind::section, {epoch, first}, {epoch, end}));
    for (uint64_t seq = first; seq < end; ++seq) {
      if (known.contains({epoch, seq})) continue;
      Deleter::Item item;
      item.ref.kind = Kind::section;
      item.ref.id = {epoch, seq};
      item.ref.open = range.open.bits;
      item.ref.geometry.code = range.open.code;
      page.items.push_back(std::move(item));
    }
    looked_at += end - first;
    if (looked_at >= batch || end <= last) {
      page.end = {epoch, end};
      break;
    }
  }
  return page;
}

}  // namespace archipel::store
