#include "sim/world.h"

#include "store/keys.h"
#include "store/placements.h"
#include "store/registry.h"
#include "store/snapshot_hooks.h"

namespace archipel::sim {
namespace {

constexpr Duration kTimerJitter = std::chrono::microseconds(50);

}  // namespace

World::World(const Plan& p)
    : loop(p.seed * 7 + 1, kTimerJitter), dice(p.seed * 7 + 2), disk(p.seed * 7 + 3), clock(loop), plan(p) {
  auto random = seeded_random(p.seed * 7 + 4);
  keys = crypto::Keyring::generate(*random);
  for (int i = 0; i < p.code.n; ++i)
    places.push_back(std::make_shared<island::SimPlace>(loop, "island-" + std::to_string(i), dice.u64()));
}

int World::honest_faults() const {
  int count = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    bool any = false;
    for (size_t f = 0; f < island::kFaults; ++f) {
      auto fault = static_cast<island::Fault>(f);
      any = any || (!island::is_lie(fault) && places[i]->rate(fault) > 0);
    }
    if (any && static_cast<int>(i) != plan.liar) ++count;
  }
  return count;
}

void World::heal() {
  for (auto& place : places) place->heal();
}

Process::Process(World& world)
    : world_(world),
      number_(++world.processes),
      random_(seeded_random(world.dice.u64())),
      workers_(world.loop, world.dice.u64()),
      coder_(world.plan.code) {
  auto placement = std::make_shared<extent::Placement>();
  for (auto& place : world.places) {
    islands_.push_back(std::make_shared<island::SimIsland>(place, alive_));
    placement->islands.push_back(islands_.back());
  }
  std::vector<std::string> ids;
  for (const auto& island : islands_) ids.push_back(island->id());
  ledger_ = std::make_shared<store::RepairLedger>(ids);
  placement_ = std::move(placement);
  fanout_ = extent::make_fanout(workers_);
}

io::Task<Result<void>> Process::start() {
  index::JournalOptions options;
  options.dir = "sim:";
  options.files = world_.disk.files(alive_);
  options.open_view = world_.disk.open_view(alive_);
  options.code = world_.plan.code;
  options.ack.w = world_.plan.code.w();
  if (world_.plan.slow_soft) options.ack.soft_deadline_floor = options.ack.soft_deadline_max;
  options.in_flight_max = world_.plan.in_flight;
  options.create = !world_.created;
  options.rejoin_wiped = world_.plan.rejoin_wiped;
  // There is one gateway in this world, and whoever starts the next has seen the last one die. Two at a time: src/index/lease_test.cc.
  options.lease.old_gateway_is_dead = true;
  const extent::AckRule ack = options.ack;
  Result<index::Journal> journal = co_await index::open_journal(
      options, *world_.keys, *placement_, *fanout_, workers_, world_.loop, *random_, world_.clock);
  if (!journal) co_return fail(journal.error());
  journal_ = std::move(*journal);
  Result<void> loaded = co_await workers_.run(
      [this] { return store::load_repairs(*journal_.kv->snapshot(), *repairs_, *ledger_); });
  if (!loaded) co_return fail(loaded.error());
  reader_ = extent::make_extent_reader(*world_.keys, placement_, workers_, {}, repairs_);
  store::StoreOptions store_options;
  store_options.extent_plain_bytes = world_.plan.extent_plain;
  store_options.memory_budget_bytes = 32u << 20;
  store_options.pins = std::make_shared<store::Pins>();
  store_options.ledger = ledger_;
  const Placed& placed = world_.plan.placed;
  CO_ASSIGN_OR_RETURN(
      store_options.placements,
      store::Placements::make(placement_, world_.plan.code, ack,
                              {{kPlacedPolicy, placed.code, placed.homes, placed.in_commits}}));
  auto store = co_await store::open_store(store_options, *world_.keys, *journal_.kv, *journal_.committer,
                                          *fanout_, *reader_, placement_, world_.plan.code, ack, workers_,
                                          *random_, world_.clock);
  if (!store) co_return fail(store.error());
  store_ = std::move(*store);
  world_.created = world_.created || open();
  make_background(store_options.pins, ack);
  journal_.committer->on_view_changed([this] { return refresh(this); });
  collector_->start();
  compactor_->start();
  snapshots_->start();
  make_scrubber();
  if (world_.plan.scrub) scrubber_->start();
  co_return Result<void>();
}

void Process::make_background(std::shared_ptr<store::Pins> pins, const extent::AckRule& ack) {
  const Plan& plan = world_.plan;
  store::SnapshotHooks hooks = store::journal_snapshots(*journal_.committer, plan.truncation_delay);
  store::CompactionOptions compaction;
  compaction.interval = plan.compact_every;
  compaction.live_percent_max = plan.live_percent_max;
  compaction.garbage_bytes_min = 1;
  compaction.extent_bytes = plan.extent_plain;
  compaction.duty_percent = 50;
  compactor_ = store::make_compactor({.options = compaction,
                                      .keys = *world_.keys,
                                      .kv = *journal_.kv,
                                      .committer = *journal_.committer,
                                      .fanout = *fanout_,
                                      .reader = *reader_,
                                      .placement = placement_,
                                      .code = plan.code,
                                      .ack = ack,
                                      .pins = pins,
                                      .workers = workers_,
                                      .random = *random_,
                                      .home = world_.loop,
                                      .clock = world_.clock,
                                      .limit = hooks.limit});
  store::CollectorOptions collection;
  collection.interval = plan.collect_every;
  collection.grace = plan.grace;
  collection.again = plan.delete_again;
  collection.batch = 20;
  collector_ = store::make_collector({.options = collection,
                                      .keys = *world_.keys,
                                      .kv = *journal_.kv,
                                      .committer = *journal_.committer,
                                      .placement = placement_,
                                      .repairs = repairs_,
                                      .pins = std::move(pins),
                                      .workers = workers_,
                                      .home = world_.loop,
                                      .clock = world_.clock,
                                      .snapshots = std::move(hooks)});
  index::SnapshotOptions options;
  options.commits_max = plan.snapshot_commits;
  options.slot_commits = plan.slot_commits;
  options.truncation_delay = plan.truncation_delay;
  options.chunk_segments = 1;
  options.retry_pause = std::chrono::seconds(2);
  snapshots_ = index::make_snapshot_keeper({.write = {.keys = *world_.keys,
                                                      .placement = placement_,
                                                      .code = plan.code,
                                                      .ack = ack,
                                                      .fanout = *fanout_,
                                                      .committer = *journal_.committer,
                                                      .kv = *journal_.kv,
                                                      .workers = workers_,
                                                      .random = *random_,
                                                      .clock = world_.clock},
                                            .home = world_.loop,
                                            .progress = journal_.progress,
                                            .slot = journal_.slot,
                                            .w = ack.w},
                                           options);
}

void Process::make_scrubber() {
  store::ScrubberOptions options;
  options.patrol_bytes_per_second = 16u << 10;
  options.pass_every = std::chrono::seconds(20);
  options.tick = world_.plan.scrub_tick;
  options.retry_after = std::chrono::seconds(2);
  options.save_every = std::chrono::seconds(5);
  store::RepairParts parts{
      .keys = *world_.keys,
      .kv = *journal_.kv,
      .committer = *journal_.committer,
      .placement = placement_,
      .coder = coder_,
      .workers = workers_,
      .home = world_.loop,
      .clock = world_.clock,
      .table = repairs_,
      .ledger = ledger_,
      .snapshots = store::journal_snapshots(*journal_.committer, world_.plan.truncation_delay)};
  scrubber_ = store::make_scrubber({options, std::move(parts), world_.disk.files(alive_)});
}

io::Task<bool> Process::go_on(std::shared_ptr<const bool> alive) {
  co_return *alive;
}

io::Task<Result<store::ScrubReport>> Process::scrub() {
  store::Scrubber::OnProgress progress = [alive = alive_](const store::ScrubReport&) { return go_on(alive); };
  Result<store::ScrubReport> report = co_await scrubber_->pass(true, progress);
  if (report) world_.shards_repaired += report->repaired();
  co_return report;
}

Process::Extents Process::extents() const {
  Extents out;
  auto look = [&](const store::ExtentKey& key, const store::LiveRecord& record) {
    if (key.kind != extent::ExtentRef::Kind::data) return true;
    ++(record.ref.homes.standard() ? out.elsewhere : out.placed);
    // The name that a shard would have at a place it has no business at; geometry is not in it.
    extent::ExtentRef anywhere = record.ref;
    anywhere.homes = {};
    anywhere.geometry.code = {9, 6};
    const uint32_t homes = record.ref.homes.mask(record.ref.geometry.code.n);
    for (size_t i = 0; i < world_.places.size(); ++i) {
      if ((homes >> i & 1) != 0) continue;
      island::SimPlace& place = *world_.places[i];
      if (place.blobs().contains(extent::shard_name(*world_.keys, place.id(), anywhere, static_cast<int>(i))))
        out.strays.push_back(place.id() + " holds a shard of extent " + std::to_string(key.id.epoch) + "/" +
                             std::to_string(key.id.counter) + ", which has no home there");
    }
    return true;
  };
  auto view = journal_.kv->snapshot();
  Result<void> done = store::scan_live(*view, {extent::ExtentRef::Kind::data, {}}, look);
  CHECK(done.has_value());
  auto of_version = [&](std::string_view key, std::string_view value, std::string*) {
    const std::string bucket(key.substr(2, key.find('\0') - 2));
    Result<store::VersionRecord> version = store::decode_version(value);
    CHECK(version.has_value());
    const bool placed =
        view->get(store::config_key(bucket, store::kPlacementDocument)).value_or(std::nullopt).has_value();
    for (const store::Slice& slice : version->slices)
      if (!lies_right(slice.storage, placed))
        out.strays.push_back("an object of " + bucket + " lies as those of another placement class");
    return true;
  };
  for (const char* prefix : {"o/", "v/"})
    CHECK(view->scan(prefix, store::after_prefix(prefix), of_version).has_value());
  return out;
}

// Small bodies of either class may ride in commits, if the second one says so; compaction moves those to the journal's islands.
bool Process::lies_right(const store::Storage& storage, bool placed) const {
  const Placed& second = world_.plan.placed;
  if (!storage.small.empty()) return !placed || second.in_commits;
  const extent::Homes homes = placed ? *extent::Homes::of(second.homes) : extent::Homes();
  const erasure::Code code = placed ? second.code : world_.plan.code;
  return std::ranges::all_of(storage.extents, [&](const store::ExtentRun& run) {
    return run.ref.homes == homes && run.ref.geometry.code == code;
  });
}

io::Task<void> Process::refresh(Process* self) {
  Result<void> fresh = co_await self->store_->refresh();
  CHECK(fresh.has_value());
}

io::Task<void> Process::close() {
  while (users_ > 0) co_await idle_.wait();
  if (scrubber_) co_await scrubber_->close();
  if (collector_) {
    co_await collector_->close();
    const store::Collector::Counts& counts = collector_->counts();
    world_.collected.doomed_deleted += counts.doomed_deleted;
    world_.collected.orphans += counts.orphans;
    world_.collected.commits += counts.commits;
    world_.collected.deleted_twice += counts.deleted_twice;
    world_.collected.islands_deletes += counts.islands_deletes;
  }
  if (compactor_) {
    co_await compactor_->close();
    world_.compacted.passes += compactor_->counts().passes;
    world_.compacted.streams += compactor_->counts().streams;
    world_.compacted.left_behind += compactor_->counts().left_behind;
  }
  if (store_) co_await store_->drain();
  if (snapshots_) co_await snapshots_->close();
  if (journal_.committer) co_await journal_.committer->close();
  co_await fanout_->drain();
  if (reader_) co_await reader_->drain();
  scrubber_.reset();
  collector_.reset();
  compactor_.reset();
  snapshots_.reset();
  store_.reset();
  reader_.reset();
  journal_ = index::Journal();
}

void Process::die() {
  *alive_ = false;
}

}  // namespace archipel::sim
