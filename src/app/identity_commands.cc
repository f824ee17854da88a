#include "app/identity_commands.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "app/admin.h"
#include "app/config.h"
#include "app/gateway.h"
#include "app/identities.h"
#include "app/move_plan.h"
#include "app/private_file.h"
#include "app/process.h"
#include "http/uri.h"

namespace archipel::app {
namespace {

constexpr size_t kDocumentBytesMax = 64u << 10;
constexpr size_t kSecretBytesMax = 4096;
constexpr const char* kSecretVariable = "ARCHIPEL_SECRET_KEY";

// Builds the tree of commands.
class Builder {
 public:
  explicit Builder(IdentityCommand& command) : command_(command) {}

  CLI::App* group(CLI::App* parent, const std::string& name, const std::string& what,
                  const std::string& example) {
    CLI::App* group = parent->add_subcommand(name, what);
    group->require_subcommand(1);
    group->footer("Example: " + example);
    return group;
  }
  // A command that does `op`.
  CLI::App* leaf(CLI::App* parent, const std::string& name, const std::string& what, const std::string& op,
                 const std::string& example) {
    CLI::App* leaf = parent->add_subcommand(name, what);
    leaf->footer("Example: " + example);
    auto* config = leaf->add_option("--config", command_.file, "the gateway's archipel.toml");
    leaf->add_option("--dir", command_.dir, "a demo's directory, instead of --config")->excludes(config);
    leaf->add_flag("--json", command_.json, "one JSON object per line");
    leaf->callback([this_command = &command_, op] { this_command->fields["op"] = op; });
    return leaf;
  }
  CLI::Option* field(CLI::App* leaf, const std::string& option, const std::string& name,
                     const std::string& what) {
    return leaf->add_option_function<std::string>(
        option,
        [this_command = &command_, name](const std::string& value) { this_command->fields[name] = value; },
        what);
  }
  void whose(CLI::App* leaf) {
    field(leaf, "--account", "account",
          "name, id or number of the account; not needed where there is one only");
  }
  void user_of(CLI::App* leaf) {
    field(leaf, "NAME", "name", "the user's name")->required();
    whose(leaf);
  }
  void given_key(CLI::App* leaf) {
    field(leaf, "--access-key", "access_key",
          "choose the access key; its secret comes from --secret-file or ARCHIPEL_SECRET_KEY");
    leaf->add_option("--secret-file", command_.secret_file,
                     "a file of mode 0600 with the secret key to take");
  }

 private:
  IdentityCommand& command_;
};

void add_quota(CLI::App* leaf, Builder& b) {
  b.field(leaf, "--bytes", "bytes",
          "what may be kept at most, all versions together: 500MiB, 10GiB; 0 = no limit");
  b.field(leaf, "--versions", "versions", "how many versions at most; 0 = no limit");
}

void add_account_commands(CLI::App& app, Builder& b) {
  CLI::App* account =
      b.group(&app, "account", "accounts: owners of buckets", "archipel account list --dir archipel-demo");
  CLI::App* add = b.leaf(account, "add", "make an account with a key, and print both", "account add",
                         "archipel account add alice --config /etc/archipel/archipel.toml --json");
  b.field(add, "NAME", "name", "its display name")->required();
  b.field(add, "--email", "email", "its e-mail address, by which ACLs may name it");
  b.field(add, "--id", "id",
          "its canonical id, 64 hexadecimal digits, for one that moves in from elsewhere (random)");
  b.given_key(add);
  CLI::App* quota = b.leaf(account, "quota", "set what all buckets of an account may keep together",
                           "account quota", "archipel account quota alice --bytes 1TiB --dir archipel-demo");
  b.field(quota, "NAME", "account", "name, id or number of the account")->required();
  add_quota(quota, b);
  b.leaf(account, "list", "every account", "account list",
         "archipel account list --dir archipel-demo --json");
  CLI::App* key =
      b.leaf(account, "key", "replace an account's root key, and print the new one; the old one ends at once",
             "account key", "archipel account key alice --dir archipel-demo");
  b.field(key, "NAME", "account", "name, id or number of the account")->required();
  b.given_key(key);
  CLI::App* remove =
      b.leaf(account, "remove", "remove an account that owns no bucket, with its users and keys",
             "account remove", "archipel account remove alice --dir archipel-demo");
  b.field(remove, "NAME", "account", "name, id or number of the account")->required();
}

void add_user_commands(CLI::App& app, Builder& b, IdentityCommand& command) {
  CLI::App* user = b.group(&app, "user", "users of an account: keys that may do what policies allow",
                           "archipel user list --account alice --dir archipel-demo");
  b.user_of(b.leaf(user, "add", "make a user", "user add",
                   "archipel user add backup --account alice --dir archipel-demo"));
  b.whose(b.leaf(user, "list", "the users of an account, their keys and policies", "user list",
                 "archipel user list --account alice --dir archipel-demo"));
  b.user_of(b.leaf(user, "remove", "remove a user and its keys", "user remove",
                   "archipel user remove backup --account alice --dir archipel-demo"));

  CLI::App* key = b.group(user, "key", "access keys of a user, two at most",
                          "archipel user key add backup --dir archipel-demo");
  CLI::App* add = b.leaf(key, "add", "make an access key, and print it", "user key add",
                         "archipel user key add backup --account alice --dir archipel-demo --json");
  b.user_of(add);
  b.given_key(add);
  CLI::App* remove = b.leaf(key, "remove", "remove an access key", "user key remove",
                            "archipel user key remove AKEXAMPLE --account alice --dir archipel-demo");
  b.field(remove, "KEY", "key", "the access key")->required();
  b.whose(remove);
  for (bool active : {false, true}) {
    CLI::App* set = b.leaf(
        key, active ? "enable" : "disable",
        active ? "let a key be used again" : "refuse a key until it is enabled", "user key set",
        fmt::format("archipel user key {} AKEXAMPLE --dir archipel-demo", active ? "enable" : "disable"));
    b.field(set, "KEY", "key", "the access key")->required();
    b.whose(set);
    set->callback([&command, active] {
      command.fields["op"] = "user key set";
      command.fields["active"] = active ? "1" : "0";
    });
  }

  CLI::App* policy = b.group(user, "policy", "policies of a user, in the AWS language",
                             "archipel user policy list backup --dir archipel-demo");
  CLI::App* put =
      b.leaf(policy, "put", "give a user a policy, or replace the one of that name", "user policy put",
             "archipel user policy put backup write-backups --file policy.json --dir archipel-demo");
  b.user_of(put);
  b.field(put, "POLICY", "policy", "the policy's name")->required();
  put->add_option("--file", command.document_file, "the document, JSON")->required();
  b.user_of(b.leaf(policy, "list", "the policies of a user", "user policy list",
                   "archipel user policy list backup --dir archipel-demo"));
  CLI::App* take = b.leaf(policy, "remove", "take a policy from a user", "user policy remove",
                          "archipel user policy remove backup write-backups --dir archipel-demo");
  b.user_of(take);
  b.field(take, "POLICY", "policy", "the policy's name")->required();
}

void add_role_commands(CLI::App& app, Builder& b, IdentityCommand& command) {
  CLI::App* role =
      b.group(&app, "role", "roles: what temporary keys may do, and who may ask for them (AssumeRole)",
              "archipel role list --account alice --dir archipel-demo");
  CLI::App* put = b.leaf(
      role, "add", "make a role, or replace it", "role put",
      "archipel role add reader --account alice --trust trust.json --policy policy.json --dir archipel-demo");
  b.field(put, "NAME", "name", "the role's name")->required();
  put->add_option("--trust", command.trust_file,
                  "who may assume it: a policy with Principal and sts:AssumeRole")
      ->required();
  put->add_option("--policy", command.document_file, "what it may do")->required();
  b.whose(put);
  b.whose(
      b.leaf(role, "list", "the roles of an account", "role list", "archipel role list --dir archipel-demo"));
  CLI::App* remove = b.leaf(role, "remove", "remove a role; its sessions end", "role remove",
                            "archipel role remove reader --dir archipel-demo");
  b.field(remove, "NAME", "name", "the role's name")->required();
  b.whose(remove);
}

void add_bucket_commands(CLI::App& app, Builder& b) {
  CLI::App* bucket = b.group(&app, "bucket", "buckets: what they keep, what they may keep, and where",
                             "archipel bucket list --dir archipel-demo");
  CLI::App* list = b.leaf(bucket, "list", "every bucket, with what it keeps", "bucket list",
                          "archipel bucket list --account alice --dir archipel-demo --json");
  b.field(list, "--account", "account", "name, id or number of an account: only its buckets");
  CLI::App* show = b.leaf(bucket, "show", "one bucket, its settings and its quota", "bucket show",
                          "archipel bucket show photos --dir archipel-demo");
  b.field(show, "BUCKET", "bucket", "the bucket's name")->required();
  CLI::App* place = b.leaf(
      bucket, "place", "say where a bucket's objects go from now on, and what lies elsewhere", "bucket place",
      "archipel bucket place contracts --policy eu-only --dir archipel-demo, or: archipel bucket place "
      "people "
      "--class personal --dir archipel-demo");
  b.field(place, "BUCKET", "bucket", "the bucket's name")->required();
  b.field(place, "--policy", "policy", "a [policy.NAME] of the configuration, or default");
  b.field(place, "--class", "class",
          "what it holds: personal, intellectual-property, public, own or another [class.NAME]; it follows "
          "that class's "
          "policy, unless --policy says otherwise");
  CLI::App* quota = b.leaf(bucket, "quota", "set what a bucket may keep", "bucket quota",
                           "archipel bucket quota photos --bytes 10GiB --dir archipel-demo");
  b.field(quota, "BUCKET", "bucket", "the bucket's name")->required();
  add_quota(quota, b);
}

// Secrets come from a file or the environment, never from the command line.
Result<void> read_files(IdentityCommand& command) {
  if (!command.document_file.empty()) {
    ASSIGN_OR_RETURN(command.fields["document"],
                     read_small_file(command.document_file, kDocumentBytesMax, false));
  }
  if (!command.trust_file.empty()) {
    ASSIGN_OR_RETURN(command.fields["trust"], read_small_file(command.trust_file, kDocumentBytesMax, false));
  }
  std::string& secret = command.fields["secret_key"];
  const char* environment = std::getenv(kSecretVariable);
  if (!command.secret_file.empty()) {
    ASSIGN_OR_RETURN(secret, read_small_file(command.secret_file, kSecretBytesMax, true));
    while (secret.ends_with('\n') || secret.ends_with('\r')) secret.pop_back();
  } else if (environment != nullptr && !command.fields["access_key"].empty()) {
    secret = environment;
  }
  if (command.fields["access_key"].empty() != secret.empty())
    return fail(
        Code::invalid,
        fmt::format(
            "an access key of your choice and its secret go together: --access-key, and --secret-file or {}",
            kSecretVariable));
  return {};
}

std::string form_of(const IdentityFields& fields) {
  std::string out;
  for (const auto& [name, value] : fields)
    out += (out.empty() ? "" : "&") + http::uri_encode(name) + "=" + http::uri_encode(value);
  return out;
}

void print(std::string_view line) {
  fmt::print("{}\n", line);
}

io::Task<Result<void>> offline(store::Store* store, IdentityFields fields) {
  auto lines = co_await run_identity_operation(*store, system_random(), system_clock(), std::move(fields));
  if (!lines) co_return fail(std::move(lines).error());
  for (const std::string& line : *lines) print(line);
  co_return Result<void>{};
}

}  // namespace

void add_identity_commands(CLI::App& app, IdentityCommand& command) {
  Builder builder(command);
  add_account_commands(app, builder);
  add_bucket_commands(app, builder);
  add_user_commands(app, builder, command);
  add_role_commands(app, builder, command);
}

int run_identity_command(IdentityCommand command) {
  if (!command.dir.empty()) command.file = command.dir + "/archipel.toml";
  if (command.file.empty()) {
    fmt::print(stderr, "archipel: say where: --config FILE, or --dir DIR\n");
    return 2;
  }
  if (auto read = read_files(command); !read)
    return failed(read.error()) + (read.error().code == Code::invalid ? 1 : 0);
  auto config = load_config(command.file);
  if (!config) return failed(config.error());
  command.fields["json"] = command.json ? "1" : "0";
  Result<void> asked = ask_gateway(config->dir, "POST", "/identity", print, form_of(command.fields));
  if (!asked && asked.error().code == Code::not_found) {
    GatewayOptions options;
    options.config = *config;
    options.with_store = [&](store::Store& store) { return offline(&store, command.fields); };
    asked = run_gateway(std::move(options), [](const Ready&) {});
  }
  // The bucket is placed, whether or not it can be said what is left where it was.
  if (asked && command.fields["op"] == "bucket place")
    if (auto told = print_move_plan(*config, command.fields["bucket"], command.json); !told)
      fmt::print(stderr, "archipel: what lies elsewhere is not known: {}\n", told.error().message);
  std::fflush(stdout);
  return asked ? 0 : failed(asked.error());
}

}  // namespace archipel::app
