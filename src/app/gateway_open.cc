#include "app/gateway_impl.h"

#include <fmt/format.h>
#include <csignal>
#include <ctime>

#include "base/log.h"

namespace archipel::app {
namespace {

constexpr Duration kAccountPause = std::chrono::seconds(1);  // between two tries to write an account

// What a lease is measured with.
TimePoint time_asleep_too() {
  timespec now{};
  CHECK(clock_gettime(CLOCK_BOOTTIME, &now) == 0);
  return TimePoint(std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec));
}

}  // namespace

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
  co_await open_edge();
  index::JournalOptions options;
  if (edge_) options.on_applied = [edge = edge_.get()](const auto& mutations) { edge->changed(mutations); };
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

// The view moved behind the store: what the store keeps in memory is read again.
io::Task<void> Gateway::refresh(Gateway* self) {
  Result<void> repairs = co_await self->mending_->load(*self->journal_.kv, *self->workers_);
  if (!repairs) log::error("repairs.not_refreshed", {{"reason", repairs.error().message}});
  Result<void> fresh = co_await self->store_->refresh();
  if (!fresh) log::error("store.not_refreshed", {{"reason", fresh.error().message}});
  if (self->edge_) self->edge_->changed_altogether();
}

// Its cache: it is told of every commit from the first on.
io::Task<void> Gateway::open_edge() {
  const bool offline = options_.instead != nullptr || options_.with_store != nullptr;
  if (!config().edge || offline) co_return;
  InnerEdge::Parts parts{.loops = {},
                         .workers = *workers_,
                         .websites = [this](http::Exchange& exchange) { return handle_site(this, exchange); },
                         .domain = config().website.domain,
                         .stop = [this] { on_signal(SIGTERM); }};
  for (Core& core : cores_) parts.loops.push_back(core.loop.get());
  edge_ = std::make_unique<InnerEdge>(*config().edge, std::move(parts));
  auto open = [this] {
    edge_->open_cache();
    return true;
  };
  [[maybe_unused]] const bool opened = co_await workers_->run(open);
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

}  // namespace archipel::app
