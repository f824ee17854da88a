// What every process of `archipel` does alike: its log, its descriptors, its threads, and how a command speaks.
#pragma once

#include <string>

#include "base/result.h"

namespace archipel::app {

// `level`: debug, info, warn or error (as configurations have checked it).
void apply_log_config(const std::string& level, bool json);
// As many descriptors as the system lets this process have.
void raise_descriptor_limit();
// Loops for a configuration's `threads`: 0 means one per core; 1 to 64.
int loops_for(int threads);

// The sentence on stderr, "archipel: …"; returns the exit code 1.
int failed(const Error& error);
// One line for machines on stdout, at once; what a person wants to know goes to stderr.
void print_line(const std::string& line);

}  // namespace archipel::app
