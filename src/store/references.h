// References: who still needs a stream, within one commit (protocol §5).
//
// A stream belongs to one version when it is written; a copy adds a reference under r/<data id>, which counts those beyond the first.
// Dropping the last one writes an x/ record with the stream's storage: collection works from these and never from a listing.
// For small bodies the record is also what a section loses: its live bytes are its length less what x/ and aborted intents left.
#pragma once

#include <map>

#include "index/committer.h"
#include "store/records.h"

namespace archipel::store {

// One per build(): several changes of one stream in one commit must see each other.
class References {
 public:
  explicit References(const index::View& view) : view_(view) {}

  void add(const Slice& slice) { changes_[slice.stream.data_id].delta += 1; }
  void drop(const Slice& slice);
  // `bytes` is the record of a version that the commit removes or replaces.
  Result<void> drop_version(std::string_view bytes);
  // Writes what changed. `now_ms` stamps the doomed.
  Result<void> finish(UnixMs now_ms, std::vector<index::Mutation>& out) const;

 private:
  struct Change {
    int64_t delta = 0;
    Storage storage;  // of a dropped slice
  };
  const index::View& view_;
  std::map<crypto::DataId, Change> changes_;
};

}  // namespace archipel::store
