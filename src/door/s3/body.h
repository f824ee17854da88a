// The body of a request, with every check its headers promise: framing, signatures, length, digests.
//
// What the body is follows from x-amz-content-sha256 alone; Content-Encoding: aws-chunked is optional, sometimes wrong, and never asked.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "door/s3/aws_chunked.h"
#include "door/s3/checksums.h"
#include "door/s3/sigv4.h"
#include "http/server.h"
#include "io/workers.h"
#include "store/store.h"

namespace archipel::door::s3 {

inline constexpr size_t kWorkerPieceBytes =
    64u << 10;  // slow digests of pieces at least this large run on a worker
inline constexpr size_t kGatherBytesMax = 1u << 20;  // and pieces are gathered up to this before they do
inline constexpr Duration kGatherMax =
    std::chrono::seconds(1);  // and for so long: a slow client's reader must see how slow it is

enum class PayloadMode { hashed, unsigned_plain, unsigned_trailer, signed_chunks, signed_chunks_trailer };

// What the headers say of the body; checked before a byte of it is read.
struct BodyPlan {
  PayloadMode mode = PayloadMode::unsigned_plain;
  std::optional<uint64_t> length;  // of the decoded body; absent for a plain body in HTTP chunks
  std::string sha256;              // raw, mode hashed only
  std::optional<std::string> md5;  // raw, from Content-MD5
  ChecksumKind checksum = ChecksumKind::none;
  std::string checksum_value;                  // raw; empty if it follows in the trailer
  ChecksumKind computed = ChecksumKind::none;  // to be kept, whatever the client brought or did not bring
  bool has_integrity() const { return md5.has_value() || checksum != ChecksumKind::none; }
};

// `checksum_of_body` false: x-amz-checksum-* headers speak of something else (CompleteMultipartUpload: of the object) and are left alone.
// Errors (detail): NotImplemented (unknown mode), InvalidArgument (neither a mode nor a hash), InvalidDigest (Content-MD5), BadDigest (the value of a checksum header is none), InvalidRequest (checksum headers: more than one, header and trailer, disagreeing with x-amz-sdk-checksum-algorithm), MissingContentLength (framed without
// x-amz-decoded-content-length).
Result<BodyPlan> plan_body(const http::Request& request, std::optional<uint64_t> wire_length,
                           std::string_view payload_hash, bool checksum_of_body = true);

// Lives on the exchange's loop, no longer than the exchange.
class RequestBody final : public store::BodySource {
 public:
  // `bytes_max`: more decoded bytes are refused with EntityTooLarge. `workers` may be null: then everything is computed on the loop.
  RequestBody(http::Exchange& exchange, BodyPlan plan, const Identity& identity, uint64_t bytes_max,
              io::Workers* workers);

  io::Task<Result<size_t>> read(MutableBytes out) override;
  // The one that is to be kept; else what the client said.
  store::Checksum checksum() const override;
  // What the client said and was verified, after the end; kind none if it said nothing.
  store::Checksum said() const;
  std::optional<std::string> md5() const override;
  bool brings_md5() const override { return plan_.md5.has_value(); }

  // The error that read() returned, if any: what the client should be told, whatever the reader made of it.
  const std::optional<Error>& failure() const { return failure_; }
  uint64_t bytes() const { return bytes_; }

 private:
  io::Task<Result<size_t>> gather(MutableBytes out);
  Result<size_t> process(MutableBytes wire);
  Result<void> verify();
  Result<void> verify_trailer();

  http::Exchange& exchange_;
  BodyPlan plan_;
  const uint64_t bytes_max_;
  io::Workers* workers_;
  std::optional<ChunkDecoder> decoder_;
  Digests digests_;
  Digests kept_;        // the checksum of plan_.computed
  uint64_t bytes_ = 0;  // decoded so far
  bool wire_ended_ = false, verified_ = false;
  std::optional<Error> failure_;
};

// The whole body of a request whose body is a small document; `code_if_larger` names the error past `bytes_max`.
io::Task<Result<std::string>> read_document(RequestBody& body, size_t bytes_max,
                                            std::string_view code_if_larger);
std::unexpected<Error> refuse_larger_document(std::string_view code_if_larger);

}  // namespace archipel::door::s3
