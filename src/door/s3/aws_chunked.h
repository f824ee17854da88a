// aws-chunked: the framing that SigV4 clients put around a body they sign, or check, while they send it. A pure decoder without I/O.
//
//   chunk   = hex-size [";chunk-signature=" 64 hex] CRLF data CRLF        repeated; the last chunk has size 0 and no data
//   trailer = name ":" value CRLF …  ["x-amz-trailer-signature:" 64 hex CRLF]
//   body    = chunk… last-chunk trailer… CRLF
//
// Three payload modes: STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD and …-PAYLOAD-TRAILER. Signatures are
// chained from the request's: a chunk cannot be changed, dropped or moved. Decoded bytes come out before their chunk's signature is
// known to hold: nothing may be kept unless finish() succeeds. Sources: S3 API "Signature Calculations for the Authorization Header:
// Transferring Payload in Multiple Chunks" and "… Including Trailing Headers".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

namespace archipel::door::s3 {

inline constexpr size_t kChunkHeaderBytesMax = 256;  // 16 hex digits and a signature take 98
inline constexpr size_t kTrailerLineBytesMax = 1024;
inline constexpr size_t kTrailersMax = 8;
inline constexpr uint64_t kChunkBytesMax = 5ull << 30;  // no chunk is larger than the largest PUT

class ChunkDecoder {
 public:
  struct Signing {
    crypto::Secret32 key;
    std::string timestamp, scope;
    std::string seed;  // the request's signature, 64 hex
  };
  using Trailers =
      std::vector<std::pair<std::string, std::string>>;  // lower-case name, trimmed value; in order

  // `signing` absent: the unsigned mode, which always has the trailer form.
  ChunkDecoder(std::optional<Signing> signing, bool trailer);

  // Takes the next bytes of the wire body, however they are cut, and decodes them in place: returns how many decoded bytes now stand at the front of
  // `bytes`. Errors (detail): IncompleteBody for bad framing, MalformedTrailerError, SignatureDoesNotMatch. After an error the
  // decoder is of no further use.
  Result<size_t> decode(MutableBytes bytes);

  // To be called at the end of the wire body: IncompleteBody unless the last chunk and its trailer have been read whole.
  Result<void> finish() const;
  bool done() const { return state_ == State::done; }
  // Of a finished body, without x-amz-trailer-signature.
  const Trailers& trailers() const { return trailers_; }

 private:
  enum class State { header, data, data_end, trailer, done };

  Result<void> end_of_line();
  Result<void> chunk_header(std::string_view line);
  Result<void> end_of_chunk();
  Result<void> trailer_line(std::string_view line);
  Result<void> end_of_trailer();

  std::optional<Signing> signing_;
  const bool trailer_;
  State state_ = State::header;
  uint64_t remaining_ = 0;       // of the data of this chunk
  std::string line_;             // the part of a line seen so far, without its LF
  std::string chunk_signature_;  // what this chunk's header claims
  std::string previous_signature_;
  std::optional<std::string> trailer_signature_;
  crypto::Sha256 chunk_hash_;
  Trailers trailers_;
};

}  // namespace archipel::door::s3
