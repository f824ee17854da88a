// Directory: accounts and buckets in memory, so that neither a signature check nor an ordinary PUT waits for the view.
//
// The view is the truth. After each commit that may have changed an entry its author calls refresh, which reads the view and sets
// the entry under one lock: whoever refreshes last has read the newest state, whatever the order of the commits. Thread-safe;
// refresh and load block (worker pool only).
#pragma once

#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "index/kv.h"
#include "store/identity_records.h"
#include "store/records.h"

namespace archipel::store {

inline constexpr uint32_t kKekGeneration = 1;  // of every tenant, until keys rotate

// What a request needs to know of its bucket. The tenant is the owner.
struct Bucket {
  BucketInfo info;
  int kek_slot = 0;
};

class Directory {
 public:
  Directory(index::Kv& kv, const crypto::Keyring& keys) : kv_(kv), keys_(keys) {}

  Result<void> load();
  Result<void> refresh_accounts();  // all identities: one that got a new key has lost its old one
  Result<void> refresh_bucket(const std::string& name);

  // Identities; see the methods of Store.
  std::shared_ptr<const Account> account(const std::string& access_key) const;
  std::shared_ptr<const Account> owner(const std::string& id) const;
  std::shared_ptr<const Account> owner_by_email(const std::string& email) const;
  std::shared_ptr<const Role> role(const std::string& account, const std::string& name) const;
  std::vector<Account> accounts() const;  // by access key
  std::vector<User> users(const std::string& account) const;
  std::vector<Role> roles(const std::string& account) const;
  std::vector<Account> keys(const std::string& account, const std::string& user) const;

  std::shared_ptr<const Bucket> bucket(const std::string& name) const;

 private:
  // All identities as of one snapshot; replaced as a whole.
  struct Identities {
    std::unordered_map<std::string, std::shared_ptr<const Account>> keys;    // by access key
    std::unordered_map<std::string, std::shared_ptr<const Account>> owners;  // roots, by account id
    std::unordered_map<std::string, std::shared_ptr<const Account>> emails;  // roots, by e-mail address
    std::map<std::string, User> users;                                       // by view key
    std::map<std::string, std::shared_ptr<const Role>> roles;                // by view key
  };
  Result<std::shared_ptr<const Identities>> read_identities(const index::Snapshot& snapshot) const;
  std::shared_ptr<const Identities> identities() const;

  index::Kv& kv_;
  const crypto::Keyring& keys_;
  std::mutex refreshing_;  // held over reading the view and setting the entry
  mutable std::shared_mutex mutex_;
  std::shared_ptr<const Identities> identities_ = std::make_shared<const Identities>();
  std::unordered_map<std::string, std::shared_ptr<const Bucket>> buckets_;
};

}  // namespace archipel::store
