#include "erasure/coder.h"

#include <isa-l/erasure_code.h>

#include <algorithm>
#include <climits>
#include <string>

namespace archipel::erasure {
namespace {

constexpr Code kAdmitted[] = {{4, 2}, {5, 3}, {6, 3}, {7, 4}, {9, 6}};
constexpr size_t kShardsMax = 9;
constexpr size_t kTableBytes = 32;  // of ISA-L's multiplication table for one coefficient

// out[r] = sum over columns c of coefficient(r, c) * in[c]. `tables` is rows x columns coefficients,
// expanded. Columns whose cell is null add nothing and are left out, which saves their reading too.
void multiply(const uint8_t* tables, std::span<const uint8_t* const> in, std::span<uint8_t* const> out,
              size_t length) {
  CHECK(length <= INT_MAX);
  if (length == 0 || out.empty()) return;
  const size_t columns = in.size(), rows = out.size();
  std::array<uint8_t, kShardsMax * kShardsMax * kTableBytes> packed;
  std::array<uint8_t*, kShardsMax> cells, results;
  size_t used = 0;
  for (const uint8_t* cell : in)
    if (cell != nullptr) cells[used++] = const_cast<uint8_t*>(cell);  // ISA-L lacks const; it only reads them
  if (used == 0) {
    for (uint8_t* cell : out) std::memset(cell, 0, length);
    return;
  }
  if (used < columns) {
    uint8_t* to = packed.data();
    for (size_t row = 0; row < rows; ++row)
      for (size_t column = 0; column < columns; ++column)
        if (in[column] != nullptr)
          to = std::copy_n(tables + (row * columns + column) * kTableBytes, kTableBytes, to);
    tables = packed.data();
  }
  std::ranges::copy(out, results.begin());
  ec_encode_data(static_cast<int>(length), static_cast<int>(used), static_cast<int>(rows),
                 const_cast<uint8_t*>(tables), cells.data(), results.data());
}

}  // namespace

Result<void> check_code(Code code) {
  if (std::ranges::find(kAdmitted, code) != std::end(kAdmitted)) return {};
  return fail(archipel::Code::invalid, "the erasure code (" + std::to_string(code.n) + ", " +
                                           std::to_string(code.k) +
                                           ") is not admitted; use (4,2), (5,3), (6,3), (7,4) or (9,6)");
}

Coder::Coder(Code code) : code_(code) {
  CHECK(check_code(code));
  auto n = static_cast<size_t>(code.n), k = static_cast<size_t>(code.k), m = n - k;
  matrix_.resize(n * k);
  gf_gen_cauchy1_matrix(matrix_.data(), code.n, code.k);
  tables_.resize(m * k * kTableBytes);
  ec_init_tables(code.k, code.m(), matrix_.data() + k * k, tables_.data());
}

void Coder::encode(std::span<const uint8_t* const> data, std::span<uint8_t* const> parity,
                   size_t length) const {
  CHECK(data.size() == static_cast<size_t>(code_.k) && parity.size() == static_cast<size_t>(code_.m()));
  multiply(tables_.data(), data, parity, length);
}

void Coder::reconstruct(std::span<const int> have, std::span<const uint8_t* const> cells,
                        std::span<const int> wanted, std::span<uint8_t* const> out, size_t length) const {
  const auto k = static_cast<size_t>(code_.k);
  CHECK(have.size() == k && cells.size() == k && wanted.size() == out.size() && wanted.size() <= kShardsMax);
  auto row_of = [&](int shard) {
    CHECK(shard >= 0 && shard < code_.n);
    return matrix_.data() + static_cast<size_t>(shard) * k;
  };

  // The rows of the shards at hand map data to them; the inverse maps them back to data. Every k rows of
  // [identity; Cauchy] are independent, so inverting fails only if a shard was named twice.
  std::array<uint8_t, kShardsMax * kShardsMax> at_hand, inverse, coefficients;
  for (size_t i = 0; i < k; ++i) std::copy_n(row_of(have[i]), k, at_hand.data() + i * k);
  CHECK(gf_invert_matrix(at_hand.data(), inverse.data(), code_.k) == 0);

  for (size_t r = 0; r < wanted.size(); ++r)
    for (size_t c = 0; c < k; ++c) {
      uint8_t sum = 0;
      for (size_t i = 0; i < k; ++i) sum ^= gf_mul(row_of(wanted[r])[i], inverse[i * k + c]);
      coefficients[r * k + c] = sum;
    }
  std::array<uint8_t, kShardsMax * kShardsMax * kTableBytes> tables;
  ec_init_tables(code_.k, static_cast<int>(wanted.size()), coefficients.data(), tables.data());
  multiply(tables.data(), cells, out, length);
}

}  // namespace archipel::erasure
