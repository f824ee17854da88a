// Ports: what a process listens on. A service is a handler; each of its addresses is open on every loop (SO_REUSEPORT), or on the home loop alone. A
// process that takes over from another (io/hand_over.h) listens on the sockets of that one, and has its own to offer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/now.h"
#include "io/hand_over.h"
#include "io/stream.h"
#include "io/sync.h"
#include "io/tls.h"

namespace archipel::app {

// Lives on the home loop, the first of `loops`, which must outlive it. Add, listen, serve, drain, join: in this order.
class Ports {
 public:
  explicit Ports(std::vector<io::Loop*> loops) : loops_(std::move(loops)) {}
  ~Ports();

  using Service = size_t;
  enum class Where : uint8_t { every_loop, home_loop };
  // One server a loop for all addresses of the service: limits.connections_max is of all of them together.
  Service add(http::Handler handler, http::Limits limits, http::MakePage page = http::plain_page,
              Where where = Where::every_loop, http::ServerOptions options = {});
  // A handler for each loop, and what it speaks besides HTTP/1.1.
  using Handlers = std::function<http::Handler(size_t loop)>;
  using Answerers = std::function<http::AnswerNow(size_t loop)>;
  Service add(const Handlers& handlers, http::Limits limits, http::MakePage page, http::ServerOptions options,
              const Answerers& answerers = nullptr);
  // listen() begins with what a predecessor gave under the name, until take(nullptr). It must live so long.
  void take(io::TakenSockets* taken) { taken_ = taken; }
  // Returns the address with its real port. With a `name` its sockets are among those offered. Errors: invalid (also: the predecessor's sockets have another
  // address), io (in use, not ours to use).
  Result<std::string> listen(Service service, const std::string& address,
                             std::shared_ptr<io::TlsContext> tls = nullptr, const std::string& name = {});
  // What a successor may take; good while they live.
  const std::vector<io::OfferedSocket>& offered() const { return offered_; }
  void serve();
  // Stops accepting; requests under way may finish (http::Server::drain).
  void drain();
  // Until the last connection has ended.
  io::Task<void> join();

 private:
  struct Door {  // of a service, on a loop
    io::Loop* loop = nullptr;
    std::vector<std::unique_ptr<io::Listener>> listeners;
    std::unique_ptr<http::Server> server;
    bool h2 = false;
    std::vector<io::Task<void>> serving;
  };
  using Listeners = std::vector<std::unique_ptr<io::Listener>>;
  Result<std::string> adopt(const std::vector<Door>& doors, const std::string& address,
                            const std::string& name, std::vector<Listeners>& out);
  static io::Task<void> serve_on(Ports* ports, http::Server* server, io::Listener* listener);

  const std::vector<io::Loop*> loops_;
  std::vector<std::vector<Door>> services_;
  io::TakenSockets* taken_ = nullptr;
  std::vector<io::OfferedSocket> offered_;
  size_t serving_ = 0;  // listeners
  io::Event ended_;
};

}  // namespace archipel::app
