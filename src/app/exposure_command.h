// `archipel exposure`: who can read, who can cut, what a ban would cost. Over a file of facts without any cloud, or over a gateway's config and what
// the cloud keeps.
#pragma once

#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): theirs
class App;
}

namespace archipel::app {

// What the person typed; filled while the command line is parsed.
struct ExposureCommand {
  bool given = false;
  std::string facts, file, dir;          // --facts, --config, --dir: one of them
  std::string bucket, data_class;        // --bucket, --class: only what is kept there
  std::vector<std::string> adversaries;  // --adversary
  std::vector<std::string> bans;         // --ban
  std::vector<std::string> bandwidths;   // --bandwidth: "1G", "10G"
  std::string html, language = "en";     // --html, --lang
  std::string check_data;                // --check-data: only this
  bool json = false, certificates = false;
};

// Adds the command; `command` must outlive the parsing.
void add_exposure_command(CLI::App& app, ExposureCommand& command);
// Loads, answers, prints. The exit code: 0, 1 failed, 2 usage.
int run_exposure_command(const ExposureCommand& command);

}  // namespace archipel::app
