#include "door/s3/aws_chunked.h"

#include <algorithm>
#include <charconv>

#include "door/s3/errors.h"
#include "door/s3/sigv4.h"

namespace archipel::door::s3 {

static constexpr std::string_view kTrailerSignature = "x-amz-trailer-signature";

ChunkDecoder::ChunkDecoder(std::optional<Signing> signing, bool trailer)
    : signing_(std::move(signing)), trailer_(trailer) {
  CHECK(signing_ || trailer_);
  if (signing_) previous_signature_ = signing_->seed;
}

static std::unexpected<Error> bad_framing(std::string_view what) {
  return refuse("IncompleteBody", "The aws-chunked body is malformed: " + std::string(what));
}

Result<size_t> ChunkDecoder::decode(MutableBytes bytes) {
  size_t in = 0, out = 0;
  while (in < bytes.size()) {
    if (state_ == State::data) {
      size_t n = static_cast<size_t>(std::min<uint64_t>(remaining_, bytes.size() - in));
      if (out != in) std::memmove(bytes.data() + out, bytes.data() + in, n);
      if (signing_) chunk_hash_.update(bytes.subspan(out, n));
      in += n;
      out += n;
      remaining_ -= n;
      if (remaining_ == 0) state_ = State::data_end;
      continue;
    }
    if (state_ == State::done) return bad_framing("bytes follow its end.");
    size_t line_bytes_max = state_ == State::trailer ? kTrailerLineBytesMax : kChunkHeaderBytesMax;
    char c = static_cast<char>(bytes[in++]);
    if (c != '\n') {
      if (line_.size() == line_bytes_max) return bad_framing("a line is too long.");
      line_ += c;
      continue;
    }
    // Some clients end a trailer's value with a bare LF before its CRLF, as a published example shows: that LF is not the line's end.
    if (state_ == State::trailer && !line_.empty() && !line_.ends_with('\r') && !line_.ends_with('\n')) {
      line_ += c;
      continue;
    }
    RETURN_IF_ERROR(end_of_line());
  }
  return out;
}

// line_ ends before a LF: it must end in CR.
Result<void> ChunkDecoder::end_of_line() {
  if (!line_.ends_with('\r')) return bad_framing("a line does not end in CRLF.");
  line_.pop_back();
  std::string line = std::exchange(line_, {});
  switch (state_) {
    case State::header:
      return chunk_header(line);
    case State::data_end:
      if (!line.empty()) return bad_framing("a chunk is longer than its size.");
      state_ = State::header;
      return end_of_chunk();
    case State::trailer:
      return line.empty() ? end_of_trailer() : trailer_line(line);
    case State::data:
    case State::done:
      break;
  }
  return bad_framing("unexpected line.");
}

static std::optional<uint64_t> parse_hex(std::string_view digits) {
  if (digits.empty() || digits.size() > 16) return std::nullopt;
  uint64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

Result<void> ChunkDecoder::chunk_header(std::string_view line) {
  size_t semicolon = line.find(';');
  auto size = parse_hex(line.substr(0, semicolon));
  if (!size || *size > kChunkBytesMax)
    return bad_framing("a chunk size is not a hexadecimal number within limits.");
  std::string_view extension =
      semicolon == std::string_view::npos ? std::string_view{} : line.substr(semicolon + 1);
  if (signing_) {
    static constexpr std::string_view kName = "chunk-signature=";
    if (!extension.starts_with(kName)) return bad_framing("a chunk has no signature.");
    chunk_signature_ = extension.substr(kName.size());
    chunk_hash_ = crypto::Sha256();
  } else if (semicolon != std::string_view::npos) {
    return bad_framing("an unsigned chunk has an extension.");
  }
  remaining_ = *size;
  if (*size > 0) {
    state_ = State::data;
    return {};
  }
  state_ = State::trailer;  // without the trailer form, only its empty line follows
  return end_of_chunk();
}

// Every signature covers the one before it.
Result<void> ChunkDecoder::end_of_chunk() {
  if (!signing_) return {};
  std::string to_sign = "AWS4-HMAC-SHA256-PAYLOAD\n" + signing_->timestamp + '\n' + signing_->scope + '\n' +
                        previous_signature_ + '\n';
  to_sign += kEmptySha256;
  to_sign += '\n';
  to_sign += hex(chunk_hash_.finish());
  std::string expected = sign(signing_->key, to_sign);
  if (!crypto::constant_time_equal(as_bytes(expected), as_bytes(chunk_signature_)))
    return refuse("SignatureDoesNotMatch", "The signature of a chunk does not match its data.");
  previous_signature_ = std::move(expected);
  return {};
}

static std::string_view trim(std::string_view text) {
  static constexpr std::string_view kBlank = " \t\n";
  size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

Result<void> ChunkDecoder::trailer_line(std::string_view line) {
  if (!trailer_) return bad_framing("bytes follow the last chunk.");
  size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return refuse("MalformedTrailerError");
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  std::string_view value = trim(line.substr(colon + 1));
  if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos || trailer_signature_)
    return refuse("MalformedTrailerError");
  if (name == kTrailerSignature) {
    if (!signing_) return refuse("MalformedTrailerError");
    trailer_signature_ = value;
    return {};
  }
  if (trailers_.size() == kTrailersMax) return refuse("MalformedTrailerError");
  trailers_.emplace_back(std::move(name), value);
  return {};
}

Result<void> ChunkDecoder::end_of_trailer() {
  state_ = State::done;
  if (!signing_ || !trailer_) return {};
  if (!trailer_signature_) return refuse("MalformedTrailerError");
  std::string lines;
  for (const auto& [name, value] : trailers_) lines += name + ':' + value + '\n';
  std::string to_sign = "AWS4-HMAC-SHA256-TRAILER\n" + signing_->timestamp + '\n' + signing_->scope + '\n' +
                        previous_signature_ + '\n' + hex(crypto::sha256(as_bytes(lines)));
  if (!crypto::constant_time_equal(as_bytes(sign(signing_->key, to_sign)), as_bytes(*trailer_signature_)))
    return refuse("SignatureDoesNotMatch", "The signature of the trailer does not match it.");
  return {};
}

Result<void> ChunkDecoder::finish() const {
  if (state_ != State::done) return bad_framing("it ends too early.");
  return {};
}

}  // namespace archipel::door::s3
