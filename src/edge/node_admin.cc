// What operators ask of a node: /metrics, /healthz, /readyz for anybody who can reach the port; /sites, /drain with the token (/purge: node_purge.cc).
#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "crypto/hash.h"
#include "edge/balance_metrics.h"
#include "edge/node.h"

namespace archipel::edge {
namespace {

void histogram(std::string& out, const std::string& labels, const OriginStats& stats) {
  int64_t total = 0;
  for (int i = 0; i < OriginStats::kBuckets; ++i) {
    total += stats.latency[i].load(std::memory_order_relaxed);
    out += fmt::format("archipel_edge_origin_seconds_bucket{{{},le=\"{}\"}} {}\n", labels,
                       static_cast<double>(OriginStats::kBucketEndsUs[i]) / 1e6, total);
  }
  total += stats.latency[OriginStats::kBuckets].load(std::memory_order_relaxed);
  out += fmt::format("archipel_edge_origin_seconds_bucket{{{},le=\"+Inf\"}} {}\n", labels, total);
  out += fmt::format("archipel_edge_origin_seconds_sum{{{}}} {}\n", labels,
                     static_cast<double>(stats.latency_sum_us.load(std::memory_order_relaxed)) / 1e6);
  out += fmt::format("archipel_edge_origin_seconds_count{{{}}} {}\n", labels, total);
}

uint64_t sum_of(const SiteStats& stats, std::initializer_list<Served::How> hows) {
  uint64_t sum = 0;
  for (Served::How how : hows)
    sum += stats.requests[static_cast<size_t>(how)].load(std::memory_order_relaxed);
  return sum;
}

// Of the requests that the cache could have answered.
double hit_ratio(const SiteStats& stats) {
  using How = Served::How;
  uint64_t hits = sum_of(stats, {How::hit, How::stale, How::validated, How::joined}),
           misses = sum_of(stats, {How::miss});
  return hits + misses == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(hits + misses);
}

void family(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

http::Page json_page(int status, std::string body) {
  http::Page page;
  page.response.status = status;
  page.response.headers.add("content-type", "application/json");
  page.body = std::move(body) + "\n";
  return page;
}

http::Page text_page(int status, std::string body) {
  http::Page page;
  page.response.status = status;
  page.response.headers.add("content-type", "text/plain; charset=utf-8");
  page.body = std::move(body) + "\n";
  return page;
}

}  // namespace

bool Node::is_authorised(const http::Request& request) const {
  std::string_view given = request.headers.get("authorization");
  if (token_.empty() || !given.starts_with("Bearer ")) return false;
  given.remove_prefix(7);
  // Equal lengths for the comparison, whatever was sent.
  crypto::Digest32 a = crypto::sha256(as_bytes(given)), b = crypto::sha256(as_bytes(token_));
  return crypto::constant_time_equal(a, b);
}

std::string Node::sites_json() const {
  JsonWriter out;
  out.begin_object().key("sites").begin_array();
  for (const auto& site : newest_->sites.all()) {
    const SiteStats& stats = *site->stats();
    out.begin_object().key("name").text(site->name()).key("hosts").texts(site->policy().hosts);
    out.key("origins").begin_array();
    for (const OriginAddress& origin : site->policy().origin.origins) out.text(origin.url);
    out.end_array().key("requests").begin_object();
    for (size_t i = 0; i < SiteStats::kHows; ++i)
      out.key(SiteStats::kNames[i]).number(stats.requests[i].load(std::memory_order_relaxed));
    out.end_object().key("hit_ratio").number(hit_ratio(stats));
    out.key("client_bytes").number(stats.client_bytes.load(std::memory_order_relaxed));
    out.key("saved_bytes").number(stats.saved_bytes.load(std::memory_order_relaxed)).end_object();
  }
  out.end_array().end_object();
  return out.str();
}

std::string Node::metrics_text() const {
  std::string requests, ratios, bytes, origins, latencies;
  family(requests, "archipel_edge_requests_total", "counter",
         "Requests by site and by how they were answered");
  family(ratios, "archipel_edge_hit_ratio", "gauge",
         "Answered from the cache, of those that it could have answered, since the start");
  family(bytes, "archipel_edge_bytes_total", "counter",
         "Bytes of bodies: sent to clients, read from origins, and saved by the cache");
  family(origins, "archipel_edge_origin_events_total", "counter", "What happened at each origin");
  family(latencies, "archipel_edge_origin_seconds", "histogram",
         "From a request's first byte to the whole head of the origin's response");
  std::string active;
  BalanceText balance;
  family(active, "archipel_edge_origin_connections", "gauge", "Connections to each origin, by state");
  std::string readers;
  const ServeStats serving = edge::stats(*shared_);
  family(readers, "archipel_edge_reader_bytes", "gauge",
         "Bytes of bodies held for those who read them, beside what the tiers hold");
  readers += fmt::format("archipel_edge_reader_bytes {}\n", serving.reader_bytes);
  family(readers, "archipel_edge_readers_ended_total", "counter",
         "Fetches and writes of slow readers that were ended because others needed their memory");
  readers += fmt::format("archipel_edge_readers_ended_total {}\n", serving.readers_ended);
  for (const auto& site : newest_->sites.all()) {
    const SiteStats& stats = *site->stats();
    for (size_t i = 0; i < SiteStats::kHows; ++i)
      requests += fmt::format("archipel_edge_requests_total{{site=\"{}\",cache=\"{}\"}} {}\n", site->name(),
                              SiteStats::kNames[i], stats.requests[i].load(std::memory_order_relaxed));
    ratios += fmt::format("archipel_edge_hit_ratio{{site=\"{}\"}} {:.4f}\n", site->name(), hit_ratio(stats));
    for (auto [kind, value] : {std::pair{"client", &stats.client_bytes},
                               {"origin", &stats.origin_bytes},
                               {"saved", &stats.saved_bytes}})
      bytes += fmt::format("archipel_edge_bytes_total{{site=\"{}\",kind=\"{}\"}} {}\n", site->name(), kind,
                           value->load(std::memory_order_relaxed));
    const auto* pool = dynamic_cast<const Balancer*>(site->shared_upstream().get());
    if (pool == nullptr) continue;
    for (size_t i = 0; i < pool->policy().origins.size(); ++i) {
      const OriginStats& s = pool->stats(i);
      std::string labels =
          fmt::format("site=\"{}\",origin=\"{}\"", site->name(), pool->policy().origins[i].url);
      for (auto [event, value] : {std::pair{"request", &s.requests},
                                  {"failure", &s.failures},
                                  {"connect", &s.connects},
                                  {"connect_failure", &s.connect_failures},
                                  {"reuse", &s.reused}})
        origins += fmt::format("archipel_edge_origin_events_total{{{},event=\"{}\"}} {}\n", labels, event,
                               value->load(std::memory_order_relaxed));
      active += fmt::format("archipel_edge_origin_connections{{{},state=\"active\"}} {}\n", labels,
                            s.active.load(std::memory_order_relaxed));
      active += fmt::format("archipel_edge_origin_connections{{{},state=\"idle\"}} {}\n", labels,
                            s.idle.load(std::memory_order_relaxed));
      histogram(latencies, labels, s);
    }
    balance.add(site->name(), *pool);
  }
  if (newest_->peers != nullptr) {
    const Peers& peers = *newest_->peers;
    if (peers.ring() != nullptr) balance.add("(peers)", *peers.ring());
    if (peers.shield() != nullptr) balance.add("(shield)", *peers.shield());
    balance.add(peers.stats());
  }
  std::string log;
  family(log, "archipel_edge_access_log_lines_total", "counter",
         "Lines of the access log, written and dropped");
  log +=
      fmt::format("archipel_edge_access_log_lines_total{{state=\"written\"}} {}\n", access_log_->written());
  log +=
      fmt::format("archipel_edge_access_log_lines_total{{state=\"dropped\"}} {}\n", access_log_->dropped());
  const std::string process = parts_.process_metrics ? parts_.process_metrics() : "";
  return process + metrics::expose() + requests + ratios + bytes + origins + active + latencies +
         balance.text() + edge::metrics_text(parts_.cache.stats()) + relay_.metrics_text() + readers + log;
}

io::Task<void> Node::handle_admin(Node* node, http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  const std::string_view path = request.path();
  const bool get = request.method == "GET" || request.method == "HEAD", post = request.method == "POST";
  const bool open_path = path == "/metrics" || path == "/healthz" || path == "/readyz";
  const bool order = path == "/purge" || path == "/drain";
  http::Page page;
  if (!open_path && !order && path != "/sites") {
    page = text_page(404, "here are /metrics, /healthz, /readyz, /sites, /purge and /drain");
  } else if (order ? !post : !get) {
    page = text_page(405, order ? "send POST" : "send GET");
    page.response.headers.add("allow", order ? "POST" : "GET, HEAD");
  } else if (path == "/metrics") {
    page = text_page(200, node->metrics_text());
    page.body.pop_back();
    page.response.headers.set("content-type", "text/plain; version=0.0.4; charset=utf-8");
  } else if (path == "/healthz") {
    page = text_page(200, "ok");
  } else if (path == "/readyz") {
    page = node->ready_ ? text_page(200, "ready") : text_page(503, "draining");
  } else if (!node->is_authorised(request)) {
    page = text_page(401, node->token_.empty()
                              ? "there is no token: set token_file in [admin]"
                              : "send Authorization: Bearer TOKEN, with the content of token_file");
    page.response.headers.add("www-authenticate", "Bearer realm=\"archipel edge\"");
  } else if (path == "/sites") {
    page = json_page(200, node->sites_json());
  } else if (path == "/drain") {
    page = json_page(202, "{\"event\":\"draining\"}");
    node->parts_.drain();
  } else {
    auto done = co_await purge(node, exchange);
    page = done ? json_page(200, std::move(*done))
                : text_page(done.error().code == Code::not_found ? 404 : 400, done.error().message);
  }
  [[maybe_unused]] auto sent = co_await exchange.respond(std::move(page.response), std::move(page.body));
}

}  // namespace archipel::edge
