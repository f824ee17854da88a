#include "store/identity_records.h"

#include "crypto/aead.h"
#include "store/keys.h"

namespace archipel::store {
namespace {

constexpr uint8_t kFormatAccountInClear = 0;
constexpr uint8_t kFormatAccount = 1;
constexpr uint8_t kFormatAccountOfUser = 2;
constexpr uint8_t kFormatIdentity = 1;
constexpr uint8_t kKindUser = 1, kKindRole = 2;
constexpr uint8_t kActive = 1;
constexpr std::string_view kRolePrefix = "role/";
constexpr size_t kFieldBytesMax = 1024;

const std::string kAccountsKey = "accounts";

std::unexpected<Error> corrupt(std::string_view what) {
  return fail(Code::corrupt,
              "the view holds a damaged " + std::string(what) +
                  " record; delete the index directory, it will be rebuilt from the journal",
              "InternalError");
}

std::unexpected<Error> unknown_format(std::string_view what, uint8_t format) {
  return fail(Code::unsupported,
              "the view holds a " + std::string(what) + " record of format " + std::to_string(format) +
                  ", which this program does not know; use the program that wrote it",
              "InternalError");
}

bool fits_format_1(const Account& account) {
  return account.email.empty() && account.user.empty() && account.active && account.created_ms == 0;
}

// What stands before the sealed secret, and what the secret is bound to.
void write_fields(Writer& writer, const Account& account) {
  writer.bytes(account.id).bytes(account.display_name);
  if (fits_format_1(account)) return;
  writer.bytes(account.email).bytes(account.user).u8(account.active ? kActive : 0);
  writer.u64(static_cast<uint64_t>(account.created_ms));
}

std::string bound_to(const Account& account) {
  std::string ad;
  Writer writer(ad);
  writer.bytes(account.access_key);
  write_fields(writer, account);
  return ad;
}

void write_policies(Writer& writer, const std::map<std::string, std::string>& policies) {
  writer.varint(policies.size());
  for (const auto& [name, json] : policies) writer.bytes(name).bytes(json);
}

bool read_policies(Reader& reader, std::map<std::string, std::string>& policies) {
  const uint64_t count = reader.varint();
  if (!reader.ok() || count > kPoliciesMax) return false;
  for (uint64_t i = 0; i < count; ++i) {
    std::string_view name = reader.bytes(kFieldBytesMax);
    std::string_view json = reader.bytes(iam::kIdentityPolicyBytesMax);
    if (!reader.ok() || (!policies.empty() && name <= policies.rbegin()->first)) return false;
    policies.emplace_hint(policies.end(), name, json);
  }
  return true;
}

// Account and name in a view key.
bool split_key(std::string_view key, std::string& account, std::string& name) {
  if (!key.starts_with(kIdentityPrefix)) return false;
  key.remove_prefix(kIdentityPrefix.size());
  const size_t nul = key.find('\0');
  if (nul == std::string_view::npos || nul + 1 == key.size()) return false;
  account = key.substr(0, nul);
  name = key.substr(nul + 1);
  return true;
}

const std::shared_ptr<const iam::Policy>& deny_everything() {
  static const std::shared_ptr<const iam::Policy> policy = [] {
    auto parsed = iam::parse_policy(R"({"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}})",
                                    iam::PolicyKind::identity);
    CHECK(parsed.has_value());
    return *parsed;
  }();
  return policy;
}

}  // namespace

iam::Principal Account::principal() const {
  if (!role.empty()) return iam::Principal::role_session(id, role, session);
  return user.empty() ? iam::Principal::root(id) : iam::Principal::user(id, user);
}

std::string encode(const Account& account, const crypto::Keyring& keys, Random& random) {
  std::string out;
  crypto::Nonce nonce = random.bytes<crypto::kNonceBytes>();
  std::string ad = bound_to(account);
  std::string sealed(account.secret_key.size() + crypto::kTagBytes, '\0');
  crypto::Aead(keys.subkey(kAccountsKey), crypto::Aead::Use::seal)
      .seal(nonce, as_bytes(ad), as_bytes(account.secret_key),
            {reinterpret_cast<uint8_t*>(sealed.data()), sealed.size()});
  Writer writer(out);
  writer.u8(fits_format_1(account) ? kFormatAccount : kFormatAccountOfUser);
  write_fields(writer, account);
  writer.raw(ByteView(nonce)).bytes(sealed);
  return out;
}

Result<Account> decode_account(std::string_view bytes, std::string access_key, const crypto::Keyring& keys) {
  Reader reader(bytes);
  Account account;
  crypto::Nonce nonce{};
  uint8_t format = reader.u8();
  if (reader.ok() && format == kFormatAccountInClear)
    return fail(
        Code::invalid,
        "an account of this realm was written by a pre-release that did not seal secrets; this version "
        "does not read it: make a new realm",
        "InternalError");
  if (reader.ok() && format != kFormatAccount && format != kFormatAccountOfUser)
    return unknown_format("account", format);
  account.id = reader.bytes(kFieldBytesMax);
  account.display_name = reader.bytes(kFieldBytesMax);
  if (format == kFormatAccountOfUser) {
    account.email = reader.bytes(kFieldBytesMax);
    account.user = reader.bytes(kFieldBytesMax);
    const uint8_t flags = reader.u8();
    account.active = flags == kActive;
    account.created_ms = static_cast<UnixMs>(reader.u64());
    // One form for one meaning: what format 1 can say is not said in format 2.
    if (!reader.ok() || flags > kActive || account.created_ms < 0 || fits_format_1(account))
      return corrupt("account");
  }
  reader.fixed(nonce);
  std::string_view sealed = reader.bytes(kFieldBytesMax);
  account.access_key = std::move(access_key);
  if (!reader.done() || sealed.size() < crypto::kTagBytes) return corrupt("account");
  account.secret_key.resize(sealed.size() - crypto::kTagBytes);
  std::string ad = bound_to(account);
  bool opened = crypto::Aead(keys.subkey(kAccountsKey), crypto::Aead::Use::open)
                    .open(nonce, as_bytes(ad), as_bytes(sealed),
                          {reinterpret_cast<uint8_t*>(account.secret_key.data()), account.secret_key.size()});
  if (!opened) return corrupt("account");
  return account;
}

std::string encode(const User& user) {
  std::string out;
  Writer writer(out);
  writer.u8(kFormatIdentity).u8(kKindUser).u64(static_cast<uint64_t>(user.created_ms));
  write_policies(writer, user.policies);
  return out;
}

std::string encode(const Role& role) {
  std::string out;
  Writer writer(out);
  writer.u8(kFormatIdentity).u8(kKindRole).u64(static_cast<uint64_t>(role.created_ms)).bytes(role.trust);
  write_policies(writer, role.policies);
  return out;
}

Result<User> decode_user(std::string_view key, std::string_view bytes) {
  User user;
  Reader reader(bytes);
  const uint8_t format = reader.u8();
  if (reader.ok() && format != kFormatIdentity) return unknown_format("user", format);
  const uint8_t kind = reader.u8();
  user.created_ms = static_cast<UnixMs>(reader.u64());
  if (kind != kKindUser || !read_policies(reader, user.policies) || !reader.done() ||
      !split_key(key, user.account, user.name) || !iam::is_name(user.name))
    return corrupt("user");
  return user;
}

Result<Role> decode_role(std::string_view key, std::string_view bytes) {
  Role role;
  Reader reader(bytes);
  const uint8_t format = reader.u8();
  if (reader.ok() && format != kFormatIdentity) return unknown_format("role", format);
  const uint8_t kind = reader.u8();
  role.created_ms = static_cast<UnixMs>(reader.u64());
  role.trust = reader.bytes(iam::kIdentityPolicyBytesMax);
  if (kind != kKindRole || !read_policies(reader, role.policies) || !reader.done() ||
      !split_key(key, role.account, role.name) || !role.name.starts_with(kRolePrefix))
    return corrupt("role");
  role.name.erase(0, kRolePrefix.size());
  if (!iam::is_name(role.name)) return corrupt("role");
  return role;
}

bool is_role_key(std::string_view key) {
  const size_t nul = key.find('\0');
  return nul != std::string_view::npos && key.substr(nul + 1).starts_with(kRolePrefix);
}

std::string identities_prefix(std::string_view account) {
  std::string out(kIdentityPrefix);
  out.append(account).push_back('\0');
  return out;
}

std::string user_key(std::string_view account, std::string_view name) {
  return identities_prefix(account).append(name);
}

std::string role_key(std::string_view account, std::string_view name) {
  return identities_prefix(account).append(kRolePrefix).append(name);
}

Policies parse_policies(const std::map<std::string, std::string>& documents) {
  Policies out;
  for (const auto& [name, json] : documents) {
    auto parsed = iam::parse_policy(json, iam::PolicyKind::identity);
    out.push_back(parsed ? *parsed : deny_everything());
  }
  return out;
}

}  // namespace archipel::store
