#include "app/edge_process.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <thread>
#include <vector>

#include "app/edge_ports.h"
#include "app/origin_connector.h"
#include "app/private_file.h"
#include "app/process.h"
#include "app/service_manager.h"
#include "app/tls_files.h"
#include "base/log.h"
#include "base/metrics.h"
#include "edge/node.h"
#include "http/server.h"
#include "io/hand_over.h"
#include "io/signals.h"
#include "io/sync.h"
#include "io/tls.h"
#include "io/workers.h"

namespace archipel::app {
namespace {

// Until a predecessor has let the disk tier go.
constexpr Duration kAttachInterval = std::chrono::milliseconds(100);
constexpr Duration kReleaseInterval = std::chrono::milliseconds(20);
constexpr Duration kChildInterval = std::chrono::milliseconds(200);

// The disk tier, files, the log. Most of them wait for the disk, which does more the more it is asked at a time.
constexpr int kWorkerThreads = 16;

metrics::Gauge last_reload_good{"archipel_config_last_reload_successful",
                                "1: the configuration that was read last is in use; 0: it was refused"};
metrics::Gauge last_reload_at{"archipel_config_last_reload_success_timestamp_seconds",
                              "When a configuration was last taken into use, in Unix time"};

// What has changed and takes a restart, by name.
std::string needs_restart(const edge::Config& old, const edge::Config& fresh) {
  std::string out;
  auto check = [&out](std::string_view name, bool same) {
    if (!same) out += (out.empty() ? "" : ", ") + std::string(name);
  };
  const http::Limits &was = old.limits, &is = fresh.limits;
  const edge::CacheConfig &had = old.cache, &has = fresh.cache;
  check("listen", fresh.listen == old.listen && fresh.tls_listen == old.tls_listen);
  check("admin.listen", fresh.admin_listen == old.admin_listen);
  check("limits.threads", fresh.threads == old.threads);
  check("limits.connections", is.connections_max == was.connections_max);
  check("limits.rate_table", fresh.rate_clients_max == old.rate_clients_max);
  check("limits.upload_bytes_per_second_min", is.body_rate_min == was.body_rate_min);
  check("timeouts in limits",
        is.header_timeout == was.header_timeout && is.idle_timeout == was.idle_timeout &&
            is.body_timeout == was.body_timeout && is.drain_timeout == was.drain_timeout);
  check("cache", has.memory_bytes == had.memory_bytes && has.disk_dir == had.disk_dir &&
                     has.disk_bytes == had.disk_bytes &&
                     has.disk_write_bytes_per_s == had.disk_write_bytes_per_s);
  check("proxy.take_over", fresh.take_over_dir == old.take_over_dir);
  return out;
}

class EdgeProcess {
 public:
  EdgeProcess(edge::Config config, bool take_over, const std::function<void(const EdgeReady&)>& on_ready)
      : config_(std::move(config)), take_over_(take_over), on_ready_(on_ready) {}

  Result<void> run();

 private:
  // One event loop with its thread; loop 0 runs on the main thread.
  struct Core {
    std::unique_ptr<io::Loop> loop;
    std::thread thread;
  };

  io::Task<void> live();
  Result<void> open();
  Result<void> listen();
  Result<void> offer();
  static io::Task<void> attach_disk(EdgeProcess* process);
  static io::Task<void> release_disk(EdgeProcess* process);
  static io::Task<void> hand_over(EdgeProcess* process);
  void on_signal(int signal);
  void stop();
  static io::Task<void> reload(EdgeProcess* process);
  Result<void> use(edge::Config fresh);
  void refuse(const Error& error);

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
  std::unique_ptr<Ports> ports_;

  std::unique_ptr<io::TakenSockets> taken_;  // while this process starts
  std::unique_ptr<io::SocketOffer> offer_;
  const std::string program_ = this_program();

  // Home loop.
  bool stop_ = false, handed_over_ = false, drained_ = false, reload_wanted_ = false;
  io::Event changed_;  // one of them has changed
  io::TaskScope reloads_, attaching_, handing_over_;
};

Result<void> EdgeProcess::run() {
  apply_log_config(config_.log_level, config_.log_json);
  raise_descriptor_limit();
  cores_.resize(static_cast<size_t>(loops_for(config_.threads)));
  for (Core& core : cores_) core.loop = io::make_loop();
  ASSIGN_OR_RETURN(signals_, io::watch_signals(home(), [this](int signal) { on_signal(signal); }, true));
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
  cache_ = take_over_ ? edge::make_cache_beside(config_.cache, *workers_, system_clock(), system_random())
                      : edge::make_cache(config_.cache, *workers_, system_clock(), system_random());
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
                                                       [this] { stop(); },
                                                       process_metrics_text});
  return node_->apply(config_);
}

io::Task<void> EdgeProcess::live() {
  outcome_ = listen();
  if (outcome_ && !stop_) {
    node_->set_ready(true);
    node_->start();
    if (tls_files_) tls_files_->start();
    if (taken_) taken_->tell_ready();
    ports_->take(nullptr);
    taken_.reset();
    if (take_over_) attaching_.spawn(attach_disk(this));
    if (auto offered = offer(); !offered)
      log::error("hand_over.not_offered", {{"reason", offered.error().message}});
    last_reload_good.set(1);
    last_reload_at.set(system_clock().unix_ms() / 1000);
    on_ready_(ready_);
    tell_service_manager(ServiceState::ready, "serving");
    while (!stop_) co_await changed_.wait();
    node_->set_ready(false);
    log::info("edge.draining");
    // A successor has said that it is the service.
    if (!handed_over_) tell_service_manager(ServiceState::stopping, "draining");
  }
  if (ports_) ports_->drain();
  if (offer_) co_await offer_->close();
  co_await reloads_.join();
  co_await attaching_.join();
  if (handed_over_) handing_over_.spawn(release_disk(this));
  if (tls_files_) co_await tls_files_->close();
  if (ports_) co_await ports_->join();
  drained_ = true;
  changed_.notify_all();
  co_await handing_over_.join();
  co_await node_->close();
  if (outcome_) log::info("edge.stopped");
  for (Core& core : cores_) core.loop->stop();
}

// The disk tier of a predecessor, once that has let it go.
io::Task<void> EdgeProcess::attach_disk(EdgeProcess* process) {
  while (!process->stop_) {
    auto attached = co_await process->workers_->run([process] { return process->cache_->attach_disk(); });
    if (attached) co_return;
    if (attached.error().code != Code::exists) {
      log::error("edge.disk.unused",
                 {{"where", process->config_.cache.disk_dir}, {"reason", attached.error().message}});
      co_return;
    }
    const Deadline again = process->home().now() + kAttachInterval;
    while (!process->stop_ && process->home().now() < again) {
      [[maybe_unused]] const bool rang = co_await process->changed_.wait(again);
    }
  }
}

// For the successor, long before slow clients have read to their ends here. What requests still invalidate has to be in the log of purges before.
io::Task<void> EdgeProcess::release_disk(EdgeProcess* process) {
  while (!process->drained_ && process->node_->changing() > 0) {
    [[maybe_unused]] const bool rang =
        co_await process->changed_.wait(process->home().now() + kReleaseInterval);
  }
  auto release = [process] {
    process->cache_->release_disk();
    process->node_->release_purges();
    return true;
  };
  [[maybe_unused]] const bool done = co_await process->workers_->run(release);
  log::info("edge.disk.released", {{"where", process->config_.cache.disk_dir}});
}

// A successor may take the sockets over from now on.
Result<void> EdgeProcess::offer() {
  if (config_.take_over_dir.empty()) return {};
  RETURN_IF_ERROR(make_private_directory(config_.take_over_dir));
  auto sockets = [this] { return ports_->offered(); };
  auto taken = [this] {
    log::info("edge.taken_over");
    handed_over_ = true;
    stop();
  };
  ASSIGN_OR_RETURN(offer_, io::offer_sockets(home(), config_.take_over_dir + "/edge.sock", sockets, taken));
  return {};
}

// SIGUSR2: the program anew, from where it was started; this one goes on until that one accepts.
io::Task<void> EdgeProcess::hand_over(EdgeProcess* process) {
  if (process->config_.take_over_dir.empty()) {
    log::error("hand_over.failed", {{"reason", process->config_.file + " has no [proxy] take_over"}});
    co_return;
  }
  auto child = start_program(process->program_, {"edge", "--config", process->config_.file, "--take-over"});
  if (!child) {
    log::error("hand_over.failed", {{"reason", child.error().message}});
    co_return;
  }
  log::info("hand_over.started", {{"program", process->program_}, {"pid", *child}});
  while (!process->stop_) {
    if (const std::optional<int> code = ended_with(*child)) {
      log::error("hand_over.failed",
                 {{"reason", "the new process has ended; this one goes on"}, {"exit", *code}});
      co_return;
    }
    [[maybe_unused]] const bool rang =
        co_await process->changed_.wait(process->home().now() + kChildInterval);
  }
}

Result<void> EdgeProcess::listen() {
  std::vector<io::Loop*> loops;
  for (Core& core : cores_) loops.push_back(core.loop.get());
  ports_ = std::make_unique<Ports>(std::move(loops));
  if (take_over_) {
    if (config_.take_over_dir.empty())
      return fail(
          Code::invalid,
          config_.file +
              " has no [proxy] take_over: the directory in which the running edge offers its sockets");
    ASSIGN_OR_RETURN(taken_, io::take_sockets(config_.take_over_dir + "/edge.sock"));
    ports_->take(taken_.get());
  }
  if (config_.tls_listen) {
    tls_ = io::make_tls_context(system_random(), system_clock());
    tls_files_ = std::make_unique<TlsFiles>(*tls_, *workers_, system_clock());
    RETURN_IF_ERROR(tls_files_->load(tls_tables(config_)));
  }
  ASSIGN_OR_RETURN(EdgeAddresses addresses, listen_for_edge(*ports_, *node_, config_, tls_));
  ready_.address = std::move(addresses.http);
  ready_.tls_address = std::move(addresses.https);
  ready_.admin_address = std::move(addresses.admin);
  ports_->serve();
  return {};
}

void EdgeProcess::stop() {
  stop_ = true;
  changed_.notify_all();
}

void EdgeProcess::on_signal(int signal) {
  if (signal == SIGUSR2) {
    if (handing_over_.active() == 0 && !stop_) handing_over_.spawn(hand_over(this));
    return;
  }
  if (signal != SIGHUP) return stop();
  // A file that changes while it is read is read again.
  reload_wanted_ = true;
  if (reloads_.active() == 0 && !stop_) reloads_.spawn(reload(this));
}

// Everything but addresses, threads, limits and the cache's sizes can change while it serves. A file that is not good changes nothing.
io::Task<void> EdgeProcess::reload(EdgeProcess* process) {
  while (process->reload_wanted_ && !process->stop_) {
    process->reload_wanted_ = false;
    tell_service_manager(ServiceState::reloading, "reading " + process->config_.file);
    const std::string file = process->config_.file;
    auto fresh = co_await process->workers_->run([file]() -> Result<edge::Config> {
      ASSIGN_OR_RETURN(edge::Config config, edge::load_config(file));
      RETURN_IF_ERROR(TlsFiles::check(tls_tables(config)));
      return config;
    });
    const Result<void> used = fresh ? process->use(std::move(*fresh)) : fail(fresh.error());
    if (!used) process->refuse(used.error());
    tell_service_manager(ServiceState::ready, used ? "serving" : "serving; the file was refused");
  }
}

Result<void> EdgeProcess::use(edge::Config fresh) {
  RETURN_IF_ERROR(node_->apply(fresh));
  const std::string later = needs_restart(config_, fresh);
  if (!later.empty())
    log::warn("config.needs_restart", {{"changed", later}, {"reason", "they stay as they were until then"}});
  apply_log_config(fresh.log_level, fresh.log_json);
  connector_->forget();
  if (tls_files_ && !fresh.tls.empty()) tls_files_->reload(tls_tables(fresh));
  config_ = std::move(fresh);
  last_reload_good.set(1);
  last_reload_at.set(system_clock().unix_ms() / 1000);
  log::info("config.reloaded", {{"file", config_.file}});
  return {};
}

// Who has moved the access log away waits for a new one, whatever is wrong with the rest.
void EdgeProcess::refuse(const Error& error) {
  last_reload_good.set(0);
  log::error("config.refused", {{"reason", error.message}, {"kept", "the one before"}});
  if (Result<void> log = node_->reopen_log(); !log)
    log::error("access_log.not_reopened", {{"reason", log.error().message}});
}

}  // namespace

Result<void> run_edge(edge::Config config, bool take_over,
                      const std::function<void(const EdgeReady&)>& on_ready) {
  return EdgeProcess(std::move(config), take_over, on_ready).run();
}

}  // namespace archipel::app
