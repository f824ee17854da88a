// Collection on a whole store: what is garbage goes at every island, twice; what is needed stays, whatever clocks, listings, slow bodies and
// islands do.
#include "store/collector.h"

#include "store/collector_fixture.h"

namespace archipel::store {
namespace {

// An upload that waits in the middle until it is let on.
class GatedBody final : public BodySource {
 public:
  GatedBody(std::string bytes, size_t gate_at) : bytes_(std::move(bytes)), gate_at_(gate_at) {}
  bool waiting = false;
  void open() {
    gate_at_ = SIZE_MAX;
    opened_.notify_all();
  }
  io::Task<Result<size_t>> read(MutableBytes out) override {
    while (at_ >= gate_at_) {
      waiting = true;
      co_await opened_.wait();
    }
    size_t size = std::min({out.size(), bytes_.size() - at_, std::max<size_t>(gate_at_, at_) - at_});
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(at_), size, out.begin());
    at_ += size;
    co_await io::sleep_until(io::Loop::current()->now());
    co_return size;
  }

 private:
  std::string bytes_;
  size_t gate_at_, at_ = 0;
  io::Event opened_;
};

io::Task<void> put_gated(StoreRig* rig, GatedBody* body, uint64_t length,
                         std::optional<Result<ObjectInfo>>* out) {
  PutRequest request;
  request.bucket = "bucket";
  request.key = "slow";
  request.length = length;
  Result<ObjectInfo> done = co_await rig->store->put(std::move(request), *body);
  out->emplace(std::move(done));
}

TEST(Collector, DeletesWhatWasDoomedAfterTheGraceAndAgainAWeekLater) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      size_t before = rig.data_blobs();
      CO_ASSERT_TRUE(co_await rig.put("a", pattern(1'000'000, 1)));
      CO_ASSERT_TRUE(co_await rig.put("b", pattern(400'000, 2)));
      auto stored = rig.islands[3]->blobs();
      CO_ASSERT_TRUE(co_await rig.remove("a"));
      EXPECT_GT(rig.data_blobs(), before);
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.collector->counts().doomed_deleted, 0u);  // the grace has not passed
      rig.clock.wall_ms += kDayMs + 1;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.collector->counts().doomed_deleted, 6u);  // extents of one stripe each
      EXPECT_GT(rig.collector->counts().deleted_bytes, 2'000'000u);
      EXPECT_LT(rig.collector->counts().deleted_bytes, 2'050'000u);
      EXPECT_EQ(rig.data_blobs_missing(), 0u);
      // A late PUT brings some of them back.
      for (const auto& [name, bytes] : stored) rig.islands[3]->blobs().emplace(name, bytes);
      rig.clock.wall_ms += 6 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.collector->counts().deleted_twice, 0u);
      rig.clock.wall_ms += kDayMs + 1;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.collector->counts().deleted_twice, 6u);
      EXPECT_EQ(rig.count("x/"), 0u);
      CO_ASSERT_TRUE(co_await rig.only_what_is_referenced());
      Result<std::string> kept = co_await rig.get("bucket", "b");
      EXPECT_EQ(code_of(kept), "ok");
    }
  };
  with_collector(&Body::go);
}

TEST(Collector, WaitsForAReaderHoweverLong) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      std::string bytes = pattern(3'000'000, 1);
      CO_ASSERT_TRUE(co_await rig.put("a", bytes));
      Result<Store::Opened> opened = co_await rig.store->get("bucket", "a", std::nullopt, {});
      CO_ASSERT_TRUE(opened);
      CO_ASSERT_TRUE(co_await rig.remove("a"));
      rig.clock.wall_ms += 3 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.collector->counts().doomed_deleted, 0u);
      std::string got;
      for (;;) {
        Result<Buffer> piece = co_await opened->reader->read();
        CO_ASSERT_TRUE(piece);
        if (piece->empty()) break;
        got.append(as_text(*piece));
      }
      EXPECT_TRUE(got == bytes);
      opened->reader.reset();
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_GT(rig.collector->counts().doomed_deleted, 0u);
      CO_ASSERT_TRUE(co_await rig.only_what_is_referenced());
    }
  };
  with_collector(&Body::go);
}

// It has taken its view, in which the object is still there, and has not come to say what it will read.
TEST(Collector, WaitsForAReaderThatHasNotSaidYetWhatItNeeds) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      CO_ASSERT_TRUE(co_await rig.put("a", pattern(300'000, 1)));
      Pins::Reader reader = rig.options.pins->begin_read();
      CO_ASSERT_TRUE(co_await rig.remove("a"));
      rig.clock.wall_ms += 3 * kDayMs;
      io::Task<bool> round = rig.collect();
      co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(300));
      EXPECT_EQ(rig.collector->counts().doomed_deleted, 0u);
      reader.hold({});
      CO_ASSERT_TRUE(co_await std::move(round));
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_GT(rig.collector->counts().doomed_deleted, 0u);
    }
  };
  with_collector(&Body::go);
}

TEST(Collector, LeavesAnIslandThatFailsBehindAndComesBackToIt) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      CO_ASSERT_TRUE(co_await rig.put("a", pattern(1'000'000, 1)));
      CO_ASSERT_TRUE(co_await rig.remove("a"));
      rig.clock.wall_ms += 2 * kDayMs;
      rig.islands[2]->fail_next(island::MemIsland::Op::remove, {Code::unavailable, "full of trouble", {}},
                                1000);
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.collector->counts().doomed_deleted, 0u);
      EXPECT_EQ(rig.collector->counts().debt, 6u);
      EXPECT_EQ(rig.data_blobs(1), 0u);  // the others are done
      EXPECT_EQ(rig.data_blobs(2), 6u);
      rig.islands[2]->fail_next(island::MemIsland::Op::remove, {}, 0);
      // Journalled: a new process goes on with that island alone.
      CO_ASSERT_TRUE(co_await rig.restart(true));
      uint64_t removes = rig.islands[1]->counts().removes;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.collector->counts().debt, 0u);
      EXPECT_EQ(rig.data_blobs(2), 0u);
      EXPECT_LE(rig.islands[1]->counts().removes, removes + 64);  // the ids that the first epoch reserved
      CO_ASSERT_TRUE(co_await rig.only_what_is_referenced());
    }
  };
  with_collector(&Body::go);
}

TEST(Collector, FindsWhatACrashLeftBehindWithoutListing) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      CO_ASSERT_TRUE(co_await rig.put("kept", pattern(1'000'000, 1)));
      // Bodies that broke off in a process that was killed: shards under ids that no commit names.
      for (int i = 0; i < 5; ++i) CO_ASSERT_TRUE(co_await rig.leave_orphan(pattern(100'000, 7)));
      size_t with_orphans = rig.data_blobs(0);
      for (auto& island : rig.islands)
        island->fail_next(island::MemIsland::Op::list, {Code::io, "lists lie", {}}, 1000);
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.data_blobs(0), with_orphans);  // their epoch is still open
      CO_ASSERT_TRUE(co_await rig.restart(true));
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.data_blobs(0), with_orphans - 5);
      CO_ASSERT_TRUE(co_await rig.only_what_is_referenced());
      // Nothing of it happens twice but the one repetition.
      uint64_t removes = rig.islands[0]->counts().removes;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.islands[0]->counts().removes, removes);
      rig.clock.wall_ms += 8 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_GT(rig.islands[0]->counts().removes, removes);
      removes = rig.islands[0]->counts().removes;
      rig.clock.wall_ms += 8 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.islands[0]->counts().removes, removes);
      Result<std::string> kept = co_await rig.get("bucket", "kept");
      EXPECT_EQ(code_of(kept), "ok");
    }
  };
  with_collector(&Body::go);
}

TEST(Collector, GrantsTheGraceToWhatAClosedEpochLeftDoomed) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      CO_ASSERT_TRUE(co_await rig.put("a", pattern(300'000, 1)));
      CO_ASSERT_TRUE(co_await rig.remove("a"));
      const size_t doomed = rig.data_blobs(0);
      EXPECT_GT(doomed, 0u);
      CO_ASSERT_TRUE(co_await rig.restart(true));
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.data_blobs(0), doomed);
      rig.clock.wall_ms += kDayMs + 1;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.data_blobs(0), 0u);
    }
  };
  with_collector(&Body::go);
}

TEST(Collector, DoomsWhatABrokenBodyLeftWithoutWaitingForTheEpochsEnd) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      StringBody body(pattern(1'000'000, 3));
      body.breaks_at = 900'000;
      PutRequest request;
      request.bucket = "bucket";
      request.key = "broken";
      request.length = 1'000'000;
      Result<ObjectInfo> done = co_await rig.store->put(std::move(request), body);
      EXPECT_EQ(code_of(done), "BadDigest");
      co_await rig.store->drain();
      EXPECT_GT(rig.data_blobs(0), 0u);
      rig.clock.wall_ms += 2 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.data_blobs(0), 0u);
    }
  };
  with_collector(&Body::go);
}

// A clock that jumps deletes later or sooner, and never what is needed.
TEST(Collector, SurvivesAClockThatJumps) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      CO_ASSERT_TRUE(co_await rig.put("kept", pattern(300'000, 1)));
      CO_ASSERT_TRUE(co_await rig.put("gone", pattern(300'000, 2)));
      UnixMs start = rig.clock.wall_ms;
      rig.clock.wall_ms = start + 10'000 * kDayMs;  // far ahead
      CO_ASSERT_TRUE(co_await rig.remove("gone"));
      CO_ASSERT_TRUE(co_await rig.collect());
      rig.clock.wall_ms = start - 10'000 * kDayMs;  // far behind
      CO_ASSERT_TRUE(co_await rig.put("gone", pattern(300'000, 3)));
      CO_ASSERT_TRUE(co_await rig.remove("gone"));
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.collector->counts().doomed_deleted, 0u);
      rig.clock.wall_ms = start + 2 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.collector->counts().doomed_deleted, 2u);  // of what was doomed while the clock was behind
      rig.clock.wall_ms = start + 10'002 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.collector->counts().doomed_deleted, 4u);
      CO_ASSERT_TRUE(co_await rig.only_what_is_referenced());
      Result<std::string> kept = co_await rig.get("bucket", "kept");
      EXPECT_EQ(code_of(kept), "ok");
    }
  };
  with_collector(&Body::go);
}

// While its body is still coming, the epoch of its first extents ends and becomes garbage, all but them.
io::Task<void> slow_upload(CollectorRig& rig, bool pinned) {
  if (!pinned) rig.pins_of_collector = std::make_shared<Pins>();  // as if the upload were another process's
  rig.make_collector();
  CO_ASSERT_TRUE(co_await rig.leave_orphan(pattern(100'000, 7)));
  std::string bytes = pattern(1'000'000, 5);
  GatedBody body(bytes, 700'000);
  std::optional<Result<ObjectInfo>> outcome;
  io::TaskScope scope;
  scope.spawn(put_gated(&rig, &body, bytes.size(), &outcome));
  while (!body.waiting) co_await io::sleep_until(io::Loop::current()->now() + std::chrono::milliseconds(1));
  CO_ASSERT_TRUE(co_await rig.reopen_epoch());
  size_t blobs = rig.data_blobs(0);
  CO_ASSERT_TRUE(co_await rig.collect());
  if (pinned) EXPECT_EQ(rig.data_blobs(0), blobs);
  body.open();
  co_await scope.join();
  CO_ASSERT_TRUE(outcome);
  EXPECT_EQ(code_of(*outcome), pinned ? "ok" : "SlowDown");
  co_await rig.store->drain();
  CO_ASSERT_TRUE(co_await rig.collect());
  Result<std::string> got = co_await rig.get("bucket", "slow");
  EXPECT_EQ(code_of(got), pinned ? "ok" : "NoSuchKey");
  if (got) EXPECT_TRUE(*got == bytes);
  rig.clock.wall_ms += 9 * kDayMs;
  CO_ASSERT_TRUE(co_await rig.collect());
  CO_ASSERT_TRUE(co_await rig.only_what_is_referenced());
}

TEST(Collector, WaitsForAnUploadThatOutlivesItsEpoch) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) { co_await slow_upload(rig, true); }
  };
  with_collector(&Body::go);
}

TEST(Collector, MakesAnUploadFailWhoseExtentsItDeclaredGarbage) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) { co_await slow_upload(rig, false); }
  };
  with_collector(&Body::go);
}

TEST(Collector, TruncatesCommitsBelowTheLimitThatHoldNothingLive) {
  struct Body {
    static io::Task<void> go(CollectorRig& rig) {
      std::map<std::string, std::string> kept;
      for (int i = 0; i < 40; ++i) {
        std::string key = "k" + std::to_string(i % 7);
        kept[key] = pattern(3000, static_cast<uint64_t>(i));
        CO_ASSERT_TRUE(co_await rig.put(key, kept[key]));
      }
      CO_ASSERT_TRUE(co_await rig.put("old", pattern(3000, 99)));
      // The limit itself is a commit without anything live: a start compares its hash, and it stays all the same.
      CO_ASSERT_TRUE(co_await rig.put("k0", kept["k0"]));
      index::CommitPosition middle = rig.journal.committer->applied();
      for (int i = 0; i < 20; ++i) CO_ASSERT_TRUE(co_await rig.put("k0", kept["k0"]));
      size_t blobs = rig.islands[0]->blobs().size();
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.islands[0]->blobs().size(), blobs);  // nothing may go yet
      rig.limit = middle;
      rig.clock.wall_ms += 2 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      // Below the limit only what holds live bytes is left: k1 to k6, and `old`.
      uint64_t below = middle.seq - 1;
      EXPECT_EQ(rig.collector->counts().commits, below - 7);
      EXPECT_EQ(rig.islands[0]->blobs().size(), blobs - (below - 7) + rig.own_commits);
      for (const auto& [key, bytes] : kept) {
        Result<std::string> got = co_await rig.get("bucket", key);
        EXPECT_TRUE(got && *got == bytes) << key;
      }
      // What was live there and is dropped later goes too, after its grace.
      CO_ASSERT_TRUE(co_await rig.remove("k3"));
      rig.clock.wall_ms += 2 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_EQ(rig.collector->counts().doomed_deleted, 1u);
      rig.clock.wall_ms += 8 * kDayMs;
      CO_ASSERT_TRUE(co_await rig.collect());
      EXPECT_GE(rig.collector->counts().deleted_twice, below - 7 + 1);
      EXPECT_EQ(rig.count("x/"), 0u);
    }
  };
  with_collector(&Body::go);
}

}  // namespace
}  // namespace archipel::store
