#include "door/s3/settings.h"

#include <mutex>

#include "base/log.h"
#include "door/s3/errors.h"
#include "door/s3/lifecycle_document.h"

namespace archipel::door::s3 {
namespace {

// The setting `name` of `configs`, by `parse`.
template <class T, class Parse>
Setting<T> read(const store::BucketConfigs& configs, std::string_view name, Parse parse) {
  auto found = configs.find(std::string(name));
  if (found == configs.end()) return std::optional<T>();
  Result<T> parsed = parse(found->second);
  if (parsed) return std::optional<T>(std::move(*parsed));
  log::error("s3.bucket_configuration_unreadable", {{"document", name}, {"reason", parsed.error().message}});
  return fail(Code::internal,
              "the bucket's " + std::string(name) + " configuration cannot be read; put it again",
              "InternalError");
}

}  // namespace

BucketSettings read_settings(std::shared_ptr<const store::BucketConfigs> configs) {
  static const store::BucketConfigs kNone;
  const store::BucketConfigs& all = configs ? *configs : kNone;
  BucketSettings out;
  out.cors = read<CorsRules>(all, "cors", parse_cors);
  out.lifecycle = read<store::LifecycleRules>(
      all, "lifecycle", [](std::string_view xml) { return parse_lifecycle(xml, nullptr); });
  out.encryption = read<DefaultEncryption>(all, "encryption", parse_encryption);
  out.object_lock = read<DefaultRetention>(all, "object-lock", parse_object_lock);
  out.website = read<Website>(all, "website", parse_website);
  out.logging = read<LoggingTarget>(all, "logging", [](std::string_view xml) -> Result<LoggingTarget> {
    ASSIGN_OR_RETURN(std::optional<LoggingTarget> target, parse_logging(xml));
    if (!target) return refuse("MalformedXML");  // off is not stored
    return std::move(*target);
  });
  out.source = std::move(configs);
  return out;
}

std::shared_ptr<const BucketSettings> SettingsCache::of(const store::BucketInfo& bucket) {
  static const auto kNone = std::make_shared<const BucketSettings>(read_settings(nullptr));
  if (!bucket.configs || bucket.configs->empty()) return kNone;
  {
    std::shared_lock lock(mutex_);
    auto found = known_.find(bucket.configs.get());
    if (found != known_.end()) return found->second;
  }
  auto made = std::make_shared<const BucketSettings>(read_settings(bucket.configs));
  std::unique_lock lock(mutex_);
  if (known_.size() >= kSettingsCachedMax) known_.clear();
  return known_.emplace(bucket.configs.get(), std::move(made)).first->second;
}

}  // namespace archipel::door::s3
