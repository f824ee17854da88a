// The view's records, which come out of the journal or off the gateway's disk. First byte: which of them.
//
// Properties: what decodes encodes again to something that decodes to the same; every depth of a version agrees; what a version says
// of its slices adds up.
#include "fuzz_support.h"
#include "store/collector_state.h"
#include "store/keys.h"
#include "store/records.h"
#include "store/registry.h"
#include "store/repair_records.h"
#include "store/upload_records.h"

using namespace archipel;
using namespace archipel::store;

namespace {

void version(std::string_view in) {
  Result<VersionRecord> all = decode_version(in);
  Result<VersionRecord> info = decode_version(in, Depth::info);
  Result<VersionRecord> listing = decode_version(in, Depth::listing);
  if (!all) return;
  MUST(info && listing);
  MUST(info->info.metadata == all->info.metadata && listing->info.size == all->info.size);
  uint64_t size = 0;
  for (const Slice& slice : all->slices) {
    size += slice.stream.length;
    for (const index::SmallLocation& l : slice.storage.small)
      MUST(l.offset + l.length <= l.section.geometry.length);
    for (const ExtentRun& run : slice.storage.extents) MUST(run.segments == run.ref.geometry.cells());
  }
  for (const PartRef& part : all->parts) size += part.size;
  MUST(size == all->info.size);
  MUST(listing->order == all->order && listing->info.version == all->info.version);
  MUST(parse_version(all->info.version) && parse_version(all->info.version)->names(*all));
  MUST(listing->info.attributes.legal_hold == all->info.attributes.legal_hold &&
       listing->info.attributes.retention.until_ms == all->info.attributes.retention.until_ms);
  std::string again = encode(*all);
  Result<VersionRecord> twice = decode_version(again);
  MUST(twice && encode(*twice) == again);
}

void bucket(std::string_view in) {
  if (Result<BucketRecord> decoded = decode_bucket(in)) MUST(encode(*decoded) == in);
  if (Result<UsageRecord> decoded = decode_usage(in)) MUST(encode(*decoded) == in);
  if (Result<std::string> decoded = decode_config(in)) MUST(encode_config(*decoded) == in);
}

void account(std::string_view in) {
  // An access key, then the record: nothing may change without the key, so only what was sealed decodes, and under its own key alone.
  size_t at = std::min<size_t>(in.size(), 20);
  std::string key(in.substr(0, at));
  if (decode_account(in.substr(at), key, fuzz::keys()))
    MUST(!decode_account(in.substr(at), key + "x", fuzz::keys()));
  if (Result<User> decoded = decode_user(user_key("owner", "ann"), in)) MUST(encode(*decoded) == in);
  if (Result<Role> decoded = decode_role(role_key("owner", "ann"), in)) MUST(encode(*decoded) == in);
}

void extents(std::string_view in) {
  if (Result<LiveRecord> live = decode_live(in)) {
    MUST(live->live_bytes > 0 && live->live_bytes <= live->ref.geometry.length);
    MUST(encode(*live) == in);
  }
  if (Result<DoomedRecord> doomed = decode_doomed(in)) MUST(encode(*doomed) == in);
  if (Result<ExceptionRecord> owed = decode_exception(in)) MUST(encode(*owed) == in);
  if (Result<RebuildRecord> rebuild = decode_rebuild(in)) MUST(encode(*rebuild) == in);
  if (Result<EpochSweep> sweep = decode_epoch_sweep(in)) MUST(encode(*sweep) == in);
  if (Result<CommitSweep> sweep = decode_commit_sweep(in)) MUST(encode(*sweep) == in);
  if (Result<UnixMs> time = decode_time(in)) MUST(encode_time(*time) == in);
  if (Result<ExtentTally> tally = decode_extent_tally(in)) MUST(encode(*tally) == in);
  if (in.starts_with(kLivePrefix) || in.starts_with(kDoomedPrefix))
    if (std::optional<ExtentKey> key = extent_of(in)) MUST(live_key(*key) == in || doomed_key(*key) == in);
}

void count(std::string_view in) {
  if (Result<uint64_t> decoded = decode_count(in)) MUST(encode_count(*decoded) == in);
}

void keys_of_objects(std::string_view in) {
  size_t prefix = in.empty() ? 0 : static_cast<uint8_t>(in[0]) % in.size();
  if (auto key = object_key_of(in, prefix)) MUST(key->size() < in.size());
  if (auto place = version_place_of(in, prefix)) MUST(place->key.size() < in.size());
}

void uploads(std::string_view in) {
  if (Result<UploadRecord> upload = decode_upload(in)) {
    std::string again = encode(*upload);
    Result<UploadRecord> twice = decode_upload(again);
    MUST(twice && encode(*twice) == again);
  }
  Result<PartRecord> part = decode_part(in);
  if (part) {
    MUST(encode(*part) == in);
    MUST((part->size > 0) == part->slice.has_value());
    MUST(!part->slice || part->slice->stream.length == part->size);
    Result<PartRecord> listed = decode_part(in, false);
    MUST(listed && listed->size == part->size && listed->md5 == part->md5);
  }
  if (Result<PartSetRecord> set = decode_part_set(in)) MUST(encode(*set) == in);
  if (Result<DropRecord> drop = decode_drop(in)) MUST(encode(*drop) == in);
  if (std::optional<UploadId> id = parse_upload_id(in)) MUST(upload_text(*id) == in);
  if (std::optional<UploadId> id = drop_of(in)) MUST(drop_key(*id) == in);
  size_t prefix = in.empty() ? 0 : static_cast<uint8_t>(in[0]) % in.size();
  if (std::optional<UploadPlace> place = upload_place_of(in, prefix))
    MUST(place->key.size() + sizeof(UploadId) + 1 + prefix == in.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view in = as_text({data + 1, size - 1});
  // Above what the corpus of the first records uses.
  if (data[0] >= 0xe0) {
    uploads(in);
    return 0;
  }
  switch (data[0] % 6) {
    case 0:
      version(in);
      break;
    case 1:
      bucket(in);
      break;
    case 2:
      account(in);
      break;
    case 3:
      extents(in);
      break;
    case 4:
      count(in);
      break;
    default:
      keys_of_objects(in);
  }
  return 0;
}
