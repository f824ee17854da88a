// A history before it is run: the realm, what clients will try, and what will go wrong. A pure function of its seed; parts can be left out, to
// shrink what fails.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/clock.h"
#include "erasure/coder.h"
#include "island/sim_island.h"

namespace archipel::sim {

inline constexpr size_t kBuckets = 3;
inline constexpr size_t kKeys = 8;
std::string bucket_name(size_t bucket);
std::string owner_of(size_t bucket);  // the last bucket belongs to another account
// Buckets that keep versions from their beginning: the second, and in every other plan the first, where nearly everything happens.
inline bool is_versioned(uint64_t seed, size_t bucket) {
  return bucket == 1 || (bucket == 0 && seed % 2 == 0);
}
const std::string& key_name(size_t key);

struct Op {
  enum class Kind : uint8_t { create_bucket, delete_bucket, put, get, head, list, remove, copy } kind;
  enum class Condition : uint8_t {
    none,
    absent,
    last_seen,
    never,
    not_last_seen
  } condition = Condition::none;
  uint32_t number = 0;  // in the program: also decides the content of a put
  uint8_t client = 0;
  uint8_t bucket = 0, key = 0;
  uint8_t to_bucket = 0, to_key = 0;  // copy
  bool flag = false;  // put: the body breaks off; get: a range; list: a delimiter; copy: new metadata
  uint32_t size = 0;  // put: bytes of the body; list: keys of a page
  uint64_t salt = 0;  // what else there is to choose
  Duration think{};   // before it
  Duration pause{};   // put: in the middle of the body; get: before its bytes are read
};
inline constexpr size_t kOpKinds = 8;
std::string to_string(Op::Kind kind);
std::string describe(const Op& op);

// Something that goes wrong when so many operations have begun.
struct Happening {
  enum class Kind : uint8_t {
    fault,    // an island's rate of a fault, for a while
    crash,    // of the process or of the machine, at the `count`-th step of `where` from then on
    restart,  // clean stop and start
    wipe,     // of the liar
    rot,
    remember,
    roll_back,
    power_cut,
    clock_step,
    copy_dir,  // what old_dir goes back to
  } kind;
  enum class Where : uint8_t { turn, disk_write, blob } where = Where::turn;
  enum class Loss : uint8_t {
    none,
    view,
    damaged_view,
    dir,
    old_dir
  } loss = Loss::none;     // before the next start
  bool elsewhere = false;  // old_dir: in another directory than the one that was copied
  uint32_t at_op = 0;
  uint8_t island = 0;
  island::Fault fault = island::Fault::delay;
  uint32_t per_mille = 0;
  uint64_t count = 0;
  bool machine = false;
  int again = 0;  // so many of the starts that follow end in a crash too
  Duration lasts{};
};
std::string describe(const Happening& happening);

// A second placement class beside the journal's, and the buckets that begin in it: some of the islands, in an order of their own.
struct Placed {
  erasure::Code code{4, 2};
  std::vector<uint8_t> homes = {3, 2, 1, 0};
  bool in_commits = false;               // small bodies ride in the journal all the same
  std::array<bool, kBuckets> buckets{};  // a bucket that is made again may be placed the other way
};
inline constexpr const char* kPlacedPolicy = "placed";
std::string describe(const Placed& placed);

struct Plan {
  uint64_t seed = 0;
  erasure::Code code{6, 3};
  Placed placed;
  int in_flight = 2;
  int clients = 4;
  int liar = -1;             // the island that may lie; -1: none does
  bool lies_at_end = false;  // it goes on lying while everything is checked
  bool rejoin_wiped = true;
  bool calm = false;        // no island but the liar ever fails: then every read must succeed
  bool liar_wiped = false;  // the liar loses everything before the last audit
  bool slow_soft = false;   // long soft deadlines: commits wait for everybody
  uint64_t extent_plain = 0;
  size_t metadata_bytes = 0;  // of every put: many make the view longer than a chunk of a snapshot
  // What takes hours or days in production, so that it happens within a history.
  Duration collect_every{}, grace{}, delete_again{}, truncation_delay{}, compact_every{};
  uint64_t snapshot_commits = 0, slot_commits = 0;
  int live_percent_max = 0;
  bool scrub = false;  // a scrubber mends what it finds; at the end a second island may then be lost
  Duration scrub_tick{};
  std::vector<Op> ops;
  std::vector<Happening> happenings;
};

Plan make_plan(uint64_t seed, size_t ops);

}  // namespace archipel::sim
