#include "sim/world.h"

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
      workers_(world.loop, world.dice.u64()) {
  auto placement = std::make_shared<extent::Placement>();
  for (auto& place : world.places) {
    islands_.push_back(std::make_shared<island::SimIsland>(place, alive_));
    placement->islands.push_back(islands_.back());
  }
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
  const extent::AckRule ack = options.ack;
  Result<index::Journal> journal = co_await index::open_journal(
      options, *world_.keys, *placement_, *fanout_, workers_, world_.loop, *random_, world_.clock);
  if (!journal) co_return fail(journal.error());
  journal_ = std::move(*journal);
  reader_ = extent::make_extent_reader(*world_.keys, placement_, workers_);
  store::StoreOptions store_options;
  store_options.extent_plain_bytes = world_.plan.extent_plain;
  store_options.memory_budget_bytes = 32u << 20;
  store_options.pins = std::make_shared<store::Pins>();
  auto store = co_await store::open_store(store_options, *world_.keys, *journal_.kv, *journal_.committer,
                                          *fanout_, *reader_, placement_, world_.plan.code, ack, workers_,
                                          *random_, world_.clock);
  if (!store) co_return fail(store.error());
  store_ = std::move(*store);
  world_.created = world_.created || open();
  make_collector(store_options.pins);
  journal_.committer->on_view_changed([this] { return refresh(this); });
  collector_->start();
  co_return Result<void>();
}

// What takes days takes seconds here.
void Process::make_collector(std::shared_ptr<store::Pins> pins) {
  store::CollectorOptions options;
  options.interval = std::chrono::seconds(4);
  options.grace = std::chrono::seconds(3);
  options.again = std::chrono::seconds(20);
  options.batch = 20;
  collector_ = store::make_collector({.options = options,
                                      .keys = *world_.keys,
                                      .kv = *journal_.kv,
                                      .committer = *journal_.committer,
                                      .placement = placement_,
                                      .repairs = nullptr,
                                      .pins = std::move(pins),
                                      .workers = workers_,
                                      .home = world_.loop,
                                      .clock = world_.clock,
                                      .snapshots = {}});
}

io::Task<void> Process::refresh(Process* self) {
  Result<void> fresh = co_await self->store_->refresh();
  CHECK(fresh.has_value());
}

io::Task<void> Process::close() {
  while (users_ > 0) co_await idle_.wait();
  if (collector_) {
    co_await collector_->close();
    const store::Collector::Counts& counts = collector_->counts();
    world_.collected.doomed_deleted += counts.doomed_deleted;
    world_.collected.orphans += counts.orphans;
    world_.collected.commits += counts.commits;
    world_.collected.deleted_twice += counts.deleted_twice;
    world_.collected.islands_deletes += counts.islands_deletes;
  }
  if (store_) co_await store_->drain();
  if (journal_.committer) co_await journal_.committer->close();
  co_await fanout_->drain();
  if (reader_) co_await reader_->drain();
  collector_.reset();
  store_.reset();
  reader_.reset();
  journal_ = index::Journal();
}

void Process::die() {
  *alive_ = false;
}

}  // namespace archipel::sim
