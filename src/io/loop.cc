#include "io/asio_config.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <thread>

#include "io/asio_loop.h"

namespace archipel::io {
namespace {

namespace asio = boost::asio;

// Rounds of posted callbacks that run before sockets are looked at again. More saves epoll_wait calls, fewer
// is fairer to I/O.
constexpr int kDrainRounds = 8;
// Cancelled timers below this number are not worth a compaction.
constexpr size_t kDeadTimersMin = 64;

thread_local Loop* current_loop = nullptr;

}  // namespace

Loop* Loop::current() {
  return current_loop;
}
void Loop::set_current(Loop* loop) {
  current_loop = loop;
}

// UNSAFE_IO: sockets and timers are touched by one thread only, so the reactor needs no locks; posting keeps
// its own.
struct AsioLoop::Impl {
  asio::io_context context{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                             asio::io_context::executor_type>
      timer{context};
};

AsioLoop::AsioLoop() : impl_(std::make_unique<Impl>()) {}

AsioLoop::~AsioLoop() {
  CHECK(!running_.load(std::memory_order_relaxed));
  std::vector<Callback> unrun;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    unrun.swap(inbox_);
  }
  while (wakers_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  // What the callbacks hold may still post or cancel timers while it goes away, so the loop is whole until
  // here.
  unrun.clear();
  batch_.clear();
  auto timers = std::exchange(timers_, {});
  timers.clear();
  impl_.reset();
}

asio::io_context& AsioLoop::context() {
  return impl_->context;
}

AsioLoop& AsioLoop::of(Loop& loop) {
  auto* real = dynamic_cast<AsioLoop*>(&loop);
  CHECK(real != nullptr);
  return *real;
}

TimePoint AsioLoop::now() {
  if (!now_valid_) {
    now_ = std::chrono::steady_clock::now();
    now_valid_ = current_loop == this;
  }
  return now_;
}

void AsioLoop::post(Callback callback) {
  {
    std::lock_guard lock(mutex_);
    // Refused callbacks are destroyed by the caller's frame, after the lock is released.
    if (stopped_) return;
    inbox_.push_back(std::move(callback));
    if (drain_pending_) return;
    drain_pending_ = true;
    ++wakers_;
  }
  // Without the lock: waking is a system call, and the loop would only run into the lock.
  asio::post(impl_->context, [this] { drain(); });
  wakers_.fetch_sub(1, std::memory_order_release);
}

void AsioLoop::drain() {
  for (int round = 0; round < kDrainRounds; ++round) {
    {
      std::lock_guard lock(mutex_);
      if (inbox_.empty() || stopped_) {
        drain_pending_ = false;
        return;
      }
      batch_.swap(inbox_);
    }
    for (Callback& slot : batch_) {
      begin_turn();
      Callback callback = std::move(slot);
      callback();
    }
    batch_.clear();
  }
  asio::post(impl_->context, [this] { drain(); });
}

Loop::TimerId AsioLoop::run_at(TimePoint when, Callback callback) {
  CHECK(on_loop_thread());
  TimerId id = next_timer_++;
  timers_.emplace(id, std::move(callback));
  heap_.push_back({when, id});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  arm();
  return id;
}

bool AsioLoop::cancel(TimerId id) {
  CHECK(on_loop_thread());
  auto found = timers_.find(id);
  if (found == timers_.end()) return false;
  // Out of the table first: destroying the callback may come back here.
  auto node = timers_.extract(found);
  if (heap_.size() - timers_.size() > timers_.size() + kDeadTimersMin) compact();
  return true;
}

void AsioLoop::compact() {
  std::erase_if(heap_, [this](const Timer& t) { return !timers_.contains(t.id); });
  std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
}

void AsioLoop::drop_dead_top() {
  while (!heap_.empty() && !timers_.contains(heap_.front().id)) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
  }
}

// Sets the one kernel timer if the earliest timer lies before what it is set to. A cancelled timer may wake
// the loop once for nothing; that is cheaper than a system call per cancelled deadline.
void AsioLoop::arm() {
  if (heap_.empty() || heap_.front().when >= armed_) return;
  armed_ = heap_.front().when;
  impl_->timer.expires_at(armed_);
  impl_->timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) fire_timers();
  });
}

void AsioLoop::fire_timers() {
  begin_turn();
  armed_ = TimePoint::max();
  const TimePoint due = now();
  // Timers set by the callbacks wait for the next turn, even when they are due: sockets come in between.
  const TimerId first_new = next_timer_;
  for (drop_dead_top(); !heap_.empty() && !impl_->context.stopped(); drop_dead_top()) {
    Timer top = heap_.front();
    if (top.when > due || top.id >= first_new) break;
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
    auto node = timers_.extract(top.id);
    begin_turn();
    node.mapped()();
  }
  arm();
}

void AsioLoop::run() {
  CHECK(!running_.exchange(true));
  Loop* outer = current_loop;
  set_current(this);
  impl_->context.run();
  set_current(outer);
  running_.store(false);
}

void AsioLoop::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  impl_->context.stop();
}

std::unique_ptr<Loop> make_loop() {
  return std::make_unique<AsioLoop>();
}

}  // namespace archipel::io
