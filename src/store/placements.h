// Placements: the classes a store can place bodies in, by the name of their policy (protocol §6). Solved elsewhere (src/exposure); here they are
// a coder and islands.
//
// A bucket names its policy in the document "placement"; one without it follows "default". A body goes where its bucket's class says, before a
// byte of it is written; a bucket whose policy is not configured takes no writes. Small bodies ride in commit blobs only if the class allows
// every island of the journal; otherwise they get an extent of their own. Immutable; replaced as a whole; thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "erasure/coder.h"
#include "extent/extent.h"
#include "extent/homes.h"

namespace archipel::store {

// What a bucket asks for: its document "placement". Both empty: "default". A policy wins over a data class, which stands for the policy that the
// configuration gives it (personal, intellectual-property, public, own, and others that it names).
struct BucketPlacement {
  std::string policy, data_class;
  bool operator==(const BucketPlacement&) const = default;
};
inline constexpr std::string_view kPlacementDocument = "placement";  // name of the document
// The document, byte by byte in docs/formats/view.md; decode: corrupt. check: invalid (detail InvalidRequest): a name that none can have.
std::string encode(const BucketPlacement& placement);
Result<BucketPlacement> decode_bucket_placement(std::string_view document);
Result<void> check_bucket_placement(const BucketPlacement& placement);

struct PlacementClass {
  std::string policy;
  erasure::Coder coder;
  extent::Homes homes;                               // the first coder.code().n of them
  std::shared_ptr<const extent::Placement> islands;  // n, by shard: what Fanout::put takes
  extent::AckRule ack;
  bool in_commits = true;  // small bodies may ride in commit blobs
};

struct PlacementChoice {
  std::string policy;
  erasure::Code code;
  std::vector<uint8_t> homes;  // by shard, places in the roster
  bool in_commits = true;
};

class Placements {
 public:
  // Data class -> policy.
  using DataClasses = std::map<std::string, std::string, std::less<>>;

  // `roster`: all islands. `ack`: of the realm; w follows each class's code. The class "default" is there whatever `choices` say: all islands,
  // `code`, small bodies in commits, unless a choice of that name replaces it. invalid: a code that is not admitted, an island named twice or not there, a name twice, a class of a policy
  // that is not there. `classes`: besides the four that always are, which are of "default" unless it says otherwise.
  static Result<std::shared_ptr<const Placements>> make(std::shared_ptr<const extent::Placement> roster,
                                                        erasure::Code code, const extent::AckRule& ack,
                                                        const std::vector<PlacementChoice>& choices,
                                                        DataClasses classes = {});
  const PlacementClass& standard() const { return *standard_; }
  // denied (detail PlacementRefused): no such policy is configured; the message names it.
  Result<const PlacementClass*> find(std::string_view policy) const;
  // The class a bucket's bodies go to. denied (detail PlacementRefused): its policy or data class is not configured; the message names it.
  Result<const PlacementClass*> resolve(const BucketPlacement& placement) const;
  const DataClasses& data_classes() const { return data_classes_; }
  const extent::Placement& roster() const { return *roster_; }
  // Policies by name, "default" among them.
  std::vector<std::string> policies() const;

 private:
  std::map<std::string, PlacementClass, std::less<>> classes_;
  const PlacementClass* standard_ = nullptr;
  DataClasses data_classes_;
  std::shared_ptr<const extent::Placement> roster_;
};

}  // namespace archipel::store
