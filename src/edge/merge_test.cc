#include "edge/merge.h"

#include <gtest/gtest.h>

namespace archipel::edge {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;
http::Headers make(const Fields& fields) {
  http::Headers out;
  for (const auto& [name, value] : fields) out.add(name, value);
  return out;
}
Fields fields(const http::Headers& headers) {
  return {headers.begin(), headers.end()};
}

TEST(Merge, StoresWithoutWhatIsForOneOnly) {
  Directives d;
  d.no_cache_fields = {"a"};
  d.private_fields = {"set-cookie"};
  EXPECT_EQ(
      fields(stored_headers(
          make({{"a", "1"}, {"set-cookie", "x"}, {"age", "5"}, {"content-length", "3"}, {"b", "2"}}), d)),
      (Fields{{"b", "2"}}));
}

TEST(Merge, A304UpdatesAllButWhatDescribesTheBytes) {
  auto merged = merge_headers(
      make({{"x", "old"}, {"keep", "k"}, {"content-encoding", "gzip"}, {"x", "older"}}),
      make({{"x", "new"}, {"content-encoding", "br"}, {"content-length", "9"}, {"y", "1"}, {"y", "2"}}));
  EXPECT_EQ(fields(merged),
            (Fields{{"keep", "k"}, {"content-encoding", "gzip"}, {"x", "new"}, {"y", "1"}, {"y", "2"}}));
}

TEST(Merge, KnowsA304OfAnotherResponse) {
  EXPECT_TRUE(validates(make({{"etag", "\"a\""}}), make({{"etag", "\"a\""}})));
  EXPECT_TRUE(validates(make({{"etag", "\"a\""}}), make({})));
  EXPECT_FALSE(validates(make({{"etag", "\"a\""}}), make({{"etag", "\"b\""}})));
}

TEST(Merge, AHeadThatDisagreesSaysSo) {
  auto stored = make({{"etag", "\"a\""}});
  EXPECT_TRUE(head_agrees(stored, 5, make({}), std::nullopt));
  EXPECT_TRUE(head_agrees(stored, 5, make({{"etag", "\"a\""}}), 5));
  EXPECT_FALSE(head_agrees(stored, 5, make({{"etag", "\"b\""}}), 5));
  EXPECT_FALSE(head_agrees(stored, 5, make({}), 6));
  EXPECT_FALSE(head_agrees(stored, 5, make({{"last-modified", "x"}}), 5));
}

TEST(Merge, PoisoningByMethodOverrideIsNotForwarded) {
  auto h = make({{"x-http-method-override", "DELETE"}, {"x-original-url", "/admin"}, {"x", "1"}});
  auto keyed = h;
  remove_steering(h, {});
  EXPECT_EQ(fields(h), (Fields{{"x", "1"}}));
  remove_steering(keyed, {"x-original-url"});
  EXPECT_EQ(keyed.size(), 2u);
}

}  // namespace
}  // namespace archipel::edge
