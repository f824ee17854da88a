#include "http/tallies.h"

#include <memory>
#include <string>
#include <vector>

namespace archipel::http {
namespace {

metrics::Counter requests{"archipel_http_requests_total", "Requests whose head was accepted"};
metrics::Counter received{"archipel_http_received_bytes_total", "Bytes read from clients"};
metrics::Counter sent{"archipel_http_sent_bytes_total", "Bytes written to clients"};

}  // namespace

metrics::Counter& requests_total() {
  return requests;
}
metrics::Counter& received_total() {
  return received;
}
metrics::Counter& sent_total() {
  return sent;
}

metrics::Counter& refused_total(Refusal refusal) {
  // Never destroyed: a connection may end after the statics of this file.
  static auto* counters = [] {
    auto* all = new std::vector<std::unique_ptr<metrics::Counter>>;
    for (int i = 0; i < kRefusals; ++i)
      all->push_back(std::make_unique<metrics::Counter>(
          "archipel_http_refused_total", "Requests refused by the HTTP codec, by reason",
          metrics::Labels{{"reason", std::string(info(static_cast<Refusal>(i)).name)}}));
    return all;
  }();
  return *(*counters)[static_cast<size_t>(refusal)];
}

}  // namespace archipel::http
