// BodyDecoder: where a request's body ends, and its bytes without the framing (RFC 9112 §6, §7.1). No I/O.
//
// The owner moves bytes one of two ways: decode() for bytes that lie in a buffer, or, while direct() > 0, straight from the socket into
// the consumer's memory followed by advance().
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/bytes.h"
#include "http/limits.h"
#include "http/message.h"
#include "http/refusal.h"

namespace archipel::http {

class BodyDecoder {
 public:
  // A body of exactly `length` bytes; 0 = none.
  static BodyDecoder fixed(uint64_t length);
  // A chunked body. `limits` must outlive the decoder.
  static BodyDecoder chunked(const Limits& limits);

  bool done() const { return state_ == State::done; }
  // Bytes of content that come next on the wire without any framing between them.
  uint64_t direct() const { return state_ == State::data ? left_ : 0; }
  // `size` <= direct() bytes went past without decode().
  void advance(uint64_t size);

  struct Step {
    size_t consumed = 0;  // bytes taken from `in`
    size_t produced = 0;  // bytes written to `out`
  };
  // Goes on until `in` is used up, `out` is full, or the body is done; framing is consumed even when `out` is full. `out` may begin where `in`
  // begins (decoding in place). After a refusal the decoder must not be used.
  std::expected<Step, Refusal> decode(ByteView in, MutableBytes out);

  // Trailer fields, after done().
  const Headers& trailers() const { return trailers_; }

 private:
  enum class State : uint8_t { data, data_cr, data_lf, size_first, size, extension, size_lf, trailer, done };

  BodyDecoder() = default;
  std::expected<void, Refusal> framing_byte(char c);
  std::expected<void, Refusal> size_digit(char c);
  std::expected<void, Refusal> size_line_done();
  std::expected<void, Refusal> trailer_byte(char c);

  State state_ = State::done;
  bool chunked_ = false;
  uint64_t left_ = 0;   // of the body (fixed) or of the chunk
  uint64_t total_ = 0;  // content announced so far (chunked)
  uint32_t digits_ = 0;
  size_t extension_bytes_ = 0, extension_total_ = 0;
  size_t trailer_bytes_ = 0, trailer_bytes_max_ = 0;
  std::string line_;  // the trailer line under way
  Headers trailers_;
};

}  // namespace archipel::http
