#include "store/compaction_plan.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "index/overlay.h"
#include "store/keys.h"

namespace archipel::store {
namespace {

using Kind = extent::ExtentRef::Kind;

extent::ExtentRef section(uint64_t seq, uint64_t length, uint32_t record_bytes) {
  extent::ExtentRef ref;
  ref.kind = Kind::section;
  ref.id = {1, seq};
  ref.geometry = {{6, 3}, extent::kSegmentSealed, length};
  ref.base = record_bytes;
  return ref;
}

Candidates candidates_of(const std::vector<LiveRecord>& records, CandidateRule rule) {
  auto kv = index::make_map_kv();
  std::vector<index::Mutation> mutations;
  for (const LiveRecord& record : records)
    mutations.push_back({live_key(key_of(record.ref)), encode(record)});
  CHECK(kv->write(mutations).has_value());
  Candidates out;
  Result<std::optional<ExtentKey>> next = add_candidates(*kv->snapshot(), {}, rule, out);
  CHECK(next.has_value() && !*next);
  return out;
}

TEST(CompactionPlan, TakesWhatIsMostlyDeadBelowTheLimit) {
  const std::vector<LiveRecord> records = {{900, section(1, 1000, 100)},   // mostly live
                                           {300, section(2, 1000, 100)},   // mostly dead
                                           {900, section(3, 1000, 5000)},  // a large record for little
                                           {300, section(9, 1000, 100)}};  // not below
  CandidateRule rule{index::CommitPosition{1, 9}, 50, 1 << 20};
  Candidates found = candidates_of(records, rule);
  EXPECT_EQ(found.extents, (std::set<ExtentKey>{{Kind::section, {1, 2}}, {Kind::section, {1, 3}}}));
  EXPECT_EQ(found.live_bytes, 1200u);
  EXPECT_EQ(found.garbage_bytes, (1000u + 3 * 100 - 300) + (1000u + 3 * 5000 - 900));
  EXPECT_EQ(found.totals.live_extents, 4u);
  rule.bytes_max = 1000;  // one pass takes no more
  EXPECT_EQ(candidates_of(records, rule).extents.size(), 1u);
  rule.limit.reset();
  EXPECT_TRUE(candidates_of(records, rule).extents.empty());
}

TEST(CompactionPlan, RestsSoThatItTakesItsShareAtMost) {
  EXPECT_TRUE(rc::check("at most the share", [] {
    const Duration worked(*rc::gen::inRange<int64_t>(1, 60'000'000'000));
    const int percent = *rc::gen::inRange(1, 101);
    const Duration all = worked + pause_after(worked, percent);
    RC_ASSERT(worked * 100 <= (all + Duration(100)) * percent);
  }));
  EXPECT_EQ(pause_after(std::chrono::seconds(1), 20), std::chrono::seconds(4));
}

}  // namespace
}  // namespace archipel::store
