#include "app/identities.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "app/bucket_operations.h"
#include "app/json.h"
#include "app/setup.h"

namespace archipel::app {
namespace {

using Lines = std::vector<std::string>;

// One operation under way.
struct Operation {
  store::Store& store;
  Random& random;
  Clock& clock;
  const IdentityFields fields;
  Lines lines = {};

  const std::string& field(const std::string& name) const {
    static const std::string kNone;
    auto found = fields.find(name);
    return found == fields.end() ? kNone : found->second;
  }
  bool json() const { return field("json") == "1"; }
  void say(const JsonObject& object, std::string text) {
    lines.push_back(json() ? object.str() : std::move(text));
  }
};

std::string utc(UnixMs ms) {
  if (ms == 0) return "-";
  const auto time = std::chrono::sys_seconds(std::chrono::seconds(ms / 1000));
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

// By id, number or name; the only one there is, if nothing is said.
io::Task<Result<store::Account>> find_account(Operation* op) {
  const std::string wanted = op->field("account");
  auto accounts = co_await op->store.list_accounts();
  if (!accounts) co_return fail(std::move(accounts).error());
  if (wanted.empty() && accounts->size() == 1) co_return std::move(accounts->front());
  std::string names;
  for (store::Account& account : *accounts) {
    if (account.id == wanted || account.display_name == wanted || iam::account_number(account.id) == wanted)
      co_return std::move(account);
    if (names.size() < 200) names += (names.empty() ? "" : ", ") + account.display_name;
  }
  if (wanted.empty()) co_return fail(Code::invalid, "say whose: --account NAME (there are: " + names + ")");
  co_return fail(Code::not_found, fmt::format("there is no account '{}' (there are: {})", wanted, names));
}

Result<Credentials> new_credentials(const Operation& op) {
  Credentials fresh = generate_credentials(op.random);
  if (!op.field("access_key").empty()) fresh.access_key = op.field("access_key");
  if (!op.field("secret_key").empty()) fresh.secret_key = op.field("secret_key");
  RETURN_IF_ERROR(check_credentials(fresh));
  return fresh;
}

void say_key(Operation& op, const store::Account& account) {
  JsonObject line;
  line.text("id", account.id).text("display_name", account.display_name);
  line.text("access_key", account.access_key).text("secret_key", account.secret_key);
  line.text("number", iam::account_number(account.id)).text("email", account.email);
  if (!account.user.empty()) line.text("user", account.user);
  op.say(line,
         fmt::format("{:<13}{}\n{:<13}{}\n{:<13}{}\n{:<13}{}", account.user.empty() ? "account" : "user",
                     account.user.empty() ? account.display_name : account.display_name + "/" + account.user,
                     "id", account.id, "access key", account.access_key, "secret key", account.secret_key));
}

io::Task<Result<void>> account_add(Operation* op) {
  const std::string name = op->field("name");
  if (name.empty()) co_return fail(Code::invalid, "an account needs a name");
  store::Account account;
  account.id = op->field("id").empty() ? hex(op->random.bytes<32>()) : op->field("id");
  if (!iam::is_account_id(account.id))
    co_return fail(Code::invalid, "--id must be 64 lower-case hexadecimal digits");
  if (op->store.find_owner(account.id))
    co_return fail(Code::exists, "there is an account with this id already; a new key: archipel account key");
  CO_ASSIGN_OR_RETURN(Credentials credentials, new_credentials(*op));
  account.display_name = name;
  account.email = op->field("email");
  account.access_key = credentials.access_key;
  account.secret_key = credentials.secret_key;
  account.created_ms = op->clock.unix_ms();
  auto put = co_await op->store.put_account(account);
  if (!put) co_return put;
  say_key(*op, account);
  co_return Result<void>{};
}

io::Task<Result<void>> account_list(Operation* op) {
  auto accounts = co_await op->store.list_accounts();
  if (!accounts) co_return fail(std::move(accounts).error());
  if (!op->json())
    op->lines.push_back(fmt::format("{:<20} {:<14} {:<66} {:<22} {:>5} {}", "ACCOUNT", "NUMBER", "ID",
                                    "ACCESS KEY", "USERS", "E-MAIL"));
  std::ranges::sort(*accounts, {}, [](const store::Account& account) { return account.display_name; });
  for (const store::Account& account : *accounts) {
    const auto users = static_cast<int64_t>(op->store.list_users(account.id).size());
    JsonObject line;
    line.text("id", account.id).text("number", iam::account_number(account.id));
    line.text("display_name", account.display_name).text("email", account.email);
    line.text("access_key", account.access_key)
        .text("created", utc(account.created_ms))
        .number("users", users);
    op->say(line, fmt::format("{:<20} {:<14} {:<66} {:<22} {:>5} {}", account.display_name,
                              iam::account_number(account.id), account.id, account.access_key, users,
                              account.email));
  }
  co_return Result<void>{};
}

io::Task<Result<void>> account_key(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  CO_ASSIGN_OR_RETURN(Credentials credentials, new_credentials(*op));
  account.access_key = credentials.access_key;
  account.secret_key = credentials.secret_key;
  auto put = co_await op->store.put_account(account);
  if (!put) co_return put;
  say_key(*op, account);
  co_return Result<void>{};
}

io::Task<Result<void>> account_remove(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  auto removed = co_await op->store.remove_account(account.id);
  if (!removed) co_return removed;
  op->say(JsonObject().text("removed", account.id), "Removed account " + account.display_name + ".");
  co_return Result<void>{};
}

std::optional<store::User> user_named(const Operation& op, const std::string& account) {
  for (store::User& user : op.store.list_users(account))
    if (user.name == op.field("name")) return std::move(user);
  return std::nullopt;
}

std::unexpected<Error> no_user(const Operation& op) {
  return fail(Code::not_found, fmt::format("there is no user '{}'", op.field("name")));
}

io::Task<Result<void>> user_add(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  if (user_named(*op, account.id))
    co_return fail(Code::exists, fmt::format("there is a user '{}' already", op->field("name")));
  auto put = co_await op->store.put_user({account.id, op->field("name"), op->clock.unix_ms(), {}});
  if (!put) co_return put;
  const std::string arn = iam::Principal::user(account.id, op->field("name")).arn();
  op->say(JsonObject().text("account", account.id).text("user", op->field("name")).text("arn", arn),
          fmt::format("Added {}. It may do nothing yet: give it a policy, and a key.", arn));
  co_return Result<void>{};
}

io::Task<Result<void>> user_list(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  if (!op->json())
    op->lines.push_back(fmt::format("{:<24} {:<22} {:<48} {}", "USER", "CREATED", "KEYS", "POLICIES"));
  for (const store::User& user : op->store.list_users(account.id)) {
    std::string keys, policies;
    for (const store::Account& key : op->store.list_keys(account.id, user.name))
      keys += (keys.empty() ? "" : " ") + key.access_key + (key.active ? "" : "(inactive)");
    for (const auto& [name, json] : user.policies) policies += (policies.empty() ? "" : " ") + name;
    JsonObject line;
    line.text("user", user.name).text("arn", iam::Principal::user(account.id, user.name).arn());
    line.text("created", utc(user.created_ms)).text("access_keys", keys).text("policies", policies);
    op->say(line, fmt::format("{:<24} {:<22} {:<48} {}", user.name, utc(user.created_ms), keys, policies));
  }
  co_return Result<void>{};
}

io::Task<Result<void>> user_remove(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  auto removed = co_await op->store.remove_user(account.id, op->field("name"));
  if (!removed) co_return removed;
  op->say(JsonObject().text("removed", op->field("name")),
          "Removed user " + op->field("name") + " and its keys.");
  co_return Result<void>{};
}

io::Task<Result<void>> key_add(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  CO_ASSIGN_OR_RETURN(Credentials credentials, new_credentials(*op));
  store::Account key{account.id, "", credentials.access_key, credentials.secret_key};
  key.user = op->field("name");
  key.created_ms = op->clock.unix_ms();
  // Asked for under a name that is taken, a key would be replaced; whoever does not say one cannot mean that.
  if (op->store.find_account(key.access_key))
    co_return fail(Code::exists, "this access key is in use already");
  auto put = co_await op->store.put_account(key);
  if (!put) co_return put;
  key.display_name = account.display_name;
  key.email = account.email;
  say_key(*op, key);
  co_return Result<void>{};
}

// A key of one of the account's users.
Result<store::Account> key_of(const Operation& op, const store::Account& account) {
  for (const store::User& user : op.store.list_users(account.id))
    for (store::Account& key : op.store.list_keys(account.id, user.name))
      if (key.access_key == op.field("key")) return std::move(key);
  return fail(Code::not_found,
              fmt::format("no user of account {} has the key '{}'", account.display_name, op.field("key")));
}

io::Task<Result<void>> key_remove(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  CO_ASSIGN_OR_RETURN(store::Account key, key_of(*op, account));
  auto removed = co_await op->store.remove_key(key.access_key);
  if (!removed) co_return removed;
  op->say(JsonObject().text("removed", key.access_key),
          fmt::format("Removed key {} of user {}.", key.access_key, key.user));
  co_return Result<void>{};
}

io::Task<Result<void>> key_set(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  CO_ASSIGN_OR_RETURN(store::Account key, key_of(*op, account));
  key.active = op->field("active") == "1";
  key.display_name.clear();  // the account's, not the key's
  key.email.clear();
  auto put = co_await op->store.put_account(key);
  if (!put) co_return put;
  const std::string_view state = key.active ? "active" : "inactive";
  op->say(JsonObject().text("access_key", key.access_key).text("state", state),
          fmt::format("Key {} of user {} is {}.", key.access_key, key.user, state));
  co_return Result<void>{};
}

io::Task<Result<void>> policy_put(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  std::optional<store::User> user = user_named(*op, account.id);
  if (!user) co_return no_user(*op);
  user->policies[op->field("policy")] = op->field("document");
  auto put = co_await op->store.put_user(*user);
  if (!put) co_return put;
  op->say(JsonObject().text("user", user->name).text("policy", op->field("policy")),
          fmt::format("User {} has policy {}.", user->name, op->field("policy")));
  co_return Result<void>{};
}

io::Task<Result<void>> policy_list(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  std::optional<store::User> user = user_named(*op, account.id);
  if (!user) co_return no_user(*op);
  for (const auto& [name, json] : user->policies)
    op->say(JsonObject().text("policy", name).text("document", json), fmt::format("{}:\n{}", name, json));
  co_return Result<void>{};
}

io::Task<Result<void>> policy_remove(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  std::optional<store::User> user = user_named(*op, account.id);
  if (!user) co_return no_user(*op);
  if (user->policies.erase(op->field("policy")) == 0)
    co_return fail(Code::not_found,
                   fmt::format("user {} has no policy '{}'", user->name, op->field("policy")));
  auto put = co_await op->store.put_user(*user);
  if (!put) co_return put;
  op->say(JsonObject().text("removed", op->field("policy")),
          fmt::format("User {} has lost policy {}.", user->name, op->field("policy")));
  co_return Result<void>{};
}

std::string role_arn(const store::Role& role) {
  return fmt::format("arn:aws:iam::{}:role/{}", iam::account_number(role.account), role.name);
}

io::Task<Result<void>> role_put(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  store::Role role{.account = account.id,
                   .name = op->field("name"),
                   .created_ms = op->clock.unix_ms(),
                   .trust = op->field("trust"),
                   .policies = {{"policy", op->field("document")}}};
  auto put = co_await op->store.put_role(role);
  if (!put) co_return put;
  op->say(JsonObject().text("role", role.name).text("arn", role_arn(role)),
          "The role is " + role_arn(role) + ".");
  co_return Result<void>{};
}

io::Task<Result<void>> role_list(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  for (const store::Role& role : op->store.list_roles(account.id)) {
    JsonObject line;
    line.text("role", role.name).text("arn", role_arn(role)).text("created", utc(role.created_ms));
    line.text("trust", role.trust);
    for (const auto& [name, json] : role.policies) line.text(name, json);
    op->say(line, role_arn(role));
  }
  co_return Result<void>{};
}

io::Task<Result<void>> role_remove(Operation* op) {
  CO_ASSIGN_OR_RETURN(store::Account account, co_await find_account(op));
  auto removed = co_await op->store.remove_role(account.id, op->field("name"));
  if (!removed) co_return removed;
  op->say(JsonObject().text("removed", op->field("name")),
          "Removed role " + op->field("name") + "; its sessions end now.");
  co_return Result<void>{};
}

struct Row {
  std::string_view name;
  io::Task<Result<void>> (*run)(Operation*);
};
constexpr Row kOperations[] = {
    {"account add", account_add},
    {"account list", account_list},
    {"account key", account_key},
    {"account remove", account_remove},
    {"user add", user_add},
    {"user list", user_list},
    {"user remove", user_remove},
    {"user key add", key_add},
    {"user key remove", key_remove},
    {"user key set", key_set},
    {"user policy put", policy_put},
    {"user policy list", policy_list},
    {"user policy remove", policy_remove},
    {"role put", role_put},
    {"role list", role_list},
    {"role remove", role_remove},
};

}  // namespace

io::Task<Result<std::vector<std::string>>> run_identity_operation(store::Store& store, Random& random,
                                                                  Clock& clock, IdentityFields fields) {
  if (is_bucket_operation(fields)) {
    auto lines = co_await run_bucket_operation(store, std::move(fields));
    co_return lines;
  }
  Operation op{store, random, clock, std::move(fields)};
  const auto row = std::ranges::find(kOperations, op.field("op"), &Row::name);
  if (row == std::end(kOperations))
    co_return fail(
        Code::invalid,
        fmt::format("this gateway has no '{}'; is it of another version than the command?", op.field("op")));
  Result<void> done = co_await row->run(&op);
  if (!done) co_return fail(std::move(done).error());
  co_return std::move(op.lines);
}

}  // namespace archipel::app
