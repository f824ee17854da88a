// Seeds that our own encoders make: (fuzzer, name) -> bytes. Binary formats change with their version bytes; these change along, and
// `make_seeds` writes them to fuzz/corpus/.
#pragma once

#include <map>
#include <string>

namespace archipel::fuzz {

std::map<std::pair<std::string, std::string>, std::string> seeds();

}  // namespace archipel::fuzz
