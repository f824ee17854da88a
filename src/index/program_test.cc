// Random programs of writes, kills, wipes and lost replies, compared with a map.
#include <cstdlib>

#include "index/index_fixture.h"

namespace archipel::index {
namespace {

int program = 0;

// Against a map: every key has the set of values it may have; an acknowledged write leaves one, an unknown outcome adds one, and what
// a start shows settles it. Only islands 0..2 are ever wiped, so that no promise is exceeded.
io::Task<void> random_program(Rig& rig) {
  auto chance = seeded_random(static_cast<uint64_t>(program) * 7919 + 3);
  auto pick = [&chance](uint64_t n) { return chance->u64() % n; };
  rig.options.in_flight_max = 1 + static_cast<int>(pick(4));
  std::map<std::string, std::set<std::string>> possible;  // "" = absent
  CO_ASSERT_TRUE(co_await rig.start());
  int number = 0;
  for (int round = 0; round < 12; ++round) {
    if (pick(2) == 0) rig.freeze_after(1 + static_cast<int>(pick(60)));
    if (pick(3) == 0) rig.islands[pick(6)]->down();
    if (pick(3) == 0) rig.islands[pick(6)]->down();
    if (pick(4) == 0) rig.islands[pick(6)]->lose_put_replies(3);
    const uint64_t writes = pick(12);
    for (uint64_t i = 0; i < writes; ++i) {
      const std::string key = "k" + std::to_string(pick(6));
      const std::string value = pick(4) == 0 ? "" : "v" + std::to_string(++number);
      std::set<std::string>& values = possible.try_emplace(key, std::set<std::string>{""}).first->second;
      std::optional<std::string> written;
      if (!value.empty()) written = value;
      bool good = co_await rig.put(key, written);
      if (good) values.clear();
      values.insert(value);
      if (!good) break;
    }
    rig.freeze();
    co_await rig.stop();
    rig.thaw();
    if (pick(3) == 0) rig.delete_index();
    for (size_t i = 0; i < 3; ++i) {
      if (pick(5) == 0) rig.islands[i]->wipe();
    }
    if (pick(3) == 0) {
      // A start that is killed on its way.
      rig.freeze_after(1 + static_cast<int>(pick(20)));
      co_await rig.start();
      rig.freeze();
      co_await rig.stop();
      rig.thaw();
    }
    bool started = co_await rig.start();
    EXPECT_TRUE(started) << "program " << program << " round " << round << ": "
                         << (rig.failure ? rig.failure->describe() : "");
    CO_ASSERT_TRUE(started);
    for (auto& [key, values] : possible) {
      const std::string now = rig.get(key).value_or("");
      EXPECT_TRUE(values.contains(now))
          << "program " << program << " round " << round << " key " << key << " is " << now;
      values = {now};
    }
  }
}
// ARCHIPEL_PROGRAMS: how many, for a long run.
TEST(Recovery, AgreesWithAMapOnRandomProgramsOfKillsAndWipes) {
  const char* asked = std::getenv("ARCHIPEL_PROGRAMS");
  const int programs = asked != nullptr ? std::atoi(asked) : 40;
  for (program = 1; program <= programs; ++program) {
    with_rig("program", random_program, static_cast<uint64_t>(program));
  }
}

}  // namespace
}  // namespace archipel::index
