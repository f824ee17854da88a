#include "app/setup.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "app/private_file.h"
#include "crypto/keyring.h"

namespace archipel::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDemoPassphrase = "archipel-demo";
constexpr size_t kPassphraseBytesMax = 4096;
constexpr size_t kCredentialsBytesMax = 64u << 10;

constexpr std::string_view kNewRealmText =
    "This file permits the next start to make a new realm on empty islands. The start removes it.\n";

constexpr std::string_view kDemoConfig =
    R"(# Archipel demo: six directories play six islands at six providers. The facts are illustrative.
[realm]
code = [6, 3]                 # any 3 of the 6 shards give the data back

[keyring]
path = "keyring"
passphrase_file = "keyring.passphrase"

[listen]
http = "127.0.0.1:9000"

[owner]
home = ["FR"]                 # whose own law is not held against a policy

# This machine sees what clients send: whoever reaches it needs no islands.
[[gateway]]
id = "home"
place = "FR"
operator = "FR"
parent = "FR"
plaintext = true

# What lies on islands is sealed: it takes the keyring, too, to read it, and that is here alone.
[[keyholder]]
id = "keyring-at-home"
place = "FR"
operator = "FR"
parent = "FR"

[keys]
threshold = 1                 # so many key holders together open what is sealed

# Where buckets that ask for it may lie: archipel bucket place BUCKET --policy eu-only. Without a policy a bucket lies on all six islands.
[policy.eu-only]
allow = ["EU"]                # the ground the islands stand on
code = [4, 2]

[policy.no-us-read]
deny = ["US"]                 # neither on its ground, nor operated or owned from there
residency_of = ["place", "operator", "parent"]
adversaries = ["US"]
read_bound = "enforce"

# Buckets may say what they hold instead: archipel bucket place BUCKET --class personal. Classes without a table follow "default".
[class.personal]
policy = "eu-only"

[class.intellectual-property]
policy = "no-us-read"
)";

struct DemoIsland {
  std::string_view id, provider, place, operator_, parent;
};
constexpr DemoIsland kDemoIslands[] = {
    {"alibaba-frankfurt", "Alibaba Cloud", "DE", "SG", "CN"},
    {"aws-ireland", "Amazon Web Services", "IE", "LU", "US"},
    {"ovh-gravelines", "OVHcloud", "FR", "FR", "FR"},
    {"hetzner-helsinki", "Hetzner", "FI", "DE", "DE"},
    {"sakura-tokyo", "Sakura Internet", "JP", "JP", "JP"},
    {"exoscale-zurich", "Exoscale", "CH", "CH", "AT"},
};

constexpr std::string_view kInitConfig =
    R"(# Archipel gateway. Every key is shown; those behind # hold their default.
# Paths are relative to this file.

[realm]
# dir = "."                   # index/ (rebuildable view), head, lock
code = [6, 3]                 # n islands, any k of which give the data back: [4,2] [5,3] [6,3] [7,4] [9,6]

[keyring]
path = "keyring"              # back this file up: without it nothing can ever be read
{passphrase}

[listen]
http = "127.0.0.1:9000"       # S3
# https = "0.0.0.0:9443"      # S3 over TLS, with a [[tls]] table below
# admin = "127.0.0.1:9001"    # /metrics, /healthz, /readyz on an address of their own

[s3]
# region = "archipel-1"
# virtual_host_base = "s3.localhost"
# sigv2 = false               # take Signature Version 2 too, for clients that know nothing newer

[website]                     # buckets with a website configuration, for browsers: index and error documents, redirects
# http = "0.0.0.0:8080"
# https = "0.0.0.0:8443"      # with a [[tls]] table below
# domain = "website.localhost"   # BUCKET.website.localhost; any other host is the site of the bucket of that name

# [edge.listen]               # the same websites out of a cache in this process; docs/edge.md, "Inside a gateway"
# http = "0.0.0.0:80"
# https = "0.0.0.0:443"       # with a [[tls]] table below

[owner]
credentials_file = "credentials"   # the first account, in the form of an AWS credentials file
# home = ["DE"]               # states whose own law is not held against a policy

[limits]
# threads = 0                 # event loops; 0 = one per core
# memory_budget_mib = 512     # bodies in flight, all requests together
# connections = 10000
# upload_bytes_per_second_min = 1024   # an upload slower than that is given up after a minute; 0: never

[collection]                  # when what is deleted or replaced goes from the islands
# interval_s = 60             # between two rounds
# grace_s = 86400             # kept so long after it was deleted
# repeat_s = 604800           # deleted again after so long, since a late write may have landed
# truncation_delay_s = 86400  # commits go when newer snapshots have been safe for so long
# snapshot_mib = 256          # of journal between two snapshots
# compact_mib = 16            # what moving live bytes together must gain

[lifecycle]                   # when the lifecycle rules of buckets are acted on
# interval_s = 3600           # between two rounds
# day_seconds = 86400         # how long a rule's day is. For tests only: anything shorter deletes too early, and waits for no midnight

[access_log]                  # records of requests, for buckets that want them
# interval_s = 300            # from a request to the delivery of its record

[log]
# level = "info"              # debug, info, warn, error
# format = "logfmt"           # or "json"

# Who can read, who can cut off (archipel exposure): say where this gateway stands.
# [[gateway]]
# id = "here"
# place = "DE"                # ISO 3166-1 alpha-2: where it stands, who operates it, who controls the operator
# operator = "DE"
# parent = "DE"
# plaintext = true            # a gateway sees what clients store
# [[keyholder]]               # who has the keyring: what lies on islands is sealed. Without this, whoever has enough shards counts as a reader
# id = "keyring-here"
# place = "DE"
# operator = "DE"
# parent = "DE"
# [keys]
# threshold = 1               # so many key holders together open what is sealed

# Where buckets may lie. A bucket follows the policy it names (archipel bucket place BUCKET --policy eu-only; when it is made, LocationConstraint
# "REGION:eu-only"), else that of its data class, else "default": all islands. Policies need the place of every island, are solved at start and at
# SIGHUP, and one that cannot hold is an error that names the rules and the missing island. What was stored before stays where it is.
# [policy.eu-only]
# allow = ["EU"]              # residency: only islands in these states or sets; deny = ["US"] keeps out. Sets: EU, EEA, gdpr-adequacy, …
# residency_of = ["place"]    # or ["place", "operator", "parent"]: also who operates the island and who controls that
# code = [4, 2]               # n islands, any k give the data back; without it the best of the codes above is chosen
# islands = ["island-1", "island-2", "island-3", "island-4"]   # pinned, in shard order; without it they are chosen
# adversaries = ["US"]        # states, sets or providers, each of which may hold at most n-k shards …
# read_bound = "enforce"      # … and at most k-1: off, warn (default) or enforce
# cut_bound = "enforce"       # off, warn or enforce (default)
# metadata_allow = ["EU"]     # the journal, sealed, lies on every island: stricter than those is refused
# cost_max = 100.0            # US dollars a month for 1 TB

# Classes of data: personal, intellectual-property, public and own are always there; each follows a policy.
# [class.personal]
# policy = "eu-only"

# Certificates for https: PEM files, the server's own first in cert; read again when they change. Clients that name none of the hosts
# get the first table's.
# [[tls]]
# hosts = ["s3.example.org", "*.s3.example.org"]
# cert = "fullchain.pem"
# key = "privkey.pem"

# One [[island]] per shard, in shard order. Put each on a disk of its own; say whose law reaches it
# (ISO 3166-1 alpha-2): place of the data, operator's incorporation, parent's control.
)";

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string island_table(const DemoIsland& i) {
  return fmt::format(
      "\n[[island]]\nid = \"{}\"\ntype = \"dir\"\npath = \"islands/{}\"\nprovider = \"{}\"\nplace = "
      "\"{}\"\noperator = \"{}\"\nparent = \"{}\"\n",
      i.id, i.id, i.provider, i.place, i.operator_, i.parent);
}

std::string random_text(Random& random, size_t size, std::string_view alphabet) {
  CHECK(alphabet.size() <= 64 && 256 % alphabet.size() == 0);
  std::string out(size, '\0');
  random.fill({reinterpret_cast<uint8_t*>(out.data()), size});
  for (char& c : out) c = alphabet[static_cast<uint8_t>(c) % alphabet.size()];
  return out;
}

// What an editor leaves at the end of a file is no part of a passphrase.
Result<std::string> trimmed_passphrase(std::string text, const std::string& source) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (text.empty()) return fail(Code::invalid, "the passphrase in " + source + " is empty");
  return text;
}

}  // namespace

std::string new_realm_token(const Config& config) {
  return (fs::path(config.dir) / "new-realm").string();
}

Credentials generate_credentials(Random& random) {
  return {"AK" + random_text(random, 18, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
          random_text(random, 40, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")};
}

Result<void> check_credentials(const Credentials& c) {
  bool key_ok = c.access_key.size() >= 3 && c.access_key.size() <= 128;
  for (char ch : c.access_key)
    key_ok = key_ok && (isalnum(static_cast<unsigned char>(ch)) || ch == '.' || ch == '_' || ch == '-');
  if (!key_ok) return fail(Code::invalid, "the access key must be 3 to 128 characters of A-Z a-z 0-9 . _ -");
  bool secret_ok = c.secret_key.size() >= 8 && c.secret_key.size() <= 128;
  for (char ch : c.secret_key) secret_ok = secret_ok && ch > ' ' && ch < 0x7f;
  if (!secret_ok)
    return fail(Code::invalid, "the secret key must be 8 to 128 printable ASCII characters without spaces");
  return {};
}

Result<Credentials> read_credentials(const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, read_small_file(path, kCredentialsBytesMax, true));
  Credentials c;
  bool in_default = false;
  auto trim = [](std::string_view s) {
    while (!s.empty() && isspace(static_cast<unsigned char>(s.front()))) s.remove_prefix(1);
    while (!s.empty() && isspace(static_cast<unsigned char>(s.back()))) s.remove_suffix(1);
    return s;
  };
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = trim(std::string_view(text).substr(at, end - at));
    at = end + 1;
    if (line.starts_with('[')) in_default = line == "[default]";
    size_t equals = line.find('=');
    if (!in_default || equals == std::string_view::npos) continue;
    std::string_view name = trim(line.substr(0, equals)), value = trim(line.substr(equals + 1));
    if (name == "aws_access_key_id") c.access_key = value;
    if (name == "aws_secret_access_key") c.secret_key = value;
  }
  auto valid = check_credentials(c);
  if (!valid) return fail(Code::invalid, path + ": in [default], " + valid.error().message);
  return c;
}

Result<std::string> read_passphrase(const Config& config) {
  std::string text, source;
  if (!config.passphrase_file.empty()) {
    source = config.passphrase_file;
    ASSIGN_OR_RETURN(text, read_small_file(config.passphrase_file, kPassphraseBytesMax, true));
  } else if (const char* from_environment = std::getenv("ARCHIPEL_PASSPHRASE")) {
    source = "ARCHIPEL_PASSPHRASE";
    text = from_environment;
  } else {
    return fail(Code::invalid, "no passphrase for the keyring: set passphrase_file in [keyring] of " +
                                   config.file + ", or the environment variable ARCHIPEL_PASSPHRASE");
  }
  return trimmed_passphrase(std::move(text), source);
}

Result<InitResult> init_realm(const std::string& config_file, const std::string& passphrase, Random& random) {
  fs::path base = fs::path(config_file).parent_path();
  auto beside = [&](const char* name) { return (base / name).string(); };
  std::string keyring = beside("keyring"), secret_file = beside("keyring.passphrase"),
              credentials_file = beside("credentials"), token = beside("new-realm");
  for (const std::string& path : {config_file, keyring, secret_file, credentials_file, token})
    if (exists(path))
      return fail(Code::exists, path + " exists already; init overwrites nothing: choose another directory");
  if (!base.empty()) RETURN_IF_ERROR(make_private_directory(base.string()));

  InitResult result;
  auto write = [&](const std::string& path, std::string_view content) -> Result<void> {
    RETURN_IF_ERROR(write_private_file(path, content));
    result.written.push_back(path);
    return {};
  };
  std::string secret = passphrase;
  if (secret.empty()) {
    auto bytes = random.bytes<32>();
    secret = base64(bytes);
    RETURN_IF_ERROR(write(secret_file, secret + "\n"));
  }
  RETURN_IF_ERROR(crypto::Keyring::generate(random)->save(keyring, secret, random));
  result.written.push_back(keyring);
  Credentials owner = generate_credentials(random);
  RETURN_IF_ERROR(
      write(credentials_file, fmt::format("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
                                          owner.access_key, owner.secret_key)));
  std::string text(kInitConfig);
  std::string_view mark = "{passphrase}";
  text.replace(
      text.find(mark), mark.size(),
      passphrase.empty()
          ? "passphrase_file = \"keyring.passphrase\"   # keep a copy away from the keyring's"
          : "# passphrase_file = \"…\"     # not set: the environment variable ARCHIPEL_PASSPHRASE is used");
  for (int i = 1; i <= 6; ++i)
    text += fmt::format(
        "\n[[island]]\nid = \"island-{}\"\ntype = \"dir\"\npath = \"islands/island-{}\"\n# provider = "
        "\"…\"\n# place = \"DE\"\n# operator = \"DE\"\n# parent = \"DE\"\n",
        i, i);
  RETURN_IF_ERROR(write(token, kNewRealmText));
  RETURN_IF_ERROR(write(config_file, text));
  return result;
}

Result<Config> prepare_demo(const std::string& dir, Random& random) {
  RETURN_IF_ERROR(make_private_directory(dir));
  auto in_dir = [&](std::string_view name) { return (fs::path(dir) / name).string(); };
  std::string config_file = in_dir("archipel.toml"), keyring = in_dir("keyring"),
              secret_file = in_dir("keyring.passphrase");
  if (!exists(secret_file))
    RETURN_IF_ERROR(write_private_file(secret_file, std::string(kDemoPassphrase) + "\n"));
  if (!exists(keyring)) {
    std::error_code ignored;
    if (exists(config_file) || (exists(in_dir("islands")) && !fs::is_empty(in_dir("islands"), ignored)))
      return fail(
          Code::not_found,
          "the keyring " + keyring + " is missing but " + dir +
              " was used before; without it the data cannot be read: put it back, or choose an empty --dir");
    if (!exists(in_dir("new-realm"))) RETURN_IF_ERROR(write_private_file(in_dir("new-realm"), kNewRealmText));
    // The file may have been there before, with a passphrase of its owner's choice.
    ASSIGN_OR_RETURN(std::string text, read_small_file(secret_file, kPassphraseBytesMax, true));
    ASSIGN_OR_RETURN(std::string passphrase, trimmed_passphrase(std::move(text), secret_file));
    RETURN_IF_ERROR(crypto::Keyring::generate(random)->save(keyring, passphrase, random));
  }
  if (!exists(config_file)) {
    std::string text(kDemoConfig);
    for (const DemoIsland& island : kDemoIslands) text += island_table(island);
    RETURN_IF_ERROR(write_private_file(config_file, text));
  }
  ASSIGN_OR_RETURN(Config config, load_config(config_file));
  return config;
}

}  // namespace archipel::app
