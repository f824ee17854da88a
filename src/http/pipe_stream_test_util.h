// A loop with virtual time and streams in memory, so that server tests need no sockets, threads or waiting. Tests only.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/stream.h"
#include "io/sync.h"

namespace archipel::http::testing {

// Everything happens inside settle() and advance(), on the thread that calls them.
class ManualLoop final : public io::Loop {
 public:
  ManualLoop() { set_current(this); }
  ~ManualLoop() override { set_current(nullptr); }

  TimePoint now() override { return now_; }
  void post(io::Callback callback) override { posted_.push_back(std::move(callback)); }
  TimerId run_at(TimePoint when, io::Callback callback) override {
    timers_.emplace(std::pair(when, ++last_timer_), std::move(callback));
    return last_timer_;
  }
  bool cancel(TimerId id) override {
    return std::erase_if(timers_, [id](const auto& t) { return t.first.second == id; }) > 0;
  }
  void run() override { settle(); }
  void stop() override {}

  // Runs what is posted, and what that posts, until nothing is left.
  void settle() {
    while (!posted_.empty()) {
      io::Callback callback = std::move(posted_.front());
      posted_.pop_front();
      callback();
    }
  }
  // Lets `duration` pass, firing timers at their times.
  void advance(Duration duration) {
    TimePoint end = now_ + duration;
    settle();
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      auto first = timers_.extract(timers_.begin());
      now_ = std::max(now_, first.key().first);
      first.mapped()();
      settle();
    }
    now_ = end;
  }

 private:
  TimePoint now_{std::chrono::hours(1)};
  TimerId last_timer_ = 0;
  std::deque<io::Callback> posted_;
  std::map<std::pair<TimePoint, TimerId>, io::Callback> timers_;
};

// One direction of a connection.
struct Channel {
  std::string bytes;           // written and not read yet
  size_t capacity = SIZE_MAX;  // writes wait while this much is unread
  size_t at_once = 0;          // what try_write_parts() takes
  bool ended = false;          // the writer ended it
  bool reset = false;          // RST
  bool writing = false;        // somebody is at it
  io::Event changed;
};

// What the server did with its side of a connection.
struct Trace {
  int waits = 0, reads = 0, writes = 0;
  size_t largest_read = 0;
};

class PipeStream final : public io::Stream {
 public:
  PipeStream(std::shared_ptr<Channel> in, std::shared_ptr<Channel> out, std::shared_ptr<Trace> trace,
             size_t read_max)
      : in_(std::move(in)), out_(std::move(out)), trace_(std::move(trace)), read_max_(read_max) {}
  ~PipeStream() override { PipeStream::close(false); }

  io::Task<Result<void>> wait_readable(Deadline deadline) override {
    ++trace_->waits;
    auto ready = co_await readable(deadline);
    co_return ready;
  }
  io::Task<Result<size_t>> read(MutableBytes out, Deadline deadline) override {
    CHECK(!out.empty());
    ++trace_->reads;
    CO_RETURN_IF_ERROR(co_await readable(deadline));
    if (in_->reset) co_return fail(Code::io, "reset by the peer");
    size_t n = std::min({out.size(), in_->bytes.size(), read_max_});
    std::copy_n(in_->bytes.begin(), n, out.begin());
    in_->bytes.erase(0, n);
    trace_->largest_read = std::max(trace_->largest_read, n);
    in_->changed.notify_all();
    co_return n;
  }
  io::Task<Result<void>> write(std::span<const ByteView> parts, Deadline deadline) override {
    ++trace_->writes;
    auto channel = out_;
    // As the descriptors of real streams do: one write at a time.
    CHECK(!channel->writing);
    channel->writing = true;
    auto written = co_await write_all(channel, parts, deadline);
    channel->writing = false;
    co_return written;
  }
  std::optional<Result<size_t>> try_read(MutableBytes out) override {
    if (closed_) return fail(Code::cancelled, "closed here");
    if (in_->reset) return fail(Code::io, "reset by the peer");
    if (in_->bytes.empty() && !in_->ended) return std::nullopt;
    ++trace_->reads;
    if (in_->bytes.empty()) return size_t{0};
    size_t n = std::min({out.size(), in_->bytes.size(), read_max_});
    std::copy_n(in_->bytes.begin(), n, out.begin());
    in_->bytes.erase(0, n);
    trace_->largest_read = std::max(trace_->largest_read, n);
    in_->changed.notify_all();
    return n;
  }
  size_t try_write(ByteView bytes) override { return try_write_parts({&bytes, 1}); }
  size_t try_write_parts(std::span<const ByteView> parts) override {
    size_t taken = 0;
    if (closed_ || out_->reset) return taken;
    CHECK(!out_->writing);
    for (ByteView part : parts) {
      const size_t n = std::min(part.size(), out_->at_once - taken);
      out_->bytes += as_text(part.first(n));
      taken += n;
    }
    out_->changed.notify_all();
    return taken;
  }
  void shutdown_write() override {
    out_->ended = true;
    out_->changed.notify_all();
  }
  void close(bool reset) override {
    if (closed_) return;
    closed_ = true;
    out_->ended = true;
    out_->reset = out_->reset || reset;
    in_->changed.notify_all();
    out_->changed.notify_all();
  }
  std::string peer() const override { return "192.0.2.1:5"; }

 private:
  io::Task<Result<void>> write_all(std::shared_ptr<Channel> channel, std::span<const ByteView> parts,
                                   Deadline deadline) {
    for (ByteView part : parts) {
      while (!part.empty()) {
        if (closed_) co_return fail(Code::cancelled, "closed here");
        if (channel->reset) co_return fail(Code::io, "reset by the peer");
        size_t room = channel->capacity - std::min(channel->capacity, channel->bytes.size());
        size_t n = std::min(room, part.size());
        channel->bytes += as_text(part.first(n));
        channel->changed.notify_all();
        part = part.subspan(n);
        if (part.empty()) break;
        bool in_time = co_await channel->changed.wait(deadline);
        if (!in_time) co_return fail(Code::timeout, "the peer does not read");
      }
    }
    co_return {};
  }

  io::Task<Result<void>> readable(Deadline deadline) {
    auto channel = in_;
    while (!closed_ && channel->bytes.empty() && !channel->ended && !channel->reset) {
      bool in_time = co_await channel->changed.wait(deadline);
      if (!in_time) co_return fail(Code::timeout, "nothing came");
    }
    if (closed_) co_return fail(Code::cancelled, "closed here");
    co_return {};
  }

  std::shared_ptr<Channel> in_, out_;
  std::shared_ptr<Trace> trace_;
  const size_t read_max_;
  bool closed_ = false;
};

// The client's end, driven by the test.
struct Client {
  std::shared_ptr<Channel> to_server = std::make_shared<Channel>(), from_server = std::make_shared<Channel>();
  std::shared_ptr<Trace> trace = std::make_shared<Trace>();

  void send(std::string_view bytes) {
    to_server->bytes += bytes;
    to_server->changed.notify_all();
  }
  void end() {
    to_server->ended = true;
    to_server->changed.notify_all();
  }
  void reset() {
    to_server->reset = from_server->reset = true;
    to_server->changed.notify_all();
    from_server->changed.notify_all();
  }
  std::string take() {
    std::string all = std::exchange(from_server->bytes, {});
    from_server->changed.notify_all();
    return all;
  }
  bool ended() const { return from_server->ended; }
  bool was_reset() const { return from_server->reset; }
  size_t unread_by_server() const { return to_server->bytes.size(); }
};

class PipeListener final : public io::Listener {
 public:
  // Reads of the server return at most `read_max` bytes.
  Client connect(size_t read_max = SIZE_MAX) {
    Client client;
    waiting_.push_back(
        std::make_unique<PipeStream>(client.to_server, client.from_server, client.trace, read_max));
    changed_.notify_all();
    return client;
  }
  io::Task<Result<std::unique_ptr<io::Stream>>> accept() override {
    while (!closed_ && waiting_.empty()) co_await changed_.wait();
    if (closed_) co_return fail(Code::cancelled, "closed");
    std::unique_ptr<io::Stream> stream = std::move(waiting_.front());
    waiting_.pop_front();
    co_return stream;
  }
  void close() override {
    closed_ = true;
    changed_.notify_all();
  }
  std::string address() const override { return "192.0.2.2:80"; }
  bool closed() const { return closed_; }

 private:
  std::deque<std::unique_ptr<io::Stream>> waiting_;
  io::Event changed_;
  bool closed_ = false;
};

class FakeClock final : public Clock {
 public:
  TimePoint now() override { return {}; }
  UnixMs unix_ms() override { return unix; }
  UnixMs unix = 784'111'777'000;  // Sun, 06 Nov 1994 08:49:37 GMT
};

}  // namespace archipel::http::testing
