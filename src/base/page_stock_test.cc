#include "base/page_stock.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "base/bytes.h"

namespace archipel {
namespace {

constexpr size_t kMiB = 1u << 20;

TEST(PageStock, HandsAPieceOutAgainForItsSizeOnly) {
  PageStock stock(8 * kMiB);
  uint8_t* a = stock.take(2 * kMiB);
  std::memset(a, 1, 2 * kMiB);
  stock.give(a, 2 * kMiB);
  EXPECT_EQ(stock.idle_bytes(), 2 * kMiB);
  uint8_t* other = stock.take(3 * kMiB);
  EXPECT_NE(other, a);
  EXPECT_EQ(stock.take(2 * kMiB - 5), a);  // sizes are rounded up alike
  EXPECT_EQ(stock.idle_bytes(), 0u);
  stock.give(other, 3 * kMiB);
  stock.give(a, 2 * kMiB - 5);
}

TEST(PageStock, KeepsNoMoreThanItsLimitAndDropsTheOldest) {
  PageStock stock(4 * kMiB);
  uint8_t* pieces[3] = {stock.take(1 * kMiB), stock.take(2 * kMiB), stock.take(2 * kMiB)};
  stock.give(pieces[0], 1 * kMiB);
  stock.give(pieces[1], 2 * kMiB);
  stock.give(pieces[2], 2 * kMiB);
  EXPECT_EQ(stock.idle_bytes(), 4 * kMiB);
  EXPECT_EQ(stock.take(2 * kMiB), pieces[2]);
  stock.give(pieces[2], 2 * kMiB);
  stock.give(stock.take(5 * kMiB), 5 * kMiB);  // larger than the limit: all must go, and it too
  EXPECT_EQ(stock.idle_bytes(), 0u);
}

TEST(PageStock, ServesManyThreads) {
  PageStock stock(4 * kMiB);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (uint8_t t = 0; t < 4; ++t)
    threads.emplace_back([&stock, t] {
      for (int i = 0; i < 50; ++i) {
        uint8_t* data = stock.take(kMiB);
        std::memset(data, t, 4096);
        for (int at = 0; at < 4096; at += 511) EXPECT_EQ(data[at], t);
        stock.give(data, kMiB);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_LE(stock.idle_bytes(), 4 * kMiB);
}

TEST(Buffer, OwnsSmallAndLargeMemoryAlike) {
  for (size_t size : {size_t{0}, size_t{1}, kMiB - 1, kMiB, 3 * kMiB + 7}) {
    Buffer a(size);
    if (size > 0) {
      a.span().front() = 1;
      a.span().back() = 2;
    }
    Buffer b = std::move(a);
    EXPECT_EQ(a.size(), 0u);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(b.size(), size);
    Buffer c(5);
    c = std::move(b);
    EXPECT_EQ(c.size(), size);
    if (size > 0) EXPECT_EQ(c.span().back(), 2);
    c.resize_within(size / 2);
    EXPECT_EQ(c.capacity(), size);
  }
}

}  // namespace
}  // namespace archipel
