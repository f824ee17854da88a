// References: who still needs a stream, within one commit (protocol §5).
//
// A stream belongs to one version when it is written; a copy adds a reference under r/<data id>, which counts those beyond the first.
// The first reference and the end of the last change the registry of live bytes (registry.h); those between do not.
#pragma once

#include <map>

#include "index/committer.h"
#include "store/registry.h"

namespace archipel::store {

// One per build(): several changes of one stream in one commit must see each other.
class References {
 public:
  explicit References(const index::View& view) : view_(view), live_(view) {}

  // The first reference to a stream that was just written.
  void create(const Slice& slice) { live_.add(slice.storage); }
  // One more to a stream that others refer to.
  void add(const Slice& slice) { changes_[slice.stream.data_id].delta += 1; }
  void drop(const Slice& slice);
  // `bytes` is the record of a version that the commit removes or replaces. Its part set, if it has one, goes with it.
  Result<void> drop_version(std::string_view bytes);
  void drop_version(const VersionRecord& record);
  // Writes what changed. `now_ms` stamps the doomed. Errors: as LiveBytes::finish. Call last, once.
  Result<void> finish(UnixMs now_ms, std::vector<index::Mutation>& out);

 private:
  struct Change {
    int64_t delta = 0;
    Storage storage;  // of a dropped slice
  };
  const index::View& view_;
  LiveBytes live_;
  std::map<crypto::DataId, Change> changes_;
  std::vector<PartSetId> dropped_sets_;
};

}  // namespace archipel::store
