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
  ReopeningCommitter(CommitterParts parts, std::unique_ptr<DirLock> lock, Reopen reopen)
      : home_(parts.home), kv_(parts.kv), lock_(std::move(lock)), reopen_(std::move(reopen)) {
    begin(std::move(parts));
  }

  io::Task<Result<CommitPosition>> commit(Intent intent) override {
    io::Loop* caller = io::Loop::current();
    CHECK(caller != nullptr);
    co_await io::resume_on(home_);
    Result<CommitPosition> answer = fail(closed_error());
    if (std::shared_ptr<Committer> now = current()) answer = co_await now->commit(std::move(intent));
    co_await io::resume_on(*caller);
    co_return answer;
  }

  io::Task<Result<NewExtent>> allocate_extent() override {
    io::Loop* caller = io::Loop::current();
    CHECK(caller != nullptr);
    co_await io::resume_on(home_);
    Result<NewExtent> answer = fail(closed_error());
    if (std::shared_ptr<Committer> now = current()) answer = co_await now->allocate_extent();
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
    if (std::shared_ptr<Committer> last = replace(nullptr)) co_await last->close();
    co_await io::resume_on(*caller);
  }

  CommitPosition applied() const override {
    std::shared_ptr<Committer> now = current();
    std::lock_guard lock(mutex_);
    return now ? now->applied() : applied_;
  }

  bool open() const override { return open_; }

 private:
  // Callers hold their copy while they use it; the last one out, on the home loop, destroys it.
  std::shared_ptr<Committer> current() const {
    std::lock_guard lock(mutex_);
    return current_;
  }
  std::shared_ptr<Committer> replace(std::shared_ptr<Committer> next) {
    std::lock_guard lock(mutex_);
    if (current_) applied_ = current_->applied();
    return std::exchange(current_, std::move(next));
  }

  void begin(CommitterParts parts) {
    parts.unreported = unreported_;
    parts.on_failed = [this] {
      open_ = false;
      scope_.spawn(reopen_until_done(this));
    };
    replace(make_committer(std::move(parts)));
    open_ = true;
  }

  static io::Task<void> reopen_until_done(ReopeningCommitter* self) {
    std::shared_ptr<Committer> failed = self->replace(nullptr);
    co_await failed->close();
    failed.reset();
    std::string reason;
    for (Duration pause = kPauseMin; !self->closing_; pause = std::min(2 * pause, kPauseMax)) {
      Result<CommitterParts> parts = co_await self->reopen_(self->kv_, self->closing_);
      if (parts) {
        self->begin(std::move(*parts));
        co_return;
      }
      if (parts.error().message != reason) {
        reason = parts.error().message;
        self->reason_ = reason;
        log::warn("journal.still_closed", {{"reason", reason}});
      }
      co_await self->stop_.wait(self->home_.now() + pause);
    }
  }

  Error closed_error() const {
    if (closing_) return {Code::unavailable, "the gateway is shutting down; try again", {}};
    return {Code::unavailable,
            "the journal is closed until enough islands answer" + (reason_.empty() ? "" : ": " + reason_),
            {}};
  }

  io::Loop& home_;
  Kv& kv_;
  std::unique_ptr<DirLock> lock_;
  Reopen reopen_;
  mutable std::mutex mutex_;
  std::shared_ptr<Committer> current_;  // null while closed
  CommitPosition applied_;              // while closed
  std::atomic<bool> open_{false};
  // Home loop only.
  std::string reason_;
  // Masks that a committer leaves behind go to the next one, so that their debt is not forgotten.
  std::shared_ptr<std::vector<Record::Confirmed>> unreported_ =
      std::make_shared<std::vector<Record::Confirmed>>();
  bool closing_ = false;
  io::Event stop_;
  io::TaskScope scope_;
};

}  // namespace

std::unique_ptr<Committer> make_reopening_committer(CommitterParts parts, std::unique_ptr<DirLock> lock,
                                                    Reopen reopen) {
  return std::make_unique<ReopeningCommitter>(std::move(parts), std::move(lock), std::move(reopen));
}

}  // namespace archipel::index
