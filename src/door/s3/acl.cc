#include "door/s3/acl.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <tuple>

#include "base/bytes.h"
#include "door/s3/errors.h"
#include "door/s3/xml.h"
#include "http/h1_parser.h"

namespace archipel::door::s3 {

using Kind = Grantee::Kind;

namespace {

constexpr uint8_t kAclFormat = 1;
constexpr size_t kIdBytesMax = 64;
constexpr std::string_view kGroups = "http://acs.amazonaws.com/groups/";
constexpr std::string_view kAllUsers = "http://acs.amazonaws.com/groups/global/AllUsers";
constexpr std::string_view kAuthenticated = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
constexpr std::string_view kLogDelivery = "http://acs.amazonaws.com/groups/s3/LogDelivery";

constexpr std::pair<std::string_view, Permission> kGrantHeaders[] = {
    {"x-amz-grant-read", Permission::read},
    {"x-amz-grant-write", Permission::write},
    {"x-amz-grant-read-acp", Permission::read_acp},
    {"x-amz-grant-write-acp", Permission::write_acp},
    {"x-amz-grant-full-control", Permission::full_control},
};

bool is_group(Kind kind) {
  return kind == Kind::all_users || kind == Kind::authenticated_users;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

// `id="…", uri=…, emailAddress=…`: one header's worth.
Result<void> read_grant_header(std::string_view value, Permission permission, std::vector<AskedGrant>& out) {
  while (true) {
    size_t comma = value.find(',');
    std::string_view piece = http::trim_blanks(value.substr(0, comma));
    size_t equals = piece.find('=');
    if (equals == std::string_view::npos)
      return refuse("InvalidArgument",
                    "A grant header wants id=, uri= or emailAddress= before each grantee.");
    std::string type = lower(http::trim_blanks(piece.substr(0, equals)));
    std::string_view who = http::trim_blanks(piece.substr(equals + 1));
    if (who.size() >= 2 && who.front() == '"' && who.back() == '"') who = who.substr(1, who.size() - 2);
    AskedGrant grant{AskedGrant::Named::id, std::string(who), permission};
    if (type == "uri") {
      grant.named = AskedGrant::Named::uri;
    } else if (type == "emailaddress") {
      grant.named = AskedGrant::Named::email;
    } else if (type != "id") {
      return refuse("InvalidArgument",
                    "A grant header wants id=, uri= or emailAddress= before each grantee.");
    }
    if (who.empty() || who.size() > kEmailBytesMax || out.size() == kGrantsMax)
      return refuse("InvalidArgument", "A grant header names nobody, or the request has too many grants.");
    out.push_back(std::move(grant));
    if (comma == std::string_view::npos) return {};
    value.remove_prefix(comma + 1);
  }
}

std::optional<Permission> parse_permission(std::string_view text) {
  for (Permission p : {Permission::read, Permission::write, Permission::read_acp, Permission::write_acp,
                       Permission::full_control})
    if (to_string(p) == text) return p;
  return std::nullopt;
}

std::unexpected<Error> malformed_acl() {
  return refuse("MalformedACLError");
}

Result<AskedGrant> parse_grant(const XmlElement& element) {
  if (!element.has_only({"Grantee", "Permission"})) return malformed_acl();
  auto permission = parse_permission(element.value("Permission"));
  const XmlElement* grantee = element.child("Grantee");
  if (!permission || grantee == nullptr || !grantee->has_only({"ID", "DisplayName", "URI", "EmailAddress"}))
    return malformed_acl();
  // xsi:type says which of the three it is; where it is missing, what is there says it.
  using Named = AskedGrant::Named;
  static constexpr std::tuple<std::string_view, std::string_view, Named> kNames[] = {
      {"ID", "CanonicalUser", Named::id},
      {"URI", "Group", Named::uri},
      {"EmailAddress", "AmazonCustomerByEmail", Named::email}};
  std::string_view type = grantee->attribute("type");
  std::optional<AskedGrant> out;
  for (const auto& [name, type_name, named] : kNames) {
    if (grantee->child(name) == nullptr) continue;
    if (out || (!type.empty() && type != type_name)) return malformed_acl();
    out = AskedGrant{named, std::string(grantee->value(name)), *permission};
  }
  if (!out || out->value.empty()) return malformed_acl();
  return *out;
}

Result<Grantee> resolve(const AskedGrant& asked, const std::string& owner,
                        const std::vector<Grantable>& accounts) {
  switch (asked.named) {
    case AskedGrant::Named::id:
      if (asked.value == owner || std::ranges::find(accounts, asked.value, &Grantable::id) != accounts.end())
        return Grantee{Kind::account, asked.value};
      return refuse("InvalidArgument", "Invalid id: no account has the canonical id of a grantee.");
    case AskedGrant::Named::email:
      for (const Grantable& account : accounts)
        if (!account.email.empty() && lower(account.email) == lower(asked.value))
          return Grantee{Kind::account, account.id};
      return refuse("UnresolvableGrantByEmailAddress");
    case AskedGrant::Named::uri:
      break;
  }
  for (Kind kind : {Kind::all_users, Kind::authenticated_users, Kind::log_delivery})
    if (asked.value == group_uri(kind)) return Grantee{kind, {}};
  return refuse("InvalidArgument",
                "Invalid group uri: expecting one of the groups under " + std::string(kGroups) + ".");
}

Result<Grants> resolve_canned(std::string_view name, const std::string& owner,
                              const std::string& bucket_owner) {
  Grants out;
  auto group = [&](Kind kind, Permission permission) { out.push_back({{kind, {}}, permission}); };
  auto bucket = [&](Permission permission) {
    if (bucket_owner != owner) out.push_back({{Kind::account, bucket_owner}, permission});
  };
  if (name == "public-read") {
    group(Kind::all_users, Permission::read);
  } else if (name == "public-read-write") {
    group(Kind::all_users, Permission::read);
    group(Kind::all_users, Permission::write);
  } else if (name == "authenticated-read") {
    group(Kind::authenticated_users, Permission::read);
  } else if (name == "log-delivery-write") {
    group(Kind::log_delivery, Permission::write);
    group(Kind::log_delivery, Permission::read_acp);
  } else if (name == "bucket-owner-read") {
    bucket(Permission::read);
  } else if (name == "bucket-owner-full-control") {
    bucket(Permission::full_control);
  } else if (name != "private") {
    return refuse("InvalidArgument", "x-amz-acl is not the name of a canned ACL.");
  }
  out.push_back({{Kind::account, owner}, Permission::full_control});
  return out;
}

}  // namespace

Grants private_grants(const std::string& owner) {
  return {{{Kind::account, owner}, Permission::full_control}};
}

std::string encode_acl(const Grants& grants, const std::string& owner) {
  CHECK(grants.size() <= kGrantsMax);
  std::string out;
  if (grants == private_grants(owner)) return out;
  Writer writer(out);
  writer.u8(kAclFormat).varint(grants.size());
  for (const Grant& grant : grants)
    writer.u8(static_cast<uint8_t>(grant.permission))
        .u8(static_cast<uint8_t>(grant.grantee.kind))
        .bytes(grant.grantee.id);
  return out;
}

Result<Grants> decode_acl(std::string_view bytes, const std::string& owner) {
  if (bytes.empty()) return private_grants(owner);
  Reader reader(bytes);
  bool known = reader.u8() == kAclFormat;
  uint64_t count = reader.varint();
  if (!known || !reader.ok() || count > kGrantsMax)
    return fail(Code::corrupt, "An access control list is not in a format that this release knows.");
  Grants out;
  for (uint64_t i = 0; i < count; ++i) {
    uint8_t permission = reader.u8(), kind = reader.u8();
    std::string_view id = reader.bytes(kIdBytesMax);
    bool good = permission >= 1 && permission <= 5 && kind <= 3 && (kind == 0) == !id.empty();
    if (!reader.ok() || !good) return fail(Code::corrupt, "An access control list cannot be read.");
    out.push_back({{static_cast<Kind>(kind), std::string(id)}, static_cast<Permission>(permission)});
  }
  if (!reader.done()) return fail(Code::corrupt, "An access control list is longer than it says.");
  return out;
}

static bool is_for(const Grantee& grantee, const iam::Principal& who) {
  using Who = iam::Principal::Kind;
  switch (grantee.kind) {
    case Kind::account:
      return !who.account.empty() && who.account == grantee.id;
    case Kind::all_users:
      return true;
    case Kind::authenticated_users:
      return who.kind != Who::anonymous && who.kind != Who::service;
    case Kind::log_delivery:
      return who.kind == Who::service && who.name == "logging.s3.amazonaws.com";
  }
  return false;
}

bool granted(const Grants& grants, const iam::Principal& who, Permission wanted, bool public_too) {
  return std::ranges::any_of(grants, [&](const Grant& grant) {
    if (!public_too && is_group(grant.grantee.kind)) return false;
    return (grant.permission == wanted || grant.permission == Permission::full_control) &&
           is_for(grant.grantee, who);
  });
}

bool is_public(const Grants& grants) {
  return std::ranges::any_of(grants, [](const Grant& grant) { return is_group(grant.grantee.kind); });
}

Result<AskedAcl> read_acl_headers(const http::Headers& headers) {
  AskedAcl out;
  if (const std::string* canned = headers.find("x-amz-acl"); canned != nullptr) out.canned = *canned;
  for (const auto& [name, permission] : kGrantHeaders)
    if (const std::string* value = headers.find(name))
      RETURN_IF_ERROR(read_grant_header(*value, permission, out.grants));
  if (out.canned && !out.grants.empty())
    return refuse("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed");
  return out;
}

Result<AclDocument> parse_acl(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "AccessControlPolicy"));
  const XmlElement* owner = root.child("Owner");
  const XmlElement* list = root.child("AccessControlList");
  if (!root.has_only({"Owner", "AccessControlList"}) || list == nullptr || !list->has_only({"Grant*"}))
    return malformed_acl();
  AclDocument out;
  if (owner != nullptr) {
    if (!owner->has_only({"ID", "DisplayName"})) return malformed_acl();
    out.owner = owner->value("ID");
  }
  if (list->children.size() > kGrantsMax) return malformed_acl();
  for (const XmlElement& element : list->children) {
    ASSIGN_OR_RETURN(AskedGrant grant, parse_grant(element));
    out.grants.push_back(std::move(grant));
  }
  return out;
}

Result<Grants> resolve_acl(const AskedAcl& asked, const std::string& owner, const std::string& bucket_owner,
                           const std::vector<Grantable>& accounts) {
  if (asked.canned) return resolve_canned(*asked.canned, owner, bucket_owner);
  Grants out;
  for (const AskedGrant& grant : asked.grants) {
    ASSIGN_OR_RETURN(Grantee grantee, resolve(grant, owner, accounts));
    out.push_back({std::move(grantee), grant.permission});
  }
  return out;
}

std::string_view to_string(Permission permission) {
  switch (permission) {
    case Permission::read:
      return "READ";
    case Permission::write:
      return "WRITE";
    case Permission::read_acp:
      return "READ_ACP";
    case Permission::write_acp:
      return "WRITE_ACP";
    case Permission::full_control:
      return "FULL_CONTROL";
  }
  return "";
}

std::string_view group_uri(Grantee::Kind kind) {
  switch (kind) {
    case Kind::all_users:
      return kAllUsers;
    case Kind::authenticated_users:
      return kAuthenticated;
    case Kind::log_delivery:
      return kLogDelivery;
    case Kind::account:
      break;
  }
  return "";
}

std::string acl_xml(const std::string& owner, const Grants& grants,
                    const std::function<std::string(const std::string&)>& display_name) {
  XmlWriter xml("AccessControlPolicy");
  auto account = [&](const std::string& id) {
    xml.element("ID", id);
    if (std::string name = display_name(id); !name.empty()) xml.element("DisplayName", name);
  };
  xml.open("Owner");
  account(owner);
  xml.close().open("AccessControlList");
  // Groups before accounts, whatever the order in which they were put: what everybody may do is read first, and clients' tests sort so.
  auto of_group = [](const Grant& g) { return g.grantee.kind != Kind::account; };
  Grants ordered;
  std::ranges::copy_if(grants, std::back_inserter(ordered), of_group);
  std::ranges::copy_if(grants, std::back_inserter(ordered), std::not_fn(of_group));
  for (const Grant& grant : ordered) {
    xml.open("Grant");
    bool of_account = grant.grantee.kind == Kind::account;
    std::string type = " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"";
    type += of_account ? "CanonicalUser\"" : "Group\"";
    xml.open("Grantee", type);
    if (of_account) {
      account(grant.grantee.id);
    } else {
      xml.element("URI", group_uri(grant.grantee.kind));
    }
    xml.close().element("Permission", to_string(grant.permission)).close();
  }
  return xml.take();
}

}  // namespace archipel::door::s3
