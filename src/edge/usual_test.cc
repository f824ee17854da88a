#include "edge/usual.h"

#include <gtest/gtest.h>

#include <string>

namespace archipel::edge {
namespace {

Usual look(std::string name, std::string value = "1") {
  http::Headers headers;
  headers.add("accept", "*/*");
  headers.add("host", "a.example");
  headers.add(std::move(name), std::move(value));
  return look_for_usual(headers);
}

TEST(Usual, IsARequestThatAsksForNothingOfItsOwn) {
  for (const char* name : {"user-agent", "accept-encoding", "cookie", "referer", "connection",
                           "authorization", "x-forwarded-for", "if", "ranges", "age"}) {
    const Usual usual = look(name);
    EXPECT_TRUE(usual.plain) << name;
    EXPECT_FALSE(usual.looped || usual.forwarded) << name;
  }
  http::Headers hosts;
  hosts.add("accept", "*/*");
  hosts.add("host", "a.example");
  EXPECT_EQ(look_for_usual(hosts).host, "a.example");
  EXPECT_TRUE(look_for_usual({}).plain);
  EXPECT_EQ(look_for_usual({}).host, "");
}

TEST(Usual, IsNotWhatHasConditionsARangeOrWishes) {
  for (const char* name : {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
                           "if-range", "range", "cache-control", "pragma", "upgrade", "archipel-peer"})
    EXPECT_FALSE(look(name).plain) << name;
}

TEST(Usual, TellsOfProxiesInFront) {
  EXPECT_TRUE(look("cdn-loop", "other").looped);
  EXPECT_TRUE(look("x-forwarded-proto", "https").forwarded);
}

}  // namespace
}  // namespace archipel::edge
