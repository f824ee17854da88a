// Move plan: what of a bucket lies otherwise than its policy says, and what moving it would take. `archipel bucket place` prints it; nothing is moved.
#pragma once

#include <string>

#include "app/config.h"

namespace archipel::app {

// Prints what is elsewhere, by the config as it is on disk and the counts of the cloud (ask_inventory()): {"event":"elsewhere","bucket","policy","code",
// "islands","objects","bytes","to_code","to_islands","move_bytes","move_dollars" if known,"reasons" if a rule is broken}, one line for each way in
// which it lies; or text that says the same. Blocks; on no loop. Errors: of the config's facts and policies, of ask_inventory().
Result<void> print_move_plan(const Config& config, const std::string& bucket, bool json);

}  // namespace archipel::app
