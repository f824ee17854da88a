#include "edge/purge_journal.h"

#include "base/log.h"

namespace archipel::edge {

std::shared_ptr<PurgeJournal> make_purge_journal(std::unique_ptr<PurgeLog> log, io::Workers& workers) {
  return std::make_shared<PurgeJournal>(std::move(log), workers);
}

void PurgeJournal::write_all() {
  std::vector<Waiter*> waiters;
  std::vector<Purge> purges;
  bool anew = false;
  {
    std::lock_guard lock(mutex_);
    waiters.swap(waiters_);
    purges.swap(soon_);
    anew = std::exchange(anew_, false);
  }
  for (const Waiter* waiter : waiters) purges.push_back(waiter->purge);
  if (purges.empty() && !anew) return;
  Result<void> done = anew ? log_->rewrite() : log_->append(purges, !waiters.empty());
  if (!done) log::warn("edge.purges.not_written", {{"reason", done.error().message}});
  for (Waiter* waiter : waiters) {
    waiter->result = done;
    waiter->done = true;
  }
  if (log_->wants_rewrite() && done)
    if (Result<void> again = log_->rewrite(); !again)
      log::warn("edge.purges.not_rewritten", {{"reason", again.error().message}});
}

Result<void> PurgeJournal::write(const Purge& purge) {
  Waiter self{purge, false, {}};
  {
    std::lock_guard lock(mutex_);
    if (retired_) return fail(Code::unavailable, "the log of purges is another process's");
    waiters_.push_back(&self);
  }
  std::lock_guard lock(log_mutex_);
  if (!self.done) write_all();
  return self.result;
}

void PurgeJournal::write_soon(const Purge& purge) {
  std::lock_guard lock(mutex_);
  if (retired_) return;
  if (soon_.size() < kSoonMax) {
    soon_.push_back(purge);
  } else {
    soon_.clear();
    anew_ = true;  // the book has them all
  }
  if (std::exchange(writing_soon_, true)) return;
  workers_.submit([self = shared_from_this()] { self->write_what_waits(); });
}

void PurgeJournal::write_what_waits() {
  for (;;) {
    {
      std::lock_guard log_lock(log_mutex_);
      write_all();
    }
    std::lock_guard lock(mutex_);
    if (!soon_.empty() || anew_) continue;
    writing_soon_ = false;
    written_.notify_all();
    return;
  }
}

void PurgeJournal::write_anew() {
  {
    std::lock_guard lock(mutex_);
    anew_ = true;
  }
  std::lock_guard lock(log_mutex_);
  write_all();
}

void PurgeJournal::retire() {
  {
    std::lock_guard lock(mutex_);
    retired_ = true;
  }
  flush();
  // Who waits in write() has it written by this, or has done so.
  std::lock_guard lock(log_mutex_);
  write_all();
}

void PurgeJournal::flush() {
  std::unique_lock lock(mutex_);
  written_.wait(lock, [this] { return !writing_soon_; });
}

}  // namespace archipel::edge
