// The Exchange of one HTTP/2 stream.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/log.h"
#include "http/h1_parser.h"
#include "http/h2_connection.h"
#include "http/h2_writer.h"
#include "http/hpack_encoder.h"

namespace archipel::http {
namespace {

constexpr size_t kDigitsMax = 20;
constexpr size_t kUsualFields = 8;  // of a request

// Under a sanitizer nothing is kept, so that the use of a stream after its end is seen.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
constexpr size_t kSpareStreams = 0;
#else
constexpr size_t kSpareStreams = kH2StreamsMax;
#endif
#else
constexpr size_t kSpareStreams = kH2StreamsMax;
#endif

constinit thread_local bool spares_over = false;  // a stream may outlive its thread's other variables
struct Spares {
  std::vector<void*> all;
  std::vector<std::unique_ptr<Request>> requests;  // empty, with room for the fields of a usual one
  ~Spares() {
    for (void* memory : all) ::operator delete(memory);
    spares_over = true;
  }
};
thread_local Spares spares;

constexpr size_t kKeptTargetBytes = 1024;

std::unique_ptr<Request> take_request() {
  if (spares_over || spares.requests.empty()) {
    auto fresh = std::make_unique<Request>();
    fresh->headers.reserve(kUsualFields);
    return fresh;
  }
  std::unique_ptr<Request> request = std::move(spares.requests.back());
  spares.requests.pop_back();
  return request;
}

void give_request(std::unique_ptr<Request> request) {
  if (spares_over || spares.requests.size() >= kSpareStreams) return;
  request->method.clear();
  request->target.clear();
  if (request->target.capacity() > kKeptTargetBytes) std::string().swap(request->target);
  request->headers.clear();
  spares.requests.push_back(std::move(request));
}

std::optional<uint64_t> parse_length(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What of a head is not made yet: fields of a response that is not stored, or of this answer alone.
template <class Fields>
bool add_bytes(const Fields& fields, size_t& bytes) {
  for (const auto& [name, value] : fields) {
    if (is_h2_own(name)) continue;
    if (!is_h2_field(name, value)) return false;
    bytes += HpackWriter::field_bytes_max(name, value);
  }
  return true;
}

template <class Fields>
void write_fields(HpackWriter& writer, const Fields& fields) {
  for (const auto& [name, value] : fields)
    if (!is_h2_own(name)) writer.field(name, value);
}

std::unexpected<Error> unwritable() {
  return fail(Code::invalid, "the response has a status, header name or value that cannot go on the wire");
}

}  // namespace

// What submit() makes a header block of.
struct H2Stream::Head {
  int status;
  const Headers* headers;
  std::string_view encoded;  // status and headers as write_stored_h2_head() made them; empty: not made yet
  size_t own = 0;            // its last bytes that are date and content-length
  std::span<const FieldView> extra;
  std::string_view date;  // empty: now
};

H2Stream::H2Stream(H2Connection& connection, uint32_t id)
    : connection_(connection),
      id_(id),
      request_space_(take_request()),
      builder_(connection.server_.limits, request_),
      send_window_(connection.first_window_) {}

H2Stream::~H2Stream() {
  give_request(std::move(request_space_));
  connection_.held_ -= held_;
  connection_.server_.h2_memory.give(held_);
}

void* H2Stream::operator new(size_t size) {
  if (spares_over || spares.all.empty()) return ::operator new(size);
  void* memory = spares.all.back();
  spares.all.pop_back();
  return memory;
}

void H2Stream::operator delete(void* memory) {
  if (!spares_over && spares.all.size() < kSpareStreams)
    spares.all.push_back(memory);
  else
    ::operator delete(memory);
}

std::unexpected<Error> H2Stream::gone() const {
  return fail(Code::io, "the client ended the stream or its connection");
}

// --- the request's body ------------------------------------------------------------------------------------------------------------

void H2Stream::take_body(ByteView bytes) {
  // What was read makes room: a handler that is never quite done with what came would else keep all of it.
  constexpr size_t kReadBytesMax = kH2StreamWindow / 4;
  if (body_taken_ >= kReadBytesMax) {
    body_.erase(0, body_taken_);
    body_taken_ = 0;
  }
  body_.append(as_text(bytes));
  patience_.received += bytes.size();
  changed_.notify_all();
}

// How much nobody will read.
size_t H2Stream::drop_body() {
  const size_t unread = body_.size() - body_taken_;
  body_ = {};
  body_taken_ = 0;
  return unread;
}

io::Task<Result<size_t>> H2Stream::read_body(MutableBytes out) {
  CHECK(!out.empty());
  if (body_error_) co_return fail(*body_error_);
  if (continue_pending_ && phase_ == Phase::waiting && body_.empty() && !closed_) {
    Result<void> told = send_interim(100, {});
    if (!told) body_error_ = told.error();
  }
  continue_pending_ = false;
  while (!body_error_ && body_taken_ == body_.size()) {
    if (reset_) {
      body_error_ = gone().error();
      break;
    }
    if (body_ended_) co_return size_t{0};
    io::Loop& loop = connection_.server_.loop;
    const TimePoint began = loop.now();
    bool in_time = co_await changed_.wait(began + patience_.left(connection_.server_.limits));
    patience_.waited += loop.now() - began;
    if (!in_time) body_error_ = Error{Code::timeout, "the request body did not arrive in time", {}};
  }
  if (body_error_) co_return fail(*body_error_);
  const size_t size = std::min(out.size(), body_.size() - body_taken_);
  std::memcpy(out.data(), body_.data() + body_taken_, size);
  body_taken_ += size;
  if (body_taken_ == body_.size()) {
    body_.clear();
    body_taken_ = 0;
  }
  connection_.release(*this, size);
  connection_.pump();
  co_return size;
}

// --- the response --------------------------------------------------------------------------------------------------------------------

Result<void> H2Stream::send_interim(int status, const Headers& headers) {
  CHECK(phase_ == Phase::waiting);
  if (closed_) return gone();
  size_t bytes = HpackWriter::kStartBytes + HpackWriter::kStatusBytesMax;
  if (!add_bytes(headers, bytes)) return unwritable();
  if (heads_.size() + bytes > kH2HeadBytesMax)
    return fail(Code::limit, "the client takes no more interim responses");
  HpackWriter writer(connection_.begin_head(*this, bytes));
  writer.start();
  writer.status(status);
  write_fields(writer, headers);
  connection_.end_head(*this, writer.size(), false);
  connection_.pump();
  return {};
}

Result<void> H2Stream::submit(const Head& head, std::optional<uint64_t> length, bool whole_at_once) {
  CHECK(phase_ == Phase::waiting);
  if (closed_) return gone();
  static const Headers kNone;
  const Headers& headers = head.headers == nullptr ? kNone : *head.headers;
  std::string_view date = head.date;
  if (head.own == 0) {
    if (date.empty() && connection_.server_.options.forward_date) date = headers.get("date");
    if (date.empty()) date = connection_.server_.date();
  }
  size_t bytes = HpackWriter::kStartBytes + HpackWriter::kStatusBytesMax + head.encoded.size() + date.size() +
                 kDigitsMax + 2 * (HpackWriter::kFieldOverheadMax + 16);
  bool ok = head.status >= 200 && head.status <= 599 && (head.own > 0 || is_field_value(date));
  if (head.encoded.empty()) ok = ok && add_bytes(headers, bytes);
  if (!ok || !add_bytes(head.extra, bytes)) return unwritable();
  if (heads_.size() + bytes > kH2HeadBytesMax)
    return fail(Code::invalid, "the response's head is larger than HTTP/2 clients have to take");

  body_allowed_ = request_.method != "HEAD" && head.status != 204 && head.status != 205 && head.status != 304;
  if (head.status == 204) length.reset();
  if (head.status == 205) length = 0;
  const bool ends = !body_allowed_ || length == 0u;
  announced_ = body_allowed_ ? length : std::optional<uint64_t>(0);
  phase_ = Phase::streaming;
  last_ = ends || whole_at_once;

  HpackWriter writer(connection_.begin_head(*this, bytes));
  writer.start();
  if (head.encoded.empty()) {
    writer.status(head.status);
    write_fields(writer, headers);
  } else {
    writer.copy(head.encoded);
  }
  write_fields(writer, head.extra);
  if (head.own == 0) {
    writer.field("date", date);
    if (length) {
      std::array<char, kDigitsMax> digits;
      const char* end = std::to_chars(digits.data(), digits.data() + digits.size(), *length).ptr;
      writer.field("content-length", {digits.data(), static_cast<size_t>(end - digits.data())});
    }
  }
  connection_.end_head(*this, writer.size(), ends);
  return {};
}

// `parts` stay where they are until they are framed: flush().
void H2Stream::queue(std::span<const ByteView> parts) {
  parts_ = parts;
  part_offset_ = 0;
  for (ByteView part : parts) pending_ += part.size();
  slice_end_ = pending_;
  connection_.schedule(*this);
}

void H2Stream::take_pending(uint8_t* to, size_t size) {
  CHECK(size <= pending_);
  pending_ -= size;
  while (size > 0) {
    ByteView part = parts_.front().subspan(part_offset_);
    const size_t count = std::min(size, part.size());
    if (count > 0) std::memcpy(to, part.data(), count);
    to += count;
    size -= count;
    part_offset_ += count;
    if (count == part.size()) {
      parts_ = parts_.subspan(1);
      part_offset_ = 0;
    }
  }
}

// Behind a pump(): waits until what was queued is framed. As in HTTP/1.1, kWriteSliceBytes must move within body_timeout: a client that opens its window byte by byte does not keep us.
io::Task<Result<void>> H2Stream::flush() {
  io::Loop& loop = connection_.server_.loop;
  const Duration timeout = connection_.server_.limits.body_timeout;
  Deadline deadline = loop.now() + timeout;
  while (!flushed()) {
    if (closed_) {
      write_error_ = gone().error();
      pending_ = 0;
      parts_ = {};
      co_return gone();
    }
    bool in_time = co_await changed_.wait(deadline);
    if (!in_time && !flushed() && !closed_) {
      write_error_ = Error{Code::timeout, "the client takes nothing of its answer", {}};
      pending_ = 0;
      parts_ = {};
      give_up(H2Error::cancel);
      co_return fail(*write_error_);
    }
    if (slice_end_ >= pending_ + kWriteSliceBytes) {
      slice_end_ = pending_;
      deadline = loop.now() + timeout;
    }
  }
  co_return {};
}

void H2Stream::end_now() {
  give_up(H2Error::cancel);
}

void H2Stream::give_up(H2Error error) {
  connection_.reset_stream(*this, error);
  connection_.pump();
}

io::Task<Result<void>> H2Stream::respond(Response response, std::string body) {
  std::optional<uint64_t> length = body.size();
  if (request_.method == "HEAD" || response.status == 304) {
    // The length that GET would have had.
    std::optional<uint64_t> own = parse_length(response.headers.get("content-length"));
    if (own)
      length = own;
    else if (response.status == 304)
      length.reset();
  }
  CO_RETURN_IF_ERROR(submit({response.status, &response.headers, {}, 0, {}, {}}, length, true));
  const std::array<ByteView, 1> parts = {as_bytes(body)};
  if (body_allowed_ && !body.empty()) queue(parts);
  connection_.pump();
  if (!flushed()) CO_RETURN_IF_ERROR(co_await flush());
  phase_ = Phase::complete;
  co_return {};
}

io::Task<Result<void>> H2Stream::respond_stored(const StoredResponse& stored,
                                                std::span<const ByteView> body) {
  uint64_t size = 0;
  for (ByteView part : body) size += part.size();
  const bool bodyless = request_.method == "HEAD" || stored.status == 304;
  std::optional<uint64_t> length = stored.length;
  if (!length && !(bodyless && size == 0)) length = size;
  CO_RETURN_IF_ERROR(
      submit({stored.status, stored.headers, stored.h2_head, stored.h2_own, stored.extra, stored.date},
             length, true));
  if (body_allowed_ && length != size) {
    write_error_ = {Code::internal, "the stored body has another length than its head says", {}};
    give_up(H2Error::internal);
    co_return fail(*write_error_);
  }
  if (body_allowed_ && size > 0) queue(body);
  connection_.pump();
  if (!flushed()) CO_RETURN_IF_ERROR(co_await flush());
  phase_ = Phase::complete;
  co_return {};
}

NowExchange::Now H2Stream::respond_stored_now(const StoredResponse& stored, ByteView body) {
  CHECK(phase_ == Phase::waiting);
  const bool head_only = request_.method == "HEAD";
  // h2_own says that the length is in the head.
  const bool usual = stored.h2_own > 0 && stored.length && (head_only || *stored.length == body.size()) &&
                     stored.status != 304;
  if (head_only) body = {};
  if (!usual || closed_ || !heads_.empty() || !connection_.put_whole(*this, stored, body)) return Now::no;
  last_ = true;
  phase_ = Phase::complete;
  if (!connection_.in_batch_) connection_.pump();
  return Now::whole;
}

// Nothing is ever begun and not whole.
io::Task<Result<void>> H2Stream::finish_stored() {
  co_return fail(Code::internal, "there is no rest of a stored response");
}

io::Task<Result<void>> H2Stream::start(Response response, std::optional<uint64_t> length) {
  if (response.status == 304) length.reset();
  co_return submit({response.status, &response.headers, {}, 0, {}, {}}, length, false);
}

io::Task<Result<void>> H2Stream::start_stored(const StoredResponse& stored) {
  co_return submit({stored.status, stored.headers, stored.h2_head, stored.h2_own, stored.extra, stored.date},
                   stored.length, false);
}

io::Task<Result<void>> H2Stream::write(ByteView bytes) {
  CHECK(phase_ == Phase::streaming);
  if (write_error_) co_return fail(*write_error_);
  written_ += bytes.size();
  if (body_allowed_ && announced_ && written_ > *announced_) {
    write_error_ = {Code::internal, "the handler wrote more than the length it had announced", {}};
    co_return fail(*write_error_);
  }
  if (bytes.empty() || !body_allowed_) co_return {};
  if (closed_) {
    write_error_ = gone().error();
    co_return gone();
  }
  // The end goes with the last bytes.
  if (announced_ && written_ == *announced_) last_ = true;
  one_part_ = bytes;
  queue({&one_part_, 1});
  connection_.pump();
  if (!flushed()) CO_RETURN_IF_ERROR(co_await flush());
  co_return {};
}

io::Task<Result<void>> H2Stream::finish() {
  CHECK(phase_ == Phase::streaming);
  if (write_error_) co_return fail(*write_error_);
  if (body_allowed_ && announced_ && written_ != *announced_) {
    write_error_ = {Code::internal, "the handler wrote less than the length it had announced", {}};
    co_return fail(*write_error_);
  }
  last_ = true;
  queue({});
  connection_.pump();
  if (!flushed()) CO_RETURN_IF_ERROR(co_await flush());
  phase_ = Phase::complete;
  co_return {};
}

io::Task<Result<void>> H2Stream::interim(int status, Headers headers) {
  if (status <= 101 || status > 199)
    co_return fail(Code::invalid, "an interim response has a status from 102 to 199");
  co_return send_interim(status, headers);
}

// After the handler: makes sure that there is one complete response, or none that looks complete.
io::Task<void> H2Stream::settle() {
  if (phase_ == Phase::waiting && !closed_) {
    const bool late = body_error_ && body_error_->code == Code::timeout;
    if (!body_error_)
      log::error("http.no_response", {{"peer", connection_.peer_}, {"method", request_.method}});
    Page page = connection_.server_.make_page(
        late ? 408 : 500, late ? "the request body did not arrive in time" : "the server failed to answer");
    auto answered = co_await respond(std::move(page.response), std::move(page.body));
    if (!answered) write_error_ = answered.error();
  }
  const bool whole = !body_allowed_ || (announced_ && written_ == *announced_);
  if (phase_ == Phase::streaming && !write_error_ && whole) {
    auto finished = co_await finish();
    if (!finished) write_error_ = finished.error();
  }
}

}  // namespace archipel::http
