// `archipel exposure --check-data DIR`: are the CSV files that an owner keeps well, and what do they hold?
#pragma once

#include <string>

#include "base/result.h"

namespace archipel::app {

// Lines for a person: how many rows of each kind there are together with those built in, from when, and how many nobody looked up. Errors are
// those of World::load(). Reads files.
Result<std::string> data_summary(const std::string& directory);

}  // namespace archipel::app
