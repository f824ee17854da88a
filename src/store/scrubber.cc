#include "store/scrubber.h"

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "island/health.h"
#include "store/keys.h"
#include "store/scrub_pace.h"

namespace archipel::store {
namespace {

constexpr size_t kAtOnce = 4;        // targets under way at a time, in each task
constexpr size_t kPageTargets = 64;  // read from the view at a time
constexpr size_t kDebtsPerRound = 32;
constexpr Duration kProgressEvery = std::chrono::milliseconds(250);
const std::string kPlaceFile = "scrub";  // of the patrol, in DIR

struct Meters {
  metrics::Counter items{"archipel_scrub_items_total", "Extents and journal blobs looked at by scrub"};
  metrics::Counter missing{"archipel_scrub_missing_shards_total", "Shards that scrub found missing"};
  metrics::Counter wrong{"archipel_scrub_wrong_shards_total", "Shards that scrub found wrong"};
  metrics::Counter passes{"archipel_scrub_passes_total", "Passes over everything that came to their end"};
  metrics::Gauge last_pass{"archipel_scrub_last_pass_timestamp_seconds",
                           "When the last pass of the patrol ended; 0: none has"};
  metrics::Gauge unrepaired{"archipel_scrub_unrepaired_items",
                            "Items that the last pass could not bring into order"};
};
Meters& meters() {
  static auto* all = new Meters;
  return *all;
}

// A pass of the patrol: where it is, and when it began. 0: it is not under way, and began then.
struct Place {
  bool under_way = false;
  ScrubPosition next;
  UnixMs began_ms = 0;
};

std::string encode(const Place& place) {
  std::string out;
  Writer(out)
      .raw("archipel-scrub 1\n")
      .u8(place.under_way ? 1 : 0)
      .u8(place.next.kind)
      .u64(place.next.epoch)
      .u64(place.next.number)
      .u64(static_cast<uint64_t>(place.began_ms));
  return out;
}

// A place is a convenience: what cannot be read is none.
Place decode_place(const std::optional<std::string>& bytes) {
  Place place;
  if (!bytes) return place;
  Reader reader(*bytes);
  const bool ours = as_text(reader.raw(17)) == "archipel-scrub 1\n";
  place.under_way = reader.u8() == 1;
  place.next.kind = reader.u8();
  place.next.epoch = reader.u64();
  place.next.number = reader.u64();
  place.began_ms = static_cast<UnixMs>(reader.u64());
  return ours && reader.done() ? place : Place{};
}

ScrubPosition after(const ScrubTarget& target) {
  return {static_cast<uint8_t>(target.kind), target.epoch, target.number + 1};
}

void add(ScrubReport& report, const ScrubTarget& target, const Repairer::Outcome& outcome) {
  ++report.items;
  meters().items.add();
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
        meters().missing.add();
        break;
      case extent::ShardState::wrong:
        ++island.wrong;
        meters().wrong.add();
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

// Of an island that came back empty: how far its rebuilding is.
struct Rebuild {
  JoinedLate who;
  ScrubPosition next;
  bool changed = false;  // since it was kept
  std::optional<ScrubPosition>
      left;  // the first that could not be put there, though it may be later: the walk goes back to it
  TimePoint began{}, rests_until{};  // of the walk

  ScrubPosition safe() const { return left.value_or(next); }  // everything before is there
};

// Of the islands that one piece of work was to serve: those that lack their shard still, and may be served later. What too few islands hold while all answer is
// lost, whoever was wiped.
uint32_t left_undone(const Repairer::Work& work, const Repairer::Outcome& outcome, int k) {
  if (outcome.gone) return 0;
  const ScrubTarget& target = work.target;
  uint32_t left = target.islands_of(target.shards_of(work.presumed_missing)) & ~outcome.repaired;
  if (!target.journal()) k = target.ref.geometry.code.k;
  const auto good = std::ranges::count(outcome.states, extent::ShardState::good);
  const bool all_answer = std::ranges::count(outcome.states, extent::ShardState::unreachable) == 0;
  if (!outcome.states.empty() && all_answer && good < k) return 0;
  for (size_t i = 0; i < outcome.states.size(); ++i)
    if (outcome.states[i] == extent::ShardState::good) left &= ~(1u << i);
  return left;
}

class ScrubberImpl final : public Scrubber {
 public:
  explicit ScrubberImpl(ScrubberParts parts)
      : options_(std::move(parts.options)),
        p_(parts.repair),
        files_(std::move(parts.files)),
        repairer_(std::move(parts.repair)),
        mend_pace_(p_.home, options_.mend_bytes_per_second, options_.busy, options_.yield),
        patrol_pace_(p_.home, options_.patrol_bytes_per_second, options_.busy, options_.yield),
        pass_pace_(p_.home, 0, options_.busy, options_.yield),
        quiet_until_(p_.placement->islands.size()) {}

  void start() override {
    scope_.spawn(mend(this));
    if (options_.patrol_bytes_per_second > 0) scope_.spawn(patrol(this));
  }

  io::Task<void> close() override {
    closing_ = true;
    mend_pace_.stop();
    patrol_pace_.stop();
    pass_pace_.stop();
    changed_.notify_all();
    co_await scope_.join();
    while (passes_ > 0) co_await changed_.wait();
  }

  io::Task<Result<ScrubReport>> pass(bool repair, OnProgress on_progress) override {
    ++passes_;
    while (passing_ && !closing_) co_await changed_.wait();
    Result<ScrubReport> report = fail(Code::cancelled, "the gateway is shutting down");
    if (!closing_) {
      passing_ = true;
      report = co_await pass_now(repair, on_progress);
      passing_ = false;
    }
    --passes_;
    changed_.notify_all();
    co_return report;
  }

 private:
  using Targets = std::vector<ScrubTarget>;

  static io::Task<void> mend(ScrubberImpl* self);
  static io::Task<void> patrol(ScrubberImpl* self);

  io::Task<bool> look_at_suspects();
  io::Task<bool> repay_debts();
  io::Task<bool> rebuild_empty();
  io::Task<void> find_empty();
  io::Task<void> keep_rebuild(Rebuild rebuild, bool done);
  io::Task<Result<ScrubReport>> pass_now(bool repair, OnProgress& on_progress);
  io::Task<Result<Targets>> page(ScrubPosition from, size_t max);
  io::Task<std::vector<Repairer::Outcome>> process_all(const std::vector<Repairer::Work>& works,
                                                       ScrubPace& pace);
  void note_refused(uint32_t refused);
  uint32_t willing() const;
  ScrubReport empty_report() const;
  io::Task<void> keep_place(Place place);
  io::Task<void> sleep(Duration duration);

  const ScrubberOptions options_;
  RepairParts p_;
  std::shared_ptr<index::DirFiles> files_;
  Repairer repairer_;
  ScrubPace mend_pace_, patrol_pace_, pass_pace_;
  std::vector<TimePoint> quiet_until_;  // by island
  ExtentKey debt_cursor_;
  TimePoint debts_again_{};
  std::vector<Rebuild> empty_;
  uint64_t epoch_seen_ = 0;
  TimePoint rebuild_kept_{}, drop_at_{};
  bool closing_ = false, passing_ = false;
  int passes_ = 0;
  io::Event changed_;
  io::TaskScope scope_;
};

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

// kAtOnce at a time; outcomes in the order of the works.
io::Task<std::vector<Repairer::Outcome>> ScrubberImpl::process_all(const std::vector<Repairer::Work>& works,
                                                                   ScrubPace& pace) {
  std::vector<Repairer::Outcome> outcomes;
  for (size_t first = 0; first < works.size() && !pace.stopping(); first += kAtOnce) {
    std::vector<io::Task<Repairer::Outcome>> tasks;
    for (size_t i = first; i < std::min(first + kAtOnce, works.size()); ++i)
      tasks.push_back(repairer_.process(works[i], pace));
    for (io::Task<Repairer::Outcome>& task : tasks) {
      Repairer::Outcome outcome = co_await std::move(task);
      note_refused(outcome.refused);
      outcomes.push_back(std::move(outcome));
    }
  }
  co_return outcomes;
}

io::Task<void> ScrubberImpl::mend(ScrubberImpl* self) {
  while (!self->closing_) {
    if (!self->p_.committer.open()) {  // nothing is written before recovery has decided, or without the lease
      self->p_.ledger->publish(self->p_.clock.unix_ms());
      co_await self->sleep(self->options_.tick);
      continue;
    }
    bool more = co_await self->look_at_suspects();
    const bool repaid = co_await self->repay_debts();
    const bool rebuilt = co_await self->rebuild_empty();
    more = more || repaid || rebuilt;
    if (!self->closing_) co_await self->repairer_.tidy();
    if (!self->closing_ && self->p_.home.now() >= self->drop_at_) {
      self->drop_at_ = self->p_.home.now() + self->options_.drop_every;
      co_await self->repairer_.drop_exceptions();
    }
    self->p_.ledger->publish(self->p_.clock.unix_ms());
    if (!more) co_await self->sleep(self->options_.tick);
  }
  for (const Rebuild& rebuild : self->empty_)
    if (rebuild.changed) co_await self->keep_rebuild(rebuild, false);
}

// What a read got wrong: the whole extent is looked at, on all islands.
io::Task<bool> ScrubberImpl::look_at_suspects() {
  std::vector<extent::RepairTable::Suspect> suspects = p_.table->take_suspects();
  std::vector<Repairer::Work> works;
  for (const extent::RepairTable::Suspect& suspect : suspects) {
    const bool data = suspect.ref.kind == extent::ExtentRef::Kind::data;
    ScrubTarget target{data ? ScrubTarget::Kind::extent : ScrubTarget::Kind::commit, suspect.ref.id.epoch,
                       suspect.ref.id.counter, suspect.ref.open, suspect.ref};
    works.push_back({std::move(target), 0, true});
  }
  std::vector<Repairer::Outcome> outcomes = co_await process_all(works, mend_pace_);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    if (outcomes[i].whole()) continue;
    log::warn("scrub.unrepaired", {{"what", works[i].target.describe()}, {"reason", outcomes[i].failed}});
  }
  co_return false;
}

// Some debts whose islands seem to answer. True if there is more to do at once.
io::Task<bool> ScrubberImpl::repay_debts() {
  if (p_.home.now() < debts_again_) co_return false;
  const uint32_t able = willing();
  std::vector<Debt> debts = p_.ledger->some(debt_cursor_, able, kDebtsPerRound);
  if (debts.empty()) {
    if (p_.ledger->take_overflow()) {
      auto load = [this] { return load_repairs(*p_.kv.snapshot(), *p_.table, *p_.ledger); };
      [[maybe_unused]] Result<void> loaded = co_await p_.workers.run(load);
    }
    co_return false;
  }
  auto find = [this, &debts]() -> Result<std::vector<std::optional<ScrubTarget>>> {
    std::vector<std::optional<ScrubTarget>> targets;
    const TargetView view = p_.view();
    for (const Debt& debt : debts) {
      ASSIGN_OR_RETURN(targets.emplace_back(), find_target(view, debt.key));
    }
    return targets;
  };
  auto targets = co_await p_.workers.run(find);
  if (!targets) co_return false;
  std::vector<Repairer::Work> works;
  for (size_t i = 0; i < debts.size(); ++i) {
    debt_cursor_ = debts[i].key;
    if ((*targets)[i])
      works.push_back({*(*targets)[i], debts[i].missing & able, true});
    else if (debts[i].key.kind == extent::ExtentRef::Kind::section)
      repairer_.forget({debts[i].key.id.epoch, debts[i].key.id.counter});
    else
      p_.ledger->forget(debts[i].key);
  }
  std::vector<Repairer::Outcome> outcomes = co_await process_all(works, mend_pace_);
  const bool any = works.size() < debts.size() ||
                   std::ranges::any_of(outcomes, [](const auto& o) { return o.gone || o.repaired != 0; });
  if (!any) debts_again_ = p_.home.now() + options_.retry_after;
  co_return any;
}

// Which islands joined empty, and how far each one's rebuilding is. After every open of an epoch.
io::Task<void> ScrubberImpl::find_empty() {
  const uint64_t epoch = p_.committer.applied().epoch;
  if (epoch == epoch_seen_) co_return;
  struct Found {
    std::vector<Rebuild> rebuilds;
    std::vector<uint64_t> counts;
  };
  auto look = [this]() -> Result<Found> {
    Found found;
    auto snapshot = p_.kv.snapshot();
    ASSIGN_OR_RETURN(std::vector<JoinedLate> late, joined_late(*snapshot));
    for (const JoinedLate& who : late) {
      Rebuild rebuild;
      rebuild.who = who;
      ASSIGN_OR_RETURN(std::optional<std::string> bytes, snapshot->get(rebuild_key(who.island)));
      if (bytes) {
        ASSIGN_OR_RETURN(RebuildRecord record, decode_rebuild(*bytes));
        const bool same = record.incarnation == who.incarnation;
        if (same && record.done) continue;
        if (same) rebuild.next = record.next;
      }
      uint64_t count = 0;
      auto add_one = [&](const ScrubTarget& target) {
        const bool listed = (p_.ledger->missing(target.key()) >> who.island & 1) != 0;
        const bool lacks = target.epoch < who.joined_epoch && target.lies_on(who.island);
        if (lacks && !(target.listed() && listed)) ++count;
        return true;
      };
      RETURN_IF_ERROR(scan_targets(p_.view(), rebuild.next, add_one));
      rebuild.began = p_.home.now();
      found.rebuilds.push_back(rebuild);
      found.counts.push_back(count);
    }
    return found;
  };
  Result<Found> found = co_await p_.workers.run(look);
  if (!found) {
    log::error("scrub.view_unreadable", {{"reason", found.error().message}});
    co_return;
  }
  epoch_seen_ = epoch;
  empty_ = std::move(found->rebuilds);
  for (size_t i = 0; i < quiet_until_.size(); ++i) p_.ledger->set_empty_since(static_cast<int>(i), 0, 0);
  for (size_t i = 0; i < empty_.size(); ++i) {
    const JoinedLate& who = empty_[i].who;
    p_.ledger->set_empty_since(who.island, found->counts[i], who.joined_ms);
    log::info("island.rebuilding", {{"island", p_.placement->islands[static_cast<size_t>(who.island)]->id()},
                                    {"shards", found->counts[i]}});
  }
}

io::Task<void> ScrubberImpl::keep_rebuild(Rebuild rebuild, bool done) {
  RebuildRecord record{rebuild.who.incarnation, done, rebuild.safe()};
  index::Intent intent;
  intent.build = [record, key = rebuild_key(rebuild.who.island)](const index::View&,
                                                                 const std::vector<index::SmallLocation>&,
                                                                 std::vector<index::Mutation>& out) {
    out.push_back({key, encode(record)});
    return Result<void>{};
  };
  // If it fails, some of it is done again after the next start.
  [[maybe_unused]] auto committed = co_await p_.committer.commit(std::move(intent));
}

// A page of what islands that came back empty should hold. Each goes on by itself; one that does not answer stays where it is.
io::Task<bool> ScrubberImpl::rebuild_empty() {
  co_await find_empty();
  const uint32_t able = willing();
  std::vector<Rebuild*> active;
  for (Rebuild& rebuild : empty_)
    if ((able >> rebuild.who.island & 1) != 0 && p_.home.now() >= rebuild.rests_until)
      active.push_back(&rebuild);
  if (active.empty() || closing_) co_return false;
  ScrubPosition from = active.front()->next;
  for (const Rebuild* rebuild : active) from = std::min(from, rebuild->next);
  Result<Targets> targets = co_await page(from, kPageTargets);
  if (!targets) co_return false;

  std::vector<Repairer::Work> works;
  std::vector<uint32_t> listed;
  for (const ScrubTarget& target : *targets) {
    uint32_t missing = 0;
    for (const Rebuild* rebuild : active)
      if (target.epoch < rebuild->who.joined_epoch && target.position() >= rebuild->next &&
          target.lies_on(rebuild->who.island))
        missing |= 1u << rebuild->who.island;
    listed.push_back(target.listed() ? p_.ledger->missing(target.key()) : 0);
    works.push_back({target, missing, true});
  }
  // What none of them misses is not touched.
  std::vector<Repairer::Work> needed;
  for (const Repairer::Work& work : works)
    if (work.presumed_missing != 0) needed.push_back(work);
  std::vector<Repairer::Outcome> outcomes = co_await process_all(needed, mend_pace_);
  if (closing_) co_return false;

  size_t next_outcome = 0;
  uint32_t stopped = 0;  // islands that refused something: they stay there
  for (size_t i = 0; i < works.size(); ++i) {
    const uint32_t missing = works[i].presumed_missing;
    uint32_t left = 0;
    if (missing != 0) {
      const Repairer::Outcome& outcome = outcomes[next_outcome++];
      stopped |= outcome.refused & missing;
      left = left_undone(works[i], outcome, p_.coder.code().k);
    }
    for (Rebuild* rebuild : active) {
      const uint32_t bit = 1u << rebuild->who.island;
      if ((stopped & bit) != 0 || works[i].target.position() < rebuild->next) continue;
      if ((left & bit) != 0 && !rebuild->left) rebuild->left = works[i].target.position();
      rebuild->next = after(works[i].target);
      rebuild->changed = true;
      if ((missing & ~listed[i] & bit) != 0) p_.ledger->rebuilt(rebuild->who.island, 1);
    }
  }
  const bool end = targets->size() < kPageTargets;
  const bool keep = p_.home.now() >= rebuild_kept_ + options_.save_every;
  if (keep) rebuild_kept_ = p_.home.now();
  std::vector<int> done;
  for (Rebuild* rebuild : active) {
    const bool walked = end && (stopped >> rebuild->who.island & 1) == 0;
    const bool finished = walked && !rebuild->left;
    if (walked && !finished) {
      // Again from there, as long after as this walk took: meanwhile the islands that were missed may be back.
      const TimePoint now = p_.home.now();
      rebuild->rests_until = now + std::max(options_.retry_after, now - rebuild->began);
      rebuild->began = rebuild->rests_until;
      rebuild->next = *std::exchange(rebuild->left, std::nullopt);
    }
    if (finished) done.push_back(rebuild->who.island);
    if (!finished && !(keep && rebuild->changed)) continue;
    rebuild->changed = false;
    Rebuild copy = *rebuild;
    co_await keep_rebuild(copy, finished);
  }
  for (int island : done) {
    p_.ledger->set_empty_since(island, 0, 0);
    std::erase_if(empty_, [island](const Rebuild& rebuild) { return rebuild.who.island == island; });
    log::info("island.rebuilt", {{"island", p_.placement->islands[static_cast<size_t>(island)]->id()}});
  }
  co_return !empty_.empty();
}

io::Task<void> ScrubberImpl::keep_place(Place place) {
  if (files_ == nullptr) co_return;
  auto write = [this, bytes = encode(place)] {
    return files_->write_atomically(kPlaceFile, as_bytes(bytes));
  };
  Result<void> written = co_await p_.workers.run(write);
  if (!written) log::warn("scrub.place_not_kept", {{"reason", written.error().message}});
}

io::Task<void> ScrubberImpl::patrol(ScrubberImpl* self) {
  const auto pass_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(self->options_.pass_every).count();
  Place place;
  if (self->files_ != nullptr) {
    auto read = [self] { return self->files_->read(kPlaceFile); };
    Result<std::optional<std::string>> bytes = co_await self->p_.workers.run(read);
    if (bytes) place = decode_place(*bytes);
  }
  ScrubReport report = self->empty_report();
  TimePoint kept = self->p_.home.now();
  while (!self->closing_) {
    const UnixMs now_ms = self->p_.clock.unix_ms();
    const bool due = place.under_way || now_ms >= place.began_ms + pass_ms;
    if (!due || self->passing_ || !self->p_.committer.open()) {
      co_await self->sleep(self->options_.tick);
      continue;
    }
    if (!place.under_way) {
      place = {true, {}, now_ms};
      report = self->empty_report();
    }
    Result<Targets> targets = co_await self->page(place.next, kAtOnce);
    if (!targets) {
      co_await self->sleep(self->options_.retry_after);
      continue;
    }
    std::vector<Repairer::Work> works;
    for (const ScrubTarget& target : *targets) works.push_back({target, 0, true});
    std::vector<Repairer::Outcome> outcomes = co_await self->process_all(works, self->patrol_pace_);
    if (self->closing_) break;
    for (size_t i = 0; i < outcomes.size(); ++i) {
      add(report, works[i].target, outcomes[i]);
      if (!outcomes[i].whole())
        log::warn("scrub.unrepaired", {{"what", works[i].target.describe()}, {"reason", outcomes[i].failed}});
      place.next = after(works[i].target);
    }
    if (targets->size() < kAtOnce) {
      place = {false, {}, place.began_ms};
      meters().passes.add();
      meters().unrepaired.set(static_cast<int64_t>(report.unrepaired));
      meters().last_pass.set(self->p_.clock.unix_ms() / 1000);
      log::info(
          "scrub.pass_done",
          {{"items", report.items}, {"repaired", report.repaired()}, {"unrepaired", report.unrepaired}});
    }
    if (place.under_way && self->p_.home.now() < kept + self->options_.save_every) continue;
    kept = self->p_.home.now();
    co_await self->keep_place(place);
  }
  if (place.under_way) co_await self->keep_place(place);
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
    CO_ASSIGN_OR_RETURN(Targets targets, co_await page(next, kPageTargets));
    for (size_t first = 0; first < targets.size(); first += kAtOnce) {
      std::vector<Repairer::Work> works;
      for (size_t i = first; i < std::min(first + kAtOnce, targets.size()); ++i)
        works.push_back({targets[i], 0, repair});
      std::vector<Repairer::Outcome> outcomes = co_await process_all(works, pass_pace_);
      if (closing_) co_return fail(Code::cancelled, "the gateway is shutting down");
      for (size_t i = 0; i < outcomes.size(); ++i) add(report, works[i].target, outcomes[i]);
      if (p_.home.now() < told + kProgressEvery) continue;
      told = p_.home.now();
      const bool go_on = co_await on_progress(report);
      if (!go_on) co_return fail(Code::cancelled, "whoever asked for the scrub has gone");
    }
    if (targets.size() < kPageTargets) break;
    next = after(targets.back());
  }
  if (repair) co_await repairer_.tidy();
  p_.ledger->publish(p_.clock.unix_ms());
  meters().passes.add();
  [[maybe_unused]] bool heard = co_await on_progress(report);
  co_return report;
}

}  // namespace

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
