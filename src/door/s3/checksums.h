// The digests a request may bring or ask for: names, encodings, and one object that computes those needed in a single pass.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/checksum.h"
#include "crypto/hash.h"
#include "http/message.h"
#include "store/store.h"

namespace archipel::door::s3 {

using ChecksumKind = store::Checksum::Kind;

// "x-amz-checksum-crc32" and the like, lower-case; empty for none.
std::string_view checksum_header(ChecksumKind kind);
// "CRC32", as in x-amz-sdk-checksum-algorithm and ChecksumAlgorithm; empty for none.
std::string_view checksum_algorithm(ChecksumKind kind);
// By either name, case ignored; none if unknown.
ChecksumKind checksum_of_header(std::string_view header);
ChecksumKind checksum_of_algorithm(std::string_view algorithm);
size_t checksum_bytes(ChecksumKind kind);
// "COMPOSITE" or "FULL_OBJECT", as x-amz-checksum-type says it.
std::string_view checksum_type(const store::Checksum& checksum);
// Raw bytes of a base64 value; nullopt unless it is canonical base64 of exactly checksum_bytes(kind).
std::optional<std::string> decode_checksum(ChecksumKind kind, std::string_view value);

// As headers and documents show it: base64, and "-N" behind a composite one of `parts` parts.
std::string checksum_text(const store::Checksum& checksum, uint32_t parts);
// The reverse, for the checksum of a whole object: "-N" makes it composite. nullopt if it is none of `kind`.
std::optional<store::Checksum> parse_object_checksum(ChecksumKind kind, std::string_view text);
// The one x-amz-checksum-* header with the checksum of a whole object; kind none if there is no such header. Errors: InvalidRequest (several), BadDigest
// (a value that is no checksum of its kind).
Result<store::Checksum> read_object_checksum(const http::Headers& headers);

// Which checksum of a multipart object an algorithm gives if the client does not say (API_Checksum): COMPOSITE but for CRC64NVME.
bool composite_by_default(ChecksumKind kind);
// "COMPOSITE" or "FULL_OBJECT" for an algorithm: SHA-1 and SHA-256 are COMPOSITE only, CRC64NVME FULL_OBJECT only. Errors: InvalidRequest.
Result<bool> read_composite(ChecksumKind kind, std::string_view type);

// Computes what was asked for, each digest once. Not thread-safe; may move between threads between calls.
class Digests {
 public:
  struct Wanted {
    bool sha256 = false, md5 = false;
    ChecksumKind checksum = ChecksumKind::none;
  };
  explicit Digests(Wanted wanted);
  void update(ByteView bytes);
  // Ends the computation; the three below are then valid, empty where not wanted.
  void finish();
  const std::string& sha256() const { return sha256_value_; }
  const std::string& md5() const { return md5_value_; }
  const std::string& checksum() const { return checksum_value_; }
  // True if update() costs well over 0.1 ns a byte, so that large pieces belong on a worker.
  bool slow() const;

 private:
  Wanted wanted_;
  std::optional<crypto::Sha256> sha256_;  // absent: not wanted
  std::optional<crypto::Sha1> sha1_;
  std::optional<crypto::Md5> md5_;
  crypto::Crc32 crc32_;
  crypto::Crc32c crc32c_;
  crypto::Crc64Nvme crc64nvme_;
  std::string sha256_value_, md5_value_, checksum_value_;
};

}  // namespace archipel::door::s3
