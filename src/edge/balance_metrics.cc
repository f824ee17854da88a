#include "edge/balance_metrics.h"

#include <fmt/format.h>

namespace archipel::edge {
namespace {

void family(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

}  // namespace

BalanceText::BalanceText() {
  family(state_, "archipel_edge_origin_state", "gauge",
         "1 for the state that each origin is in: usable, ejected, unhealthy");
  family(share_, "archipel_edge_origin_share", "gauge",
         "Part of its full share that an origin gets: below 1 while it starts slowly");
  family(in_flight_, "archipel_edge_origin_requests_in_flight", "gauge", "Requests under way at each origin");
  family(latency_, "archipel_edge_origin_latency_seconds", "gauge",
         "Peak-EWMA of the time to the head of a response");
  family(events_, "archipel_edge_balance_events_total", "counter",
         "Per origin: ejections, checks, failed checks, retries and hedges that came to it; per pool (origin "
         "empty): requests "
         "that got no place, retries and hedges denied for want of budget");
  family(queue_, "archipel_edge_balance_waiting", "gauge", "Requests that wait for a place at any origin");
}

void BalanceText::add(const std::string& pool, const Balancer& balancer) {
  const BalanceReport report = balancer.report();
  auto event = [&](const std::string& labels, std::string_view kind, int64_t value) {
    events_ += fmt::format("archipel_edge_balance_events_total{{{},event=\"{}\"}} {}\n", labels, kind, value);
  };
  for (const OriginReport& o : report.origins) {
    const std::string labels = fmt::format("site=\"{}\",origin=\"{}\"", pool, o.url);
    for (OriginState state : {OriginState::usable, OriginState::ejected, OriginState::unhealthy})
      state_ += fmt::format("archipel_edge_origin_state{{{},state=\"{}\"}} {}\n", labels, to_string(state),
                            int{state == o.state});
    share_ += fmt::format("archipel_edge_origin_share{{{}}} {:.2f}\n", labels, o.share);
    in_flight_ += fmt::format("archipel_edge_origin_requests_in_flight{{{}}} {}\n", labels, o.in_flight);
    latency_ += fmt::format("archipel_edge_origin_latency_seconds{{{}}} {:.6f}\n", labels, o.latency_seconds);
    event(labels, "ejection", o.ejections);
    event(labels, "check", o.checks);
    event(labels, "check_failed", o.checks_failed);
    event(labels, "retry", o.retries);
    event(labels, "hedge", o.hedges);
  }
  const std::string labels = fmt::format("site=\"{}\",origin=\"\"", pool);
  event(labels, "refused", report.refused);
  event(labels, "retry_denied", report.retries_denied);
  event(labels, "hedge_denied", report.hedges_denied);
  queue_ += fmt::format("archipel_edge_balance_waiting{{site=\"{}\"}} {}\n", pool, report.waiting);
}

void BalanceText::add(const PeerStats& stats) {
  family(peers_, "archipel_edge_peer_requests_total", "counter",
         "Misses: asked of the owner, of these hot keys, asked of the shield, asked of the origins, and asks "
         "that failed");
  for (auto [kind, value] : {std::pair{"owner", &stats.asked},
                             {"hot", &stats.hot},
                             {"shield", &stats.shielded},
                             {"origin", &stats.own},
                             {"failed", &stats.failed}})
    peers_ += fmt::format("archipel_edge_peer_requests_total{{kind=\"{}\"}} {}\n", kind,
                          value->load(std::memory_order_relaxed));
}

std::string BalanceText::text() const {
  return state_ + share_ + in_flight_ + latency_ + events_ + queue_ + peers_;
}

}  // namespace archipel::edge
