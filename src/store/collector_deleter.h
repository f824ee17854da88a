// Deleter: DELETEs at all islands at once, each island at its own pace. Internal to the collector.
//
// An island that fails is left alone for a while and costs the others nothing; what it was to delete stays in `left`. On one loop.
#pragma once

#include <memory>
#include <vector>

#include "crypto/keyring.h"
#include "extent/extent.h"
#include "extent/repair_table.h"

namespace archipel::store {

struct DeleteRule {
  // At each island. More than the commits that a gateway can sustain, or the journal would grow for ever.
  uint32_t per_second = 1000;
  int at_once = 4;                                  // at each island: fewer than its clients need
  Duration deadline = std::chrono::seconds(10);     // of one DELETE; a gateway that stops waits for it
  Duration retry_after = std::chrono::seconds(60);  // an island that failed is left alone for so long
};

class Deleter {
 public:
  // An extent or a section (then its whole commit blob).
  struct Item {
    extent::ExtentRef ref;
    uint32_t left =
        0;  // bit per shard of the ref, at its home: to be deleted; cleared when the island says that it is gone
  };

  // `repairs`: names of repaired shards; may be null. The references must outlive it.
  Deleter(const crypto::Keyring& keys, std::shared_ptr<const extent::Placement> roster,
          std::shared_ptr<const extent::RepairTable> repairs, DeleteRule rule);

  // Tries every item at every island, in order, but for islands that are left alone; stops early once `stop` is true. Both outlive the task.
  io::Task<void> run(std::vector<Item>& items, const bool& stop);

  // Islands that would be asked now, bit per place of the roster.
  uint32_t willing(TimePoint now) const;
  uint64_t deletes() const { return deletes_; }  // that succeeded

 private:
  struct Island {
    TimePoint quiet_until{};  // failed: left alone until then
    TimePoint next_at{};      // pace
  };
  static io::Task<void> run_lane(Deleter* self, std::vector<Item>* items, int place, size_t* next,
                                 const bool* stop);
  io::Task<Result<void>> remove(const extent::ExtentRef& ref, int shard);

  const crypto::Keyring& keys_;
  std::shared_ptr<const extent::Placement> roster_;
  std::shared_ptr<const extent::RepairTable> repairs_;
  const DeleteRule rule_;
  std::vector<Island> islands_;
  uint64_t deletes_ = 0;
};

}  // namespace archipel::store
