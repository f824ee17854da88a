// The directory's identities: read whole, replaced whole.
#include <algorithm>
#include <mutex>

#include "store/directory.h"
#include "store/keys.h"

namespace archipel::store {
namespace {

using Found = std::function<Result<void>(std::string_view key, std::string_view value)>;

Result<void> read_all(const index::Snapshot& snapshot, std::string_view prefix, const Found& found) {
  Result<void> outcome;
  RETURN_IF_ERROR(snapshot.scan(prefix, after_prefix(std::string(prefix)),
                                [&](std::string_view key, std::string_view value, std::string*) {
                                  outcome = found(key, value);
                                  return outcome.has_value();
                                }));
  return outcome;
}

// E-mail addresses are looked up without regard to case.
std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

}  // namespace

Result<std::shared_ptr<const Directory::Identities>> Directory::read_identities(
    const index::Snapshot& snapshot) const {
  auto out = std::make_shared<Identities>();
  std::map<std::string, Policies> parsed;  // of users, by view key
  RETURN_IF_ERROR(
      read_all(snapshot, kIdentityPrefix, [&](std::string_view key, std::string_view value) -> Result<void> {
        if (is_role_key(key)) {
          ASSIGN_OR_RETURN(Role role, decode_role(key, value));
          role.parsed = parse_policies(role.policies);
          // A role whose trust cannot be read can be assumed by nobody.
          if (auto who = iam::parse_policy(role.trust, iam::PolicyKind::trust)) role.who = std::move(*who);
          out->roles.emplace(key, std::make_shared<const Role>(std::move(role)));
        } else {
          ASSIGN_OR_RETURN(User user, decode_user(key, value));
          parsed.emplace(key, parse_policies(user.policies));
          out->users.emplace(key, std::move(user));
        }
        return {};
      }));
  std::vector<Account> users;
  RETURN_IF_ERROR(
      read_all(snapshot, kAccountPrefix, [&](std::string_view key, std::string_view value) -> Result<void> {
        std::string access_key(key.substr(kAccountPrefix.size()));
        ASSIGN_OR_RETURN(Account account, decode_account(value, access_key, keys_));
        if (!account.user.empty()) {
          users.push_back(std::move(account));
          return {};
        }
        auto kept = std::make_shared<const Account>(std::move(account));
        out->owners[kept->id] = kept;
        if (!kept->email.empty()) out->emails[lower(kept->email)] = kept;
        out->keys.emplace(std::move(access_key), std::move(kept));
        return {};
      }));
  for (Account& account : users) {
    auto owner = out->owners.find(account.id);
    auto policies = parsed.find(user_key(account.id, account.user));
    if (owner == out->owners.end() || policies == parsed.end()) continue;  // a key of nobody opens nothing
    account.display_name = owner->second->display_name;
    account.email = owner->second->email;
    account.policies = policies->second;
    std::string access_key = account.access_key;
    out->keys.emplace(std::move(access_key), std::make_shared<const Account>(std::move(account)));
  }
  return std::shared_ptr<const Identities>(std::move(out));
}

std::shared_ptr<const Directory::Identities> Directory::identities() const {
  std::shared_lock lock(mutex_);
  return identities_;
}

template <class Map>
static auto value_of(const Map& map, const std::string& key) -> typename Map::mapped_type {
  auto found = map.find(key);
  return found == map.end() ? nullptr : found->second;
}

std::shared_ptr<const Account> Directory::account(const std::string& access_key) const {
  std::shared_ptr<const Account> found = value_of(identities()->keys, access_key);
  return found && found->active ? found : nullptr;
}

std::shared_ptr<const Account> Directory::owner(const std::string& id) const {
  return value_of(identities()->owners, id);
}

std::shared_ptr<const Account> Directory::owner_by_email(const std::string& email) const {
  return value_of(identities()->emails, lower(email));
}

std::shared_ptr<const Role> Directory::role(const std::string& account, const std::string& name) const {
  return value_of(identities()->roles, role_key(account, name));
}

static void sort_by_key(std::vector<Account>& accounts) {
  std::ranges::sort(accounts, {}, [](const Account& account) { return account.access_key; });
}

std::vector<Account> Directory::accounts() const {
  std::vector<Account> out;
  std::shared_ptr<const Identities> all = identities();
  out.reserve(all->owners.size());
  for (const auto& [id, account] : all->owners) out.push_back(*account);
  sort_by_key(out);
  return out;
}

std::vector<User> Directory::users(const std::string& account) const {
  std::vector<User> out;
  std::shared_ptr<const Identities> all = identities();
  for (auto at = all->users.lower_bound(identities_prefix(account));
       at != all->users.end() && at->second.account == account; ++at)
    out.push_back(at->second);
  return out;
}

std::vector<Role> Directory::roles(const std::string& account) const {
  std::vector<Role> out;
  std::shared_ptr<const Identities> all = identities();
  for (auto at = all->roles.lower_bound(identities_prefix(account));
       at != all->roles.end() && at->second->account == account; ++at)
    out.push_back(*at->second);
  return out;
}

std::vector<Account> Directory::keys(const std::string& account, const std::string& user) const {
  std::vector<Account> out;
  std::shared_ptr<const Identities> all = identities();
  for (const auto& [access_key, known] : all->keys)
    if (known->id == account && known->user == user) out.push_back(*known);
  sort_by_key(out);
  return out;
}

}  // namespace archipel::store
