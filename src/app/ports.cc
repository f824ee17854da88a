#include "app/ports.h"

namespace archipel::app {

Ports::~Ports() {
  CHECK(serving_ == 0);
}

Ports::Service Ports::add(http::Handler handler, http::Limits limits, http::MakePage page, Where where,
                          http::ServerOptions options) {
  std::vector<Door>& doors = services_.emplace_back();
  options.places = std::make_shared<http::Places>(limits.connections_max);
  for (io::Loop* loop : loops_) {
    doors.emplace_back().loop = loop;
    doors.back().server = http::make_server(*loop, handler, limits, system_clock(), page, options);
    if (where == Where::home_loop) break;
  }
  return services_.size() - 1;
}

Ports::Service Ports::add(const Handlers& handlers, http::Limits limits, http::MakePage page,
                          http::ServerOptions options, const Answerers& answerers) {
  std::vector<Door>& doors = services_.emplace_back();
  options.places = std::make_shared<http::Places>(limits.connections_max);
  for (size_t i = 0; i < loops_.size(); ++i) {
    Door& door = doors.emplace_back();
    door.loop = loops_[i];
    door.h2 = options.h2;
    door.server = http::make_server(*loops_[i], handlers(i), limits, system_clock(), page, options);
    if (answerers) http::answer_now_with(*door.server, answerers(i));
  }
  return services_.size() - 1;
}

// A predecessor's sockets, shared out among the loops; it may have had more of them. Returns their address; empty: there are none.
Result<std::string> Ports::adopt(const std::vector<Door>& doors, const std::string& address,
                                 const std::string& name, std::vector<Listeners>& out) {
  std::string real;
  for (size_t i = 0; taken_ != nullptr && !name.empty(); ++i) {
    ASSIGN_OR_RETURN(auto listener, taken_->adopt(*doors[i % doors.size()].loop, name));
    if (listener == nullptr) break;
    real = listener->address();
    if (!address.ends_with(":0") && real != address)
      return fail(Code::invalid, "the running process listens on " + real + ", and the configuration says " +
                                     address + ": change addresses by a restart");
    out[i % doors.size()].push_back(std::move(listener));
  }
  return real;
}

Result<std::string> Ports::listen(Service service, const std::string& address,
                                  std::shared_ptr<io::TlsContext> tls, const std::string& name) {
  std::vector<Door>& doors = services_.at(service);
  std::vector<Listeners> fresh(doors.size());
  ASSIGN_OR_RETURN(std::string real, adopt(doors, address, name, fresh));
  // With SO_REUSEPORT another process of this user would share the port in silence, and each would get half of the requests: a plain bind
  // says first whether somebody has it.
  if (real.empty() && !address.ends_with(":0")) {
    ASSIGN_OR_RETURN(auto probe, io::tcp_network().listen(*doors.front().loop, address, false));
    probe->close();
  }
  if (real.empty()) real = address;
  for (size_t i = 0; i < doors.size(); ++i) {
    Door& door = doors[i];
    if (fresh[i].empty()) {
      ASSIGN_OR_RETURN(auto listener, io::tcp_network().listen(*door.loop, real, doors.size() > 1));
      real = listener->address();  // with the real port, for the other loops
      fresh[i].push_back(std::move(listener));
    }
    for (auto& listener : fresh[i]) {
      if (!name.empty()) offered_.push_back({name, io::listening_descriptor(*listener)});
      if (tls) listener = io::make_tls_listener(*door.loop, std::move(listener), tls, {.h2 = door.h2});
      door.listeners.push_back(std::move(listener));
    }
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
