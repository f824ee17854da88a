// What a door relies on, case by case; model_test.cc covers the combinations.
#include "store/store.h"

#include "crypto/hash.h"
#include "io/sync.h"
#include "store/store_fixture.h"

namespace archipel::store {
namespace {

constexpr uint64_t kSmallExtent = uint64_t{3} * 65536;

std::string md5_of(const std::string& bytes) {
  crypto::Md5 md5;
  md5.update(as_bytes(bytes));
  return hex(md5.finish());
}

io::Task<void> make_bucket(StoreRig& rig, std::string name) {
  Result<void> made = co_await rig.store->create_bucket(name, kAlice);
  EXPECT_EQ(code_of(made), "ok");
}

TEST(Put, KeepsEverySizeAroundTheEdges) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "sizes");
      uint64_t extent = 7 * kSmallExtent;  // of 1,400,000 bytes, whole stripes
      std::vector<uint64_t> sizes = {0,      1,          65535,  65536,      65537,      131071,   131072,
                                     131073, extent - 1, extent, extent + 1, 2 * extent, 20u << 20};
      for (uint64_t size : sizes) {
        for (bool known : {true, false}) {
          std::string bytes = pattern(size, size + 1);
          StringBody body(bytes, 300'001);
          PutRequest request{"sizes", "object", {}, {}, {}, std::nullopt};
          if (known) request.length = size;
          Result<ObjectInfo> put = co_await rig.store->put(std::move(request), body);
          EXPECT_EQ(code_of(put), "ok") << size;
          CO_ASSERT_TRUE(put);
          EXPECT_EQ(put->etag, md5_of(bytes)) << size;
          EXPECT_EQ(put->size, size);
          Result<std::string> got = co_await rig.get("sizes", "object");
          EXPECT_EQ(code_of(got), "ok") << size;
          if (got) EXPECT_TRUE(*got == bytes) << size << (known ? " known" : " unknown");
        }
      }
    }
  };
  with_store(&Body::go, {.memory_budget_bytes = 64u << 20, .extent_plain_bytes = 1'400'000});
}

TEST(Put, SmallBodiesMakeNoBlobOfTheirOwn) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "small");
      uint64_t before = rig.islands[0]->counts().puts;
      Result<ObjectInfo> put = co_await rig.put("small", "one", pattern(kSmallBytesMax, 1));
      EXPECT_EQ(code_of(put), "ok");
      EXPECT_EQ(rig.islands[0]->counts().puts - before, 1u);  // the commit blob
      uint64_t gets = 0, after = 0;
      put = co_await rig.put("small", "empty", "");
      co_await rig.fanout->drain();  // one put in a hundred is spot-checked by a get
      for (auto& island : rig.islands) gets += island->counts().gets;
      Result<std::string> got = co_await rig.get("small", "empty");
      EXPECT_EQ(code_of(got), "ok");
      for (auto& island : rig.islands) after += island->counts().gets;
      EXPECT_EQ(after, gets);  // an empty object asks no island
    }
  };
  with_store(&Body::go);
}

TEST(Put, WithABrokenBodyStoresNothing) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "broken");
      for (uint64_t size : {10ul, 100'000ul, 3'000'000ul}) {
        for (uint64_t breaks : {0ul, size / 2, size}) {
          StringBody body(pattern(size, 1), 100'000);
          body.breaks_at = breaks;
          PutRequest request{"broken", "object", {}, {}, {}, size};
          Result<ObjectInfo> put = co_await rig.store->put(std::move(request), body);
          EXPECT_EQ(code_of(put), "BadDigest") << size << " " << breaks;
        }
      }
      Result<ListResult> listed = co_await rig.store->list({"broken", "", "", "", 1000});
      CO_ASSERT_TRUE(listed);
      EXPECT_TRUE(listed->entries.empty());
      StringBody longer("0123456789"), shorter("0123456789");
      Result<ObjectInfo> put = co_await rig.store->put({"broken", "object", {}, {}, {}, 9}, longer);
      EXPECT_EQ(code_of(put), "InvalidRequest");
      put = co_await rig.store->put({"broken", "object", {}, {}, {}, 11}, shorter);
      EXPECT_EQ(code_of(put), "InvalidRequest");
      Result<ObjectInfo> head = co_await rig.store->head("broken", "object", {});
      EXPECT_EQ(code_of(head), "NoSuchKey");
    }
  };
  with_store(&Body::go, {.memory_budget_bytes = 64u << 20, .extent_plain_bytes = kSmallExtent});
}

TEST(Put, RefusesBeforeItReadsTheBody) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "early");
      Result<ObjectInfo> first = co_await rig.put("early", "there", "x");
      CO_ASSERT_TRUE(first);
      std::vector<std::pair<PutRequest, std::string>> cases;
      cases.push_back({{"absent", "k", {}, {}, {}, {}}, "NoSuchBucket"});
      cases.push_back({{"Not_A_Name", "k", {}, {}, {}, {}}, "NoSuchBucket"});
      cases.push_back({{"early", "", {}, {}, {}, {}}, "InvalidRequest"});
      cases.push_back({{"early", std::string(1025, 'k'), {}, {}, {}, {}}, "KeyTooLongError"});
      cases.push_back({{"early", std::string("a\0b", 3), {}, {}, {}, {}}, "InvalidRequest"});
      cases.push_back({{"early", "\xff\xfe", {}, {}, {}, {}}, "InvalidRequest"});
      cases.push_back({{"early", "k", {}, {{"a", std::string(2048, 'x')}}, {}, {}}, "MetadataTooLarge"});
      cases.push_back({{"early", "k", {}, {}, {}, kObjectBytesMax + 1}, "EntityTooLarge"});
      cases.push_back({{"early", "there", {}, {}, {{}, {"*"}, {}, {}}, {}}, "PreconditionFailed"});
      cases.push_back(
          {{"early", "there", {}, {}, {{std::string(32, '0')}, {}, {}, {}}, {}}, "PreconditionFailed"});
      cases.push_back({{"early", "k", {}, {}, {{"*"}, {}, {}, {}}, {}}, "NoSuchKey"});
      for (auto& [request, code] : cases) {
        StringBody body("bytes");
        Result<ObjectInfo> put = co_await rig.store->put(request, body);
        EXPECT_EQ(code_of(put), code);
        EXPECT_EQ(body.reads, 0u) << code;
      }
    }
  };
  with_store(&Body::go);
}

TEST(Put, IfNoneMatchLetsExactlyOneOfManyWin) {
  struct Body {
    static io::Task<void> one(StoreRig& rig, std::string bytes, int& winners, std::string& winner) {
      StringBody body(bytes, 7);
      PutRequest request{"race", "key", {}, {}, {{}, {"*"}, {}, {}}, bytes.size()};
      Result<ObjectInfo> put = co_await rig.store->put(std::move(request), body);
      if (put) ++winners, winner = bytes;
      if (!put) EXPECT_EQ(code_of(put), "PreconditionFailed");
    }
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "race");
      int winners = 0;
      std::string winner;
      io::TaskScope scope;
      for (int i = 0; i < 40; ++i)
        scope.spawn(one(rig, pattern(20 + static_cast<size_t>(i), 7), winners, winner));
      co_await scope.join();
      EXPECT_EQ(winners, 1);
      Result<std::string> got = co_await rig.get("race", "key");
      EXPECT_EQ(code_of(got), "ok");
      if (got) EXPECT_EQ(*got, winner);
    }
  };
  with_store(&Body::go);
}

TEST(Put, ManyAtOnceShareASmallBudgetAndAllArrive) {
  struct Body {
    static io::Task<void> one(StoreRig& rig, int i) {
      std::string bytes = pattern(1'500'000 + static_cast<size_t>(i), static_cast<uint64_t>(i));
      StringBody body(bytes, 50'000);
      PutRequest request{"many", std::to_string(i), {}, {}, {}, std::nullopt};
      if (i % 2 == 0) request.length = bytes.size();
      Result<ObjectInfo> put = co_await rig.store->put(std::move(request), body);
      EXPECT_EQ(code_of(put), "ok");
      Result<std::string> got = co_await rig.get("many", std::to_string(i));
      EXPECT_EQ(code_of(got), "ok");
      if (got) EXPECT_TRUE(*got == bytes);
    }
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "many");
      io::TaskScope scope;
      for (int i = 0; i < 12; ++i) scope.spawn(one(rig, i));
      co_await scope.join();
    }
  };
  with_store(&Body::go, {.memory_budget_bytes = 5u << 20, .extent_plain_bytes = 8u << 20});
}

TEST(Put, KeepsHeadersMetadataAndTheChecksumOfTheBody) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "meta");
      StringBody body("hello");
      body.known_checksum = {Checksum::Kind::crc32c, "\x9a\x71\xbb\x4c"};
      body.known_md5 = std::string(16, '\x11');
      PutRequest request{"meta", "k", {{"content-type", "text/x"}}, {{"owner", "\xc3\xa9"}}, {}, 5};
      Result<ObjectInfo> put = co_await rig.store->put(std::move(request), body);
      CO_ASSERT_TRUE(put);
      bool restarted = co_await rig.restart(true);
      CO_ASSERT_TRUE(restarted);
      Result<ObjectInfo> head = co_await rig.store->head("meta", "k", {});
      CO_ASSERT_TRUE(head);
      EXPECT_EQ(head->headers.at("content-type"), "text/x");
      EXPECT_EQ(head->metadata.at("owner"), "\xc3\xa9");
      EXPECT_EQ(head->checksum.kind, Checksum::Kind::crc32c);
      EXPECT_EQ(head->checksum.value, "\x9a\x71\xbb\x4c");
      EXPECT_EQ(head->etag, std::string(32, '1'));  // the door's MD5, not a second one
    }
  };
  with_store(&Body::go);
}

TEST(Get, KeepsReadingTheVersionItOpenedWhileItIsReplaced) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "pinned");
      std::string old_bytes = pattern(4'000'000, 1);
      Result<ObjectInfo> put = co_await rig.put("pinned", "k", old_bytes);
      CO_ASSERT_TRUE(put);
      Result<Store::Opened> opened = co_await rig.store->get("pinned", "k", std::nullopt, {});
      CO_ASSERT_TRUE(opened);
      Result<Buffer> piece = co_await opened->reader->read();
      CO_ASSERT_TRUE(piece);
      std::string got(as_text(*piece));
      put = co_await rig.put("pinned", "k", "new");
      CO_ASSERT_TRUE(put);
      for (;;) {
        piece = co_await opened->reader->read();
        CO_ASSERT_TRUE(piece);
        if (piece->empty()) break;
        got += as_text(*piece);
      }
      EXPECT_TRUE(got == old_bytes);
    }
  };
  with_store(&Body::go);
}

TEST(Get, MayBeGivenUpWithAReadUnderWay) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "given-up");
      Result<ObjectInfo> put = co_await rig.put("given-up", "k", pattern(5'000'000, 1));
      CO_ASSERT_TRUE(put);
      for (int i = 0; i < 3; ++i) {
        Result<Store::Opened> opened = co_await rig.store->get("given-up", "k", std::nullopt, {});
        CO_ASSERT_TRUE(opened);
        Result<Buffer> piece = co_await opened->reader->read();
        EXPECT_EQ(code_of(piece), "ok");
      }
      co_await rig.store->drain();
    }
  };
  with_store(&Body::go);
}

TEST(Buckets, FollowTheNamingRulesAndBelongToTheirOwner) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      Result<void> made = co_await rig.store->create_bucket("Bad_Name", kAlice);
      EXPECT_EQ(code_of(made), "InvalidBucketName");
      co_await make_bucket(rig, "mine");
      made = co_await rig.store->create_bucket("mine", kAlice);
      EXPECT_EQ(code_of(made), "BucketAlreadyOwnedByYou");
      made = co_await rig.store->create_bucket("mine", kBob);
      EXPECT_EQ(code_of(made), "BucketAlreadyExists");
      made = co_await rig.store->create_bucket("bobs", kBob);
      EXPECT_EQ(code_of(made), "ok");
      Result<BucketInfo> head = co_await rig.store->head_bucket("bobs");
      CO_ASSERT_TRUE(head);
      EXPECT_EQ(head->owner, kBob);
      EXPECT_EQ(head->created_ms, rig.clock.wall_ms);
      EXPECT_EQ(rig.count("k/"), 2u);  // one key slot each
      Result<ObjectInfo> put = co_await rig.put("mine", "k", "x");
      Result<void> gone = co_await rig.store->delete_bucket("mine");
      EXPECT_EQ(code_of(gone), "BucketNotEmpty");
      Result<ObjectInfo> copied = co_await rig.store->copy({"mine", "k", "bobs", "k", {}, {}, false, {}, {}});
      EXPECT_EQ(code_of(copied), "ok");  // whether the caller may is the door's question
    }
  };
  with_store(&Body::go);
}

// Clients that took the head of an object and then nothing more: they hold what memory readers get, and uploads go on.
TEST(Memory, ThatSlowReadersHoldDoesNotStopUploads) {
  struct Body {
    struct Stage {
      size_t holding = 0;
      bool go_on = false;
      io::Event changed;
    };
    static io::Task<void> slow_reader(StoreRig& rig, const std::string& bytes, Stage& stage) {
      Result<Store::Opened> opened = co_await rig.store->get("slow", "object", std::nullopt, {});
      CO_ASSERT_TRUE(opened);
      Result<Buffer> piece = co_await opened->reader->read();
      CO_ASSERT_TRUE(piece);
      ++stage.holding;
      stage.changed.notify_all();
      while (!stage.go_on) co_await stage.changed.wait();
      std::string got;
      while (piece && !piece->empty()) {
        got.append(as_text(*piece));
        piece = co_await opened->reader->read();
      }
      EXPECT_EQ(code_of(piece), "ok");
      EXPECT_TRUE(got == bytes);
    }
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "slow");
      std::string bytes = pattern(1'500'000, 8);
      Result<ObjectInfo> put = co_await rig.put("slow", "object", bytes);
      CO_ASSERT_TRUE(put);
      Stage stage;
      io::TaskScope readers;
      for (int i = 0; i < 150; ++i) readers.spawn(slow_reader(rig, bytes, stage));
      while (stage.holding < 12) co_await stage.changed.wait();
      for (int i = 0; i < 3; ++i) {
        put = co_await rig.put("slow", "uploaded", pattern(200'000, 9));
        EXPECT_EQ(code_of(put), "ok");
      }
      EXPECT_LT(stage.holding, 150u);  // they did hold all that readers get
      stage.go_on = true;
      stage.changed.notify_all();
      co_await readers.join();
    }
  };
  with_store(&Body::go, {.memory_budget_bytes = 8u << 20, .extent_plain_bytes = kSmallExtent});
}

TEST(Accounts, AreFoundAtOnceAndAfterARestart) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      EXPECT_EQ(rig.store->find_account("AK"), nullptr);
      Result<void> kept = co_await rig.store->put_account({kAlice, "Alice", "AK", "s1"});
      EXPECT_EQ(code_of(kept), "ok");
      auto held = rig.store->find_account("AK");
      CO_ASSERT_TRUE(held);
      kept = co_await rig.store->put_account({kAlice, "Alice", "AK", "s2"});
      EXPECT_EQ(code_of(kept), "ok");
      EXPECT_EQ(held->secret_key, "s1");
      EXPECT_EQ(rig.store->find_account("AK")->secret_key, "s2");
      kept = co_await rig.store->put_account({kBob, "Bob", "AK", "s3"});
      EXPECT_EQ(code_of(kept), "InvalidRequest");  // an access key never passes to another account
      kept = co_await rig.store->put_account({"short", "Bob", "BK", "s3"});
      EXPECT_EQ(code_of(kept), "InvalidRequest");
      bool restarted = co_await rig.restart(true);
      CO_ASSERT_TRUE(restarted);
      CO_ASSERT_TRUE(rig.store->find_account("AK"));
      EXPECT_EQ(rig.store->find_account("AK")->secret_key, "s2");
      Result<std::vector<Account>> all = co_await rig.store->list_accounts();
      CO_ASSERT_TRUE(all);
      EXPECT_EQ(all->size(), 1u);
    }
  };
  with_store(&Body::go);
}

TEST(Accounts, LoseTheirOldKeyWhenTheyGetANewOne) {
  struct Body {
    static void check(StoreRig& rig) {
      EXPECT_EQ(rig.store->find_account("OLD"), nullptr);
      auto alice = rig.store->find_account("NEW");
      ASSERT_TRUE(alice);
      EXPECT_EQ(alice->secret_key, "s2");
      EXPECT_TRUE(rig.store->find_account("BOBS"));
      EXPECT_EQ(rig.count("a/"), 2u);
    }
    static io::Task<void> go(StoreRig& rig) {
      for (Account account : {Account{kAlice, "Alice", "OLD", "s1"}, Account{kBob, "Bob", "BOBS", "b"},
                              Account{kAlice, "Alice", "NEW", "s2"}}) {
        Result<void> kept = co_await rig.store->put_account(account);
        EXPECT_EQ(code_of(kept), "ok");
      }
      check(rig);
      for (bool forget_view : {false, true}) {
        bool restarted = co_await rig.restart(forget_view);
        CO_ASSERT_TRUE(restarted);
        check(rig);
      }
    }
  };
  with_store(&Body::go);
}

TEST(Copy, SharesTheStreamUntilTheLastVersionIsGone) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "copies");
      std::string bytes = pattern(1'000'000, 3);
      Result<ObjectInfo> put = co_await rig.put("copies", "a", bytes);
      CO_ASSERT_TRUE(put);
      size_t blobs = rig.islands[0]->blobs().size();
      for (std::string to : {"b", "c"}) {
        Result<ObjectInfo> copied =
            co_await rig.store->copy({"copies", "a", "copies", to, {}, {}, false, {}, {}});
        EXPECT_EQ(code_of(copied), "ok");
      }
      EXPECT_LE(rig.islands[0]->blobs().size(), blobs + 2);  // two commits and no data
      for (const std::vector<std::string>& keys : {std::vector<std::string>{"a"}, {"b", "b"}}) {
        Result<std::vector<DeleteOutcome>> removed = co_await rig.store->remove("copies", keys);
        EXPECT_EQ(code_of(removed), "ok");
      }
      EXPECT_EQ(rig.count("x/"), 0u);
      Result<std::string> got = co_await rig.get("copies", "c");
      EXPECT_EQ(code_of(got), "ok");
      if (got) EXPECT_TRUE(*got == bytes);
      Result<std::vector<DeleteOutcome>> removed = co_await rig.store->remove("copies", {"c"});
      EXPECT_EQ(code_of(removed), "ok");
      EXPECT_EQ(rig.count("x/"), 1u);  // doomed once
      EXPECT_EQ(rig.count("e/"), 0u);
      EXPECT_EQ(rig.count("r/"), 0u);
    }
  };
  with_store(&Body::go);
}

TEST(Copy, AndDeleteOfItsSourceAtOnceLeaveNoDanglingCopy) {
  struct Body {
    static io::Task<void> copy(StoreRig& rig, std::string to) {
      Result<ObjectInfo> copied =
          co_await rig.store->copy({"race", "source", "race", to, {}, {}, false, {}, {}});
      if (!copied) EXPECT_EQ(code_of(copied), "NoSuchKey");
      if (!copied) co_return;
      Result<std::string> got = co_await rig.get("race", to);
      EXPECT_EQ(code_of(got), "ok");
      EXPECT_GE(rig.count("o/race"), 1u);
    }
    static io::Task<void> remove(StoreRig& rig) {
      Result<std::vector<DeleteOutcome>> removed = co_await rig.store->remove("race", {"source"});
      EXPECT_EQ(code_of(removed), "ok");
    }
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "race");
      for (int round = 0; round < 20; ++round) {
        Result<ObjectInfo> put = co_await rig.put("race", "source", pattern(200'000, 1));
        CO_ASSERT_TRUE(put);
        io::TaskScope scope;
        for (int i = 0; i < 3; ++i) scope.spawn(copy(rig, "copy-" + std::to_string(i)));
        scope.spawn(remove(rig));
        for (int i = 3; i < 6; ++i) scope.spawn(copy(rig, "copy-" + std::to_string(i)));
        co_await scope.join();
      }
      // Everything gone: each of the 20 streams is doomed exactly once.
      Result<std::vector<DeleteOutcome>> removed =
          co_await rig.store->remove("race", {"copy-0", "copy-1", "copy-2", "copy-3", "copy-4", "copy-5"});
      EXPECT_EQ(code_of(removed), "ok");
      EXPECT_EQ(rig.count("r/"), 0u);
      EXPECT_EQ(rig.count("x/"), 20u);
    }
  };
  with_store(&Body::go);
}

TEST(Remove, ReportsEveryKeyAndIsOneCommit) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "remove");
      std::vector<std::string> keys;
      for (int i = 0; i < 20; ++i) {
        Result<ObjectInfo> put = co_await rig.put("remove", std::to_string(i), "x");
        CO_ASSERT_TRUE(put);
        keys.push_back(std::to_string(i));
      }
      keys.push_back("never there");
      keys.push_back(std::string(2000, 'x'));
      index::CommitPosition before = rig.journal.committer->applied();
      Result<std::vector<DeleteOutcome>> removed = co_await rig.store->remove("remove", keys);
      CO_ASSERT_TRUE(removed);
      EXPECT_EQ(rig.journal.committer->applied().seq, before.seq + 1);
      EXPECT_EQ(removed->size(), 22u);
      EXPECT_EQ(code_of(removed->at(20).result), "ok");
      EXPECT_EQ(code_of(removed->at(21).result), "KeyTooLongError");
      removed = co_await rig.store->remove("remove", {"never there"});
      EXPECT_EQ(rig.journal.committer->applied().seq, before.seq + 1);  // nothing to do, nothing written
      Result<void> gone = co_await rig.store->delete_bucket("remove");
      EXPECT_EQ(code_of(gone), "ok");
    }
  };
  with_store(&Body::go);
}

// The view of a closed journal may lack what is there: only who could delete it may say that it is gone.
TEST(Remove, OfWhatIsAbsentIsRefusedWhileTheJournalIsClosed) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "closed");
      co_await rig.stop();
      rig.journal_options.ack.hard_deadline = std::chrono::milliseconds(200);
      CO_ASSERT_TRUE(co_await rig.start());
      for (auto& island : rig.islands) island->down();
      Result<ObjectInfo> put = co_await rig.put("closed", "k", "x");
      EXPECT_EQ(code_of(put), "ServiceUnavailable");
      Result<std::vector<DeleteOutcome>> removed = co_await rig.store->remove("closed", {"never there"});
      EXPECT_EQ(code_of(removed), "ServiceUnavailable");
      for (auto& island : rig.islands) island->up();
    }
  };
  with_store(&Body::go);
}

TEST(List, JumpsOverWhatLiesUnderAPrefix) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      co_await make_bucket(rig, "list");
      for (std::string key :
           {"asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla", "foo+1/x", "foo/y"}) {
        Result<ObjectInfo> put = co_await rig.put("list", key, "x");
        CO_ASSERT_TRUE(put);
      }
      ListRequest request{"list", "", "/", "", 1};
      std::vector<std::string> seen;
      for (int page = 0; page < 10; ++page) {
        Result<ListResult> listed = co_await rig.store->list(request);
        CO_ASSERT_TRUE(listed);
        EXPECT_EQ(listed->entries.size() + listed->common_prefixes.size(), 1u);
        for (auto& entry : listed->entries) seen.push_back(entry.key);
        for (auto& prefix : listed->common_prefixes) seen.push_back(prefix);
        if (!listed->truncated) break;
        request.start_after = listed->next;
      }
      EXPECT_EQ(seen, (std::vector<std::string>{"asdf", "boo/", "cquux/", "foo+1/", "foo/"}));
      // Inside a prefix: what is left of it still rolls up.
      Result<ListResult> inside = co_await rig.store->list({"list", "", "/", "boo/bar", 1});
      CO_ASSERT_TRUE(inside);
      EXPECT_EQ(inside->common_prefixes, std::vector<std::string>{"boo/"});
      Result<ListResult> none = co_await rig.store->list({"list", std::string("asdf\0", 5), "", "", 10});
      CO_ASSERT_TRUE(none);
      EXPECT_TRUE(none->entries.empty());
      Result<ListResult> zero = co_await rig.store->list({"list", "", "", "", 0});
      CO_ASSERT_TRUE(zero);
      EXPECT_FALSE(zero->truncated);
    }
  };
  with_store(&Body::go);
}

}  // namespace
}  // namespace archipel::store
