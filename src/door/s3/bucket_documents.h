// The small documents that configure a bucket: each is parsed into a value and written in one canonical form, which is what the store keeps
// and what a GET gives back. What was parsed once parses again. Pure; any thread. Sources: the S3 API's reference of each operation.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace archipel::door::s3 {

inline constexpr size_t kBucketTagsMax = 50;                             // S3 limit
inline constexpr size_t kTagKeyCharsMax = 128, kTagValueCharsMax = 256;  // S3 limits, Unicode characters
inline constexpr size_t kRoutingRulesMax = 50;                           // S3 limit
inline constexpr int64_t kRetentionDaysMax = 36'500, kRetentionYearsMax = 100;

// <VersioningConfiguration>. Errors: MalformedXML, IllegalVersioningConfigurationException (no Status), NotImplemented (MFA delete).
Result<store::Versioning> parse_versioning(std::string_view xml);
std::string write_versioning(store::Versioning versioning);

// <Tagging> of a bucket. Errors: MalformedXML, InvalidTag.
using Tags = std::map<std::string, std::string>;
Result<Tags> parse_bucket_tagging(std::string_view xml);
std::string write_bucket_tagging(const Tags& tags);
// The rules of one set of tags: lengths, characters, no "aws:" names. InvalidTag.
Result<void> check_bucket_tags(const Tags& tags);

// <ServerSideEncryptionConfiguration>: what objects get whose PUT asks for nothing. Errors: MalformedXML, InvalidArgument,
// NotImplemented (algorithms other than AES256 and aws:kms).
struct DefaultEncryption {
  store::Encryption::Kind kind = store::Encryption::Kind::sse_s3;  // or sse_kms
  std::string key;                                                 // of sse_kms; may be empty
  std::optional<bool> bucket_key;
};
Result<DefaultEncryption> parse_encryption(std::string_view xml);
std::string write_encryption(const DefaultEncryption& encryption);

// <RequestPaymentConfiguration>; the owner pays. Errors: MalformedXML, NotImplemented (Requester).
Result<void> parse_request_payment(std::string_view xml);
std::string write_request_payment();

// <ObjectLockConfiguration>: the retention of objects whose PUT asks for none. Errors: MalformedXML, InvalidRetentionPeriod.
struct DefaultRetention {
  store::Retention::Mode mode = store::Retention::Mode::none;  // none: locked, without a default
  int64_t days = 0, years = 0;                                 // exactly one, if there is a mode
  // Until when an object that is made at `now` is retained.
  UnixMs until(UnixMs now) const;
};
Result<DefaultRetention> parse_object_lock(std::string_view xml);
std::string write_object_lock(const DefaultRetention& retention);

// <WebsiteConfiguration>. Errors: MalformedXML, InvalidArgument, InvalidRequest.
struct Website {
  struct RedirectAll {
    std::string host, protocol;  // protocol: "", "http" or "https"
  };
  struct Routing {
    std::string if_prefix, if_error;  // conditions; empty: none
    std::string host, protocol, code, replace_prefix, replace_key;
    bool has_replace_prefix = false;  // an empty prefix replaces too
  };
  std::optional<RedirectAll> redirect_all;
  std::string index, error;  // IndexDocument's Suffix, ErrorDocument's Key
  std::vector<Routing> rules;
};
Result<Website> parse_website(std::string_view xml);
std::string write_website(const Website& website);

// <CreateBucketConfiguration>. Errors: MalformedXML, InvalidTag, NotImplemented (directory buckets).
struct NewBucket {
  std::string location;  // empty: none
  Tags tags;
};
Result<NewBucket> parse_new_bucket(std::string_view xml);

}  // namespace archipel::door::s3
