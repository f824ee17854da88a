#include "io/workers.h"

#include <pthread.h>
#include <signal.h>

#include <condition_variable>
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

class ThreadPool final : public Workers {
 public:
  explicit ThreadPool(int threads) {
    CHECK(threads >= 1);
    BlockedSignals blocked;
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this, i] {
        pthread_setname_np(pthread_self(), ("worker-" + std::to_string(i)).c_str());
        work();
      });
    }
  }

  ~ThreadPool() override {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void submit(Callback job) override {
    // Notified under the lock: the job may finish, and its owner destroy the pool, before this thread goes
    // on.
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    if (idle_ > 0) wake_.notify_one();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      while (jobs_.empty()) {
        if (closing_) return;
        ++idle_;
        wake_.wait(lock);
        --idle_;
      }
      Callback job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      job = nullptr;
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Callback> jobs_;
  int idle_ = 0;
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<Workers> make_workers(int threads) {
  return std::make_unique<ThreadPool>(threads);
}

}  // namespace archipel::io
