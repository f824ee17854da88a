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
  bool given = false, check = false;
  std::string take_over;  // DIR of a running edge, whose listening sockets are taken over
  // edge purge | sites | drain
  std::string order;
  std::string admin, token_file;  // instead of those in the configuration
  std::string url, prefix, tag, site;
  bool soft = false;
  // edge sign
  std::string key_file, scope, expires = "1h";
  bool path_form = false;
};

void add_edge_command(CLI::App& app, EdgeCommand& command);
// Exit code: 0, 1 (failed), 2 (usage).
int run_edge_command(const EdgeCommand& command);

}  // namespace archipel::app
