// Each kind of lie, alone: clients get right answers, and the verdict names the island that lied, and no other.
#include <gtest/gtest.h>

#include <set>

#include "base/log.h"
#include "sim/world.h"

namespace archipel::sim {
namespace {

using island::Fault;
using std::chrono::seconds;

constexpr size_t kLiar = 0;  // holds the first cell of everything, so that every read asks it
constexpr int kObjects = 6;

std::set<std::string>* named = nullptr;  // by log events "island.lied"

void on_log(log::Level, std::string_view name, log::Fields fields) {
  if (name != "island.lied" || named == nullptr) return;
  for (const log::Field& field : fields)
    if (field.key == "island") named->insert(field.value);
}

Plan quiet_plan() {
  Plan plan;
  plan.seed = 11;
  plan.extent_plain = uint64_t{3} * 65536;
  plan.collect_every = plan.grace = plan.delete_again = plan.truncation_delay = plan.compact_every =
      std::chrono::hours(24);
  plan.snapshot_commits = 1000;
  plan.slot_commits = 1000;
  plan.live_percent_max = 50;
  plan.scrub_tick = seconds(1);
  return plan;
}

class Text final : public store::BodySource {
 public:
  explicit Text(std::string text) : text_(std::move(text)) {}
  io::Task<Result<size_t>> read(MutableBytes out) override {
    const size_t size = std::min(out.size(), text_.size() - at_);
    std::copy_n(text_.begin() + static_cast<std::ptrdiff_t>(at_), size, out.begin());
    at_ += size;
    co_return size;
  }

 private:
  std::string text_;
  size_t at_ = 0;
};

// A realm of six islands whose first one lies when told to.
class Lies : public testing::Test {
 protected:
  Lies() {
    log::set_sink(on_log);
    named = &named_;
  }
  ~Lies() override {
    run(stop);
    named = nullptr;
    log::set_sink(nullptr);
  }

  void run(io::Task<bool> (*body)(Lies&)) {
    auto done = io::run_sim(world_.loop, [this, body] { return body(*this); });
    ASSERT_TRUE(done.has_value()) << "stalled";
    EXPECT_TRUE(*done);
  }
  island::SimPlace& liar() { return *world_.places[kLiar]; }
  std::string liar_id() const { return world_.places[kLiar]->id(); }
  static std::string content(int object) {
    // Small ones that travel in commits, and one that is an extent.
    return std::string(object == 0 ? 200'000 : 500 + static_cast<size_t>(object),
                       static_cast<char>('a' + object));
  }

  static io::Task<bool> start(Lies& self) {
    self.process_ = std::make_shared<Process>(self.world_);
    Result<void> started = co_await self.process_->start();
    EXPECT_TRUE(started) << (started ? "" : started.error().describe());
    co_return started.has_value();
  }
  static io::Task<bool> stop(Lies& self) {
    for (auto& place : self.world_.places) {
      place->heal();
      place->stop_lying();
    }
    if (self.process_) co_await self.process_->close();
    if (self.process_) self.process_->die();
    self.process_ = nullptr;
    self.world_.disk.process_died();
    co_return true;
  }
  static io::Task<bool> restart(Lies& self) {
    co_await self.process_->close();
    self.process_->die();
    self.world_.disk.process_died();
    bool good = co_await start(self);
    co_return good;
  }
  static io::Task<bool> put_all(Lies& self) {
    Result<void> made = co_await self.process_->store().create_bucket("bucket", owner_of(0));
    bool good = made || made.error().detail == "BucketAlreadyOwnedByYou";
    for (int i = 0; i < kObjects; ++i) {
      Text body(content(i));
      store::PutRequest request;
      request.bucket = "bucket";
      request.key = "object-" + std::to_string(i);
      Result<store::ObjectInfo> done = co_await self.process_->store().put(std::move(request), body);
      good = good && done;
    }
    co_return good;
  }
  static io::Task<bool> get_all(Lies& self) {
    for (int i = 0; i < kObjects; ++i) {
      std::string bytes;
      auto opened =
          co_await self.process_->store().get("bucket", "object-" + std::to_string(i), std::nullopt, {});
      EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
      if (!opened) co_return false;
      for (;;) {
        Result<Buffer> piece = co_await opened->reader->read();
        EXPECT_TRUE(piece) << (piece ? "" : piece.error().message);
        if (!piece || piece->empty()) break;
        bytes.append(as_text(*piece));
      }
      EXPECT_TRUE(bytes == content(i)) << "object " << i;
    }
    co_return true;
  }
  // A pass of the scrubber, whose report is kept.
  static io::Task<bool> scrub(Lies& self) {
    Result<store::ScrubReport> report = co_await self.process_->scrub();
    EXPECT_TRUE(report) << (report ? "" : report.error().message);
    if (report) self.report_ = *report;
    co_return report.has_value();
  }

  void begin() {
    run(start);
    run(put_all);
  }
  void expect_only_liar_named() const { EXPECT_EQ(named_, std::set<std::string>{liar_id()}); }
  // By the scrubber: shards that the liar has not, or has wrong.
  void expect_only_liar_lacks(bool wrong) const {
    for (size_t i = 0; i < report_.islands.size(); ++i) {
      const auto& found = report_.islands[i];
      const uint64_t lacks = wrong ? found.wrong : found.missing;
      if (i == kLiar)
        EXPECT_GT(lacks, 0u) << found.id;
      else
        EXPECT_EQ(found.wrong + found.missing, 0u) << found.id;
    }
  }

  const Plan plan_ = quiet_plan();
  World world_{plan_};
  std::shared_ptr<Process> process_;
  std::set<std::string> named_;
  store::ScrubReport report_;
};

TEST_F(Lies, FlippedBytesAreNamed) {
  begin();
  liar().set(Fault::flip, 1000);
  run(get_all);
  expect_only_liar_named();
  EXPECT_GT(process_->wrong_cells(kLiar), 0u);
}

TEST_F(Lies, TruncatedBytesAreNamed) {
  begin();
  liar().set(Fault::truncate, 1000);
  run(get_all);
  expect_only_liar_named();
}

TEST_F(Lies, BytesOfAnotherBlobAreNamed) {
  begin();
  liar().set(Fault::foreign, 1000);
  run(get_all);
  expect_only_liar_named();
}

TEST_F(Lies, AStaleAnswerIsNamedByScrub) {
  run(start);
  liar().set(Fault::stale, 1000);
  run(put_all);
  run(get_all);
  run(scrub);
  expect_only_liar_lacks(false);
}

TEST_F(Lies, AHiddenBlobIsNamedByScrub) {
  begin();
  liar().set(Fault::hide, 1000);
  run(get_all);
  run(scrub);
  expect_only_liar_lacks(false);
}

TEST_F(Lies, AConfirmationWithoutTheBlobIsNamedByScrub) {
  run(start);
  liar().set(Fault::forget, 1000);
  run(put_all);
  liar().stop_lying();
  run(get_all);
  run(scrub);
  expect_only_liar_lacks(false);
  EXPECT_GT(report_.islands[kLiar].repaired, 0u);
}

TEST_F(Lies, AConfirmationWithoutTheBlobIsNamedByASpotCheck) {
  run(start);
  liar().set(Fault::forget, 1000);
  // One confirmed put in a hundred is looked at, whichever island it is on.
  for (int round = 0; round < 60 && named_.empty(); ++round) run(put_all);
  expect_only_liar_named();
}

TEST_F(Lies, AFsyncThatWasNoneIsNamedByScrub) {
  run(start);
  liar().set(Fault::lost_fsync, 1000);
  run(put_all);
  liar().power_cut();
  run(get_all);
  run(scrub);
  expect_only_liar_lacks(false);
}

TEST_F(Lies, RottenBytesAreNamedByScrub) {
  begin();
  liar().rot(3000);
  run(get_all);
  run(scrub);
  expect_only_liar_lacks(true);
  expect_only_liar_named();
}

TEST_F(Lies, ATornBlobIsNamedByScrub) {
  run(start);
  liar().set(Fault::torn_write, 1000);
  run(put_all);
  liar().set(Fault::torn_write, 0);
  run(get_all);
  run(scrub);
  expect_only_liar_lacks(true);
}

TEST_F(Lies, AnIslandSetBackIsNamedByScrub) {
  run(start);
  liar().remember();
  run(put_all);
  liar().roll_back();
  run(get_all);
  run(scrub);
  expect_only_liar_lacks(false);
}

TEST_F(Lies, AWipedIslandIsNamedByTheStart) {
  begin();
  liar().wipe();
  run(restart);
  for (size_t i = 0; i < world_.places.size(); ++i) {
    const index::IslandReport& report = process_->journal().islands[i];
    using State = index::IslandReport::State;
    EXPECT_EQ(report.state, i == kLiar ? State::rejoined : State::ok) << report.id;
  }
  run(get_all);
  run(scrub);
  // The journal names it as owed, not as a liar: what was wiped is debt until it is mended.
  EXPECT_GT(report_.islands[kLiar].missing + report_.islands[kLiar].repaired, 0u);
  EXPECT_EQ(named_, std::set<std::string>{});
}

TEST_F(Lies, ADamagedMarkerIsNamedByTheStart) {
  begin();
  ASSERT_TRUE(liar().marker().has_value());
  (*liar().marker())[20] ^= 1;
  run(restart);
  const index::IslandReport& report = process_->journal().islands[kLiar];
  EXPECT_EQ(report.state, index::IslandReport::State::unreachable);
  EXPECT_NE(report.reason.find(liar_id()), std::string::npos) << report.reason;
  run(get_all);
}

// Islands that pool what they have. More than one liar is beyond f = 1, but what can be verified is still never wrong.

constexpr size_t kFriend = 1;

TEST_F(Lies, ABlobThatAnotherIslandHasIsNamed) {
  begin();
  size_t swapped = 0;
  for (auto& [name, bytes] : liar().blobs()) {
    for (const auto& [other, lent] : world_.places[kFriend]->blobs()) {
      if (lent.size() != bytes.size()) continue;
      bytes = lent;
      ++swapped;
      break;
    }
  }
  ASSERT_GT(swapped, size_t{kObjects});
  run(get_all);
  run(scrub);
  expect_only_liar_lacks(true);
  expect_only_liar_named();
}

TEST_F(Lies, TwoThatFlipBytesTogetherAreBothNamed) {
  begin();
  for (size_t i : {kLiar, kFriend}) world_.places[i]->set(Fault::flip, 1000);
  run(get_all);
  run(scrub);
  EXPECT_EQ(named_, (std::set<std::string>{liar_id(), world_.places[kFriend]->id()}));
}

TEST_F(Lies, TwoThatConfirmAndKeepNothingTogetherLoseNothing) {
  run(start);
  for (size_t i : {kLiar, kFriend}) world_.places[i]->set(Fault::forget, 1000);
  run(put_all);
  for (size_t i : {kLiar, kFriend}) world_.places[i]->stop_lying();
  run(get_all);
  run(scrub);
  for (size_t i = 0; i < report_.islands.size(); ++i)
    EXPECT_EQ(report_.islands[i].missing > 0, i == kLiar || i == kFriend) << i;
  EXPECT_TRUE(report_.whole());
}

TEST_F(Lies, TwoThatAreSetBackTogetherHideNothingFromAStartWithoutDir) {
  run(start);
  for (size_t i : {kLiar, kFriend}) world_.places[i]->remember();
  run(put_all);
  for (size_t i : {kLiar, kFriend}) world_.places[i]->roll_back();
  run([](Lies& self) { return stop(self); });
  world_.disk.lose_all();
  run(start);
  run(get_all);
}

TEST_F(Lies, AClockSetBackByYearsChangesNoAnswer) {
  begin();
  world_.clock.step(-std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::days(3650)).count());
  run(get_all);
  run(put_all);
  run(restart);
  run(get_all);
  run(scrub);
  EXPECT_TRUE(report_.whole());
  EXPECT_EQ(named_, std::set<std::string>{});
}

TEST_F(Lies, AnInventedNameInAListingIsNeverBelieved) {
  begin();
  liar().set(Fault::invent, 1000);
  run(get_all);
  run(scrub);
  EXPECT_TRUE(report_.whole());
  EXPECT_EQ(named_, std::set<std::string>{})
      << "names are computed, so nothing was asked that could be a lie";
}

}  // namespace
}  // namespace archipel::sim
