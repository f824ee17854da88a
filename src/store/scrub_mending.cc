// What is known to be missing: put back soon, debt by debt, and whole islands that came back empty.
#include <algorithm>

#include "base/log.h"
#include "island/health.h"
#include "store/scrubber_impl.h"

namespace archipel::store {
namespace {

constexpr size_t kDebtsPerRound = 32;

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

}  // namespace

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
  Result<Targets> targets = co_await page(from, kScrubPageTargets);
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
  const bool end = targets->size() < kScrubPageTargets;
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

}  // namespace archipel::store
