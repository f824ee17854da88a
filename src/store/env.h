// Env: what every room of the store works with; made once by open_store(). And the rooms themselves: each function is the method of
// Store that bears its name, with its contract.
#pragma once

#include <mutex>

#include "extent/loop_scopes.h"
#include "store/budget.h"
#include "store/directory.h"
#include "store/pins.h"
#include "store/placements.h"
#include "store/rules.h"
#include "store/store.h"

namespace archipel::store {

// Work below these sizes is cheaper than the way to a worker and back (some 20 us of it).
inline constexpr size_t kInlineSealBytesMax = 16u << 10;    // MD5 and sealing
inline constexpr size_t kInlineRecordBytesMax = 16u << 10;  // decoding a version record
inline constexpr uint64_t kPieceSegmentsMax = 16;           // 1 MiB: the unit of reading, sealing and opening
inline constexpr Duration kReadDeadline = std::chrono::seconds(30);  // for one piece of a GET
inline constexpr Duration kMemoryDeadline =
    std::chrono::seconds(30);  // for waiting for memory; then SlowDown

// The classes that bodies are placed in now: a reload of the configuration may give others. Thread-safe.
class CurrentPlacements {
 public:
  explicit CurrentPlacements(std::shared_ptr<const Placements> now) : now_(std::move(now)) {}
  std::shared_ptr<const Placements> get() const {
    std::lock_guard lock(mutex_);
    return now_;
  }
  void set(std::shared_ptr<const Placements> next) {
    std::lock_guard lock(mutex_);
    now_ = std::move(next);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Placements> now_;
};

struct Env {
  StoreOptions options;
  const crypto::Keyring& keys;
  index::Kv& kv;
  index::Committer& committer;
  extent::Fanout& fanout;
  extent::ExtentReader& reader;
  CurrentPlacements placements;
  io::Workers& workers;
  Random& random;
  Clock& clock;
  Budget budget;
  Directory directory;
  std::shared_ptr<Pins> pins;
  extent::LoopScopes background;  // read-aheads whose readers have gone, extents being given up
};

// The bucket, or NoSuchBucket.
inline Result<std::shared_ptr<const Bucket>> find_bucket(Env& env, const std::string& name) {
  std::shared_ptr<const Bucket> bucket = env.directory.bucket(name);
  if (!bucket) return no_such_bucket();
  return bucket;
}

// Where bodies that are written to the bucket from now on go. PlacementRefused: it follows a policy or data class that is not configured, and
// takes no writes.
Result<std::shared_ptr<const PlacementClass>> bucket_class(const Env& env, const Bucket& bucket);
// The bucket's document "placement" as of then; nothing if it has none.
std::optional<std::string> placement_document(const Bucket& bucket);
// Within build(): the bucket is placed still as it was when its bodies' class was asked for. unavailable (ServiceUnavailable): it was placed anew,
// or made again, while a body was sealed for where it lay then; sent again, it goes where it belongs.
// The same if its policy says otherwise now than `placed`, or (denied, PlacementRefused) is gone: the configuration was read again in between.
Result<void> check_placed(const Env& env, const index::View& view, const std::string& bucket,
                          const std::optional<std::string>& document, const PlacementClass& placed);
// Everything of the stream lies as it would if it were written in this class.
bool lies_as(const Slice& slice, const PlacementClass& placed);

// Within build(): the bucket still exists and still belongs to the tenant under whose key the data were sealed.
Result<void> check_bucket_unchanged(const index::View& view, std::string_view bucket, std::string_view owner);

io::Task<Result<void>> put_account(Env& env, Account account);
io::Task<Result<void>> remove_account(Env& env, std::string id);
io::Task<Result<void>> remove_key(Env& env, std::string access_key);
io::Task<Result<void>> put_user(Env& env, User user);
io::Task<Result<void>> put_role(Env& env, Role role);
io::Task<Result<void>> remove_user(Env& env, std::string account, std::string name);
io::Task<Result<void>> remove_role(Env& env, std::string account, std::string name);
io::Task<Result<void>> create_bucket(Env& env, CreateBucket request);
io::Task<Result<BucketInfo>> configure_bucket(Env& env, std::string name, BucketChange change);
io::Task<Result<BucketInfo>> place_bucket(Env& env, std::string name, BucketPlacement placement);
io::Task<Result<StoreInventory>> inventory(Env& env);
io::Task<Result<Usage>> bucket_usage(Env& env, std::string name);
io::Task<Result<std::pair<Usage, Quota>>> account_usage(Env& env, std::string owner);
io::Task<Result<void>> set_account_quota(Env& env, std::string owner, Quota quota);
io::Task<Result<void>> delete_bucket(Env& env, std::string name);
io::Task<Result<std::vector<BucketInfo>>> list_buckets(Env& env, std::string owner);
io::Task<Result<ObjectInfo>> put_object(Env& env, PutRequest request, BodySource& body);
io::Task<Result<Store::Opened>> get_object(Env& env, Store::GetRequest request);
io::Task<Result<ObjectInfo>> head_object(Env& env, HeadRequest request);
io::Task<Result<std::vector<DeleteOutcome>>> remove_objects(Env& env, RemoveRequest request);
io::Task<Result<ObjectInfo>> copy_object(Env& env, CopyRequest request);
io::Task<Result<ListResult>> list_objects(Env& env, ListRequest request);
io::Task<Result<ListVersionsResult>> list_versions(Env& env, ListVersionsRequest request);
io::Task<Result<ObjectInfo>> change_attributes(Env& env, AttributeChange change);

}  // namespace archipel::store
