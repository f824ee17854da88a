// Coder: systematic Reed-Solomon over GF(2^8) with a Cauchy matrix (ISA-L). k data cells + m parity cells = one stripe.
//
// Matrix id 1 = ISA-L gf_gen_cauchy1_matrix(n, k). Vandermonde is never used: it is not always invertible.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace archipel::erasure {

inline constexpr uint8_t kMatrixCauchy1 = 1;

struct Code {
  int n = 6, k = 3;
  int m() const { return n - k; }
  // Confirmations needed before a write is acknowledged: max(k+1, n-k+1). protocol.md §1.
  int w() const { return k + 1 > n - k + 1 ? k + 1 : n - k + 1; }
  bool operator==(const Code&) const = default;
};

// The admitted codes: (4,2) (5,3) (6,3) (7,4) (9,6). Anything else is `invalid`.
Result<void> check_code(Code code);

// Immutable after construction; thread-safe.
class Coder {
 public:
  explicit Coder(Code code);  // CHECK: admitted
  Code code() const { return code_; }

  // Fills parity[0..m) from data[0..k). Every cell has `length` bytes; a null data pointer stands for zeros.
  void encode(std::span<const uint8_t* const> data, std::span<uint8_t* const> parity, size_t length) const;

  // Rebuilds the cells `wanted` (shard numbers, 0..n-1) into `out` from exactly k cells `cells` of shards `have` (distinct).
  // Every cell has `length` bytes; a null pointer stands for zeros. Cost: one matrix inversion, then coding speed.
  void reconstruct(std::span<const int> have, std::span<const uint8_t* const> cells,
                   std::span<const int> wanted, std::span<uint8_t* const> out, size_t length) const;

 private:
  Code code_;
  std::vector<uint8_t> matrix_, tables_;
};

}  // namespace archipel::erasure
