#include "store/placements.h"

#include <algorithm>

#include "base/bytes.h"
#include "store/env.h"
#include "store/keys.h"
#include "store/records.h"

namespace archipel::store {
namespace {

constexpr uint8_t kFormat = 1;
constexpr std::string_view kStandardPolicy = "default";
constexpr std::string_view kDataClasses[] = {"personal", "intellectual-property", "public", "own"};
constexpr size_t kNameBytesMax = 63;

bool good_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-._") == std::string_view::npos;
}

std::unexpected<Error> bad_choice(const PlacementChoice& choice, const std::string& why) {
  return fail(Code::invalid, "placement policy " + choice.policy + ": " + why);
}

Result<PlacementClass> make_class(const extent::Placement& roster, const extent::AckRule& ack,
                                  const PlacementChoice& choice) {
  if (Result<void> admitted = erasure::check_code(choice.code); !admitted)
    return bad_choice(choice, admitted.error().message);
  if (choice.homes.size() != static_cast<size_t>(choice.code.n))
    return bad_choice(choice, "a code of " + std::to_string(choice.code.n) +
                                  " shards needs as many islands, not " +
                                  std::to_string(choice.homes.size()));
  const std::optional<extent::Homes> homes = extent::Homes::of(choice.homes);
  if (!homes) return bad_choice(choice, "an island is named twice, or there is none of that number");
  PlacementClass out{choice.policy, erasure::Coder(choice.code), *homes, {}, ack, choice.in_commits};
  auto islands = std::make_shared<extent::Placement>();
  for (const uint8_t place : choice.homes) {
    if (place >= roster.islands.size())
      return bad_choice(choice, "there is no island " + std::to_string(place) + " in a roster of " +
                                    std::to_string(roster.islands.size()));
    islands->islands.push_back(roster.islands[place]);
  }
  out.islands = std::move(islands);
  out.ack.w = choice.code.w();
  return out;
}

}  // namespace

std::string encode(const BucketPlacement& placement) {
  std::string out;
  Writer(out).u8(kFormat).bytes(placement.policy).bytes(placement.data_class);
  return out;
}

Result<BucketPlacement> decode_bucket_placement(std::string_view document) {
  Reader reader(document);
  BucketPlacement placement;
  const uint8_t format = reader.u8();
  placement.policy = reader.bytes(kNameBytesMax);
  placement.data_class = reader.bytes(kNameBytesMax);
  if (format != kFormat || !reader.done())
    return fail(Code::corrupt, "the placement of a bucket is damaged; place the bucket again",
                "InternalError");
  return placement;
}

Result<void> check_bucket_placement(const BucketPlacement& placement) {
  for (const std::string& name : {placement.policy, placement.data_class})
    if (!name.empty() && !good_name(name))
      return fail(Code::invalid,
                  "no placement policy and no data class can have that name: 1 to 63 of a-z 0-9 - . _",
                  "InvalidRequest");
  return {};
}

Result<std::shared_ptr<const Placements>> Placements::make(std::shared_ptr<const extent::Placement> roster,
                                                           erasure::Code code, const extent::AckRule& ack,
                                                           const std::vector<PlacementChoice>& choices,
                                                           DataClasses classes) {
  auto out = std::make_shared<Placements>();
  out->roster_ = std::move(roster);
  for (const PlacementChoice& choice : choices) {
    if (!good_name(choice.policy)) return bad_choice(choice, "no policy can have that name");
    ASSIGN_OR_RETURN(PlacementClass one, make_class(*out->roster_, ack, choice));
    if (!out->classes_.emplace(choice.policy, std::move(one)).second)
      return bad_choice(choice, "it is there twice");
  }
  if (!out->classes_.contains(kStandardPolicy)) {
    PlacementChoice all{std::string(kStandardPolicy), code, {}, true};
    for (size_t i = 0; i < out->roster_->islands.size(); ++i) all.homes.push_back(static_cast<uint8_t>(i));
    ASSIGN_OR_RETURN(PlacementClass standard, make_class(*out->roster_, ack, all));
    standard.ack = ack;
    out->classes_.emplace(kStandardPolicy, std::move(standard));
  }
  out->standard_ = &out->classes_.find(kStandardPolicy)->second;
  out->data_classes_ = std::move(classes);
  for (std::string_view always : kDataClasses)
    out->data_classes_.try_emplace(std::string(always), kStandardPolicy);
  for (const auto& [data_class, policy] : out->data_classes_)
    if (!out->classes_.contains(policy))
      return fail(Code::invalid,
                  "data class " + data_class + " follows policy " + policy + ", which is not configured");
  return out;
}

Result<const PlacementClass*> Placements::find(std::string_view policy) const {
  auto found = classes_.find(policy);
  if (found != classes_.end()) return &found->second;
  return fail(Code::denied,
              "nothing can be written here: the placement policy " + std::string(policy) +
                  " of this bucket is not configured at this gateway",
              "PlacementRefused");
}

Result<const PlacementClass*> Placements::resolve(const BucketPlacement& placement) const {
  if (!placement.policy.empty()) return find(placement.policy);
  if (placement.data_class.empty()) return standard_;
  auto found = data_classes_.find(placement.data_class);
  if (found != data_classes_.end()) return find(found->second);
  return fail(Code::denied,
              "nothing can be written here: the data class " + placement.data_class +
                  " of this bucket is not configured at this gateway",
              "PlacementRefused");
}

std::optional<std::string> placement_document(const Bucket& bucket) {
  if (!bucket.info.configs) return std::nullopt;
  auto document = bucket.info.configs->find(std::string(kPlacementDocument));
  if (document == bucket.info.configs->end()) return std::nullopt;
  return document->second;
}

namespace {

Result<std::shared_ptr<const PlacementClass>> class_of(const Env& env,
                                                       const std::optional<std::string>& document) {
  std::shared_ptr<const Placements> all = env.placements.get();
  BucketPlacement asked;
  if (document) {
    ASSIGN_OR_RETURN(asked, decode_bucket_placement(*document));
  }
  ASSIGN_OR_RETURN(const PlacementClass* found, all->resolve(asked));
  return std::shared_ptr<const PlacementClass>(std::move(all), found);
}

bool takes(const PlacementClass& now, const PlacementClass& sealed_for) {
  return now.homes == sealed_for.homes && now.coder.code() == sealed_for.coder.code() &&
         (now.in_commits || !sealed_for.in_commits);
}

}  // namespace

Result<void> check_placed(const Env& env, const index::View& view, const std::string& bucket,
                          const std::optional<std::string>& document, const PlacementClass& placed) {
  ASSIGN_OR_RETURN(std::optional<std::string> now, view.get(config_key(bucket, kPlacementDocument)));
  if (now) {
    ASSIGN_OR_RETURN(*now, decode_config(*now));
  }
  if (now != document)
    return fail(Code::unavailable, "the bucket was placed elsewhere while this was written; send it again",
                "ServiceUnavailable");
  ASSIGN_OR_RETURN(std::shared_ptr<const PlacementClass> asked, class_of(env, document));
  if (takes(*asked, placed)) return {};
  return fail(Code::unavailable, "the policy of the bucket changed while this was written; send it again",
              "ServiceUnavailable");
}

Result<std::shared_ptr<const PlacementClass>> bucket_class(const Env& env, const Bucket& bucket) {
  return class_of(env, placement_document(bucket));
}

bool lies_as(const Slice& slice, const PlacementClass& placed) {
  if (!slice.storage.small.empty()) return placed.in_commits;
  return std::ranges::all_of(slice.storage.extents, [&](const ExtentRun& run) {
    return run.ref.homes == placed.homes && run.ref.geometry.code == placed.coder.code();
  });
}

std::vector<std::string> Placements::policies() const {
  std::vector<std::string> out;
  for (const auto& [name, one] : classes_) out.push_back(name);
  return out;
}

}  // namespace archipel::store
