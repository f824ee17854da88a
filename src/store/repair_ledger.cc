#include "store/repair_ledger.h"

#include <algorithm>

namespace archipel::store {

struct RepairLedger::Gauges {
  struct One {
    metrics::Gauge shards, age;
    explicit One(const std::string& island)
        : shards("archipel_repair_debt_shards", "Shards that this island should hold and does not",
                 {{"island", island}}),
          age("archipel_repair_debt_age_seconds", "How long the oldest of them has been missing",
              {{"island", island}}) {}
  };
  std::vector<std::unique_ptr<One>> islands;
  metrics::Gauge shards{"archipel_repair_debt_missing_shards", "Missing shards over all islands"};
  metrics::Gauge age{"archipel_repair_debt_oldest_seconds",
                     "How long the oldest missing shard has been missing, over all islands"};
};

RepairLedger::RepairLedger(const std::vector<std::string>& islands)
    : islands_(islands.size()), gauges_(std::make_unique<Gauges>()) {
  for (const std::string& id : islands) gauges_->islands.push_back(std::make_unique<Gauges::One>(id));
}
RepairLedger::~RepairLedger() = default;

void RepairLedger::count(uint32_t missing, int64_t sign) {
  for (size_t i = 0; i < islands_.size(); ++i)
    if ((missing >> i & 1) != 0)
      islands_[i].listed = static_cast<uint64_t>(static_cast<int64_t>(islands_[i].listed) + sign);
}

void RepairLedger::owe(const ExtentKey& key, uint32_t missing, UnixMs since_ms) {
  if (missing == 0) return;
  std::lock_guard lock(mutex_);
  auto found = debts_.find(key);
  if (found == debts_.end()) {
    if (debts_.size() >= kDebtsMax) {
      overflow_ = true;
      return;
    }
    found = debts_.emplace(key, Debt{key, 0, since_ms}).first;
  }
  Debt& debt = found->second;
  count(missing & ~debt.missing, 1);
  debt.missing |= missing;
  debt.since_ms = std::min(debt.since_ms, since_ms);
}

void RepairLedger::settle(const ExtentKey& key, uint32_t islands) {
  std::lock_guard lock(mutex_);
  auto found = debts_.find(key);
  if (found == debts_.end()) return;
  count(found->second.missing & islands, -1);
  found->second.missing &= ~islands;
  if (found->second.missing == 0) debts_.erase(found);
}

void RepairLedger::forget(const ExtentKey& key) {
  settle(key, ~0u);
}

std::vector<Debt> RepairLedger::some(const ExtentKey& after, uint32_t islands, size_t max) const {
  std::lock_guard lock(mutex_);
  std::vector<Debt> out;
  for (auto it = debts_.upper_bound(after); it != debts_.end() && out.size() < max; ++it)
    if ((it->second.missing & islands) != 0) out.push_back(it->second);
  for (auto it = debts_.begin(); it != debts_.end() && it->first <= after && out.size() < max; ++it)
    if ((it->second.missing & islands) != 0) out.push_back(it->second);
  return out;
}

uint32_t RepairLedger::missing(const ExtentKey& key) const {
  std::lock_guard lock(mutex_);
  auto found = debts_.find(key);
  return found == debts_.end() ? 0 : found->second.missing;
}

size_t RepairLedger::size() const {
  std::lock_guard lock(mutex_);
  return debts_.size();
}

bool RepairLedger::take_overflow() {
  std::lock_guard lock(mutex_);
  return std::exchange(overflow_, false);
}

void RepairLedger::set_empty_since(int at, uint64_t shards, UnixMs since_ms) {
  std::lock_guard lock(mutex_);
  Island& island = islands_[static_cast<size_t>(at)];
  island.empty = shards;
  island.empty_since_ms = since_ms;
}

void RepairLedger::rebuilt(int at, uint64_t shards) {
  std::lock_guard lock(mutex_);
  Island& island = islands_[static_cast<size_t>(at)];
  island.empty -= std::min(island.empty, shards);
}

std::vector<RepairLedger::Owed> RepairLedger::owed_locked() const {
  std::vector<Owed> owed;
  for (const Island& island : islands_)
    owed.push_back({island.listed + island.empty, island.empty > 0 ? island.empty_since_ms : 0});
  for (const auto& [key, debt] : debts_) {
    for (size_t i = 0; i < owed.size(); ++i) {
      if ((debt.missing >> i & 1) == 0) continue;
      owed[i].oldest_ms = owed[i].oldest_ms == 0 ? debt.since_ms : std::min(owed[i].oldest_ms, debt.since_ms);
    }
  }
  return owed;
}

RepairLedger::Owed RepairLedger::owed(int shard) const {
  std::lock_guard lock(mutex_);
  return owed_locked()[static_cast<size_t>(shard)];
}

void RepairLedger::publish(UnixMs now_ms) const {
  std::lock_guard lock(mutex_);
  Owed total;
  auto age = [now_ms](const Owed& owed) {
    return owed.oldest_ms == 0 ? 0 : std::max<UnixMs>(now_ms - owed.oldest_ms, 0) / 1000;
  };
  const std::vector<Owed> all = owed_locked();
  for (size_t i = 0; i < all.size(); ++i) {
    gauges_->islands[i]->shards.set(static_cast<int64_t>(all[i].shards));
    gauges_->islands[i]->age.set(age(all[i]));
    total.shards += all[i].shards;
    if (all[i].oldest_ms != 0)
      total.oldest_ms = total.oldest_ms == 0 ? all[i].oldest_ms : std::min(total.oldest_ms, all[i].oldest_ms);
  }
  gauges_->shards.set(static_cast<int64_t>(total.shards));
  gauges_->age.set(age(total));
}

}  // namespace archipel::store
