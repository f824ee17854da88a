#include "http/connection.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "base/log.h"
#include "http/date.h"
#include "http/tallies.h"

namespace archipel::http {
namespace {

// A read this small is not worth a system call of its own: the buffer takes more at once.
constexpr size_t kDirectReadBytesMin = 4096;

Error client_gone() {
  return {Code::io, "the client ended the connection before the end of its request body", {}};
}

}  // namespace

std::string_view ServerState::date() {
  // The loop's time is at hand; the clock's is not.
  const TimePoint now = loop.now();
  if (now >= date_seen_ && now - date_seen_ < kDateLook && date_second_ >= 0) return date_;
  date_seen_ = now;
  UnixMs second = clock.unix_ms() / 1000;
  if (second != date_second_) {
    date_second_ = second;
    date_ = format_http_date(second * 1000);
  }
  return date_;
}

std::unique_ptr<RequestSpace> ServerState::take_space() {
  if (spaces_.empty()) return std::make_unique<RequestSpace>(limits);
  std::unique_ptr<RequestSpace> space = std::move(spaces_.back());
  spaces_.pop_back();
  return space;
}

void ServerState::give_space(std::unique_ptr<RequestSpace> space) {
  if (spaces_.size() < kSparesMax) spaces_.push_back(std::move(space));
}

// --- the life of a connection ------------------------------------------------------------------------------------------

Connection::Connection(ServerState& server, std::unique_ptr<io::Stream> stream)
    : server_(server), stream_(std::move(stream)), peer_(stream_->peer()), in_(server.pool) {
  server_.connections.insert(this);
}

Connection::~Connection() {
  CHECK(upgraded_ == nullptr);
  server_.connections.erase(this);
}

void Connection::abort(bool reset) {
  if (stream_)
    stream_->close(reset);
  else if (upgraded_ != nullptr)
    upgraded_->close(reset);
}

io::Task<void> Connection::run() {
  std::optional<Deadline> rests_until;
  for (;;) {
    ending_ = Ending::close;
    if (in_.empty()) {
      rest();
      const Duration patience = server_.draining ? server_.drain_grace() : server_.limits.idle_timeout;
      if (patience == Duration{0}) break;
      if (!rests_until) rests_until = server_.loop.now() + patience;
      idle_ = true;
      auto readable = co_await stream_->wait_readable(*rests_until);
      idle_ = false;
      if (!readable) break;
    }
    if (!space_) space_ = server_.take_space();
    space_->parser.reset();
    // Usually the whole head is there, and nothing has to be waited for.
    Heard heard = in_.empty() ? read_now() : parse_input();
    // New keys of TLS are no request: it rests on, with nothing held, and no longer than it would have.
    if (heard == Heard::more && in_.empty() && !stream_->holds_part()) continue;
    rests_until.reset();
    if (heard == Heard::more) heard = co_await read_head();
    if (heard == Heard::refused) co_await refuse(space_->parser.refusal());
    if (heard != Heard::head) break;
    begin_exchange();
    {
      std::optional<io::Task<void>> handling;
      if (!is_answered_now(handling)) handling.emplace(server_.handler(*this));
      if (handling) co_await std::move(*handling);
    }
    if (!settled()) co_await settle();
    if (!stream_) co_return;  // upgraded, and over
    if (!keep_alive_) break;
  }
  if (ending_ == Ending::linger) co_await linger();
  stream_->close(ending_ == Ending::reset);
}

// Between requests a connection holds nothing.
void Connection::rest() {
  in_.release();
  if (space_) server_.give_space(std::move(space_));
}

Connection::Heard Connection::parse_input() {
  switch (space_->parser.parse(as_text(in_.view()))) {
    case RequestParser::Progress::done:
      in_.consume(space_->parser.head_bytes());
      return Heard::head;
    case RequestParser::Progress::refused:
      return Heard::refused;
    case RequestParser::Progress::need_more:
      break;
  }
  return Heard::more;
}

Connection::Heard Connection::read_now() {
  auto got = stream_->try_read(in_.room(BufferPool::kBufferBytes));
  if (!got) return Heard::more;
  if (!*got || **got == 0) return Heard::over;
  received_total().add(static_cast<int64_t>(**got));
  in_.commit(**got);
  return parse_input();
}

// Waits for the rest of a head.
io::Task<Connection::Heard> Connection::read_head() {
  const Deadline deadline = server_.loop.now() + server_.limits.header_timeout;
  // One empty line before the head, the head, and one byte more: the parser has decided before the buffer is full.
  const size_t size_max = server_.limits.request_line_bytes_max + server_.limits.header_bytes_max + 4;
  for (;;) {
    MutableBytes room = in_.room(std::max(size_max, BufferPool::kBufferBytes));
    CHECK(!room.empty());
    auto got = co_await stream_->read(room, deadline);
    if (!got && got.error().code == Code::timeout && !in_.empty()) co_await refuse(Refusal::header_timeout);
    if (!got || *got == 0) co_return Heard::over;
    received_total().add(static_cast<int64_t>(*got));
    in_.commit(*got);
    Heard heard = parse_input();
    if (heard != Heard::more) co_return heard;
  }
}

void Connection::begin_exchange() {
  requests_total().add();
  RequestHead& head = space_->parser.head();
  head.request.peer = peer_;
  head.request.secure = stream_->secure();
  body_patience_ = {};
  body_patience_.received = in_.view().size();  // what came with the head
  // Most requests have none, like the one before.
  const bool bodyless = !head.chunked && head.content_length == 0;
  if (!bodyless || !bodyless_)
    body_ = head.chunked ? BodyDecoder::chunked(server_.limits) : BodyDecoder::fixed(head.content_length);
  bodyless_ = bodyless;
  continue_pending_ = head.expect_continue && !body_.done();
  body_error_.reset();
  body_refusal_.reset();
  phase_ = Phase::waiting;
  space_->head.clear();
  body_allowed_ = true;
  written_ = 0;
  write_error_.reset();
  keep_alive_ = false;
}

bool Connection::is_answered_now(std::optional<io::Task<void>>& rest) {
  return bodyless_ && server_.answer_now && server_.answer_now(*this, rest);
}

// Nothing is left to do for the next request to begin.
bool Connection::settled() const {
  return stream_ && phase_ == Phase::complete && !write_error_ && keep_alive_ && body_.done();
}

// After the handler: makes sure that there is one complete response, or none that looks complete.
io::Task<void> Connection::settle() {
  if (!stream_) co_return;
  if (phase_ == Phase::waiting) {
    int status = 500;
    std::string_view text = "the server failed to answer";
    if (body_refusal_) {
      status = info(*body_refusal_).status;
      text = info(*body_refusal_).text;
    } else if (body_error_ && body_error_->code == Code::timeout) {
      status = 408;
      text = "the request body did not arrive in time";
    }
    // A client that went away in the middle of its body is no failure of the handler.
    if (!body_error_) log::error("http.no_response", {{"peer", peer_}, {"method", request().method}});
    Page page = server_.make_page(status, text);
    auto answered = co_await respond(std::move(page.response), std::move(page.body));
    if (!answered) write_error_ = answered.error();
  }
  bool whole = !body_allowed_ || (framing_.framing == Framing::length && written_ == framing_.length);
  if (phase_ == Phase::streaming && !write_error_ && whole) {
    auto finished = co_await finish();
    if (!finished) write_error_ = finished.error();
  }
  if (phase_ != Phase::complete || write_error_) {
    keep_alive_ = false;
    ending_ = Ending::reset;
    co_return;
  }
  if (keep_alive_ && !body_.done()) co_await drain_body();
  if (!keep_alive_) ending_ = Ending::linger;
}

// Answers what the codec refused. The connection then lingers and closes.
io::Task<void> Connection::refuse(Refusal refusal) {
  const RefusalInfo& why = info(refusal);
  refused_total(refusal).add();
  log::debug("http.refused", {{"peer", peer_}, {"reason", why.name}});
  Page page = server_.make_page(why.status, why.text);
  std::string body = std::move(page.body);
  std::string head;
  ResponseFraming framing{Framing::length, body.size()};
  bool ok = write_response_head(head, page.response, framing, {.keep_alive = false, .date = server_.date()});
  CHECK(ok);
  if (request().method == "HEAD") body.clear();
  std::array<ByteView, 2> parts = {as_bytes(head), as_bytes(body)};
  auto written = co_await send(parts);
  ending_ = written ? Ending::linger : Ending::close;
}

// Reads and drops what the handler left of the body, if it is little: cheaper for both sides than a new connection.
io::Task<void> Connection::drain_body() {
  Buffer scratch = server_.pool.take();
  uint64_t dropped = 0;
  while (!body_.done() && dropped <= kUnreadBodyBytesMax) {
    auto got = co_await read_body(scratch.span());
    if (!got) break;
    dropped += *got;
  }
  if (!body_.done()) keep_alive_ = false;
  server_.pool.give(std::move(scratch));
}

io::Task<void> read_out(ServerState& server, io::Stream& stream) {
  stream.shutdown_write();
  const Deadline deadline = server.loop.now() + kLingerTimeout;
  Buffer scratch = server.pool.take();
  for (size_t dropped = 0; dropped < kLingerBytesMax;) {
    auto got = co_await stream.read(scratch.span(), deadline);
    if (!got || *got == 0) break;
    dropped += *got;
  }
  server.pool.give(std::move(scratch));
}

io::Task<void> Connection::linger() {
  in_.consume(in_.view().size());
  co_await read_out(server_, *stream_);
}

// --- the request's body --------------------------------------------------------------------------------------------------

std::optional<uint64_t> Connection::body_length() const {
  if (space_->parser.head().chunked) return std::nullopt;
  return space_->parser.head().content_length;
}

Error Connection::fail_body(Refusal refusal) {
  refused_total(refusal).add();
  body_refusal_ = refusal;
  bool limit = info(refusal).status != 400;
  return {limit ? Code::limit : Code::invalid, std::string(info(refusal).text), {}};
}

// A handler may respond in one task while it reads the body in another: what it writes waits for this.
io::Task<void> Connection::tell_continue() {
  while (continuing_) co_await continued_.wait();
  if (phase_ != Phase::waiting) co_return;
  std::array<ByteView, 1> parts = {as_bytes(kContinue)};
  continuing_ = true;
  auto written = co_await send(parts);
  continuing_ = false;
  continued_.notify_all();
  if (!written) body_error_ = written.error();
}

io::Task<Result<size_t>> Connection::read_body(MutableBytes out) {
  CHECK(!out.empty());
  if (body_error_) co_return fail(*body_error_);
  // Once the response has begun, an interim response would end up in the middle of it.
  if (std::exchange(continue_pending_, false) && phase_ == Phase::waiting && in_.empty())
    co_await tell_continue();
  Result<size_t> got = size_t{0};
  if (!body_error_) got = co_await read_some_body(out);
  if (!got) body_error_ = got.error();
  if (body_error_) co_return fail(*body_error_);
  co_return got;
}

io::Task<Result<size_t>> Connection::read_some_body(MutableBytes out) {
  while (!body_.done()) {
    if (!in_.empty()) {
      auto step = body_.decode(in_.view(), out);
      if (!step) co_return fail(fail_body(step.error()));
      in_.consume(step->consumed);
      if (step->produced > 0) co_return step->produced;
      continue;
    }
    size_t direct = static_cast<size_t>(std::min<uint64_t>(body_.direct(), out.size()));
    if (direct >= kDirectReadBytesMin || (direct > 0 && direct == body_.direct())) {
      // Straight into the caller's memory, and never past what is known to be content.
      in_.release();
      auto got = co_await receive(out.first(direct));
      if (!got) co_return got;
      body_.advance(*got);
      co_return got;
    }
    auto got = co_await receive(in_.room(BufferPool::kBufferBytes));
    if (!got) co_return got;
    in_.commit(*got);
  }
  co_return size_t{0};
}

io::Task<Result<size_t>> Connection::receive(MutableBytes out) {
  const TimePoint began = server_.loop.now();
  auto got = co_await stream_->read(out, began + body_patience_.left(server_.limits));
  if (!got) co_return got;
  if (*got == 0) co_return fail(client_gone());
  body_patience_.waited += server_.loop.now() - began;
  body_patience_.received += *got;
  received_total().add(static_cast<int64_t>(*got));
  co_return got;
}

// --- the response --------------------------------------------------------------------------------------------------------

// What is left of `parts` after as much of them was sent as fits at once: usually nothing.
std::span<ByteView> Connection::send_now(std::span<ByteView> parts) {
  size_t taken = stream_->try_write_parts(parts);
  sent_total().add(static_cast<int64_t>(taken));
  while (!parts.empty() && taken >= parts.front().size()) {
    taken -= parts.front().size();
    parts = parts.subspan(1);
  }
  if (taken > 0) parts.front() = parts.front().subspan(taken);
  return parts;
}

io::Task<Result<void>> Connection::send(std::span<const ByteView> parts) {
  size_t size = 0;
  for (ByteView part : parts) size += part.size();
  auto written = co_await stream_->write(parts, server_.loop.now() + server_.limits.body_timeout);
  if (written) sent_total().add(static_cast<int64_t>(size));
  co_return written;
}

// Decided when the head is written, so that the client is told.
bool Connection::can_keep_alive() const {
  if (!space_->parser.head().keep_alive || server_.draining || body_error_) return false;
  // A client that still waits for 100 Continue may send its body or not: nobody knows where its next request begins.
  if (continue_pending_ && in_.empty()) return false;
  // Of an empty body no 100 is sent (RFC 9110 §10.1.1). botocore, and so the aws cli, takes the final answer that it gets instead for the
  // first line of the next answer on the connection, too, and then waits for a body that never comes.
  const RequestHead& head = space_->parser.head();
  if (head.expect_continue && !head.chunked && head.content_length == 0) return false;
  return space_->parser.head().chunked || body_.direct() <= kUnreadBodyBytesMax;
}

ResponseContext Connection::context(std::string_view date) {
  return {request().minor_version, keep_alive_, date, server_.options.forward_date};
}

// How the end of the body will be told, and whether the connection may go on behind it.
void Connection::frame_response(int status, std::optional<uint64_t> length, bool keep_alive) {
  const Request& request = this->request();
  body_allowed_ = request.method != "HEAD" && status != 204 && status != 205 && status != 304;
  keep_alive_ = keep_alive && can_keep_alive();
  if (status == 204)
    framing_ = {};
  else if (status == 205)
    framing_ = {Framing::length, 0};
  else if (length)
    framing_ = {Framing::length, *length};
  else if (status == 304)
    framing_ = {};
  else if (request.minor_version > 0)
    framing_ = {Framing::chunked, 0};
  else
    framing_ = {Framing::until_close, 0};
  if (framing_.framing == Framing::until_close) keep_alive_ = false;
}

Result<void> Connection::begin_response(const Response& response, std::optional<uint64_t> length,
                                        bool may_set_length) {
  CHECK(phase_ == Phase::waiting);
  if (response.status == 304) length.reset();
  if (may_set_length && (request().method == "HEAD" || response.status == 304)) {
    // The length that GET would have had.
    std::string_view own = response.headers.get("content-length");
    uint64_t value = 0;
    auto [end, error] = std::from_chars(own.data(), own.data() + own.size(), value);
    if (!own.empty() && error == std::errc() && end == own.data() + own.size()) length = value;
  }
  const std::string* connection = response.headers.find("connection");
  frame_response(response.status, length, connection == nullptr || !list_contains(*connection, "close"));
  if (!write_response_head(space_->head, response, framing_, context(server_.date())))
    return fail(Code::invalid, "the response has a status, header name or value that cannot go on the wire");
  phase_ = Phase::streaming;
  return {};
}

io::Task<Result<void>> Connection::respond(Response response, std::string body) {
  while (continuing_) co_await continued_.wait();
  CO_RETURN_IF_ERROR(begin_response(response, body.size(), true));
  ByteView bytes = body_allowed_ ? as_bytes(body) : ByteView{};
  auto sent_all = co_await transmit(bytes);
  if (sent_all) phase_ = Phase::complete;
  co_return sent_all;
}

io::Task<Result<void>> Connection::start(Response response, std::optional<uint64_t> length) {
  // The head waits for the first bytes of the body, to leave with them.
  co_return begin_response(response, length, false);
}

io::Task<Result<void>> Connection::write(ByteView bytes) {
  CHECK(phase_ == Phase::streaming);
  if (write_error_) co_return fail(*write_error_);
  if (framing_.framing == Framing::length && bytes.size() > framing_.length - written_) {
    write_error_ = {Code::internal, "the handler wrote more than the length it had announced", {}};
    co_return fail(*write_error_);
  }
  written_ += bytes.size();
  if (bytes.empty() || !body_allowed_) co_return {};
  auto sent_all = co_await transmit(bytes);
  co_return sent_all;
}

io::Task<Result<void>> Connection::finish() {
  CHECK(phase_ == Phase::streaming);
  if (write_error_) co_return fail(*write_error_);
  if (body_allowed_ && framing_.framing == Framing::length && written_ != framing_.length) {
    write_error_ = {Code::internal, "the handler wrote less than the length it had announced", {}};
    co_return fail(*write_error_);
  }
  while (continuing_) co_await continued_.wait();
  std::array<ByteView, 2> parts = {as_bytes(space_->head), {}};
  if (body_allowed_ && framing_.framing == Framing::chunked) parts[1] = as_bytes("0\r\n\r\n");
  if (!parts[0].empty() || !parts[1].empty()) {
    auto written = co_await send(parts);
    space_->head.clear();
    if (!written) {
      write_error_ = written.error();
      co_return written;
    }
  }
  phase_ = Phase::complete;
  co_return {};
}

// Sends what is left of the head and all of `bytes`, in slices so that body_timeout means "without progress".
io::Task<Result<void>> Connection::transmit(ByteView bytes) {
  while (continuing_) co_await continued_.wait();
  do {
    ByteView slice = bytes.first(std::min(bytes.size(), kWriteSliceBytes));
    bytes = bytes.subspan(slice.size());
    char size_line[24];
    std::array<ByteView, 4> parts = {as_bytes(space_->head), {}, slice, {}};
    if (framing_.framing == Framing::chunked && !slice.empty()) {
      int n = std::snprintf(size_line, sizeof size_line, "%zx\r\n", slice.size());
      parts[1] = as_bytes({size_line, static_cast<size_t>(n)});
      parts[3] = as_bytes("\r\n");
    }
    std::span<ByteView> rest = send_now(parts);
    if (!rest.empty()) {
      auto written = co_await send(rest);
      if (!written) write_error_ = written.error();
    }
    space_->head.clear();
    if (write_error_) co_return fail(*write_error_);
  } while (!bytes.empty());
  co_return {};
}

}  // namespace archipel::http
