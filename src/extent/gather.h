// Gather: the bookkeeping of one extent read: which cells are needed, asked for, good or wrong, and what to ask next. No I/O and no clock,
// so that every decision of a read is testable by itself. Internal to src/extent.
//
// The plan: first each preferred data island that covers the range is asked for its one run of cells. A stripe in which a needed cell is wrong,
// missing or slow is completed from other shards until k good cells are known. Every shard is asked at most once per stripe.
#pragma once

#include <deque>
#include <vector>

#include "base/clock.h"
#include "extent/decode.h"

namespace archipel::extent {

// One ranged read of one shard.
struct Fetch {
  CellRun run;
  TimePoint slow_at{};  // from then on others are asked beside it
  bool pending = true;
  bool silent = false;  // pending for so long that its island's health heard of it
  Buffer bytes;
  std::vector<bool> good;  // per stripe of the run, once not pending
  bool lied = false;       // it answered, and some cell was wrong
  Error error;             // why nothing came
};

class Gather {
 public:
  // [offset, offset + length) lies within the extent, length > 0 (CHECK). `order`: all shards, those to prefer first; the first `preferred` of
  // them are asked at once for the cells they hold, the rest only when others do not suffice.
  Gather(ExtentRef ref, uint64_t offset, uint64_t length, std::vector<int> order, size_t preferred);

  const ExtentRef& ref() const { return ref_; }
  uint64_t length() const { return length_; }

  // The runs to ask first: at most one per preferred data shard.
  std::vector<CellRun> first_runs() const;
  // Adds a fetch under way; the pointer stays valid as long as the Gather.
  Fetch* add(CellRun run, TimePoint slow_at);
  // Nothing is to be asked besides: the first runs cover the range, none of them is slow at `now` and none that ended has a bad cell. A cheap
  // look, which may say false of a read that needs nothing.
  bool on_course(TimePoint now) const;
  // What to ask besides, given what is known at `now`. hedge: a slow fetch counts as missing.
  std::vector<CellRun> next_runs(TimePoint now, bool hedge) const;

  bool complete() const;  // every needed cell is good, or can be rebuilt
  bool hopeless() const;  // nothing under way can complete it any more, and nobody is left to ask
  TimePoint next_slow_at(
      TimePoint now) const;  // the earliest slow_at after `now` of a pending fetch, or kNoDeadline
  bool any_pending() const;

  // How the range is put together, once complete(). Refers to the bytes of finished fetches only, so another thread may run it
  // while late fetches still end.
  struct Assembly {
    struct Copy {
      uint64_t to;
      ByteView from;
    };
    struct Rebuild {
      uint64_t stripe;
      std::vector<GoodCell> good;
      std::vector<int> wanted;
    };
    std::vector<Copy> copies;
    std::vector<Rebuild> rebuilds;
  };
  Assembly assembly() const;
  // `coder` may be null if nothing is to be rebuilt.
  Buffer assemble(const Assembly& assembly, const erasure::Coder* coder) const;

  // For the error of a read that cannot be completed: the first stripe without enough good cells.
  struct Shortage {
    uint64_t stripe = 0;
    int good = 0, lies = 0;
  };
  Shortage shortage() const;
  const std::deque<Fetch>& fetches() const { return fetches_; }
  std::deque<Fetch>& fetches() { return fetches_; }

 private:
  enum class State { unasked, bad, slow, pending, good };  // in rising order of hope
  State state(int shard, uint64_t stripe, TimePoint now) const;
  bool needed(int shard, uint64_t stripe) const;
  const Fetch* good_fetch(int shard, uint64_t stripe) const;
  std::vector<GoodCell> good_cells(uint64_t stripe) const;
  bool stripe_complete(uint64_t stripe) const;
  // The part of data cell c that the range wants: where it goes in the result, and which of its bytes.
  struct Slice {
    uint64_t to, from, size;
  };
  Slice slice(uint64_t c) const;

  ExtentRef ref_;
  uint64_t offset_, length_;
  uint64_t first_cell_, last_cell_;
  std::vector<int> order_;
  size_t preferred_;
  std::deque<Fetch> fetches_;
};

}  // namespace archipel::extent
