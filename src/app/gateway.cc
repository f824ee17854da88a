#include "app/gateway.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <csignal>
#include <cstdlib>

#include "app/gateway_impl.h"
#include "app/process.h"
#include "app/service_manager.h"
#include "base/log.h"

namespace archipel::app {
namespace {

// Threads for the view's reads and writes, and for long computations. Islands have threads of their own: one that hangs takes none of these.
constexpr int kWorkerThreads = 8;

// After the journal is closed: how long what is left under way at islands may take. A call to a dead mount may never end.
constexpr Duration kStragglersMax = std::chrono::seconds(10);
constexpr Duration kStartGrace =
    std::chrono::seconds(2);  // for a start to end by itself when the process is told to

// protocol.md §8: a gateway's memory holds keys; it never reaches a core file or another process of the same user. What
// it writes, the view above all, is for its own user only.
void harden_process() {
  umask(077);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  raise_descriptor_limit();
}

}  // namespace

Result<void> Gateway::run() {
  harden_process();
  apply_log_config(config().log_level, config().log_json);
  ASSIGN_OR_RETURN(std::string passphrase, read_passphrase(config()));
  ASSIGN_OR_RETURN(keys_, crypto::Keyring::load(config().keyring_path, passphrase));
  crypto::secure_clear(passphrase.data(), passphrase.size());

  cores_.resize(static_cast<size_t>(loops_for(config().threads)));
  for (Core& core : cores_) core.loop = io::make_loop();
  ASSIGN_OR_RETURN(signals_, io::watch_signals(home(), [this](int signal) { on_signal(signal); }));
  workers_ = io::make_workers(kWorkerThreads);

  std::optional<io::Task<void>> life;
  home().post([&] { life.emplace(live()); });
  for (size_t i = 1; i < cores_.size(); ++i)
    cores_[i].thread = std::thread([loop = cores_[i].loop.get()] { loop->run(); });
  home().run();
  for (Core& core : cores_) {
    core.loop->stop();
    if (core.thread.joinable()) core.thread.join();
  }
  return outcome_;
}

// The whole life of the gateway, on the home loop: open, serve until told to stop, close.
io::Task<void> Gateway::live() {
  outcome_ = co_await open();
  opened_ = true;
  const bool offline = options_.instead != nullptr || options_.with_store != nullptr;
  if (outcome_ && !stop_ && options_.instead) outcome_ = co_await options_.instead(*mending_);
  if (outcome_ && !stop_ && options_.with_store) outcome_ = co_await options_.with_store(*store_);
  if (outcome_ && !stop_ && !offline) outcome_ = listen();
  if (outcome_ && !stop_ && !offline) {
    serving_ = true;
    mending_->start();
    collector_->start();
    snapshots_->start();
    compactor_->start();
    if (tls_files_) tls_files_->start();
    lifecycle_->start();
    access_log_->start();
    if (edge_) edge_->start();
    on_ready_(ready_);
    tell_service_manager(ServiceState::ready, "serving");
    if (std::exchange(reload_wanted_, false)) reloads_.spawn(reload(this));
    std::optional<io::Task<void>> account;
    if (account_pending_) account.emplace(write_account_later(this));
    while (!stop_) co_await changed_.wait();
    serving_ = false;
    if (edge_) edge_->drain();
    log::info("gateway.draining");
    tell_service_manager(ServiceState::stopping, "draining");
    if (account) co_await std::move(*account);
  }
  if (ports_) ports_->drain();
  if (stop_ && mending_) co_await mending_->close();  // a pass that a command waits for ends here
  if (commands_) co_await commands_->close();
  if (tls_files_) co_await tls_files_->close();
  if (ports_) co_await ports_->join();
  co_await reloads_.join();
  if (edge_) co_await edge_->close();
  if (lifecycle_) co_await lifecycle_->close();
  if (access_log_) co_await access_log_->close();
  if (compactor_) co_await compactor_->close();
  if (mending_) co_await mending_->close();
  if (collector_) co_await collector_->close();
  if (store_) co_await store_->drain();
  if (snapshots_) co_await snapshots_->close();
  if (journal_.committer) co_await journal_.committer->close();
  if (guard_) co_await guard_->close();
  // Everything acknowledged is safe, and the view is in order: stragglers are repair debt, and not worth waiting for without end.
  home().run_at(home().now() + kStragglersMax, [this] { leave(); });
  if (fanout_) co_await fanout_->drain();
  if (reader_) co_await reader_->drain();
  if (outcome_) log::info("gateway.stopped");
  for (Core& core : cores_) core.loop->stop();
}

// Told to end while it starts: nothing was acknowledged, and the next start finds whatever this one has written.
void Gateway::leave_half_open() {
  if (opened_) return;
  log::warn("gateway.stopped", {{"reason", "it was still starting"}});
  std::_Exit(0);
}

// Ends the process with threads inside calls that do not come back.
void Gateway::leave() {
  log::warn("gateway.stopped",
            {{"reason", "operations at islands have not ended; see archipel_island_breaker_open"},
             {"waited_seconds", std::chrono::duration_cast<std::chrono::seconds>(kStragglersMax).count()}});
  if (!outcome_) log::error("gateway.failed", {{"reason", outcome_.error().message}});
  std::_Exit(outcome_ ? 0 : 1);
}

void Gateway::on_signal(int signal) {
  if (signal == SIGHUP) {
    if (reloads_.active() > 0 || !serving_)
      reload_wanted_ = true;
    else
      reloads_.spawn(reload(this));
    return;
  }
  stop_ = true;
  changed_.notify_all();
  if (!opened_) home().run_at(home().now() + kStartGrace, [this] { leave_half_open(); });
}

// What can change without a restart: the log, the certificates, and the policies by which buckets are placed. Everything else keeps its old value
// until the restart. One thing wrong, and all stays as it was.
io::Task<void> Gateway::reload(Gateway* self) {
  do {
    self->reload_wanted_ = false;
    std::optional<Config> fresh;
    auto read = [self, &fresh]() -> Result<Placed> {
      ASSIGN_OR_RETURN(fresh, load_config(self->config().file));
      Config as_running = *fresh;  // the code is the journal's
      as_running.code = self->config().code;
      return self->place(as_running);
    };
    Result<Placed> placed = co_await self->workers_->run(read);
    if (!placed) {
      log::error("config.refused", {{"reason", placed.error().message}});
      continue;
    }
    self->options_.config.log_level = fresh->log_level;
    self->options_.config.log_json = fresh->log_json;
    apply_log_config(self->config().log_level, self->config().log_json);
    if (self->edge_ && fresh->edge) {
      Result<void> edge = self->edge_->reload(std::move(*fresh->edge));
      if (!edge) log::error("config.refused", {{"reason", edge.error().message}});
    }
    if (self->tls_files_ && !fresh->tls.empty()) self->tls_files_->reload(fresh->tls);
    self->store_->use_placements(placed->placements);
    self->tell_placements(*placed);
    log::info("config.reloaded", {{"file", self->config().file}});
  } while (self->reload_wanted_ && !self->stop_);
}

Result<void> run_gateway(GatewayOptions options, const std::function<void(const Ready&)>& on_ready) {
  return Gateway(std::move(options), on_ready).run();
}

}  // namespace archipel::app
