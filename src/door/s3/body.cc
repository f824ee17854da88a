#include "door/s3/body.h"

#include <algorithm>
#include <charconv>

#include "door/s3/errors.h"

namespace archipel::door::s3 {

static Result<PayloadMode> parse_mode(std::string_view hash, std::string& sha256) {
  if (hash == "UNSIGNED-PAYLOAD") return PayloadMode::unsigned_plain;
  if (hash == "STREAMING-UNSIGNED-PAYLOAD-TRAILER") return PayloadMode::unsigned_trailer;
  if (hash == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") return PayloadMode::signed_chunks;
  if (hash == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") return PayloadMode::signed_chunks_trailer;
  if (hash.starts_with("STREAMING-"))
    return refuse("NotImplemented", "This x-amz-content-sha256 payload mode is not offered.");
  auto raw = unhex(hash);
  if (!raw || raw->size() != 32)
    return refuse(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- mode, or a valid sha256 value.");
  sha256 = std::move(*raw);
  return PayloadMode::hashed;
}

static bool framed(PayloadMode mode) {
  return mode != PayloadMode::hashed && mode != PayloadMode::unsigned_plain;
}
static bool has_trailer(PayloadMode mode) {
  return mode == PayloadMode::unsigned_trailer || mode == PayloadMode::signed_chunks_trailer;
}

static std::optional<uint64_t> parse_length(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// One checksum, in a header or announced for the trailer.
static Result<void> plan_checksum(const http::Headers& headers, BodyPlan& plan) {
  for (const auto& [name, value] : headers) {
    ChecksumKind kind = checksum_of_header(name);
    if (kind == ChecksumKind::none) continue;
    if (plan.checksum != ChecksumKind::none)
      return refuse("InvalidRequest",
                    "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
    auto raw = decode_checksum(kind, value);
    if (!raw) return refuse("BadDigest", "Value for " + name + " header is invalid.");
    plan.checksum = kind;
    plan.checksum_value = std::move(*raw);
  }
  if (const std::string* trailer = headers.find("x-amz-trailer")) {
    ChecksumKind kind = checksum_of_header(*trailer);
    if (kind == ChecksumKind::none || !has_trailer(plan.mode))
      return refuse("InvalidRequest", "The value specified in the x-amz-trailer header is not supported");
    if (plan.checksum != ChecksumKind::none)
      return refuse("InvalidRequest", "Expecting a single x-amz-checksum- header or trailer, not both.");
    plan.checksum = kind;
  }
  if (const std::string* algorithm = headers.find("x-amz-sdk-checksum-algorithm")) {
    if (plan.checksum == ChecksumKind::none)
      return refuse(
          "InvalidRequest",
          "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
          "headers were found.");
    if (checksum_of_algorithm(*algorithm) != plan.checksum)
      return refuse("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.");
  }
  return {};
}

Result<BodyPlan> plan_body(const http::Request& request, std::optional<uint64_t> wire_length,
                           std::string_view payload_hash, bool checksum_of_body) {
  const http::Headers& headers = request.headers;
  BodyPlan plan;
  ASSIGN_OR_RETURN(plan.mode, parse_mode(payload_hash, plan.sha256));
  if (const std::string* md5 = headers.find("content-md5")) {
    auto raw = unbase64(*md5);
    if (!raw || raw->size() != 16) return refuse("InvalidDigest");
    plan.md5 = std::move(*raw);
  }
  if (checksum_of_body) RETURN_IF_ERROR(plan_checksum(headers, plan));
  if (!framed(plan.mode)) {
    plan.length = wire_length;
    return plan;
  }
  const std::string* decoded = headers.find("x-amz-decoded-content-length");
  if (decoded == nullptr)
    return refuse("MissingContentLength", "You must provide the x-amz-decoded-content-length HTTP header.");
  plan.length = parse_length(*decoded);
  if (!plan.length)
    return refuse("InvalidArgument", "x-amz-decoded-content-length must be a decimal number.");
  return plan;
}

static std::optional<ChunkDecoder> make_decoder(PayloadMode mode, const Identity& identity) {
  if (!framed(mode)) return std::nullopt;
  if (mode == PayloadMode::unsigned_trailer) return ChunkDecoder(std::nullopt, true);
  return ChunkDecoder(ChunkDecoder::Signing{identity.signing_key.clone(), identity.timestamp, identity.scope,
                                            identity.signature},
                      has_trailer(mode));
}

RequestBody::RequestBody(http::Exchange& exchange, BodyPlan plan, const Identity& identity,
                         uint64_t bytes_max, io::Workers* workers)
    : exchange_(exchange),
      plan_(std::move(plan)),
      bytes_max_(bytes_max),
      workers_(workers),
      decoder_(make_decoder(plan_.mode, identity)),
      digests_({.sha256 = plan_.mode == PayloadMode::hashed,
                .md5 = plan_.md5.has_value(),
                .checksum = plan_.checksum}),
      kept_({.checksum = plan_.computed}) {}

// What a failed read of the connection means to the client, if it is still there to hear it.
static Error client_error(Error error) {
  if (!error.detail.empty()) return error;
  switch (error.code) {
    case Code::timeout:
      return make_error("RequestTimeout");
    case Code::invalid:
      return make_error("IncompleteBody", "The request body is not framed as HTTP requires.");
    case Code::limit:
      return make_error("EntityTooLarge");
    case Code::io:
    case Code::cancelled:
      return make_error("IncompleteBody");
    default:
      return error;
  }
}

// Reads once, or fills `out` as far as it pays to hand it to a worker. Sets wire_ended_.
io::Task<Result<size_t>> RequestBody::gather(MutableBytes out) {
  bool fill = workers_ != nullptr && out.size() >= kWorkerPieceBytes;
  MutableBytes target = fill ? out.first(std::min(out.size(), kGatherBytesMax)) : out;
  size_t filled = 0;
  const Deadline until = fill ? io::Loop::current()->now() + kGatherMax : kNoDeadline;
  do {
    auto n = co_await exchange_.read_body(target.subspan(filled));
    if (!n) co_return std::unexpected(client_error(std::move(n).error()));
    wire_ended_ = *n == 0;
    filled += *n;
  } while (fill && !wire_ended_ && filled < target.size() && io::Loop::current()->now() < until);
  co_return filled;
}

io::Task<Result<size_t>> RequestBody::read(MutableBytes out) {
  CHECK(!out.empty());
  while (!failure_ && !verified_) {
    size_t wire = 0;
    if (!wire_ended_) {
      auto gathered = co_await gather(out);
      if (!gathered) {
        failure_ = gathered.error();
        break;
      }
      wire = *gathered;
    }
    Result<size_t> decoded = size_t{0};
    bool heavy = digests_.slow() || kept_.slow() || plan_.mode == PayloadMode::signed_chunks ||
                 plan_.mode == PayloadMode::signed_chunks_trailer;
    if (workers_ != nullptr && heavy && wire >= kWorkerPieceBytes) {
      decoded = co_await workers_->run([this, out, wire] { return process(out.first(wire)); });
    } else {
      decoded = process(out.first(wire));
    }
    if (!decoded) {
      failure_ = decoded.error();
      break;
    }
    if (wire_ended_) {
      Result<void> checks = verify();
      if (!checks) {
        failure_ = checks.error();
        break;
      }
      verified_ = true;
    }
    if (*decoded > 0) co_return *decoded;
  }
  if (failure_) co_return fail(*failure_);
  co_return size_t{0};
}

// On the loop or on a worker. Decodes in place; returns the number of decoded bytes at the front.
Result<size_t> RequestBody::process(MutableBytes wire) {
  size_t n = wire.size();
  if (decoder_) {
    ASSIGN_OR_RETURN(n, decoder_->decode(wire));
  }
  bytes_ += n;
  if (bytes_ > bytes_max_) return refuse("EntityTooLarge");
  if (plan_.length && bytes_ > *plan_.length)
    return refuse("IncompleteBody", "The request body is longer than its declared length.");
  digests_.update(wire.first(n));
  kept_.update(wire.first(n));
  return n;
}

Result<void> RequestBody::verify() {
  if (decoder_) RETURN_IF_ERROR(decoder_->finish());
  if (plan_.length && bytes_ != *plan_.length)
    return refuse("IncompleteBody",
                  "You did not provide the number of bytes specified by the Content-Length HTTP header.");
  digests_.finish();
  kept_.finish();
  if (plan_.mode == PayloadMode::hashed && digests_.sha256() != plan_.sha256)
    return refuse("XAmzContentSHA256Mismatch");
  if (plan_.md5 && digests_.md5() != *plan_.md5)
    return refuse("BadDigest", "The Content-MD5 you specified did not match what we received.");
  if (decoder_) RETURN_IF_ERROR(verify_trailer());
  if (plan_.checksum != ChecksumKind::none && digests_.checksum() != plan_.checksum_value)
    return refuse("BadDigest", "The " + std::string(checksum_algorithm(plan_.checksum)) +
                                   " you specified did not match the calculated checksum.");
  return {};
}

// What x-amz-trailer announced must come, and nothing else.
Result<void> RequestBody::verify_trailer() {
  bool expected = plan_.checksum != ChecksumKind::none && plan_.checksum_value.empty();
  const ChunkDecoder::Trailers& trailers = decoder_->trailers();
  if (trailers.size() != (expected ? 1u : 0u)) return refuse("MalformedTrailerError");
  if (!expected) return {};
  if (trailers[0].first != checksum_header(plan_.checksum)) return refuse("MalformedTrailerError");
  auto raw = decode_checksum(plan_.checksum, trailers[0].second);
  if (!raw)
    return refuse("InvalidRequest", "Value for " + trailers[0].first + " trailing header is invalid.");
  plan_.checksum_value = std::move(*raw);
  return {};
}

store::Checksum RequestBody::said() const {
  if (!verified_ || plan_.checksum == ChecksumKind::none) return {};
  return {plan_.checksum, plan_.checksum_value};
}

store::Checksum RequestBody::checksum() const {
  if (!verified_ || plan_.computed == ChecksumKind::none) return said();
  return {plan_.computed, kept_.checksum()};
}

std::optional<std::string> RequestBody::md5() const {
  if (!verified_ || !plan_.md5) return std::nullopt;
  return digests_.md5();
}

// A document is read in pieces of its own size, within these.
static constexpr size_t kDocumentPieceBytesMin = 1u << 10, kDocumentPieceBytesMax = 16u << 10;

std::unexpected<Error> refuse_larger_document(std::string_view code_if_larger) {
  return refuse(code_if_larger, "The request body is larger than this operation allows.");
}

io::Task<Result<std::string>> read_document(RequestBody& body, size_t bytes_max,
                                            std::string_view code_if_larger) {
  std::string out;
  out.reserve(bytes_max);  // what the caller has accounted for; growing by doubling would take more
  Buffer piece(std::clamp(bytes_max, kDocumentPieceBytesMin, kDocumentPieceBytesMax));
  while (true) {
    auto n = co_await body.read(piece.span());
    if (!n) co_return std::unexpected(std::move(n).error());
    if (*n == 0) co_return out;
    if (out.size() + *n > bytes_max) co_return refuse_larger_document(code_if_larger);
    out.append(as_text(piece.view().first(*n)));
  }
}

}  // namespace archipel::door::s3
