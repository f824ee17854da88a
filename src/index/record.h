// What the journal writes to islands, byte by byte: commit blobs, epoch-opens and claims (docs/formats/journal.md, protocol §2).
//
//   blob   = header[128], masked per name ‖ sealed record ‖ (commits only) this island's cells of the data section
//   sealed = AES-256-GCM(key = HKDF-SHA256(sub-key "index", salt, "archipel/1 record"), nonce 0,
//                        AD = realm ‖ header before masking)
//
// The sealed record is the same on every island. Everything that is decoded here came from an island and is hostile:
// errors are `corrupt` (or `unsupported` for a later version), never a CHECK. Pure functions; thread-safe.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "crypto/hash.h"
#include "crypto/keyring.h"
#include "extent/extent.h"
#include "extent/names.h"
#include "index/kv.h"
#include "island/island.h"

namespace archipel::index {

inline constexpr size_t kHeaderBytes = 128;
inline constexpr uint16_t kFormatVersion = 1;
inline constexpr size_t kRecordBytesMax = 16u << 20;    // sealed: recovery holds up to 32 of them
inline constexpr uint64_t kSectionBytesMax = 9u << 20;  // a 4 MiB batch with the gaps that packing may leave
inline constexpr size_t kMasksMax = 64;  // earlier commits whose confirmations one record carries
inline constexpr size_t kRosterMax = 16;
inline constexpr int kInFlightMax = 8;  // format constant: recovery judges this many sequence numbers

using crypto::Digest32;
using extent::OpenBits;
using Salt = std::array<uint8_t, 32>;

enum class BlobKind : uint8_t { commit = 1, open = 2, claim = 3 };

struct Header {
  BlobKind kind = BlobKind::commit;
  uint64_t epoch = 0, seq = 0;  // seq is 0 for opens and claims
  Salt salt{};                  // fresh per record; of a claim: a function of its epoch
  uint32_t record_bytes = 0;    // of the sealed record
  extent::Geometry section;     // length 0: no section
  extent::Attempt attempt{};    // of the section
};
using HeaderBytes = std::array<uint8_t, kHeaderBytes>;

HeaderBytes encode_header(const Header& header);
Result<Header> decode_header(ByteView bytes);
// Masks and unmasks (an XOR): without it a header's constant bytes would tell what the blob is.
void mask_header(const crypto::Keyring& keys, const std::string& island_id, const std::string& name,
                 HeaderBytes& header);

// A commit's place in the chain and what it changes.
struct Record {
  struct Confirmed {
    uint64_t epoch = 0, seq = 0;
    uint32_t mask = 0;  // bit per shard
  };
  Digest32 prev_hash{};  // of the plaintext record before it; of seq 1: of the epoch-open's plaintext
  uint64_t epoch = 0, seq = 0;
  UnixMs commit_ms = 0;
  Digest32 section_digest{};         // BLAKE2b-256 of the section's bytes
  std::vector<Confirmed> confirmed;  // acknowledged commits before this one that no record has told yet
  std::vector<Mutation> mutations;
};

// The plaintext, filled with zeros up to `pad_to` if it is shorter.
std::string encode_record(const Record& record, size_t pad_to);
Result<Record> decode_record(ByteView plain);

struct RosterEntry {
  enum class State : uint8_t {
    counted = 0,
    uncounted = 1,  // present, but gives no confirmations in this epoch
    lost = 2,       // had no marker
  };
  std::string island;
  island::Incarnation incarnation{};
  State state = State::counted;
};

using AttemptSeed = std::array<uint8_t, 32>;
// The attempt of data extent `id`: the first 16 bytes of HMAC-SHA256(seed of its epoch, "archipel/1 attempt" ‖ epoch u64 ‖ counter u64). It
// is in the journal before it is used, so the names of whatever an upload left behind can be computed (protocol §5).
extent::Attempt attempt_of(const AttemptSeed& seed, const extent::ExtentId& id);

// Opens an epoch: what every record in it builds on.
struct EpochOpen {
  uint64_t epoch = 0;
  OpenBits bits{};
  uint64_t parent_epoch = 0, parent_seq = 0;  // 0, 0: the first epoch
  Digest32 parent_hash{};                     // of the parent's last record, or of its open if it has none
  erasure::Code code;
  int w = 0;
  UnixMs opened_ms = 0;
  uint64_t extent_range = 0;        // extent ids {epoch, 1..extent_range} may be used from the start
  AttemptSeed attempt_seed{};       // random: what the epoch's extents are named and tagged by (attempt_of)
  std::vector<RosterEntry> roster;  // in shard order
};
std::string encode_open(const EpochOpen& open);
Result<EpochOpen> decode_open(ByteView plain);

// A sealed record and its header, ready to be put on any island: header (masked for it) ‖ sealed ‖ cells.
struct Sealed {
  Header header;
  Buffer bytes;     // the sealed record
  Digest32 hash{};  // of its plaintext
};
// Fills in header.record_bytes.
Sealed seal(const crypto::Keyring& keys, Header header, ByteView plain);
// The claim of an epoch number: the same bytes whoever writes it.
Sealed seal_claim(const crypto::Keyring& keys, uint64_t epoch);
HeaderBytes masked_header(const crypto::Keyring& keys, const std::string& island_id, const std::string& name,
                          const Header& header);

// A blob that was read from an island and verified, but for its cells.
struct OpenedBlob {
  Sealed sealed;
  Buffer plain;
  size_t cells_at = 0;  // offset of the cells in the blob
};
// The header of what lies under `name`, not yet authenticated: good for its lengths, which are within the limits.
Result<Header> peek_header(const crypto::Keyring& keys, const std::string& island_id, const std::string& name,
                           ByteView blob);
// `blob`: the whole blob, or at least its header and record. Fails unless it is the blob of that kind, epoch and seq.
Result<OpenedBlob> open_blob(const crypto::Keyring& keys, const std::string& island_id,
                             const std::string& name, BlobKind kind, uint64_t epoch, uint64_t seq,
                             ByteView blob);

// --- what the index keeps about itself in the view, under "m/" ---
inline constexpr std::string_view kOwnPrefix = "m/";

struct Applied {
  uint64_t epoch = 0, seq = 0;
  Digest32 hash{};
  OpenBits open{};
  bool operator==(const Applied&) const = default;
};
inline constexpr std::string_view kAppliedKey = "m/applied";
Result<Applied> decode_applied(std::string_view value);
Result<std::optional<Applied>> read_applied(const Snapshot& snapshot);
// All that applying a record, or an epoch-open, changes in the view: the same when it is committed and when it is replayed.
std::vector<Mutation> mutations_of(const Record& record, const Digest32& hash, const OpenBits& open, int n);
std::vector<Mutation> mutations_of(const EpochOpen& open, const Digest32& hash);
// The commits that they belong to, with the mask that was confirmed and the time of the commit that told it.
Result<void> scan_debts(const Snapshot& snapshot,
                        const std::function<void(const Record::Confirmed&, UnixMs told_ms)>& visit);
// The mutation that says that a commit lacks no shard any more: the one change under "m/" that any intent may make.
Mutation settle_debt(uint64_t epoch, uint64_t seq);
bool settles_debt(const Mutation& mutation);
// Extent ids {epoch, 1..end} are reserved.
Mutation reserve_extents(uint64_t epoch, uint64_t end);
// The end of what is reserved of an epoch's extent ids; 0 if the view does not know the epoch.
Result<uint64_t> reserved_extents(const Snapshot& snapshot, uint64_t epoch);

}  // namespace archipel::index
