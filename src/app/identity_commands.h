// `archipel account|user|role`: the command line of identities. Beside a running gateway through its socket, else offline under the lock.
#pragma once

#include <functional>
#include <map>
#include <string>

namespace CLI {
class App;
}

namespace archipel::app {

// What the person typed; filled while the command line is parsed.
struct IdentityCommand {
  std::map<std::string, std::string>
      fields;             // of run_identity_operation; "op" is empty if no such command was given
  std::string file, dir;  // --config, --dir
  bool json = false;
  std::string secret_file, document_file, trust_file;
};

// Adds the commands; `command` must outlive the parsing.
void add_identity_commands(CLI::App& app, IdentityCommand& command);
// Reads the files it names, asks, prints. The exit code.
int run_identity_command(IdentityCommand command);

}  // namespace archipel::app
