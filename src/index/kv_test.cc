// One suite over both Kvs: whoever uses the twin in a test may rely on the real one.
#include "index/kv.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <filesystem>
#include <map>

namespace archipel::index {
namespace {

std::string fresh_dir(const std::string& name) {
  std::string dir = testing::TempDir() + "/kv_" + name + "_" + std::to_string(getpid());
  std::filesystem::remove_all(dir);
  return dir;
}

struct Rocks {
  static std::unique_ptr<Kv> make() {
    static int number = 0;
    auto kv = open_rocks_kv(fresh_dir("suite" + std::to_string(number++)));
    EXPECT_TRUE(kv) << kv.error().describe();
    return std::move(*kv);
  }
};
struct Twin {
  static std::unique_ptr<Kv> make() { return make_map_kv(); }
};

template <class Maker>
class KvSuite : public testing::Test {
 protected:
  std::unique_ptr<Kv> kv = Maker::make();
  std::vector<std::pair<std::string, std::string>> all(std::string_view from = "", std::string_view to = "") {
    std::vector<std::pair<std::string, std::string>> out;
    auto done = kv->snapshot()->scan(from, to, [&](std::string_view k, std::string_view v, std::string*) {
      out.emplace_back(k, v);
      return true;
    });
    EXPECT_TRUE(done);
    return out;
  }
};
using Makers = testing::Types<Rocks, Twin>;
TYPED_TEST_SUITE(KvSuite, Makers);

TYPED_TEST(KvSuite, ReadsWhatWasWrittenAndNothingElse) {
  ASSERT_TRUE(this->kv->write({{"a", "1"}, {"b", std::string("\0x", 2)}, {"c", ""}}));
  auto snapshot = this->kv->snapshot();
  EXPECT_EQ(snapshot->get("a")->value(), "1");
  EXPECT_EQ(snapshot->get("b")->value(), std::string("\0x", 2));
  EXPECT_EQ(snapshot->get("c")->value(), "");
  EXPECT_FALSE(snapshot->get("d")->has_value());
}

TYPED_TEST(KvSuite, ABulkLoadShowsEverythingAtItsEndAndNothingBefore) {
  std::vector<std::string> keys;
  for (int i = 0; i < 900; ++i) keys.push_back("k" + std::to_string(1000 + i));
  auto load = this->kv->bulk_load();
  ASSERT_TRUE(load) << load.error().describe();
  // Runs in any order, each in order.
  for (size_t run : {2u, 0u, 1u}) {
    std::vector<std::pair<std::string_view, std::string_view>> entries;
    for (size_t i = run * 300; i < run * 300 + 300; ++i) entries.emplace_back(keys[i], "value");
    ASSERT_TRUE((*load)->add(entries));
  }
  EXPECT_TRUE(this->all().empty());
  ASSERT_TRUE((*load)->finish());
  load->reset();
  EXPECT_EQ(this->all().size(), 900u);
  EXPECT_EQ(this->all("k1300", "k1302"),
            (std::vector<std::pair<std::string, std::string>>{{"k1300", "value"}, {"k1301", "value"}}));
  ASSERT_TRUE(this->kv->write({{"k1300", "later"}, {"k1301", std::nullopt}}));
  EXPECT_EQ(this->kv->snapshot()->get("k1300")->value(), "later");
  EXPECT_FALSE(this->kv->snapshot()->get("k1301")->has_value());
}

TYPED_TEST(KvSuite, ABulkLoadThatIsGivenUpLeavesNothing) {
  for (int i = 0; i < 2; ++i) {
    auto load = this->kv->bulk_load();
    ASSERT_TRUE(load) << load.error().describe();
    std::vector<std::pair<std::string_view, std::string_view>> entries{{"a", "1"}, {"b", "2"}};
    ASSERT_TRUE((*load)->add(entries));
  }
  EXPECT_TRUE(this->all().empty());
}

TYPED_TEST(KvSuite, SnapshotDoesNotSeeLaterWrites) {
  ASSERT_TRUE(this->kv->write({{"a", "1"}}));
  auto before = this->kv->snapshot();
  ASSERT_TRUE(this->kv->write({{"a", "2"}, {"b", "2"}}));
  ASSERT_TRUE(this->kv->write({{"a", std::nullopt}}));
  EXPECT_EQ(before->get("a")->value(), "1");
  EXPECT_FALSE(before->get("b")->has_value());
  EXPECT_FALSE(this->kv->snapshot()->get("a")->has_value());
}

TYPED_TEST(KvSuite, TellsAtOnceWhatIsInMemory) {
  ASSERT_TRUE(this->kv->write({{"a", "1"}, {"b", std::string("\0x", 2)}}));
  ASSERT_TRUE(this->kv->write({{"a", "2"}, {"c", ""}}));
  auto told = [&](std::string_view key) {
    auto answer = this->kv->try_get(key);
    return answer && *answer ? **answer : std::optional<std::string>("nothing was told");
  };
  EXPECT_EQ(told("a"), "2");
  EXPECT_EQ(told("b"), std::string("\0x", 2));
  EXPECT_EQ(told("c"), "");
  EXPECT_EQ(told("d"), std::nullopt);
  ASSERT_TRUE(this->kv->write({{"a", std::nullopt}}));
  EXPECT_EQ(told("a"), std::nullopt);
}

TYPED_TEST(KvSuite, SnapshotOutlivesItsKv) {
  ASSERT_TRUE(this->kv->write({{"a", "1"}}));
  auto snapshot = this->kv->snapshot();
  this->kv.reset();
  EXPECT_EQ(snapshot->get("a")->value(), "1");
}

TYPED_TEST(KvSuite, LaterMutationOfOneBatchWins) {
  ASSERT_TRUE(this->kv->write({{"a", "1"}, {"a", std::nullopt}, {"b", std::nullopt}, {"b", "2"}}));
  EXPECT_FALSE(this->kv->snapshot()->get("a")->has_value());
  EXPECT_EQ(this->kv->snapshot()->get("b")->value(), "2");
}

TYPED_TEST(KvSuite, ScansByRawBytesWithinBounds) {
  ASSERT_TRUE(this->kv->write({{"b", "2"}, {"\xff", "5"}, {"a", "1"}, {"b\x01", "3"}, {"c", "4"}}));
  using Rows = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(this->all(), (Rows{{"a", "1"}, {"b", "2"}, {"b\x01", "3"}, {"c", "4"}, {"\xff", "5"}}));
  EXPECT_EQ(this->all("b", "c"), (Rows{{"b", "2"}, {"b\x01", "3"}}));
  EXPECT_EQ(this->all("b\x01", ""), (Rows{{"b\x01", "3"}, {"c", "4"}, {"\xff", "5"}}));
  EXPECT_EQ(this->all("x", "y"), Rows{});
}

TYPED_TEST(KvSuite, ScanStopsAndSkips) {
  ASSERT_TRUE(this->kv->write({{"a/1", ""}, {"a/2", ""}, {"b/1", ""}, {"c", ""}, {"d", ""}}));
  std::vector<std::string> seen;
  auto done =
      this->kv->snapshot()->scan("", "", [&](std::string_view k, std::string_view, std::string* seek_to) {
        seen.emplace_back(k);
        if (k.starts_with("a/")) *seek_to = "a0";
        return k != "c";
      });
  ASSERT_TRUE(done);
  EXPECT_EQ(seen, (std::vector<std::string>{"a/1", "b/1", "c"}));
}

TYPED_TEST(KvSuite, SkippingBackwardsIsRefused) {
  ASSERT_TRUE(this->kv->write({{"a", ""}, {"b", ""}}));
  auto done =
      this->kv->snapshot()->scan("", "", [&](std::string_view, std::string_view, std::string* seek_to) {
        *seek_to = "a";
        return true;
      });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::internal);
}

TYPED_TEST(KvSuite, BehavesLikeAMapOnRandomPrograms) {
  std::map<std::string, std::string> model;
  EXPECT_TRUE(rc::check([&] {
    std::vector<Mutation> batch;
    int size = *rc::gen::inRange(0, 20);
    for (int i = 0; i < size; ++i) {
      std::string key = *rc::gen::container<std::string>(rc::gen::inRange<char>('a', 'd'));
      key = key.substr(0, 4);
      bool put = *rc::gen::inRange(0, 3) != 0;
      batch.push_back({key, put ? std::optional<std::string>(std::to_string(i)) : std::nullopt});
      if (put) {
        model[key] = std::to_string(i);
      } else {
        model.erase(key);
      }
    }
    RC_ASSERT(this->kv->write(batch).has_value());
    std::vector<std::pair<std::string, std::string>> want(model.begin(), model.end());
    RC_ASSERT(this->all() == want);
  }));
}

TEST(RocksKv, KeepsItsContentsAcrossReopeningAndIsPrivate) {
  std::string dir = fresh_dir("reopen");
  {
    auto kv = open_rocks_kv(dir);
    ASSERT_TRUE(kv);
    ASSERT_TRUE((*kv)->write({{"a", "1"}}));
  }
  EXPECT_EQ(std::filesystem::status(dir).permissions(), std::filesystem::perms::owner_all);
  auto kv = open_rocks_kv(dir);
  ASSERT_TRUE(kv);
  EXPECT_EQ((*kv)->snapshot()->get("a")->value(), "1");
}

TEST(RocksKv, SecondOpenOfOneDirectoryIsRefused) {
  std::string dir = fresh_dir("twice");
  auto first = open_rocks_kv(dir);
  ASSERT_TRUE(first);
  auto second = open_rocks_kv(dir);
  EXPECT_FALSE(second);
}

}  // namespace
}  // namespace archipel::index
