#include "index/committer.h"

#include "index/index_fixture.h"
#include "io/sync.h"

namespace archipel::index {
namespace {

io::Task<void> commit_into(Rig* rig, Intent intent, std::optional<Result<CommitPosition>>* out) {
  Result<CommitPosition> done = co_await rig->journal.committer->commit(std::move(intent));
  out->emplace(std::move(done));
}

size_t blobs_on(const Rig& rig, size_t i) {
  return rig.islands[i]->blobs().size();
}

io::Task<void> what_is_committed_can_be_read(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
  CO_ASSERT_TRUE(co_await rig.put("a", std::nullopt));
  EXPECT_EQ(rig.visible(), (std::map<std::string, std::string>{{"b", "2"}}));
  EXPECT_EQ(rig.journal.committer->applied(), (CommitPosition{1, 3}));
}
TEST(Committer, WhatIsCommittedCanBeRead) {
  with_rig("read", what_is_committed_can_be_read);
}

// What a crash of the process leaves is what it had written when the client heard of it.
io::Task<void> the_head_tells_what_was_answered(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  for (uint64_t seq = 1; seq <= 3; ++seq) {
    CO_ASSERT_TRUE(co_await rig.put("a", std::to_string(seq)));
    auto head = HeadFile::open(rig.dir, *rig.keys);
    CO_ASSERT_TRUE(head.has_value() && (*head)->found().has_value());
    EXPECT_EQ((*head)->found()->position.seq, seq);
    EXPECT_TRUE((*head)->found()->exact);
    EXPECT_FALSE((*head)->found()->clean);
  }
}
TEST(Committer, HasWrittenTheHeadWhenItAnswers) {
  with_rig("head", the_head_tells_what_was_answered);
}

io::Task<void> small_bodies_come_back(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  io::TaskScope scope;
  std::vector<std::string> bodies;
  std::vector<std::optional<Result<CommitPosition>>> results(40);
  for (size_t i = 0; i < results.size(); ++i) {
    std::string body(1 + i * 1600, '\0');
    rig.random->fill({reinterpret_cast<uint8_t*>(body.data()), body.size()});
    bodies.push_back(std::move(body));
  }
  for (size_t i = 0; i < results.size(); ++i) {
    scope.spawn(commit_into(&rig, Rig::set_body("body" + std::to_string(i), bodies[i]), &results[i]));
  }
  co_await scope.join();
  for (size_t i = 0; i < results.size(); ++i) {
    CO_ASSERT_TRUE(results[i]->has_value());
    Result<std::string> back = co_await rig.body("body" + std::to_string(i));
    CO_ASSERT_TRUE(back.has_value());
    EXPECT_TRUE(*back == bodies[i]) << i;
  }
  for (size_t i : {0u, 2u, 5u}) rig.islands[i]->down();
  Result<std::string> back = co_await rig.body("body7");
  CO_ASSERT_TRUE(back.has_value());
  EXPECT_TRUE(*back == bodies[7]);
}
TEST(Committer, SmallBodiesComeBackEvenWithThreeIslandsGone) {
  with_rig("bodies", small_bodies_come_back);
}

io::Task<void> many_writes_share_rounds(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  const size_t before = blobs_on(rig, 0);
  io::TaskScope scope;
  std::vector<std::optional<Result<CommitPosition>>> results(500);
  for (size_t i = 0; i < results.size(); ++i) {
    scope.spawn(
        commit_into(&rig, Rig::set_body("k" + std::to_string(i), std::string(100, 'x')), &results[i]));
  }
  co_await scope.join();
  for (auto& result : results) CO_ASSERT_TRUE(result->has_value());
  EXPECT_EQ(rig.visible().size(), 500u);
  EXPECT_LE(blobs_on(rig, 0) - before, 10u);
}
TEST(Committer, ManyConcurrentWritesShareFewBlobs) {
  with_rig("group", many_writes_share_rounds);
}

// Adds 1 to a counter; refuses at `limit`.
Intent increment(std::string key, uint64_t limit) {
  Intent intent;
  intent.build = [key, limit](const View& view, const std::vector<SmallLocation>&,
                              std::vector<Mutation>& out) -> Result<void> {
    ASSIGN_OR_RETURN(std::optional<std::string> value, view.get(key));
    uint64_t number = value ? std::stoull(*value) : 0;
    if (number == limit) return fail(Code::precondition, "full");
    out.push_back({key, std::to_string(number + 1)});
    return {};
  };
  return intent;
}

io::Task<void> preconditions_see_what_is_under_way(Rig& rig) {
  rig.options.in_flight_max = 8;
  CO_ASSERT_TRUE(co_await rig.start());
  io::TaskScope scope;
  std::vector<std::optional<Result<CommitPosition>>> results(60);
  for (size_t i = 0; i < results.size(); ++i) {
    scope.spawn(commit_into(&rig, increment("n", 37), &results[i]));
    // Several batches, several of them in flight.
    if (i % 7 == 0) co_await io::sleep_until(io::Loop::current()->now() + std::chrono::microseconds(200));
  }
  co_await scope.join();
  int accepted = 0;
  for (auto& result : results) {
    if (*result) {
      ++accepted;
    } else {
      EXPECT_EQ(result->error().code, Code::precondition);
    }
  }
  EXPECT_EQ(accepted, 37);
  EXPECT_EQ(rig.get("n"), "37");
}
TEST(Committer, PreconditionsSeeEveryEarlierWrite) {
  with_rig("preconditions", preconditions_see_what_is_under_way);
}

io::Task<void> refused_alone_writes_nothing(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  const int before = rig.puts;
  Intent refused = increment("n", 0);
  Result<CommitPosition> done = co_await rig.journal.committer->commit(std::move(refused));
  CO_ASSERT_TRUE(!done.has_value());
  EXPECT_EQ(done.error().code, Code::precondition);
  EXPECT_EQ(rig.puts, before);
}
TEST(Committer, ARefusedIntentAloneWritesNothing) {
  with_rig("refused", refused_alone_writes_nothing);
}

io::Task<void> own_keys_are_protected(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  EXPECT_FALSE(co_await rig.put("m/applied", "x"));
}
TEST(Committer, NobodyElseChangesTheJournalsKeys) {
  with_rig("own", own_keys_are_protected);
}

io::Task<void> records_of_any_size(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  // Mutations far larger than any guess, together with a body whose place depends on their length.
  Intent intent = Rig::set_body("small", "the body");
  intent.build = [inner = intent.build](const View& view, const std::vector<SmallLocation>& locations,
                                        std::vector<Mutation>& out) {
    out.push_back({"big", std::string(300'000, 'v')});
    return inner(view, locations, out);
  };
  Result<CommitPosition> done = co_await rig.journal.committer->commit(std::move(intent));
  CO_ASSERT_TRUE(done.has_value());
  Result<std::string> back = co_await rig.body("small");
  CO_ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, "the body");

  io::TaskScope scope;
  std::vector<std::optional<Result<CommitPosition>>> results(6);
  for (size_t i = 0; i < results.size(); ++i) {
    scope.spawn(
        commit_into(&rig, Rig::set("huge" + std::to_string(i), std::string(3u << 20, 'h')), &results[i]));
  }
  co_await scope.join();
  for (auto& result : results) CO_ASSERT_TRUE(result->has_value());
  bool too_big = co_await rig.put("too big", std::string(17u << 20, 't'));
  EXPECT_FALSE(too_big);
  EXPECT_EQ(rig.failure->code, Code::limit);
  CO_ASSERT_TRUE(co_await rig.restart());
  EXPECT_EQ(rig.visible().size(), 8u);
}
TEST(Committer, RecordsGrowAndAreSplitWithinTheirLimits) {
  with_rig("sizes", records_of_any_size);
}

size_t bytes_on(const Rig& rig, size_t i) {
  size_t bytes = 0;
  for (const auto& [name, blob] : rig.islands[i]->blobs()) bytes += blob.size();
  return bytes;
}

// A request with a large record, then many with tiny ones: they neither fail nor are padded to its size.
io::Task<void> a_large_record_leaves_no_trace(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("large", std::string(1'300'000, 'd')));
  const size_t before = bytes_on(rig, 0);
  io::TaskScope scope;
  std::vector<std::optional<Result<CommitPosition>>> results(200);
  for (size_t i = 0; i < results.size(); ++i) {
    scope.spawn(
        commit_into(&rig, Rig::set_body("k" + std::to_string(i), std::string(100, 'x')), &results[i]));
  }
  co_await scope.join();
  for (auto& result : results) CO_ASSERT_TRUE(result->has_value());
  EXPECT_EQ(rig.visible().size(), 201u);
  EXPECT_LE(bytes_on(rig, 0) - before, 300'000u);
}
TEST(Committer, ALargeRecordDoesNotPoisonTheNext) {
  with_rig("poison", a_large_record_leaves_no_trace);
}

// Segments that leave gaps in their cells: an island finds no run of zeros that would show where one ends.
io::Task<void> gaps_are_random(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  Intent intent;
  for (size_t size : {3000u, 2000u, 2500u, 2100u}) {
    intent.small.emplace_back(size);
    rig.random->fill(intent.small.back().span());
  }
  intent.build = [](const View&, const std::vector<SmallLocation>&, std::vector<Mutation>& out) {
    out.push_back({"body", "x"});
    return Result<void>{};
  };
  Result<CommitPosition> done = co_await rig.journal.committer->commit(std::move(intent));
  CO_ASSERT_TRUE(done.has_value());
  for (const auto& blobs : rig.stored()) {
    for (const auto& [name, blob] : blobs) EXPECT_EQ(blob.find(std::string(16, '\0')), std::string::npos);
  }
}
TEST(Committer, GapsBetweenSmallBodiesShowNothing) {
  with_rig("gaps", gaps_are_random);
}

// Three intents, of which the middle one is just too large for a record together with its framing: it alone is refused.
io::Task<void> too_large_alone(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  io::TaskScope scope;
  std::vector<std::optional<Result<CommitPosition>>> results(3);
  const size_t almost = kRecordBytesMax - 512 - 16 - 16 - 1;
  for (size_t i = 0; i < results.size(); ++i) {
    Intent intent = Rig::set("k" + std::to_string(i), std::string(i == 1 ? almost + 1000 : 10, 'v'));
    scope.spawn(commit_into(&rig, std::move(intent), &results[i]));
  }
  co_await scope.join();
  EXPECT_TRUE(results[0]->has_value());
  CO_ASSERT_TRUE(!results[1]->has_value());
  EXPECT_EQ(results[1]->error().code, Code::limit);
  EXPECT_TRUE(results[2]->has_value());
}
TEST(Committer, OnlyTheRequestThatIsTooLargeIsRefused) {
  with_rig("toolarge", too_large_alone);
}

io::Task<void> two_islands_down(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  rig.islands[1]->down();
  rig.islands[4]->down();
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  rig.islands[2]->down();
  bool third = co_await rig.put("b", "2");
  EXPECT_FALSE(third);
  EXPECT_EQ(rig.failure->code, Code::unavailable);
  EXPECT_NE(rig.failure->message.find("island-2"), std::string::npos) << rig.failure->message;
  EXPECT_FALSE(rig.get("b"));
  // Nothing more is acknowledged, not even when the islands are back: the outcome of that commit is unknown.
  rig.thaw();
  EXPECT_FALSE(co_await rig.put("c", "3"));
  auto id = co_await rig.journal.committer->allocate_extent();
  EXPECT_FALSE(id.has_value());
  CO_ASSERT_TRUE(co_await rig.restart());
  EXPECT_EQ(rig.get("a"), "1");
  CO_ASSERT_TRUE(co_await rig.put("c", "3"));
}
TEST(Committer, WritesGoOnWithTwoIslandsDownAndStopWithThree) {
  with_rig("down", two_islands_down);
}

io::Task<void> reply_lost(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  for (auto& island : rig.islands) island->lose_put_replies(1);
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  EXPECT_EQ(rig.get("a"), "1");
  CO_ASSERT_TRUE(co_await rig.put("b", "2"));
}
TEST(Committer, ALostReplyIsMadeGoodByReadingBack) {
  with_rig("reply", reply_lost);
}

io::Task<void> extents_are_unique(Rig& rig) {
  std::set<extent::ExtentId> seen;
  std::set<extent::Attempt> attempts;
  CO_ASSERT_TRUE(co_await rig.start());
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 9000; ++i) {
      Result<NewExtent> fresh = co_await rig.journal.committer->allocate_extent();
      CO_ASSERT_TRUE(fresh.has_value());
      extent::ExtentId* id = &fresh->id;
      EXPECT_TRUE(seen.insert(*id).second);
      EXPECT_TRUE(attempts.insert(fresh->attempt).second);  // in no other epoch either
      // Reserved before use: what the view says covers it.
      if (i % 1000 == 0) {
        std::string key = "m/extent_range/";
        Writer(key).u64(id->epoch);
        std::optional<std::string> end = rig.get(key);
        CO_ASSERT_TRUE(end.has_value());
        EXPECT_GE(Reader(*end).u64(), id->counter);
        // And its name can be computed from what the journal holds alone.
        std::string open_key = "m/open/";
        Writer(open_key).u64(id->epoch);
        std::optional<std::string> opened = rig.get(open_key);
        CO_ASSERT_TRUE(opened.has_value());
        Result<EpochOpen> open = decode_open(as_bytes(*opened));
        CO_ASSERT_TRUE(open.has_value());
        EXPECT_EQ(attempt_of(open->attempt_seed, *id), fresh->attempt);
      }
    }
    CO_ASSERT_TRUE(co_await rig.restart());
  }
  EXPECT_EQ(seen.size(), 18000u);
}
TEST(Committer, ExtentIdsAreReservedBeforeUseAndNeverReused) {
  with_rig("extents", extents_are_unique);
}

// What many intents of one commit make of a shared key is one mutation of its record.
io::Task<void> last_mutation_stands(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  for (auto& island : rig.islands) island->hold(island::MemIsland::Op::put);
  io::TaskScope scope;
  std::vector<std::optional<Result<CommitPosition>>> results(102);
  auto count_up = [](const View& view, const std::vector<SmallLocation>&,
                     std::vector<Mutation>& out) -> Result<void> {
    ASSIGN_OR_RETURN(std::optional<std::string> value, view.get("counter"));
    out.push_back({"counter", (value ? *value : std::string(2000, '#')) + "+"});
    return Result<void>{};
  };
  for (auto& result : results) {
    Intent intent;
    intent.build = count_up;
    scope.spawn(commit_into(&rig, std::move(intent), &result));
  }
  for (auto& island : rig.islands) island->release(island::MemIsland::Op::put);
  co_await scope.join();
  EXPECT_EQ(rig.get("counter"), std::string(2000, '#') + std::string(results.size(), '+'));
  size_t stored = 0;
  for (const auto& [name, bytes] : rig.islands[0]->blobs()) stored += bytes.size();
  EXPECT_LT(stored, 40'000u);  // and not 100 times 2,000
}
TEST(Committer, WritesTheLastMutationOfAKeyOnly) {
  with_rig("last", last_mutation_stands);
}

io::Task<void> queue_is_bounded(Rig& rig) {
  rig.options.queue_max = 5;
  CO_ASSERT_TRUE(co_await rig.start());
  io::TaskScope scope;
  for (auto& island : rig.islands) island->hold(island::MemIsland::Op::put);
  std::vector<std::optional<Result<CommitPosition>>> results(40);
  for (size_t i = 0; i < results.size(); ++i)
    scope.spawn(commit_into(&rig, Rig::set("k" + std::to_string(i), "v"), &results[i]));
  int refused = 0;
  for (auto& result : results) {
    if (result && !*result && result->error().code == Code::limit) ++refused;
  }
  EXPECT_GE(refused, 20);
  for (auto& island : rig.islands) island->release(island::MemIsland::Op::put);
  co_await scope.join();
}
TEST(Committer, TheQueueIsBounded) {
  with_rig("queue", queue_is_bounded);
}

io::Task<void> closes(Rig& rig) {
  CO_ASSERT_TRUE(co_await rig.start());
  CO_ASSERT_TRUE(co_await rig.put("a", "1"));
  co_await rig.journal.committer->close();
  bool late = co_await rig.put("b", "2");
  EXPECT_FALSE(late);
  EXPECT_EQ(rig.failure->code, Code::unavailable);
  co_await rig.journal.committer->close();
}
TEST(Committer, RefusesAfterClosing) {
  with_rig("close", closes);
}

}  // namespace
}  // namespace archipel::index
