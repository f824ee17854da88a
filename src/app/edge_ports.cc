#include "app/edge_ports.h"

namespace archipel::app {

Result<EdgeAddresses> listen_for_edge(Ports& ports, edge::Node& node, const edge::Config& config,
                                      std::shared_ptr<io::TlsContext> tls) {
  EdgeAddresses out;
  const Ports::Service sites =
      ports.add([&node](size_t loop) { return node.handler(loop); }, config.limits, edge::Node::page,
                {.h2 = true, .forward_date = true}, [&node](size_t loop) { return node.answerer(loop); });
  if (!config.listen.empty()) {
    ASSIGN_OR_RETURN(out.http, ports.listen(sites, config.listen, nullptr, "http"));
  }
  if (config.tls_listen) {
    ASSIGN_OR_RETURN(out.https, ports.listen(sites, *config.tls_listen, std::move(tls), "https"));
  }
  if (!config.admin_listen.empty()) {
    // As a proxy's, because it is handed over, too: who has just connected is answered, though a successor takes the port over at that moment.
    const Ports::Service admin = ports.add(node.admin_handler(), config.limits, http::plain_page,
                                           Ports::Where::home_loop, {.forward_date = true});
    ASSIGN_OR_RETURN(out.admin, ports.listen(admin, config.admin_listen, nullptr, "admin"));
  }
  return out;
}

std::vector<TlsConfig> tls_tables(const edge::Config& config) {
  std::vector<TlsConfig> out;
  for (const edge::TlsTable& table : config.tls)
    out.push_back({table.hosts, table.cert, table.key, table.where});
  return out;
}

}  // namespace archipel::app
