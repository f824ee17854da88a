#include <algorithm>
#include <bit>
#include <cstdlib>
#include <deque>
#include <mutex>

#include "base/log.h"
#include "base/metrics.h"
#include "index/batch.h"
#include "index/committer_impl.h"
#include "io/sync.h"

namespace archipel::index {
namespace {

constexpr size_t kIntentsPerBatchMax = 1024;
constexpr size_t kSegmentsPerIntentMax = 4;
// Extent ids are reserved by as many as the epoch has used, within these: what was reserved and not used is asked for, and deleted, at every
// island once the epoch is over.
constexpr uint64_t kExtentsPerReservationMin = 256, kExtentsPerReservationMax = 4096;
constexpr uint64_t kExtentsLowShare = 4;  // less than a quarter of the last reservation left: reserve more

// One caller's intent. Lives in the frame of commit() until it is answered.
struct Pending {
  Intent intent;
  bool internal = false;
  std::optional<Result<CommitPosition>> answer;
  io::Event answered;

  void reply(Result<CommitPosition> result) {
    answer = std::move(result);
    answered.notify_all();
  }
};

// One commit under way.
struct Flight {
  enum class State { sending, confirmed, failed } state = State::sending;
  uint64_t seq = 0;
  std::shared_ptr<const BlobSet> blobs;
  std::shared_ptr<const Layer> layer;
  std::vector<Mutation> mutations;
  uint32_t mask = 0;
  std::vector<Record::Confirmed> told;  // masks of earlier commits that its record tells
  std::vector<Pending*> accepted;
  // Refused on the ground of commits before this one, which are not acknowledged yet: told when they are.
  std::vector<std::pair<Pending*, Error>> refused;
};

struct Metrics {
  metrics::Counter commits{"archipel_journal_commits_total", "Commits acknowledged"};
  metrics::Counter intents{"archipel_journal_intents_total",
                           "Intents acknowledged; per commit: how well writes share islands' rounds"};
  metrics::Counter bytes{"archipel_journal_commit_bytes_total",
                         "Bytes of acknowledged commits, over all islands"};
  metrics::Counter confirmed{"archipel_journal_shards_confirmed_total",
                             "Shards of commits confirmed when acknowledged"};
  metrics::Gauge in_flight{"archipel_journal_commits_in_flight", "Commits sent and not yet acknowledged"};
  metrics::Gauge queued{"archipel_journal_intents_queued", "Intents waiting for a commit"};
  metrics::Gauge closed{"archipel_journal_closed",
                        "1 after a commit missed its deadline: nothing is acknowledged any more"};
};

// One set for the process: the committers of successive epochs count on.
Metrics& shared_metrics() {
  static auto* all = new Metrics;
  return *all;
}

class CommitterImpl final : public EpochCommitter {
 public:
  explicit CommitterImpl(CommitterParts parts)
      : p_(std::move(parts)),
        coder_(p_.options.code),
        targets_(Targets::of(p_.placement, p_.counted)),
        prev_hash_(p_.open_hash),
        applied_{p_.open.epoch, 0},
        applied_hash_(p_.open_hash),
        range_end_(p_.open.extent_range) {
    if (p_.unreported) unreported_ = std::exchange(*p_.unreported, {});
    for (const Record::Confirmed& c : unreported_) {
      const int missing = p_.options.code.n - std::popcount(c.mask);
      if (missing > 0 && p_.options.on_debt) p_.options.on_debt(c.epoch, c.seq, c.mask);
    }
    metrics_.closed.set(0);
    if (p_.options.progress) p_.options.progress->begin(p_.open, p_.open_hash);
    scope_.spawn(pump(this));
    scope_.spawn(finish_in_order(this));
  }

  io::Task<Result<CommitPosition>> commit(Intent intent) override;
  io::Task<Result<NewExtent>> allocate_extent() override;
  io::Task<void> close() override;
  void stop(Error reason) override { stop_acknowledging(std::move(reason)); }
  CommitPosition applied() const override {
    std::lock_guard lock(applied_mutex_);
    return applied_;
  }

 private:
  // The two tasks that run as long as the committer: one builds and sends, the other finishes commits in their order.
  static io::Task<void> pump(CommitterImpl* self);
  static io::Task<void> finish_in_order(CommitterImpl* self);
  static io::Task<void> send(CommitterImpl* self, std::shared_ptr<Flight> flight);
  static io::Task<void> reserve_more(CommitterImpl* self);

  io::Task<void> enqueue(Pending& pending);
  std::vector<Pending*> take_batch();
  io::Task<void> build_and_send(std::vector<Pending*> batch);
  void launch(BuiltBatch built, const std::vector<Pending*>& batch, uint64_t seq,
              std::vector<Record::Confirmed> told);
  Result<void> apply_on_worker(const Flight& flight);
  bool may_act() const { return p_.lease == nullptr || p_.lease->may_write(); }
  static Error stale_error() {
    return {Code::unavailable,
            "the lease of this gateway is over 30 s old; another may have taken the realm",
            {}};
  }
  void acknowledge(Flight& flight);
  void give_up(Flight& flight);
  void stop_acknowledging(Error error);
  Error closed_error() const;
  uint64_t reservation() const {
    return std::clamp(range_end_, kExtentsPerReservationMin, kExtentsPerReservationMax);
  }
  void changed() { changed_.notify_all(); }

  CommitterParts p_;
  erasure::Coder coder_;
  Targets targets_;
  Metrics& metrics_ = shared_metrics();

  // All below: home loop only, but for applied_.
  std::deque<Pending*> queue_;
  std::deque<std::shared_ptr<Flight>> in_flight_;  // oldest first
  uint64_t next_seq_ = 1;
  Digest32 prev_hash_;
  std::vector<Record::Confirmed> unreported_;  // acknowledged, not yet told by a record
  size_t record_bytes_per_intent_ = 512;
  bool closing_ = false, pump_done_ = false;
  std::optional<Error> failed_;
  io::Event changed_;

  mutable std::mutex applied_mutex_;
  CommitPosition applied_;
  Digest32 applied_hash_;

  uint64_t range_next_ = 1, range_end_ = 0;
  bool reserving_ = false;
  io::Event range_changed_;

  io::TaskScope scope_;
};

Error CommitterImpl::closed_error() const {
  if (failed_)
    return {Code::unavailable, "the journal is closed until enough islands answer: " + failed_->message, {}};
  return {Code::unavailable, "the gateway is shutting down; try again", {}};
}

io::Task<void> CommitterImpl::enqueue(Pending& pending) {
  if (failed_ || closing_) {
    pending.answer = fail(closed_error());
    co_return;
  }
  if (queue_.size() >= p_.options.queue_max) {
    pending.answer = fail(Code::limit, "too many writes are waiting; slow down and try again");
    co_return;
  }
  if (pending.intent.small.size() > kSegmentsPerIntentMax) {
    pending.answer = fail(Code::internal, "an intent brings more small segments than the limit");
    co_return;
  }
  for (const Buffer& segment : pending.intent.small) {
    if (!segment.empty() && segment.size() <= extent::kSegmentSealed) continue;
    pending.answer = fail(Code::internal, "an intent brings a small segment of a size that cannot be");
    co_return;
  }
  queue_.push_back(&pending);
  metrics_.queued.set(static_cast<int64_t>(queue_.size()));
  changed();
  while (!pending.answer) co_await pending.answered.wait();
}

io::Task<Result<CommitPosition>> CommitterImpl::commit(Intent intent) {
  io::Loop* caller = io::Loop::current();
  CHECK(caller != nullptr);
  co_await io::resume_on(p_.home);
  Pending pending;
  pending.internal = intent.own;
  pending.intent = std::move(intent);
  co_await enqueue(pending);
  Result<CommitPosition> answer = std::move(*pending.answer);
  co_await io::resume_on(*caller);
  co_return answer;
}

// From the front: as many as fit a batch. An intent larger than what is left waits for the next, and so do those after it.
std::vector<Pending*> CommitterImpl::take_batch() {
  std::vector<Pending*> batch;
  size_t bytes = 0;
  while (!queue_.empty() && batch.size() < kIntentsPerBatchMax) {
    size_t more = 0;
    for (const Buffer& segment : queue_.front()->intent.small) more += segment.size();
    if (!batch.empty() && bytes + more > p_.options.batch_bytes_max) break;
    bytes += more;
    batch.push_back(queue_.front());
    queue_.pop_front();
  }
  metrics_.queued.set(static_cast<int64_t>(queue_.size()));
  return batch;
}

io::Task<void> CommitterImpl::pump(CommitterImpl* self) {
  for (;;) {
    if (self->queue_.empty()) {
      if (self->closing_) break;
      co_await self->changed_.wait();
    } else if (self->in_flight_.size() >= static_cast<size_t>(self->p_.options.in_flight_max)) {
      co_await self->changed_.wait();
    } else {
      co_await self->build_and_send(self->take_batch());
    }
  }
  self->pump_done_ = true;
  self->changed();
}

io::Task<void> CommitterImpl::build_and_send(std::vector<Pending*> batch) {
  const uint64_t seq = next_seq_;
  BatchContext context{
      .keys = p_.keys, .coder = coder_, .placement = p_.placement, .random = p_.random, .kv = p_.kv};
  for (const auto& flight : in_flight_) context.in_flight.push_back(flight->layer);
  context.epoch = p_.open.epoch;
  context.seq = seq;
  context.open = p_.open.bits;
  context.prev_hash = prev_hash_;
  context.commit_ms = p_.clock.unix_ms();
  const size_t masks = std::min(unreported_.size(), kMasksMax);
  context.confirmed.assign(unreported_.begin(), unreported_.begin() + static_cast<ptrdiff_t>(masks));
  context.record_bytes_per_intent = record_bytes_per_intent_;
  std::vector<BatchIntent> intents;
  intents.reserve(batch.size());
  for (const Pending* pending : batch) intents.push_back({&pending->intent, pending->internal});

  Result<BuiltBatch> built =
      co_await p_.workers.run([&context, &intents] { return build_batch(context, intents); });

  if (failed_ || !built) {
    Error error = failed_ ? closed_error() : built.error();
    if (!failed_) log::error("journal.build_failed", {{"reason", error.message}});
    for (Pending* pending : batch) pending->reply(fail(error));
    co_return;
  }
  if (built->accepted > 0) {
    unreported_.erase(unreported_.begin(), unreported_.begin() + static_cast<ptrdiff_t>(masks));
    // Half of the new figure: a guess that follows, and shrinks slowly.
    const size_t per_intent = built->record_bytes / built->accepted;
    record_bytes_per_intent_ =
        std::min(std::max(per_intent + per_intent / 8, (record_bytes_per_intent_ + per_intent) / 2),
                 kRecordBytesPerIntentMax);
  }
  launch(std::move(*built), batch, seq, std::move(context.confirmed));
}

void CommitterImpl::launch(BuiltBatch built, const std::vector<Pending*>& batch, uint64_t seq,
                           std::vector<Record::Confirmed> told) {
  std::shared_ptr<Flight> flight;
  if (built.accepted > 0) {
    flight = std::make_shared<Flight>();
    flight->seq = seq;
    flight->blobs = std::move(built.blobs);
    flight->layer = std::move(built.layer);
    flight->mutations = std::move(built.mutations);
    flight->told = std::move(told);
  } else if (!in_flight_.empty()) {
    flight = in_flight_.back();
  }
  for (size_t i = batch.size(); i-- > 0;) {
    BatchOutcome& outcome = built.outcomes[i];
    if (outcome.kind == BatchOutcome::Kind::deferred) {
      queue_.push_front(batch[i]);
    } else if (outcome.kind == BatchOutcome::Kind::accepted) {
      flight->accepted.push_back(batch[i]);
    } else if (flight) {
      flight->refused.emplace_back(batch[i], std::move(outcome.error));
    } else {
      batch[i]->reply(fail(std::move(outcome.error)));
    }
  }
  if (built.accepted == 0) return;
  next_seq_ = seq + 1;
  prev_hash_ = flight->blobs->sealed.hash;
  in_flight_.push_back(flight);
  metrics_.in_flight.set(static_cast<int64_t>(in_flight_.size()));
  scope_.spawn(send(this, flight));
}

io::Task<void> CommitterImpl::send(CommitterImpl* self, std::shared_ptr<Flight> flight) {
  Result<uint32_t> mask = co_await put_until_confirmed(self->p_.fanout, self->p_.home, flight->blobs,
                                                       self->targets_, self->p_.options.ack);
  if (mask) {
    flight->mask = *mask;
    flight->state = Flight::State::confirmed;
  } else {
    flight->state = Flight::State::failed;
    self->stop_acknowledging(mask.error());
  }
  self->changed();
}

// A commit missed its deadline: its outcome is unknown, and nothing may build on it. Those before it may still succeed.
void CommitterImpl::stop_acknowledging(Error error) {
  if (failed_) return;
  log::error("journal.closed",
             {{"epoch", p_.open.epoch}, {"reason", error.message}, {"action", "recovering"}});
  failed_ = std::move(error);
  metrics_.closed.set(1);
  for (Pending* pending : std::exchange(queue_, {})) pending->reply(fail(closed_error()));
  metrics_.queued.set(0);
  range_changed_.notify_all();
  if (p_.on_failed) p_.on_failed(*failed_);
}

io::Task<void> CommitterImpl::finish_in_order(CommitterImpl* self) {
  bool broken = false;  // a commit failed: whatever comes after it fails too, even if islands confirmed it
  for (;;) {
    if (self->in_flight_.empty()) {
      if (self->pump_done_) break;
      co_await self->changed_.wait();
      continue;
    }
    std::shared_ptr<Flight> flight = self->in_flight_.front();
    broken = broken || flight->state == Flight::State::failed;
    if (broken) {
      self->in_flight_.pop_front();
      self->give_up(*flight);
    } else if (flight->state == Flight::State::sending) {
      co_await self->changed_.wait();
      continue;
    } else if (!self->may_act()) {
      broken = true;
      self->stop_acknowledging(stale_error());
      continue;
    } else {
      Result<void> done =
          co_await self->p_.workers.run([self, &flight] { return self->apply_on_worker(*flight); });
      if (!done) {
        // Neither acknowledge nor skip: the next start replays it from the islands.
        log::error("journal.apply_failed",
                   {{"epoch", self->p_.open.epoch}, {"seq", flight->seq}, {"reason", done.error().message}});
        std::abort();
      }
      self->in_flight_.pop_front();
      self->acknowledge(*flight);
    }
    self->metrics_.in_flight.set(static_cast<int64_t>(self->in_flight_.size()));
    self->changed();
  }
}

// The head goes first: from then on the commit is held to be acknowledged, so that no reader of the view can have seen what a later recovery
// might void.
Result<void> CommitterImpl::apply_on_worker(const Flight& flight) {
  RETURN_IF_ERROR(p_.head->write({p_.open.epoch, flight.seq, flight.blobs->sealed.hash}, false, false));
  RETURN_IF_ERROR(p_.kv.write(flight.mutations));
  if (p_.options.on_applied) p_.options.on_applied(flight.mutations);
  return {};
}

void CommitterImpl::acknowledge(Flight& flight) {
  const CommitPosition position{p_.open.epoch, flight.seq};
  {
    std::lock_guard lock(applied_mutex_);
    applied_ = position;
    applied_hash_ = flight.blobs->sealed.hash;
  }
  unreported_.push_back({position.epoch, position.seq, flight.mask});
  if (p_.options.progress) p_.options.progress->advance(flight.blobs->sealed);
  const int confirmed = std::popcount(flight.mask);
  metrics_.commits.add();
  metrics_.intents.add(static_cast<int64_t>(flight.accepted.size()));
  metrics_.bytes.add(static_cast<int64_t>(flight.blobs->bytes()));
  metrics_.confirmed.add(confirmed);
  if (confirmed < p_.options.code.n && p_.options.on_debt)
    p_.options.on_debt(position.epoch, position.seq, flight.mask);
  // What took so long that the lease is over is there, but it may not be said.
  Result<CommitPosition> answer = position;
  if (!may_act()) answer = fail(stale_error());
  for (Pending* pending : flight.accepted) pending->reply(answer);
  for (auto& [pending, error] : flight.refused) pending->reply(fail(std::move(error)));
}

void CommitterImpl::give_up(Flight& flight) {
  Error error = closed_error();
  error.message += "; whether this write took effect is not known yet";
  // Its record may be void: what it told is told again, which changes nothing if it is not.
  unreported_.insert(unreported_.end(), flight.told.begin(), flight.told.end());
  for (Pending* pending : flight.accepted) pending->reply(fail(error));
  for (auto& [pending, reason] : flight.refused) pending->reply(fail(error));
}

io::Task<Result<NewExtent>> CommitterImpl::allocate_extent() {
  io::Loop* caller = io::Loop::current();
  CHECK(caller != nullptr);
  co_await io::resume_on(p_.home);
  Result<NewExtent> answer = fail(closed_error());
  for (;;) {
    if (failed_ || closing_) {
      answer = fail(closed_error());
      break;
    }
    if (range_end_ - range_next_ + 1 < std::min(reservation(), range_end_) / kExtentsLowShare &&
        !reserving_) {
      reserving_ = true;
      scope_.spawn(reserve_more(this));
    }
    if (range_next_ <= range_end_) {
      const extent::ExtentId id{p_.open.epoch, range_next_++};
      answer = NewExtent{id, attempt_of(p_.open.attempt_seed, id)};
      break;
    }
    if (!reserving_) {  // it was refused at once
      answer = fail(Code::limit, "too many writes are waiting; slow down and try again");
      break;
    }
    co_await range_changed_.wait();
  }
  co_await io::resume_on(*caller);
  co_return answer;
}

io::Task<void> CommitterImpl::reserve_more(CommitterImpl* self) {
  const uint64_t end = self->range_end_ + self->reservation();
  Pending pending;
  pending.internal = true;
  pending.intent.build = [epoch = self->p_.open.epoch, end](const View&, const std::vector<SmallLocation>&,
                                                            std::vector<Mutation>& out) {
    out.push_back(reserve_extents(epoch, end));
    return Result<void>{};
  };
  co_await self->enqueue(pending);
  if (*pending.answer) self->range_end_ = end;
  self->reserving_ = false;
  self->range_changed_.notify_all();
}

io::Task<void> CommitterImpl::close() {
  io::Loop* caller = io::Loop::current();
  CHECK(caller != nullptr);
  co_await io::resume_on(p_.home);
  const bool first = !std::exchange(closing_, true);
  changed();
  range_changed_.notify_all();
  co_await scope_.join();
  if (first && p_.unreported) *p_.unreported = std::move(unreported_);
  if (first && may_act()) {
    // What was acknowledged last is known and nothing is under way: the next start may trust this file whatever happens to the machine.
    HeadPosition last{p_.open.epoch, applied_.seq, applied_hash_};
    Result<void> written = co_await p_.workers.run([this, last] { return p_.head->write(last, true, true); });
    if (!written) log::warn("journal.head_not_clean", {{"reason", written.error().message}});
  }
  co_await io::resume_on(*caller);
}

}  // namespace

std::unique_ptr<EpochCommitter> make_committer(CommitterParts parts) {
  return std::make_unique<CommitterImpl>(std::move(parts));
}

}  // namespace archipel::index
