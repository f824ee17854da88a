#include "app/edge_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/edge_process.h"
#include "app/json.h"
#include "edge/config.h"

namespace archipel::app {
namespace {

int failed(const Error& error) {
  fmt::print(stderr, "archipel: {}\n", error.message);
  return 1;
}

void print_line(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

void print_ready(const EdgeReady& ready) {
  JsonObject line;
  line.text("event", "ready");
  if (!ready.address.empty()) line.text("edge", "http://" + ready.address);
  if (!ready.tls_address.empty()) line.text("edge_tls", "https://" + ready.tls_address);
  if (!ready.admin_address.empty()) line.text("admin", "http://" + ready.admin_address);
  print_line(line.number("pid", getpid()).str());
}

int check(const edge::Config& config) {
  fmt::print("{}: good. {} site{}:\n", config.file, config.sites.size(), config.sites.size() == 1 ? "" : "s");
  for (const edge::SitePolicy& site : config.sites) {
    fmt::print("  {:<24} {} -> ", site.name, fmt::join(site.hosts, " "));
    for (const edge::OriginAddress& origin : site.origin.origins) fmt::print("{} ", origin.url);
    fmt::print("\n");
  }
  return 0;
}

}  // namespace

void add_edge_command(CLI::App& app, EdgeCommand& command) {
  auto* edge = app.add_subcommand("edge", "run a CDN node: a cache and balancer in front of websites");
  edge->footer("Example: archipel edge --config /etc/archipel/edge.toml");
  edge->add_option("--config", command.config, "the edge's TOML file")->check([](const std::string& value) {
    return value.empty() ? std::string("must not be empty") : std::string();
  });
  edge->add_flag("--check", command.check, "read the file, say whether it is good, and end");
  edge->callback([&command] { command.given = true; });
}

int run_edge_command(const EdgeCommand& command) {
  if (command.config.empty()) {
    fmt::print(stderr, "archipel: --config is required; see archipel edge --help\n");
    return 2;
  }
  auto config = edge::load_config(command.config);
  if (!config) return failed(config.error());
  if (command.check) return check(*config);
  auto outcome = run_edge(std::move(*config), command.take_over, print_ready);
  return outcome ? 0 : failed(outcome.error());
}

}  // namespace archipel::app
