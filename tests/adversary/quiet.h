// The log of the process, kept instead of shown: attacks are loud.
#pragma once

#include <string>
#include <vector>

namespace archipel::adversary {

// All events so far, as "name field=value …", and forgets them. The last 10,000 are kept.
std::vector<std::string> take_log();

}  // namespace archipel::adversary
