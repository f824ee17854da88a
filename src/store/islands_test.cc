// What the islands may do, and what they may know; and the store as the gateway uses it.
#include <atomic>
#include <thread>

#include "io/sync.h"
#include "island/dir.h"
#include "store/keys.h"
#include "store/store_fixture.h"

namespace archipel::store {
namespace {

constexpr uint64_t kSmallExtent = uint64_t{3} * 65536;

io::Task<void> make_bucket(StoreRig& rig, std::string name) {
  Result<void> made = co_await rig.store->create_bucket(name, kAlice);
  EXPECT_EQ(code_of(made), "ok");
}

// P2, P3: up to n-k islands may lie or be gone, one after the other or together.
TEST(Get, NeverShowsAWrongByteOfUpToThreeIslands) {
  struct Body {
    static io::Task<void> expect_all(StoreRig& rig, std::map<std::string, std::string> objects) {
      for (const auto& [key, bytes] : objects) {
        Result<std::string> got = co_await rig.get("liars", key);
        EXPECT_EQ(code_of(got), "ok") << key;
        if (got) EXPECT_TRUE(*got == bytes) << key;
      }
    }
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "liars");
      std::map<std::string, std::string> objects;
      for (size_t size : {1ul, 70'000ul, 131'072ul, 131'073ul, 900'000ul}) {
        objects["o" + std::to_string(size)] = pattern(size, size);
        Result<ObjectInfo> put =
            co_await rig.put("liars", "o" + std::to_string(size), objects["o" + std::to_string(size)]);
        CO_ASSERT_TRUE(put);
      }
      auto flip = [](const island::BlobName&, uint64_t, Buffer& answer) {
        for (size_t i = 0; i < answer.size(); i += 1000) answer.data()[i] ^= 0x40;
      };
      auto cut = [](const island::BlobName&, uint64_t, Buffer& answer) {
        answer.resize_within(answer.size() / 2);
      };
      for (size_t a = 0; a < 6; ++a) {
        size_t b = (a + 1) % 6, c = (a + 3) % 6;
        rig.islands[a]->tamper_get = flip;
        rig.islands[b]->tamper_get = cut;
        rig.islands[c]->down();
        co_await expect_all(rig, objects);
        rig.islands[a]->tamper_get = rig.islands[b]->tamper_get = nullptr;
        rig.islands[c]->up();
      }
      // Four of six: an error, and no wrong byte.
      for (size_t i = 0; i < 4; ++i) rig.islands[i]->tamper_get = flip;
      for (const auto& [key, bytes] : objects) {
        Result<std::string> got = co_await rig.get("liars", key);
        if (got) EXPECT_TRUE(*got == bytes) << key;
      }
      Result<std::string> got = co_await rig.get("liars", "o900000");
      EXPECT_NE(code_of(got), "ok");
      for (auto& island : rig.islands) island->tamper_get = nullptr;
    }
  };
  with_store(&Body::go, {.memory_budget_bytes = 64u << 20, .extent_plain_bytes = kSmallExtent});
}

TEST(Islands, HoldNothingThatWasWritten) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      Account account{kAlice, "Display Name Alice", "AKIDEXAMPLEALICE", "SECRET-of-alice-0123456789"};
      Result<void> kept = co_await rig.store->put_account(account);
      EXPECT_EQ(code_of(kept), "ok");
      co_await make_bucket(rig, "secret-bucket");
      std::string small = "the body of a small object, long enough to search for", large;
      for (int i = 0; i < 10'000; ++i) large += "the body of a large object";
      StringBody body(small);
      PutRequest request{"secret-bucket", "secret-key", {}, {{"secret-name", "secret-value"}}, {},
                         small.size()};
      Result<ObjectInfo> put = co_await rig.store->put(std::move(request), body);
      EXPECT_EQ(code_of(put), "ok");
      put = co_await rig.put("secret-bucket", "secret-large", large);
      EXPECT_EQ(code_of(put), "ok");
      for (auto& island : rig.islands) {
        for (const auto& [name, bytes] : island->blobs()) {
          for (std::string_view word :
               {"secret", "the body of", "Display Name", "AKIDEXAMPLEALICE", "SECRET-of", "aaaaaaaaaaaaaaaa"})
            EXPECT_EQ(bytes.find(word), std::string::npos) << word;
        }
      }
    }
  };
  with_store(&Body::go);
}

// As the gateway uses it: one store, a loop per core, islands in directories.
TEST(Store, ServesSeveralLoopsAtOnce) {
  struct Body {
    struct Stage {
      std::atomic<int> done{0};
      std::atomic<bool> over{false};
    };
    static io::Task<void> poll() {
      co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(1));
    }
    static io::Task<void> client(StoreRig& rig, Stage& stage, int number) {
      std::string mine = "client-" + std::to_string(number);
      for (int i = 0; i < 5; ++i) {
        std::string bytes = pattern(i % 4 == 0 ? 700'000 : 3'000,
                                    uint64_t{100} * static_cast<uint64_t>(number) + static_cast<uint64_t>(i));
        io::Loop* home = io::Loop::current();
        Result<ObjectInfo> put = co_await rig.put("shared", mine, bytes);
        EXPECT_EQ(code_of(put), "ok");
        EXPECT_EQ(io::Loop::current(), home);
        Result<std::string> got = co_await rig.get("shared", mine);
        EXPECT_EQ(code_of(got), "ok");
        if (got) EXPECT_TRUE(*got == bytes);
        Result<ObjectInfo> copied =
            co_await rig.store->copy({"shared", mine, "shared", "last", {}, {}, false, {}, {}});
        EXPECT_EQ(code_of(copied), "ok");
        Result<ListResult> listed = co_await rig.store->list({"shared", "client-", "", "", 1000});
        EXPECT_EQ(code_of(listed), "ok");
        Result<Store::Opened> given_up = co_await rig.store->get("shared", "last", std::nullopt, {});
        EXPECT_EQ(code_of(given_up), "ok");
        if (given_up) {
          Result<Buffer> first = co_await given_up->reader->read();
          EXPECT_EQ(code_of(first), "ok");
        }
      }
      stage.done.fetch_add(1);
      while (!stage.over) co_await poll();  // what is left in the background needs its loop
    }
    static io::Task<void> go() {
      StoreRig rig;
      auto directories = std::make_shared<extent::Placement>();
      for (int i = 0; i < 6; ++i)
        directories->islands.push_back(
            island::make_dir_island("dir-" + std::to_string(i), rig.dir + "/islands/" + std::to_string(i)));
      std::filesystem::create_directories(rig.dir + "/islands");
      rig.placement = directories;
      rig.options.memory_budget_bytes = 8u << 20;
      bool started = co_await rig.start();
      CO_ASSERT_TRUE(started);
      co_await make_bucket(rig, "shared");
      Stage stage;
      std::vector<std::thread> threads;
      threads.reserve(3);
      for (int number = 0; number < 3; ++number)
        threads.emplace_back(
            [&rig, &stage, number] { io::run_blocking([&] { return client(rig, stage, number); }); });
      while (stage.done.load() < 3) co_await poll();
      co_await rig.store->drain();
      co_await rig.fanout->drain();
      co_await rig.reader->drain();
      stage.over = true;
      for (std::thread& thread : threads) thread.join();
      co_await rig.stop();
    }
  };
  io::run_blocking([] { return Body::go(); });
}

TEST(Versions, DoNotOpenUnderAnotherName) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "first");
      co_await make_bucket(rig, "second");
      Result<ObjectInfo> put = co_await rig.put("first", "k", "bytes");
      CO_ASSERT_TRUE(put);
      // Someone moves the record, whole, to another bucket of the same owner.
      auto record = rig.journal.kv->snapshot()->get(object_key("first", "k"));
      CO_ASSERT_TRUE(record);
      CO_ASSERT_TRUE(record->has_value());
      Result<void> written = rig.journal.kv->write({{object_key("second", "k"), *record}});
      CO_ASSERT_TRUE(written);
      Result<Store::Opened> opened = co_await rig.store->get("second", "k", std::nullopt, {});
      EXPECT_EQ(code_of(opened), "InternalError");
    }
  };
  with_store(&Body::go);
}

}  // namespace
}  // namespace archipel::store
