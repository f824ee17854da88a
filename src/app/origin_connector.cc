#include "app/origin_connector.h"

#include "app/private_file.h"

namespace archipel::app {
namespace {

constexpr size_t kPemBytesMax = 4u << 20;

}  // namespace

Result<std::shared_ptr<io::TlsTrust>> read_authorities(const std::string& ca_file) {
  if (ca_file.empty()) return io::make_tls_trust();
  ASSIGN_OR_RETURN(std::string pem, read_small_file(ca_file, kPemBytesMax, false));
  return io::make_tls_trust(pem, ca_file);
}

OriginConnector::OriginConnector(io::Network& network, io::Workers& workers, Clock& clock)
    : network_(network), workers_(workers), dns_(io::make_dns(workers, clock)) {}

OriginConnector::~OriginConnector() = default;

void OriginConnector::forget() {
  std::lock_guard lock(mutex_);
  trusts_.clear();
  connectors_.clear();
}

io::Task<Result<std::shared_ptr<io::TlsConnector>>> OriginConnector::tls_for(std::string ca_file) {
  io::Loop* loop = io::Loop::current();
  std::shared_ptr<io::TlsTrust> trust;
  {
    std::lock_guard lock(mutex_);
    if (auto known = connectors_.find({loop, ca_file}); known != connectors_.end()) co_return known->second;
    if (auto known = trusts_.find(ca_file); known != trusts_.end()) trust = known->second;
  }
  if (trust == nullptr) {
    auto read = [ca_file] { return read_authorities(ca_file); };
    auto made = co_await workers_.run(std::move(read));
    if (!made) co_return fail(made.error());
    trust = std::move(*made);
  }
  std::lock_guard lock(mutex_);
  trusts_.emplace(ca_file, trust);
  auto& slot = connectors_[{loop, ca_file}];
  if (slot == nullptr) slot = io::make_tls_connector(*loop, trust);
  co_return slot;
}

io::Task<Result<std::unique_ptr<io::Stream>>> OriginConnector::reach(std::string host, uint16_t port,
                                                                     Deadline deadline) {
  auto addresses = co_await dns_->resolve(host, deadline);
  if (!addresses) co_return fail(Code::unavailable, addresses.error().message);
  Error error{Code::unavailable, "'" + host + "' has no address", {}};
  io::Loop& loop = *io::Loop::current();
  for (size_t i = 0; i < addresses->size(); ++i) {
    // A silent address leaves time for those behind it.
    const Duration left = deadline - loop.now();
    const Deadline until = loop.now() + left / static_cast<int64_t>(addresses->size() - i);
    auto stream = co_await network_.connect(loop, io::with_port((*addresses)[i], port), until);
    if (stream) co_return stream;
    error = stream.error();
  }
  co_return fail(error);
}

io::Task<Result<std::unique_ptr<io::Stream>>> OriginConnector::connect(const edge::OriginAddress& origin,
                                                                       const edge::OriginPolicy& policy,
                                                                       Deadline deadline) {
  auto stream = co_await reach(origin.host, origin.port, deadline);
  if (!stream || !origin.secure) co_return stream;
  auto tls = co_await tls_for(policy.ca_file);
  if (!tls) co_return fail(tls.error());
  std::vector<std::string> protocols{"http/1.1"};
  auto secured = co_await (*tls)->connect(std::move(*stream), origin.host, std::move(protocols), deadline);
  co_return secured;
}

}  // namespace archipel::app
