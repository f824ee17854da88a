#include "app/exposure_data.h"

#include <fmt/format.h>

#include <algorithm>

#include "exposure/world.h"

namespace archipel::app {
namespace {

using namespace exposure;

// One kind of row.
struct Kind {
  std::string_view name;
  size_t rows = 0, assumed = 0, own = 0;  // own: of the directory, not built in
  std::string oldest = "9999-12-31", newest = "0000-01-01";

  void add(const Origin& origin, const std::string& directory) {
    rows++;
    if (origin.level == Level::assumed) assumed++;
    if (origin.where.starts_with(directory)) own++;
    oldest = std::min(oldest, origin.date);
    newest = std::max(newest, origin.date);
  }
  std::string line() const {
    if (rows == 0) return fmt::format("{:<10} {:>5}", name, 0);
    return fmt::format("{:<10} {:>5}  {} to {}, {} of them assumed{}", name, rows, oldest, newest, assumed,
                       own == 0 ? "" : fmt::format(", {} from here", own));
  }
};

}  // namespace

Result<std::string> data_summary(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const World> world, World::load(directory));
  Kind kinds[] = {{"states"}, {"sets"}, {"members"}, {"providers"}, {"regions"}, {"prices"}};
  auto& [states, sets, members, providers, regions, prices] = kinds;
  for (const State& state : world->states()) states.add(state.origin, directory);
  for (const StateSet& set : world->sets()) {
    sets.add(set.origin, directory);
    for (const StateSet::Member& member : set.members) members.add(member.origin, directory);
  }
  for (const ProviderFact& provider : world->providers()) providers.add(provider.origin, directory);
  for (const RegionFact& region : world->regions()) regions.add(region.origin, directory);
  for (const Price& price : world->prices()) prices.add(price.origin, directory);
  std::string out = fmt::format("{}: all is well, together with what is built in\n", directory);
  for (const Kind& kind : kinds) out += kind.line() + "\n";
  out.pop_back();
  return out;
}

}  // namespace archipel::app
