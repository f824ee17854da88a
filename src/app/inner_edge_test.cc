#include "app/inner_edge.h"

#include <gtest/gtest.h>

#include "base/toml.h"

namespace archipel::app {
namespace {

using namespace std::string_literals;
using Names = std::vector<std::string>;

TEST(ChangedBuckets, AreNamedOnceAndByWhatChanges) {
  auto changed = changed_buckets({{"o/blog\0index.html\0"s, "x"},
                                  {"o/blog\0a\0"s, std::nullopt},
                                  {"o/shop\0a\0"s, "x"},
                                  {"c/shop\0policy"s, "x"},
                                  {"b/new"s, "x"},
                                  {"e/whatever"s, "x"},
                                  {"v/old\0k\0"s, "x"},
                                  {"o"s, "x"},
                                  {""s, "x"}});
  EXPECT_EQ(changed.objects, Names{"blog"});
  EXPECT_EQ(changed.whole, (Names{"new", "shop"}));
}

Result<edge::Config> read(const std::string& text) {
  auto table = parse_toml(text, "archipel.toml");
  EXPECT_TRUE(table);
  return edge::read_inner_config(*table, "archipel.toml", "/etc/archipel");
}

TEST(InnerEdgeConfig, NeedsAnAddressAndNothingElse) {
  auto config = read("[listen]\nhttp = \"127.0.0.1:8002\"\n");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->sites.size(), 1u);
  EXPECT_TRUE(config->sites[0].origin.local);
  EXPECT_EQ(config->sites[0].hosts, Names{"*"});
  EXPECT_EQ(config->sites[0].cache.default_fresh, 3'600'000);
  EXPECT_FALSE(read(""));
  EXPECT_TRUE(read("[listen]\nhttps = \"127.0.0.1:8443\"\n")) << "the certificates are the gateway's";
}

TEST(InnerEdgeConfig, HasLocalSitesBesideOthers) {
  auto config = read(R"(
[listen]
http = "127.0.0.1:8002"
[[site]]
hosts = ["*.website.localhost"]
origins = ["local"]
[site.cache]
default_ttl = "1m"
[[site]]
hosts = ["*"]
origins = ["http://127.0.0.1:8000"]
)");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_TRUE(config->sites[0].origin.local);
  EXPECT_TRUE(config->sites[0].origin.origins.empty());
  EXPECT_EQ(config->sites[0].cache.default_fresh, 60'000);
  EXPECT_FALSE(config->sites[1].origin.local);
}

TEST(InnerEdgeConfig, LeavesToTheGatewayWhatIsTheGateways) {
  const std::string listen = "[listen]\nhttp = \"127.0.0.1:8002\"\n";
  for (const char* more :
       {"[log]\nlevel = \"info\"\n", "[log]\nformat = \"json\"\n", "[limits]\nthreads = 2\n",
        "[proxy]\ntake_over = \"run\"\n", "[[tls]]\nhosts = [\"*\"]\n", "[colour]\n",
        "[[site]]\nhosts = [\"*\"]\norigins = [\"local\", \"http://127.0.0.1:1\"]\n"}) {
    auto config = read(listen + more);
    EXPECT_FALSE(config) << more;
    if (!config) EXPECT_TRUE(config.error().message.starts_with("archipel.toml:")) << config.error().message;
  }
  EXPECT_TRUE(read(listen + "[log]\naccess = \"stdout\"\n[cache]\nmemory = \"8M\"\n"));
  auto alone =
      edge::parse_config(listen + "[[site]]\nhosts = [\"*\"]\norigins = [\"local\"]\n", "edge.toml", "/");
  EXPECT_FALSE(alone) << "an edge of its own has nothing local";
}

}  // namespace
}  // namespace archipel::app
