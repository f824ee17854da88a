#include "crypto/checksum.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace archipel::crypto {
namespace {

template <class Crc>
auto crc_of(ByteView data) {
  Crc crc;
  crc.update(data);
  return crc.value();
}

// The definition, bit by bit.
template <class Word>
Word by_definition(ByteView data, Word polynomial) {
  Word crc = static_cast<Word>(~Word{0});
  for (uint8_t byte : data) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? polynomial : 0);
  }
  return ~crc;
}

TEST(Checksum, MatchesCatalogueCheckValues) {
  EXPECT_EQ(crc_of<Crc32>(as_bytes("123456789")), 0xCBF43926u);
  EXPECT_EQ(crc_of<Crc32c>(as_bytes("123456789")), 0xE3069283u);
  EXPECT_EQ(crc_of<Crc64Nvme>(as_bytes("123456789")), 0xAE8B14860A799888u);
  EXPECT_EQ(crc_of<Crc32>({}), 0u);
  EXPECT_EQ(crc_of<Crc32c>({}), 0u);
  EXPECT_EQ(crc_of<Crc64Nvme>({}), 0u);
}

TEST(Checksum, MatchesTheDefinitionAtEveryLengthAndCut) {
  auto random = seeded_random(7);
  auto data = random->bytes<700>();
  for (size_t size = 0; size <= data.size(); size += size < 300 ? 1 : 37) {
    ByteView view = ByteView(data).first(size);
    size_t cut = size == 0 ? 0 : random->u64() % size;
    Crc32 a;
    Crc32c b;
    Crc64Nvme c;
    for (ByteView part : {view.first(cut), view.subspan(cut)}) {
      a.update(part);
      b.update(part);
      c.update(part);
    }
    EXPECT_EQ(a.value(), by_definition<uint32_t>(view, 0xEDB88320u)) << size << " cut at " << cut;
    EXPECT_EQ(b.value(), by_definition<uint32_t>(view, 0x82F63B78u)) << size << " cut at " << cut;
    EXPECT_EQ(c.value(), by_definition<uint64_t>(view, 0x9A6C9329AC4BC9B5u)) << size << " cut at " << cut;
  }
}

}  // namespace
}  // namespace archipel::crypto
