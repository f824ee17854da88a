#include "http/message.h"

#include <gtest/gtest.h>

namespace archipel::http {
namespace {

Headers three() {
  Headers h;
  h.add("host", "a.example");
  h.add("accept", "one");
  h.add("accept", "two");
  return h;
}

std::string text(const Headers& headers) {
  std::string out;
  for (const auto& [name, value] : headers) out += name + "=" + value + ";";
  return out;
}

TEST(Headers, FindTheFirstAndCountAll) {
  const Headers h = three();
  EXPECT_EQ(h.get("accept"), "one");
  EXPECT_EQ(h.count("accept"), 2u);
  EXPECT_EQ(h.find("cookie"), nullptr);
  EXPECT_EQ(h.size(), 3u);
}

TEST(Headers, NothingOfWhatWasClearedIsSeenAgain) {
  Headers h = three();
  h.clear();
  EXPECT_EQ(h.size(), 0u);
  EXPECT_EQ(h.find("host"), nullptr);
  EXPECT_EQ(h.count("accept"), 0u);
  EXPECT_EQ(text(h), "");
  h.add_copy("via", "x");
  EXPECT_EQ(text(h), "via=x;");
  EXPECT_EQ(text(Headers(h)), "via=x;");
  h.remove("accept");
  EXPECT_EQ(text(h), "via=x;");
  h.add("te", "trailers");
  h.add_copy("accept", "three");
  h.add("a", "b");
  EXPECT_EQ(text(h), "via=x;te=trailers;accept=three;a=b;");
}

TEST(Headers, CopiesAndMovesTakeWhatIsThereAndNoMore) {
  Headers h = three();
  h.clear();
  h.add_copy("via", "x");
  Headers copy;
  copy.add("old", "1");
  copy = h;
  const Headers& itself = copy;
  copy = itself;
  EXPECT_EQ(text(copy), "via=x;");
  Headers moved = std::move(copy);
  EXPECT_EQ(text(moved), "via=x;");
  EXPECT_EQ(text(copy), "");  // NOLINT(bugprone-use-after-move): empty, as it says
  copy.add("again", "2");
  EXPECT_EQ(text(copy), "again=2;");
  copy = std::move(moved);
  EXPECT_EQ(text(copy), "via=x;");
  EXPECT_EQ(moved.size(), 0u);  // NOLINT(bugprone-use-after-move)
}

TEST(Headers, RemovesAllOfAName) {
  Headers h = three();
  h.remove("accept");
  EXPECT_EQ(text(h), "host=a.example;");
  h.set("host", "b.example");
  EXPECT_EQ(text(h), "host=b.example;");
  h.set("accept", "x");
  EXPECT_EQ(text(h), "host=b.example;accept=x;");
}

TEST(Headers, WhatIsClearedKeepsNoLargeText) {
  Headers h;
  const std::string large(100'000, 'x');
  for (int i = 0; i < 100; ++i) h.add_copy(large, large);
  h.clear();
  // Seen by who puts small fields where the large ones were.
  for (int i = 0; i < 100; ++i) h.add_copy("n", "v");
  size_t held = 0;
  for (const auto& [name, value] : h) held += name.capacity() + value.capacity();
  EXPECT_LT(held, 10'000u);
}

}  // namespace
}  // namespace archipel::http
