#include "app/edge_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/config.h"
#include "app/edge_check.h"
#include "app/edge_process.h"
#include "app/json.h"
#include "app/private_file.h"
#include "app/process.h"
#include "base/clock.h"
#include "base/json.h"
#include "edge/config.h"
#include "edge/signed_url.h"
#include "edge/units.h"
#include "http/client.h"
#include "io/loop.h"
#include "io/stream.h"

namespace archipel::app {
namespace {

void print_ready(const EdgeReady& ready) {
  JsonObject line;
  line.text("event", "ready");
  if (!ready.address.empty()) line.text("edge", "http://" + ready.address);
  if (!ready.tls_address.empty()) line.text("edge_tls", "https://" + ready.tls_address);
  if (!ready.admin_address.empty()) line.text("admin", "http://" + ready.admin_address);
  print_line(line.number("pid", getpid()).str());
}

int check(const edge::Config& config) {
  if (auto checked = check_edge(config); !checked) return failed(checked.error());
  fmt::print("{}: good. {} site{}:\n", config.file, config.sites.size(), config.sites.size() == 1 ? "" : "s");
  for (const edge::SitePolicy& site : config.sites) {
    fmt::print("  {:<24} {} -> ", site.name, fmt::join(site.hosts, " "));
    for (const edge::OriginAddress& origin : site.origin.origins) fmt::print("{} ", origin.url);
    fmt::print("\n");
  }
  return 0;
}

// --- asking an edge that runs ---------------------------------------------------------------------------------------------

constexpr Duration kAskTimeout = std::chrono::seconds(30);
constexpr size_t kAnswerBytesMax = 16u << 20;

Result<std::string> read_token(const edge::Config& config) {
  if (config.admin_token_file.empty())
    return fail(Code::invalid,
                config.file +
                    ": without a token_file in [admin] an edge takes no orders; make one with: "
                    "openssl rand -hex 32 > token; chmod 600 token");
  ASSIGN_OR_RETURN(std::string token, read_small_file(config.admin_token_file, 4096, true));
  token.erase(token.find_last_not_of(" \t\r\n") + 1);
  return token;
}

struct Answer {
  int status = 0;
  std::string body;
};
io::Task<Result<Answer>> ask(std::string address, std::string token, std::string method, std::string path,
                             std::string body) {
  io::Loop& loop = *io::Loop::current();
  const Deadline deadline = loop.now() + kAskTimeout;
  auto stream = co_await io::tcp_network().connect(loop, address, deadline);
  if (!stream) co_return fail(stream.error());
  auto client = http::make_client(loop, std::move(*stream), http::Limits{});
  http::Headers headers;
  headers.add("host", address);
  headers.add("authorization", "Bearer " + token);
  http::ClientRequest request;
  request.method = method;
  request.target = path;
  request.headers = &headers;
  request.body_length = body.size();
  auto sent = co_await client->send(request, deadline);
  if (!sent) co_return fail(sent.error());
  if (!body.empty()) {
    auto written = co_await client->write(as_bytes(body), deadline);
    if (!written) co_return fail(written.error());
    auto finished = co_await client->finish(deadline);
    if (!finished) co_return fail(finished.error());
  }
  auto head = co_await client->receive_head(deadline);
  if (!head) co_return fail(head.error());
  Answer answer{head->status, {}};
  Buffer buffer(16u << 10);
  while (answer.body.size() < kAnswerBytesMax) {
    auto got = co_await client->read_body(buffer.span(), deadline);
    if (!got) co_return fail(got.error());
    if (*got == 0) break;
    answer.body += as_text(buffer.view().first(*got));
  }
  co_return answer;
}

// Whom orders go to: the edge whose file it is, or the one inside the gateway whose file it is.
Result<edge::Config> read_config_for_orders(const std::string& file) {
  auto own = edge::load_config(file);
  if (own) return own;
  auto gateway = load_config(file);
  if (!gateway) return own;
  if (!gateway->edge)
    return fail(Code::invalid, file + " is a gateway's, and has no edge inside: it has no [edge.listen]");
  return std::move(*gateway->edge);
}

// A tag may be of one site alone.
int kinds_of_purge(const EdgeCommand& command) {
  return int{!command.url.empty()} + int{!command.prefix.empty()} +
         int{!command.tag.empty() || !command.site.empty()};
}

int give_order(const EdgeCommand& command, const edge::Config& config) {
  if (command.order == "purge" && kinds_of_purge(command) != 1) {
    fmt::print(
        stderr,
        "archipel: say one thing to purge: --url, --prefix, --tag (with --site: of that site alone) or "
        "--site; see archipel edge purge --help\n");
    return 2;
  }
  if (config.admin_listen.empty())
    return failed({Code::invalid,
                   config.file +
                       " has no [admin] listen, so nobody can be asked; set it to an address such as "
                       "\"127.0.0.1:9002\", and restart the edge",
                   {}});
  auto token = read_token(config);
  if (!token) return failed(token.error());
  std::string body;
  if (command.order == "purge") {
    JsonWriter order;
    order.begin_object();
    for (auto [key, value] : {std::pair{"url", &command.url},
                              {"prefix", &command.prefix},
                              {"tag", &command.tag},
                              {"site", &command.site}})
      if (!value->empty()) order.key(key).text(*value);
    body = order.key("soft").boolean(command.soft).end_object().str();
  }
  std::string address = config.admin_listen;
  if (address.starts_with("0.0.0.0:")) address.replace(0, 7, "127.0.0.1");
  const std::string method = command.order == "sites" ? "GET" : "POST", path = "/" + command.order;
  auto answer = io::run_blocking([&] { return ask(address, *token, method, path, body); });
  if (!answer) {
    const bool absent = answer.error().code == Code::unavailable;
    return failed(
        {answer.error().code,
         answer.error().message + (absent ? ": does the edge run with " + config.file + "?" : std::string()),
         {}});
  }
  while (answer->body.ends_with('\n')) answer->body.pop_back();
  if (answer->status >= 300) return failed({Code::io, answer->body, {}});
  print_line(answer->body);
  return 0;
}

// A link that works for a while.
int sign(const EdgeCommand& command) {
  auto key = read_small_file(command.key_file, 4096, true);
  if (!key) return failed(key.error());
  key->erase(key->find_last_not_of(" \t\r\n") + 1);
  auto valid = edge::parse_duration(command.valid);
  const size_t scheme = command.url.find("://");
  const size_t path = scheme == std::string::npos ? scheme : command.url.find('/', scheme + 3);
  if (!valid || path == std::string::npos) {
    fmt::print(
        stderr,
        "archipel: give a URL with its path, and a time such as --valid 1h; see archipel edge sign --help\n");
    return 2;
  }
  const int64_t expires =
      system_clock().unix_ms() / 1000 + std::chrono::duration_cast<std::chrono::seconds>(*valid).count();
  auto target = edge::sign_target(command.url.substr(scheme + 3, path - scheme - 3), command.url.substr(path),
                                  command.scope, expires, *key,
                                  command.path_form ? edge::SignedForm::path : edge::SignedForm::query);
  if (!target)
    return failed(
        {Code::invalid,
         "the scope must be a directory that the path is in, such as /private/ (and not / in the path form)",
         {}});
  print_line(command.url.substr(0, path) + *target);
  return 0;
}

void add_orders(CLI::App* edge, EdgeCommand& command) {
  auto order = [&](const std::string& name, const std::string& what, const std::string& example) {
    auto* one = edge->add_subcommand(name, what);
    one->footer("Example: " + example);
    one->callback([&command, name] { command.order = name; });
    return one;
  };
  auto config = [&](CLI::App* one) {
    one->add_option("--config", command.config,
                    "the TOML file of the edge that runs, or of the gateway that it runs in")
        ->required();
  };
  auto* purge = order("purge", "make stored responses not be used any more, at once",
                      "archipel edge purge --config edge.toml --url https://www.example.org/a.css");
  config(purge);
  purge->add_option("--url", command.url, "one page, all variants of it");
  purge->add_option("--prefix", command.prefix, "all URLs that begin so");
  purge->add_option("--tag", command.tag,
                    "what the origin tagged so (Cache-Tag, Surrogate-Key); with --site of that site alone");
  purge->add_option("--site", command.site, "everything of a site");
  purge->add_flag("--soft", command.soft,
                  "validate before the next use, and serve stale while the origin fails");
  config(order("sites", "each site with its requests, hit ratio and bytes saved, as JSON",
               "archipel edge sites --config edge.toml"));
  config(order("drain", "end it as SIGTERM does", "archipel edge drain --config edge.toml"));
  auto* sign = order("sign", "print a signed URL for [site.signed]",
                     "archipel edge sign https://www.example.org/private/a.mp4 --key-file key --valid 2h");
  sign->add_option("URL", command.url, "what it opens")->required();
  sign->add_option("--key-file", command.key_file, "one of the site's key_files")->required();
  sign->add_option("--valid", command.valid, "for how long")->capture_default_str();
  sign->add_option("--scope", command.scope, "a directory that it opens instead, such as /private/");
  sign->add_flag("--path-form", command.path_form, "the signature in the path: relative links work, too");
}

}  // namespace

void add_edge_command(CLI::App& app, EdgeCommand& command) {
  auto* edge = app.add_subcommand("edge", "run a CDN node: a cache and balancer in front of websites");
  edge->footer("Example: archipel edge --config /etc/archipel/edge.toml");
  edge->add_option("--config", command.config, "the edge's TOML file")->check([](const std::string& value) {
    return value.empty() ? std::string("must not be empty") : std::string();
  });
  edge->add_flag("--check", command.check,
                 "read the file and all that it names, say whether they are good, and end");
  edge->callback([&command] { command.given = true; });
  edge->add_flag("--take-over", command.take_over,
                 "take the listening sockets over from the edge that runs with this file; it then drains");
  edge->require_subcommand(0, 1);
  add_orders(edge, command);
}

int run_edge_command(const EdgeCommand& command) {
  if (command.order == "sign") return sign(command);
  if (command.config.empty()) {
    fmt::print(stderr, "archipel: --config is required; see archipel edge --help\n");
    return 2;
  }
  if (!command.order.empty()) {
    auto running = read_config_for_orders(command.config);
    return running ? give_order(command, *running) : failed(running.error());
  }
  auto config = edge::load_config(command.config);
  if (!config) return failed(config.error());
  if (command.check) return check(*config);
  auto outcome = run_edge(std::move(*config), command.take_over, print_ready);
  return outcome ? 0 : failed(outcome.error());
}

}  // namespace archipel::app
