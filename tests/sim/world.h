// A whole realm in virtual time: islands, one machine with DIR, and gateway processes on it, wired as `archipel serve` wires them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "index/journal.h"
#include "index/sim_dir.h"
#include "index/snapshot_keeper.h"
#include "io/sim/sim_loop.h"
#include "io/sync.h"
#include "island/health.h"
#include "island/sim_island.h"
#include "sim/plan.h"
#include "store/collector.h"
#include "store/compaction.h"
#include "store/records.h"
#include "store/scrubber.h"
#include "store/store.h"

namespace archipel::sim {

// What outlives every process.
struct World {
  explicit World(const Plan& plan);

  io::SimLoop loop;
  io::Dice dice;
  index::SimDisk disk;
  io::SimClock clock;
  std::unique_ptr<crypto::Keyring> keys;
  std::vector<std::shared_ptr<island::SimPlace>> places;
  const Plan& plan;
  uint64_t processes = 0;              // started so far
  bool created = false;                // the realm exists
  store::Collector::Counts collected;  // by processes that have ended
  store::Compactor::Counts compacted;
  uint64_t shards_repaired = 0;  // by passes that were asked for

  int honest_faults() const;  // islands but the liar on which any honest fault is switched on
  void heal();
};

// One gateway process, from its start to its end. After die() it reaches neither islands nor DIR, and is only good for closing.
class Process {
 public:
  explicit Process(World& world);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  io::Task<Result<void>> start();
  // Waits until nobody uses it, and closes it in order: of a living process, this is a clean stop.
  io::Task<void> close();
  void die();

  bool alive() const { return *alive_; }
  bool open() const { return journal_.committer && journal_.committer->open(); }
  // It was open once: since then its view holds everything acknowledged. Before, it shows what is proven, which may be old.
  bool fresh() {
    fresh_ = fresh_ || open();
    return fresh_;
  }
  std::string closed_because() const { return journal_.committer->closed_because(); }
  store::Store& store() { return *store_; }
  const index::Journal& journal() const { return journal_; }
  index::CommitPosition applied() const { return journal_.committer->applied(); }
  uint64_t number() const { return number_; }
  // A pass over everything that mends what it finds.
  io::Task<Result<store::ScrubReport>> scrub();
  // Live extents on the islands of the second class, and on the journal's; and what lies where no class puts it, or the other than its bucket's.
  struct Extents {
    uint64_t placed = 0, elsewhere = 0;
    std::vector<std::string> strays;
  };
  Extents extents() const;
  // Cells that the gateway found wrong, by island.
  uint64_t wrong_cells(size_t island) const { return islands_[island]->health().wrong_cells(); }

  // Held by whoever has an operation under way.
  class Use {
   public:
    explicit Use(Process& process) : process_(process) { ++process_.users_; }
    ~Use() {
      if (--process_.users_ == 0) process_.idle_.notify_all();
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Process& process_;
  };

 private:
  bool lies_right(const store::Storage& storage, bool placed) const;
  static io::Task<void> refresh(Process* self);
  static io::Task<bool> go_on(std::shared_ptr<const bool> alive);
  void make_scrubber();
  void make_background(std::shared_ptr<store::Pins> pins, const extent::AckRule& ack);

  World& world_;
  const uint64_t number_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<Random> random_;
  io::SimWorkers workers_;
  std::vector<std::shared_ptr<island::SimIsland>> islands_;
  std::shared_ptr<const extent::Placement> placement_;
  std::unique_ptr<extent::Fanout> fanout_;
  index::Journal journal_;
  std::unique_ptr<extent::ExtentReader> reader_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Collector> collector_;
  std::unique_ptr<store::Compactor> compactor_;
  std::unique_ptr<index::SnapshotKeeper> snapshots_;
  erasure::Coder coder_;
  std::shared_ptr<extent::RepairTable> repairs_ = std::make_shared<extent::RepairTable>();
  std::shared_ptr<store::RepairLedger> ledger_;
  std::unique_ptr<store::Scrubber> scrubber_;
  bool fresh_ = false;
  size_t users_ = 0;
  io::Event idle_;
};

}  // namespace archipel::sim
