#include "island/lent_bytes.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace archipel::island {
namespace {

TEST(LentBytes, GivesAllPartsInPiecesOfAnySize) {
  std::string a = "hello", b, c = ", island";
  std::vector<ByteView> parts = {as_bytes(a), as_bytes(b), as_bytes(c)};
  for (size_t size : {1u, 2u, 5u, 7u, 13u, 100u}) {
    LentBytes bytes(parts);
    std::string all;
    std::vector<uint8_t> piece(size);
    for (;;) {
      std::optional<size_t> n = bytes.next(piece);
      ASSERT_TRUE(n);
      if (*n == 0) break;
      all.append(as_text(ByteView(piece.data(), *n)));
    }
    EXPECT_EQ(all, "hello, island");
  }
}

TEST(LentBytes, TouchesNothingAfterTheCallerTookItsMemoryBack) {
  auto memory = std::make_unique<std::string>(1000, 'x');
  std::vector<ByteView> parts = {as_bytes(*memory)};
  LentBytes bytes(parts);
  std::vector<uint8_t> piece(10);
  EXPECT_EQ(bytes.next(piece), 10u);
  bytes.withdraw();
  memory.reset();
  EXPECT_EQ(bytes.next(piece), std::nullopt);
}

}  // namespace
}  // namespace archipel::island
