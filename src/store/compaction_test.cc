// Compaction on a whole store: what is live moves, readable all the while, and what it leaves can be deleted.
#include "store/compaction.h"

#include "extent/names.h"
#include "store/collector_fixture.h"

namespace archipel::store {
namespace {

using Objects = std::map<std::string, std::string>;

io::Task<bool> put_each(CollectorRig* rig, Objects* objects, size_t size, int from, int to) {
  for (int i = from; i < to; ++i) {
    std::string key = "k" + std::to_string(i);
    (*objects)[key] = pattern(size, static_cast<uint64_t>(i));
    bool put = co_await rig->put(key, (*objects)[key]);
    if (!put) co_return false;
  }
  co_return true;
}

io::Task<bool> all_readable(CollectorRig* rig, const Objects* objects) {
  for (const auto& [key, bytes] : *objects) {
    Result<std::string> got = co_await rig->get("bucket", key);
    EXPECT_EQ(code_of(got), "ok") << key;
    if (!got || *got != bytes) co_return false;
    Store::Range range{bytes.size() / 3, bytes.size() / 3 * 2};
    Result<std::string> part = co_await rig->get("bucket", key, range);
    if (!part || *part != bytes.substr(*range.first, *range.last - *range.first + 1)) co_return false;
  }
  co_return true;
}

TEST(Compaction, EmptiesTheJournalsOldCommits) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      Objects objects;
      CO_ASSERT_TRUE(co_await put_each(&rig, &objects, 300, 0, 60));
      CO_ASSERT_TRUE(co_await put_each(&rig, &objects, 100'000, 60, 66));  // two segments each: they stay
      rig.raise_limit();
      size_t blobs = rig.islands[0]->blobs().size();
      CO_ASSERT_TRUE(co_await rig.compact());
      EXPECT_EQ(rig.compactor->counts().streams, 60u);
      EXPECT_EQ(rig.compactor->counts().extents, 1u);
      rig.expect_true_registry();
      CO_ASSERT_TRUE(co_await all_readable(&rig, &objects));
      rig.clock.wall_ms += 2 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_LT(rig.islands[0]->blobs().size(), blobs - 40);
      CO_ASSERT_TRUE(co_await all_readable(&rig, &objects));
      CO_ASSERT_TRUE(co_await rig.compact());
      EXPECT_EQ(rig.compactor->counts().streams, 60u);  // there is nothing left to gain
    }
  };
  with_collector(&Body::go);
}

TEST(Compaction, MovesWhatDeletesLeftOfAPackedExtentAgain) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      Objects objects;
      CO_ASSERT_TRUE(co_await put_each(&rig, &objects, 900, 0, 50));
      rig.raise_limit();
      CO_ASSERT_TRUE(co_await rig.compact());
      EXPECT_EQ(rig.data_blobs(), 1u);
      for (int i = 0; i < 40; ++i) {
        objects.erase("k" + std::to_string(i));
        CO_ASSERT_TRUE(co_await rig.remove("k" + std::to_string(i)));
      }
      CO_ASSERT_TRUE(co_await rig.compact());
      EXPECT_EQ(rig.compactor->counts().streams, 60u);
      rig.expect_true_registry();
      rig.clock.wall_ms += 2 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.data_blobs(), 1u);  // the second packed extent
      CO_ASSERT_TRUE(co_await all_readable(&rig, &objects));
    }
  };
  with_collector(&Body::go);
}

TEST(Compaction, MovesASharedStreamForAllItsVersionsOrForNone) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      Objects objects;
      CO_ASSERT_TRUE(co_await put_each(&rig, &objects, 500, 0, 10));
      for (int i = 0; i < 5; ++i) {
        std::string from = "k" + std::to_string(i), to = "copy" + std::to_string(i);
        Result<ObjectInfo> copied =
            co_await rig.store->copy({"bucket", from, "bucket", to, {}, {}, false, {}, {}});
        EXPECT_EQ(code_of(copied), "ok");
        objects[to] = objects[from];
      }
      rig.raise_limit();
      // Copies that are made while the segments are on their way hold back their streams.
      rig.islands[0]->after_put = [&rig, &objects](const island::BlobName&) {
        rig.islands[0]->after_put = nullptr;
        rig.beside.spawn(copy_late(&rig, &objects));
      };
      CO_ASSERT_TRUE(co_await rig.compact());
      co_await rig.beside.join();
      EXPECT_EQ(rig.compactor->counts().streams + rig.compactor->counts().left_behind, 10u);
      rig.expect_true_registry();
      CO_ASSERT_TRUE(co_await rig.compact());
      EXPECT_GE(rig.compactor->counts().streams, 10u);
      rig.expect_true_registry();
      CO_ASSERT_TRUE(co_await all_readable(&rig, &objects));
      for (int i = 0; i < 10; ++i) {
        objects.erase("k" + std::to_string(i));
        CO_ASSERT_TRUE(co_await rig.remove("k" + std::to_string(i)));
      }
      rig.expect_true_registry();
      rig.clock.wall_ms += 2 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      CO_ASSERT_TRUE(co_await all_readable(&rig, &objects));
    }
    static io::Task<void> copy_late(CollectorRig* rig, Objects* objects) {
      Result<ObjectInfo> copied =
          co_await rig->store->copy({"bucket", "k7", "bucket", "late", {}, {}, false, {}, {}});
      EXPECT_EQ(code_of(copied), "ok");
      (*objects)["late"] = (*objects)["k7"];
    }
  };
  with_collector(&Body::go);
}

TEST(Compaction, GoesOnBehindWhatCannotBeRead) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      Objects objects;
      CO_ASSERT_TRUE(co_await put_each(&rig, &objects, 900, 0, 400));  // packed into extents of 200,000 bytes
      rig.raise_limit();
      std::optional<extent::ExtentRef> first;
      auto found = scan_live(*rig.journal.kv->snapshot(), {extent::ExtentRef::Kind::section, {}},
                             [&](const ExtentKey&, const LiveRecord& record) {
                               first = record.ref;
                               return false;
                             });
      CO_ASSERT_TRUE(found.has_value() && first.has_value());
      for (int i = 0; i < 6; ++i) {
        auto& island = rig.islands[static_cast<size_t>(i)];
        island->forget(extent::shard_name(*rig.keys, island->id(), *first, i));
      }
      Result<void> done = co_await rig.compactor->run_once();
      EXPECT_FALSE(done.has_value());
      EXPECT_GE(rig.compactor->counts().streams, 100u);
      objects.erase("k0");
      CO_ASSERT_TRUE(co_await all_readable(&rig, &objects));
      rig.expect_true_registry();
    }
  };
  with_collector(&Body::go);
}

TEST(Compaction, LeavesASmallBodyOfVeryManyCopiesWhereItIs) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      Objects objects;
      CO_ASSERT_TRUE(co_await put_each(&rig, &objects, 500, 0, 4));
      const std::string long_name(900, 'c');
      for (int i = 0; i < 1000; ++i) {
        const std::string to = long_name + std::to_string(i);
        Result<ObjectInfo> copied =
            co_await rig.store->copy({"bucket", "k1", "bucket", to, {}, {}, false, {}, {}});
        CO_ASSERT_TRUE(copied.has_value());
        if (i % 100 == 0) objects[to] = objects["k1"];
      }
      rig.raise_limit();
      CO_ASSERT_TRUE(co_await rig.compact());
      EXPECT_EQ(rig.compactor->counts().streams, 3u);
      EXPECT_EQ(rig.compactor->counts().left_behind, 1u);
      rig.expect_true_registry();
      CO_ASSERT_TRUE(co_await all_readable(&rig, &objects));
    }
  };
  with_collector(&Body::go);
}

TEST(Compaction, LeavesNothingBehindWhenTheIslandsRefuse) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      Objects objects;
      CO_ASSERT_TRUE(co_await put_each(&rig, &objects, 400, 0, 20));
      rig.raise_limit();
      for (size_t i = 0; i < 3; ++i)
        rig.islands[i]->fail_next(island::MemIsland::Op::put, {Code::unavailable, "full", {}}, 1);
      Result<void> done = co_await rig.compactor->run_once();
      EXPECT_FALSE(done.has_value());
      rig.expect_true_registry();
      EXPECT_EQ(rig.count("x/"), 1u);  // the extent that did not come to be
      CO_ASSERT_TRUE(co_await all_readable(&rig, &objects));
      CO_ASSERT_TRUE(co_await rig.compact());
      EXPECT_EQ(rig.compactor->counts().streams, 20u);
      CO_ASSERT_TRUE(co_await all_readable(&rig, &objects));
    }
  };
  with_collector(&Body::go);
}

}  // namespace
}  // namespace archipel::store
