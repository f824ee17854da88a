// How an edge opens connections to its origins: names by the resolver, TLS with certificates that are checked.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "edge/origins.h"
#include "io/dns.h"
#include "io/stream.h"
#include "io/tls.h"
#include "io/workers.h"

namespace archipel::app {

// Any loop. Each loop has its own TLS sessions. Authorities (ca_file, or the system's) are read once, on a worker: forget() reads them again.
class OriginConnector final : public edge::Connector {
 public:
  // Must outlive it.
  OriginConnector(io::Network& network, io::Workers& workers, Clock& clock);
  ~OriginConnector() override;
  // Tries the addresses of a name one after the other. Errors: unavailable (no such name, or nobody there), denied (its certificate is not believed),
  // timeout, io.
  io::Task<Result<std::unique_ptr<io::Stream>>> connect(const edge::OriginAddress& origin,
                                                        const edge::OriginPolicy& policy,
                                                        Deadline deadline) override;
  void forget();

 private:
  io::Task<Result<std::unique_ptr<io::Stream>>> reach(std::string host, uint16_t port, Deadline deadline);
  io::Task<Result<std::shared_ptr<io::TlsConnector>>> tls_for(std::string ca_file);

  io::Network& network_;
  io::Workers& workers_;
  const std::shared_ptr<io::Dns> dns_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<io::TlsTrust>> trusts_;  // by ca_file
  std::map<std::pair<io::Loop*, std::string>, std::shared_ptr<io::TlsConnector>> connectors_;
};

// Whom to believe: the authorities in `ca_file` (PEM), or the system's if it is empty. Blocks. not_found, invalid, limit, io.
Result<std::shared_ptr<io::TlsTrust>> read_authorities(const std::string& ca_file);

}  // namespace archipel::app
