// Scrub: every byte of one work item looked at, on every island, and a verdict for each (protocol §1, §3).
//
// Needs the `cells` sub-key and nothing else. Believes nothing an island says: a blob is good only if its header, its record and each of its
// cells verify and it ends where it must. Bounded memory: one chunk per island at a time, whatever the extent's size.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "extent/work_item.h"

namespace archipel::extent {

inline constexpr uint64_t kScrubChunkBytes =
    1u << 20;  // read from one island at a time; a longer journal record is one chunk
inline constexpr Duration kScrubReadDeadline = std::chrono::seconds(30);  // for one chunk

// What limits background work: asked before bytes are read or written. One per job; on one loop.
class Pace {
 public:
  virtual ~Pace() = default;
  // Returns when `bytes` more may be moved. The caller goes on then, or stops if `stopping()`.
  virtual io::Task<void> spend(uint64_t bytes) = 0;
  virtual bool stopping() const = 0;
};

// What scrub and repair work with. Everything must outlive them.
struct CellWork {
  const CellKeys& keys;
  std::shared_ptr<const Placement> roster;  // all islands: an item's homes are places in it
  io::Workers& workers;
  Pace& pace;
};

enum class ShardState : uint8_t {
  good,
  missing,      // the island answers and does not have it
  wrong,        // it has other bytes under the name
  unreachable,  // nothing is known: the island did not answer, or the work was stopped
};
std::string_view to_string(ShardState state);

struct ShardVerdict {
  ShardState state = ShardState::unreachable;
  bool prefix_good = false;  // the header, and of a journal blob the record
  std::vector<bool>
      good_cells;  // by stripe: verified, or not stored by definition. Empty unless the shard was read
  std::vector<uint64_t> wrong;  // stripes whose cells are wrong, the first kWrongNamed of them
  uint64_t wrong_cells = 0;     // all of them
  std::string
      reason;  // of what is not good: "header wrong; 2 cells wrong (stripes 3, 17)", or the island's error
};
inline constexpr size_t kWrongNamed = 16;

struct Verdict {
  std::vector<ShardVerdict> shards;
  uint64_t bytes_read = 0;

  int count(ShardState state) const;
  bool all_good() const { return count(ShardState::good) == static_cast<int>(shards.size()); }
  // Shards to be rebuilt: those missing or wrong.
  uint32_t broken() const;
  uint32_t good() const;
};

// Reads all n blobs of `item`, the islands side by side. CHECK: check_work_item(item) holds and its homes are in the roster. Wrong cells are counted for
// their island (island/health.h) and logged with its name. On the current loop; verification on workers. Cost: n reads of whole shards.
io::Task<Verdict> scrub(CellWork work, std::shared_ptr<const WorkItem> item);

// "[island a: missing] [island b: wrong: 2 cells wrong (stripes 0 1)]": whatever is not good.
std::string describe_faults(const Placement& roster, const ExtentRef& ref, const Verdict& verdict);

// Bytes [offset, offset + length) of a blob on the island at this place of the roster, within the pace; errors as Island::get, and unavailable at once if its breaker is open.
io::Task<Result<Buffer>> read_piece(const CellWork& work, int place, island::BlobName name, uint64_t offset,
                                    uint64_t length);

}  // namespace archipel::extent
