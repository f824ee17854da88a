// `archipel edge`: an edge as a process: threads, listeners, certificates, signals; and the commands that speak to one that runs.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace archipel::app {

struct EdgeCommand {
  std::string config;
  bool given = false, check = false, take_over = false;
  // purge, sites, drain: asked of the admin interface that the configuration names.
  std::string order;
  std::string url, prefix, tag, site;
  bool soft = false;
  // sign
  std::string key_file, scope, valid = "1h";
  bool path_form = false;
};

void add_edge_command(CLI::App& app, EdgeCommand& command);
// Exit code: 0, 1 (failed), 2 (usage).
int run_edge_command(const EdgeCommand& command);

}  // namespace archipel::app
