#include "io/descriptor.h"

#include "io/asio_config.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "io/asio_loop.h"

namespace archipel::io {

namespace asio = boost::asio;

using Handle = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;

struct Descriptor::Impl {
  AsioLoop& loop;
  Handle handle;
};

Descriptor::Descriptor(Loop& loop, int fd)
    : loop_(loop), fd_(fd), impl_(new Impl{AsioLoop::of(loop), Handle(AsioLoop::of(loop).context())}) {
  boost::system::error_code error;
  impl_->handle.assign(fd, error);
  if (!error) return;
  ::close(fd);
  fd_ = -1;
}

Descriptor::~Descriptor() {
  close();
}

void Descriptor::close() {
  if (closed()) return;
  fd_ = -1;
  for (Side& side : sides_) {
    if (side.timer != 0) loop_.cancel(std::exchange(side.timer, 0));
    Ready* waiter = std::exchange(side.waiter, nullptr);
    if (waiter == nullptr) continue;
    waiter->owner_ = nullptr;
    waiter->wake_ = Wake::cancelled;
  }
  // Asio completes what it was asked to wait for; the handlers then find their waiters marked.
  boost::system::error_code ignored;
  impl_->handle.close(ignored);
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
  auto what = waiter.direction_ == Direction::read ? asio::posix::descriptor_base::wait_read
                                                   : asio::posix::descriptor_base::wait_write;
  // The handler keeps to the waiter, which lives until it is resumed here; the descriptor may be gone by then. Any outcome
  // that is neither a timeout nor a close is "ready": the system call that follows tells the truth.
  impl_->handle.async_wait(what, [&waiter, &loop = impl_->loop](const boost::system::error_code&) {
    loop.begin_turn();
    if (waiter.owner_ != nullptr) waiter.owner_->side(waiter.direction_).waiter = nullptr;
    waiter.self_.resume();
  });
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
  own.waiter->wake_ = Wake::timeout;
  // Wakes the other direction, too: spuriously, so it waits again.
  boost::system::error_code ignored;
  impl_->handle.cancel(ignored);
}

}  // namespace archipel::io
