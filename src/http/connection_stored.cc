// The part of a connection that sends responses which were made before, and what is neither a request nor its response: interim ones, upgrades.
#include <algorithm>
#include <array>

#include "http/connection.h"
#include "http/tallies.h"

namespace archipel::http {
namespace {

// What goes out in one run of bytes, put together on the stack: cheaper than to have the kernel gather it.
constexpr size_t kRunBytesMax = 4096;

}  // namespace

// The head up to `stored.h1_head` is not copied: space_->head holds what follows it.
Result<void> Connection::begin_stored(const StoredResponse& stored, std::optional<uint64_t> length) {
  CHECK(phase_ == Phase::waiting);
  frame_response(stored.status, length, true);
  // A HEAD of a body whose length nobody said: none is announced.
  if (!length && request().method == "HEAD") framing_ = {};
  bool ok = true;
  if (stored.h1_head.empty() && stored.headers != nullptr)
    ok = write_stored_head(space_->head, stored.status, *stored.headers);
  const std::string_view date = stored.date.empty() ? server_.date() : stored.date;
  ok = ok && write_stored_rest(space_->head, stored.extra, date, framing_, context(date));
  if (!ok) {
    space_->head.clear();
    return fail(Code::invalid,
                "the stored response has a status, header name or value that cannot go on the wire");
  }
  phase_ = Phase::streaming;
  return {};
}

// Each slice within a timeout of its own. `parts` are at most as many as respond_stored() has, and are used up.
io::Task<Result<void>> Connection::send_in_slices(std::span<ByteView> parts) {
  std::array<ByteView, 2 + kBodyPartsPerWrite> slice;
  while (!parts.empty()) {
    size_t count = 0, bytes = 0;
    while (!parts.empty() && bytes < kWriteSliceBytes) {
      ByteView& part = parts.front();
      const ByteView taken = part.first(std::min(part.size(), kWriteSliceBytes - bytes));
      slice[count++] = taken;
      bytes += taken.size();
      part = part.subspan(taken.size());
      if (part.empty()) parts = parts.subspan(1);
    }
    auto written = co_await send({slice.data(), count});
    if (!written) co_return fail(written.error());
  }
  co_return {};
}

io::Task<Result<void>> Connection::respond_stored(const StoredResponse& stored,
                                                  std::span<const ByteView> body) {
  while (continuing_) co_await continued_.wait();
  uint64_t size = 0;
  for (ByteView part : body) size += part.size();
  const bool bodyless = request().method == "HEAD" || stored.status == 304;
  std::optional<uint64_t> length = stored.length;
  if (!length && !(bodyless && size == 0)) length = size;
  CO_RETURN_IF_ERROR(begin_stored(stored, length));
  if (!body_allowed_)
    body = {};
  else if (framing_.length != size)
    write_error_ = {Code::internal, "the stored body has another length than its head says", {}};
  std::array<ByteView, 2 + kBodyPartsPerWrite> parts;
  parts[0] = as_bytes(stored.h1_head);
  parts[1] = as_bytes(space_->head);
  size_t count = 2;
  while (!write_error_ && (count > 0 || !body.empty())) {
    while (!body.empty() && count < parts.size()) {
      parts[count++] = body.front();
      body = body.subspan(1);
    }
    // What the socket has room for goes in one call, however much it is.
    std::span<ByteView> rest = send_now({parts.data(), count});
    if (!rest.empty()) {
      auto written = co_await send_in_slices(rest);
      if (!written) write_error_ = written.error();
    }
    count = 0;
  }
  space_->head.clear();
  if (write_error_) co_return fail(*write_error_);
  phase_ = Phase::complete;
  co_return {};
}

// What the client does not take at once: the rest is finish_stored()'s.
NowExchange::Now Connection::keep_rest(std::span<const ByteView> rest) {
  space_->rests = rest.size();
  std::ranges::copy(rest, space_->rest.begin());
  return Now::begun;
}

NowExchange::Now Connection::respond_stored_now(const StoredResponse& stored, ByteView body) {
  CHECK(phase_ == Phase::waiting);
  // What is not usual is respond_stored()'s: it can wait, and say what is wrong.
  const bool bodyless = stored.status == 304 || request().method == "HEAD";
  const bool usual = !stored.h1_head.empty() && stored.length &&
                     (bodyless || *stored.length == body.size()) && stored.status != 204 &&
                     stored.status != 205;
  if (!usual || continuing_) return Now::no;
  frame_response(stored.status, stored.length, true);
  phase_ = Phase::streaming;
  if (!body_allowed_) body = {};
  const std::string_view date = stored.date.empty() ? server_.date() : stored.date;
  std::string& head = space_->head;
  char run[kRunBytesMax];
  const size_t size =
      write_stored_whole(run, stored.h1_head, stored.extra, date, framing_, context(date), body);
  if (size > 0) {
    const size_t taken = stream_->try_write(as_bytes({run, size}));
    sent_total().add(static_cast<int64_t>(taken));
    if (taken < size) {
      head.assign(run + taken, size - taken);
      return keep_rest(std::array{as_bytes(head)});
    }
  } else {
    const bool written = write_stored_rest(head, stored.extra, date, framing_, context(date));
    CHECK(written);
    std::array<ByteView, 3> parts = {as_bytes(stored.h1_head), as_bytes(head), body};
    const std::span<ByteView> rest = send_now(parts);
    if (!rest.empty()) return keep_rest(rest);
    head.clear();
  }
  phase_ = Phase::complete;
  return Now::whole;
}

io::Task<Result<void>> Connection::finish_stored() {
  CHECK(phase_ == Phase::streaming);
  const std::span<ByteView> rest = std::span(space_->rest).first(std::exchange(space_->rests, 0));
  auto sent = co_await send_in_slices(rest);
  space_->head.clear();
  if (!sent) {
    write_error_ = sent.error();
    co_return sent;
  }
  phase_ = Phase::complete;
  co_return {};
}

io::Task<Result<void>> Connection::start_stored(const StoredResponse& stored) {
  space_->head.assign(
      stored.h1_head);  // it waits for the first bytes of the body, longer than the caller may keep it
  co_return begin_stored(stored, stored.length);
}

io::Task<Result<void>> Connection::interim(int status, Headers headers) {
  CHECK(phase_ == Phase::waiting);
  if (request().minor_version == 0) co_return {};
  std::string head;
  if (status == 101 || !write_interim_head(head, status, headers))
    co_return fail(Code::invalid,
                   "the interim response has a status, header name or value that cannot go on the wire");
  while (continuing_) co_await continued_.wait();
  std::array<ByteView, 1> parts = {as_bytes(head)};
  // The body may be asked for meanwhile.
  continuing_ = true;
  auto written = co_await send(parts);
  continuing_ = false;
  continued_.notify_all();
  if (!written) write_error_ = written.error();
  co_return written;
}

io::Task<Result<std::unique_ptr<io::Stream>>> Connection::upgrade(Headers headers) {
  CHECK(phase_ == Phase::waiting);
  const RequestHead& head = space_->parser.head();
  bool asked = head.request.minor_version > 0 && head.request.headers.find("upgrade") != nullptr;
  bool listed = false;
  for (const auto& [name, value] : head.request.headers)
    listed = listed || (name == "connection" && list_contains(value, "upgrade"));
  if (!asked || !listed || !body_.done() || server_.draining)
    co_return fail(Code::invalid, "the request does not ask to leave HTTP, or has a body");
  std::string text;
  if (!write_interim_head(text, 101, headers))
    co_return fail(Code::invalid, "the 101 response has a header name or value that cannot go on the wire");
  std::array<ByteView, 1> parts = {as_bytes(text)};
  auto written = co_await send(parts);
  phase_ = Phase::streaming;
  if (!written) {
    write_error_ = written.error();
    co_return fail(written.error());
  }
  phase_ = Phase::complete;
  auto stream = std::make_unique<PrefixedStream>(std::move(stream_), in_.view(), &upgraded_);
  in_.consume(in_.view().size());
  in_.release();
  co_return std::unique_ptr<io::Stream>(std::move(stream));
}

}  // namespace archipel::http
