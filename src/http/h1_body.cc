#include "http/h1_body.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "http/h1_parser.h"

namespace archipel::http {
namespace {

constexpr uint32_t kSizeDigitsMax = 16;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// RFC 9110 §6.5.1: fields that framing, routing, authentication, or the reading of the content depend on must not come after it.
bool forbidden_in_trailer(std::string_view name) {
  static constexpr std::array<std::string_view, 20> kForbidden = {"transfer-encoding",
                                                                  "content-length",
                                                                  "host",
                                                                  "content-encoding",
                                                                  "content-type",
                                                                  "content-range",
                                                                  "trailer",
                                                                  "te",
                                                                  "connection",
                                                                  "keep-alive",
                                                                  "upgrade",
                                                                  "expect",
                                                                  "range",
                                                                  "cache-control",
                                                                  "authorization",
                                                                  "cookie",
                                                                  "set-cookie",
                                                                  "max-forwards",
                                                                  "date",
                                                                  "pragma"};
  return std::find(kForbidden.begin(), kForbidden.end(), name) != kForbidden.end() ||
         name.starts_with("if-") || name.starts_with("proxy-") || name.starts_with("access-control-");
}

}  // namespace

BodyDecoder BodyDecoder::fixed(uint64_t length) {
  BodyDecoder d;
  d.left_ = length;
  d.state_ = length == 0 ? State::done : State::data;
  return d;
}

BodyDecoder BodyDecoder::chunked(const Limits& limits) {
  BodyDecoder d;
  d.chunked_ = true;
  d.state_ = State::size_first;
  d.trailer_bytes_max_ = limits.trailer_bytes_max;
  return d;
}

void BodyDecoder::advance(uint64_t size) {
  CHECK(size <= direct());
  left_ -= size;
  if (left_ == 0 && size > 0) state_ = chunked_ ? State::data_cr : State::done;
}

std::expected<BodyDecoder::Step, Refusal> BodyDecoder::decode(ByteView in, MutableBytes out) {
  Step step;
  while (state_ != State::done && step.consumed < in.size()) {
    if (state_ == State::data) {
      size_t n =
          std::min({in.size() - step.consumed, out.size() - step.produced, static_cast<size_t>(left_)});
      if (n == 0) break;
      std::memmove(out.data() + step.produced, in.data() + step.consumed, n);
      step.consumed += n;
      step.produced += n;
      advance(n);
      continue;
    }
    auto ok = framing_byte(static_cast<char>(in[step.consumed++]));
    if (!ok) return std::unexpected(ok.error());
  }
  return step;
}

std::expected<void, Refusal> BodyDecoder::framing_byte(char c) {
  switch (state_) {
    case State::data_cr:
      if (c != '\r') return std::unexpected(Refusal::bad_chunk);
      state_ = State::data_lf;
      return {};
    case State::data_lf:
      if (c != '\n') return std::unexpected(Refusal::bad_chunk);
      state_ = State::size_first;
      return {};
    case State::size_first:
      left_ = 0;
      digits_ = 0;
      extension_bytes_ = 0;
      if (hex_value(c) < 0) return std::unexpected(Refusal::bad_chunk);
      state_ = State::size;
      return size_digit(c);
    case State::size:
      if (c == '\r') {
        state_ = State::size_lf;
        return {};
      }
      if (c != ';') return size_digit(c);
      state_ = State::extension;
      [[fallthrough]];
    case State::extension:
      if (c == '\r') {
        state_ = State::size_lf;
        return {};
      }
      // The extensions mean nothing to us (RFC 9112 §7.1.1: ignore what is not recognised). Quoted strings cannot hold CR or LF either, so
      // their grammar does not move the end of the line.
      if (!is_field_value({&c, 1})) return std::unexpected(Refusal::bad_chunk);
      ++extension_total_;
      if (++extension_bytes_ > kChunkExtensionBytesMax || extension_total_ > kChunkExtensionsTotalMax)
        return std::unexpected(Refusal::bad_chunk);
      return {};
    case State::size_lf:
      if (c != '\n') return std::unexpected(Refusal::bad_chunk);
      return size_line_done();
    case State::trailer:
      return trailer_byte(c);
    case State::data:
    case State::done:
      break;
  }
  CHECK(false);
}

std::expected<void, Refusal> BodyDecoder::size_digit(char c) {
  int value = hex_value(c);
  if (value < 0 || ++digits_ > kSizeDigitsMax) return std::unexpected(Refusal::bad_chunk);
  left_ = left_ << 4 | static_cast<uint64_t>(value);
  return {};
}

std::expected<void, Refusal> BodyDecoder::size_line_done() {
  if (left_ == 0) {
    state_ = State::trailer;
    return {};
  }
  if (left_ > static_cast<uint64_t>(INT64_MAX) - total_) return std::unexpected(Refusal::body_too_large);
  total_ += left_;
  state_ = State::data;
  return {};
}

std::expected<void, Refusal> BodyDecoder::trailer_byte(char c) {
  if (++trailer_bytes_ > trailer_bytes_max_) return std::unexpected(Refusal::trailers_too_large);
  if (c != '\n') {
    line_.push_back(c);
    return {};
  }
  if (!line_.ends_with('\r')) return std::unexpected(Refusal::bad_trailer);
  line_.pop_back();
  if (line_.empty()) {
    state_ = State::done;
    return {};
  }
  if (trailers_.size() == kTrailersMax) return std::unexpected(Refusal::trailers_too_large);
  if (parse_field(line_, trailers_)) return std::unexpected(Refusal::bad_trailer);
  const auto& name = std::prev(trailers_.end())->first;
  if (forbidden_in_trailer(name)) return std::unexpected(Refusal::bad_trailer);
  line_.clear();
  return {};
}

}  // namespace archipel::http
