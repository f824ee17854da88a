// Uploads whose clients are slow: they hold little, lose nothing, and hold up nobody.
#include <gtest/gtest.h>

#include "io/sync.h"
#include "store/store_fixture.h"

namespace archipel::store {
namespace {

constexpr size_t kMiB = 1u << 20;

// Hands out what has "arrived" and then waits for more; may take its time over each read.
class SlowBody final : public BodySource {
 public:
  SlowBody(TestClock& clock, std::string bytes) : clock_(clock), bytes_(std::move(bytes)) {}

  void arrive(size_t upto) {
    arrived_ = std::min(upto, bytes_.size());
    changed_.notify_all();
  }
  Duration each_read{0};
  bool starved() const { return waiting_; }  // all that arrived was taken

  io::Task<Result<size_t>> read(MutableBytes out) override {
    while (at_ == arrived_ && at_ < bytes_.size()) {
      waiting_ = true;
      co_await changed_.wait();
    }
    waiting_ = false;
    clock_.ahead += each_read;
    const size_t size = std::min(out.size(), arrived_ - at_);
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(at_), size, out.begin());
    at_ += size;
    co_return size;
  }

 private:
  TestClock& clock_;
  const std::string bytes_;
  size_t arrived_ = 0, at_ = 0;
  bool waiting_ = false;
  io::Event changed_;
};

io::Task<void> upload(StoreRig& rig, std::string key, SlowBody& body, std::optional<size_t> length,
                      std::vector<std::string>& outcomes) {
  PutRequest request;
  request.bucket = "slow";
  request.key = std::move(key);
  request.length = length;
  Result<ObjectInfo> put = co_await rig.store->put(std::move(request), body);
  outcomes.push_back(code_of(put));
}

io::Task<void> make_bucket(StoreRig& rig) {
  Account account{kAlice, "Alice", "AKIDALICE", "secret-of-alice"};
  Result<void> kept = co_await rig.store->put_account(account);
  EXPECT_EQ(code_of(kept), "ok");
  Result<void> made = co_await rig.store->create_bucket("slow", kAlice);
  EXPECT_EQ(code_of(made), "ok");
}

io::Task<void> until_starved(std::vector<std::unique_ptr<SlowBody>>& bodies) {
  for (auto& body : bodies)
    while (!body->starved())
      co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(1));
}

// 64 announced uploads of 3 MiB would be 500 MiB as extents; the memory is 16 MiB.
TEST(SlowUploads, HoldWhatHasArrivedAndNotWhatWasAnnounced) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig);
      constexpr size_t kUploads = 64, kSize = 3 * kMiB + 12'345;
      std::vector<std::string> contents, outcomes;
      std::vector<std::unique_ptr<SlowBody>> bodies;
      io::TaskScope scope;
      for (size_t i = 0; i < kUploads; ++i) {
        contents.push_back(pattern(kSize, 100 + i));
        bodies.push_back(std::make_unique<SlowBody>(rig.clock, contents.back()));
        bodies.back()->arrive(1000 + i);
        scope.spawn(upload(rig, "k" + std::to_string(i), *bodies.back(),
                           i % 3 == 0 ? std::nullopt : std::optional(kSize), outcomes));
      }
      // Again and again some more of each, and in between somebody in a hurry.
      for (size_t arrived :
           {size_t{1000}, size_t{70'000}, size_t{400'000}, size_t{1'500'000}, size_t{2'900'000}}) {
        for (size_t i = 0; i < kUploads; ++i) bodies[i]->arrive(arrived + i);
        co_await until_starved(bodies);
        rig.clock.ahead += std::chrono::seconds(10);
        std::string quick = pattern(2 * kMiB, arrived);
        Result<ObjectInfo> put = co_await rig.put("slow", "quick", quick);
        EXPECT_EQ(code_of(put), "ok") << arrived;
        Result<std::string> got = co_await rig.get("slow", "quick");
        EXPECT_TRUE(got && *got == quick) << arrived;
      }
      for (auto& body : bodies) body->arrive(kSize);
      co_await scope.join();
      EXPECT_EQ(outcomes, std::vector<std::string>(kUploads, "ok"));
      for (size_t i = 0; i < kUploads; i += 7) {
        Result<std::string> got = co_await rig.get("slow", "k" + std::to_string(i));
        EXPECT_TRUE(got && *got == contents[i]) << i;
      }
      rig.expect_true_registry();
    }
  };
  with_store(&Body::go, {.memory_budget_bytes = 16 * kMiB});
}

// Quick for three extents and a half, then a trickle, then quick again: whatever the bytes, they come back.
TEST(SlowUploads, MayTurnSlowAndQuickAgainAnywhere) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig);
      for (size_t turns_slow_at : {size_t{0}, size_t{40'000}, 3 * kMiB + 1, 4 * kMiB, 5 * kMiB + 65'536}) {
        const std::string content = pattern(9 * kMiB + turns_slow_at % 1000, turns_slow_at);
        for (bool announced : {true, false}) {
          SlowBody body(rig.clock, content);
          std::vector<std::string> outcomes;
          io::TaskScope scope;
          body.arrive(turns_slow_at);
          std::optional<size_t> length;
          if (announced) length = content.size();
          scope.spawn(upload(rig, "k", body, length, outcomes));
          while (!body.starved())
            co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(1));
          body.each_read = std::chrono::seconds(2);
          for (size_t at = turns_slow_at; at < turns_slow_at + 3 * kMiB; at += 300'000) {
            body.arrive(at);
            while (!body.starved())
              co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(1));
          }
          body.each_read = Duration{0};
          body.arrive(content.size());
          co_await scope.join();
          EXPECT_EQ(outcomes, std::vector<std::string>{"ok"});
          Result<std::string> got = co_await rig.get("slow", "k");
          EXPECT_TRUE(got && *got == content) << turns_slow_at << " " << announced;
        }
      }
      rig.expect_true_registry();
    }
  };
  with_store(&Body::go, {.memory_budget_bytes = 64 * kMiB, .extent_plain_bytes = 2 * kMiB});
}

TEST(SlowUploads, RefuseABodyOfAnotherLengthThanAnnounced) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig);
      for (size_t announced : {size_t{10}, size_t{65'536}, size_t{65'537}, size_t{200'000}, 2 * kMiB}) {
        for (size_t sent : {announced - 1, announced + 1, announced + 70'000}) {
          SlowBody body(rig.clock, pattern(sent, sent));
          body.arrive(sent);
          std::vector<std::string> outcomes;
          co_await upload(rig, "k", body, announced, outcomes);
          EXPECT_EQ(outcomes, std::vector<std::string>{"InvalidRequest"}) << announced << " " << sent;
        }
      }
    }
  };
  with_store(&Body::go);
}

}  // namespace
}  // namespace archipel::store
