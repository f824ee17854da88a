#include "io/workers.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace archipel::io {
namespace {

// Blocks what belongs to the main thread for as long as it lives; threads started meanwhile inherit the mask.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    CHECK(pthread_sigmask(SIG_BLOCK, &signals, &before_) == 0);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_;
};

// One thread's sleep. A futex of its own, because the pool chooses whom it wakes.
class Sleep {
 public:
  void wait() {
    while (awake_.exchange(0, std::memory_order_acquire) == 0) futex(FUTEX_WAIT_PRIVATE, 0);
  }
  void wake() {
    awake_.store(1, std::memory_order_release);
    futex(FUTEX_WAKE_PRIVATE, 1);
  }

 private:
  void futex(int operation, uint32_t value) {
    syscall(SYS_futex, reinterpret_cast<uint32_t*>(&awake_), operation, value, nullptr, nullptr, 0);
  }
  std::atomic<uint32_t> awake_{0};
};

// Most jobs are shorter than the time a thread needs to wake up, some block for milliseconds. So at most one thread is being
// woken at a time, and it wakes the next if it leaves jobs behind: short jobs are done by the threads that are awake already,
// and blocking ones still spread over all. The thread that slept last is woken first, since its caches are warm.
class ThreadPool final : public Workers {
 public:
  explicit ThreadPool(int threads) : sleeps_(static_cast<size_t>(threads)) {
    CHECK(threads >= 1);
    BlockedSignals blocked;
    threads_.reserve(sleeps_.size());
    for (Sleep& sleep : sleeps_) {
      threads_.emplace_back([this, &sleep, number = threads_.size()] {
        pthread_setname_np(pthread_self(), ("worker-" + std::to_string(number)).c_str());
        work(sleep);
      });
    }
  }

  ~ThreadPool() override {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
    }
    for (Sleep& sleep : sleeps_) sleep.wake();
    for (std::thread& thread : threads_) thread.join();
  }

  void submit(Callback job) override {
    Sleep* next = nullptr;
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
      next = choose_to_wake();
    }
    if (next != nullptr) next->wake();
  }

 private:
  // With the lock held: whom the caller wakes, after releasing it, for the jobs that wait.
  Sleep* choose_to_wake() {
    if (waking_ || idle_.empty() || jobs_.empty()) return nullptr;
    Sleep* next = idle_.back();
    idle_.pop_back();
    waking_ = true;
    return next;
  }

  void work(Sleep& own) {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (jobs_.empty()) {
        if (closing_) return;
        idle_.push_back(&own);
        lock.unlock();
        own.wait();
        lock.lock();
        // Also set when the pool closes, where nobody needs to be woken any more.
        waking_ = false;
        continue;
      }
      Callback job = std::move(jobs_.front());
      jobs_.pop_front();
      Sleep* next = choose_to_wake();
      lock.unlock();
      if (next != nullptr) next->wake();
      job();
      job = nullptr;
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::deque<Callback> jobs_;
  std::vector<Sleep*> idle_;
  bool waking_ = false;  // one thread is between its wake-up and the lock
  bool closing_ = false;
  std::vector<Sleep> sleeps_;  // never resized: threads point into it
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<Workers> make_workers(int threads) {
  return std::make_unique<ThreadPool>(threads);
}

}  // namespace archipel::io
