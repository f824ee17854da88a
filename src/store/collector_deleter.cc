#include "store/collector_deleter.h"

#include <algorithm>

#include "base/log.h"
#include "io/sync.h"

namespace archipel::store {
namespace {

// Something of the item is to be deleted on the island at this place of the roster.
bool wanted_at(const Deleter::Item& item, int place) {
  const int shard = item.ref.homes.shard_on(place, item.ref.geometry.code.n);
  return shard >= 0 && (item.left >> shard & 1) != 0;
}

}  // namespace

Deleter::Deleter(const crypto::Keyring& keys, std::shared_ptr<const extent::Placement> roster,
                 std::shared_ptr<const extent::RepairTable> repairs, DeleteRule rule)
    : keys_(keys),
      roster_(std::move(roster)),
      repairs_(std::move(repairs)),
      rule_(rule),
      islands_(roster_->islands.size()) {
  CHECK(rule_.per_second > 0 && rule_.at_once > 0);
}

uint32_t Deleter::willing(TimePoint now) const {
  uint32_t mask = 0;
  for (size_t i = 0; i < islands_.size(); ++i) {
    if (islands_[i].quiet_until <= now) mask |= 1u << i;
  }
  return mask;
}

io::Task<void> Deleter::run(std::vector<Item>& items, const bool& stop) {
  io::TaskScope lanes;
  std::vector<size_t> next(islands_.size(), 0);  // by island: the first item that no lane has taken
  const uint32_t willing_now = willing(io::Loop::current()->now());
  for (size_t place = 0; place < islands_.size(); ++place) {
    if ((willing_now >> place & 1) == 0) continue;
    for (int lane = 0; lane < rule_.at_once; ++lane)
      lanes.spawn(run_lane(this, &items, static_cast<int>(place), &next[place], &stop));
  }
  co_await lanes.join();
}

io::Task<void> Deleter::run_lane(Deleter* self, std::vector<Item>* items, int place, size_t* next,
                                 const bool* stop) {
  Island& island = self->islands_[static_cast<size_t>(place)];
  const Duration pace = std::chrono::seconds(1) / self->rule_.per_second;
  while (!*stop) {
    while (*next < items->size() && !wanted_at((*items)[*next], place)) ++*next;
    if (*next >= items->size()) co_return;
    TimePoint now = io::Loop::current()->now();
    if (island.quiet_until > now) co_return;
    Item& item = (*items)[(*next)++];
    const TimePoint turn = std::max(now, island.next_at);
    island.next_at = turn + pace;
    if (turn > now) co_await io::sleep_until(turn);
    const int shard = item.ref.homes.shard_on(place, item.ref.geometry.code.n);
    Result<void> removed = co_await self->remove(item.ref, shard);
    if (removed) {
      item.left &= ~(1u << shard);
      ++self->deletes_;
      continue;
    }
    now = io::Loop::current()->now();
    if (island.quiet_until <= now)
      log::warn("collect.island_failed",
                {{"island", self->roster_->islands[static_cast<size_t>(place)]->id()},
                 {"reason", removed.error().message}});
    island.quiet_until = now + self->rule_.retry_after;
    co_return;
  }
}

// Under every name that the shard may have had: what was repaired under a new name may be left under its old ones.
io::Task<Result<void>> Deleter::remove(const extent::ExtentRef& ref, int shard) {
  island::Island& island = *roster_->islands[static_cast<size_t>(ref.home(shard))];
  const Deadline deadline = io::Loop::current()->now() + rule_.deadline;
  uint32_t repairs = 0;
  if (repairs_ && ref.kind == extent::ExtentRef::Kind::data) repairs = repairs_->of(ref).repair(shard);
  for (uint32_t repair = 0; repair <= repairs; ++repair) {
    std::string name = extent::shard_name(keys_, island.id(), ref, shard, repair);
    CO_RETURN_IF_ERROR(co_await island.remove(std::move(name), deadline));
  }
  co_return Result<void>{};
}

}  // namespace archipel::store
