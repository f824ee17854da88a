// Clients that read slowly, many at once: what is held for them is bounded, and others are served.
#include "edge/reader_memory.h"
#include "edge/serve_test_util.h"

namespace archipel::edge {
namespace {

using namespace testing;

const Fields kMinute = {{"cache-control", "max-age=60"}};
constexpr size_t kMiB = 1u << 20;

std::vector<ClientRef> stuck_on(World& w, int count, bool same = false) {
  std::vector<ClientRef> out;
  for (int i = 0; i < count; i++) {
    auto client = std::make_shared<Client>("GET", "/slow" + std::to_string(same ? 0 : i), Fields{});
    client->stuck = true;
    out.push_back(w.start(client));
  }
  w.run();
  return out;
}

void let_go(World& w, std::vector<ClientRef>& clients) {
  for (auto& client : clients) client->go_on();
  w.run();
  for (auto& client : clients) EXPECT_TRUE(client->done);
  EXPECT_EQ(stats(*w.shared).reader_bytes, 0u);
}

TEST(SlowReaders, ManyDifferentBodiesAreReadFromTheOriginNoFasterThanTheirMemoryAllows) {
  World w(4 * kMiB);
  set_reader_memory(*w.shared, 16 * kMiB);
  w.always({.headers = kMinute, .body = pattern(3 * kMiB)});
  auto slow = stuck_on(w, 60);
  const uint64_t small = 60 * 2 * kSmallBytes;
  EXPECT_LE(stats(*w.shared).reader_bytes, 16 * kMiB + small);
  std::printf("slow readers: %zu of 60 bodies of 3 MiB read, %llu KiB held\n",
              w.origin.body_bytes / (3 * kMiB),
              static_cast<unsigned long long>(stats(*w.shared).reader_bytes >> 10));
  EXPECT_LE(w.origin.body_bytes, 16 * kMiB + 60 * 2 * (64u << 10));
  // Somebody who reads gets his page, and it may be stored.
  auto good = w.ask("/good");
  EXPECT_TRUE(good->finished);
  EXPECT_EQ(good->body.size(), 3 * kMiB);
  let_go(w, slow);
}

TEST(SlowReaders, SlowOnesAreEndedOnlyWhereOthersNeedTheRoom) {
  World w;
  set_reader_memory(*w.shared, 8 * kMiB);
  w.always({.headers = kMinute, .body = pattern(kMiB)});
  for (int i = 0; i < 8; i++) w.ask("/slow" + std::to_string(i));
  auto slow = stuck_on(w, 3);
  w.pass_time(std::chrono::seconds(50));
  for (auto& client : slow) EXPECT_FALSE(client->ended);
  let_go(w, slow);
  for (auto& client : slow) EXPECT_TRUE(client->finished);
  slow = stuck_on(w, 4);
  auto good = w.ask("/slow7");
  EXPECT_TRUE(good->finished);
  EXPECT_TRUE(good->body == pattern(kMiB));
  EXPECT_GE(stats(*w.shared).readers_ended, 1u);
  let_go(w, slow);
}

TEST(SlowReaders, AThousandOnOneBodyHoldItOnce) {
  World w;
  set_reader_memory(*w.shared, 8 * kMiB);
  w.always({.headers = kMinute, .body = pattern(kMiB)});
  w.ask("/slow0");
  auto slow = stuck_on(w, 1000, true);
  EXPECT_EQ(stats(*w.shared).reader_bytes, kMiB);
  let_go(w, slow);
  for (auto& client : slow) EXPECT_TRUE(client->finished);
  EXPECT_EQ(w.fetches(), 1u);
}

// Where the origin serves ranges, what was taken away from a slow reader's window is asked for again: he gets it all.
TEST(SlowReaders, WhatIsTakenAwayFromASlowReaderIsFetchedAgain) {
  World w(4 * kMiB);
  set_reader_memory(*w.shared, 16 * kMiB);
  w.origin.answer = ranged(pattern(3 * kMiB), "\"v\"");
  auto slow = stuck_on(w, 20);
  auto good = w.ask("/good");
  EXPECT_TRUE(good->body == pattern(3 * kMiB));
  let_go(w, slow);
  int whole = 0;
  for (auto& client : slow) {
    whole += client->finished;
    EXPECT_TRUE(pattern(3 * kMiB).starts_with(client->body));
  }
  EXPECT_GE(whole, 12);
}

TEST(ReaderMemory, PinsOfOneSliceArePaidForOnce) {
  ReaderMemory memory(8 * kMiB);
  Slice one, two, three, four, five;
  for (Slice* slice : {&one, &two, &three, &four, &five}) slice->bytes = Buffer(kMiB);
  for (int i = 0; i < 3; i++) EXPECT_TRUE(memory.pin(one));
  EXPECT_EQ(memory.bytes(), kMiB);
  EXPECT_TRUE(memory.pin(two) && memory.pin(three) && memory.pin(four));
  EXPECT_FALSE(memory.pin(five));
  EXPECT_FALSE(memory.has_room_for_a_pin());
  EXPECT_TRUE(memory.pin(four));  // it is there already
  for (int i = 0; i < 3; i++) memory.unpin(one);
  EXPECT_TRUE(memory.pin(five));
  EXPECT_EQ(memory.bytes(), 4 * kMiB);
  // Windows have a share of their own.
  EXPECT_TRUE(memory.take(4 * kMiB));
  EXPECT_FALSE(memory.take(1));
}

}  // namespace
}  // namespace archipel::edge
