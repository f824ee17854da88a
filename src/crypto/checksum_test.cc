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

TEST(Checksum, CombinesTheChecksumsOfTwoRunsIntoThatOfBoth) {
  auto random = seeded_random(8);
  Buffer data(3u << 20);
  random->fill(data.span());
  for (size_t first : {0u, 1u, 7u, 4096u, 1u << 20}) {
    for (size_t second : {0u, 1u, 2u, 255u, 65'537u, 2u << 20}) {
      ByteView all = data.view().first(first + second), a = all.first(first), b = all.subspan(first);
      EXPECT_EQ(combine_crc32(crc_of<Crc32>(a), crc_of<Crc32>(b), second), crc_of<Crc32>(all));
      EXPECT_EQ(combine_crc32c(crc_of<Crc32c>(a), crc_of<Crc32c>(b), second), crc_of<Crc32c>(all));
      EXPECT_EQ(combine_crc64nvme(crc_of<Crc64Nvme>(a), crc_of<Crc64Nvme>(b), second),
                crc_of<Crc64Nvme>(all));
    }
  }
}

}  // namespace
}  // namespace archipel::crypto
