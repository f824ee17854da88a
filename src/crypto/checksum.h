// The checksums S3 clients send: CRC-32, CRC-32C and CRC-64/NVME, streaming. They find accidents, not
// attackers.
//
// update() any number of times, value() at any time (it does not end the stream); a value object, freely
// copied. In S3 headers the value travels as base64 of its big-endian bytes. Sources: ISO-HDLC CRC-32, iSCSI
// CRC-32C (RFC 3720 B.4), NVM Express CRC-64.
#pragma once

#include "base/bytes.h"

namespace archipel::crypto {

class Crc32 {
 public:
  void update(ByteView data);
  uint32_t value() const { return state_; }

 private:
  uint32_t state_ = 0;  // ISA-L's gzip flavour inverts on the way in and out
};

class Crc32c {
 public:
  void update(ByteView data);
  uint32_t value() const { return ~state_; }

 private:
  uint32_t state_ = ~0u;
};

class Crc64Nvme {
 public:
  void update(ByteView data);
  uint64_t value() const { return ~state_; }

 private:
  uint64_t state_ = ~uint64_t{0};
};

// The checksum of A followed by B, from the checksum `a` of A, `b` of B and the length of B alone: how the parts of a multipart upload
// give the checksum of the whole. Any length; a few microseconds.
uint32_t combine_crc32(uint32_t a, uint32_t b, uint64_t b_bytes);
uint32_t combine_crc32c(uint32_t a, uint32_t b, uint64_t b_bytes);
uint64_t combine_crc64nvme(uint64_t a, uint64_t b, uint64_t b_bytes);

}  // namespace archipel::crypto
