// A body with a checksum computed on its way: for parts and copies whose sender did not say one.
#pragma once

#include <variant>

#include "crypto/checksum.h"
#include "crypto/hash.h"
#include "store/store.h"

namespace archipel::store {

// Checksum of bytes, piece by piece. value() once, at the end; big-endian.
class ChecksumSum {
 public:
  explicit ChecksumSum(Checksum::Kind kind);
  Checksum::Kind kind() const { return kind_; }
  void update(ByteView bytes);
  Checksum value();

 private:
  Checksum::Kind kind_;
  std::variant<std::monostate, crypto::Crc32, crypto::Crc32c, crypto::Crc64Nvme, crypto::Sha1, crypto::Sha256>
      sum_;
};

// The checksum of A followed by B; both of one CRC kind.
Checksum combine_checksums(const Checksum& a, const Checksum& b, uint64_t b_bytes);

// Hands on what `body` says, and its checksum too if it has one; else, or if `kind` is CRC64NVME and its is not, the one computed here. `body` must outlive it.
class SummingBody final : public BodySource {
 public:
  SummingBody(BodySource& body, Checksum::Kind kind) : body_(body), sum_(kind) {}
  io::Task<Result<size_t>> read(MutableBytes out) override;
  Checksum checksum() const override { return computed_; }
  std::optional<std::string> md5() const override { return body_.md5(); }
  bool brings_md5() const override { return body_.brings_md5(); }

 private:
  BodySource& body_;
  ChecksumSum sum_;
  Checksum computed_;
};

}  // namespace archipel::store
