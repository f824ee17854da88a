#include "edge/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/random.h"
#include "edge/units.h"

namespace archipel::edge {
namespace {

constexpr std::string_view kSmallest = R"([listen]
http = "127.0.0.1:8002"
[[site]]
hosts = ["*"]
origins = ["http://127.0.0.1:8000"]
)";

Result<Config> parse(const std::string& text) {
  return parse_config(text, "edge.toml", "/etc/edge");
}
std::string smallest_and(std::string_view more) {
  return std::string(kSmallest) + std::string(more);
}
void expect_error(const std::string& text, std::string_view part) {
  auto config = parse(text);
  ASSERT_FALSE(config) << text;
  EXPECT_NE(config.error().message.find(part), std::string::npos) << config.error().message;
}

TEST(Config, SmallestFormHasDefaultsForTheRest) {
  auto config = parse(std::string(kSmallest));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->listen, "127.0.0.1:8002");
  EXPECT_EQ(config->cache.memory_bytes, 256u << 20);
  ASSERT_EQ(config->sites.size(), 1u);
  EXPECT_EQ(config->sites[0].name, "*");
  EXPECT_EQ(config->sites[0].origin.origins[0].host, "127.0.0.1");
  EXPECT_EQ(config->sites[0].origin.origins[0].port, 8000);
  EXPECT_FALSE(config->sites[0].origin.origins[0].secure);
  EXPECT_TRUE(config->sites[0].cache.enabled);
}

TEST(Config, EveryTableIsRead) {
  auto config = parse(smallest_and(R"(https_only = false
name = "www"
host_header = "origin.example"
connect_timeout = "250ms"
response_timeout = "5s"
origin_connections = 10
[site.cache]
stale_while_revalidate = "1m"
stale_if_error = "1d"
client_directives = false
object_max = "1G"
[[site.ttl]]
status = [404, 410]
path = "/img/*"
ttl = "10s"
[site.key]
query = ["id"]
headers = ["X-Country"]
[site.headers]
request_set = ["X-Edge: one"]
response_remove = ["server"]
security = true
[[site.redirect]]
path = "/old/*"
to = "/new/$1"
status = 308
[site.limit]
methods = ["GET", "HEAD"]
body = "1M"
rate = 0.5
burst = 10
[site.compress]
minimum = "2K"
[cache]
memory = "64M"
disk = "cache"
disk_size = "1G"
[admin]
listen = "127.0.0.1:9002"
token_file = "token"
[log]
access = "stdout"
access_format = "logfmt"
[limits]
threads = 2
drain_timeout = "3s"
[proxy]
trust = ["10.0.0.0/8", "::1"]
)"));
  ASSERT_TRUE(config) << config.error().message;
  const SitePolicy& site = config->sites[0];
  EXPECT_EQ(site.origin.connect_timeout, std::chrono::milliseconds(250));
  EXPECT_EQ(site.cache.while_revalidate, 60'000);
  EXPECT_EQ(site.cache.if_error, 86'400'000);
  EXPECT_EQ(site.ttl_rules[0].statuses, (std::vector<int>{404, 410}));
  EXPECT_EQ(site.ttl_rules[0].ttl_ms, 10'000);
  EXPECT_FALSE(site.cache.key.whole_query);
  EXPECT_EQ(site.cache.key.header_names[0], "x-country");
  EXPECT_EQ(site.headers.request_set[0].name, "x-edge");
  EXPECT_EQ(site.headers.request_set[0].value, "one");
  EXPECT_EQ(site.redirects[0].status, 308);
  EXPECT_EQ(site.limit.body_bytes_max, 1u << 20);
  EXPECT_EQ(site.limit.burst, 10);
  EXPECT_TRUE(site.compress.on);
  EXPECT_EQ(site.compress.bytes_min, 2048u);
  EXPECT_EQ(config->cache.disk_dir, "/etc/edge/cache");
  EXPECT_EQ(config->access.path, "-");
  EXPECT_FALSE(config->access.json);
  EXPECT_EQ(config->trust.size(), 2u);
  EXPECT_TRUE(contains(config->trust, *parse_ip("10.2.3.4:80")));
  EXPECT_FALSE(contains(config->trust, *parse_ip("11.2.3.4")));
}

TEST(Config, MistakesAreNamedWithTheirPlace) {
  expect_error(smallest_and("colour = 3\n"), "edge.toml:6:1: unknown key `colour` in [[site]]");
  expect_error(smallest_and("[site.cache]\nttl = 3\n"), "edge.toml:7:1: unknown key `ttl` in [site.cache]");
  expect_error("[listen]\nhttp = 3\n", "edge.toml:2:8");
  expect_error("", "there is no [listen]");
  expect_error("[listen]\nhttp = \"127.0.0.1:1\"\n", "there is no [[site]]");
  expect_error(smallest_and("[cache]\nmemory = \"lots\"\n"), "must be a size");
  expect_error(smallest_and("[cache]\ndisk = \"x\"\n"), "go together");
  expect_error(smallest_and("[site.headers]\nrequest_set = [\"host: x\"]\n"), "the proxy's own");
  expect_error(smallest_and("[site.headers]\nresponse_set = [\"a: b\\r\\nc: d\"]\n"), "control characters");
  expect_error(smallest_and("[site.geo]\nallow = [\"DE\"]\n"), "geo_database");
  expect_error(smallest_and("[[site]]\nhosts = [\"*\"]\norigins = [\"http://a\"]\nname = \"b\"\n"),
               "edge.toml:6:1: the host '*' belongs to two sites");
  expect_error("[listen]\nport = 80\n", "edge.toml:2:1: unknown key `port` in [listen]");
  for (std::string_view address : {":8002", "localhost:8002", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999",
                                   "127.0.0.1:80x", "::1:80", "[127.0.0.1]:80", "*:80", "[::1"})
    expect_error("[listen]\nhttps = \"" + std::string(address) + "\"\n",
                 "edge.toml:2:9: '" + std::string(address) + "' is no address to listen on");
  expect_error(smallest_and("[site.limit]\nmethods = [\"TRACE\"]\n"), "TRACE");
  for (std::string_view origin : {"ftp://a", "http://", "http://a/path", "http://a:0", "http://a:70000",
                                  "http://u@a", "http://[::1", "http://a b"})
    expect_error("[listen]\nhttp=\"127.0.0.1:1\"\n[[site]]\nhosts=[\"*\"]\norigins=[\"" +
                     std::string(origin) + "\"]\n",
                 "is no origin");
}

TEST(Config, KeysOfSignedUrlsMustBePrivateAndLong) {
  auto dir = std::filesystem::temp_directory_path() / ("edge-config-test-" + std::to_string(getpid()));
  std::filesystem::create_directories(dir);
  std::string path = (dir / "key").string();
  auto with = [&](std::string_view content, mode_t mode) {
    std::ofstream(path) << content;
    chmod(path.c_str(), mode);
    return parse(smallest_and("[site.signed]\npaths = [\"/p/*\"]\nkey_files = [\"" + path + "\"]\n"));
  };
  auto open_to_all = with("0123456789abcdef0123456789abcdef\n", 0644);
  EXPECT_FALSE(open_to_all);
  auto fine = with("0123456789abcdef0123456789abcdef\n", 0600);
  EXPECT_TRUE(fine);
  if (fine) EXPECT_EQ(fine->sites[0].signed_.keys[0], "0123456789abcdef0123456789abcdef");
  auto brief = with("short", 0600);
  EXPECT_FALSE(brief);
  std::filesystem::remove_all(dir);
}

// A poisoned push: whatever it holds, the loader says yes or no, and never ends the process.
TEST(Config, PoisonedPushIsRefusedOrRead) {
  const std::string whole = smallest_and(R"(name = "www"
response_timeout = "5s"
[site.cache]
stale_if_error = "1d"
[[site.ttl]]
status = [404]
ttl = "10s"
[site.key]
query = ["id"]
[site.headers]
request_set = ["X-Edge: one"]
[[site.redirect]]
path = "/old/*"
to = "/new/$1"
[site.limit]
rate = 0.5
[cache]
memory = "64M"
[proxy]
trust = ["10.0.0.0/8"]
)");
  ASSERT_TRUE(parse(whole));
  auto random = seeded_random(7);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string text = whole;
    for (uint64_t edits = random->u64() % 4 + 1; edits > 0; --edits) {
      if (text.empty()) text = "[";
      const size_t at = random->u64() % text.size(), other = random->u64() % text.size();
      switch (random->u64() % 5) {
        case 0:
          text[at] = static_cast<char>(random->u64());
          break;
        case 1:
          text.erase(at, random->u64() % 20);
          break;
        case 2:
          text.insert(at, text.substr(other, random->u64() % 60));
          break;
        case 3:
          text.insert(at, 1, "[]{}\"'=.,\n\0#*9-"[random->u64() % 16]);
          break;
        default:
          text.resize(at + 1);
          break;
      }
    }
    auto config = parse(text);
    refused += !config;
    if (config) EXPECT_FALSE(config->sites.empty());
  }
  EXPECT_GT(refused, 1000);
}

TEST(Units, SizesAndTimes) {
  EXPECT_EQ(parse_size("256M"), 256u << 20);
  EXPECT_EQ(parse_size("1GiB"), 1u << 30);
  EXPECT_EQ(parse_size("12"), 12u);
  for (std::string_view bad :
       {"", "M", "1.5M", "-1", "1X", "99999999999999999999", "9999999999T", " 1", "1 M"})
    EXPECT_FALSE(parse_size(bad)) << bad;
  EXPECT_EQ(parse_duration("250ms"), std::chrono::milliseconds(250));
  EXPECT_EQ(parse_duration("2h"), std::chrono::hours(2));
  for (std::string_view bad : {"", "10", "s", "1.5s", "-1s", "1y", "99999999999999d"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
}

TEST(Glob, StarsStandForAnything) {
  EXPECT_TRUE(glob_matches("*", "/x"));
  EXPECT_TRUE(glob_matches("/a/*.css", "/a/b/c.css"));
  EXPECT_FALSE(glob_matches("/a/*.css", "/a/b.css.js"));
  EXPECT_FALSE(glob_matches("/a", "/a/"));
  std::vector<std::string_view> stars;
  ASSERT_TRUE(glob_captures("/old/*/x/*", "/old/a/x/x/b", stars));
  EXPECT_EQ(stars, (std::vector<std::string_view>{"a", "x/b"}));
  ASSERT_TRUE(glob_captures("/a*", "/a", stars));
  EXPECT_EQ(stars, (std::vector<std::string_view>{""}));
  EXPECT_FALSE(glob_captures("/a*b", "/ac", stars));
}

TEST(Glob, HostilePatternsAndTextsTakeLinearTimesLinear) {
  std::string text(20'000, 'a');
  EXPECT_FALSE(glob_matches("*a*a*a*a*a*a*a*a*b", text));
}

}  // namespace
}  // namespace archipel::edge
