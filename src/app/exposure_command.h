// `archipel exposure`: who can read, who can cut. Over a file of facts, without any cloud.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace archipel::app {

// What the person typed; filled while the command line is parsed.
struct ExposureCommand {
  bool given = false;
  std::string facts;  // --facts
  bool json = false, certificates = false;
};

// Adds the command; `command` must outlive the parsing.
void add_exposure_command(CLI::App& app, ExposureCommand& command);
// Loads, answers, prints. The exit code: 0, 1 failed, 2 usage.
int run_exposure_command(const ExposureCommand& command);

}  // namespace archipel::app
