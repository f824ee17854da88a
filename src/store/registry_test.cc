#include "store/registry.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "index/overlay.h"
#include "store/collector_state.h"

namespace archipel::store {
namespace {

using Kind = extent::ExtentRef::Kind;

extent::ExtentRef ref_of(Kind kind, uint64_t epoch, uint64_t counter, uint64_t length) {
  extent::ExtentRef ref;
  ref.kind = kind;
  ref.id = {epoch, counter};
  ref.attempt.fill(3);
  ref.geometry = {{6, 3}, extent::kSegmentSealed, length};
  ref.confirmed = 0b111011;
  ref.base = kind == Kind::section ? 777 : 128;
  if (kind == Kind::section) ref.open.fill(9);
  return ref;
}
Storage small_at(const extent::ExtentRef& ref, uint64_t offset, uint64_t length) {
  Storage storage;
  storage.small.push_back({ref, offset, length});
  return storage;
}

TEST(Registry, RecordsComeBackAndSortByExtent) {
  const extent::ExtentRef ref = ref_of(Kind::section, 7, 12, 5000);
  Result<LiveRecord> live = decode_live(encode(LiveRecord{1234, ref}));
  ASSERT_TRUE(live);
  EXPECT_EQ(live->live_bytes, 1234u);
  EXPECT_EQ(live->ref.open, ref.open);
  EXPECT_EQ(live->ref.base, ref.base);
  EXPECT_FALSE(decode_live(encode(LiveRecord{0, ref})));
  EXPECT_FALSE(decode_live(encode(LiveRecord{5001, ref})));
  DoomedRecord doomed = doomed_now(ref, 42);
  EXPECT_EQ(doomed.left, 0b111111u);
  doomed.stage = DoomedRecord::Stage::deleted;
  doomed.left = 0b100;
  Result<DoomedRecord> back = decode_doomed(encode(doomed));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->stage, DoomedRecord::Stage::deleted);
  EXPECT_EQ(back->left, 0b100u);
  EXPECT_EQ(back->since_ms, 42);
  doomed.left = 1u << 6;  // there is no such shard
  EXPECT_FALSE(decode_doomed(encode(doomed)));
  EXPECT_TRUE(rc::check("order is kept", [](uint64_t e1, uint64_t c1, uint64_t e2, uint64_t c2) {
    ExtentKey a{Kind::data, {e1, c1}}, b{Kind::data, {e2, c2}};
    RC_ASSERT((a < b) == (live_key(a) < live_key(b)));
    RC_ASSERT(extent_of(doomed_key(a)) == a);
  }));
}

TEST(Registry, ProgressOfCollectionComesBack) {
  EpochSweep epoch{EpochSweep::Stage::second, 99, Sweep(6)};
  epoch.sweep.below[4] = {3, 70};
  Result<EpochSweep> back = decode_epoch_sweep(encode(epoch));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->sweep.below, epoch.sweep.below);
  EXPECT_EQ(back->sweep.lowest(), index::CommitPosition{});
  EXPECT_EQ(back->sweep.highest(), (index::CommitPosition{3, 70}));
  CommitSweep commits{Sweep(6), {2, 9}, 1234, Sweep(6)};
  Result<CommitSweep> again = decode_commit_sweep(encode(commits));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->mark, commits.mark);
  EXPECT_EQ(again->marked_ms, 1234);
  EXPECT_TRUE(rc::check("no bytes crash a decoder", [&] {
    std::string bytes = *rc::gen::element<std::string>(encode(epoch), encode(commits), encode_time(5),
                                                       encode(doomed_now(ref_of(Kind::data, 1, 1, 9), 1)),
                                                       encode(LiveRecord{5, ref_of(Kind::section, 1, 1, 9)}));
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
    bytes.resize(*rc::gen::inRange<size_t>(0, bytes.size() + 1));
    (void)decode_epoch_sweep(bytes);
    (void)decode_commit_sweep(bytes);
    (void)decode_time(bytes);
    (void)decode_live(bytes);
    (void)decode_doomed(bytes);
  }));
}

// One build() after the other over one overlay, as in a batch.
class Commit {
 public:
  explicit Commit(index::Kv& kv) : kv_(kv), view_(kv.snapshot(), {}) {}
  Result<void> build(const std::vector<Storage>& added, const std::vector<Storage>& dropped) {
    LiveBytes live(view_);
    for (const Storage& storage : dropped) live.drop(storage);
    for (const Storage& storage : added) live.add(storage);
    std::vector<index::Mutation> out;
    RETURN_IF_ERROR(live.finish(1000, out));
    view_.add(out);
    return {};
  }
  void apply() {
    std::vector<index::Mutation> all;
    for (const auto& [key, value] : view_.take()) all.push_back({key, value});
    ASSERT_TRUE(kv_.write(all));
  }

 private:
  index::Kv& kv_;
  index::LayeredView view_;
};

TEST(Registry, DoomsWithTheLastByteAndOnlyThen) {
  auto kv = index::make_map_kv();
  const extent::ExtentRef ref = ref_of(Kind::section, 1, 5, 1000);
  auto holds = [&](const std::string& key) { return kv->snapshot()->get(key)->has_value(); };
  Commit first(*kv);
  ASSERT_TRUE(first.build({small_at(ref, 0, 400)}, {}));
  ASSERT_TRUE(first.build({small_at(ref, 400, 600)}, {}));
  first.apply();
  Commit second(*kv);
  ASSERT_TRUE(second.build({}, {small_at(ref, 0, 400)}));
  second.apply();
  EXPECT_TRUE(holds(live_key(key_of(ref))));
  EXPECT_FALSE(holds(doomed_key(key_of(ref))));
  Commit third(*kv);
  ASSERT_TRUE(third.build({}, {small_at(ref, 400, 600)}));
  EXPECT_FALSE(third.build({}, {small_at(ref, 400, 600)}));  // more than there was
  third.apply();
  EXPECT_FALSE(holds(live_key(key_of(ref))));
  EXPECT_TRUE(holds(doomed_key(key_of(ref))));
}

TEST(Registry, LetsOneCommitFillItsSectionAgain) {
  auto kv = index::make_map_kv();
  const extent::ExtentRef ref = ref_of(Kind::section, 1, 5, 1000);
  Commit commit(*kv);
  ASSERT_TRUE(commit.build({small_at(ref, 0, 400)}, {}));
  ASSERT_TRUE(commit.build({}, {small_at(ref, 0, 400)}));
  ASSERT_TRUE(commit.build({small_at(ref, 400, 600)}, {}));
  commit.apply();
  EXPECT_TRUE(kv->snapshot()->get(live_key(key_of(ref)))->has_value());
  EXPECT_FALSE(kv->snapshot()->get(doomed_key(key_of(ref)))->has_value());
}

TEST(Registry, RefusesExtentsOfAnEpochThatWasSwept) {
  auto kv = index::make_map_kv();
  ASSERT_TRUE(kv->write({{epoch_swept_key(3), "any"}}));
  Storage storage;
  storage.extents.push_back({ref_of(Kind::data, 3, 1, 9), 0, 1});
  Commit commit(*kv);
  Result<void> refused = commit.build({storage}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().detail, "SlowDown");
  storage.extents.front().ref.id.epoch = 4;
  EXPECT_TRUE(commit.build({storage}, {}));
}

}  // namespace
}  // namespace archipel::store
