// Small files that hold secrets or identity: created 0600, synced with their directory, refused when others can read them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace archipel::app {

// Creates `path` (never overwrites: exists) with mode 0600 and makes it durable.
Result<void> write_private_file(const std::string& path, std::string_view content);
// Reads a whole file of at most `bytes_max`. With `secret`, refuses one that its group or others may read, naming `chmod 600`.
Result<std::string> read_small_file(const std::string& path, size_t bytes_max, bool secret);
// Makes `path` with its missing parents; new directories get mode 0700. Success if it is there already.
Result<void> make_private_directory(const std::string& path);

}  // namespace archipel::app
