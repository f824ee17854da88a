// Accounts: an access key and its secret, in the sealed journal and, sealed once more, in the local view only.
#include "store/env.h"
#include "store/keys.h"

namespace archipel::store {
namespace {

constexpr size_t kAccountFieldBytesMax = 256;

Result<void> check_account(const Account& account) {
  bool id_ok = account.id.size() == 64;
  for (char c : account.id) id_ok = id_ok && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
  if (!id_ok)
    return fail(Code::invalid, "an account id is 64 lower-case hexadecimal digits", "InvalidRequest");
  if (account.access_key.empty() || account.secret_key.empty())
    return fail(Code::invalid, "an account has an access key and a secret key", "InvalidRequest");
  for (const std::string* field : {&account.access_key, &account.secret_key, &account.display_name})
    if (field->size() > kAccountFieldBytesMax)
      return fail(Code::invalid, "a field of an account has at most 256 bytes", "InvalidRequest");
  return {};
}

// An access key never passes from one account to another. An account has one: the key it had before dies in the same commit.
Result<void> build_account(const Account& account, const std::string& record, const crypto::Keyring& keys,
                           const index::View& view, std::vector<index::Mutation>& out) {
  Result<void> outcome;
  std::vector<std::string> replaced;
  RETURN_IF_ERROR(view.scan(kAccountPrefix, after_prefix(std::string(kAccountPrefix)),
                            [&](std::string_view key, std::string_view value) {
                              std::string access_key(key.substr(kAccountPrefix.size()));
                              bool same_key = access_key == account.access_key;
                              Result<Account> known = decode_account(value, std::move(access_key), keys);
                              if (!known)
                                outcome = fail(known.error());
                              else if (same_key && known->id != account.id)
                                outcome = fail(Code::exists, "the access key belongs to another account",
                                               "InvalidRequest");
                              else if (!same_key && known->id == account.id)
                                replaced.emplace_back(key);
                              return outcome.has_value();
                            }));
  RETURN_IF_ERROR(outcome);
  for (std::string& key : replaced) out.push_back({std::move(key), std::nullopt});
  out.push_back({account_key(account.access_key), record});
  return {};
}

}  // namespace

io::Task<Result<void>> put_account(Env& env, Account account) {
  CO_RETURN_IF_ERROR(check_account(account));
  index::Intent intent;
  std::string record = encode(account, env.keys, env.random);
  intent.build = [account, record, &env](const index::View& view, const std::vector<index::SmallLocation>&,
                                         std::vector<index::Mutation>& out) {
    return build_account(account, record, env.keys, view, out);
  };
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  // Refreshed even after an error: its outcome may be unknown.
  auto refresh = [&] { return env.directory.refresh_accounts(); };
  Result<void> refreshed = co_await env.workers.run(refresh);
  if (!committed) co_return fail(committed.error());
  co_return refreshed;
}

}  // namespace archipel::store
