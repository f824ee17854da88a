#include "crypto/checksum.h"

#include <immintrin.h>
#include <isa-l/crc.h>

#include <algorithm>
#include <bit>

namespace archipel::crypto {
namespace {

constexpr size_t kChunkMax = size_t{1} << 30;  // ISA-L's crc32_iscsi takes an int length

// CRC-64/NVME, reflected: bit 63 of a word is the coefficient of x^0. ISA-L 2.30 does not have this
// polynomial.
constexpr uint64_t kPolynomial = 0x9A6C9329AC4BC9B5;

struct Tables {
  uint64_t by_lane[8][256];
};
constexpr Tables make_tables() {
  Tables t{};
  for (uint64_t byte = 0; byte < 256; ++byte) {
    uint64_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    t.by_lane[0][byte] = crc;
  }
  for (int lane = 1; lane < 8; ++lane)
    for (int byte = 0; byte < 256; ++byte) {
      uint64_t previous = t.by_lane[lane - 1][byte];
      t.by_lane[lane][byte] = (previous >> 8) ^ t.by_lane[0][previous & 0xff];
    }
  return t;
}
constexpr Tables kTables = make_tables();

uint64_t load64(const uint8_t* p) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

uint64_t crc64_by_table(uint64_t crc, const uint8_t* p, size_t size) {
  for (; size >= 8; p += 8, size -= 8) {
    uint64_t v = crc ^ load64(p);
    crc = 0;
    for (int lane = 0; lane < 8; ++lane) crc ^= kTables.by_lane[7 - lane][(v >> (8 * lane)) & 0xff];
  }
  for (; size > 0; ++p, --size) crc = (crc >> 8) ^ kTables.by_lane[0][(crc ^ *p) & 0xff];
  return crc;
}

// x^power mod P, reflected.
constexpr uint64_t power_of_x(int power) {
  uint64_t value = uint64_t{1} << 63;
  for (int i = 0; i < power; ++i) value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
  return value;
}

// Moves 16 bytes of message `distance` bits ahead and adds them to what lies there: the two halves times
// x^(distance+64) and x^distance. A carry-less product of reflected words is one factor of x too high, hence
// the -1 in the constants.
template <int distance>
__attribute__((target("pclmul,sse4.1"))) inline __m128i fold(__m128i block, __m128i onto) {
  constexpr uint64_t low = power_of_x(distance + 64 - 1), high = power_of_x(distance - 1);
  const __m128i factors = _mm_set_epi64x(static_cast<int64_t>(high), static_cast<int64_t>(low));
  __m128i a = _mm_clmulepi64_si128(block, factors, 0x00);
  __m128i b = _mm_clmulepi64_si128(block, factors, 0x11);
  return _mm_xor_si128(onto, _mm_xor_si128(a, b));
}

// size >= 64. Folds four lanes of 16 bytes, then one, and leaves the last 16 bytes and the tail to the table.
__attribute__((target("pclmul,sse4.1"))) uint64_t crc64_by_folding(uint64_t crc, const uint8_t* p,
                                                                   size_t size) {
  auto load = [](const uint8_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); };
  __m128i lane[4];
  for (size_t i = 0; i < 4; ++i) lane[i] = load(p + 16 * i);
  lane[0] = _mm_xor_si128(lane[0], _mm_set_epi64x(0, static_cast<int64_t>(crc)));
  for (p += 64, size -= 64; size >= 64; p += 64, size -= 64)
    for (size_t i = 0; i < 4; ++i) lane[i] = fold<512>(lane[i], load(p + 16 * i));
  __m128i block = lane[0];
  for (int i = 1; i < 4; ++i) block = fold<128>(block, lane[i]);
  for (; size >= 16; p += 16, size -= 16) block = fold<128>(block, load(p));
  uint8_t last[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(last), block);
  return crc64_by_table(crc64_by_table(0, last, sizeof last), p, size);
}

}  // namespace

void Crc32::update(ByteView data) {
  if (!data.empty()) state_ = crc32_gzip_refl(state_, data.data(), data.size());
}

void Crc32c::update(ByteView data) {
  while (!data.empty()) {
    size_t take = std::min(data.size(), kChunkMax);
    // ISA-L neither inverts the start value nor the result; its prototype lacks const, it does not write.
    state_ = crc32_iscsi(const_cast<uint8_t*>(data.data()), static_cast<int>(take), state_);
    data = data.subspan(take);
  }
}

void Crc64Nvme::update(ByteView data) {
  static const bool folds = __builtin_cpu_supports("pclmul") != 0;
  state_ = folds && data.size() >= 64 ? crc64_by_folding(state_, data.data(), data.size())
                                      : crc64_by_table(state_, data.data(), data.size());
}

// Polynomials modulo P over GF(2), reflected: the top bit of a word is the coefficient of x^0, and `reduced` is P without its
// highest term.
template <class Word>
static constexpr Word multiply(Word a, Word b, Word reduced) {
  Word product = 0;
  for (Word bit = Word{1} << (sizeof(Word) * 8 - 1); bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b & 1) != 0 ? (b >> 1) ^ reduced : b >> 1;
  }
  return product;
}

// B after A moves A by B's length: a * x^(8 * length) + b. The inversions at both ends of these checksums cancel out.
template <class Word>
static Word combine(Word a, Word b, uint64_t b_bytes, Word reduced) {
  constexpr int kBits = sizeof(Word) * 8;
  Word square = Word{1} << (kBits - 1 - 8);  // x^8: one byte
  Word factor = Word{1} << (kBits - 1);      // 1
  for (; b_bytes != 0; b_bytes >>= 1) {
    if ((b_bytes & 1) != 0) factor = multiply(factor, square, reduced);
    square = multiply(square, square, reduced);
  }
  return multiply(a, factor, reduced) ^ b;
}

uint32_t combine_crc32(uint32_t a, uint32_t b, uint64_t b_bytes) {
  return combine<uint32_t>(a, b, b_bytes, 0xEDB88320);
}
uint32_t combine_crc32c(uint32_t a, uint32_t b, uint64_t b_bytes) {
  return combine<uint32_t>(a, b, b_bytes, 0x82F63B78);
}
uint64_t combine_crc64nvme(uint64_t a, uint64_t b, uint64_t b_bytes) {
  return combine<uint64_t>(a, b, b_bytes, kPolynomial);
}

}  // namespace archipel::crypto
