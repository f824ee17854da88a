#include "store/scrubber.h"

#include <algorithm>

#include "store/keys.h"
#include "store/scrubber_impl.h"

namespace archipel::store {
namespace {

constexpr Duration kProgressEvery = std::chrono::milliseconds(250);

}  // namespace

ScrubMeters& scrub_meters() {
  static auto* all = new ScrubMeters;
  return *all;
}

void ScrubberImpl::add(ScrubReport& report, const ScrubTarget& target, const Repairer::Outcome& outcome) {
  ++report.items;
  scrub_meters().items.add();
  report.bytes_read += outcome.bytes_read;
  if (outcome.gone) return;
  for (size_t i = 0; i < outcome.states.size() && i < report.islands.size(); ++i) {
    ScrubReport::Island& island = report.islands[i];
    if (!outcome.states[i]) continue;
    switch (*outcome.states[i]) {
      case extent::ShardState::good:
        ++island.good;
        break;
      case extent::ShardState::missing:
        ++island.missing;
        scrub_meters().missing.add();
        break;
      case extent::ShardState::wrong:
        ++island.wrong;
        scrub_meters().wrong.add();
        break;
      case extent::ShardState::unreachable:
        ++island.unreachable;
        break;
    }
    if ((outcome.repaired >> i & 1) != 0) ++island.repaired;
  }
  if (outcome.whole()) return;
  ++report.unrepaired;
  if (report.failures.size() < kFailuresNamed)
    report.failures.push_back(target.describe() + ": " + outcome.failed);
}

ScrubReport ScrubberImpl::empty_report() const {
  ScrubReport report;
  for (const auto& island : p_.placement->islands) {
    report.islands.emplace_back();
    report.islands.back().id = island->id();
  }
  return report;
}

io::Task<void> ScrubberImpl::sleep(Duration duration) {
  const TimePoint until = p_.home.now() + duration;
  while (!closing_ && p_.home.now() < until) {
    [[maybe_unused]] bool woken = co_await changed_.wait(until);
  }
}

void ScrubberImpl::note_refused(uint32_t refused) {
  for (size_t i = 0; i < quiet_until_.size(); ++i)
    if ((refused >> i & 1) != 0) quiet_until_[i] = p_.home.now() + options_.retry_after;
}

uint32_t ScrubberImpl::willing() const {
  uint32_t mask = 0;
  for (size_t i = 0; i < quiet_until_.size(); ++i)
    if (p_.home.now() >= quiet_until_[i]) mask |= 1u << i;
  return mask;
}

io::Task<Result<ScrubberImpl::Targets>> ScrubberImpl::page(ScrubPosition from, size_t max) {
  auto read = [this, from, max]() -> Result<Targets> {
    Targets targets;
    auto take = [&](const ScrubTarget& target) {
      targets.push_back(target);
      return targets.size() < max;
    };
    RETURN_IF_ERROR(scan_targets(p_.view(), from, take));
    return targets;
  };
  Result<Targets> targets = co_await p_.workers.run(read);
  co_return targets;
}

// kScrubAtOnce at a time; outcomes in the order of the works.
io::Task<std::vector<Repairer::Outcome>> ScrubberImpl::process_all(const std::vector<Repairer::Work>& works,
                                                                   ScrubPace& pace) {
  std::vector<Repairer::Outcome> outcomes;
  for (size_t first = 0; first < works.size() && !pace.stopping(); first += kScrubAtOnce) {
    std::vector<io::Task<Repairer::Outcome>> tasks;
    for (size_t i = first; i < std::min(first + kScrubAtOnce, works.size()); ++i)
      tasks.push_back(repairer_.process(works[i], pace));
    for (io::Task<Repairer::Outcome>& task : tasks) {
      Repairer::Outcome outcome = co_await std::move(task);
      note_refused(outcome.refused);
      outcomes.push_back(std::move(outcome));
    }
  }
  co_return outcomes;
}

io::Task<Result<ScrubReport>> ScrubberImpl::pass_now(bool repair, OnProgress& on_progress) {
  ScrubReport report = empty_report();
  auto count = [this]() -> Result<uint64_t> {
    uint64_t targets = 0;
    auto one = [&](const ScrubTarget&) {
      ++targets;
      return true;
    };
    RETURN_IF_ERROR(scan_targets(p_.view(), {}, one));
    return targets;
  };
  CO_ASSIGN_OR_RETURN(report.items_total, co_await p_.workers.run(count));
  ScrubPosition next;
  TimePoint told = p_.home.now();
  for (;;) {
    CO_ASSIGN_OR_RETURN(Targets targets, co_await page(next, kScrubPageTargets));
    for (size_t first = 0; first < targets.size(); first += kScrubAtOnce) {
      std::vector<Repairer::Work> works;
      for (size_t i = first; i < std::min(first + kScrubAtOnce, targets.size()); ++i)
        works.push_back({targets[i], 0, repair});
      std::vector<Repairer::Outcome> outcomes = co_await process_all(works, pass_pace_);
      if (closing_) co_return fail(Code::cancelled, "the gateway is shutting down");
      for (size_t i = 0; i < outcomes.size(); ++i) add(report, works[i].target, outcomes[i]);
      if (p_.home.now() < told + kProgressEvery) continue;
      told = p_.home.now();
      const bool go_on = co_await on_progress(report);
      if (!go_on) co_return fail(Code::cancelled, "whoever asked for the scrub has gone");
    }
    if (targets.size() < kScrubPageTargets) break;
    next = after(targets.back());
  }
  if (repair) co_await repairer_.tidy();
  p_.ledger->publish(p_.clock.unix_ms());
  scrub_meters().passes.add();
  [[maybe_unused]] bool heard = co_await on_progress(report);
  co_return report;
}

uint64_t ScrubReport::repaired() const {
  uint64_t sum = 0;
  for (const Island& island : islands) sum += island.repaired;
  return sum;
}

std::vector<std::string> ScrubReport::unchecked() const {
  std::vector<std::string> ids;
  for (const Island& island : islands)
    if (island.unreachable > 0) ids.push_back(island.id);
  return ids;
}

void owe_snapshot(const index::SnapshotManifest& snapshot, const extent::RepairTable& table,
                  RepairLedger& ledger) {
  for (const extent::ExtentRef& ref : snapshot.refs())
    ledger.owe(key_of(ref), ledger.all() & ~table.of(ref).confirmed, snapshot.created_ms);
}

Result<void> load_repairs(const index::Snapshot& snapshot, extent::RepairTable& table, RepairLedger& ledger) {
  const uint32_t all = ledger.all();
  Result<void> outcome;
  auto exception = [&](const ExtentKey& key, const ExceptionRecord& record) {
    table.set(key.kind, key.id, record.now);
    if (record.since_ms == 0 || !outcome) return;
    // Which islands these shards belong to, the registry knows. A snapshot's chunk is not in it, and lies on all; what is doomed is not owed.
    Result<std::optional<std::string>> live = snapshot.get(live_key(key));
    Result<LiveRecord> extent = LiveRecord{};
    if (live && *live) extent = decode_live(**live);
    if (!live || !extent) {
      outcome = fail(live ? extent.error() : live.error());
      return;
    }
    if (*live) {
      extent::ExtentRef ref = extent->ref;
      ref.confirmed = record.now.confirmed;
      ledger.owe(ref, record.since_ms);
      return;
    }
    Result<std::optional<std::string>> doomed = snapshot.get(doomed_key(key));
    if (!doomed)
      outcome = fail(doomed.error());
    else if (!*doomed)
      ledger.owe(key, all & ~record.now.confirmed, record.since_ms);
  };
  RETURN_IF_ERROR(scan_exceptions(snapshot, exception));
  RETURN_IF_ERROR(outcome);
  ASSIGN_OR_RETURN(std::vector<index::SnapshotManifest> kept, index::read_snapshots(snapshot));
  for (const index::SnapshotManifest& one : kept) owe_snapshot(one, table, ledger);
  auto debt = [&](const index::Record::Confirmed& commit, UnixMs told_ms) {
    ledger.owe({extent::ExtentRef::Kind::section, {commit.epoch, commit.seq}}, all & ~commit.mask, told_ms);
  };
  return index::scan_debts(snapshot, debt);
}

std::unique_ptr<Scrubber> make_scrubber(ScrubberParts parts) {
  return std::make_unique<ScrubberImpl>(std::move(parts));
}

}  // namespace archipel::store
