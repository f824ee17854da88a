// Registry: which extents and commit sections hold live bytes, and which are doomed (protocol §5, docs/formats/view.md).
//
// A data extent or a commit's section has a record under e/ as long as some version's stream lies in it, with the sealed bytes that are
// live; one under x/ from the commit that drops its last live byte until it has been deleted at every island, twice. Whoever asks which
// extents are alive (scrub, collection, truncation, compaction) scans e/; nobody ever lists an island. The view holds the registry, so it
// is as true as the versions: both change in one commit.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "index/committer.h"
#include "store/records.h"

namespace archipel::store {

// What tells extents apart in the view: a section has the id of its commit, {epoch, seq}.
struct ExtentKey {
  extent::ExtentRef::Kind kind = extent::ExtentRef::Kind::data;
  extent::ExtentId id;
  auto operator<=>(const ExtentKey&) const = default;
};
inline ExtentKey key_of(const extent::ExtentRef& ref) {
  return {ref.kind, ref.id};
}

struct LiveRecord {
  uint64_t live_bytes =
      0;  // sealed, as stored; at most ref.geometry.length. Never 0: the record is gone then
  extent::ExtentRef ref;
};

// An extent without live bytes.
struct DoomedRecord {
  enum class Stage : uint8_t {
    doomed = 0,   // since the commit that dropped its last byte
    deleted = 1,  // deleted once at every island; again after a while, since a late PUT may bring it back
  } stage = Stage::doomed;
  UnixMs since_ms = 0;
  uint32_t left = 0;  // bit per shard: not deleted yet in this stage
  extent::ExtentRef ref;
};

std::string live_key(const ExtentKey& key);
std::string doomed_key(const ExtentKey& key);
// The extent that a key under e/ or x/ names; nothing if it names none.
std::optional<ExtentKey> extent_of(std::string_view view_key);

std::string encode(const LiveRecord& record);
Result<LiveRecord> decode_live(std::string_view bytes);
std::string encode(const DoomedRecord& record);
Result<DoomedRecord> decode_doomed(std::string_view bytes);
// `now_ms`: the time of dooming.
DoomedRecord doomed_now(const extent::ExtentRef& ref, UnixMs now_ms);

// Live extents with keys >= `from`, in order, until `visit` returns false. Blocks: on a worker.
Result<void> scan_live(const index::Snapshot& snapshot, const ExtentKey& from,
                       const std::function<bool(const ExtentKey&, const LiveRecord&)>& visit);

// Once this key is in the view, no commit may refer to data extents of that closed epoch that none referred to before: what is not
// under e/ or x/ then is garbage.
std::string epoch_swept_key(uint64_t epoch);

// What one build() does to the registry. One per build(): several changes of one extent must see each other.
class LiveBytes {
 public:
  explicit LiveBytes(const index::View& view) : view_(view) {}

  // A stream begins to lie there, or ends to: of its first reference and its last, whatever lies between.
  void add(const Storage& storage) { change(storage, 1); }
  void drop(const Storage& storage) { change(storage, -1); }
  // Writes what changed. `now_ms` stamps the doomed. unavailable: an added extent's epoch is over and was swept; corrupt: the view
  // contradicts itself.
  Result<void> finish(UnixMs now_ms, std::vector<index::Mutation>& out) const;

 private:
  struct Change {
    int64_t delta = 0;
    bool added = false;
    extent::ExtentRef ref;
  };
  void change(const Storage& storage, int sign);
  void change(const extent::ExtentRef& ref, uint64_t bytes, int sign);
  Result<void> check_not_swept() const;

  const index::View& view_;
  std::map<ExtentKey, Change> changes_;
};

}  // namespace archipel::store
