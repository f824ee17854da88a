#include "http/client.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/metrics.h"
#include "http/h1_body.h"
#include "http/h1_parser.h"
#include "http/h1_response.h"
#include "http/input.h"
#include "http/prefixed_stream.h"

namespace archipel::http {
namespace {

// A read this small is not worth a system call of its own: the buffer takes more at once.
constexpr size_t kDirectReadBytesMin = 4096;

metrics::Counter requests{"archipel_http_client_requests_total", "Requests sent to other servers"};
metrics::Counter received{"archipel_http_client_received_bytes_total", "Bytes read from other servers"};
metrics::Counter sent{"archipel_http_client_sent_bytes_total", "Bytes written to other servers"};
metrics::Counter malformed{"archipel_http_client_malformed_total",
                           "Responses of other servers that were refused as malformed"};

// What the client says itself, or what belongs to one connection alone.
bool is_ours(std::string_view name) {
  return name == "connection" || name == "content-length" || name == "transfer-encoding" ||
         name == "keep-alive" || name == "upgrade" || name == "proxy-connection";
}

// Methods whose content means something: an empty one is announced (RFC 9110 §8.6).
bool expects_content(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

bool write_request_head(std::string& out, const ClientRequest& request) {
  if (!is_token(request.method) || !is_target(request.target) ||
      (!request.upgrade.empty() && !is_field_value(request.upgrade)))
    return false;
  out.append(request.method).append(" ").append(request.target).append(" HTTP/1.1\r\n");
  for (const auto& [name, value] : *request.headers) {
    if (!is_token(name) || !is_field_value(value)) return false;
    if (!is_ours(name)) out.append(name).append(": ").append(value).append("\r\n");
  }
  if (!request.body_length)
    out += "transfer-encoding: chunked\r\n";
  else if (*request.body_length > 0 || expects_content(request.method))
    out += "content-length: " + std::to_string(*request.body_length) + "\r\n";
  if (!request.upgrade.empty())
    out.append("connection: upgrade\r\nupgrade: ").append(request.upgrade).append("\r\n");
  out += "\r\n";
  return true;
}

class H1Client final : public Client {
 public:
  H1Client(std::unique_ptr<io::Stream> stream, const Limits& limits)
      : stream_(std::move(stream)), limits_(limits), in_(pool_) {}

  io::Task<Result<void>> send(const ClientRequest& request, Deadline deadline) override;
  io::Task<Result<void>> write(ByteView bytes, Deadline deadline) override;
  io::Task<Result<void>> finish(Deadline deadline) override;
  io::Task<Result<ResponseHead>> receive_head(Deadline deadline) override;
  io::Task<Result<size_t>> read_body(MutableBytes out, Deadline deadline) override;
  const Headers& trailers() const override { return body_.trailers(); }
  bool over() const override { return phase_ == Phase::over; }
  bool reusable() const override {
    return phase_ == Phase::over && sent_whole_ && keep_alive_ && !broken_ && in_.empty();
  }
  bool still_open() override;
  std::unique_ptr<io::Stream> take_stream() override {
    CHECK(phase_ == Phase::upgraded);
    auto stream = std::make_unique<PrefixedStream>(std::move(stream_), in_.view());
    in_.consume(in_.view().size());
    in_.release();
    return stream;
  }

 private:
  enum class Phase { idle, head, body, over, upgraded };  // what the server is expected to send

  io::Task<Result<void>> transmit(std::span<const ByteView> parts, Deadline deadline);
  Result<void> early_answer();
  io::Task<Result<void>> receive(size_t size_max, Deadline deadline);
  io::Task<Result<size_t>> read_direct(MutableBytes out, Deadline deadline);
  Result<ResponseHead> take_head(ResponseParser& parser);
  void end_response();
  std::unexpected<Error> refuse(Refusal refusal);
  std::unexpected<Error> broken(Error error) {
    broken_ = true;
    return fail(std::move(error));
  }

  std::unique_ptr<io::Stream> stream_;  // null once it was taken
  const Limits limits_;
  BufferPool pool_{0};
  Input in_;
  uint64_t exchanges_ = 0;  // begun on this connection
  bool broken_ = false;
  Phase phase_ = Phase::idle;

  // Of the request under way.
  std::string head_;  // until it is sent
  bool to_head_ = false, upgrade_asked_ = false;
  std::optional<uint64_t> body_length_;
  uint64_t written_ = 0;
  bool sent_whole_ = false;
  bool heard_ = false;      // a byte of the response came
  bool listening_ = false;  // somebody waits for the response while the request is written
  int interims_ = 0;
  bool keep_alive_ = false;
  bool until_close_ = false;
  BodyDecoder body_ = BodyDecoder::fixed(0);
};

// --- the request -----------------------------------------------------------------------------------------------------------

io::Task<Result<void>> H1Client::send(const ClientRequest& request, Deadline deadline) {
  CHECK(phase_ == Phase::idle || reusable());
  head_.clear();
  if (!write_request_head(head_, request))
    co_return fail(Code::invalid,
                   "the request has a method, target, header name or value that cannot go on the wire");
  ++exchanges_;
  requests.add();
  phase_ = Phase::head;
  to_head_ = request.method == "HEAD";
  upgrade_asked_ = !request.upgrade.empty();
  body_length_ = request.body_length;
  written_ = 0;
  sent_whole_ = body_length_ == 0u;
  heard_ = listening_ = false;
  interims_ = 0;
  keep_alive_ = until_close_ = false;
  body_ = BodyDecoder::fixed(0);
  // The head leaves with the first bytes of the body, unless the server has to agree to them first.
  if (!sent_whole_ && request.headers->find("expect") == nullptr) co_return {};
  std::array<ByteView, 1> parts = {as_bytes(head_)};
  auto done = co_await transmit(parts, deadline);
  co_return done;
}

io::Task<Result<void>> H1Client::transmit(std::span<const ByteView> parts, Deadline deadline) {
  size_t size = 0;
  for (ByteView part : parts) size += part.size();
  if (size == 0) co_return {};
  auto written = co_await stream_->write(parts, deadline);
  head_.clear();
  if (written) {
    sent.add(static_cast<int64_t>(size));
    co_return {};
  }
  keep_alive_ = false;
  sent_whole_ = false;
  Error error = written.error();
  // The server may have said why: that is for receive_head() to find. Nothing heard on a kept connection: it was closed meanwhile.
  if (error.code == Code::io && exchanges_ > 1 && !heard_ && written_ == 0) error.detail = "unused";
  co_return fail(std::move(error));
}

// A final answer before the end of the request: the server wants no more of it. Who reads the response meanwhile hears of it himself.
Result<void> H1Client::early_answer() {
  if (listening_ || phase_ != Phase::head) return {};
  if (in_.empty()) {
    auto now = stream_->try_read(in_.room(BufferPool::kBufferBytes));
    size_t got = now && *now ? **now : 0;
    if (now && got == 0)
      return fail(Code::io, stream_->peer() + " ended the connection within the request", "early");
    received.add(static_cast<int64_t>(got));
    in_.commit(got);
    if (in_.empty()) in_.release();
  }
  if (in_.empty() || as_text(in_.view()).starts_with("HTTP/1.1 1")) return {};
  return fail(Code::io, stream_->peer() + " answered before the end of the request", "early");
}

io::Task<Result<void>> H1Client::write(ByteView bytes, Deadline deadline) {
  CHECK(!sent_whole_ && (!body_length_ || bytes.size() <= *body_length_ - written_));
  while (!bytes.empty()) {
    CO_RETURN_IF_ERROR(early_answer());
    ByteView slice = bytes.first(std::min(bytes.size(), kWriteSliceBytes));
    bytes = bytes.subspan(slice.size());
    char size_line[24];
    std::array<ByteView, 4> parts = {as_bytes(head_), {}, slice, {}};
    if (!body_length_) {
      int n = std::snprintf(size_line, sizeof size_line, "%zx\r\n", slice.size());
      parts[1] = as_bytes({size_line, static_cast<size_t>(n)});
      parts[3] = as_bytes("\r\n");
    }
    CO_RETURN_IF_ERROR(co_await transmit(parts, deadline));
    written_ += slice.size();
  }
  co_return {};
}

io::Task<Result<void>> H1Client::finish(Deadline deadline) {
  if (sent_whole_) co_return {};
  CHECK(!body_length_ || written_ == *body_length_);
  std::array<ByteView, 2> parts = {as_bytes(head_), {}};
  if (!body_length_) parts[1] = as_bytes("0\r\n\r\n");
  CO_RETURN_IF_ERROR(co_await transmit(parts, deadline));
  sent_whole_ = true;
  co_return {};
}

// --- the response ----------------------------------------------------------------------------------------------------------

std::unexpected<Error> H1Client::refuse(Refusal refusal) {
  malformed.add();
  const RefusalInfo& why = info(refusal);
  bool limit = refusal == Refusal::headers_too_large || refusal == Refusal::trailers_too_large ||
               refusal == Refusal::body_too_large;
  return broken({limit ? Code::limit : Code::invalid,
                 "the response of " + stream_->peer() + " is malformed: " + std::string(why.text),
                 std::string(why.name)});
}

// More bytes into in_; io at the connection's end.
io::Task<Result<void>> H1Client::receive(size_t size_max, Deadline deadline) {
  MutableBytes room = in_.room(size_max);
  CHECK(!room.empty());
  auto got = co_await stream_->read(room, deadline);
  if (!got) co_return broken(got.error());
  if (*got == 0)
    co_return broken({Code::io, stream_->peer() + " ended the connection within its response", {}});
  received.add(static_cast<int64_t>(*got));
  in_.commit(*got);
  heard_ = true;
  co_return {};
}

io::Task<Result<ResponseHead>> H1Client::receive_head(Deadline deadline) {
  CHECK(phase_ == Phase::head);
  if (broken_) co_return fail(Code::io, "the connection failed before");
  ResponseParser parser(limits_, to_head_);
  const size_t size_max =
      std::max(limits_.request_line_bytes_max + limits_.header_bytes_max + 4, BufferPool::kBufferBytes);
  if (!in_.empty()) heard_ = true;
  if (!sent_whole_) listening_ = true;
  for (;;) {
    if (!in_.empty()) {
      auto progress = parser.parse(as_text(in_.view()));
      if (progress == ResponseParser::Progress::done) break;
      if (progress == ResponseParser::Progress::refused) co_return refuse(parser.refusal());
    }
    auto more = co_await receive(size_max, deadline);
    if (more) continue;
    Error error = more.error();
    // Nothing is lost: whoever has more time waits again.
    if (error.code == Code::timeout) broken_ = false;
    if (error.code == Code::io && exchanges_ > 1 && !heard_) error.detail = "unused";
    co_return fail(std::move(error));
  }
  in_.consume(parser.head_bytes());
  co_return take_head(parser);
}

Result<ResponseHead> H1Client::take_head(ResponseParser& parser) {
  ResponseHead& head = parser.head();
  if (head.interim()) {
    if (++interims_ > kInterimMax)
      return broken({Code::limit, stream_->peer() + " sends interim responses without end", {}});
    return std::move(head);
  }
  if (head.status == 101) {
    if (!upgrade_asked_ || !sent_whole_)
      return broken({Code::invalid, stream_->peer() + " switches protocols without being asked", {}});
    phase_ = Phase::upgraded;
    return std::move(head);
  }
  keep_alive_ = parser.keep_alive();
  phase_ = Phase::body;
  switch (parser.body_end()) {
    case BodyEnd::none:
      break;
    case BodyEnd::length:
      body_ = BodyDecoder::fixed(*head.content_length);
      break;
    case BodyEnd::chunked:
      body_ = BodyDecoder::chunked(limits_);
      break;
    case BodyEnd::close:
      until_close_ = true;
      break;
  }
  if (!until_close_ && body_.done()) end_response();
  return std::move(head);
}

void H1Client::end_response() {
  phase_ = Phase::over;
  if (in_.empty()) in_.release();
}

io::Task<Result<size_t>> H1Client::read_direct(MutableBytes out, Deadline deadline) {
  in_.release();
  auto got = co_await stream_->read(out, deadline);
  if (!got) co_return broken(got.error());
  received.add(static_cast<int64_t>(*got));
  co_return got;
}

io::Task<Result<size_t>> H1Client::read_body(MutableBytes out, Deadline deadline) {
  CHECK(!out.empty());
  if (phase_ == Phase::over) co_return size_t{0};
  CHECK(phase_ == Phase::body);
  if (broken_) co_return fail(Code::io, "the connection failed before");
  if (until_close_) {
    if (!in_.empty()) {
      size_t count = std::min(out.size(), in_.view().size());
      std::copy_n(in_.view().data(), count, out.data());
      in_.consume(count);
      co_return count;
    }
    auto got = co_await read_direct(out, deadline);
    if (got && *got == 0) end_response();
    co_return got;
  }
  for (;;) {
    if (!in_.empty()) {
      auto step = body_.decode(in_.view(), out);
      if (!step) co_return refuse(step.error());
      in_.consume(step->consumed);
      if (body_.done()) end_response();
      if (step->produced > 0 || body_.done()) co_return step->produced;
      continue;
    }
    size_t direct = static_cast<size_t>(std::min<uint64_t>(body_.direct(), out.size()));
    if (direct >= kDirectReadBytesMin || (direct > 0 && direct == body_.direct())) {
      auto got = co_await read_direct(out.first(direct), deadline);
      if (!got) co_return got;
      if (*got == 0)
        co_return broken({Code::io, stream_->peer() + " ended the connection within its response", {}});
      body_.advance(*got);
      if (body_.done()) end_response();
      co_return got;
    }
    CO_RETURN_IF_ERROR(co_await receive(BufferPool::kBufferBytes, deadline));
  }
}

bool H1Client::still_open() {
  if (broken_ || !in_.empty() || (phase_ != Phase::idle && phase_ != Phase::over)) return false;
  auto now = stream_->try_read(in_.room(BufferPool::kBufferBytes));
  in_.release();
  if (now) broken_ = true;  // an end, an error, or bytes that nobody asked for
  return !now;
}

}  // namespace

std::unique_ptr<Client> make_client(io::Loop&, std::unique_ptr<io::Stream> stream, const Limits& limits) {
  return std::make_unique<H1Client>(std::move(stream), limits);
}

}  // namespace archipel::http
