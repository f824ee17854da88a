#include "index/snapshot_keeper.h"

#include <algorithm>
#include <bit>

#include "base/log.h"
#include "base/metrics.h"
#include "index/overlay.h"

namespace archipel::index {
namespace {

constexpr uint64_t kUnknownBytes = uint64_t{1} << 62;  // of journal: more than any threshold

struct Metrics {
  metrics::Counter written{"archipel_snapshot_written_total", "Snapshots of the index written"};
  metrics::Counter failed{"archipel_snapshot_failed_total",
                          "Snapshots of the index that could not be written; tried again"};
  metrics::Gauge bytes{"archipel_snapshot_bytes", "Size of the newest snapshot, before coding"};
  metrics::Gauge entries{"archipel_snapshot_entries", "Entries of the index in the newest snapshot"};
  metrics::Gauge time{"archipel_snapshot_time_seconds",
                      "When the newest snapshot was taken, seconds since 1970"};
  metrics::Gauge duration{"archipel_snapshot_duration_milliseconds",
                          "How long writing the newest snapshot took"};
  metrics::Gauge journal{"archipel_snapshot_journal_bytes", "Journal since the newest snapshot"};
  metrics::Counter slots{"archipel_head_slot_written_total",
                         "Head slots written and confirmed by enough islands"};
  metrics::Counter slots_failed{"archipel_head_slot_failed_total",
                                "Head slots that too few islands confirmed; tried again"};
  metrics::Gauge slot_islands{"archipel_head_slot_islands", "Islands that confirmed the last head slot"};
};
Metrics& shared_metrics() {
  static auto* all = new Metrics;
  return *all;
}

// Of the commit that was to adopt a snapshot: it did not happen and will not, unlike after unavailable or a timeout.
bool refused(const Error& error) {
  return error.code == Code::precondition || error.code == Code::limit;
}

class Keeper final : public SnapshotKeeper {
 public:
  Keeper(SnapshotKeeperParts parts, SnapshotOptions options)
      : p_(std::move(parts)), options_(options), progress_(*p_.progress) {
    slot_number_ = p_.slot ? p_.slot->number : 0;
    // How much journal lies before this start. Without a slot that is not known, but of a realm that has just begun.
    if (p_.slot) {
      bytes_before_ = p_.slot->journal_bytes;
    } else if (progress_.open.epoch != 1) {
      bytes_before_ = kUnknownBytes;
    }
  }

  void start() override {
    scope_.spawn(keep_slots(this));
    scope_.spawn(keep_snapshots(this));
  }

  io::Task<Result<void>> snapshot_now() override {
    CO_RETURN_IF_ERROR(co_await busy_snapshot_.acquire(1));
    Result<void> done = co_await snapshot();
    busy_snapshot_.release(1);
    co_return done;
  }

  io::Task<void> close() override {
    stop_ = true;
    progress_.changed.notify_all();
    stopped_.notify_all();
    co_await scope_.join();
    if (progress_.commits == slot_commits_ && !slot_due_) co_return;
    if (may_write()) {
      [[maybe_unused]] Result<void> last = co_await write_slot(options_.last_slot_deadline);
    }
  }

 private:
  static io::Task<void> keep_slots(Keeper* self);
  static io::Task<void> keep_snapshots(Keeper* self);
  io::Task<Result<void>> snapshot();
  io::Task<Result<void>> adopt(SnapshotManifest manifest);
  io::Task<Result<void>> write_slot(Duration deadline);
  io::Task<Result<void>> write_slot_now(Duration deadline);
  io::Task<Result<void>> note_confirmed(uint64_t snapshot_number);
  io::Task<Result<std::vector<SnapshotManifest>>> newest_snapshots();

  bool may_write() const {
    return progress_.open.epoch != 0 && p_.write.committer.open() && (!p_.may_write || p_.may_write());
  }
  bool slot_wanted() const {
    return may_write() && (slot_due_ || slot_epoch_ != progress_.open.epoch ||
                           progress_.commits - slot_commits_ >= options_.slot_commits);
  }
  uint64_t journal_bytes() const { return bytes_before_ + progress_.bytes - bytes_mark_; }
  bool snapshot_wanted() const {
    if (!may_write()) return false;
    if (options_.commits_max != 0 && progress_.commits - commits_mark_ >= options_.commits_max) return true;
    return journal_bytes() > std::max(options_.journal_bytes_min, snapshot_bytes_);
  }

  SnapshotKeeperParts p_;
  SnapshotOptions options_;
  Progress& progress_;
  Metrics& metrics_ = shared_metrics();
  bool stop_ = false;
  io::Event stopped_;

  // Of the journal when the newest snapshot was taken.
  uint64_t bytes_before_ = 0, bytes_mark_ = 0, commits_mark_ = 0;
  uint64_t snapshot_bytes_ = 0;  // size of the newest
  Duration snapshot_pause_{};    // after the last failure; 0: it did not fail

  uint64_t slot_number_ = 0;  // of the last that was written
  uint64_t slot_commits_ = 0, slot_epoch_ = 0;
  bool slot_due_ = true;
  uint64_t noted_ = 0;  // the newest snapshot whose head is known to be on w islands

  io::Semaphore busy_snapshot_{1}, busy_slot_{1};
  io::TaskScope scope_;
};

io::Task<void> Keeper::keep_slots(Keeper* self) {
  while (!self->stop_) {
    if (!self->slot_wanted()) {
      co_await self->progress_.changed.wait();
      continue;
    }
    Result<void> written = co_await self->write_slot(self->options_.slot_deadline);
    if (written || self->stop_) continue;
    co_await self->stopped_.wait(self->p_.home.now() + self->options_.retry_pause);
  }
}

io::Task<void> Keeper::keep_snapshots(Keeper* self) {
  Result<std::vector<SnapshotManifest>> kept = co_await self->newest_snapshots();
  if (kept && !kept->empty()) self->snapshot_bytes_ = kept->front().stream.length;
  while (!self->stop_) {
    self->metrics_.journal.set(static_cast<int64_t>(std::min(self->journal_bytes(), kUnknownBytes)));
    if (!self->snapshot_wanted()) {
      co_await self->progress_.changed.wait();
      continue;
    }
    Result<void> written = co_await self->snapshot_now();
    if (written) self->snapshot_pause_ = {};
    if (written || self->stop_) continue;
    // Each try may write the whole index once more.
    self->snapshot_pause_ = std::clamp(self->snapshot_pause_ * 2, self->options_.retry_pause,
                                       std::max(self->options_.retry_pause, self->options_.retry_pause_max));
    co_await self->stopped_.wait(self->p_.home.now() + self->snapshot_pause_);
  }
}

// The newest first, as a head slot names them.
io::Task<Result<std::vector<SnapshotManifest>>> Keeper::newest_snapshots() {
  Result<std::vector<SnapshotManifest>> kept =
      co_await p_.write.workers.run([this] { return read_snapshots(*p_.write.kv.snapshot()); });
  if (kept) std::ranges::reverse(*kept);
  co_return kept;
}

io::Task<Result<void>> Keeper::snapshot() {
  const TimePoint begun = p_.home.now();
  const uint64_t bytes_then = progress_.bytes;
  CO_ASSIGN_OR_RETURN(std::vector<SnapshotManifest> kept, co_await newest_snapshots());
  uint64_t number = 1 + (kept.empty() ? 0 : kept.front().number);
  if (p_.slot && !p_.slot->snapshots.empty())
    number = std::max(number, p_.slot->snapshots.front().number + 1);
  std::vector<extent::ExtentRef> orphans;
  Result<SnapshotManifest> manifest =
      co_await write_snapshot(p_.write, number, options_.chunk_segments, stop_, &orphans);
  Result<void> done;
  uint64_t length = 0, sealed = 0, entries = 0;
  UnixMs created_ms = 0;
  if (manifest) {
    length = manifest->stream.length;
    sealed = manifest->sealed_bytes();
    entries = manifest->entries;
    created_ms = manifest->created_ms;
    std::vector<extent::ExtentRef> written = manifest->refs();
    done = co_await adopt(std::move(*manifest));
    if (!done && refused(done.error())) orphans = std::move(written);
  } else {
    done = fail(manifest.error());
  }
  if (!done) {
    if (p_.abandoned && !orphans.empty()) co_await p_.abandoned(std::move(orphans));
    if (done.error().code == Code::cancelled) co_return done;
    metrics_.failed.add();
    log::warn("journal.snapshot_failed", {{"snapshot", number}, {"reason", done.error().message}});
    co_return done;
  }
  bytes_before_ = 0;
  bytes_mark_ = bytes_then;
  commits_mark_ = progress_.commits;
  snapshot_bytes_ = length;
  slot_due_ = true;
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(p_.home.now() - begun).count();
  metrics_.written.add();
  metrics_.bytes.set(static_cast<int64_t>(sealed));
  metrics_.entries.set(static_cast<int64_t>(entries));
  metrics_.time.set(created_ms / 1000);
  metrics_.duration.set(took);
  log::info("journal.snapshot",
            {{"snapshot", number}, {"entries", entries}, {"bytes", sealed}, {"milliseconds", took}});
  Result<void> slot = co_await write_slot(options_.slot_deadline);
  if (!slot) progress_.changed.notify_all();  // keep_slots() goes on with it, even if no commit comes
  co_return slot;
}

// The commit from which on the snapshot counts.
io::Task<Result<void>> Keeper::adopt(SnapshotManifest manifest) {
  auto shared = std::make_shared<const SnapshotManifest>(std::move(manifest));
  Intent intent;
  intent.own = true;
  intent.build = [manifest = shared, now_ms = p_.write.clock.unix_ms()](
                     const View& view, const std::vector<SmallLocation>&,
                     std::vector<Mutation>& out) -> Result<void> {
    ASSIGN_OR_RETURN(std::vector<Mutation> more, adopt_snapshot(view, *manifest, now_ms));
    std::ranges::move(more, std::back_inserter(out));
    return {};
  };
  Result<CommitPosition> committed = co_await p_.write.committer.commit(std::move(intent));
  if (!committed) co_return fail(committed.error());
  if (p_.adopted) p_.adopted(*shared);
  co_return {};
}

io::Task<Result<void>> Keeper::write_slot(Duration deadline) {
  CO_RETURN_IF_ERROR(co_await busy_slot_.acquire(1));
  Result<void> written = co_await write_slot_now(deadline);
  busy_slot_.release(1);
  co_return written;
}

io::Task<Result<void>> Keeper::write_slot_now(Duration deadline) {
  HeadSlot slot;
  slot.number = slot_number_ + 1;
  // The position first: snapshots that come to be known meanwhile are only newer.
  slot.position = progress_.last;
  slot.roster = progress_.open.roster;
  slot.code = progress_.open.code;
  slot.w = progress_.open.w;
  slot.journal_bytes = journal_bytes();
  slot.written_ms = p_.write.clock.unix_ms();
  const uint64_t commits = progress_.commits;
  CO_ASSIGN_OR_RETURN(slot.snapshots, co_await newest_snapshots());
  const uint64_t newest = slot.snapshots.empty() ? 0 : slot.snapshots.front().number;
  if (!may_write()) co_return fail(Code::unavailable, "the journal is closed");
  slot_number_ = slot.number;
  const uint32_t mask = co_await write_head_slot(p_.write.keys, *p_.write.placement, slot, p_.write.workers,
                                                 p_.home, p_.write.random, p_.home.now() + deadline);
  metrics_.slot_islands.set(std::popcount(mask));
  if (std::popcount(mask) < p_.w) {
    metrics_.slots_failed.add();
    co_return fail(Code::unavailable, "a head slot was confirmed by " + std::to_string(std::popcount(mask)) +
                                          " islands, and " + std::to_string(p_.w) + " are needed");
  }
  metrics_.slots.add();
  slot_commits_ = commits;
  slot_epoch_ = slot.position.epoch;
  slot_due_ = false;
  if (!stop_ && newest != noted_) CO_RETURN_IF_ERROR(co_await note_confirmed(newest));
  co_return {};
}

io::Task<Result<void>> Keeper::note_confirmed(uint64_t snapshot_number) {
  const UnixMs now_ms = p_.write.clock.unix_ms();
  const Duration delay = options_.truncation_delay;
  auto look = [this, snapshot_number, now_ms, delay] {
    return note_head_confirmed(LayeredView(p_.write.kv.snapshot(), {}), snapshot_number, now_ms, delay);
  };
  Result<std::vector<Mutation>> needed = co_await p_.write.workers.run(look);
  if (!needed) co_return fail(needed.error());
  if (needed->empty()) co_return {};
  Intent intent;
  intent.own = true;
  intent.build = [snapshot_number, now_ms, delay](const View& view, const std::vector<SmallLocation>&,
                                                  std::vector<Mutation>& out) -> Result<void> {
    ASSIGN_OR_RETURN(std::vector<Mutation> more, note_head_confirmed(view, snapshot_number, now_ms, delay));
    std::ranges::move(more, std::back_inserter(out));
    return {};
  };
  Result<CommitPosition> committed = co_await p_.write.committer.commit(std::move(intent));
  if (!committed) co_return fail(committed.error());
  noted_ = snapshot_number;
  co_return {};
}

}  // namespace

std::unique_ptr<SnapshotKeeper> make_snapshot_keeper(SnapshotKeeperParts parts, SnapshotOptions options) {
  return std::make_unique<Keeper>(std::move(parts), options);
}

}  // namespace archipel::index
