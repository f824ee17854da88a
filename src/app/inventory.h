// Inventory lines: how a gateway tells a command what is kept, by placement and bucket (exposure/inventory.h). Operation "inventory" of
// run_identity_operation: one JSON object a line; first {"journal":["island",…]}, then one per holding: {"bucket":"","data_class":"","policy":"default",
// "code":[6,3],"islands":["…"],"confirmed":["…"],"objects":1,"bytes":2,"stored_bytes":4,"in_commits":false}.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "app/config.h"
#include "exposure/inventory.h"

namespace archipel::app {

inline constexpr size_t kHoldingsMax = 1'000'000;  // lines that are read

std::vector<std::string> inventory_lines(const exposure::Inventory& inventory);
// invalid: a line that is not one of these.
Result<exposure::Inventory> parse_inventory(std::span<const std::string> lines);

// Asks the gateway that runs on the config's DIR, or opens the store under the lock. Blocks; on no loop. Errors: as run_gateway().
Result<exposure::Inventory> ask_inventory(const Config& config);

}  // namespace archipel::app
