#include "index/reopening_committer.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "base/log.h"
#include "io/sync.h"

namespace archipel::index {
namespace {

constexpr Duration kPauseMin = std::chrono::milliseconds(500);  // between two tries to open the next epoch
constexpr Duration kPauseMax = std::chrono::seconds(10);

class ReopeningCommitter final : public Committer {
 public:
  ReopeningCommitter(CommitterParts parts, Held held, Reopen reopen)
      : home_(parts.home),
        workers_(parts.workers),
        kv_(parts.kv),
        held_(std::move(held)),
        reopen_(std::move(reopen)) {
    keep_lease();
    begin(std::move(parts));
  }
  ReopeningCommitter(ClosedParts parts, Held held, Reopen reopen)
      : home_(parts.home),
        workers_(parts.workers),
        kv_(parts.kv),
        held_(std::move(held)),
        reopen_(std::move(reopen)) {
    keep_lease();
    set_reason(std::move(parts.reason.message));
    reopening_ = true;
    scope_.spawn(reopen_until_done(this));
  }

  io::Task<Result<CommitPosition>> commit(Intent intent) override {
    io::Loop* caller = io::Loop::current();
    CHECK(caller != nullptr);
    co_await io::resume_on(home_);
    Result<CommitPosition> answer = fail(closed_error());
    if (std::shared_ptr<EpochCommitter> now = current()) answer = co_await now->commit(std::move(intent));
    co_await io::resume_on(*caller);
    co_return answer;
  }

  io::Task<Result<NewExtent>> allocate_extent() override {
    io::Loop* caller = io::Loop::current();
    CHECK(caller != nullptr);
    co_await io::resume_on(home_);
    Result<NewExtent> answer = fail(closed_error());
    if (std::shared_ptr<EpochCommitter> now = current()) answer = co_await now->allocate_extent();
    co_await io::resume_on(*caller);
    co_return answer;
  }

  io::Task<Result<void>> reopen(std::vector<std::string> rejoin) override {
    io::Loop* caller = io::Loop::current();
    CHECK(caller != nullptr);
    co_await io::resume_on(home_);
    Result<void> answer = fail(closed_error());
    if (!closing_) {
      const uint64_t wanted = ++reopens_wanted_;
      rejoin_ = std::move(rejoin);
      if (open_) {
        open_ = false;
        set_reason("the next epoch is being opened");
        if (held_.lease) held_.lease->let_go();
        if (!std::exchange(reopening_, true)) scope_.spawn(reopen_until_done(this));
      } else {
        stop_.notify_all();  // it need not rest
      }
      while (reopens_done_ < wanted) co_await tried_.wait();
      answer = reopen_outcome_;
    }
    co_await io::resume_on(*caller);
    co_return answer;
  }

  io::Task<void> close() override {
    io::Loop* caller = io::Loop::current();
    CHECK(caller != nullptr);
    co_await io::resume_on(home_);
    closing_ = true;
    stop_.notify_all();
    co_await scope_.join();
    if (std::shared_ptr<EpochCommitter> last = replace(nullptr)) co_await last->close();
    if (held_.lease) co_await held_.lease->close();
    co_await io::resume_on(*caller);
  }

  CommitPosition applied() const override {
    std::shared_ptr<EpochCommitter> now = current();
    std::lock_guard lock(mutex_);
    return now ? now->applied() : applied_;
  }

  bool open() const override { return open_; }
  std::string closed_because() const override {
    std::lock_guard lock(mutex_);
    return reason_;
  }
  bool may_read() const override { return !held_.lease || held_.lease->gate().may_read(); }

 private:
  // Callers hold their copy while they use it; the last one out, on the home loop, destroys it.
  std::shared_ptr<EpochCommitter> current() const {
    std::lock_guard lock(mutex_);
    return current_;
  }
  std::shared_ptr<EpochCommitter> replace(std::shared_ptr<EpochCommitter> next) {
    std::lock_guard lock(mutex_);
    if (current_) applied_ = current_->applied();
    return std::exchange(current_, std::move(next));
  }

  void keep_lease() {
    if (!held_.lease) return;
    held_.lease->start([this](const Error& reason) {
      if (std::shared_ptr<EpochCommitter> now = current()) now->stop(reason);
    });
  }

  void begin(CommitterParts parts) {
    if (held_.lease) parts.lease = &held_.lease->gate();
    if (parts.unreported) std::ranges::move(*parts.unreported, std::back_inserter(*unreported_));
    parts.unreported = unreported_;
    parts.on_failed = [this](const Error& reason) {
      set_reason(reason.message);
      if (held_.lease) held_.lease->let_go();
      open_ = false;
      // Who closes has waited for the scope already: nothing may begin in it, and no epoch follows.
      if (!closing_ && !std::exchange(reopening_, true)) scope_.spawn(reopen_until_done(this));
    };
    replace(make_committer(std::move(parts)));
    set_reason({});
    was_open_ = true;
    open_ = true;
  }

  static io::Task<void> reopen_until_done(ReopeningCommitter* self) {
    if (std::shared_ptr<EpochCommitter> failed = self->replace(nullptr)) co_await failed->close();
    std::string shown = co_await self->view_position();
    Duration pause = kPauseMin;
    // A journal that never was open has just been tried.
    if (!self->was_open_) co_await self->rest(pause);
    for (; !self->closing_; pause = std::min(2 * pause, kPauseMax)) {
      const uint64_t wanted = self->reopens_wanted_;
      Result<CommitterParts> parts =
          co_await self->reopen_(self->kv_, self->closing_, std::exchange(self->rejoin_, {}));
      std::string now = co_await self->view_position();
      if (std::exchange(shown, now) != now && self->hook_) co_await self->hook_();
      self->reopen_outcome_ = Result<void>{};
      if (!parts) self->reopen_outcome_ = fail(parts.error());
      self->reopens_done_ = wanted;
      if (parts) {
        self->reopening_ = false;
        self->begin(std::move(*parts));
        self->tried_.notify_all();
        co_return;
      }
      self->tried_.notify_all();
      if (parts.error().message != self->closed_because()) {
        log::warn("journal.still_closed", {{"reason", parts.error().message}});
        self->set_reason(std::move(parts.error().message));
      }
      co_await self->rest(pause);
    }
    self->reopen_outcome_ = fail(self->closed_error());
    self->reopens_done_ = self->reopens_wanted_;
    self->tried_.notify_all();
  }
  io::Task<void> rest(Duration pause) {
    if (!closing_ && reopens_done_ == reopens_wanted_) co_await stop_.wait(home_.now() + pause);
  }

  // Of the last commit that the view shows; its bytes only tell whether it has moved.
  io::Task<std::string> view_position() {
    std::string position = co_await workers_.run([this] {
      Result<std::optional<Applied>> applied = read_applied(*kv_.snapshot());
      std::string out;
      if (applied && *applied)
        Writer(out).u64((*applied)->epoch).u64((*applied)->seq).raw(ByteView((*applied)->hash));
      return out;
    });
    co_return position;
  }

  Error closed_error() const {
    if (closing_) return {Code::unavailable, "the gateway is shutting down; try again", {}};
    std::string reason = closed_because();
    return {Code::unavailable,
            "the journal is closed until enough islands answer" + (reason.empty() ? "" : ": " + reason),
            {}};
  }
  void set_reason(std::string reason) {
    std::lock_guard lock(mutex_);
    reason_ = std::move(reason);
  }

  io::Loop& home_;
  io::Workers& workers_;
  Kv& kv_;
  Held held_;
  Reopen reopen_;
  mutable std::mutex mutex_;
  std::shared_ptr<EpochCommitter> current_;  // null while closed
  CommitPosition applied_;                   // while closed
  std::string reason_;                       // while closed
  std::atomic<bool> open_{false};
  // Home loop only.
  bool was_open_ = false;
  bool reopening_ = false;                          // reopen_until_done() runs
  uint64_t reopens_wanted_ = 0, reopens_done_ = 0;  // calls of reopen()
  std::vector<std::string> rejoin_;                 // for the next try
  Result<void> reopen_outcome_;
  io::Event tried_;
  // Masks that a committer leaves behind go to the next one, so that their debt is not forgotten.
  std::shared_ptr<std::vector<Record::Confirmed>> unreported_ =
      std::make_shared<std::vector<Record::Confirmed>>();
  bool closing_ = false;
  io::Event stop_;
  io::TaskScope scope_;
};

}  // namespace

std::unique_ptr<Committer> make_reopening_committer(CommitterParts parts, Held held, Reopen reopen) {
  return std::make_unique<ReopeningCommitter>(std::move(parts), std::move(held), std::move(reopen));
}

std::unique_ptr<Committer> make_closed_committer(ClosedParts parts, Held held, Reopen reopen) {
  return std::make_unique<ReopeningCommitter>(std::move(parts), std::move(held), std::move(reopen));
}

}  // namespace archipel::index
