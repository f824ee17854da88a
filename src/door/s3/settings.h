// What a bucket's configuration documents say, parsed once.
//
// A document that is there and cannot be read is an error in its place, not an absence: whoever depends on it refuses the request (P8).
#pragma once

#include <memory>
#include <optional>
#include <shared_mutex>
#include <unordered_map>

#include "door/s3/bucket_documents.h"
#include "door/s3/cors.h"
#include "door/s3/logging.h"
#include "store/lifecycle_rules.h"
#include "store/store.h"

namespace archipel::door::s3 {

// Absent, a value, or the error to answer with (InternalError: the document was good when it was stored).
template <class T>
using Setting = Result<std::optional<T>>;

struct BucketSettings {
  Setting<CorsRules> cors;
  Setting<store::LifecycleRules> lifecycle;
  Setting<DefaultEncryption> encryption;
  Setting<DefaultRetention> object_lock;
  Setting<Website> website;
  Setting<LoggingTarget> logging;

  std::shared_ptr<const store::BucketConfigs> source;  // what it was read from; may be null
};

// Reads all of them. Costs a parse of each.
BucketSettings read_settings(std::shared_ptr<const store::BucketConfigs> configs);

inline constexpr size_t kSettingsCachedMax = 4096;  // buckets; past it the cache begins anew

// The settings of buckets by the identity of their configuration (BucketInfo::configs). Thread-safe.
class SettingsCache {
 public:
  std::shared_ptr<const BucketSettings> of(const store::BucketInfo& bucket);

 private:
  std::shared_mutex mutex_;
  // Each value keeps its key's object alive, so that no other can take its address.
  std::unordered_map<const store::BucketConfigs*, std::shared_ptr<const BucketSettings>> known_;
};

}  // namespace archipel::door::s3
