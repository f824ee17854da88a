// Identities: accounts, their users and roles, their keys, sessions. Values; who may do what is decided by src/iam, which the door asks.
//
// An account is an owner of buckets. It has one root key, which may do everything to what the account owns, and users, each with at most two keys
// and with policies of its own; a role has policies but no key: sessions act for it. All of it lives in the journal, and in memory once the view
// is open (directory.h), so that no request waits for it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "iam/policy.h"

namespace archipel::store {

inline constexpr size_t kKeysPerUserMax = 2;
inline constexpr size_t kUsersPerAccountMax = 5000;  // and roles; they are all in memory
inline constexpr size_t kPoliciesMax = 10;           // of one user or role

using Policies = std::vector<std::shared_ptr<const iam::Policy>>;

// An access key with what it stands for: an account's root, one of its users, or a session of either or of a role.
struct Account {
  std::string id;  // canonical id: 64 hex
  std::string display_name;
  std::string access_key;
  std::string secret_key;
  std::string email = {};  // of the account; may be empty
  std::string user = {};   // empty: the account's root, or a role's session
  bool active = true;      // find_account does not find what is not
  UnixMs created_ms = 0;   // 0: made before this was kept
  Policies policies =
      {};  // of the user or role; one that cannot be read stands here as one that denies everything
  // Of a session only.
  std::string role = {}, session = {};
  std::shared_ptr<const iam::Policy> session_policy = {};
  UnixMs expires_ms = 0;
  std::string issuer = {};  // the access key that asked for it

  bool root() const { return user.empty() && role.empty(); }
  iam::Principal principal() const;
};

// Without its keys; list_keys has them.
struct User {
  std::string account;  // id
  std::string name;     // iam::is_name
  UnixMs created_ms = 0;
  std::map<std::string, std::string> policies = {};  // name -> JSON as it was given
};

struct Role {
  std::string account, name;
  UnixMs created_ms = 0;
  std::string trust;                                 // JSON: who may assume it
  std::map<std::string, std::string> policies = {};  // name -> JSON
  // Parsed; set by the store.
  std::shared_ptr<const iam::Policy> who = {};
  Policies parsed = {};
};

// What AssumeRole and GetSessionToken ask for. The caller has been authenticated and authorised.
struct SessionRequest {
  std::shared_ptr<const Account> caller;
  std::shared_ptr<const Role> role = {};  // null: of the caller itself
  std::string session = {};               // with a role: iam::is_name
  std::string policy = {};                // JSON, or empty
  UnixMs expires_ms = 0;
};
struct SessionGrant {
  std::string access_key, secret_key, token;
};

}  // namespace archipel::store
