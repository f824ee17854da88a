// Purges: what was purged, and whether an entry is under it. A purge is a numbered record; nothing is searched when it is made. An entry is
// held against the records when it is found and newer purges exist than it was held against before.
//
// Any thread. latest() is one atomic load; judge() takes a shared lock and costs a hash per tag, group and known length of prefixes. Bounded: beyond
// kPurgesMax records the older half is forgotten, and entries that were not held against them since count as purged.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <shared_mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "edge/entry.h"
#include "edge/key.h"
#include "edge/purges_heard.h"

namespace archipel::edge {

// heard: no purge, but a line of the log between them: how far another edge was heard (HeardMark); soft: it is of no use any more.
enum class PurgeScope : uint8_t { key = 1, prefix = 2, tag = 3, group = 4, site = 5, heard = 6 };

// One purge, as the log keeps it: the text is there as its hash only.
struct Purge {
  uint64_t number = 0;
  PurgeScope scope = PurgeScope::key;
  bool soft = false;
  uint32_t prefix_bytes = 0;  // scope prefix: how long it is
  Key what;                   // PurgeBook::name_of()
  bool operator==(const Purge&) const = default;
};

Purge heard_line(const HeardMark& mark, bool over);

enum class Verdict : uint8_t { clean, soft, hard };

class PurgeBook {
 public:
  static constexpr size_t kPurgesMax = size_t{1} << 18;
  static constexpr size_t kPrefixLengthsMax = 64;

  explicit PurgeBook(const HashSecret& secret, size_t purges_max = kPurgesMax)
      : secret_(secret), purges_max_(purges_max) {}

  uint64_t latest() const { return latest_.load(std::memory_order_acquire); }

  // Numbers a purge; it holds when this returns. `scope_text` is the site of a tag, the origin of a group, else empty. The 65th length of prefixes: the
  // longest known length that is shorter is used instead, so that more is purged than was asked for, never less.
  Purge add(PurgeScope scope, std::string_view scope_text, std::string_view text, bool soft);

  // What the purges after number `since` mean for the entry. `since`: it is known to be clean up to there.
  Verdict judge(const Entry& entry, uint64_t since) const;

  // Forgets the records up to `number`. Entries that were not held against them before are purged by that, as hard as the records were.
  void forget_until(uint64_t number);
  // All entries that were not held against newer purges are purged, whatever they are.
  void forget_all_until(uint64_t number);
  size_t size() const;
  bool crowded() const { return size() > purges_max_ / 4 * 3; }

  // For the log: all that is kept, and the numbers up to which was forgotten; and the way back, before others use the book.
  struct Snapshot {
    uint64_t latest = 0, forgotten_hard = 0, forgotten_soft = 0;
    std::vector<Purge> purges;     // by number
    std::vector<HeardMark> heard;  // by id
  };
  Snapshot snapshot() const;
  void restore(const Snapshot& snapshot);
  void raise_latest(uint64_t number);
  // How far other edges were heard: all that they told is in the book. What has changed, as lines for the log.
  std::vector<Purge> set_heard(const std::vector<HeardMark>& heard);
  std::vector<HeardMark> heard() const;
  // A purge of another book over the same secret, as one that is made now.
  void repeat(const Purge& purge);

 private:
  struct Marks {
    uint64_t hard = 0, soft = 0;  // numbers; 0: none
  };
  struct Record {
    PurgeScope scope = PurgeScope::key;
    uint32_t prefix_bytes = 0;
    Marks marks;
  };
  struct HashOfKey {
    size_t operator()(const Key& key) const { return key.low; }
  };
  Key name_of(PurgeScope scope, std::string_view scope_text, std::string_view text) const;
  void apply(const Purge& purge);
  void forget_locked(uint64_t number);
  void forget_half();
  void collect(const Key& name, Marks& all) const;

  const HashSecret secret_;
  const size_t purges_max_;
  std::atomic<uint64_t> latest_{0};
  mutable std::shared_mutex mutex_;
  std::unordered_map<Key, Record, HashOfKey> records_;
  std::map<uint32_t, size_t> prefix_lengths_;  // how many records have it
  size_t of_scope_[6] = {};
  std::map<uint64_t, HeardMark> heard_;  // by id
  Marks forgotten_;
};

}  // namespace archipel::edge
