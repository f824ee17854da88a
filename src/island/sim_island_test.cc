#include "island/sim_island.h"

#include <gtest/gtest.h>

namespace archipel::island {
namespace {

using std::chrono::seconds;

struct World {
  io::SimLoop loop{1};
  std::shared_ptr<SimPlace> place = std::make_shared<SimPlace>(loop, "here", 7);
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  SimIsland island{place, alive};

  World() { place->marker() = "marker"; }

  // Runs one operation to its end.
  template <class F>
  auto run(F operation) {
    auto out = io::run_sim(loop, std::move(operation));
    CHECK(out.has_value());
    return std::move(*out);
  }
  Result<void> put(std::string name, std::string bytes) {
    ByteView parts[] = {as_bytes(bytes)};
    return run([&] { return island.put(name, parts, loop.now() + seconds(5)); });
  }
  Result<std::string> get(std::string name) {
    Result<Buffer> got = run([&] { return island.get(name, 0, 1000, loop.now() + seconds(5)); });
    if (!got) return fail(got.error());
    return std::string(as_text(*got));
  }
};

Code code_of(const auto& result) {
  return result ? Code::internal : result.error().code;
}

TEST(SimIsland, KeepsTheContractWhileNothingIsWrong) {
  World w;
  EXPECT_EQ(code_of(w.get("a")), Code::not_found);
  EXPECT_TRUE(w.put("a", "one"));
  EXPECT_EQ(code_of(w.put("a", "two")), Code::exists);
  EXPECT_EQ(w.get("a").value(), "one");
  EXPECT_TRUE(w.run([&] { return w.island.remove("a", kNoDeadline); }));
  EXPECT_EQ(code_of(w.get("a")), Code::not_found);
  w.place->wipe();
  EXPECT_EQ(code_of(w.get("a")), Code::unavailable) << "without marker, a 404 is no absence";
}

TEST(SimIsland, ALostReplyLeavesTheBlobThere) {
  World w;
  w.place->set(Fault::lose_reply, 1000);
  EXPECT_EQ(code_of(w.put("a", "one")), Code::timeout);
  w.place->heal();
  EXPECT_EQ(w.get("a").value(), "one");
  EXPECT_EQ(w.place->count(Fault::lose_reply), 1u);
}

io::Task<bool> die_while_a_put_is_under_way(World& world) {
  const std::string bytes = "one";
  ByteView parts[] = {as_bytes(bytes)};
  Result<void> put = co_await world.island.put("a", parts, world.loop.now() + std::chrono::milliseconds(20));
  EXPECT_EQ(code_of(put), Code::timeout);
  *world.alive = false;
  Result<Buffer> dead = co_await world.island.get("a", 0, 10, kNoDeadline);
  EXPECT_EQ(code_of(dead), Code::unavailable);
  EXPECT_TRUE(world.place->blobs().empty());
  co_await io::sleep_until(world.loop.now() + seconds(60));
  co_return true;
}

TEST(SimIsland, ALateRequestLandsAfterItsSenderDied) {
  World w;
  w.place->set(Fault::slow_disk, 1000);
  w.run([&] { return die_while_a_put_is_under_way(w); });
  EXPECT_EQ(w.place->blobs().at("a"), "one");
}

TEST(SimIsland, TellsEachKindOfLieAndCountsIt) {
  for (Fault fault :
       {Fault::flip, Fault::truncate, Fault::hide, Fault::forget, Fault::stale, Fault::foreign}) {
    World w;
    EXPECT_TRUE(w.put("b", "something else"));
    w.place->set(fault, 1000);
    EXPECT_TRUE(w.put("a", "the truth"));
    auto got = w.get("a");
    EXPECT_TRUE(!got || *got != "the truth" || fault == Fault::foreign) << to_string(fault);
    EXPECT_GE(w.place->count(fault), 1u) << to_string(fault);
  }
}

TEST(SimIsland, APowerCutForgetsOnlyWhatWasNotSynced) {
  World w;
  EXPECT_TRUE(w.put("safe", "1"));
  w.place->set(Fault::lost_fsync, 1000);
  EXPECT_TRUE(w.put("loose", "2"));
  w.place->power_cut();
  EXPECT_TRUE(w.get("safe"));
  EXPECT_EQ(code_of(w.get("loose")), Code::not_found);
}

TEST(SimIsland, RollsBackToWhatItRemembers) {
  World w;
  EXPECT_TRUE(w.put("old", "1"));
  w.place->remember();
  EXPECT_TRUE(w.put("new", "2"));
  w.place->roll_back();
  EXPECT_TRUE(w.get("old"));
  EXPECT_EQ(code_of(w.get("new")), Code::not_found);
}

}  // namespace
}  // namespace archipel::island
