// The Exchange of one HTTP/2 stream.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/log.h"
#include "http/h1_parser.h"
#include "http/h2_connection.h"

namespace archipel::http {
namespace {

// What the protocol says itself, and what it does not know (RFC 9113 §8.2.2).
bool is_ours(std::string_view name) {
  return name == "connection" || name == "date" || name == "content-length" || name == "transfer-encoding" ||
         name == "keep-alive" || name == "proxy-connection" || name == "upgrade";
}

nghttp2_nv to_nv(std::string_view name, std::string_view value, uint8_t flags) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), flags};
}

// A header list for nghttp2, without copies where what it points to is kept until it is framed.
class List {
 public:
  explicit List(bool borrowed)
      : flags_(borrowed ? uint8_t{NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE}
                        : uint8_t{NGHTTP2_NV_FLAG_NONE}) {
    fields_.reserve(24);
  }
  // False: it cannot go on the wire.
  [[nodiscard]] bool add(std::string_view name, std::string_view value) {
    if (is_ours(name)) return true;
    if (!is_token(name) || !is_field_value(value)) return false;
    for (char c : name)
      if (c >= 'A' && c <= 'Z') return false;
    fields_.push_back(to_nv(name, value, flags_));
    return true;
  }
  void add_own(std::string_view name, std::string_view value) {
    fields_.push_back(to_nv(name, value, NGHTTP2_NV_FLAG_NONE));
  }
  const nghttp2_nv* data() const { return fields_.data(); }
  size_t size() const { return fields_.size(); }

 private:
  const uint8_t flags_;
  std::vector<nghttp2_nv> fields_;
};

struct Digits {
  char text[20];
  size_t size;
  explicit Digits(uint64_t value)
      : size(static_cast<size_t>(std::to_chars(text, text + sizeof text, value).ptr - text)) {}
  std::string_view view() const { return {text, size}; }
};

std::optional<uint64_t> parse_length(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

// What submit() makes a header list of.
struct H2Stream::Head {
  int status;
  const Headers* headers;
  std::span<const FieldView> extra;
  std::string_view date;  // empty: now
  bool borrowed;          // all of it lives until it is framed
};

H2Stream::H2Stream(H2Connection& connection, int32_t id)
    : connection_(connection), id_(id), builder_(connection.server_.limits) {}

std::unexpected<Error> H2Stream::gone() const {
  return fail(Code::io, "the client ended the stream or its connection");
}

// --- the request's body ------------------------------------------------------------------------------------------------------------

io::Task<Result<size_t>> H2Stream::read_body(MutableBytes out) {
  CHECK(!out.empty());
  if (body_error_) co_return fail(*body_error_);
  if (continue_pending_ && phase_ == Phase::waiting && body_.empty() && !closed_) {
    auto told = co_await send_continue();
    if (!told) body_error_ = told.error();
  }
  continue_pending_ = false;
  while (!body_error_ && body_taken_ == body_.size()) {
    if (body_ended_) co_return size_t{0};
    if (closed_) {
      body_error_ = gone().error();
      break;
    }
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
  if (!closed_) {
    nghttp2_session_consume(connection_.session_, id_, size);
    connection_.pump();
  }
  co_return size;
}

io::Task<Result<void>> H2Stream::send_continue() {
  List list(false);
  list.add_own(":status", "100");
  if (nghttp2_submit_headers(connection_.session_, NGHTTP2_FLAG_NONE, id_, nullptr, list.data(), list.size(),
                             nullptr) != 0)
    co_return gone();
  ++heads_queued_;
  connection_.pump();
  co_return {};
}

// --- the response --------------------------------------------------------------------------------------------------------------------

Result<void> H2Stream::submit(const Head& head, std::optional<uint64_t> length, bool whole_at_once) {
  CHECK(phase_ == Phase::waiting);
  if (closed_) return gone();
  List list(head.borrowed);
  const Digits status(static_cast<uint64_t>(std::clamp(head.status, 0, 999)));
  list.add_own(":status", status.view());
  bool ok = head.status >= 200 && head.status <= 599;
  std::string_view date = head.date;
  if (head.headers != nullptr) {
    for (const auto& [name, value] : *head.headers) {
      ok = ok && list.add(name, value);
      if (date.empty() && name == "date" && connection_.server_.options.forward_date) date = value;
    }
  }
  for (const FieldView& field : head.extra) ok = ok && list.add(field.name, field.value);
  if (!ok || !is_field_value(date))
    return fail(Code::invalid, "the response has a status, header name or value that cannot go on the wire");
  list.add_own("date", date.empty() ? connection_.server_.date() : date);
  body_allowed_ = request_.method != "HEAD" && head.status != 204 && head.status != 205 && head.status != 304;
  if (head.status == 204) length.reset();
  if (head.status == 205) length = 0;
  const Digits digits(length.value_or(0));
  if (length) list.add_own("content-length", digits.view());
  announced_ = body_allowed_ ? length : std::optional<uint64_t>(0);
  phase_ = Phase::streaming;
  last_ = !body_allowed_ || length == 0u || whole_at_once;
  int failed = 0;
  if (!body_allowed_ || length == 0u) {
    failed = nghttp2_submit_response(connection_.session_, id_, list.data(), list.size(), nullptr);
  } else {
    nghttp2_data_provider provider{};
    provider.source.ptr = this;
    provider.read_callback = [](nghttp2_session*, int32_t, uint8_t*, size_t size_max, uint32_t* flags,
                                nghttp2_data_source* source, void*) -> ssize_t {
      return static_cast<H2Stream*>(source->ptr)->offer(size_max, flags);
    };
    failed = nghttp2_submit_response(connection_.session_, id_, list.data(), list.size(), &provider);
  }
  if (failed != 0) return gone();
  ++heads_queued_;
  return {};
}

// nghttp2 asks how much of the body there is; H2Callbacks::send_data then takes it.
ptrdiff_t H2Stream::offer(size_t size_max, uint32_t* flags) {
  if (pending_ == 0 && !last_) {
    deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const size_t size = static_cast<size_t>(std::min<uint64_t>(pending_, size_max));
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (last_ && size == pending_) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ptrdiff_t>(size);
}

void H2Stream::queue(std::span<const ByteView> parts) {
  parts_ = parts;
  part_offset_ = 0;
  for (ByteView part : parts) pending_ += part.size();
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(connection_.session_, id_);
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

bool H2Stream::flushed() const {
  return heads_queued_ == 0 && pending_ == 0 && (!last_ || end_sent_);
}

// Waits until what was queued is framed. As in HTTP/1.1, kWriteSliceBytes must move within body_timeout: a client that opens its window byte by byte does not keep us.
io::Task<Result<void>> H2Stream::flush() {
  connection_.pump();
  io::Loop& loop = connection_.server_.loop;
  const Duration timeout = connection_.server_.limits.body_timeout;
  Deadline deadline = loop.now() + timeout;
  uint64_t mark = pending_;
  while (!flushed()) {
    if (closed_) {
      write_error_ = gone().error();
      pending_ = 0;
      parts_ = {};
      co_return gone();
    }
    bool in_time = co_await changed_.wait(deadline);
    if (!in_time && !flushed()) {
      write_error_ = Error{Code::timeout, "the client takes nothing of its answer", {}};
      pending_ = 0;
      parts_ = {};
      give_up(NGHTTP2_CANCEL);
      co_return fail(*write_error_);
    }
    if (mark - pending_ >= kWriteSliceBytes) {
      mark = pending_;
      deadline = loop.now() + timeout;
    }
  }
  co_return {};
}

void H2Stream::give_up(uint32_t error_code) {
  if (closed_) return;
  nghttp2_submit_rst_stream(connection_.session_, NGHTTP2_FLAG_NONE, id_, error_code);
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
  CO_RETURN_IF_ERROR(submit({response.status, &response.headers, {}, {}, true}, length, true));
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
  CO_RETURN_IF_ERROR(submit({stored.status, stored.headers, stored.extra, stored.date, true}, length, true));
  if (body_allowed_ && length != size) {
    write_error_ = {Code::internal, "the stored body has another length than its head says", {}};
    give_up(NGHTTP2_INTERNAL_ERROR);
    co_return fail(*write_error_);
  }
  if (body_allowed_ && size > 0) queue(body);
  connection_.pump();
  if (!flushed()) CO_RETURN_IF_ERROR(co_await flush());
  phase_ = Phase::complete;
  co_return {};
}

io::Task<Result<void>> H2Stream::start(Response response, std::optional<uint64_t> length) {
  kept_ = std::move(response);
  if (kept_.status == 304) length.reset();
  co_return submit({kept_.status, &kept_.headers, {}, {}, true}, length, false);
}

io::Task<Result<void>> H2Stream::start_stored(const StoredResponse& stored) {
  co_return submit({stored.status, stored.headers, stored.extra, stored.date, false}, stored.length, false);
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
  CHECK(phase_ == Phase::waiting);
  if (closed_) co_return gone();
  List list(false);
  const Digits digits(static_cast<uint64_t>(std::clamp(status, 0, 999)));
  list.add_own(":status", digits.view());
  bool ok = status > 101 && status < 200;
  for (const auto& [name, value] : headers) ok = ok && list.add(name, value);
  if (!ok)
    co_return fail(Code::invalid,
                   "the interim response has a status, header name or value that cannot go on the wire");
  if (nghttp2_submit_headers(connection_.session_, NGHTTP2_FLAG_NONE, id_, nullptr, list.data(), list.size(),
                             nullptr) != 0)
    co_return gone();
  ++heads_queued_;
  connection_.pump();
  co_return {};
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
