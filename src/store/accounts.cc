// Accounts, users, roles and keys: what changes them. Each is one small commit, decided in build() on the view, and then all are read again into
// memory. Secrets are in the sealed journal and, sealed once more, in the local view only.
#include <fmt/format.h>

#include "store/env.h"
#include "store/identity_records.h"
#include "store/keys.h"

namespace archipel::store {
namespace {

constexpr size_t kAccountFieldBytesMax = 256;

using Mutations = std::vector<index::Mutation>;

std::unexpected<Error> wrong(std::string message, std::string_view detail = "InvalidRequest") {
  return fail(Code::invalid, std::move(message), std::string(detail));
}

std::unexpected<Error> missing(std::string message) {
  return fail(Code::not_found, std::move(message), "NoSuchEntity");
}

Result<void> check_account(const Account& account) {
  if (!iam::is_account_id(account.id)) return wrong("an account id is 64 lower-case hexadecimal digits");
  if (account.access_key.empty() || account.secret_key.empty())
    return wrong("an account has an access key and a secret key");
  for (const std::string* field :
       {&account.access_key, &account.secret_key, &account.display_name, &account.email})
    if (field->size() > kAccountFieldBytesMax) return wrong("a field of an account has at most 256 bytes");
  if (!account.user.empty() && !iam::is_name(account.user))
    return wrong("a user's name is 1 to 64 of A-Z a-z 0-9 _ + = , . @ -");
  return {};
}

// Every key of the view.
Result<std::vector<Account>> all_keys(const index::View& view, const crypto::Keyring& keys) {
  std::vector<Account> out;
  Result<void> outcome;
  RETURN_IF_ERROR(view.scan(kAccountPrefix, after_prefix(std::string(kAccountPrefix)),
                            [&](std::string_view key, std::string_view value) {
                              std::string access_key(key.substr(kAccountPrefix.size()));
                              Result<Account> known = decode_account(value, std::move(access_key), keys);
                              if (known)
                                out.push_back(std::move(*known));
                              else
                                outcome = fail(known.error());
                              return outcome.has_value();
                            }));
  RETURN_IF_ERROR(outcome);
  return out;
}

bool has_root(const std::vector<Account>& keys, std::string_view id) {
  return std::ranges::any_of(keys, [&](const Account& k) { return k.id == id && k.user.empty(); });
}

Result<void> check_root_is_distinct(const Account& account, const Account& known) {
  if (known.display_name == account.display_name)
    return fail(Code::exists, fmt::format("there is an account named '{}' already", account.display_name),
                "EntityAlreadyExists");
  if (!account.email.empty() && known.email == account.email)
    return fail(Code::exists, fmt::format("account '{}' has this e-mail address already", known.display_name),
                "EntityAlreadyExists");
  if (iam::account_number(known.id) == iam::account_number(account.id))
    return fail(
        Code::exists,
        fmt::format("account '{}' has the same number for ARNs: choose another id", known.display_name),
        "EntityAlreadyExists");
  return {};
}

// An access key never passes from one account or user to another. An account has one root key: the one it had before dies in the same commit.
Result<void> build_root_key(const Account& account, const std::vector<Account>& keys, Mutations& out) {
  const bool fresh = !has_root(keys, account.id);
  for (const Account& known : keys) {
    if (!known.user.empty()) continue;
    if (fresh && known.id != account.id) RETURN_IF_ERROR(check_root_is_distinct(account, known));
    if (known.id == account.id && known.access_key != account.access_key)
      out.push_back({account_key(known.access_key), std::nullopt});
  }
  return {};
}

Result<void> build_user_key(const Account& account, const std::vector<Account>& keys,
                            const index::View& view) {
  ASSIGN_OR_RETURN(std::optional<std::string> user, view.get(user_key(account.id, account.user)));
  if (!user || !has_root(keys, account.id))
    return missing(fmt::format("there is no user '{}'", account.user));
  size_t others = 0;
  for (const Account& known : keys)
    others += known.id == account.id && known.user == account.user && known.access_key != account.access_key;
  if (others >= kKeysPerUserMax)
    return fail(Code::limit, fmt::format("user '{}' has {} keys already: remove one", account.user, others),
                "LimitExceeded");
  return {};
}

Result<void> build_account(const Account& account, const std::string& record, const crypto::Keyring& keyring,
                           const index::View& view, Mutations& out) {
  ASSIGN_OR_RETURN(std::vector<Account> keys, all_keys(view, keyring));
  for (const Account& known : keys)
    if (known.access_key == account.access_key && (known.id != account.id || known.user != account.user))
      return fail(Code::exists, "the access key belongs to another account", "InvalidRequest");
  if (account.user.empty())
    RETURN_IF_ERROR(build_root_key(account, keys, out));
  else
    RETURN_IF_ERROR(build_user_key(account, keys, view));
  out.push_back({account_key(account.access_key), record});
  return {};
}

Result<void> build_remove_key(const std::string& access_key, const crypto::Keyring& keyring,
                              const index::View& view, Mutations& out) {
  ASSIGN_OR_RETURN(std::optional<std::string> record, view.get(account_key(access_key)));
  if (!record) return missing(fmt::format("there is no access key '{}'", access_key));
  ASSIGN_OR_RETURN(Account known, decode_account(*record, access_key, keyring));
  if (known.user.empty())
    return wrong("the key of an account's root can be replaced, not removed; to end the account, remove it");
  out.push_back({account_key(access_key), std::nullopt});
  return {};
}

Result<void> remove_keys_of(const std::string& account, const std::string* user,
                            const crypto::Keyring& keyring, const index::View& view, Mutations& out) {
  ASSIGN_OR_RETURN(std::vector<Account> keys, all_keys(view, keyring));
  for (const Account& known : keys)
    if (known.id == account && (user == nullptr || known.user == *user))
      out.push_back({account_key(known.access_key), std::nullopt});
  return {};
}

Result<void> build_remove_account(const std::string& id, const crypto::Keyring& keyring,
                                  const index::View& view, Mutations& out) {
  RETURN_IF_ERROR(remove_keys_of(id, nullptr, keyring, view, out));
  if (out.empty()) return missing("there is no such account");
  bool owns = false;
  const std::string buckets = owner_prefix(id), identities = identities_prefix(id);
  RETURN_IF_ERROR(view.scan(buckets, after_prefix(buckets), [&](std::string_view, std::string_view) {
    owns = true;
    return false;
  }));
  if (owns) return fail(Code::precondition, "the account owns buckets: delete them first", "DeleteConflict");
  return view.scan(identities, after_prefix(identities), [&](std::string_view key, std::string_view) {
    out.push_back({std::string(key), std::nullopt});
    return true;
  });
}

// Puts a user or role, new or not, if its account exists.
Result<void> build_identity(const std::string& account, const std::string& key, const std::string& record,
                            const crypto::Keyring& keyring, const index::View& view, Mutations& out) {
  ASSIGN_OR_RETURN(std::vector<Account> keys, all_keys(view, keyring));
  if (!has_root(keys, account)) return missing("there is no such account");
  ASSIGN_OR_RETURN(std::optional<std::string> known, view.get(key));
  if (!known) {
    size_t count = 0;
    const std::string prefix = identities_prefix(account);
    RETURN_IF_ERROR(view.scan(prefix, after_prefix(prefix), [&](std::string_view, std::string_view) {
      return ++count < kUsersPerAccountMax;
    }));
    if (count >= kUsersPerAccountMax)
      return fail(Code::limit, fmt::format("an account has at most {} users and roles", kUsersPerAccountMax),
                  "LimitExceeded");
  }
  out.push_back({key, record});
  return {};
}

Result<void> check_policies(const std::map<std::string, std::string>& policies) {
  if (policies.size() > kPoliciesMax)
    return fail(Code::limit, fmt::format("at most {} policies", kPoliciesMax), "LimitExceeded");
  for (const auto& [name, json] : policies) {
    if (!iam::is_name(name)) return wrong("a policy's name is 1 to 64 of A-Z a-z 0-9 _ + = , . @ -");
    auto parsed = iam::parse_policy(json, iam::PolicyKind::identity);
    if (!parsed) return fail(std::move(parsed).error());
  }
  return {};
}

using Build = std::function<Result<void>(const index::View&, Mutations&)>;

io::Task<Result<void>> commit(Env& env, Build build) {
  index::Intent intent;
  intent.build = [build = std::move(build)](const index::View& view, const std::vector<index::SmallLocation>&,
                                            Mutations& out) { return build(view, out); };
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  // Refreshed even after an error: its outcome may be unknown.
  auto refresh = [&env] { return env.directory.refresh_accounts(); };
  Result<void> refreshed = co_await env.workers.run(refresh);
  if (!committed) co_return fail(committed.error());
  co_return refreshed;
}

}  // namespace

io::Task<Result<void>> put_account(Env& env, Account account) {
  CO_RETURN_IF_ERROR(check_account(account));
  std::string record = encode(account, env.keys, env.random);
  Build build = [account, record, &env](const index::View& view, Mutations& out) {
    return build_account(account, record, env.keys, view, out);
  };
  Result<void> done = co_await commit(env, std::move(build));
  co_return done;
}

io::Task<Result<void>> remove_key(Env& env, std::string access_key) {
  Build build = [access_key, &env](const index::View& view, Mutations& out) {
    return build_remove_key(access_key, env.keys, view, out);
  };
  Result<void> done = co_await commit(env, std::move(build));
  co_return done;
}

io::Task<Result<void>> remove_account(Env& env, std::string id) {
  Build build = [id, &env](const index::View& view, Mutations& out) {
    return build_remove_account(id, env.keys, view, out);
  };
  Result<void> done = co_await commit(env, std::move(build));
  co_return done;
}

io::Task<Result<void>> put_user(Env& env, User user) {
  if (!iam::is_name(user.name)) co_return wrong("a user's name is 1 to 64 of A-Z a-z 0-9 _ + = , . @ -");
  CO_RETURN_IF_ERROR(check_policies(user.policies));
  Build build = [user, &env](const index::View& view, Mutations& out) {
    return build_identity(user.account, user_key(user.account, user.name), encode(user), env.keys, view, out);
  };
  Result<void> done = co_await commit(env, std::move(build));
  co_return done;
}

io::Task<Result<void>> remove_user(Env& env, std::string account, std::string name) {
  Build build = [account, name, &env](const index::View& view, Mutations& out) -> Result<void> {
    std::string key = user_key(account, name);
    ASSIGN_OR_RETURN(std::optional<std::string> known, view.get(key));
    if (!known) return missing(fmt::format("there is no user '{}'", name));
    out.push_back({std::move(key), std::nullopt});
    return remove_keys_of(account, &name, env.keys, view, out);
  };
  Result<void> done = co_await commit(env, std::move(build));
  co_return done;
}

io::Task<Result<void>> put_role(Env& env, Role role) {
  if (!iam::is_name(role.name)) co_return wrong("a role's name is 1 to 64 of A-Z a-z 0-9 _ + = , . @ -");
  CO_RETURN_IF_ERROR(check_policies(role.policies));
  auto trust = iam::parse_policy(role.trust, iam::PolicyKind::trust);
  if (!trust) co_return fail(std::move(trust).error());
  Build build = [role, &env](const index::View& view, Mutations& out) {
    return build_identity(role.account, role_key(role.account, role.name), encode(role), env.keys, view, out);
  };
  Result<void> done = co_await commit(env, std::move(build));
  co_return done;
}

io::Task<Result<void>> remove_role(Env& env, std::string account, std::string name) {
  Build build = [account, name](const index::View& view, Mutations& out) -> Result<void> {
    std::string key = role_key(account, name);
    ASSIGN_OR_RETURN(std::optional<std::string> known, view.get(key));
    if (!known) return missing(fmt::format("there is no role '{}'", name));
    out.push_back({std::move(key), std::nullopt});
    return {};
  };
  Result<void> done = co_await commit(env, std::move(build));
  co_return done;
}

}  // namespace archipel::store
