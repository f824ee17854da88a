// Part sets: the parts of an upload under way, and of the object that it became (docs/formats/view.md).
//
// A set is referred to by one upload, or by one version, and by nothing else. The commit that ends this reference writes a record under z/,
// however many parts there are; rounds of the collector then drop them in commits of bounded size. Readers of this process hold
// the set they read (Pins), and no round drops a part of it.
#pragma once

#include "store/rules.h"
#include "store/upload_records.h"
#include "store/usage.h"

namespace archipel::store {

inline constexpr size_t kBucketUploadsMax = 1000;  // that go with their bucket, in one commit

// Within build(): the set of an upload that goes has nobody any more, and is no longer counted in `usage` (may be null). Its
// p/ record is the caller's.
Result<void> drop_open_set(const UploadId& id, const index::View& view, UsageChange* usage,
                           std::vector<index::Mutation>& out);
// The same for the set of a version that goes, or of the parts that Complete left out.
index::Mutation drop_set(const UploadId& id, std::vector<uint32_t> numbers = {});

// Within build(): all uploads of a bucket that is deleted, their sets with them; their usage ends with the bucket's. BucketNotEmpty if there are more than kBucketUploadsMax.
Result<void> drop_bucket_uploads(const std::string& bucket, const index::View& view,
                                 std::vector<index::Mutation>& out);

// What one commit of a round drops, as found in one state of the view.
struct DropPage {
  struct Set {
    UploadId id{};
    std::string value;              // of the record under z/
    std::vector<uint32_t> numbers;  // parts that are there
    bool last = false;              // no others are left
  };
  std::vector<Set> sets;
  std::optional<std::string> next;  // where to go on; nothing at the end
};
// `from`: kDropPrefix, or `next` of the page before. On a worker.
Result<DropPage> find_drops(const index::Snapshot& view, const std::string& from);
// Where to go on behind a set, whether it was dropped or not.
std::string after_drop(const UploadId& id);
// Drops them, but for sets whose record under z/ is another by now. `dropped`: parts.
Result<void> build_drops(const std::vector<DropPage::Set>& sets, UnixMs now_ms, const index::View& view,
                         std::vector<index::Mutation>& out, size_t& dropped);

// The bytes of one part of an object: partNumber. Of an object that is not multipart the whole is part 1. InvalidPart.
Result<ByteRange> range_of_part(const VersionRecord& version, uint32_t number);

// The parts of an object with numbers above `after`, at most `max_parts` and kListKeysMax of them; none of an object that is not
// multipart. The caller holds the object. On a worker.
Result<ObjectParts> read_object_parts(const index::Snapshot& view, const VersionRecord& version,
                                      uint32_t after, size_t max_parts);

}  // namespace archipel::store
