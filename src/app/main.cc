// archipel: the command line. Parses arguments, calls the rooms of src/app, prints; exit code 0 ok, 1 failed, 2 usage.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "app/admin.h"
#include "app/config.h"
#include "app/edge_command.h"
#include "app/exposure_command.h"
#include "app/gateway.h"
#include "app/identity_commands.h"
#include "app/islands.h"
#include "app/json.h"
#include "app/mending.h"
#include "app/process.h"
#include "app/recover.h"
#include "app/setup.h"
#include "base/random.h"
#include "crypto/keyring.h"
#include "http/uri.h"
#include "io/loop.h"
#include "io/stream.h"

namespace archipel::app {
namespace {

std::string ready_line(const Ready& ready, bool with_keys) {
  JsonObject line;
  line.text("event", "ready").text("s3", "http://" + ready.address);
  if (!ready.tls_address.empty()) line.text("s3_tls", "https://" + ready.tls_address);
  if (!ready.website_address.empty()) line.text("website", "http://" + ready.website_address);
  if (!ready.website_tls_address.empty()) line.text("website_tls", "https://" + ready.website_tls_address);
  if (!ready.edge_address.empty()) line.text("edge", "http://" + ready.edge_address);
  if (!ready.edge_tls_address.empty()) line.text("edge_tls", "https://" + ready.edge_tls_address);
  if (!ready.edge_admin_address.empty()) line.text("edge_admin", "http://" + ready.edge_admin_address);
  line.text("region", ready.region);
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

// What an operator says that the islands do not tell; serve and recover take it.
struct OperatorArguments {
  std::string at_least, adopt, void_from;
  std::vector<std::string> gone;
  bool old_gateway_is_dead = false;
};

Result<index::Attested> attested(const OperatorArguments& said) {
  index::Attested out;
  if (!said.at_least.empty()) {
    ASSIGN_OR_RETURN(out.at_least, parse_at_least(said.at_least));
  }
  if (!said.adopt.empty()) {
    ASSIGN_OR_RETURN(out.adopt, parse_position(said.adopt));
    if (out.adopt->seq == 0) return fail(Code::invalid, "an epoch cannot be adopted: only a commit can");
  }
  if (!said.void_from.empty()) {
    ASSIGN_OR_RETURN(out.void_from, parse_position(said.void_from));
  }
  return out;
}

int misused_value(const Error& error) {
  fmt::print(stderr, "archipel: {}\n", error.message);
  return 2;
}

int serve(const std::string& file, const OperatorArguments& said) {
  auto known = attested(said);
  if (!known) return misused_value(known.error());
  auto config = load_config(file);
  if (!config) return failed(config.error());
  GatewayOptions options;
  options.config = std::move(*config);
  options.attested = std::move(*known);
  options.old_gateway_is_dead = said.old_gateway_is_dead;
  return run(std::move(options), "");
}

int scrub(const std::string& file, bool repair, bool json) {
  auto config = load_config(file);
  if (!config) return failed(config.error());
  return scrub_command(*config, repair, json);
}

int recover(const std::string& file, const OperatorArguments& said, std::vector<std::string> rejoin,
            bool json) {
  auto known = attested(said);
  if (!known) return misused_value(known.error());
  RecoverOptions options;
  for (const std::string& text : said.gone) {
    auto gone = parse_gone(text);
    if (!gone) return misused_value(gone.error());
    options.gone.push_back(std::move(*gone));
  }
  auto config = load_config(file);
  if (!config) return failed(config.error());
  options.config = std::move(*config);
  options.attested = std::move(*known);
  options.old_gateway_is_dead = said.old_gateway_is_dead;
  options.rejoin = std::move(rejoin);
  options.json = json;
  auto open = recover_journal(std::move(options), print_line);
  if (!open) return failed(open.error());
  return *open ? 0 : 1;
}

struct Opened {
  Config config;
  std::unique_ptr<crypto::Keyring> keys;
};
Result<Opened> open_config(const std::string& file) {
  Opened out;
  ASSIGN_OR_RETURN(out.config, load_config(file));
  ASSIGN_OR_RETURN(std::string passphrase, read_passphrase(out.config));
  ASSIGN_OR_RETURN(out.keys, crypto::Keyring::load(out.config.keyring_path, passphrase));
  return out;
}

Result<void> known_island(const Config& config, const std::string& id) {
  std::string all;
  for (const IslandConfig& island : config.islands) {
    if (island.id == id) return {};
    all += (all.empty() ? "" : ", ") + island.id;
  }
  return fail(Code::invalid, "there is no island '" + id + "' in " + config.file + "; there are " + all);
}

int island_list(const std::string& file, bool json) {
  auto opened = open_config(file);
  if (!opened) return failed(opened.error());
  auto states = io::run_blocking([&] { return inspect_islands(opened->config, *opened->keys); });
  // What a gateway that runs on this directory has seen of them; without one there is nothing to say.
  std::vector<std::string> seen;
  [[maybe_unused]] auto asked = ask_gateway(opened->config.dir, "GET", "/islands",
                                            [&](std::string_view line) { seen.emplace_back(line); });
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
      if (s.free_bytes) line.number("free_bytes", static_cast<int64_t>(*s.free_bytes));
      print_line(line.str());
    } else {
      fmt::print("{:<22} {:<12} {:<6} {:<9} {:<7} {}\n", s.facts.id, s.state, or_dash(s.facts.place),
                 or_dash(s.facts.operator_), or_dash(s.facts.parent), or_dash(s.facts.provider));
      if (!s.reason.empty()) fmt::print("  {}\n", s.reason);
    }
  }
  if (!json && !seen.empty()) fmt::print("\nThe running gateway says:\n");
  for (const std::string& line : seen) print_line(line);
  return all_ok ? 0 : 1;
}

int island_check(const std::string& file, const std::string& id, bool json) {
  auto opened = open_config(file);
  if (!opened) return failed(opened.error());
  if (auto known = known_island(opened->config, id); !known) return misused_value(known.error());
  IslandCheck c =
      io::run_blocking([&] { return check_island(opened->config, id, *opened->keys, system_random()); });
  if (json) {
    JsonObject line;
    line.text("id", id).text("state", c.state.state).text("reason", c.state.reason).text("lease", c.lease);
    line.text("epoch_open", c.epoch_open).number("blobs", static_cast<int64_t>(c.blobs));
    line.number("sampled", static_cast<int64_t>(c.sampled))
        .number("sample_failed", static_cast<int64_t>(c.sample_failed));
    line.number("sampled_bytes", static_cast<int64_t>(c.sampled_bytes)).number("median_us", c.median_us);
    line.number("slowest_us", c.slowest_us);
    if (c.state.free_bytes) line.number("free_bytes", static_cast<int64_t>(*c.state.free_bytes));
    print_line(line.str());
    return c.good() ? 0 : 1;
  }
  fmt::print("island      {}\nmarker      {}{}\n", id, c.state.state,
             c.state.reason.empty() ? "" : ": " + c.state.reason);
  if (c.state.state == "ok") {
    fmt::print("lease       {}\n", c.lease);
    if (!c.epoch_open.empty()) fmt::print("its epoch   {}\n", c.epoch_open);
    fmt::print("blobs       {} listed; {} read ({} bytes), {} failed; median {} us, slowest {} us\n", c.blobs,
               c.sampled, c.sampled_bytes, c.sample_failed, c.median_us, c.slowest_us);
  }
  if (c.state.free_bytes) fmt::print("free        {} MiB\n", *c.state.free_bytes >> 20);
  return c.good() ? 0 : 1;
}

// Beside a running gateway through its socket; otherwise offline, under the lock.
int island_rejoin(const std::string& file, const std::string& id, bool json) {
  auto config = load_config(file);
  if (!config) return failed(config.error());
  if (auto known = known_island(*config, id); !known) return misused_value(known.error());
  auto asked = ask_gateway(config->dir, "POST", "/island/rejoin?id=" + http::uri_encode(id),
                           [](std::string_view line) { print_line(std::string(line)); });
  if (asked) return 0;
  if (asked.error().code != Code::not_found) return failed(asked.error());
  return recover(file, {}, {id}, json);
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
  else if (what.size() > 1 && isupper(static_cast<unsigned char>(what[1])) == 0)  // but "URL", "ID"
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
  OperatorArguments said;
  auto operator_options = [&](CLI::App* command) {
    command->add_option(
        "--at-least", said.at_least,
        "SEQ:HASH or EPOCH:SEQ:HASH of a commit that was acknowledged, as recover printed it: proof that the "
        "islands are not set back");
    command->add_flag("--old-gateway-is-dead", said.old_gateway_is_dead,
                      "do not watch for a minute that a gateway on another directory is gone");
  };
  operator_options(serve_command);

  bool json = false;
  std::string dir;
  auto with_place = [&](CLI::App* command) {
    auto* option = command->add_option("--config", file, "the gateway's archipel.toml");
    command->add_option("--dir", dir, "a demo's directory, instead of --config")->excludes(option);
    command->add_flag("--json", json, "one JSON object per line");
  };
  auto* recover_command =
      footer(app.add_subcommand(
                 "recover",
                 "recover the journal from the islands, say what was found, and what would settle the rest"),
             "archipel recover --config /etc/archipel/archipel.toml --gone island-3=island-7");
  with_place(recover_command);
  operator_options(recover_command);
  recover_command->add_option(
      "--gone", said.gone,
      "OLD=NEW: island OLD never comes back, and the configuration has NEW in its place; or OLD alone");
  recover_command->add_option("--adopt", said.adopt, "EPOCH:SEQ of the undecided commit: it happened");
  recover_command->add_option(
      "--void", said.void_from,
      "EPOCH:SEQ of the undecided commit: it did not happen, nor what follows it; EPOCH:0: nor the epoch");

  auto* island_command =
      footer(app.add_subcommand("island", "look at islands"), "archipel island list --dir archipel-demo");
  island_command->require_subcommand(1);
  auto* list_command = footer(
      island_command->add_subcommand("list", "each island, its reach, and whether its marker is in order"),
      "archipel island list --dir archipel-demo --json");
  with_place(list_command);
  std::string island_id;
  auto* check_command =
      footer(island_command->add_subcommand("check",
                                            "read marker, lease and a sample of blobs of one island, and say "
                                            "what is wrong and how long it took"),
             "archipel island check aws-ireland --dir archipel-demo");
  check_command->add_option("ID", island_id, "the island's id in the configuration")->required();
  with_place(check_command);
  auto* rejoin_command = footer(
      island_command->add_subcommand(
          "rejoin",
          "let an island that lost its marker join again, empty; what it held is rebuilt from the others"),
      "archipel island rejoin aws-ireland --dir archipel-demo");
  rejoin_command->add_option("ID", island_id, "the island's id in the configuration")->required();
  with_place(rejoin_command);

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

  IdentityCommand identity;
  add_identity_commands(app, identity);
  ExposureCommand exposure;
  add_exposure_command(app, exposure);
  EdgeCommand edge;
  add_edge_command(app, edge);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? app.exit(error) : misused(app, error);
  }
  if (demo_command->parsed()) return demo(demo_arguments);
  if (init_command->parsed()) return init(file);
  if (serve_command->parsed()) return serve(file, said);
  if (!identity.fields["op"].empty()) return run_identity_command(std::move(identity));
  if (exposure.given) return run_exposure_command(exposure);
  if (edge.given) return run_edge_command(edge);
  if (!dir.empty()) file = dir + "/archipel.toml";
  if (file.empty()) {
    fmt::print(stderr, "archipel: say where: --config FILE, or --dir DIR\n");
    return 2;
  }
  if (scrub_command_line->parsed()) return scrub(file, repair, json);
  if (recover_command->parsed()) return recover(file, said, {}, json);
  if (check_command->parsed()) return island_check(file, island_id, json);
  if (rejoin_command->parsed()) return island_rejoin(file, island_id, json);
  return island_list(file, json);
}

}  // namespace archipel::app

int main(int argc, char** argv) {
  return archipel::app::main_entry(argc, argv);
}
