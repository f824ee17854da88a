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
  options.create = number_ == 1;
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
  auto store = co_await store::open_store(store_options, *world_.keys, *journal_.kv, *journal_.committer,
                                          *fanout_, *reader_, placement_, world_.plan.code, ack, workers_,
                                          *random_, world_.clock);
  if (!store) co_return fail(store.error());
  store_ = std::move(*store);
  co_return Result<void>();
}

io::Task<void> Process::close() {
  while (users_ > 0) co_await idle_.wait();
  if (store_) co_await store_->drain();
  if (journal_.committer) co_await journal_.committer->close();
  co_await fanout_->drain();
  if (reader_) co_await reader_->drain();
  store_.reset();
  reader_.reset();
  journal_ = index::Journal();
}

void Process::die() {
  *alive_ = false;
}

}  // namespace archipel::sim
