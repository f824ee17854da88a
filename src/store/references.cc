#include "store/references.h"

#include "store/keys.h"
#include "store/part_sets.h"

namespace archipel::store {

void References::drop(const Slice& slice) {
  Change& change = changes_[slice.stream.data_id];
  change.delta -= 1;
  change.storage = slice.storage;
}

Result<void> References::drop_version(std::string_view bytes) {
  ASSIGN_OR_RETURN(VersionRecord record, decode_version(bytes));
  drop_version(record);
  return {};
}

void References::drop_version(const VersionRecord& record) {
  for (const Slice& slice : record.slices) drop(slice);
  if (record.part_set) dropped_sets_.push_back(*record.part_set);
}

Result<void> References::finish(UnixMs now_ms, std::vector<index::Mutation>& out) {
  for (const auto& [data_id, change] : changes_) {
    if (change.delta == 0) continue;
    std::string key = reference_key(data_id);
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, view_.get(key));
    int64_t before = 0;
    if (bytes) {
      ASSIGN_OR_RETURN(uint64_t count, decode_count(*bytes));
      before = static_cast<int64_t>(count);
    }
    int64_t after = before + change.delta;
    if (after < -1)
      return fail(Code::corrupt, "a stream has fewer references than versions; delete the index directory",
                  "InternalError");
    if (after > 0)
      out.push_back({key, encode_count(static_cast<uint64_t>(after))});
    else if (before > 0)
      out.push_back({key, std::nullopt});
    if (after == -1) live_.drop(change.storage);
  }
  for (const PartSetId& set : dropped_sets_) out.push_back(drop_set(set));
  return live_.finish(now_ms, out);
}

}  // namespace archipel::store
