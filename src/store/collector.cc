#include "store/collector.h"

#include <algorithm>
#include <atomic>
#include <bit>

#include "base/log.h"
#include "base/metrics.h"
#include "io/sync.h"
#include "store/collector_plan.h"
#include "store/part_sets.h"

namespace archipel::store {
namespace {

using index::CommitPosition;

constexpr Duration kLookPause = std::chrono::milliseconds(10);
constexpr int kLooksMax = 500;  // for readers that have not decided yet what they need; then the next round

struct Metrics {
  metrics::Counter doomed{"archipel_collect_doomed_deleted_total",
                          "Doomed extents and sections deleted at every island"};
  metrics::Counter orphans{"archipel_collect_orphans_total",
                           "Extent ids of closed epochs that nothing referred to, deleted at every island"};
  metrics::Counter commits{"archipel_collect_commits_truncated_total",
                           "Commit blobs below the truncation limit deleted"};
  metrics::Counter deletes{"archipel_collect_island_deletes_total", "DELETEs that islands confirmed"};
  metrics::Counter rounds{"archipel_collect_rounds_total", "Rounds of collection that ended well"};
  metrics::Counter failures{"archipel_collect_rounds_failed_total",
                            "Rounds of collection that ended with an error"};
  metrics::Counter bytes{
      "archipel_collect_deleted_bytes_total",
      "Bytes of doomed extents and sections, over all islands, that were deleted for the first time"};
  metrics::Counter parts{"archipel_collect_parts_dropped_total",
                         "Parts of uploads and multipart objects that were gone, dropped"};
  metrics::Gauge doomed_extents{"archipel_collect_doomed_extents",
                                "Extents and sections without live bytes that wait to be deleted"};
  metrics::Gauge doomed_bytes{"archipel_collect_doomed_bytes", "Their bytes, over all islands"};
  metrics::Gauge debt{"archipel_collect_debt_deletes",
                      "DELETEs due in the last round that islands did not confirm"};
};
Metrics& shared_metrics() {
  static auto* all = new Metrics;
  return *all;
}

Result<void> build_changes(const Changes& changes, const index::View& view,
                           std::vector<index::Mutation>& out) {
  for (const KeyChange& change : changes) {
    ASSIGN_OR_RETURN(std::optional<std::string> now, view.get(change.key));
    if (now == change.before && now != change.after) out.push_back({change.key, change.after});
  }
  return {};
}

// Moves the places of islands up to what was deleted there: to the first item that was not, or to `end`. True if any moved.
template <class PositionOf>
bool advance(Sweep& sweep, const std::vector<Deleter::Item>& items, uint32_t asked, CommitPosition end,
             PositionOf position) {
  bool moved = false;
  for (size_t i = 0; i < sweep.below.size(); ++i) {
    if ((asked >> i & 1) == 0) continue;
    CommitPosition to = end;
    for (const Deleter::Item& item : items) {
      if ((item.left >> i & 1) == 0) continue;
      to = position(item.ref);
      break;
    }
    if (to <= sweep.below[i]) continue;
    sweep.below[i] = to;
    moved = true;
  }
  return moved;
}

class CollectorImpl final : public Collector {
 public:
  explicit CollectorImpl(CollectorParts parts)
      : p_(std::move(parts)),
        islands_(p_.placement->islands.size()),
        deleter_(p_.keys, p_.placement, p_.repairs, p_.options.deletes) {
    CHECK(islands_ <= kSweepIslandsMax && p_.options.batch > 0);
  }

  void start() override { scope_.spawn(rounds(this)); }
  io::Task<Result<void>> run_once() override;
  io::Task<void> close() override {
    stop_ = true;
    stopping_.notify_all();
    co_await scope_.join();
  }
  const Counts& counts() const override { return counts_; }

 private:
  static io::Task<void> rounds(CollectorImpl* self);
  io::Task<Result<void>> read_time();
  io::Task<Result<void>> tick();
  io::Task<Result<void>> commit(Changes changes);
  io::Task<bool> readers_have_decided(uint64_t ticket);

  io::Task<Result<void>> drop_parts();
  io::Task<Result<void>> drop_page(std::vector<DropPage::Set> sets);

  io::Task<Result<void>> retire_snapshots();
  io::Task<Result<void>> doom(std::vector<extent::ExtentRef> extents, UnixMs since_ms);
  io::Task<Result<void>> delete_doomed();
  io::Task<Result<void>> delete_page(DoomedPage page);
  void note_deleted(const DoomedPage& page, size_t item, Changes& changes);

  io::Task<Result<void>> sweep_epochs();
  io::Task<Result<void>> sweep_epoch(EpochWork* work);
  io::Task<Result<bool>> sweep_ids(EpochWork* work, const std::set<extent::ExtentId>& in_use);
  io::Task<Result<void>> keep_state(EpochWork* work);

  io::Task<Result<void>> sweep_commits();
  io::Task<Result<std::optional<CommitPosition>>> find_limit();
  io::Task<Result<bool>> sweep_commit_page(CommitWork* work, Sweep* sweep, CommitPosition until);
  io::Task<Result<void>> keep_state(CommitWork* work);

  UnixMs now_ms() const { return p_.clock.unix_ms(); }
  UnixMs later_ms() const { return std::max(now_ms(), journalled_ms_); }
  bool passed(UnixMs since_ms, Duration wait, UnixMs at_ms) const {
    return since_ms + std::chrono::duration_cast<std::chrono::milliseconds>(wait).count() <= at_ms;
  }
  void note_debt(const std::vector<Deleter::Item>& items) {
    for (const Deleter::Item& item : items) counts_.debt += static_cast<uint64_t>(std::popcount(item.left));
  }
  template <class F>
  auto on_view(F look) {
    return p_.workers.run([this, look = std::move(look)] { return look(*p_.kv.snapshot()); });
  }

  CollectorParts p_;
  const size_t islands_;
  Deleter deleter_;
  Counts counts_;
  UnixMs journalled_ms_ = 0;  // the highest time that collection has journalled
  bool stop_ = false;
  io::Event stopping_;
  io::TaskScope scope_;
};

io::Task<void> CollectorImpl::rounds(CollectorImpl* self) {
  while (!self->stop_) {
    co_await self->stopping_.wait(self->p_.home.now() + self->p_.options.interval);
    if (self->stop_ || !self->p_.committer.open()) continue;
    Result<void> done = co_await self->run_once();
    if (!done && !self->stop_) log::warn("collect.round_failed", {{"reason", done.error().message}});
  }
}

io::Task<Result<void>> CollectorImpl::run_once() {
  counts_.debt = 0;
  const Counts before = counts_;
  const uint64_t deletes_before = deleter_.deletes();
  Result<void> done = co_await read_time();
  if (done) done = co_await drop_parts();
  if (done) done = co_await retire_snapshots();
  if (done) done = co_await delete_doomed();
  if (done) done = co_await sweep_epochs();
  if (done) done = co_await sweep_commits();
  Metrics& metrics = shared_metrics();
  (done ? metrics.rounds : metrics.failures).add();
  counts_.islands_deletes = deleter_.deletes();
  metrics.doomed.add(static_cast<int64_t>(counts_.doomed_deleted - before.doomed_deleted));
  metrics.orphans.add(static_cast<int64_t>(counts_.orphans - before.orphans));
  metrics.bytes.add(static_cast<int64_t>(counts_.deleted_bytes - before.deleted_bytes));
  metrics.parts.add(static_cast<int64_t>(counts_.parts_dropped - before.parts_dropped));
  metrics.commits.add(static_cast<int64_t>(counts_.commits - before.commits));
  metrics.deletes.add(static_cast<int64_t>(deleter_.deletes() - deletes_before));
  metrics.debt.set(static_cast<int64_t>(counts_.debt));
  if (deleter_.deletes() > deletes_before)
    log::info("collect.round", {{"deletes", deleter_.deletes() - deletes_before},
                                {"doomed", counts_.doomed_deleted - before.doomed_deleted},
                                {"orphans", counts_.orphans - before.orphans},
                                {"commits", counts_.commits - before.commits},
                                {"debt", counts_.debt}});
  co_return done;
}

// --- time and commits ---

io::Task<Result<void>> CollectorImpl::read_time() {
  auto read = [](const index::Snapshot& view) -> Result<UnixMs> {
    ASSIGN_OR_RETURN(std::optional<std::string> value, view.get(collector_time_key()));
    if (!value) return UnixMs{0};
    return decode_time(*value);
  };
  Result<UnixMs> known = co_await on_view(read);
  if (!known) co_return fail(known.error());
  journalled_ms_ = *known;
  co_return {};
}

// Journals the clock's time, if it is later than what was journalled before: nothing is due by a time that a restart might not know.
io::Task<Result<void>> CollectorImpl::tick() {
  const UnixMs now = now_ms();
  if (now <= journalled_ms_) co_return {};
  index::Intent intent;
  intent.build = [now](const index::View& view, const std::vector<index::SmallLocation>&,
                       std::vector<index::Mutation>& out) -> Result<void> {
    ASSIGN_OR_RETURN(std::optional<std::string> value, view.get(collector_time_key()));
    UnixMs known = 0;
    if (value) {
      ASSIGN_OR_RETURN(known, decode_time(*value));
    }
    if (now > known) out.push_back({collector_time_key(), encode_time(now)});
    return {};
  };
  Result<CommitPosition> done = co_await p_.committer.commit(std::move(intent));
  if (!done) co_return fail(done.error());
  journalled_ms_ = now;
  co_return {};
}

io::Task<Result<void>> CollectorImpl::commit(Changes changes) {
  if (changes.empty()) co_return {};
  if (stop_) co_return fail(Code::cancelled, "the gateway is shutting down");
  index::Intent intent;
  auto shared = std::make_shared<const Changes>(std::move(changes));
  intent.build = [shared](const index::View& view, const std::vector<index::SmallLocation>&,
                          std::vector<index::Mutation>& out) { return build_changes(*shared, view, out); };
  Result<CommitPosition> done = co_await p_.committer.commit(std::move(intent));
  if (!done) co_return fail(done.error());
  co_return {};
}

io::Task<bool> CollectorImpl::readers_have_decided(uint64_t ticket) {
  for (int i = 0; i < kLooksMax && !stop_; ++i) {
    if (!p_.pins->looking_before(ticket)) co_return true;
    co_await stopping_.wait(p_.home.now() + kLookPause);
  }
  co_return false;
}

// --- part sets ---

io::Task<Result<void>> CollectorImpl::drop_parts() {
  std::optional<std::string> from = std::string(kDropPrefix);
  while (from && !stop_) {
    auto look = [&from](const index::Snapshot& view) { return find_drops(view, *from); };
    Result<DropPage> found = co_await on_view(look);
    if (!found) co_return fail(found.error());
    DropPage page = std::move(*found);
    if (page.sets.empty()) co_return {};
    from = std::move(page.next);
    // Whoever begins to read from here on sees a view in which nothing refers to these sets.
    const uint64_t ticket = p_.pins->ticket();
    bool decided = co_await readers_have_decided(ticket);
    if (!decided) co_return {};
    const std::set<PartSetId> held = p_.pins->held_sets();
    // A set that is being read waits for a later round, and those behind it do not wait for it.
    if (from && held.contains(page.sets.back().id)) from = after_drop(page.sets.back().id);
    std::erase_if(page.sets, [&held](const DropPage::Set& set) { return held.contains(set.id); });
    CO_RETURN_IF_ERROR(co_await drop_page(std::move(page.sets)));
  }
  co_return {};
}

io::Task<Result<void>> CollectorImpl::drop_page(std::vector<DropPage::Set> sets) {
  if (sets.empty()) co_return {};
  if (stop_) co_return fail(Code::cancelled, "the gateway is shutting down");
  auto shared = std::make_shared<const std::vector<DropPage::Set>>(std::move(sets));
  auto dropped = std::make_shared<std::atomic<size_t>>(0);
  index::Intent intent;
  intent.build = [shared, dropped, now = later_ms()](const index::View& view,
                                                     const std::vector<index::SmallLocation>&,
                                                     std::vector<index::Mutation>& out) -> Result<void> {
    size_t parts = 0;
    RETURN_IF_ERROR(build_drops(*shared, now, view, out, parts));
    *dropped = parts;
    return {};
  };
  Result<CommitPosition> done = co_await p_.committer.commit(std::move(intent));
  if (!done) co_return fail(done.error());
  counts_.parts_dropped += *dropped;
  co_return {};
}

// --- doomed extents ---

io::Task<Result<void>> CollectorImpl::doom(std::vector<extent::ExtentRef> extents, UnixMs since_ms) {
  for (size_t at = 0; at < extents.size(); at += p_.options.batch) {
    Changes changes;
    for (size_t i = at; i < std::min(at + p_.options.batch, extents.size()); ++i)
      changes.push_back(
          {doomed_key(key_of(extents[i])), std::nullopt, encode(doomed_now(extents[i], since_ms))});
    CO_RETURN_IF_ERROR(co_await commit(std::move(changes)));
  }
  co_return {};
}

// Their extents become doomed like any others. Only then the view forgets them, so that at every moment something names them.
io::Task<Result<void>> CollectorImpl::retire_snapshots() {
  if (!p_.snapshots.retired) co_return {};
  auto retired = co_await on_view(p_.snapshots.retired);
  if (!retired) co_return fail(retired.error());
  for (SnapshotHooks::Retired& snapshot : *retired) {
    CO_RETURN_IF_ERROR(co_await doom(std::move(snapshot.extents), snapshot.retired_ms));
    CO_RETURN_IF_ERROR(co_await p_.snapshots.forget(snapshot.number));
  }
  co_return {};
}

io::Task<Result<void>> CollectorImpl::delete_doomed() {
  std::optional<ExtentKey> from = ExtentKey{};
  uint64_t extents = 0, bytes = 0;
  while (from && !stop_) {
    const DueRule due{now_ms(), journalled_ms_, p_.options.grace, p_.options.again};
    auto look = [from = *from, due, batch = p_.options.batch](const index::Snapshot& view) {
      return find_doomed(view, from, due, batch);
    };
    Result<DoomedPage> page = co_await on_view(look);
    if (!page) co_return fail(page.error());
    from = page->next;
    extents += page->extents;
    bytes += page->bytes;
    CO_RETURN_IF_ERROR(co_await delete_page(std::move(*page)));
  }
  shared_metrics().doomed_extents.set(static_cast<int64_t>(extents));
  shared_metrics().doomed_bytes.set(static_cast<int64_t>(bytes));
  co_return {};
}

io::Task<Result<void>> CollectorImpl::delete_page(DoomedPage page) {
  if (page.items.empty() && page.dropped.empty()) co_return {};
  // Whoever begins to read from here on sees a view in which nothing refers to these.
  const uint64_t ticket = p_.pins->ticket();
  if (page.tick) CO_RETURN_IF_ERROR(co_await tick());
  bool decided = co_await readers_have_decided(ticket);
  if (!decided) co_return {};
  const std::set<ExtentKey> held = p_.pins->held();
  std::vector<uint32_t> skipped(page.items.size(), 0);
  for (size_t i = 0; i < page.items.size(); ++i) {
    if (held.contains(key_of(page.items[i].ref))) skipped[i] = std::exchange(page.items[i].left, 0);
  }
  co_await deleter_.run(page.items, stop_);
  note_debt(page.items);
  Changes changes = std::move(page.dropped);
  for (size_t i = 0; i < page.items.size(); ++i) {
    if (skipped[i] == 0) note_deleted(page, i, changes);
  }
  co_return co_await commit(std::move(changes));
}

// What becomes of a doomed record after this round's DELETEs.
void CollectorImpl::note_deleted(const DoomedPage& page, size_t item, Changes& changes) {
  DoomedRecord record = page.records[item];
  if (page.items[item].left == record.left) return;
  if (record.stage == DoomedRecord::Stage::doomed) {
    for (int shard = 0; shard < record.ref.geometry.code.n; ++shard) {
      const bool gone = ((record.left & ~page.items[item].left) >> shard & 1) != 0;
      if (gone) counts_.deleted_bytes += stored_bytes(record.ref, shard);
    }
  }
  record.left = page.items[item].left;
  KeyChange change{doomed_key(key_of(record.ref)), page.values[item], std::nullopt};
  if (record.left > 0) {
    change.after = encode(record);
  } else if (record.stage == DoomedRecord::Stage::doomed) {
    ++counts_.doomed_deleted;
    record.stage = DoomedRecord::Stage::deleted;
    record.since_ms = later_ms();
    record.left = record.ref.all_shards();
    change.after = encode(record);
  } else {
    ++counts_.deleted_twice;
  }
  changes.push_back(std::move(change));
}

// --- garbage of closed epochs ---

io::Task<Result<void>> CollectorImpl::sweep_epochs() {
  const uint64_t current = p_.committer.applied().epoch;
  auto look = [current](const index::Snapshot& view) { return find_epochs(view, current); };
  Result<std::vector<EpochWork>> works = co_await on_view(look);
  if (!works) co_return fail(works.error());
  for (EpochWork& work : *works) {
    if (stop_) break;
    CO_RETURN_IF_ERROR(co_await sweep_epoch(&work));
  }
  co_return {};
}

io::Task<Result<void>> CollectorImpl::keep_state(EpochWork* work) {
  std::string after = encode(*work->state);
  std::optional<std::string> before;
  if (!work->value.empty()) before = work->value;
  Changes changes;
  changes.push_back({epoch_swept_key(work->open.epoch), std::move(before), after});
  CO_RETURN_IF_ERROR(co_await commit(std::move(changes)));
  work->value = std::move(after);
  co_return {};
}

io::Task<Result<void>> CollectorImpl::sweep_epoch(EpochWork* work) {
  using Stage = EpochSweep::Stage;
  if (!work->state) {
    // An upload may hold ids of an epoch that was closed since. Once none does, the commit that says so is the end of it: uploads that
    // come later get ids of later epochs, and those that ended have their commit before this one, or never.
    std::optional<uint64_t> oldest = p_.pins->oldest_writer();
    if (oldest && *oldest <= work->open.epoch) co_return {};
    work->state = EpochSweep{Stage::first, later_ms(), Sweep(islands_)};
    CO_RETURN_IF_ERROR(co_await keep_state(work));
  }
  EpochSweep& state = *work->state;
  if (state.stage == Stage::waiting) {
    if (!passed(state.since_ms, p_.options.again, now_ms())) co_return {};
    CO_RETURN_IF_ERROR(co_await tick());
    state = {Stage::second, state.since_ms, Sweep(islands_)};
  }
  if (state.sweep.below.size() != islands_) state.sweep = Sweep(islands_);
  std::set<extent::ExtentId> in_use;
  if (p_.snapshots.extents) {
    auto extents = co_await on_view(p_.snapshots.extents);
    if (!extents) co_return fail(extents.error());
    for (const extent::ExtentRef& ref : *extents) in_use.insert(ref.id);
  }
  for (bool more = true; more && !stop_;) {
    CO_ASSIGN_OR_RETURN(more, co_await sweep_ids(work, in_use));
  }
  if (state.sweep.lowest().seq <= work->range) co_return {};
  if (state.stage == Stage::first) {
    state = {Stage::waiting, later_ms(), Sweep()};
  } else {
    state = {Stage::done, later_ms(), Sweep()};
  }
  co_return co_await keep_state(work);
}

// The next page of ids, from where the islands that are furthest behind stand. False when nothing moves any more.
io::Task<Result<bool>> CollectorImpl::sweep_ids(EpochWork* work, const std::set<extent::ExtentId>& in_use) {
  Sweep& sweep = work->state->sweep;
  const uint32_t willing = deleter_.willing(p_.home.now());
  uint64_t from = work->range + 1;
  for (size_t i = 0; i < islands_; ++i) {
    const uint64_t at = std::max<uint64_t>(sweep.below[i].seq, 1);
    if (willing >> i & 1) from = std::min(from, at);
  }
  if (from > work->range) co_return false;
  const uint64_t to = std::min(work->range + 1, from + p_.options.batch);
  auto look = [work, from, to, &in_use](const index::Snapshot& view) {
    return find_orphans(view, *work, from, to, in_use);
  };
  Result<std::vector<Deleter::Item>> found = co_await on_view(look);
  if (!found) co_return fail(found.error());
  std::vector<Deleter::Item> items = std::move(*found);
  const uint64_t seen = sweep.highest().seq;
  for (Deleter::Item& item : items) {
    for (size_t i = 0; i < islands_; ++i) {
      if ((willing >> i & 1) != 0 && sweep.below[i].seq <= item.ref.id.counter) item.left |= 1u << i;
    }
  }
  co_await deleter_.run(items, stop_);
  note_debt(items);
  for (const Deleter::Item& item : items) {
    if (item.ref.id.counter < seen) continue;
    ++(work->state->stage == EpochSweep::Stage::first ? counts_.orphans : counts_.deleted_twice);
  }
  const bool moved = advance(sweep, items, willing, {work->open.epoch, to}, position_of);
  if (moved && sweep.lowest().seq <= work->range) CO_RETURN_IF_ERROR(co_await keep_state(work));
  co_return moved;
}

// --- commit blobs ---

// The truncation limit by the journalled time, which moves on when that would raise the limit.
io::Task<Result<std::optional<CommitPosition>>> CollectorImpl::find_limit() {
  auto limit_at = [this](UnixMs at_ms) {
    return on_view([this, at_ms](const index::Snapshot& view) { return p_.snapshots.limit(view, at_ms); });
  };
  Result<std::optional<CommitPosition>> limit = co_await limit_at(journalled_ms_);
  if (!limit || now_ms() <= journalled_ms_) co_return limit;
  Result<std::optional<CommitPosition>> later = co_await limit_at(now_ms());
  if (!later || *later == *limit) co_return later;
  Result<void> ticked = co_await tick();
  if (!ticked) co_return fail(ticked.error());
  limit = co_await limit_at(journalled_ms_);
  co_return limit;
}

io::Task<Result<void>> CollectorImpl::sweep_commits() {
  if (!p_.snapshots.limit) co_return {};
  Result<std::optional<CommitPosition>> limit = co_await find_limit();
  if (!limit) co_return fail(limit.error());
  if (!*limit) co_return {};
  auto look = [limit = *limit](const index::Snapshot& view) { return find_commits(view, limit); };
  Result<CommitWork> found = co_await on_view(look);
  if (!found) co_return fail(found.error());
  CommitWork work = std::move(*found);
  if (work.state.first.below.size() != islands_) work.state.first = Sweep(islands_);
  if (work.state.second.below.size() != islands_) work.state.second = Sweep(islands_);

  CommitSweep& state = work.state;
  for (bool more = true; more && !stop_;) {
    CO_ASSIGN_OR_RETURN(more, co_await sweep_commit_page(&work, &state.first, **limit));
  }
  const CommitPosition none{};
  if (state.mark == none && state.first.lowest() > state.second.lowest()) {
    state.mark = state.first.lowest();
    state.marked_ms = later_ms();
    CO_RETURN_IF_ERROR(co_await keep_state(&work));
  }
  if (state.mark == none || !passed(state.marked_ms, p_.options.again, now_ms())) co_return {};
  CO_RETURN_IF_ERROR(co_await tick());
  for (bool more = true; more && !stop_;) {
    CO_ASSIGN_OR_RETURN(more, co_await sweep_commit_page(&work, &state.second, state.mark));
  }
  if (state.second.lowest() < state.mark) co_return {};
  state.mark = none;
  co_return co_await keep_state(&work);
}

io::Task<Result<void>> CollectorImpl::keep_state(CommitWork* work) {
  std::string after = encode(work->state);
  Changes changes;
  changes.push_back({commit_sweep_key(), work->value, after});
  CO_RETURN_IF_ERROR(co_await commit(std::move(changes)));
  work->value = std::move(after);
  co_return {};
}

io::Task<Result<bool>> CollectorImpl::sweep_commit_page(CommitWork* work, Sweep* sweep,
                                                        CommitPosition until) {
  const uint32_t willing = deleter_.willing(p_.home.now());
  CommitPosition from = until;
  for (size_t i = 0; i < islands_; ++i) {
    if (willing >> i & 1) from = std::min(from, sweep->below[i]);
  }
  if (from >= until) co_return false;
  auto look = [work, from, until, batch = p_.options.batch](const index::Snapshot& view) {
    return find_dead_commits(view, *work, from, until, batch);
  };
  Result<CommitPage> found = co_await on_view(look);
  if (!found) co_return fail(found.error());
  CommitPage page = std::move(*found);
  const uint64_t ticket = p_.pins->ticket();
  bool decided = co_await readers_have_decided(ticket);
  if (!decided) co_return false;
  // A reader may still be sending what the last commits before this round dropped: the sweep waits for it there.
  const std::set<ExtentKey> held = p_.pins->held();
  auto pinned = std::ranges::find_if(
      page.items, [&held](const Deleter::Item& item) { return held.contains(key_of(item.ref)); });
  if (pinned != page.items.end()) {
    page.end = position_of(pinned->ref);
    page.items.erase(pinned, page.items.end());
  }
  const CommitPosition seen = sweep->highest();
  for (Deleter::Item& item : page.items) {
    for (size_t i = 0; i < islands_; ++i) {
      if ((willing >> i & 1) != 0 && sweep->below[i] <= position_of(item.ref)) item.left |= 1u << i;
    }
  }
  co_await deleter_.run(page.items, stop_);
  note_debt(page.items);
  for (const Deleter::Item& item : page.items) {
    if (position_of(item.ref) >= seen)
      ++(sweep == &work->state.first ? counts_.commits : counts_.deleted_twice);
  }
  const bool moved = advance(*sweep, page.items, willing, page.end, position_of);
  if (moved) CO_RETURN_IF_ERROR(co_await keep_state(work));
  co_return moved;
}

}  // namespace

std::unique_ptr<Collector> make_collector(CollectorParts parts) {
  return std::make_unique<CollectorImpl>(std::move(parts));
}

}  // namespace archipel::store
