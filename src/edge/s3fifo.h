// S3Fifo: what one shard of the memory tier keeps and what it lets go, by bytes. Three queues, as Yang et al. (SOSP'23) describe them: newcomers go to
// *small* (a tenth of the bytes); who was used twice or more there moves on to *main*, others leave and are remembered as a *ghost*; who comes
// back while it is remembered goes to main at once; main gives those that were used another round, three at most. A hit moves nothing.
//
// Not thread-safe. Memory: nodes of 64 bytes and a table of 8-byte places; both grow with what is stored and are part of each cost (kOverhead).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "edge/entry.h"
#include "edge/ghost.h"
#include "edge/large_pages.h"

namespace archipel::edge {

class S3Fifo {
 public:
  // A node, its place in the table at the worst load after growing, and a ghost.
  static constexpr size_t kOverhead = 64 + 22 + 16;
  static constexpr uint32_t kNone = UINT32_MAX;
  enum class Kind : uint8_t { entry, slice, variants };
  enum class Queue : uint8_t { free, small, main };

  // An entry and slice 0 of a body of one slice: one count for both, so that a hit touches one line for them.
  struct Held {
    EntryRef entry;
    SliceRef first;
  };

  struct alignas(64) Node {
    Key key;
    std::shared_ptr<const void> payload;  // Held, Slice or Variants, as `kind` says
    // Of a Held entry, to be fetched into the processor together with it.
    const Entry* entry = nullptr;
    const char* text = nullptr;
    uint32_t newer = kNone, older = kNone;
    uint32_t checked = 0;  // the number of the latest purge it was held against, low bits
    uint32_t units : 20 = 0;
    uint32_t uses : 2 = 0;
    Queue queue : 2 = Queue::free;
    Kind kind : 2 = Kind::entry;
    bool soft : 1 = false;     // purged softly
    bool offered : 1 = false;  // the disk tier has it, or was asked to take it
    bool varied : 1 = false;   // the key may have variants, too
  };

  // Payloads of what left, for the caller to destroy outside its lock.
  using Gone = std::vector<std::shared_ptr<const void>>;
  using Useless = bool (*)(const Node& node, UnixMs now);

  explicit S3Fifo(size_t bytes_max);

  // kNone if it is not there. Does not count as use.
  uint32_t find(const Key& key) const;
  Node& at(uint32_t index) { return chunks_[index / kChunk][index % kChunk]; }
  void use(Node& node) {
    if (node.uses < kUsesMax) node.uses = (node.uses + 1) & kUsesMax;
  }
  // Adds a node that is not there yet; its payload is the caller's to fill in. Others leave before, into `gone`; who is `useless` (may be null) at `now` goes
  // however often it was used. kNone: `cost` is more than all the bytes.
  uint32_t insert(const Key& key, Kind kind, size_t cost, Gone& gone, Useless useless, UnixMs now);
  // Another cost. Others may leave, or the node itself.
  void resize(uint32_t index, size_t cost, Gone& gone, Useless useless, UnixMs now);
  void erase(uint32_t index, Gone& gone);

  size_t bytes() const { return small_.bytes + main_.bytes; }
  size_t bytes_max() const { return bytes_max_; }
  size_t nodes() const { return used_; }
  size_t nodes(Kind kind) const { return of_kind_[static_cast<size_t>(kind)]; }
  uint64_t evicted() const { return evicted_; }
  size_t main_nodes() const { return main_.nodes; }
  size_t table_bytes() const { return table_.size() * sizeof(Place) + ghost_.bytes(); }
  // Nodes have the numbers 0 to extent() - 1; some are free.
  uint32_t extent() const { return next_new_; }
  bool remembers(const Key& key) const { return ghost_.knows(key.low); }

  static constexpr size_t kUnit = 64;
  static constexpr size_t kCostMax = ((size_t{1} << 20) - 1) * kUnit;

 private:
  static constexpr uint32_t kChunk = 32768;  // 2 MiB of nodes: one large page
  static constexpr uint32_t kUsesMax = 3;
  static constexpr size_t kSmallShare = 10;  // small is a 10th
  static constexpr size_t kTableMin = 1024;
  struct Place {
    uint32_t print = 0;
    uint32_t node = kNone;
  };
  struct List {
    uint32_t newest = kNone, oldest = kNone;
    size_t bytes = 0, nodes = 0;
  };

  List& list_of(const Node& node) { return node.queue == Queue::small ? small_ : main_; }
  const Node& at(uint32_t index) const { return chunks_[index / kChunk][index % kChunk]; }
  uint32_t take_node();
  void push(Queue queue, uint32_t index);
  void unlink(uint32_t index);
  void release(uint32_t index, Gone& gone);
  void evict(Gone& gone, Useless useless, UnixMs now);
  void evict_from_small(Gone& gone, Useless useless, UnixMs now);
  void evict_from_main(Gone& gone, Useless useless, UnixMs now);
  void table_insert(uint32_t print, uint32_t node);
  void table_erase(const Key& key, uint32_t node);
  void table_grow();

  const size_t bytes_max_;
  List small_, main_;
  Ghost ghost_;
  LargePages<Place> table_;
  std::vector<LargePages<Node>> chunks_;
  uint32_t next_new_ = 0, free_ = kNone;
  size_t used_ = 0;
  size_t of_kind_[3] = {};
  uint64_t evicted_ = 0;
};
static_assert(sizeof(S3Fifo::Node) == 64);

}  // namespace archipel::edge
