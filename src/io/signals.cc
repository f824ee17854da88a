#include "io/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <thread>
#include <utility>

#include "io/epoll_loop.h"

namespace archipel::io {
namespace {

constexpr std::array kSignals = {SIGTERM, SIGINT, SIGHUP};
constexpr size_t kWatchesMax = 16;  // at a time in one process

// What the handler sees: the pipes into which it writes the signals' numbers, -1 where there is none; and how many threads are in it.
struct Pipe {
  std::atomic<int> fd = -1;
};
std::array<Pipe, kWatchesMax> pipes;
std::atomic<int> handling = 0;
std::mutex changing;  // guards the number of pipes, and with it the signals' actions
size_t watches = 0, usr2_watches = 0;

void on_signal(int signal) {
  const int before = errno;
  ++handling;
  const auto byte = static_cast<uint8_t>(signal);
  for (Pipe& pipe : pipes) {
    const int fd = pipe.fd;
    // A pipe that is full holds signals enough.
    if (fd >= 0) [[maybe_unused]]
      ssize_t n = ::write(fd, &byte, 1);
  }
  --handling;
  errno = before;
}

Result<void> handle_signal(int signal, void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  if (::sigaction(signal, &action, nullptr) != 0)
    return fail_errno(errno, "watching signal " + std::to_string(signal));
  return {};
}

Result<void> handle_signals(void (*handler)(int)) {
  for (int signal : kSignals) RETURN_IF_ERROR(handle_signal(signal, handler));
  return {};
}

Result<void> add_pipe(int fd, bool usr2) {
  std::lock_guard lock(changing);
  if (watches == kWatchesMax) return fail(Code::limit, "too many watches of signals in one process");
  for (Pipe& pipe : pipes) {
    if (pipe.fd != -1) continue;
    pipe.fd = fd;
    break;
  }
  ++watches;
  if (usr2) ++usr2_watches;
  if (usr2 && usr2_watches == 1) RETURN_IF_ERROR(handle_signal(SIGUSR2, on_signal));
  return watches == 1 ? handle_signals(on_signal) : Result<void>{};
}

// Afterwards no handler knows `fd` any more.
void remove_pipe(int fd, bool usr2) {
  std::lock_guard lock(changing);
  if (usr2 && --usr2_watches == 0) [[maybe_unused]]
    Result<void> ignored = handle_signal(SIGUSR2, SIG_DFL);
  if (--watches == 0) [[maybe_unused]]
    Result<void> ignored = handle_signals(SIG_DFL);
  for (Pipe& pipe : pipes) {
    int expected = fd;
    pipe.fd.compare_exchange_strong(expected, -1);
  }
  while (handling != 0) std::this_thread::yield();
}

// Alive while it is watched, and while its callback runs, which may end the watch.
class Receiver final : public EpollLoop::Watched, public std::enable_shared_from_this<Receiver> {
 public:
  Receiver(Loop& loop, std::move_only_function<void(int)> callback, bool usr2)
      : loop_(EpollLoop::of(loop)), callback_(std::move(callback)), usr2_(usr2) {}
  ~Receiver() { end(); }

  Result<void> begin() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0)
      return fail_errno(errno, "opening a pipe for signals");
    read_ = ends[0];
    write_ = ends[1];
    watch_ = loop_.watch(read_, *this);
    if (watch_ == nullptr) return fail_errno(ENOMEM, "watching a pipe for signals");
    RETURN_IF_ERROR(add_pipe(write_, usr2_));
    added_ = true;
    return {};
  }
  void end() {
    if (std::exchange(added_, false)) remove_pipe(write_, usr2_);
    if (watch_ != nullptr) loop_.unwatch(read_, std::exchange(watch_, nullptr));
    if (read_ >= 0) ::close(std::exchange(read_, -1));
    if (write_ >= 0) ::close(std::exchange(write_, -1));
  }

 private:
  void on_events(uint32_t) override {
    const std::shared_ptr<Receiver> self = shared_from_this();
    uint8_t signal = 0;
    while (added_ && ::read(read_, &signal, 1) == 1)
      if (signal != SIGUSR2 || usr2_) callback_(signal);
  }
  void on_again(uint32_t) override {}

  EpollLoop& loop_;
  std::move_only_function<void(int)> callback_;
  const bool usr2_;
  int read_ = -1, write_ = -1;
  bool added_ = false;
  EpollLoop::Watch* watch_ = nullptr;
};

struct Watch final : SignalWatch {
  explicit Watch(std::shared_ptr<Receiver> r) : receiver(std::move(r)) {}
  ~Watch() override { receiver->end(); }
  std::shared_ptr<Receiver> receiver;
};

}  // namespace

Result<std::unique_ptr<SignalWatch>> watch_signals(Loop& loop, std::move_only_function<void(int)> callback,
                                                   bool usr2) {
  auto receiver = std::make_shared<Receiver>(loop, std::move(callback), usr2);
  RETURN_IF_ERROR(receiver->begin());
  return std::make_unique<Watch>(std::move(receiver));
}

}  // namespace archipel::io
