// PurgesHeard: how far an edge has heard what was purged on the others, and whether that is far enough.
//
// Each edge numbers what is purged on it, under an id of its start. One that keeps on its disk what it tells (told_log.h) goes on with the numbers of its start
// before, and says how the two belong together; else it begins with 1. A request from edge to edge carries what its sender has
// heard ("archipel-purges: ID=NUMBER, …"): whoever has heard less may hold what the asker must not be given, and refuses to answer from its cache. So what was
// purged does not come back from an edge that lags, whatever it is that the two cannot reach.
//
// Any thread; no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace archipel::edge {

// How the numbers of an edge's earlier start belong to those of the one that says so.
struct EarlierStart {
  uint64_t id = 0;
  uint64_t same = 0;   // up to here the same numbers mean the same purges in both
  uint64_t until = 0;  // all that was told under `id`, up to this number, …
  uint64_t at = 0;     // … is among this start's purges up to this one
  bool operator==(const EarlierStart&) const = default;
};

// How far one start of an edge was heard, as it is kept on the disk with the purges.
struct HeardMark {
  uint64_t id = 0;
  uint64_t edge = 0;    // hash of its name
  uint64_t number = 0;  // of the last purge that is in effect here
  bool operator==(const HeardMark&) const = default;
};

inline constexpr std::string_view kPurgesField = "archipel-purges";  // request between edges

class PurgesHeard {
 public:
  static constexpr size_t kSendersMax = 128;  // with more, the one that was silent longest is forgotten
  static constexpr size_t kEarlierMax = 8;    // starts before, of one edge
  // An edge that was silent so long is not waited for by anybody.
  static constexpr Duration kSilentMax = std::chrono::minutes(10);
  // What nobody tells us within this time, though others have heard it, was missed.
  static constexpr Duration kLagMax = std::chrono::seconds(30);

  // What was heard before the restart, of which all is still in effect; and whose numbers are our own.
  void restore(const std::vector<HeardMark>& marks, TimePoint now);
  void set_own(uint64_t id, std::vector<EarlierStart> was);

  struct Batch {
    std::string name;    // of the sender, the same after its restart
    uint64_t id = 0;     // of this start of it
    uint64_t first = 1;  // number of its first record
    uint64_t count = 0;
    bool lost = false;  // what came before `first` is not known any more to its sender
    std::vector<EarlierStart> was;
  };
  struct Verdict {
    bool drop = false;   // something was missed: nothing that is stored may be used
    bool apply = false;  // false: records before `first` are wanted first; heard() tells from where
    uint64_t skip = 0;   // how many of the batch's records are known
  };
  // A batch has come. From here on need() names it; once its records are in effect, applied() says so.
  Verdict begin(const Batch& batch, TimePoint now);
  void applied(uint64_t id, uint64_t number);
  uint64_t heard(uint64_t id) const;
  // All of it, to be kept.
  std::vector<HeardMark> marks() const;

  // What a request to another edge carries; empty: nothing was purged anywhere. `latest`: of our own.
  std::string need(uint64_t latest, TimePoint now) const;

  struct Missed {
    uint64_t id = 0, number = 0;
  };
  // Have we heard what `need` names? What was not heard for longer than kLagMax is added to `missed`, once: its caller lets go what is stored, and says
  // adopt(). A text that is no need is no obstacle.
  bool fulfils(std::string_view need, uint64_t latest, TimePoint now, std::vector<Missed>& missed);
  void adopt(const Missed& missed, TimePoint now);

 private:
  struct Sender {
    uint64_t edge = 0;  // hash of its name
    uint64_t announced = 0, applied = 0;
    std::vector<EarlierStart> was;
    TimePoint at{};
  };
  struct Lag {
    TimePoint since{};
    bool told = false;
  };
  Sender& sender_locked(const Batch& batch, TimePoint now);
  void make_room_locked();
  // How far `id` was heard by way of a later start of the same edge.
  uint64_t covered_locked(uint64_t id) const;

  mutable std::mutex mutex_;
  uint64_t own_ = 0;
  std::vector<EarlierStart> own_was_;
  std::map<uint64_t, Sender> senders_;  // by id; of an edge the last start, and those before that it names
  std::map<uint64_t, Lag> lags_;        // at most kSendersMax
};

}  // namespace archipel::edge
