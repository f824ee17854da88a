#include "erasure/coder.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "base/random.h"

namespace archipel::erasure {
namespace {

using Cells = std::vector<std::vector<uint8_t>>;
constexpr Code kCodes[] = {{4, 2}, {5, 3}, {6, 3}, {7, 4}, {9, 6}};

std::vector<const uint8_t*> pointers(const Cells& cells) {
  std::vector<const uint8_t*> out;
  for (const auto& cell : cells) out.push_back(cell.data());
  return out;
}
std::vector<uint8_t*> pointers(Cells& cells) {
  std::vector<uint8_t*> out;
  for (auto& cell : cells) out.push_back(cell.data());
  return out;
}

// All n cells of a stripe of random data; the last `zero_cells` data cells are zeros, given to the coder as null.
Cells stripe_of(const Coder& coder, size_t length, int zero_cells, Random& random) {
  auto n = static_cast<size_t>(coder.code().n), k = static_cast<size_t>(coder.code().k);
  Cells cells(n, std::vector<uint8_t>(length));
  for (size_t i = 0; i + static_cast<size_t>(zero_cells) < k; ++i) random.fill(cells[i]);
  auto all = pointers(cells);
  std::vector<const uint8_t*> data(all.begin(), all.begin() + static_cast<ptrdiff_t>(k));
  for (size_t i = k - static_cast<size_t>(zero_cells); i < k; ++i) data[i] = nullptr;
  coder.encode(data, std::span(all).subspan(k), length);
  return cells;
}

TEST(Code, AdmitsFiveCodesAndTheirConfirmations) {
  int admitted = 0;
  for (int n = -1; n < 300; ++n)
    for (int k = -1; k < 300; ++k) admitted += check_code({n, k}) ? 1 : 0;
  EXPECT_EQ(admitted, 5);
  EXPECT_EQ(check_code({3, 2}).error().code, archipel::Code::invalid);
  EXPECT_EQ((Code{6, 3}.w()), 4);
  EXPECT_EQ((Code{4, 2}.w()), 3);
  EXPECT_EQ((Code{9, 6}.w()), 7);
}

TEST(Coder, EveryErasurePatternOfEveryCodeGivesTheBytesBack) {
  auto random = seeded_random(21);
  for (Code code : kCodes) {
    Coder coder(code);
    const size_t length = 257;  // over the vector loops of the library, with a tail
    Cells cells = stripe_of(coder, length, 0, *random);
    for (unsigned mask = 0; mask < 1u << code.n; ++mask) {
      if (std::popcount(mask) != code.k) continue;
      std::vector<int> have, wanted;
      std::vector<const uint8_t*> at_hand;
      for (int shard = 0; shard < code.n; ++shard) {
        if ((mask >> shard & 1) != 0) {
          have.push_back(shard);
          at_hand.push_back(cells[static_cast<size_t>(shard)].data());
        } else {
          wanted.push_back(shard);
        }
      }
      Cells out(wanted.size(), std::vector<uint8_t>(length, 0xee));
      coder.reconstruct(have, at_hand, wanted, pointers(out), length);
      for (size_t i = 0; i < wanted.size(); ++i)
        ASSERT_EQ(out[i], cells[static_cast<size_t>(wanted[i])])
            << code.n << "," << code.k << " mask " << mask;
    }
  }
}

TEST(Coder, AnyLengthOrderAndAmountOfZeroCellsGivesTheBytesBack) {
  EXPECT_TRUE(rc::check([] {
    Code code = kCodes[*rc::gen::inRange<size_t>(0, std::size(kCodes))];
    Coder coder(code);
    auto length =
        static_cast<size_t>(*rc::gen::element(1, 15, 16, 31, 32, 33, 63, 64, 65, 100, 1000, 65'552));
    int zero_cells = *rc::gen::inRange(0, code.k + 1);
    auto random = seeded_random(*rc::gen::arbitrary<uint64_t>());
    Cells cells = stripe_of(coder, length, zero_cells, *random);
    std::vector<int> shards(static_cast<size_t>(code.n));
    std::iota(shards.begin(), shards.end(), 0);
    for (size_t i = shards.size(); i > 1; --i) std::swap(shards[i - 1], shards[random->u64() % i]);
    std::vector<int> have(shards.begin(), shards.begin() + code.k),
        wanted(shards.begin() + code.k, shards.end());
    if (random->u64() % 2 == 0) wanted[0] = have[0];  // asking for a cell one has is allowed
    std::vector<const uint8_t*> at_hand;
    for (int shard : have) {
      bool zero = shard < code.k && shard >= code.k - zero_cells;
      at_hand.push_back(zero ? nullptr : cells[static_cast<size_t>(shard)].data());
    }
    Cells out(wanted.size(), std::vector<uint8_t>(length, 0xee));
    coder.reconstruct(have, at_hand, wanted, pointers(out), length);
    for (size_t i = 0; i < wanted.size(); ++i) RC_ASSERT(out[i] == cells[static_cast<size_t>(wanted[i])]);
  }));
}

TEST(Coder, NullCellsCodeAsZeros) {
  Coder coder({6, 3});
  auto random = seeded_random(22);
  Cells data(3, std::vector<uint8_t>(1000)), parity(3, std::vector<uint8_t>(1000, 1)), expected = parity;
  random->fill(data[1]);
  coder.encode(pointers(std::as_const(data)), pointers(expected), 1000);
  std::vector<const uint8_t*> nulls = {nullptr, data[1].data(), nullptr};
  coder.encode(nulls, pointers(parity), 1000);
  EXPECT_EQ(parity, expected);
}

// Multiplication in GF(2^8) with the polynomial 0x11d, by the definition.
uint8_t multiply(uint8_t a, uint8_t b) {
  unsigned product = 0;
  for (int bit = 0; bit < 8; ++bit)
    if ((b >> bit & 1) != 0) product ^= unsigned{a} << bit;
  for (int bit = 14; bit >= 8; --bit)
    if ((product >> bit & 1) != 0) product ^= 0x11du << (bit - 8);
  return static_cast<uint8_t>(product);
}

TEST(Coder, FollowsTheDefinitionOfMatrix1) {
  // Parity row i, column j of a Cauchy matrix: 1 / (i xor j), rows counted from k (docs/formats/extent.md names it matrix id 1).
  for (Code code : kCodes) {
    Coder coder(code);
    for (int j = 0; j < code.k; ++j) {
      Cells data(static_cast<size_t>(code.k), std::vector<uint8_t>(1, 0)),
          parity(static_cast<size_t>(code.m()), std::vector<uint8_t>(1));
      data[static_cast<size_t>(j)][0] = 1;
      coder.encode(pointers(std::as_const(data)), pointers(parity), 1);
      for (int i = 0; i < code.m(); ++i)
        EXPECT_EQ(multiply(parity[static_cast<size_t>(i)][0], static_cast<uint8_t>((code.k + i) ^ j)), 1);
    }
  }
}

TEST(Coder, MatchesGoldenVectorOfSixThree) {
  Coder coder({6, 3});
  Cells data(3, std::vector<uint8_t>(8)), parity(3, std::vector<uint8_t>(8));
  for (size_t i = 0; i < 24; ++i) data[i / 8][i % 8] = static_cast<uint8_t>(i * 11 + 1);
  coder.encode(pointers(std::as_const(data)), pointers(parity), 8);
  EXPECT_EQ(hex(parity[0]), "e78a73f10a43fa97");
  EXPECT_EQ(hex(parity[1]), "188f7fea9ff90196");
  EXPECT_EQ(hex(parity[2]), "a26bdd622f1735fc");
}

}  // namespace
}  // namespace archipel::erasure
