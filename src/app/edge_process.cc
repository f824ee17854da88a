#include "app/edge_process.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <thread>
#include <vector>

#include "app/origin_connector.h"
#include "app/private_file.h"
#include "app/process.h"
#include "app/tls_files.h"
#include "base/log.h"
#include "edge/node.h"
#include "http/server.h"
#include "io/hand_over.h"
#include "io/signals.h"
#include "io/sync.h"
#include "io/tls.h"
#include "io/workers.h"

namespace archipel::app {
namespace {

// The disk tier, files, the log. Most of them wait for the disk, which does more the more it is asked at a time.
constexpr int kWorkerThreads = 16;

std::vector<TlsConfig> tls_tables(const edge::Config& config) {
  std::vector<TlsConfig> out;
  for (const edge::TlsTable& table : config.tls)
    out.push_back({table.hosts, table.cert, table.key, table.where});
  return out;
}

class EdgeProcess {
 public:
  EdgeProcess(edge::Config config, bool take_over, const std::function<void(const EdgeReady&)>& on_ready)
      : config_(std::move(config)), take_over_(take_over), on_ready_(on_ready) {}

  Result<void> run();

 private:
  // One event loop with its thread (loop 0 runs on the main thread), its listeners and its server.
  struct Core {
    std::unique_ptr<io::Loop> loop;
    std::vector<std::unique_ptr<io::Listener>> listeners,
        tls_listeners;  // one of each, unless a predecessor had more loops
    std::unique_ptr<http::Server> server;
    std::vector<std::unique_ptr<io::Task<void>>> serving;
    std::thread thread;
  };

  io::Task<void> live();
  Result<void> open();
  Result<void> listen();
  using Listeners = std::vector<std::unique_ptr<io::Listener>> Core::*;
  Result<std::string> listen_on(const std::string& wanted, const std::string& name, Listeners which);
  Result<void> adopt(const std::string& wanted, const std::string& name, Listeners which);
  Result<void> listen_admin();
  Result<void> offer();
  static io::Task<void> serve_on(EdgeProcess* process, http::Server* server, io::Listener* listener);
  void on_signal(int signal);
  void stop();
  static io::Task<void> reload(EdgeProcess* process);

  io::Loop& home() { return *cores_.front().loop; }

  edge::Config config_;
  const bool take_over_;
  const std::function<void(const EdgeReady&)>& on_ready_;
  EdgeReady ready_;
  Result<void> outcome_;

  std::vector<Core> cores_;
  std::unique_ptr<io::Workers> workers_;
  std::unique_ptr<OriginConnector> connector_;
  std::shared_ptr<edge::Cache> cache_;
  std::unique_ptr<edge::Node> node_;
  std::unique_ptr<io::SignalWatch> signals_;
  std::shared_ptr<io::TlsContext> tls_;
  std::unique_ptr<TlsFiles> tls_files_;
  std::optional<Core> admin_;  // shares loop 0; only listener and server are used

  std::unique_ptr<io::TakenSockets> taken_;  // while this process starts
  std::vector<io::OfferedSocket> offered_;
  std::unique_ptr<io::SocketOffer> offer_;

  bool stop_ = false;         // home loop
  size_t cores_serving_ = 0;  // home loop
  io::Event changed_;         // stop_ or cores_serving_ changed; home loop
  io::TaskScope reloads_;
};

Result<void> EdgeProcess::run() {
  apply_log_config(config_.log_level, config_.log_json);
  raise_descriptor_limit();
  cores_.resize(static_cast<size_t>(loops_for(config_.threads)));
  for (Core& core : cores_) core.loop = io::make_loop();
  ASSIGN_OR_RETURN(signals_, io::watch_signals(home(), [this](int signal) { on_signal(signal); }));
  workers_ = io::make_workers(kWorkerThreads);
  RETURN_IF_ERROR(open());
  std::optional<io::Task<void>> life;
  home().post([&] { life.emplace(live()); });
  for (size_t i = 1; i < cores_.size(); ++i)
    cores_[i].thread = std::thread([loop = cores_[i].loop.get()] { loop->run(); });
  home().run();
  for (Core& core : cores_) {
    core.loop->stop();
    if (core.thread.joinable()) core.thread.join();
  }
  if (cache_) cache_->close();
  return outcome_;
}

Result<void> EdgeProcess::open() {
  cache_ = edge::make_cache(config_.cache, *workers_, system_clock(), system_random());
  connector_ = std::make_unique<OriginConnector>(io::tcp_network(), *workers_, system_clock());
  std::vector<io::Loop*> loops;
  for (Core& core : cores_) loops.push_back(core.loop.get());
  node_ = std::make_unique<edge::Node>(edge::NodeParts{std::move(loops),
                                                       *cache_,
                                                       {system_random().bytes<16>()},
                                                       *connector_,
                                                       *workers_,
                                                       system_clock(),
                                                       system_random(),
                                                       [this] { stop(); }});
  return node_->apply(config_);
}

io::Task<void> EdgeProcess::live() {
  outcome_ = listen();
  if (outcome_ && !stop_) {
    node_->set_ready(true);
    node_->start();
    if (tls_files_) tls_files_->start();
    if (taken_) taken_->tell_ready();
    taken_.reset();
    if (auto offered = offer(); !offered)
      log::error("hand_over.not_offered", {{"reason", offered.error().message}});
    on_ready_(ready_);
    while (!stop_) co_await changed_.wait();
    node_->set_ready(false);
    log::info("edge.draining");
  }
  for (Core& core : cores_)
    if (core.server) core.server->drain();
  if (admin_ && admin_->server) admin_->server->drain();
  if (offer_) co_await offer_->close();
  co_await reloads_.join();
  if (tls_files_) co_await tls_files_->close();
  while (cores_serving_ > 0) co_await changed_.wait();
  co_await node_->close();
  if (outcome_) log::info("edge.stopped");
  for (Core& core : cores_) core.loop->stop();
}

// The sockets of a predecessor, shared out among the loops.
Result<void> EdgeProcess::adopt(const std::string& wanted, const std::string& name, Listeners which) {
  for (size_t i = 0; taken_ != nullptr; ++i) {
    Core& core = cores_[i % cores_.size()];
    ASSIGN_OR_RETURN(auto listener, taken_->adopt(*core.loop, name));
    if (listener == nullptr) break;
    const std::string address = listener->address();
    if (!wanted.ends_with(":0") && address != wanted)
      return fail(Code::invalid, "the running edge listens on " + address + ", and the configuration says " +
                                     wanted + ": change addresses by a restart");
    (core.*which).push_back(std::move(listener));
  }
  return {};
}

// All loops on one address; returns it with the real port.
Result<std::string> EdgeProcess::listen_on(const std::string& wanted, const std::string& name,
                                           Listeners which) {
  RETURN_IF_ERROR(adopt(wanted, name, which));
  const auto& first = cores_.front().*which;
  std::string address = first.empty() ? wanted : first.front()->address();
  // With SO_REUSEPORT another process of this user would share the port in silence: a plain bind says first whether somebody has it.
  if (first.empty() && !address.ends_with(":0")) {
    ASSIGN_OR_RETURN(auto probe, io::tcp_network().listen(home(), address, false));
    probe->close();
  }
  for (Core& core : cores_) {
    auto& mine = core.*which;
    if (mine.empty()) {
      ASSIGN_OR_RETURN(auto listener, io::tcp_network().listen(*core.loop, address, true));
      address = listener->address();
      mine.push_back(std::move(listener));
    }
    for (const auto& listener : mine) offered_.push_back({name, io::listening_descriptor(*listener)});
  }
  return address;
}

Result<void> EdgeProcess::listen_admin() {
  admin_.emplace();
  std::unique_ptr<io::Listener> listener;
  if (taken_ != nullptr) {
    ASSIGN_OR_RETURN(listener, taken_->adopt(home(), "admin"));
  }
  if (listener == nullptr) {
    ASSIGN_OR_RETURN(listener, io::tcp_network().listen(home(), config_.admin_listen, false));
  }
  ready_.admin_address = listener->address();
  offered_.push_back({"admin", io::listening_descriptor(*listener)});
  admin_->listeners.push_back(std::move(listener));
  admin_->server = http::make_server(home(), node_->admin_handler(), config_.limits);
  return {};
}

// A successor may take the sockets over from now on.
Result<void> EdgeProcess::offer() {
  if (config_.take_over_dir.empty()) return {};
  RETURN_IF_ERROR(make_private_directory(config_.take_over_dir));
  auto sockets = [this] { return offered_; };
  auto taken = [this] {
    log::info("edge.taken_over");
    stop();
  };
  ASSIGN_OR_RETURN(offer_, io::offer_sockets(home(), config_.take_over_dir + "/edge.sock", sockets, taken));
  return {};
}

Result<void> EdgeProcess::listen() {
  http::Limits limits = config_.limits;
  limits.connections_max = std::max(1, limits.connections_max / static_cast<int>(cores_.size()));
  if (take_over_) {
    if (config_.take_over_dir.empty())
      return fail(
          Code::invalid,
          config_.file +
              " has no [proxy] take_over: the directory in which the running edge offers its sockets");
    ASSIGN_OR_RETURN(taken_, io::take_sockets(config_.take_over_dir + "/edge.sock"));
  }
  if (!config_.listen.empty()) {
    ASSIGN_OR_RETURN(ready_.address, listen_on(config_.listen, "http", &Core::listeners));
  }
  if (config_.tls_listen) {
    tls_ = io::make_tls_context(system_random(), system_clock());
    tls_files_ = std::make_unique<TlsFiles>(*tls_, *workers_, system_clock());
    RETURN_IF_ERROR(tls_files_->load(tls_tables(config_)));
    ASSIGN_OR_RETURN(ready_.tls_address, listen_on(*config_.tls_listen, "https", &Core::tls_listeners));
  }
  if (!config_.admin_listen.empty()) RETURN_IF_ERROR(listen_admin());
  for (size_t i = 0; i < cores_.size(); ++i) {
    Core& core = cores_[i];
    for (auto& listener : core.tls_listeners)
      listener = io::make_tls_listener(*core.loop, std::move(listener), tls_, {.h2 = true});
    core.server = http::make_server(*core.loop, node_->handler(i), limits, system_clock(), edge::Node::page,
                                    {.h2 = true, .forward_date = true});
    for (auto* all : {&core.listeners, &core.tls_listeners}) {
      for (auto& listener : *all) {
        ++cores_serving_;
        core.loop->post([this, &core, one = listener.get()] {
          core.serving.push_back(std::make_unique<io::Task<void>>(serve_on(this, core.server.get(), one)));
        });
      }
    }
  }
  if (admin_) {
    ++cores_serving_;
    admin_->serving.push_back(std::make_unique<io::Task<void>>(
        serve_on(this, admin_->server.get(), admin_->listeners.front().get())));
  }
  return {};
}

io::Task<void> EdgeProcess::serve_on(EdgeProcess* process, http::Server* server, io::Listener* listener) {
  co_await server->serve(*listener);
  process->home().post([process] {
    --process->cores_serving_;
    process->changed_.notify_all();
  });
}

void EdgeProcess::stop() {
  stop_ = true;
  changed_.notify_all();
}

void EdgeProcess::on_signal(int signal) {
  if (signal != SIGHUP) return stop();
  if (reloads_.active() == 0 && !stop_) reloads_.spawn(reload(this));
}

// Everything but addresses, threads, limits and the cache's sizes can change while it serves. A file that is not good changes nothing.
io::Task<void> EdgeProcess::reload(EdgeProcess* process) {
  const std::string file = process->config_.file;
  auto fresh = co_await process->workers_->run([file] { return edge::load_config(file); });
  Result<void> applied;
  if (!fresh)
    applied = fail(fresh.error());
  else
    applied = process->node_->apply(*fresh);
  if (!applied) {
    log::error("config.refused", {{"reason", applied.error().message}, {"kept", "the one before"}});
    co_return;
  }
  const edge::Config& old = process->config_;
  if (fresh->listen != old.listen || fresh->tls_listen != old.tls_listen || fresh->threads != old.threads ||
      fresh->admin_listen != old.admin_listen || fresh->cache.disk_dir != old.cache.disk_dir ||
      fresh->cache.memory_bytes != old.cache.memory_bytes || fresh->cache.disk_bytes != old.cache.disk_bytes)
    log::warn("config.needs_restart",
              {{"reason", "addresses, threads and sizes of the cache stay as they were"}});
  apply_log_config(fresh->log_level, fresh->log_json);
  process->connector_->forget();
  if (process->tls_files_ && !fresh->tls.empty()) process->tls_files_->reload(tls_tables(*fresh));
  process->config_ = std::move(*fresh);
  log::info("config.reloaded", {{"file", file}});
}

}  // namespace

Result<void> run_edge(edge::Config config, bool take_over,
                      const std::function<void(const EdgeReady&)>& on_ready) {
  return EdgeProcess(std::move(config), take_over, on_ready).run();
}

}  // namespace archipel::app
