// Records of accounts, users and roles: the values of `a/` and `i/`, byte by byte in docs/formats/view.md.
//
// Decoders believe nothing, as those of records.h. Pure functions; thread-safe.
#pragma once

#include <string>

#include "base/random.h"
#include "base/result.h"
#include "crypto/keyring.h"
#include "store/identity.h"

namespace archipel::store {

// Without the access key, which is the view's key. The secret is sealed under the keyring's sub-key "accounts" and bound to the rest
// of the record: who reads the view's files learns no secret, and who changes them or moves a record makes it `corrupt`.
// Format 1 if it can say everything (a root key without e-mail, active, no time), else 2.
std::string encode(const Account& account, const crypto::Keyring& keys, Random& random);
Result<Account> decode_account(std::string_view bytes, std::string access_key, const crypto::Keyring& keys);

std::string encode(const User& user);
std::string encode(const Role& role);
// `key`: the view's key, which names them. Policies are not parsed.
Result<User> decode_user(std::string_view key, std::string_view bytes);
Result<Role> decode_role(std::string_view key, std::string_view bytes);
bool is_role_key(std::string_view key);

// i/ <account> NUL <name>, and for a role i/ <account> NUL role/ <name>: a name holds no '/'.
std::string user_key(std::string_view account, std::string_view name);
std::string role_key(std::string_view account, std::string_view name);
std::string identities_prefix(std::string_view account);

// Parsed; what cannot be read becomes one policy that denies everything.
Policies parse_policies(const std::map<std::string, std::string>& documents);

}  // namespace archipel::store
