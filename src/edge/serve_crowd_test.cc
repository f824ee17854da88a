// Many at once, slow ones, those who leave, and large bodies: what serve() owes them.
#include <set>

#include "edge/serve_test_util.h"

namespace archipel::edge {
namespace {

using namespace testing;
using std::chrono::seconds;

constexpr size_t kMiB = 1u << 20;
const Fields kMinute = {{"cache-control", "max-age=60"}};

std::vector<ClientRef> crowd(World& w, size_t n, const Fields& fields = {}) {
  std::vector<ClientRef> out;
  for (size_t i = 0; i < n; i++) out.push_back(w.start("/a", fields));
  w.run();
  return out;
}

// Thundering herd: however many ask for a cold key, its origin is asked once.
TEST(ServeCrowd, ThunderingHerdOnAColdKeyIsOneFetch) {
  World w;
  w.always({.headers = kMinute, .body = pattern(kMiB + 7)});
  w.origin.hold_heads = true;
  auto all = crowd(w, 500);
  EXPECT_EQ(w.fetches(), 1u);
  w.origin.release();
  w.run();
  for (auto& c : all) {
    EXPECT_TRUE(c->finished);
    EXPECT_EQ(c->body.size(), kMiB + 7);
  }
  EXPECT_EQ(all.back()->body, pattern(kMiB + 7));
  EXPECT_EQ(w.fetches(), 1u);
  EXPECT_EQ(w.origin.body_bytes, kMiB + 7);
}

TEST(ServeCrowd, ThunderingHerdOnAnExpiredKeyIsOneValidation) {
  World w;
  w.origin.answer = ranged(pattern(1000), "\"v\"", "max-age=10");
  w.ask("/a");
  w.pass_time(seconds(11));
  w.origin.hold_heads = true;
  auto all = crowd(w, 500);
  w.origin.release();
  w.run();
  for (auto& c : all) EXPECT_EQ(c->body, pattern(1000));
  EXPECT_EQ(w.fetches(), 2u);
  EXPECT_EQ(w.origin.body_bytes, 1000u);
}

TEST(ServeCrowd, ABodyOfUnknownLengthIsSharedToo) {
  World w;
  w.always({.headers = kMinute, .body = pattern(2 * kMiB + 9), .chunked = true});
  w.origin.hold_bodies = true;
  w.origin.step_bodies(100'000);
  auto all = crowd(w, 50);
  EXPECT_EQ(all[7]->body.size(), 100'000u);  // nobody waits for the whole
  w.origin.release();
  w.run();
  const std::string expected = pattern(2 * kMiB + 9);
  for (auto& c : all) EXPECT_EQ(c->body, expected);
  EXPECT_EQ(w.fetches(), 1u);
  EXPECT_EQ(w.ask("/a")->get("content-length"), std::to_string(2 * kMiB + 9));
}

// Uncacheable serialisation: a private response releases all who waited, at once, and the next ones do not wait.
TEST(ServeCrowd, PrivateResponsesReleaseAllWaitersAtOnce) {
  World w;
  w.origin.answer = [n = 0](const FetchRequest&) mutable {
    return Reply{.headers = {{"cache-control", "private"}}, .body = std::to_string(n++)};
  };
  w.origin.hold_heads = true;
  auto all = crowd(w, 100);
  EXPECT_EQ(w.fetches(), 1u);
  w.origin.hold_heads = false;
  w.origin.release();
  w.run();
  std::set<std::string> bodies;
  for (auto& c : all) bodies.insert(c->body);
  EXPECT_EQ(bodies.size(), 100u);  // nobody got another's
  EXPECT_EQ(w.fetches(), 100u);
  // Hit-for-miss: 50 at once are 50 fetches at once.
  w.origin.hold_heads = true;
  crowd(w, 50);
  EXPECT_EQ(w.fetches(), 150u);
  EXPECT_EQ(stats(*w.shared).hit_for_miss, 1u);
  w.origin.release();
  w.run();
  // It ends by time, or by a response that may be stored.
  w.pass_time(seconds(121));
  w.origin.hold_heads = true;
  crowd(w, 50);
  EXPECT_EQ(w.fetches(), 151u);
}

TEST(ServeCrowd, WhatIsStoredOnlyForItsValidatorIsNotSharedUnvalidated) {
  World w;
  w.origin.answer = ranged("hello", "\"v\"", "no-cache");
  w.origin.hold_heads = true;
  auto all = crowd(w, 10);
  w.origin.release();
  w.run();
  for (auto& c : all) EXPECT_EQ(c->body, "hello");
  EXPECT_EQ(w.fetches(), 10u);
  // From then on each is a validation of its own.
  w.ask("/a");
  EXPECT_EQ(w.origin.seen.back().headers.get("if-none-match"), "\"v\"");
}

TEST(ServeCrowd, EachVariantIsFetchedOnceForAll) {
  World w;
  w.origin.answer = [](const FetchRequest& r) {
    return Reply{.headers = {{"cache-control", "max-age=60"}, {"vary", "foo"}},
                 .body = std::string(r.headers.get("foo"))};
  };
  w.origin.hold_heads = true;
  std::vector<ClientRef> all;
  for (int i = 0; i < 90; i++) all.push_back(w.start("/a", {{"foo", std::to_string(i % 3)}}));
  w.run();
  w.origin.release();
  w.run();
  for (int i = 0; i < 90; i++) EXPECT_EQ(all[static_cast<size_t>(i)]->body, std::to_string(i % 3));
  EXPECT_LE(w.fetches(), 4u);
}

TEST(ServeCrowd, ASlowClientHoldsUpNobody) {
  World w;
  w.always({.headers = kMinute, .body = pattern(9 * kMiB)});
  auto slow = std::make_shared<Client>("GET", "/a", Fields{});
  slow->stuck = true;
  w.start(slow);
  auto others = crowd(w, 5);
  for (auto& c : others) EXPECT_EQ(c->body.size(), 9 * kMiB);
  EXPECT_EQ(w.origin.open, 0);  // the fetch is over although nobody read the slow client's bytes
  EXPECT_FALSE(slow->finished);
  slow->go_on();
  w.run();
  EXPECT_EQ(slow->body, pattern(9 * kMiB));
  EXPECT_EQ(w.fetches(), 1u);
}

TEST(ServeCrowd, AClientThatLeavesDoesNotTakeTheFetchWithIt) {
  World w;
  w.always({.headers = kMinute, .body = pattern(20 * kMiB)});
  w.origin.hold_bodies = true;
  auto first = std::make_shared<Client>("GET", "/a", Fields{});
  first->gone_at = 1;
  w.start(first);
  w.run();
  auto others = crowd(w, 3);
  w.origin.step_bodies(kMiB);
  w.run();
  EXPECT_TRUE(first->done);
  EXPECT_FALSE(first->finished);
  w.origin.release();
  w.run();
  for (auto& c : others) EXPECT_EQ(c->body, pattern(20 * kMiB));
  EXPECT_EQ(w.fetches(), 1u);
}

TEST(ServeCrowd, ALargeFetchIsGivenUpWhenNobodyIsLeftASmallOneFinished) {
  World w;
  auto leaving = [&](const char* target) {
    auto c = std::make_shared<Client>("GET", target, Fields{});
    c->gone_at = 1;
    w.origin.hold_bodies = true;
    w.start(c);
    w.run();
    w.origin.step_bodies(kMiB);
    w.run();
    w.origin.release();
    w.run();
  };
  w.always({.headers = kMinute, .body = pattern(40 * kMiB)});
  leaving("/large");
  EXPECT_LT(w.origin.body_bytes, 40 * kMiB);
  EXPECT_EQ(w.origin.open, 0);
  w.always({.headers = kMinute, .body = pattern(2 * kMiB)});
  leaving("/small");
  EXPECT_EQ(w.ask("/small")->served.how, Served::How::hit);
  EXPECT_EQ(w.ask("/large")->served.how, Served::How::miss);
}

TEST(ServeCrowd, ABodyThatBreaksOffNeverLooksWhole) {
  World w;
  for (bool chunked : {false, true}) {
    w.always({.headers = kMinute, .body = pattern(3 * kMiB), .chunked = chunked, .cut = 2 * kMiB + 5});
    auto all = crowd(w, 5);
    for (auto& c : all) EXPECT_FALSE(c->finished);
    w.always({.headers = kMinute, .body = "whole"});
    EXPECT_EQ(w.ask("/a")->body, "whole");
    w.loop.post([&w] { w.cache->invalidate("site\nhttp://a.example/a"); });
  }
}

TEST(ServeCrowd, WhatIsTooLargeIsPassedOnAndNotStored) {
  World w;
  w.site->policy.object_bytes_max = 2 * kMiB;
  w.always({.headers = kMinute, .body = pattern(12 * kMiB), .chunked = true});
  auto slow = std::make_shared<Client>("GET", "/a", Fields{});
  slow->stuck = true;
  w.start(slow);
  w.run();
  // Alone, a slow client makes the fetch as slow: what is not stored is not held either.
  EXPECT_LT(w.origin.body_bytes, 8 * kMiB);
  slow->go_on();
  w.run();
  EXPECT_EQ(slow->body, pattern(12 * kMiB));
  EXPECT_EQ(w.ask("/a")->served.how, Served::How::miss);
  w.always({.headers = kMinute, .body = pattern(3 * kMiB)});
  EXPECT_EQ(w.ask("/b")->body.size(), 3 * kMiB);
  EXPECT_EQ(w.ask("/b")->served.how, Served::How::miss);
}

// A large body that can only be had whole is not fetched faster than its only reader takes it: what nobody keeps would be lost for him.
TEST(ServeCrowd, ALoneSlowClientGetsAllOfWhatNoTierCanHold) {
  World w(2 * kMiB);
  w.always({.headers = kMinute, .body = pattern(12 * kMiB)});
  auto slow = std::make_shared<Client>("GET", "/a", Fields{});
  slow->stuck = true;
  w.start(slow);
  w.run();
  EXPECT_LT(w.origin.body_bytes, 6 * kMiB);
  slow->go_on();
  w.run();
  EXPECT_EQ(slow->body, pattern(12 * kMiB));
}

TEST(ServeCrowd, APurgeDuringAFetchIsNotUndoneByIt) {
  World w;
  w.always({.headers = kMinute, .body = "old"});
  w.origin.hold_heads = true;
  auto before = w.start("/a");
  w.run();
  w.loop.post([&w] { w.cache->invalidate("site\nhttp://a.example/a"); });
  w.run();
  w.origin.hold_heads = false;
  w.always({.headers = kMinute, .body = "new"});
  auto after = w.ask("/a");
  EXPECT_EQ(after->body, "new");
  w.origin.release();
  w.run();
  EXPECT_EQ(before->body, "old");
  EXPECT_EQ(w.ask("/a")->body, "new");
}

TEST(ServeRanges, AreCutFromTheStoredWhole) {
  World w;
  w.always({.headers = kMinute, .body = "0123456789A"});
  w.ask("/a");
  auto part = w.ask("/a", {{"range", "bytes=1-"}});
  EXPECT_EQ(part->status, 206);
  EXPECT_EQ(part->body, "123456789A");
  EXPECT_EQ(part->get("content-range"), "bytes 1-10/11");
  EXPECT_EQ(w.ask("/a", {{"range", "bytes=-1"}})->body, "A");
  EXPECT_EQ(w.ask("/a", {{"range", "bytes=11-"}})->status, 416);
  EXPECT_EQ(w.ask("/a", {{"range", "bytes=11-"}})->get("content-range"), "bytes */11");
  EXPECT_EQ(w.ask("/a", {{"range", "bytes=0-1"}, {"if-range", "\"x\""}})->status, 200);
  EXPECT_EQ(w.fetches(), 1u);
}

TEST(ServeRanges, SeveralAreParts) {
  World w;
  w.always(
      {.headers = {{"cache-control", "max-age=60"}, {"content-type", "text/x"}}, .body = pattern(3 * kMiB)});
  w.ask("/a");
  auto parts = w.ask("/a", {{"range", "bytes=0-1,1048575-1048577"}});
  EXPECT_EQ(parts->status, 206);
  EXPECT_TRUE(parts->get("content-type").starts_with("multipart/byteranges; boundary="));
  std::string boundary = std::string(parts->get("content-type").substr(31));
  EXPECT_EQ(parts->body,
            "--" + boundary + "\r\ncontent-type: text/x\r\ncontent-range: bytes 0-1/3145728\r\n\r\n" +
                pattern(3 * kMiB).substr(0, 2) + "\r\n--" + boundary +
                "\r\ncontent-type: text/x\r\ncontent-range: bytes 1048575-1048577/3145728\r\n\r\n" +
                pattern(3 * kMiB).substr(1048575, 3) + "\r\n--" + boundary + "--\r\n");
}

// RangeAmp, small byte ranges: one byte of a large object does not fetch it.
TEST(ServeRanges, RangeAmpSmallRangesFetchOneSlice) {
  World w;
  w.origin.answer = ranged(pattern(25 * kMiB), "\"v\"");
  auto one = w.ask("/a", {{"range", "bytes=0-0"}});
  EXPECT_EQ(one->status, 206);
  EXPECT_EQ(one->body, pattern(1));
  EXPECT_EQ(one->get("content-range"), "bytes 0-0/26214400");
  EXPECT_LE(w.origin.body_bytes, 2 * kMiB);
  auto far = w.ask("/a", {{"range", "bytes=10485760-10485761"}});
  EXPECT_EQ(far->body, pattern(25 * kMiB).substr(10485760, 2));
  EXPECT_LE(w.origin.body_bytes, 2 * kMiB);
  EXPECT_EQ(w.ask("/a", {{"range", "bytes=-3"}})->body, pattern(25 * kMiB).substr(25 * kMiB - 3));
  EXPECT_LE(w.origin.body_bytes, 3 * kMiB);
  EXPECT_EQ(w.ask("/a", {{"range", "bytes=0-0"}})->served.how, Served::How::hit);
}

TEST(ServeRanges, RangeAmpOriginsWithoutRangesAreNotReadToTheEnd) {
  World w;
  w.always({.headers = {{"cache-control", "max-age=60"}, {"etag", "\"v\""}}, .body = pattern(25 * kMiB)});
  EXPECT_EQ(w.ask("/a", {{"range", "bytes=0-0"}})->body, pattern(1));
  EXPECT_LE(w.origin.body_bytes, 2 * kMiB);
  EXPECT_EQ(w.origin.open, 0);
}

TEST(ServeRanges, TheEndOfAnUnknownObjectCostsOneSlice) {
  World w;
  for (size_t size : {size_t{100}, kMiB, kMiB + kMiB / 2, 5 * kMiB + 11}) {
    w.origin.body_bytes = 0;
    const std::string target = "/" + std::to_string(size), body = pattern(size);
    // As the tests' origin does not know the form "-5", it is taught here.
    auto whole = ranged(body, "\"v\"");
    w.origin.answer = [whole, size](const FetchRequest& r) {
      FetchRequest copy;
      copy.headers = r.headers;
      if (r.headers.get("range").starts_with("bytes=-"))
        copy.headers.set(
            "range",
            "bytes=" +
                std::to_string(size - std::min<size_t>(
                                          size, std::stoull(std::string(r.headers.get("range").substr(7))))) +
                "-" + std::to_string(size - 1));
      return whole(copy);
    };
    auto tail = w.ask(target, {{"range", "bytes=-5"}});
    EXPECT_EQ(tail->status, 206);
    EXPECT_EQ(tail->body, body.substr(size - 5));
    EXPECT_LE(w.origin.body_bytes, kMiB);
    EXPECT_EQ(w.ask(target, {{"range", "bytes=-7"}})->served.how, Served::How::hit);
    EXPECT_EQ(w.ask(target)->body, body);
  }
}

TEST(ServeRanges, RangeAmpTheEndOfWhatHasNoRangesIsTheWhole) {
  World w;
  w.always({.headers = kMinute, .body = pattern(5 * kMiB)});
  auto whole = w.ask("/a", {{"range", "bytes=-1"}});
  EXPECT_EQ(whole->status, 200);
  EXPECT_EQ(whole->body.size(), 5 * kMiB);
  EXPECT_EQ(w.ask("/a", {{"range", "bytes=-1"}})->status, 206);
}

TEST(ServeRanges, WhatIsMissingOfALargeObjectIsFetchedSliceBySlice) {
  World w;
  w.origin.answer = ranged(pattern(5 * kMiB + 11), "\"v\"");
  w.ask("/a", {{"range", "bytes=2097152-2097152"}});
  EXPECT_EQ(w.origin.body_bytes, kMiB);
  auto whole = w.ask("/a");
  EXPECT_EQ(whole->body, pattern(5 * kMiB + 11));
  EXPECT_EQ(w.origin.body_bytes, 5 * kMiB + 11);  // nothing twice
  EXPECT_EQ(whole->served.origin_bytes, 4 * kMiB + 11);
  EXPECT_EQ(w.origin.seen.back().headers.get("if-range"), "\"v\"");
  const size_t before = w.fetches();
  EXPECT_EQ(w.ask("/a")->body, pattern(5 * kMiB + 11));
  EXPECT_EQ(w.fetches(), before);
}

TEST(ServeRanges, SlicesOfTwoVersionsAreNeverMixed) {
  World w;
  w.origin.answer = ranged(std::string(3 * kMiB, 'a'), "\"a\"");
  w.ask("/a", {{"range", "bytes=0-0"}});
  w.origin.answer = ranged(std::string(3 * kMiB, 'b'), "\"b\"");
  auto torn = w.ask("/a");
  EXPECT_FALSE(torn->finished);
  EXPECT_EQ(torn->body.find('b'), std::string::npos);
  EXPECT_EQ(w.ask("/a")->body, std::string(3 * kMiB, 'b'));
}

TEST(ServeRanges, ManyReadersOfOneMissingSliceAreOneFetch) {
  World w;
  w.origin.answer = ranged(pattern(3 * kMiB), "\"v\"");
  w.ask("/a", {{"range", "bytes=0-0"}});
  w.origin.hold_heads = true;
  auto all = crowd(w, 50, {{"range", "bytes=1048576-1048580"}});
  EXPECT_EQ(w.fetches(), 2u);
  w.origin.release();
  w.run();
  const std::string expected = pattern(3 * kMiB).substr(kMiB, 5);
  for (auto& c : all) EXPECT_EQ(c->body, expected);
}

TEST(ServeRanges, PartsWithoutAStrongValidatorAreNotKept) {
  World w;
  w.origin.answer = ranged(pattern(3 * kMiB), "W/\"v\"");
  auto part = w.ask("/a", {{"range", "bytes=5-9"}});
  EXPECT_EQ(part->status, 206);
  EXPECT_EQ(part->body, pattern(3 * kMiB).substr(5, 5));
  EXPECT_EQ(w.origin.seen.back().headers.get("range"), "bytes=5-9");
  w.ask("/a", {{"range", "bytes=5-9"}});
  EXPECT_EQ(w.origin.open, 0);
}

TEST(ServeRanges, AMemoryTooSmallForTheObjectStillServesIt) {
  World w(2 * kMiB);
  w.origin.answer = ranged(pattern(12 * kMiB), "\"v\"");
  for (int i = 0; i < 2; i++) EXPECT_EQ(w.ask("/a")->body, pattern(12 * kMiB));
}

}  // namespace
}  // namespace archipel::edge
