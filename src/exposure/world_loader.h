// The files of a World, checked whole: internal to `world`.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "exposure/world.h"

namespace archipel::exposure {

struct WorldFile {
  std::string shown;      // its name in messages
  std::string_view text;  // outlives the loading
};
using WorldFiles = std::map<std::string, WorldFile, std::less<>>;  // by name: "states.csv"

// All seven must be there. invalid, limit: the first thing that is wrong, in the order sources, states, sets, members, providers, regions, prices.
Result<World> load_world(WorldFiles files);

}  // namespace archipel::exposure
