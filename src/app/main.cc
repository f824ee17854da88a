// archipel: the command line. Parses arguments, calls the rooms of src/app, prints; exit code 0 ok, 1 failed, 2 usage.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "app/config.h"
#include "app/gateway.h"
#include "app/islands.h"
#include "app/json.h"
#include "app/mending.h"
#include "app/setup.h"
#include "base/random.h"
#include "crypto/keyring.h"
#include "io/loop.h"
#include "io/stream.h"

namespace archipel::app {
namespace {

int failed(const Error& error) {
  fmt::print(stderr, "archipel: {}\n", error.message);
  return 1;
}

// One line for machines on stdout; what a person wants to know on stderr.
void print_line(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

std::string ready_line(const Ready& ready, bool with_keys) {
  JsonObject line;
  line.text("event", "ready").text("s3", "http://" + ready.address).text("region", ready.region);
  if (with_keys) line.text("access_key", ready.access_key).text("secret_key", ready.secret_key);
  line.number("pid", getpid());
  return line.str();
}

// The secret is shown to a person at a terminal only: a stderr that goes to a file is a log.
void print_hints(const Ready& ready, const std::string& dir) {
  std::string endpoint = "http://" + ready.address;
  std::string secret = isatty(STDERR_FILENO) != 0 ? ready.secret_key : "<the ready line's secret_key>";
  fmt::print(
      stderr,
      "\nArchipel demo: a gateway on six islands, all in {0}\n"
      "  endpoint    {1}\n  region      {2}\n  access key  {3}\n  secret key  {4}\n\n"
      "Try (in another terminal):\n"
      "  export AWS_ACCESS_KEY_ID={3} AWS_SECRET_ACCESS_KEY={4} AWS_DEFAULT_REGION={2}\n"
      "  aws --endpoint-url {1} s3 mb s3://hello\n"
      "  aws --endpoint-url {1} s3 cp README.md s3://hello/ && aws --endpoint-url {1} s3 ls s3://hello\n\n"
      "Stop with Ctrl-C. Then delete {0}/index and any three of {0}/islands/*, start again, and read your "
      "file.\n",
      dir, endpoint, ready.region, ready.access_key, secret);
}

int run(GatewayOptions options, const std::string& demo_dir) {
  bool demo = options.demo;
  auto outcome = run_gateway(std::move(options), [&](const Ready& ready) {
    for (const std::string& note : ready.notes) fmt::print(stderr, "{}\n", note);
    if (demo) print_hints(ready, demo_dir);
    print_line(ready_line(ready, demo));
  });
  return outcome ? 0 : failed(outcome.error());
}

io::Task<Result<void>> try_listen(const std::string& address) {
  auto listener = io::tcp_network().listen(*io::Loop::current(), address, false);
  if (!listener) co_return fail(std::move(listener).error());
  (*listener)->close();
  co_return Result<void>{};
}

struct DemoArguments {
  std::string dir = "archipel-demo", listen, access_key, secret_key;
};

int demo(const DemoArguments& arguments) {
  GatewayOptions options;
  options.demo = true;
  if (arguments.access_key.empty() != arguments.secret_key.empty()) {
    fmt::print(stderr, "archipel: --access-key and --secret-key go together; give both or neither\n");
    return 2;
  }
  if (!arguments.access_key.empty()) {
    options.demo_credentials = Credentials{arguments.access_key, arguments.secret_key};
    if (auto valid = check_credentials(*options.demo_credentials); !valid) {
      fmt::print(stderr, "archipel: {}\n", valid.error().message);
      return 2;
    }
  }
  // Before anything is made: a mistyped address or a port that is taken leaves no trace.
  if (!arguments.listen.empty()) {
    auto free = io::run_blocking([&] { return try_listen(arguments.listen); });
    if (!free) return failed(free.error()) + (free.error().code == Code::invalid ? 1 : 0);
  }
  auto config = prepare_demo(arguments.dir, system_random());
  if (!config) return failed(config.error());
  options.config = std::move(*config);
  if (!arguments.listen.empty()) options.config.listen = arguments.listen;
  return run(std::move(options), arguments.dir);
}

int init(const std::string& file) {
  const char* passphrase = std::getenv("ARCHIPEL_PASSPHRASE");
  auto result = init_realm(file, passphrase == nullptr ? "" : passphrase, system_random());
  if (!result) return failed(result.error());
  fmt::print("Written:\n");
  for (const std::string& path : result->written) fmt::print("  {}\n", path);
  fmt::print(
      "Next: edit the islands in {0}, copy the keyring and its passphrase to a safe place, then run\n"
      "  archipel serve --config {0}\n",
      file);
  return 0;
}

int serve(const std::string& file) {
  auto config = load_config(file);
  if (!config) return failed(config.error());
  GatewayOptions options;
  options.config = std::move(*config);
  return run(std::move(options), "");
}

int scrub(const std::string& file, bool repair, bool json) {
  auto config = load_config(file);
  if (!config) return failed(config.error());
  return scrub_command(*config, repair, json);
}

int island_list(const std::string& file, bool json) {
  auto config = load_config(file);
  if (!config) return failed(config.error());
  auto passphrase = read_passphrase(*config);
  if (!passphrase) return failed(passphrase.error());
  auto keys = crypto::Keyring::load(config->keyring_path, *passphrase);
  if (!keys) return failed(keys.error());
  auto states = io::run_blocking([&] { return inspect_islands(*config, **keys); });
  bool all_ok = true;
  if (!json)
    fmt::print("{:<22} {:<12} {:<6} {:<9} {:<7} {}\n", "ISLAND", "STATE", "PLACE", "OPERATOR", "PARENT",
               "PROVIDER");
  for (const IslandState& s : states) {
    all_ok = all_ok && s.state == "ok";
    auto or_dash = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
    if (json) {
      JsonObject line;
      line.text("id", s.facts.id)
          .text("state", s.state)
          .text("reason", s.reason)
          .text("incarnation", s.incarnation);
      line.text("provider", s.facts.provider)
          .text("place", s.facts.place)
          .text("operator", s.facts.operator_);
      line.text("parent", s.facts.parent).text("path", s.facts.path);
      print_line(line.str());
    } else {
      fmt::print("{:<22} {:<12} {:<6} {:<9} {:<7} {}\n", s.facts.id, s.state, or_dash(s.facts.place),
                 or_dash(s.facts.operator_), or_dash(s.facts.parent), or_dash(s.facts.provider));
      if (!s.reason.empty()) fmt::print("  {}\n", s.reason);
    }
  }
  return all_ok ? 0 : 1;
}

// One sentence, and where to read on.
int misused(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = &app;
  std::string path = "archipel";
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().front();
    path += " " + command->get_name();
  }
  std::string what = error.what();
  std::vector<std::string> unknown = command->remaining();
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError) && !unknown.empty())
    what = fmt::format("there is no command '{} {}'", path, unknown.front());
  else if (!what.empty())
    what.front() = static_cast<char>(tolower(static_cast<unsigned char>(what.front())));
  fmt::print(stderr, "archipel: {}; see {} --help\n", what, path);
  return 2;
}

}  // namespace

int main_entry(int argc, char** argv) {
  CLI::App app{"Archipel: a cloud you run yourself, spread over clouds you need not trust."};
  app.require_subcommand(1);
  app.footer("Example: archipel demo --dir /tmp/cloud --listen 127.0.0.1:9000");
  auto footer = [](CLI::App* command, const std::string& text) {
    command->footer("Example: " + text);
    return command;
  };

  auto not_empty = [](const std::string& value) {
    return value.empty() ? std::string("must not be empty") : std::string();
  };
  DemoArguments demo_arguments;
  auto* demo_command =
      footer(app.add_subcommand(
                 "demo", "run a whole cloud on this machine: a gateway and six directories as islands"),
             "archipel demo --dir /tmp/cloud --listen 127.0.0.1:9000");
  demo_command
      ->add_option("--dir", demo_arguments.dir, "where everything is kept; made on first use, reused later")
      ->capture_default_str()
      ->check(not_empty);
  demo_command->add_option("--listen", demo_arguments.listen,
                           "ADDR:PORT of the S3 door; port 0 picks a free one (127.0.0.1:9000)");
  demo_command->add_option("--access-key", demo_arguments.access_key,
                           "choose the demo account's access key (with --secret-key)");
  demo_command->add_option("--secret-key", demo_arguments.secret_key,
                           "choose its secret key; for demos only: other users can see arguments");

  std::string file;
  auto* init_command = footer(
      app.add_subcommand("init", "write a commented archipel.toml, a keyring and the owner's credentials"),
      "archipel init --config /etc/archipel/archipel.toml");
  init_command->add_option("--config", file, "the file to write; the others go beside it")
      ->required()
      ->check(not_empty);

  auto* serve_command = footer(app.add_subcommand("serve", "run a gateway"),
                               "archipel serve --config /etc/archipel/archipel.toml");
  serve_command->add_option("--config", file, "the gateway's archipel.toml")->required()->check(not_empty);

  auto* island_command =
      footer(app.add_subcommand("island", "look at islands"), "archipel island list --dir archipel-demo");
  island_command->require_subcommand(1);
  bool json = false;
  std::string dir;
  auto* list_command = footer(
      island_command->add_subcommand("list", "each island, its reach, and whether its marker is in order"),
      "archipel island list --dir archipel-demo --json");
  auto* config_option = list_command->add_option("--config", file, "the gateway's archipel.toml");
  list_command->add_option("--dir", dir, "a demo's directory, instead of --config")->excludes(config_option);
  list_command->add_flag("--json", json, "one JSON object per line");

  auto* scrub_command_line =
      footer(app.add_subcommand(
                 "scrub", "read and verify everything on every island, and rebuild what is wrong or missing"),
             "archipel scrub --dir archipel-demo");
  bool repair = true;
  auto* scrub_config = scrub_command_line->add_option("--config", file, "the gateway's archipel.toml");
  scrub_command_line->add_option("--dir", dir, "a demo's directory, instead of --config")
      ->excludes(scrub_config);
  scrub_command_line->add_flag("--repair,!--no-repair", repair,
                               "rebuild what is wrong or missing (default), or only tell");
  scrub_command_line->add_flag("--json", json, "one JSON object per line");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? app.exit(error) : misused(app, error);
  }
  if (demo_command->parsed()) return demo(demo_arguments);
  if (init_command->parsed()) return init(file);
  if (serve_command->parsed()) return serve(file);
  if (!dir.empty()) file = dir + "/archipel.toml";
  if (file.empty()) {
    fmt::print(stderr, "archipel: {} needs --config FILE or --dir DIR\n",
               scrub_command_line->parsed() ? "scrub" : "island list");
    return 2;
  }
  if (scrub_command_line->parsed()) return scrub(file, repair, json);
  return island_list(file, json);
}

}  // namespace archipel::app

int main(int argc, char** argv) {
  return archipel::app::main_entry(argc, argv);
}
