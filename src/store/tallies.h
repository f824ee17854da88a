// Tallies: what lies where, counted. A *placing* is one way in which bodies lie: in commit blobs or in extents of their own, under a code, on
// certain islands. Buckets keep how many streams and plaintext bytes lie in each (y/b/), the registry how many extents and how much they take
// (y/e/): whoever asks who can read or cut what reads these counts, never the objects.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "extent/extent.h"
#include "index/committer.h"

namespace archipel::store {

struct Slice;    // records.h
struct Storage;  // records.h

struct PlacedAs {
  enum class In : uint8_t { commits = 0, extents = 1 } in = In::commits;
  uint8_t n = 0, k = 0;
  std::array<uint8_t, 16> islands{};  // by shard, places in the roster; zeros beyond n
  auto operator<=>(const PlacedAs&) const = default;
};
PlacedAs placing_of(const extent::ExtentRef& ref);
// Of a stream: all of it lies in one way. A stream without bytes in either is nobody's (CHECK).
PlacedAs placing_of(const Storage& storage);

struct Tally {
  uint64_t streams = 0, bytes = 0;  // one for each version or part that refers to a stream; plaintext
  bool operator==(const Tally&) const = default;
};
// Placings without streams are not kept.
using Tallies = std::map<PlacedAs, Tally>;

// What a commit changes in tallies.
class TallyChange {
 public:
  void add(const Slice& slice) { move(slice, 1); }
  void drop(const Slice& slice) { move(slice, -1); }
  // A stream of so many bytes that lay there, and lies here now.
  void relocate(const Storage& from, const Storage& to, uint64_t bytes);
  void drop(const Tallies& all);
  bool empty() const { return changes_.empty(); }
  // A count that would fall below zero has miscounted; it stays at zero, and the journal is not stopped for it.
  void apply(Tallies& to) const;

 private:
  struct Change {
    int64_t streams = 0, bytes = 0;
  };
  void move(const Slice& slice, int sign);
  void move(const PlacedAs& as, int64_t streams, int64_t bytes);
  std::map<PlacedAs, Change> changes_;
};

// As part of a record. read_tallies: false if it can be none.
void write_tallies(Writer& writer, const Tallies& tallies);
bool read_tallies(Reader& reader, Tallies& tallies);

// Counts the streams of a bucket: of its versions, and of parts of its uploads under way. A scan of the whole bucket; blocks, on a worker.
Result<Tallies> count_tallies(const index::View& view, const std::string& bucket);

// Live extents of one placing, of all buckets together.
struct ExtentTally {
  uint64_t extents = 0;  // commits: those whose section holds live bytes
  uint64_t stored_bytes =
      0;  // of their shards on all islands, headers and tags with them, dead bytes too; of commits also their records
  bool operator==(const ExtentTally&) const = default;
};
using ExtentTallies = std::map<PlacedAs, ExtentTally>;
uint64_t stored_bytes_of(const extent::ExtentRef& ref);

// y/e/: a record for each placing, and an empty one for none (PlacedAs()) that says: counted from the first extent on. Without it nothing is
// counted, and whoever asks scans the registry.
std::string extent_tally_key(const PlacedAs& as);
inline constexpr std::string_view kExtentTallyPrefix = "y/e/";
std::string encode(const ExtentTally& tally);
Result<ExtentTally> decode_extent_tally(std::string_view bytes);
// A mutation that begins the count, if there is nothing yet that would have to be counted. Within build().
Result<void> begin_extent_tallies(const index::View& view, std::vector<index::Mutation>& out);

// What a commit changes of them.
class ExtentTallyChange {
 public:
  // An extent gets its first live byte (1), or loses its last (-1).
  void change(const extent::ExtentRef& ref, int sign);
  Result<void> finish(const index::View& view, std::vector<index::Mutation>& out) const;

 private:
  struct Change {
    int64_t extents = 0, stored_bytes = 0;
  };
  std::map<PlacedAs, Change> changes_;
};
Result<ExtentTallies> count_extents(const index::Snapshot& snapshot);
// From the counters; by a scan of the registry where there are none. Blocks; on a worker.
Result<ExtentTallies> read_extent_tallies(const index::Snapshot& snapshot);

}  // namespace archipel::store
