// What every process of `archipel` does alike: its log, its descriptors, its threads, and how a command speaks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace archipel::app {

// `level`: debug, info, warn or error (as configurations have checked it).
void apply_log_config(const std::string& level, bool json);
// As many descriptors as the system lets this process have; and a file that reaches a limit of its size is an error to who writes it, not the end of the process.
void raise_descriptor_limit();
// What Prometheus' own clients tell of every process (process_cpu_seconds_total, process_open_fds, …), from /proc; what cannot be read is left out.
std::string process_metrics_text();
// Loops for a configuration's `threads`: 0 means one per core; 1 to 64.
int loops_for(int threads);

// Where this program lies, as it was started: a newer one that was put in its place is found there. Empty: the system does not say.
std::string this_program();
// Starts `program` with these arguments, this process's environment, standard streams and directory; returns its process id. io, not_found.
Result<int> start_program(const std::string& program, const std::vector<std::string>& arguments);
// The exit code of a program that was started so, once it has ended (128 + the signal, if one ended it); asks once more only if there was none.
std::optional<int> ended_with(int child);

// The sentence on stderr, "archipel: …"; returns the exit code 1.
int failed(const Error& error);
// One line for machines on stdout, at once; what a person wants to know goes to stderr.
void print_line(const std::string& line);

}  // namespace archipel::app
