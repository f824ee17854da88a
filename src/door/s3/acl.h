// Access control lists: what S3's canned names, x-amz-grant-* headers and <AccessControlPolicy> documents mean, and how they are kept.
//
// Kept (store::Attributes::acl, and the bucket document "acl"): nothing for the default, which is full control for the owner alone; else
// u8 1, varint number of grants, then each as u8 permission, u8 kind of grantee, bytes canonical id (empty for groups). Who owns a thing
// is not part of its ACL: the store keeps that beside it. docs/formats/view.md. Pure; any thread.
//
// Source: S3 user guide, "Access control list (ACL) overview"; API reference of PutObjectAcl and PutBucketAcl.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "iam/principal.h"

namespace archipel::door::s3 {

inline constexpr size_t kGrantsMax = 100;                  // S3 limit of one ACL
inline constexpr size_t kAclDocumentBytesMax = 64u << 10;  // 100 grants of some 400 bytes
inline constexpr size_t kEmailBytesMax = 320;              // RFC 5321

enum class Permission : uint8_t { read = 1, write = 2, read_acp = 3, write_acp = 4, full_control = 5 };

struct Grantee {
  enum class Kind : uint8_t {
    account = 0,
    all_users = 1,
    authenticated_users = 2,
    log_delivery = 3
  } kind = Kind::account;
  std::string id;  // canonical id, of an account only
  bool operator==(const Grantee&) const = default;
};

struct Grant {
  Grantee grantee;
  Permission permission = Permission::read;
  bool operator==(const Grant&) const = default;
};
using Grants = std::vector<Grant>;

// The grants of the default ACL.
Grants private_grants(const std::string& owner);

// Empty for the default ACL of `owner`. An ACL that grants nothing at all is not empty.
std::string encode_acl(const Grants& grants, const std::string& owner);
// `bytes` empty: the default. Errors: corrupt, of what encode_acl() never wrote; the caller then denies.
Result<Grants> decode_acl(std::string_view bytes, const std::string& owner);

// Do `grants` give `wanted` to `who`? Full control gives all. `public_too` false: grants to AllUsers and AuthenticatedUsers do not count.
bool granted(const Grants& grants, const iam::Principal& who, Permission wanted, bool public_too);
// Is anything granted to AllUsers or AuthenticatedUsers?
bool is_public(const Grants& grants);

// What an ACL is to be, as a client says it, with the grantees as it names them.
struct AskedGrant {
  enum class Named : uint8_t { id, uri, email } named = Named::id;
  std::string value;
  Permission permission = Permission::read;
};
struct AskedAcl {
  std::optional<std::string> canned;
  std::vector<AskedGrant> grants;
  bool given() const { return canned.has_value() || !grants.empty(); }
};

// x-amz-acl and x-amz-grant-*. Errors: InvalidArgument (a grant that does not parse; too many), InvalidRequest (both kinds).
Result<AskedAcl> read_acl_headers(const http::Headers& headers);

// <AccessControlPolicy>. `owner` empty if the document names none. Errors: MalformedACLError, MalformedXML.
struct AclDocument {
  std::string owner;
  std::vector<AskedGrant> grants;
};
Result<AclDocument> parse_acl(std::string_view xml);

// An account as ACLs speak of it.
struct Grantable {
  std::string id, display_name, email;
};
// Which groups and accounts `asked` means. `accounts`: all there are; not looked at for canned ACLs. For a bucket's ACL `owner` is
// `bucket_owner`, and the canned names that speak of both are the default. Errors: InvalidArgument (an unknown canned name, id or group),
// UnresolvableGrantByEmailAddress.
Result<Grants> resolve_acl(const AskedAcl& asked, const std::string& owner, const std::string& bucket_owner,
                           const std::vector<Grantable>& accounts);

// "READ"; the URI of a group.
std::string_view to_string(Permission permission);
std::string_view group_uri(Grantee::Kind kind);
// <AccessControlPolicy> of what `owner` owns. `display_name`: of an account id; empty if unknown.
std::string acl_xml(const std::string& owner, const Grants& grants,
                    const std::function<std::string(const std::string&)>& display_name);

}  // namespace archipel::door::s3
