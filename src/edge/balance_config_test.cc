#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "edge/config.h"

namespace archipel::edge {
namespace {

using namespace std::chrono_literals;

std::string with(std::string_view more) {
  return R"([listen]
http = "127.0.0.1:8002"
[[site]]
hosts = ["*"]
origins = ["http://127.0.0.1:8000", "http://127.0.0.1:8001"]
)" + std::string(more);
}

void expect_error(std::string_view more, std::string_view part) {
  auto config = parse_config(with(more), "edge.toml", "/etc/edge");
  ASSERT_FALSE(config) << more;
  EXPECT_NE(config.error().message.find(part), std::string::npos) << config.error().message;
}

TEST(BalanceConfig, EveryKeyIsRead) {
  auto config = parse_config(with(R"([site.balance]
algorithm = "hash"
weights = [3, 0.5]
hash_bound = 1.5
decay = "5s"
slow_start = "30s"
requests = 100
queue = 10
queue_timeout = "200ms"
whole_timeout = "1m"
[site.health]
path = "/up?x=1"
method = "HEAD"
host = "check.example"
status_min = 204
status_max = 204
interval = "500ms"
timeout = "100ms"
rise = 1
fall = 4
failures = 7
ejection = "3s"
ejection_max = "9s"
ejected_max = 0.3
outliers = false
panic = 0.25
[site.retry]
tries = 2
budget = 0.1
budget_min = 5
try_timeout = "2s"
statuses = [503]
hedge = false
hedge_budget = 0.01
hedge_min = "50ms"
)"),
                             "edge.toml", "/etc/edge");
  ASSERT_TRUE(config) << config.error().message;
  const OriginPolicy& o = config->sites[0].origin;
  EXPECT_EQ(o.balance, (BalancePolicy{Algorithm::hash, {3, 0.5}, 1.5, 5s, 30s, 100, 10, 200ms, 1min}));
  EXPECT_EQ(o.health, (HealthPolicy{"/up?x=1", "HEAD", "check.example", 204, 204, 500ms, 100ms, 1, 4, 7, 3s,
                                    9s, 0.3, false, 0.25}));
  EXPECT_EQ(o.retry, (RetryPolicy{2, 0.1, 5, 2s, {503}, false, 0.01, 50ms}));
}

TEST(BalanceConfig, MistakesAreNamedWithTheirPlace) {
  expect_error("[site.balance]\nalgorithm = \"best\"\n", "edge.toml:7:");
  expect_error("[site.balance]\nweights = [1]\n", "one for each origin");
  expect_error("[site.balance]\nweights = [1, 0]\n", "a weight is a number from");
  expect_error("[site.balance]\nsticky = true\n", "sticky");
  expect_error("[site.health]\npath = \"health\"\n", "must be a path");
  expect_error("[site.health]\nmethod = \"POST\"\n", "GET, HEAD or OPTIONS");
  expect_error("[site.health]\nstatus_min = 300\nstatus_max = 200\n", "status_max");
  expect_error("[site.retry]\nbudget = 2\n", "from 0 to 1");
  expect_error("[site.retry]\nstatuses = [200]\n", "from 400 to 599");
}

TEST(BalanceConfig, PeersKnowEachOtherByATokenThatIsPrivateAndLong) {
  const std::string dir = ::testing::TempDir() + "peers_config";
  std::filesystem::create_directories(dir);
  const std::string file = dir + "/token";
  auto load = [&](std::string_view peers) {
    return parse_config(with("") + std::string(peers), "edge.toml", dir);
  };
  auto write = [&](std::string_view token, mode_t mode) {
    std::ofstream(file) << token;
    chmod(file.c_str(), mode);
  };
  constexpr std::string_view kPeers = R"([peers]
self = "http://10.0.0.1:8002/"
list = ["http://10.0.0.1:8002", "http://10.0.0.2:8002"]
shield = ["http://10.0.0.9:8002"]
token_file = "token"
hot_requests = 3
hot_time = "2s"
interval = "300ms"
)";
  std::filesystem::remove(file);
  EXPECT_FALSE(load(kPeers));
  write("0123456789abcdef0123\n", 0644);
  EXPECT_NE(load(kPeers).error().message.find("chmod 600"), std::string::npos);
  write("short", 0600);
  EXPECT_NE(load(kPeers).error().message.find("shorter"), std::string::npos);
  write("0123456789abcdef0123\n", 0600);
  auto config = load(kPeers);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->peers.self, "http://10.0.0.1:8002");
  ASSERT_EQ(config->peers.list.size(), 1u) << "this edge is left out";
  EXPECT_EQ(config->peers.list[0].host, "10.0.0.2");
  EXPECT_EQ(config->peers.token, "0123456789abcdef0123");
  EXPECT_EQ(config->peers.hot_time, 2s);
  EXPECT_FALSE(load("[peers]\nlist = [\"http://10.0.0.2:8002\"]\ntoken_file = \"token\"\n")) << "no self";
  EXPECT_FALSE(load("[peers]\nshield = [\"http://10.0.0.2:8002\"]\n")) << "no token";
}

}  // namespace
}  // namespace archipel::edge
