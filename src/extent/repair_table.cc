#include "extent/repair_table.h"

namespace archipel::extent {

RepairException RepairTable::of(const ExtentRef& ref) const {
  std::lock_guard lock(mutex_);
  if (!exceptions_.empty()) {
    auto found = exceptions_.find({ref.kind, ref.id});
    if (found != exceptions_.end()) return found->second;
  }
  return {ref.confirmed, {}};
}

void RepairTable::set(ExtentRef::Kind kind, ExtentId id, RepairException exception) {
  std::lock_guard lock(mutex_);
  exceptions_[{kind, id}] = std::move(exception);
}

void RepairTable::erase(ExtentRef::Kind kind, ExtentId id) {
  std::lock_guard lock(mutex_);
  exceptions_.erase({kind, id});
}

size_t RepairTable::size() const {
  std::lock_guard lock(mutex_);
  return exceptions_.size();
}

void RepairTable::suspect(const ExtentRef& ref, int shard) {
  std::lock_guard lock(mutex_);
  const Key key{ref.kind, ref.id};
  if (suspects_.size() >= kSuspectsMax && !suspects_.contains(key)) return;
  Suspect& suspect = suspects_[key];
  suspect.ref = ref;
  suspect.shards |= 1u << shard;
}

std::vector<RepairTable::Suspect> RepairTable::take_suspects() {
  std::lock_guard lock(mutex_);
  std::vector<Suspect> out;
  out.reserve(suspects_.size());
  for (auto& [key, suspect] : suspects_) out.push_back(suspect);
  suspects_.clear();
  return out;
}

}  // namespace archipel::extent
