#include "app/ports.h"

namespace archipel::app {

Ports::~Ports() {
  CHECK(serving_ == 0);
}

Ports::Service Ports::add(http::Handler handler, http::Limits limits, http::MakePage page, Where where) {
  std::vector<Door>& doors = services_.emplace_back();
  for (io::Loop* loop : loops_) {
    doors.emplace_back().loop = loop;
    doors.back().server = http::make_server(*loop, handler, limits, system_clock(), page);
    if (where == Where::home_loop) break;
  }
  return services_.size() - 1;
}

Result<std::string> Ports::listen(Service service, const std::string& address,
                                  std::shared_ptr<io::TlsContext> tls) {
  std::vector<Door>& doors = services_.at(service);
  std::string real = address;
  // With SO_REUSEPORT another process of this user would share the port in silence, and each would get half of the requests: a plain bind
  // says first whether somebody has it.
  if (!address.ends_with(":0")) {
    ASSIGN_OR_RETURN(auto probe, io::tcp_network().listen(*doors.front().loop, address, false));
    probe->close();
  }
  for (Door& door : doors) {
    ASSIGN_OR_RETURN(auto listener, io::tcp_network().listen(*door.loop, real, doors.size() > 1));
    real = listener->address();  // with the real port, for the other loops
    if (tls) listener = io::make_tls_listener(*door.loop, std::move(listener), tls);
    door.listeners.push_back(std::move(listener));
  }
  return real;
}

void Ports::serve() {
  for (std::vector<Door>& doors : services_) {
    for (Door& door : doors) {
      serving_ += door.listeners.size();
      door.loop->post([this, &door] {
        for (auto& listener : door.listeners)
          door.serving.push_back(serve_on(this, door.server.get(), listener.get()));
      });
    }
  }
}

io::Task<void> Ports::serve_on(Ports* ports, http::Server* server, io::Listener* listener) {
  co_await server->serve(*listener);
  ports->loops_.front()->post([ports] {
    --ports->serving_;
    ports->ended_.notify_all();
  });
}

void Ports::drain() {
  for (std::vector<Door>& doors : services_)
    for (Door& door : doors) door.server->drain();
}

io::Task<void> Ports::join() {
  while (serving_ > 0) co_await ended_.wait();
}

}  // namespace archipel::app
