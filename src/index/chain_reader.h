// Reading the journal back from islands that may be gone, silent, empty or lying (protocol §1, §2). Judges nothing by itself but bytes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "index/blob_set.h"
#include "index/record.h"
#include "io/sync.h"
#include "io/workers.h"

namespace archipel::index {

// What an island's marker said at this start.
struct IslandSeen {
  enum class State {
    present,  // our marker: its 404s are absences, for the incarnation it shows
    lost,     // reachable, and no marker
    silent,  // not reachable, or its marker is damaged or of another place: it takes no part, and is no absence
  } state = State::silent;
  bool refused = false;               // silent because of its marker: nothing is written to it either
  island::Incarnation incarnation{};  // if present
  std::string reason;                 // if not present
};
// Order as in `placement`. A marker that is not ours makes that island silent, with the reason; the others are none the worse.
io::Task<std::vector<IslandSeen>> read_markers(const crypto::Keyring& keys,
                                               const extent::Placement& placement, io::Loop& home);

// What one island answers for one name.
struct Heard {
  enum class Answer {
    found,   // a valid record, and valid cells if they were asked for
    absent,  // an authenticated 404
    wrong,   // bytes that are not what was asked for: a liar or a broken disk. Neither found nor absent.
    silent,  // no answer
  } answer = Answer::silent;
  std::optional<OpenedBlob> blob;  // found; also set when only the cells are wrong
  Buffer cells;                    // with the blob, if they were asked for; used while polling
  std::string reason;              // wrong or silent
};

// One name on all islands.
struct Poll {
  std::vector<Heard> heard;  // by shard
  int holders() const;
  // One of the valid copies; null if there is none. (Validity is cryptographic: copies differ only if two were made, a fork.)
  const OpenedBlob* any() const;
  bool forked() const;
  std::optional<Buffer>
      section;  // of a commit with at least k holders and data: its bytes, matching the record's digest
};

// Counts of one name over the islands of a roster (protocol §2).
struct Counts {
  int absent = 0, lost = 0, members = 0;
};

class ChainReader {
 public:
  // The references must outlive it. On one loop.
  ChainReader(const crypto::Keyring& keys, const erasure::Coder& coder, const extent::Placement& placement,
              io::Workers& workers, io::Loop& home, std::vector<IslandSeen> seen);

  const std::vector<IslandSeen>& seen() const { return seen_; }
  erasure::Code code() const { return coder_.code(); }

  struct Name {
    BlobKind kind = BlobKind::commit;
    uint64_t epoch = 0, seq = 0;
    OpenBits open{};
  };
  // A valid copy from whichever island gives one first, asking one at a time; nullopt if none of those that answer has it. Cells are not read.
  io::Task<std::optional<OpenedBlob>> find(Name name);
  // `count` commits of one epoch from `name.seq` on, in parallel.
  io::Task<std::vector<std::optional<OpenedBlob>>> find_window(Name name, int count);
  // Asks every island; of a commit everything is read and verified, cells too.
  io::Task<Poll> poll(Name name);

  // Absences judged under the roster of `judged`. An island counts as lost if it is heard and either has no marker, or answers 404 under
  // another incarnation than the roster's.
  Counts count(const Poll& poll, const EpochOpen& judged, bool counted_only) const;
  // "aws-ireland (no answer: …), …": the islands that could still settle a name.
  std::string unheard(const Poll& poll) const;

 private:
  static io::Task<void> read_one(const ChainReader* self, size_t shard, Name name, bool with_cells,
                                 Heard* out);
  static io::Task<void> find_into(ChainReader* self, Name name, std::optional<OpenedBlob>* out);
  Heard examine(size_t shard, const Name& name, const std::string& blob_name, ByteView bytes) const;
  void check_cells(const Name& name, Poll& poll) const;
  // Bytes that are not what the name promises: counted for the island (island/health.h) and logged with its name.
  void call_wrong(size_t shard, const Name& name, std::string reason, Heard& heard) const;

  const crypto::Keyring& keys_;
  const erasure::Coder& coder_;
  const extent::Placement& placement_;
  io::Workers& workers_;
  io::Loop& home_;
  std::vector<IslandSeen> seen_;
};

}  // namespace archipel::index
