#include "io/descriptor.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <utility>

namespace archipel::io {
namespace {

// Of an end or an error both directions must hear.
constexpr uint32_t kOver = EPOLLHUP | EPOLLERR;
constexpr uint32_t kSpecial = kOver | EPOLLRDHUP | EPOLLPRI;
constexpr uint32_t kReadable = EPOLLIN | kSpecial;
constexpr uint32_t kWritable = EPOLLOUT | kOver;

}  // namespace

Descriptor::Descriptor(Loop& loop, int fd) : loop_(EpollLoop::of(loop)), fd_(fd) {
  side(Direction::write).may = true;
  // Last: the loop may call at once.
  watch_ = loop_.watch(fd, *this);
  if (watch_ != nullptr) return;
  ::close(fd);
  fd_ = -1;
}

Descriptor::~Descriptor() {
  close();
}

void Descriptor::close() {
  if (closed()) return;
  loop_.unwatch(fd_, watch_);
  ::close(std::exchange(fd_, -1));
  for (Side& side : sides_) {
    if (side.timer != 0) loop_.cancel(std::exchange(side.timer, 0));
    Ready* waiter = std::exchange(side.waiter, nullptr);
    if (waiter == nullptr) continue;
    waiter->wake_ = Wake::cancelled;
    loop_.post([self = waiter->self_] { self.resume(); });
  }
}

bool Descriptor::Ready::await_ready() noexcept {
  if (owner_->closed()) wake_ = Wake::cancelled;
  return owner_->closed();
}

void Descriptor::Ready::await_suspend(std::coroutine_handle<> self) {
  self_ = self;
  owner_->start_wait(*this);
}

void Descriptor::start_wait(Ready& waiter) {
  Side& own = side(waiter.direction_);
  CHECK(own.waiter == nullptr);
  own.waiter = &waiter;
  if (waiter.deadline_ != kNoDeadline) set_timer(waiter.direction_, waiter.deadline_);
  if (own.may) loop_.call_again(watch_, static_cast<uint32_t>(waiter.direction_));
}

void Descriptor::on_events(uint32_t events) {
  special_ = special_ || (events & kSpecial) != 0;
  Side& reading = side(Direction::read);
  Side& writing = side(Direction::write);
  const bool read = (events & kReadable) != 0, write = (events & kWritable) != 0;
  reading.may = reading.may || read;
  writing.may = writing.may || write;
  // Whoever is woken may destroy this object, so a second waiter has a turn of its own.
  const bool wakes_reader = read && reading.waiter != nullptr;
  if (write && writing.waiter != nullptr) {
    if (!wakes_reader) return wake(Direction::write, Wake::ready);
    loop_.call_again(watch_, static_cast<uint32_t>(Direction::write));
  }
  if (wakes_reader) wake(Direction::read, Wake::ready);
}

// Asked for by a waiter that an event may have woken before, so who waits now may be another one: it waits for an event unless it may try.
void Descriptor::on_again(uint32_t what) {
  const auto direction = static_cast<Direction>(what);
  if (may(direction)) wake(direction, Wake::ready);
}

void Descriptor::wake(Direction direction, Wake wake) {
  Ready* waiter = std::exchange(side(direction).waiter, nullptr);
  if (waiter == nullptr) return;
  waiter->wake_ = wake;
  waiter->self_.resume();
}

void Descriptor::set_timer(Direction direction, Deadline deadline) {
  Side& own = side(direction);
  if (own.timer != 0) {
    if (own.timer_at <= deadline) return;
    loop_.cancel(own.timer);
  }
  own.timer_at = deadline;
  own.timer = loop_.run_at(deadline, [this, direction] { on_timer(direction); });
}

void Descriptor::on_timer(Direction direction) {
  Side& own = side(direction);
  own.timer = 0;
  if (own.waiter == nullptr || own.waiter->deadline_ == kNoDeadline) return;
  if (own.waiter->deadline_ > own.timer_at) return set_timer(direction, own.waiter->deadline_);
  wake(direction, Wake::timeout);
}

}  // namespace archipel::io
