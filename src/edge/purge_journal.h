// PurgeJournal: the log of purges for many threads. Those who wait at the same time share one write and one sync.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "edge/purge_log.h"
#include "io/workers.h"

namespace archipel::edge {

class PurgeJournal : public std::enable_shared_from_this<PurgeJournal> {
 public:
  // Of write_soon(), waiting; with more the log is written anew.
  static constexpr size_t kSoonMax = size_t{1} << 15;

  PurgeJournal(std::unique_ptr<PurgeLog> log, io::Workers& workers)
      : log_(std::move(log)), workers_(workers) {}

  // On the disk when it returns. Blocks: on a worker. `purge` is in the book already.
  Result<void> write(const Purge& purge);
  // Written by a worker, not synced. Does not block.
  void write_soon(const Purge& purge);
  // The whole log from the book: what was purged before this journal was known to those who purge. Blocks.
  void write_anew();
  // Waits for all write_soon(); from then on nothing is written. Blocks.
  void retire();
  // Waits for all write_soon(). Blocks.
  void flush();

 private:
  struct Waiter {
    const Purge& purge;
    bool done = false;
    Result<void> result;
  };
  // Holding log_mutex_: writes all that waits.
  void write_all();
  void write_what_waits();

  std::mutex log_mutex_;
  const std::unique_ptr<PurgeLog> log_;
  io::Workers& workers_;

  std::mutex mutex_;
  std::condition_variable written_;
  std::vector<Waiter*> waiters_;
  std::vector<Purge> soon_;
  bool writing_soon_ = false, anew_ = false, retired_ = false;
};

std::shared_ptr<PurgeJournal> make_purge_journal(std::unique_ptr<PurgeLog> log, io::Workers& workers);

}  // namespace archipel::edge
