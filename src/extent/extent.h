// Extents: write-once runs of sealed bytes, coded into n shards on n islands. This module never asks the index: an ExtentRef
// carries everything needed to find, verify and rebuild (protocol §3).
//
// For large bodies see extent/builder.h: ExtentBuilder lets the store seal each segment straight into its shard, without a copy.
// Names of commit blobs, claims, opens, head slots and the lease: extent/names.h.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "crypto/keyring.h"
#include "extent/cell_keys.h"
#include "extent/geometry.h"
#include "extent/homes.h"
#include "io/workers.h"
#include "island/island.h"

namespace archipel::extent {

// Counters inside ranges (chain, epoch) that the journal recorded before use. Never reused.
struct ExtentId {
  uint64_t epoch = 0, counter = 0;
  auto operator<=>(const ExtentId&) const = default;
};
using Attempt = std::array<uint8_t, 16>;

// Where an extent's bytes lie. kind data: n shard blobs of their own. kind section: the data section of commit (epoch, seq), with
// id = {epoch, seq}; its blobs' names and the offset of their cells come from the journal's rules, given by `base`.
struct ExtentRef {
  enum class Kind : uint8_t { data = 0, section = 1 };
  Kind kind = Kind::data;
  ExtentId id;
  Attempt attempt{};
  Geometry geometry;
  uint32_t confirmed =
      0;  // bit per shard: confirmed when acknowledged; the rest is repair debt. 0 = not known: all are asked
  uint32_t base = 0;  // offset of the first cell in the shard blob
  std::array<uint8_t, 8>
      open{};        // kind section: the random bits of the epoch's open, part of the blob's name
  Homes homes = {};  // kind data: which island of the roster holds which shard; standard in sections

  int home(int shard) const { return homes[shard]; }
  uint32_t all_shards() const { return (1u << geometry.code.n) - 1; }
};

// Islands. Most often the roster, in the order the journal knows, where an ExtentRef's homes are places; for a Fanout those of one write, in
// shard order. Shared, immutable, replaced as a whole.
struct Placement {
  std::vector<std::shared_ptr<island::Island>> islands;
};

// Name of a shard blob on one island: hex of the first 20 bytes of PRF(names/<island>, kind ‖ id ‖ attempt ‖ place ‖ repair). `island_id` is that of
// the island at ref.home(shard), and that place of the roster is what is hashed: who knows an id and an island needs no homes. `repair` is 0 for
// what the upload wrote, and one more each time wrong bytes under a name that is written once had to be replaced (extent/repair_table.h);
// a section's blob has no such number.
std::string shard_name(const crypto::Keyring& keys, const std::string& island_id, const ExtentRef& ref,
                       int shard, uint32_t repair = 0);

// When a write to n islands is enough (protocol §1).
struct AckRule {
  int w = 4;
  Duration soft_deadline_floor = std::chrono::seconds(1);
  Duration soft_deadline_max = std::chrono::seconds(2);
  Duration hard_deadline = std::chrono::seconds(30);
};

// Puts blob i to islands[i] of the placement, all at once. Returns the mask of confirmed blobs as soon as all n have confirmed, or >= w have and
// the rest failed or passed the soft deadline (2 x that island's p95, within the rule's bounds). Fewer than w by the hard
// deadline: unavailable, naming each island and why. Puts that are still under way go on in the background with the blobs kept
// alive, and are joined by drain(); islands that let the soft deadline pass again and again open their breaker (island/health.h), and are
// then neither waited for nor given more than a few puts at a time. `exists` counts as confirmed only after reading back and comparing all bytes.
class Fanout {
 public:
  struct Blob {
    island::BlobName name;
    std::vector<ByteView> parts;
  };
  virtual ~Fanout() = default;
  // Any loop. `keep_alive` owns the memory that the parts point to.
  virtual io::Task<Result<uint32_t>> put(std::shared_ptr<const Placement> placement, std::vector<Blob> blobs,
                                         std::shared_ptr<const void> keep_alive, AckRule rule) = 0;
  // Waits until nothing is under way in the background; for shutdown.
  virtual io::Task<void> drain() = 0;
};
std::unique_ptr<Fanout> make_fanout(io::Workers& workers);

// By shard: the names of what an upload writes. The homes lie within the roster (CHECK).
std::vector<std::string> shard_names(const crypto::Keyring& keys, const Placement& roster,
                                     const ExtentRef& ref);

// A coded extent in memory: n shard blobs, ready to be sent, movable to any island.
struct CodedExtent {
  ExtentRef ref;
  Buffer memory;                 // all shards with headers
  std::vector<ByteView> shards;  // n views into memory
};

// Codes `sealed` (the extent's bytes, geometry.length of them) into shards with headers and tags. CPU-bound: call on a worker for
// anything large. `names[i]` masks header i.
Result<CodedExtent> encode_extent(const CellKeys& keys, const erasure::Coder& coder, ExtentRef ref,
                                  ByteView sealed, const std::vector<std::string>& names);

// Codes a commit's data section into n runs of cells with tags, without headers (the commit blob has its own).
Result<CodedExtent> encode_section(const CellKeys& keys, const erasure::Coder& coder, ExtentRef ref,
                                   ByteView sealed);

// Reads and verifies.
class ExtentReader {
 public:
  virtual ~ExtentReader() = default;
  // Bytes [offset, offset+length) of the extent, verified cell by cell. First asks only the islands of the data cells that cover the range,
  // one ranged read each; a cell that is missing, wrong or slow (past the island's p95, within the hedge budget of 5 %) is rebuilt from
  // any k others. One that is silent for long is not waited for whatever the budget says. A wrong cell counts as missing and is reported under its island's id. Any loop.
  // Errors: unavailable, naming the islands that failed and how many more are needed, when fewer than k good cells answer by `deadline`;
  // corrupt if it is lies and not absence that left fewer than k.
  virtual io::Task<Result<Buffer>> read(ExtentRef ref, uint64_t offset, uint64_t length,
                                        Deadline deadline) = 0;

  // The same for bytes that carry their own proof, as sealed segments do: `open` gets the range as runs of bytes that follow one another, none
  // longer than a cell, and says whether all of them are right. While every data island answers well, its bytes go to `open` as they came, not
  // verified, copied or put together before; if `open` then refuses them, or an island fails or is slow, everything that came is verified cell
  // by cell, blamed and rebuilt as in read(), and `open` gets it again, as one run. It is called once or twice, large ranges on a worker.
  // Errors: as read(); corrupt if `open` refuses verified bytes.
  using Open = std::function<bool(std::span<const ByteView> runs)>;
  virtual io::Task<Result<void>> read_sealed(ExtentRef ref, uint64_t offset, uint64_t length,
                                             Deadline deadline, Open open) = 0;

  // Bytes that were returned as wrong by island `id`, since start; also in /metrics.
  virtual uint64_t wrong_cells(const std::string& island_id) const = 0;

  // Waits until no late answer is under way; for shutdown, while the loops that read still run. Any loop.
  virtual io::Task<void> drain();
};

// When a data island counts as slow: after its own p95, but not before `floor`; after `unknown` while it has no p95.
struct HedgeRule {
  Duration floor = std::chrono::milliseconds(10);
  Duration unknown = std::chrono::milliseconds(500);
  // So long after it became slow it counts as silent: the others are asked whatever the budget says, and its health hears of it.
  Duration silent = std::chrono::seconds(2);
};
class RepairTable;
// `roster`: all islands, where an extent's homes are places. `repairs`: where repaired shards lie now, and whom to tell of what is wrong or not where it should be. May be null.
std::unique_ptr<ExtentReader> make_extent_reader(const crypto::Keyring& keys,
                                                 std::shared_ptr<const Placement> roster,
                                                 io::Workers& workers, HedgeRule rule = {},
                                                 std::shared_ptr<RepairTable> repairs = nullptr);

}  // namespace archipel::extent
