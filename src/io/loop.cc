#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <thread>

#include "io/epoll_loop.h"

namespace archipel::io {
namespace {

// Rounds of posted callbacks that run before sockets are looked at again. More saves epoll_wait calls, fewer
// is fairer to I/O.
constexpr int kDrainRounds = 8;
// Cancelled timers below this number are not worth a compaction.
constexpr size_t kDeadTimersMin = 64;
// What one epoll_wait may tell. Posted callbacks and timers wait until it is handled.
constexpr size_t kEventsPerLook = 256;
constexpr Duration kForEver = Duration::max();

thread_local Loop* current_loop = nullptr;

}  // namespace

Loop* Loop::current() {
  return current_loop;
}
void Loop::set_current(Loop* loop) {
  current_loop = loop;
}

struct EpollLoop::Watch {
  Watched* target;  // null once unwatched
};

EpollLoop::EpollLoop()
    : set_(::epoll_create1(EPOLL_CLOEXEC)), alarm_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  // A process that has no descriptors left for its loops, which are made when it starts, cannot go on.
  CHECK(set_ >= 0 && alarm_ >= 0);
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.ptr = nullptr}};
  CHECK(::epoll_ctl(set_, EPOLL_CTL_ADD, alarm_, &event) == 0);
}

EpollLoop::~EpollLoop() {
  CHECK(!running_.load(std::memory_order_relaxed));
  std::vector<Callback> unrun;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    unrun.swap(inbox_);
  }
  while (wakers_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  // What the callbacks hold may still post, cancel timers or close descriptors while it goes away, so the loop is whole until
  // here.
  unrun.clear();
  batch_.clear();
  auto timers = std::exchange(timers_, {});
  timers.clear();
  ::close(alarm_);
  ::close(set_);
}

EpollLoop& EpollLoop::of(Loop& loop) {
  auto* real = dynamic_cast<EpollLoop*>(&loop);
  CHECK(real != nullptr);
  return *real;
}

TimePoint EpollLoop::now() {
  if (!now_valid_) {
    now_ = std::chrono::steady_clock::now();
    now_valid_ = current_loop == this;
  }
  return now_;
}

// --- posted callbacks ----------------------------------------------------------------------------------------------------

void EpollLoop::post(Callback callback) {
  {
    std::lock_guard lock(mutex_);
    // Refused callbacks are destroyed by the caller's frame, after the lock is released.
    if (stopped_) return;
    inbox_.push_back(std::move(callback));
    if (pending_) return;
    pending_ = true;
    // In its own turns the loop looks at pending_ before it sleeps.
    if (current_loop == this) return;
    ++wakers_;
  }
  // Without the lock: waking is a system call, and the loop would only run into the lock.
  wake();
  wakers_.fetch_sub(1, std::memory_order_release);
}

void EpollLoop::wake() const {
  const uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(alarm_, &one, sizeof one);
}

void EpollLoop::run_posted() {
  for (int round = 0; round < kDrainRounds && pending_.load(std::memory_order_acquire); ++round) {
    {
      std::lock_guard lock(mutex_);
      if (stopped_) return;
      batch_.swap(inbox_);
      if (batch_.empty()) {
        pending_ = false;
        return;
      }
    }
    for (Callback& slot : batch_) {
      begin_turn();
      Callback callback = std::move(slot);
      callback();
    }
    batch_.clear();
  }
}

// --- timers --------------------------------------------------------------------------------------------------------------

Loop::TimerId EpollLoop::run_at(TimePoint when, Callback callback) {
  CHECK(on_loop_thread());
  TimerId id = next_timer_++;
  timers_.emplace(id, std::move(callback));
  heap_.push_back({when, id});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  return id;
}

bool EpollLoop::cancel(TimerId id) {
  CHECK(on_loop_thread());
  auto found = timers_.find(id);
  if (found == timers_.end()) return false;
  // Out of the table first: destroying the callback may come back here.
  auto node = timers_.extract(found);
  if (heap_.size() - timers_.size() > timers_.size() + kDeadTimersMin) compact();
  return true;
}

void EpollLoop::compact() {
  std::erase_if(heap_, [this](const Timer& t) { return !timers_.contains(t.id); });
  std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
}

void EpollLoop::drop_dead_top() {
  while (!heap_.empty() && !timers_.contains(heap_.front().id)) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
  }
}

// Runs what is due, and says how long there is time until the next timer. A cancelled timer may wake the loop once for
// nothing; that is cheaper than looking for the next live one after every callback.
Duration EpollLoop::fire_timers() {
  if (heap_.empty()) return kForEver;
  begin_turn();
  TimePoint due = now();
  if (heap_.front().when > due) return heap_.front().when - due;
  // Timers set by the callbacks wait for the next turn, even when they are due: sockets come in between.
  const TimerId first_new = next_timer_;
  for (drop_dead_top(); !heap_.empty() && !stopped(); drop_dead_top()) {
    Timer top = heap_.front();
    if (top.when > due || top.id >= first_new) break;
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
    auto node = timers_.extract(top.id);
    begin_turn();
    node.mapped()();
  }
  if (heap_.empty()) return kForEver;
  begin_turn();
  return std::max(heap_.front().when - now(), Duration{0});
}

// --- descriptors ---------------------------------------------------------------------------------------------------------

EpollLoop::Watch* EpollLoop::watch(int fd, Watched& target) {
  auto watch = std::make_unique<Watch>(&target);
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
                    .data = {.ptr = watch.get()}};
  if (::epoll_ctl(set_, EPOLL_CTL_ADD, fd, &event) != 0) return nullptr;
  return watch.release();
}

void EpollLoop::unwatch(int fd, Watch* watch) {
  // Closing alone would leave it in the set if another process has a descriptor of the same socket: one that was handed over.
  ::epoll_ctl(set_, EPOLL_CTL_DEL, fd, nullptr);
  watch->target = nullptr;
  std::lock_guard lock(mutex_);
  retired_.emplace_back(watch);
  retiring_.store(true, std::memory_order_relaxed);
}

// Between looks nothing names those that were unwatched, but what is to be called again.
void EpollLoop::forget_retired() {
  if (!retiring_.load(std::memory_order_relaxed)) return;
  std::erase_if(again_, [](const auto& one) { return one.first->target == nullptr; });
  std::vector<std::unique_ptr<Watch>> gone;
  std::lock_guard lock(mutex_);
  gone.swap(retired_);
  retiring_.store(false, std::memory_order_relaxed);
}

void EpollLoop::run_again() {
  again_batch_.swap(again_);
  for (auto [watch, what] : again_batch_) {
    if (stopped()) break;
    if (watch->target == nullptr) continue;
    begin_turn();
    watch->target->on_again(what);
  }
  again_batch_.clear();
}

int EpollLoop::wait(void* events, Duration patience) {
  auto* out = static_cast<epoll_event*>(events);
  constexpr int kMost = static_cast<int>(kEventsPerLook);
  if (patience <= Duration{0}) return ::epoll_wait(set_, out, kMost, 0);
  if (patience == kForEver) return ::epoll_wait(set_, out, kMost, -1);
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(patience).count();
  if (precise_) {
    const timespec timeout{.tv_sec = nanoseconds / 1'000'000'000, .tv_nsec = nanoseconds % 1'000'000'000};
    const int count = ::epoll_pwait2(set_, out, kMost, &timeout, nullptr);
    if (count >= 0 || errno == EINTR) return count;
    precise_ = false;  // an old kernel, or a sandbox that does not know the call
  }
  const auto whole = std::chrono::ceil<std::chrono::milliseconds>(patience).count();
  return ::epoll_wait(set_, out, kMost, static_cast<int>(std::min<int64_t>(whole, 1 << 30)));
}

// Waits for events, at most for `patience`, and handles all of them.
void EpollLoop::look(Duration patience) {
  std::array<epoll_event, kEventsPerLook> events;
  const int count = wait(events.data(), patience);
  for (int i = 0; i < count && !stopped(); ++i) {
    auto* watch = static_cast<Watch*>(events[static_cast<size_t>(i)].data.ptr);
    if (watch == nullptr || watch->target == nullptr) continue;  // the alarm, or unwatched by an event before
    begin_turn();
    watch->target->on_events(events[static_cast<size_t>(i)].events);
  }
}

void EpollLoop::run() {
  CHECK(!running_.exchange(true));
  Loop* outer = current_loop;
  set_current(this);
  while (!stopped()) {
    run_posted();
    if (stopped()) break;
    Duration patience = fire_timers();
    if (stopped()) break;
    forget_retired();
    if (pending_.load(std::memory_order_relaxed) || !again_.empty()) patience = Duration{0};
    look(patience);
    if (!again_.empty() && !stopped()) run_again();
  }
  set_current(outer);
  running_.store(false);
}

void EpollLoop::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  wake();
}

std::unique_ptr<Loop> make_loop() {
  return std::make_unique<EpollLoop>();
}

}  // namespace archipel::io
