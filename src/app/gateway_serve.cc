#include "app/gateway_impl.h"

#include <fmt/format.h>
#include <algorithm>

#include "app/process.h"
#include "base/log.h"

namespace archipel::app {

Result<void> Gateway::listen() {
  std::vector<io::Loop*> loops;
  for (Core& core : cores_) loops.push_back(core.loop.get());
  ports_ = std::make_unique<Ports>(std::move(loops));
  http::Limits limits;
  limits.body_rate_min = static_cast<uint32_t>(config().upload_rate_min);
  limits.connections_max = config().connections_max;
  if (!config().tls.empty()) {
    tls_ = io::make_tls_context(system_random(), system_clock());
    tls_files_ = std::make_unique<TlsFiles>(*tls_, *workers_, system_clock());
    RETURN_IF_ERROR(tls_files_->load(config().tls));
  }
  Ports::Service s3 =
      ports_->add([this](http::Exchange& exchange) { return handle(this, exchange); }, limits,
                  [this](int status, std::string_view why) { return door_->page(status, why); });
  ASSIGN_OR_RETURN(ready_.address, ports_->listen(s3, config().listen));
  if (config().tls_listen) {
    ASSIGN_OR_RETURN(ready_.tls_address, ports_->listen(s3, *config().tls_listen, tls_));
  }
  RETURN_IF_ERROR(listen_for_sites(limits));
  RETURN_IF_ERROR(listen_for_edge());
  if (config().admin_listen) {
    Ports::Service admin =
        ports_->add([this](http::Exchange& exchange) { return handle_admin(this, exchange); }, limits,
                    http::plain_page, Ports::Where::home_loop);
    ASSIGN_OR_RETURN(std::string address, ports_->listen(admin, *config().admin_listen));
    log::info("admin.listening", {{"address", address}});
  }
  RETURN_IF_ERROR(commands_->listen(config().dir));
  ports_->serve();
  ready_.region = config().region;
  return {};
}

// Buckets as websites, on ports of their own: browsers there must never meet the S3 door's errors, nor its other methods.
Result<void> Gateway::listen_for_sites(const http::Limits& limits) {
  const Config::Website& wanted = config().website;
  if (!wanted.http && !wanted.https && !config().edge) return {};
  site_ = std::make_unique<door::site::Site>(door::site::Options{.domain = wanted.domain}, *store_, *door_);
  Ports::Service sites = ports_->add([this](http::Exchange& exchange) { return handle_site(this, exchange); },
                                     limits, &door::site::Site::page);
  if (wanted.http) {
    ASSIGN_OR_RETURN(ready_.website_address, ports_->listen(sites, *wanted.http));
  }
  if (wanted.https) {
    ASSIGN_OR_RETURN(ready_.website_tls_address, ports_->listen(sites, *wanted.https, tls_));
  }
  return {};
}

Result<void> Gateway::listen_for_edge() {
  if (!edge_) return {};
  ASSIGN_OR_RETURN(EdgeAddresses addresses, edge_->listen(*ports_, tls_));
  ready_.edge_address = addresses.http;
  ready_.edge_tls_address = addresses.https;
  ready_.edge_admin_address = addresses.admin;
  return {};
}

io::Task<void> Gateway::handle(Gateway* gateway, http::Exchange& exchange) {
  bool admin = !gateway->config().admin_listen &&
               is_admin_on_own_port(exchange.request(), gateway->config().virtual_host_base);
  if (admin) {
    co_await handle_admin(gateway, exchange);
  } else if (!gateway->journal_.committer->may_read()) {
    // Another gateway may have acknowledged what this one does not know of.
    http::Page page = gateway->door_->page(
        503, "this gateway's lease is stale: " + gateway->journal_.committer->closed_because());
    [[maybe_unused]] Result<void> sent =
        co_await exchange.respond(std::move(page.response), std::move(page.body));
  } else {
    gateway->requests_.fetch_add(1, std::memory_order_relaxed);
    co_await gateway->door_->handle(exchange);
    gateway->requests_.fetch_sub(1, std::memory_order_relaxed);
  }
}

io::Task<void> Gateway::handle_site(Gateway* gateway, http::Exchange& exchange) {
  if (!gateway->journal_.committer->may_read()) {
    http::Page page = door::site::Site::page(503, "this gateway's lease is stale");
    [[maybe_unused]] Result<void> sent =
        co_await exchange.respond(std::move(page.response), std::move(page.body));
    co_return;
  }
  gateway->requests_.fetch_add(1, std::memory_order_relaxed);
  co_await gateway->site_->handle(exchange);
  gateway->requests_.fetch_sub(1, std::memory_order_relaxed);
}

io::Task<void> Gateway::handle_admin(Gateway* gateway, http::Exchange& exchange) {
  http::Response response;
  response.headers.add("content-type", "text/plain; charset=utf-8");
  std::string body;
  std::string_view path = exchange.request().path();
  const std::string& method = exchange.request().method;
  if (method != "GET" && method != "HEAD") {
    response.status = 405;
    response.headers.add("allow", "GET, HEAD");
    body = "only GET and HEAD are answered here\n";
  } else if (path == "/metrics") {
    response.headers.set("content-type", "text/plain; version=0.0.4; charset=utf-8");
    body = process_metrics_text() + metrics::expose();
  } else if (path == "/healthz") {
    body = "ok\n";
  } else if (path == "/readyz") {
    bool open = gateway->journal_.committer->open();
    bool ready = gateway->serving_ && open && gateway->journal_.committer->may_read();
    response.status = ready ? 200 : 503;
    if (!gateway->journal_.committer->may_read())
      body = fmt::format("nothing is served, the lease is stale: {}\n",
                         gateway->journal_.committer->closed_because());
    else if (open)
      body = ready ? "ready\n" : "draining\n";
    else
      body =
          fmt::format("reads go on, writes are refused: {}\n", gateway->journal_.committer->closed_because());
  } else {
    response.status = 404;
    body = "only /metrics, /healthz and /readyz are here\n";
  }
  // A client that went away needs no answer.
  [[maybe_unused]] auto sent = co_await exchange.respond(std::move(response), std::move(body));
}

}  // namespace archipel::app
