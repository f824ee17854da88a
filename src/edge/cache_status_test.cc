#include "edge/cache_status.h"

#include <gtest/gtest.h>

#include "http/structured_fields.h"

namespace archipel::edge {
namespace {

TEST(CacheStatus, SaysWhatTheCacheDid) {
  EXPECT_EQ(write_cache_status("archipel", {.ttl = 30}), "archipel; hit; ttl=30");
  CacheStatus miss{
      .forward = CacheStatus::Forward::uri_miss, .forward_status = 200, .stored = true, .collapsed = true};
  EXPECT_EQ(write_cache_status("archipel", miss),
            "archipel; fwd=uri-miss; fwd-status=200; stored; collapsed");
  EXPECT_EQ(write_cache_status("my edge", {.ttl = -1, .detail = "a b"}),
            "\"my edge\"; hit; ttl=-1; detail=\"a b\"");
}

TEST(CacheStatus, IsAMemberOfAList) {
  for (auto forward : {CacheStatus::Forward::none, CacheStatus::Forward::bypass,
                       CacheStatus::Forward::partial, CacheStatus::Forward::vary_miss}) {
    auto list =
        http::sf::parse_list("other; hit, " + write_cache_status("a\"b", {.forward = forward, .ttl = 5}));
    ASSERT_TRUE(list);
    EXPECT_EQ(list->size(), 2u);
  }
}

}  // namespace
}  // namespace archipel::edge
