// Policy: the AWS policy language, parsed once and asked often. Pure: it knows documents, requests and nothing else.
//
// Who is asked for what, and which policies count, is the caller's business; authorize() is the rule that combines them. A document is either
// understood whole or refused: an unknown element, operator, condition key of S3 or principal type is an error, never ignored. Everything here is
// thread-safe; a Policy is immutable.
//
// Source: IAM user guide, "JSON policy element reference" and "Policy evaluation logic"; S3 user guide, "The meaning of 'public'".
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "iam/principal.h"

namespace archipel::iam {

inline constexpr size_t kResourcePolicyBytesMax = 20u << 10;  // of a bucket policy (S3's limit)
inline constexpr size_t kIdentityPolicyBytesMax = 10u << 10;  // of a user's or role's, each
inline constexpr size_t kSessionPolicyBytesMax = 2048;
inline constexpr size_t kJsonDepthMax = 8;     // a policy has 6
inline constexpr size_t kStatementsMax = 128;  // each costs an evaluation per request
inline constexpr size_t kVariablesMax = 64;    // in one policy: what they stand for may be long
inline constexpr size_t kContextValuesMax =
    64;  // of one condition key; more are dropped, see ConditionContext

enum class PolicyKind {
  identity,  // of a user or role: no Principal
  resource,  // of a bucket: Principal required, actions of S3 only, and only those that exist
  session,   // given with AssumeRole: as identity, smaller
  trust,     // of a role: Principal required, no Resource, actions of sts
};

class Policy;  // parsed; see evaluate()

// Errors: invalid, detail MalformedPolicy, message names the statement ("statement 2 (Sid \"x\"): …") and the element.
Result<std::shared_ptr<const Policy>> parse_policy(std::string_view json, PolicyKind kind);

// What is known of a request beside who, what and where. Keys are case-insensitive up to a '/', and exact behind it (s3:ExistingObjectTag/Tag).
// Only what the server itself worked out belongs here: never copy a header under its own name; condition_key_of_header says which may come in.
class ConditionContext {
 public:
  // One more value of `key`. Values beyond kContextValuesMax are dropped, and the key then satisfies no ForAllValues.
  void add(std::string_view key, std::string value);
  // What a principal is by itself: aws:username, aws:userid, aws:PrincipalArn, aws:PrincipalAccount, aws:PrincipalType.
  void add_principal(const Principal& principal);
  // aws:CurrentTime and aws:EpochTime.
  void add_time(int64_t unix_ms);

  // Empty if absent. `key` in the form that normal_key gives.
  std::span<const std::string> find(std::string_view key) const;
  bool overflowed(std::string_view key) const;
  static std::string normal_key(std::string_view key);

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> overflowed_;
};

// "s3:x-amz-acl" for "x-amz-acl" (lower case), for the headers that S3 documents as condition keys; nothing for any other.
std::optional<std::string_view> condition_key_of_header(std::string_view header);

struct Request {
  Principal principal;
  std::string action;  // "s3:GetObject"
  std::string
      resource;  // "arn:aws:s3:::bucket/key"; "arn:aws:s3:::bucket"; "*" where there is none (s3:ListAllMyBuckets)
  ConditionContext context;
};

enum class Effect { none, allow, deny };

// What this policy alone says. For a Principal that names an account: all of it, its users too (but see authorize). Costs at most some
// 20 ms for the worst document, microseconds for ordinary ones.
Effect evaluate(const Policy& policy, const Request& request);
// An explicit deny in any wins, then an allow in any.
Effect evaluate_all(std::span<const std::shared_ptr<const Policy>> policies, const Request& request);

// The grounds on which a request may be allowed, and the rule: an explicit deny anywhere refuses; an account's root may do everything to what its
// account owns; a user or role needs an identity policy that allows it, or, within its own account, a resource policy that names itself (or
// everyone); what another account owns needs both, its policy (or ACL) and the own one's; a session policy must allow as well.
struct Grounds {
  std::span<const std::shared_ptr<const Policy>> identity;  // of the user or role; not looked at for others
  const Policy* session = nullptr;                          // null: none
  const Policy* resource = nullptr;                         // null: none
  std::string_view owner;                                   // account id of who owns the resource
  bool acl_allows = false;  // an ACL grants it to the principal's account, a group it is in, or everyone
};
// deny: explicitly. none: nothing allows it.
Effect authorize(const Request& request, const Grounds& grounds);

// Public in the sense of BlockPublicPolicy and GetBucketPolicyStatus: a statement allows everyone, without a condition that fixes who or from where.
bool is_public(const Policy& policy);
// False if a Resource (or NotResource) can match neither the bucket nor anything in it: PutBucketPolicy refuses such a document.
bool names_only_bucket(const Policy& policy, std::string_view bucket);

}  // namespace archipel::iam
