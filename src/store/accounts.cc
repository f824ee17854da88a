// Accounts: an access key and its secret, in the sealed journal and the local view only.
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

// An access key never passes from one account to another.
Result<void> build_account(const Account& account, const index::View& view,
                           std::vector<index::Mutation>& out) {
  std::string key = account_key(account.access_key);
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(key));
  if (bytes) {
    ASSIGN_OR_RETURN(Account known, decode_account(*bytes, account.access_key));
    if (known.id != account.id)
      return fail(Code::exists, "the access key belongs to another account", "InvalidRequest");
  }
  out.push_back({std::move(key), encode(account)});
  return {};
}

}  // namespace

io::Task<Result<void>> put_account(Env& env, Account account) {
  CO_RETURN_IF_ERROR(check_account(account));
  index::Intent intent;
  intent.build = [account](const index::View& view, const std::vector<index::SmallLocation>&,
                           std::vector<index::Mutation>& out) { return build_account(account, view, out); };
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  // Refreshed even after an error: its outcome may be unknown.
  auto refresh = [&] { return env.directory.refresh_account(account.access_key); };
  Result<void> refreshed = co_await env.workers.run(refresh);
  if (!committed) co_return fail(committed.error());
  co_return refreshed;
}

}  // namespace archipel::store
