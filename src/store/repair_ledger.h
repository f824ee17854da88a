// RepairLedger: which shards are missing where, and since when (protocol §1: repair debt), exact at every moment.
//
// A write that was acknowledged with fewer than n confirmations is entered by whoever acknowledged it, so that its repair needs no scan. What
// an island lost that came back empty is counted, not listed: everything of the epochs before. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "store/registry.h"

namespace archipel::store {

inline constexpr size_t kDebtsMax =
    1u << 20;  // listed in memory, some 100 MB; what does not fit is found again by reload()

struct Debt {
  ExtentKey key;         // kind section: the commit of that position
  uint32_t missing = 0;  // bit per island that should hold a shard and does not
  UnixMs since_ms = 0;
};

class RepairLedger {
 public:
  // The roster; the ids are the metrics' labels. All masks here have a bit per island of it, whichever shard of an extent it holds.
  explicit RepairLedger(const std::vector<std::string>& islands);
  ~RepairLedger();

  // The mask of all islands.
  uint32_t all() const { return (1u << islands_.size()) - 1; }
  // Adds to what is known of `key`; the older time holds.
  void owe(const ExtentKey& key, uint32_t missing, UnixMs since_ms);
  // What `ref` says not to be confirmed.
  void owe(const extent::ExtentRef& ref, UnixMs since_ms) {
    owe(key_of(ref), ref.homes.islands_of(ref.all_shards() & ~ref.confirmed), since_ms);
  }
  // The shards of these islands are there now.
  void settle(const ExtentKey& key, uint32_t islands);
  // It is not needed any more.
  void forget(const ExtentKey& key);
  // At most `max` debts after `after` in key order that some of `islands` lack, and from the beginning again when the end is reached.
  std::vector<Debt> some(const ExtentKey& after, uint32_t islands, size_t max) const;
  uint32_t missing(const ExtentKey& key) const;
  size_t size() const;
  // Some debts did not fit; cleared by asking.
  bool take_overflow();

  // An island that came back empty at `since_ms` still lacks so many shards; 0: none.
  void set_empty_since(int island, uint64_t shards, UnixMs since_ms);
  void rebuilt(int island, uint64_t shards);

  struct Owed {
    uint64_t shards = 0;
    UnixMs oldest_ms = 0;  // 0: nothing is owed
  };
  Owed owed(int island) const;  // cost: linear in the debts listed
  // Sets the gauges. Cost: linear in the debts listed.
  void publish(UnixMs now_ms) const;

 private:
  struct Island {
    uint64_t listed = 0;
    uint64_t empty = 0;
    UnixMs empty_since_ms = 0;
  };
  struct Gauges;
  std::vector<Owed> owed_locked() const;
  void count(uint32_t missing, int64_t sign);

  mutable std::mutex mutex_;
  std::map<ExtentKey, Debt> debts_;
  std::vector<Island> islands_;
  bool overflow_ = false;
  std::unique_ptr<Gauges> gauges_;
};

}  // namespace archipel::store
