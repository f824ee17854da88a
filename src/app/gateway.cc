#include "app/gateway.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <thread>

#include "app/admin.h"
#include "app/guard.h"
#include "app/identities.h"
#include "app/islands.h"
#include "app/json.h"
#include "app/mending.h"
#include "app/own_port.h"
#include "app/placements.h"
#include "app/ports.h"
#include "app/private_file.h"
#include "app/tls_files.h"
#include "base/log.h"
#include "base/metrics.h"
#include "crypto/keyring.h"
#include "door/s3/access_log.h"
#include "door/s3/door.h"
#include "door/s3/settings.h"
#include "door/site/site.h"
#include "extent/extent.h"
#include "http/server.h"
#include "index/journal.h"
#include "index/snapshot_keeper.h"
#include "io/signals.h"
#include "io/sync.h"
#include "io/workers.h"
#include "island/health.h"
#include "store/collector.h"
#include "store/compaction.h"
#include "store/give_up.h"
#include "store/lifecycle.h"
#include "store/repair_records.h"
#include "store/snapshot_hooks.h"
#include "store/store.h"

namespace archipel::app {
namespace {

// Threads for the view's reads and writes, and for long computations. Islands have threads of their own: one that hangs takes none of these.
constexpr int kWorkerThreads = 8;

// After the journal is closed: how long what is left under way at islands may take. A call to a dead mount may never end.
constexpr Duration kStragglersMax = std::chrono::seconds(10);
constexpr Duration kMarkerDeadline = std::chrono::seconds(10);
constexpr Duration kStartGrace =
    std::chrono::seconds(2);  // for a start to end by itself when the process is told to
constexpr Duration kAccountPause = std::chrono::seconds(1);  // between two tries to write an account

log::Level level_of(const std::string& name) {
  if (name == "debug") return log::Level::debug;
  if (name == "warn") return log::Level::warn;
  if (name == "error") return log::Level::error;
  return log::Level::info;
}

void apply_log_config(const Config& config) {
  log::set_level(level_of(config.log_level));
  log::set_json(config.log_json);
}

// protocol.md §8: a gateway's memory holds keys; it never reaches a core file or another process of the same user. What
// it writes, the view above all, is for its own user only.
void harden_process() {
  umask(077);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
}

// What a lease is measured with.
TimePoint time_asleep_too() {
  timespec now{};
  CHECK(clock_gettime(CLOCK_BOOTTIME, &now) == 0);
  return TimePoint(std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec));
}

io::Task<void> tell_metrics(AdminReply& reply) {
  std::string all = metrics::expose();
  if (all.ends_with('\n')) all.pop_back();
  [[maybe_unused]] Result<void> said = co_await reply.line(std::move(all));
}

class Gateway {
 public:
  Gateway(GatewayOptions options, const std::function<void(const Ready&)>& on_ready)
      : options_(std::move(options)), on_ready_(on_ready) {}

  Result<void> run();

 private:
  // One event loop with its thread; loop 0 runs on the main thread.
  struct Core {
    std::unique_ptr<io::Loop> loop;
    std::thread thread;
  };

  // Policies that a configuration's placements were made of.
  struct Placed {
    std::shared_ptr<const store::Placements> placements;
    std::vector<exposure::Solution> solutions;
  };

  io::Task<void> live();
  void leave();
  void leave_half_open();
  io::Task<Result<void>> open();
  void make_collection(const std::shared_ptr<store::Pins>& pins, const extent::AckRule& ack,
                       Duration truncation_delay);
  io::Task<Result<void>> ensure_account();
  static io::Task<void> refresh(Gateway* self);
  static io::Task<void> write_account_later(Gateway* self);
  void add_routes();
  static io::Task<void> snapshot_now(Gateway* self, AdminReply& reply);
  static io::Task<void> identity(Gateway* self, AdminReply& reply);
  static io::Task<void> tell_islands(Gateway* self, AdminReply& reply);
  static io::Task<void> rejoin(Gateway* self, AdminReply& reply);
  Result<void> listen();
  Result<void> listen_for_sites(const http::Limits& limits);
  static io::Task<void> handle(Gateway* gateway, http::Exchange& exchange);
  static io::Task<void> handle_site(Gateway* gateway, http::Exchange& exchange);
  static io::Task<void> handle_admin(Gateway* gateway, http::Exchange& exchange);
  void on_signal(int signal);
  static io::Task<void> reload(Gateway* self);
  Result<Placed> place(const Config& config) const;
  void tell_placements(const Placed& placed) const;

  const Config& config() const { return options_.config; }
  io::Loop& home() { return *cores_.front().loop; }

  GatewayOptions options_;
  const std::function<void(const Ready&)>& on_ready_;
  Ready ready_;
  Result<void> outcome_;

  std::unique_ptr<crypto::Keyring> keys_;
  std::vector<Core> cores_;
  std::unique_ptr<io::Workers> workers_;
  std::unique_ptr<Guard> guard_;
  std::shared_ptr<const extent::Placement> placement_;
  extent::AckRule ack_;
  std::unique_ptr<extent::Fanout> fanout_;
  std::unique_ptr<extent::ExtentReader> reader_;
  index::Journal journal_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Mending> mending_;
  std::unique_ptr<store::Collector> collector_;
  std::unique_ptr<index::SnapshotKeeper> snapshots_;
  std::unique_ptr<store::Compactor> compactor_;
  std::unique_ptr<store::Lifecycle> lifecycle_;
  std::shared_ptr<door::s3::AccessLog> access_log_;
  std::unique_ptr<door::s3::Door> door_;
  std::unique_ptr<door::site::Site> site_;  // with [website] http or https
  std::unique_ptr<io::SignalWatch> signals_;
  std::shared_ptr<io::TlsContext> tls_;  // with [listen] https
  std::unique_ptr<TlsFiles> tls_files_;
  std::unique_ptr<Admin> commands_;
  std::unique_ptr<Ports> ports_;

  std::atomic<int> requests_{0};      // of clients, under way on all loops
  std::atomic<bool> serving_{false};  // /readyz
  bool stop_ = false;                 // home loop only
  bool opened_ = false;               // home loop only: open() is over
  bool reload_wanted_ = false;        // home loop only: told to while it could not
  io::TaskScope reloads_;             // one at a time
  bool account_pending_ = false;      // home loop only
  io::Event changed_;                 // stop_ changed; home loop only
};

Result<void> Gateway::run() {
  harden_process();
  apply_log_config(config());
  ASSIGN_OR_RETURN(std::string passphrase, read_passphrase(config()));
  ASSIGN_OR_RETURN(keys_, crypto::Keyring::load(config().keyring_path, passphrase));
  crypto::secure_clear(passphrase.data(), passphrase.size());

  int threads = config().threads != 0
                    ? config().threads
                    : static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 64u));
  cores_.resize(static_cast<size_t>(threads));
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
    on_ready_(ready_);
    if (std::exchange(reload_wanted_, false)) reloads_.spawn(reload(this));
    std::optional<io::Task<void>> account;
    if (account_pending_) account.emplace(write_account_later(this));
    while (!stop_) co_await changed_.wait();
    serving_ = false;
    log::info("gateway.draining");
    if (account) co_await std::move(*account);
  }
  if (ports_) ports_->drain();
  if (stop_ && mending_) co_await mending_->close();  // a pass that a command waits for ends here
  if (commands_) co_await commands_->close();
  if (tls_files_) co_await tls_files_->close();
  if (ports_) co_await ports_->join();
  co_await reloads_.join();
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

io::Task<Result<void>> Gateway::open() {
  CO_RETURN_IF_ERROR(make_private_directory(config().dir));
  guard_ = std::make_unique<Guard>(make_islands(config(), options_.demo), *keys_, home());
  placement_ = std::make_shared<extent::Placement>(extent::Placement{guard_->islands()});
  fanout_ = extent::make_fanout(*workers_);

  extent::AckRule ack;
  ack.w = config().code.w();
  ack_ = ack;
  // Before anything is written: a policy that cannot hold is an error of the configuration.
  auto place_all = [this] { return place(config()); };
  auto placed = co_await workers_->run(place_all);
  if (!placed) co_return fail(std::move(placed).error());
  tell_placements(*placed);

  mending_ = std::make_unique<Mending>(*placement_);
  index::JournalOptions options;
  options.on_debt = mending_->on_debt(system_clock());
  options.dir = config().dir;
  options.code = config().code;
  options.ack = ack;
  std::string token = new_realm_token(config());
  options.create = access(token.c_str(), F_OK) == 0;
  options.rejoin_wiped = options_.demo;
  options.rebuilt = store::rebuilt_shards;
  options.lease.time = time_asleep_too;
  options.lease.old_gateway_is_dead = options_.old_gateway_is_dead;
  options.attested = options_.attested;
  auto journal = co_await index::open_journal(options, *keys_, *placement_, *fanout_, *workers_, home(),
                                              system_random(), system_clock());
  if (!journal) co_return fail(std::move(journal).error());
  journal_ = std::move(*journal);
  if (options.create && journal_.committer->open()) unlink(token.c_str());
  if (!journal_.committer->open())
    ready_.notes.push_back(fmt::format("Read-only for now: {}.", journal_.committer->closed_because()));
  for (const index::IslandReport& island : journal_.islands) {
    using State = index::IslandReport::State;
    if (island.state == State::rejoined)
      ready_.notes.push_back(
          fmt::format("Island {} was lost and rejoined empty: {}.", island.id, island.reason));
    if (island.state == State::lost)
      ready_.notes.push_back(fmt::format("Island {} is lost: {}.", island.id, island.reason));
    if (island.state == State::unreachable)
      ready_.notes.push_back(fmt::format("Island {} is unreachable: {}.", island.id, island.reason));
  }

  guard_->begin_with(journal_.islands);
  guard_->start();
  CO_RETURN_IF_ERROR(co_await mending_->load(*journal_.kv, *workers_));
  reader_ = extent::make_extent_reader(*keys_, placement_, *workers_, {}, mending_->table());
  store::StoreOptions store_options;
  store_options.memory_budget_bytes = static_cast<uint64_t>(config().memory_budget_mib) << 20;
  store_options.ledger = mending_->ledger();
  store_options.pins = std::make_shared<store::Pins>();
  store_options.placements = placed->placements;
  auto store =
      co_await store::open_store(store_options, *keys_, *journal_.kv, *journal_.committer, *fanout_, *reader_,
                                 placement_, config().code, ack, *workers_, system_random(), system_clock());
  if (!store) co_return fail(std::move(store).error());
  store_ = std::move(*store);
  index::SnapshotOptions snapshot_options;
  snapshot_options.journal_bytes_min = static_cast<uint64_t>(config().collection.snapshot_mib) << 20;
  snapshot_options.truncation_delay = std::chrono::seconds(config().collection.truncation_delay_s);
  make_collection(store_options.pins, ack, snapshot_options.truncation_delay);
  mending_->make(
      {.config = config(),
       .keys = *keys_,
       .journal = journal_,
       .placement = placement_,
       .workers = *workers_,
       .home = home(),
       .clock = system_clock(),
       .snapshots = store::journal_snapshots(*journal_.committer, snapshot_options.truncation_delay),
       .busy = [this] { return requests_.load(std::memory_order_relaxed) > 0; }});
  snapshots_ = index::make_snapshot_keeper(
      {.write = {.keys = *keys_,
                 .placement = placement_,
                 .code = config().code,
                 .ack = ack,
                 .fanout = *fanout_,
                 .committer = *journal_.committer,
                 .kv = *journal_.kv,
                 .workers = *workers_,
                 .random = system_random(),
                 .clock = system_clock()},
       .home = home(),
       .progress = journal_.progress,
       .slot = journal_.slot,
       .w = ack.w,
       .may_write = [this] { return journal_.lease->gate().may_write(); },
       .adopted = mending_->on_snapshot(),
       .abandoned =
           [this](std::vector<extent::ExtentRef> chunks) {
             return store::give_up(*journal_.committer, system_clock(), std::move(chunks));
           }},
      snapshot_options);
  journal_.committer->on_view_changed([this] { return refresh(this); });
  Result<void> account = co_await ensure_account();
  // A journal that is read-only takes no account; the gateway that finds it open does.
  if (!account && journal_.committer->open()) co_return account;
  if (!account)
    ready_.notes.push_back(
        fmt::format("The account of the configuration is not written yet: {}.", account.error().message));
  account_pending_ = !account;
  add_routes();
  door::s3::AccessLogOptions logging;
  logging.interval = std::chrono::seconds(config().access_log_interval_s);
  logging.region = config().region;
  access_log_ =
      std::make_shared<door::s3::AccessLog>(logging, *store_, home(), system_clock(), system_random(),
                                            [this] { return journal_.committer->open(); });
  door::s3::Options door_options{config().region, config().virtual_host_base, config().sigv2};
  door_options.access_log = access_log_;
  door_ = std::make_unique<door::s3::Door>(std::move(door_options), *store_, system_clock(), workers_.get());
  co_return Result<void>{};
}

io::Task<void> Gateway::write_account_later(Gateway* self) {
  while (!self->stop_ && self->account_pending_) {
    if (self->journal_.committer->open()) {
      Result<void> done = co_await self->ensure_account();
      self->account_pending_ = !done;
      if (!done) log::warn("account.not_written", {{"reason", done.error().message}});
    }
    co_await self->changed_.wait(self->home().now() + kAccountPause);
  }
}

// The view moved behind the store: what the store keeps in memory is read again.
io::Task<void> Gateway::refresh(Gateway* self) {
  Result<void> repairs = co_await self->mending_->load(*self->journal_.kv, *self->workers_);
  if (!repairs) log::error("repairs.not_refreshed", {{"reason", repairs.error().message}});
  Result<void> fresh = co_await self->store_->refresh();
  if (!fresh) log::error("store.not_refreshed", {{"reason", fresh.error().message}});
}

// What deletes in the background what nobody needs, and moves together what is left.
void Gateway::make_collection(const std::shared_ptr<store::Pins>& pins, const extent::AckRule& ack,
                              Duration truncation_delay) {
  store::SnapshotHooks snapshots = store::journal_snapshots(*journal_.committer, truncation_delay);
  const Config::Collection& settings = config().collection;
  store::CompactionOptions compacting;
  compacting.interval = std::chrono::seconds(10 * settings.interval_s);
  compacting.garbage_bytes_min = static_cast<uint64_t>(settings.compact_mib) << 20;
  store::CollectorOptions collecting;
  collecting.interval = std::chrono::seconds(settings.interval_s);
  collecting.grace = std::chrono::seconds(settings.grace_s);
  collecting.again = std::chrono::seconds(settings.repeat_s);
  compactor_ = store::make_compactor({.options = compacting,
                                      .keys = *keys_,
                                      .kv = *journal_.kv,
                                      .committer = *journal_.committer,
                                      .fanout = *fanout_,
                                      .reader = *reader_,
                                      .placement = placement_,
                                      .code = config().code,
                                      .ack = ack,
                                      .pins = pins,
                                      .workers = *workers_,
                                      .random = system_random(),
                                      .home = home(),
                                      .clock = system_clock(),
                                      .limit = snapshots.limit});
  collector_ = store::make_collector({.options = collecting,
                                      .keys = *keys_,
                                      .kv = *journal_.kv,
                                      .committer = *journal_.committer,
                                      .placement = placement_,
                                      .repairs = mending_->table(),
                                      .pins = pins,
                                      .workers = *workers_,
                                      .home = home(),
                                      .clock = system_clock(),
                                      .snapshots = std::move(snapshots)});
  store::LifecycleOptions expiring;
  expiring.interval = std::chrono::seconds(config().lifecycle.interval_s);
  expiring.day.ms = config().lifecycle.day_seconds * int64_t{1000};
  lifecycle_ = store::make_lifecycle(
      {.options = expiring,
       .store = *store_,
       .rules = [](const store::BucketInfo& b) { return door::s3::read_settings(b.configs).lifecycle; },
       .may_write = [this] { return journal_.committer->open(); },
       .home = home(),
       .clock = system_clock()});
}

// The first account: the demo's own, or the one whose credentials [owner] names. A changed key replaces the old one.
io::Task<Result<void>> Gateway::ensure_account() {
  std::string name = options_.demo ? "demo" : "owner";
  std::optional<Credentials> wanted = options_.demo_credentials;
  if (!options_.demo && config().credentials_file) {
    auto read = read_credentials(*config().credentials_file);
    if (!read) co_return fail(read.error());
    wanted = std::move(*read);
  }
  auto accounts = co_await store_->list_accounts();
  if (!accounts) co_return fail(std::move(accounts).error());
  store::Account account;
  for (store::Account& known : *accounts)
    if (known.display_name == name) account = std::move(known);
  bool changed =
      wanted && (wanted->access_key != account.access_key || wanted->secret_key != account.secret_key);
  if (account.id.empty() && !wanted && options_.demo) {
    wanted = generate_credentials(system_random());
    changed = true;
  }
  if (changed) {
    if (account.id.empty()) account.id = hex(system_random().bytes<32>());
    account.display_name = name;
    account.access_key = wanted->access_key;
    account.secret_key = wanted->secret_key;
    auto put = co_await store_->put_account(account);
    if (!put) co_return fail(std::move(put).error());
  }
  if (options_.demo) {
    ready_.access_key = account.access_key;
    ready_.secret_key = account.secret_key;
  } else if (accounts->empty() && !changed) {
    ready_.notes.push_back(
        "There is no account yet, so nobody can sign in: name a credentials_file in [owner].");
  }
  co_return Result<void>{};
}

// Before a long maintenance, say: the next start then reads little of the journal.
io::Task<void> Gateway::snapshot_now(Gateway* self, AdminReply& reply) {
  Result<void> written = co_await self->snapshots_->snapshot_now();
  if (!written) {
    co_await reply.refuse(503, written.error().message);
    co_return;
  }
  [[maybe_unused]] auto sent = co_await reply.line("{\"event\":\"done\"}");
}

// What commands may ask of a running gateway (app/admin.h). Handlers run on the home loop.
void Gateway::add_routes() {
  commands_ = std::make_unique<Admin>(home());
  commands_->add("GET", "/metrics", tell_metrics);
  commands_->add("POST", "/snapshot", [this](AdminReply& reply) { return snapshot_now(this, reply); });
  mending_->add_routes(*commands_);
  commands_->add("POST", "/identity", [this](AdminReply& reply) { return identity(this, reply); });
  commands_->add("GET", "/islands", [this](AdminReply& reply) { return tell_islands(this, reply); });
  commands_->add("POST", "/island/rejoin", [this](AdminReply& reply) { return rejoin(this, reply); });
}

// `archipel account|user|role`.
io::Task<void> Gateway::identity(Gateway* self, AdminReply& reply) {
  auto fields = co_await reply.form(kIdentityFormBytesMax);
  Result<std::vector<std::string>> lines = fail(Code::invalid, "the request cannot be read");
  if (fields)
    lines =
        co_await run_identity_operation(*self->store_, system_random(), system_clock(), std::move(*fields));
  if (!lines) {
    const Code code = lines.error().code;
    // 404 would mean that there is no such route.
    const int status = code == Code::exists                                 ? 409
                       : code == Code::unavailable || code == Code::timeout ? 503
                                                                            : 400;
    co_await reply.refuse(status, lines.error().message);
    co_return;
  }
  for (std::string& line : *lines) {
    Result<void> said = co_await reply.line(std::move(line));
    if (!said) co_return;
  }
}

// How each island has been answering this gateway.
io::Task<void> Gateway::tell_islands(Gateway* self, AdminReply& reply) {
  for (const auto& island : self->placement_->islands) {
    island::Health& health = island->health();
    JsonObject line;
    line.text("event", "health")
        .text("id", island->id())
        .text("breaker", health.breaker_open() ? "open" : "closed");
    line.number("wrong_cells", static_cast<int64_t>(health.wrong_cells()));
    for (auto [name, op] : {std::pair("put_p95_us", island::Health::Op::put),
                            std::pair("get_p95_us", island::Health::Op::get)}) {
      if (std::optional<Duration> p95 = health.p95(op))
        line.number(name, std::chrono::duration_cast<std::chrono::microseconds>(*p95).count());
    }
    Result<void> said = co_await reply.line(line.str());
    if (!said) co_return;
  }
}

io::Task<void> Gateway::rejoin(Gateway* self, AdminReply& reply) {
  const std::string id = reply.query("id").value_or("");
  // Looked at before the epoch is closed for nothing.
  const auto& islands = self->placement_->islands;
  auto island = std::ranges::find_if(islands, [&](const auto& i) { return i->id() == id; });
  if (island == islands.end()) {
    co_await reply.refuse(
        409, fmt::format("this gateway has no island '{}'; was it started with another configuration?", id));
    co_return;
  }
  Result<Buffer> marker = co_await (*island)->read_marker(self->home().now() + kMarkerDeadline);
  if (marker || marker.error().code != Code::not_found) {
    const std::string why = marker ? "it has a marker" : marker.error().message;
    co_await reply.refuse(409, fmt::format("island {}: there is nothing to rejoin: {}", id, why));
    co_return;
  }
  std::vector<std::string> rejoining{id};
  Result<void> done = co_await self->journal_.committer->reopen(std::move(rejoining));
  if (!done) {
    const int status = done.error().code == Code::unavailable ? 503 : 409;
    co_await reply.refuse(status, done.error().message);
    co_return;
  }
  const index::CommitPosition now = self->journal_.committer->applied();
  JsonObject line;
  line.text("event", "rejoined").text("id", id).number("epoch", static_cast<int64_t>(now.epoch));
  [[maybe_unused]] Result<void> said = co_await reply.line(line.str());
}

Result<void> Gateway::listen() {
  std::vector<io::Loop*> loops;
  for (Core& core : cores_) loops.push_back(core.loop.get());
  ports_ = std::make_unique<Ports>(std::move(loops));
  http::Limits limits;
  limits.body_rate_min = static_cast<uint32_t>(config().upload_rate_min);
  limits.connections_max = std::max(1, config().connections_max / static_cast<int>(cores_.size()));
  if (!config().tls.empty()) {
    tls_ = io::make_tls_context(system_random(), system_clock());
    tls_files_ = std::make_unique<TlsFiles>(*tls_, *workers_, system_clock());
    RETURN_IF_ERROR(tls_files_->load(config().tls));
  }
  Ports::Service s3 =
      ports_->add([this](http::Exchange& exchange) { return handle(this, exchange); }, limits,
                  [this](int status, std::string_view why) { return door_->page(status, why); });
  ASSIGN_OR_RETURN(ready_.address, ports_->listen(s3, config().listen));
  if (config().tls_listen) {
    ASSIGN_OR_RETURN(ready_.tls_address, ports_->listen(s3, *config().tls_listen, tls_));
  }
  RETURN_IF_ERROR(listen_for_sites(limits));
  if (config().admin_listen) {
    Ports::Service admin =
        ports_->add([this](http::Exchange& exchange) { return handle_admin(this, exchange); }, limits,
                    http::plain_page, Ports::Where::home_loop);
    ASSIGN_OR_RETURN(std::string address, ports_->listen(admin, *config().admin_listen));
    log::info("admin.listening", {{"address", address}});
  }
  RETURN_IF_ERROR(commands_->listen(config().dir));
  ports_->serve();
  ready_.region = config().region;
  return {};
}

// Buckets as websites, on ports of their own: browsers there must never meet the S3 door's errors, nor its other methods.
Result<void> Gateway::listen_for_sites(const http::Limits& limits) {
  const Config::Website& wanted = config().website;
  if (!wanted.http && !wanted.https) return {};
  site_ = std::make_unique<door::site::Site>(door::site::Options{.domain = wanted.domain}, *store_, *door_);
  Ports::Service sites = ports_->add([this](http::Exchange& exchange) { return handle_site(this, exchange); },
                                     limits, &door::site::Site::page);
  if (wanted.http) {
    ASSIGN_OR_RETURN(ready_.website_address, ports_->listen(sites, *wanted.http));
  }
  if (wanted.https) {
    ASSIGN_OR_RETURN(ready_.website_tls_address, ports_->listen(sites, *wanted.https, tls_));
  }
  return {};
}

io::Task<void> Gateway::handle(Gateway* gateway, http::Exchange& exchange) {
  bool admin = !gateway->config().admin_listen &&
               is_admin_on_own_port(exchange.request(), gateway->config().virtual_host_base);
  if (admin) {
    co_await handle_admin(gateway, exchange);
  } else if (!gateway->journal_.committer->may_read()) {
    // Another gateway may have acknowledged what this one does not know of.
    http::Page page = gateway->door_->page(
        503, "this gateway's lease is stale: " + gateway->journal_.committer->closed_because());
    [[maybe_unused]] Result<void> sent =
        co_await exchange.respond(std::move(page.response), std::move(page.body));
  } else {
    gateway->requests_.fetch_add(1, std::memory_order_relaxed);
    co_await gateway->door_->handle(exchange);
    gateway->requests_.fetch_sub(1, std::memory_order_relaxed);
  }
}

io::Task<void> Gateway::handle_site(Gateway* gateway, http::Exchange& exchange) {
  if (!gateway->journal_.committer->may_read()) {
    http::Page page = door::site::Site::page(503, "this gateway's lease is stale");
    [[maybe_unused]] Result<void> sent =
        co_await exchange.respond(std::move(page.response), std::move(page.body));
    co_return;
  }
  gateway->requests_.fetch_add(1, std::memory_order_relaxed);
  co_await gateway->site_->handle(exchange);
  gateway->requests_.fetch_sub(1, std::memory_order_relaxed);
}

io::Task<void> Gateway::handle_admin(Gateway* gateway, http::Exchange& exchange) {
  http::Response response;
  response.headers.add("content-type", "text/plain; charset=utf-8");
  std::string body;
  std::string_view path = exchange.request().path();
  const std::string& method = exchange.request().method;
  if (method != "GET" && method != "HEAD") {
    response.status = 405;
    response.headers.add("allow", "GET, HEAD");
    body = "only GET and HEAD are answered here\n";
  } else if (path == "/metrics") {
    response.headers.set("content-type", "text/plain; version=0.0.4; charset=utf-8");
    body = metrics::expose();
  } else if (path == "/healthz") {
    body = "ok\n";
  } else if (path == "/readyz") {
    bool open = gateway->journal_.committer->open();
    bool ready = gateway->serving_ && open && gateway->journal_.committer->may_read();
    response.status = ready ? 200 : 503;
    if (!gateway->journal_.committer->may_read())
      body = fmt::format("nothing is served, the lease is stale: {}\n",
                         gateway->journal_.committer->closed_because());
    else if (open)
      body = ready ? "ready\n" : "draining\n";
    else
      body =
          fmt::format("reads go on, writes are refused: {}\n", gateway->journal_.committer->closed_because());
  } else {
    response.status = 404;
    body = "only /metrics, /healthz and /readyz are here\n";
  }
  // A client that went away needs no answer.
  [[maybe_unused]] auto sent = co_await exchange.respond(std::move(response), std::move(body));
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

// Where the bodies of buckets go from now on. On a worker.
Result<Gateway::Placed> Gateway::place(const Config& from) const {
  ASSIGN_OR_RETURN(exposure::FactsFile file, exposure::load_config_facts(from.file));
  ASSIGN_OR_RETURN(SolvedPolicies solved, solve_policies(std::move(file), from, ids_of(*placement_)));
  Placed out;
  ASSIGN_OR_RETURN(out.placements, make_placements(solved, from, placement_, ack_));
  out.solutions = std::move(solved.solutions);
  return out;
}

void Gateway::tell_placements(const Placed& placed) const {
  for (const exposure::Solution& solution : placed.solutions) {
    const exposure::Placing& placing = solution.placing;
    log::info("placement.policy", {{"policy", placing.policy},
                                   {"code", fmt::format("{},{}", placing.code.n, placing.code.k)},
                                   {"islands", fmt::format("{}", fmt::join(placing.islands, " "))}});
    for (const std::string& warning : solution.warnings)
      log::warn("placement.warning", {{"policy", placing.policy}, {"reason", warning}});
  }
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
    apply_log_config(self->config());
    if (self->tls_files_ && !fresh->tls.empty()) self->tls_files_->reload(fresh->tls);
    self->store_->use_placements(placed->placements);
    self->tell_placements(*placed);
    log::info("config.reloaded", {{"file", self->config().file}});
  } while (self->reload_wanted_ && !self->stop_);
}

}  // namespace

Result<void> run_gateway(GatewayOptions options, const std::function<void(const Ready&)>& on_ready) {
  return Gateway(std::move(options), on_ready).run();
}

}  // namespace archipel::app
