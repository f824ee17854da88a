#include "app/setup.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "app/private_file.h"
#include "crypto/keyring.h"

namespace archipel::app {
namespace {

namespace fs = std::filesystem;

std::string fresh_dir(const std::string& name) {
  fs::path dir = fs::path(testing::TempDir()) / ("setup_" + name);
  fs::remove_all(dir);
  return dir.string();
}

mode_t mode_of(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 0777;
}

TEST(Init, WritesPrivateFilesThatServeCanRead) {
  std::string dir = fresh_dir("init"), file = dir + "/archipel.toml";
  auto result = init_realm(file, "", system_random());
  ASSERT_TRUE(result.has_value()) << result.error().message;
  for (const std::string& path : result->written) EXPECT_EQ(mode_of(path), 0600u) << path;
  auto config = load_config(file);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_TRUE(read_passphrase(*config).has_value());
  auto credentials = read_credentials(*config->credentials_file);
  ASSERT_TRUE(credentials.has_value()) << credentials.error().message;
  EXPECT_EQ(credentials->access_key.size(), 20u);
  EXPECT_TRUE(fs::exists(new_realm_token(*config)));
}

TEST(Init, OverwritesNothing) {
  std::string dir = fresh_dir("init_twice"), file = dir + "/archipel.toml";
  ASSERT_TRUE(init_realm(file, "", system_random()).has_value());
  fs::remove(file);
  auto again = init_realm(file, "", system_random());
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, Code::exists);
  EXPECT_FALSE(fs::exists(file));
}

TEST(Demo, RefusesToReplaceALostKeyring) {
  std::string dir = fresh_dir("demo");
  ASSERT_TRUE(prepare_demo(dir, system_random()).has_value());
  fs::remove(dir + "/keyring");
  auto again = prepare_demo(dir, system_random());
  ASSERT_FALSE(again.has_value());
  EXPECT_NE(again.error().message.find("keyring"), std::string::npos);
  EXPECT_FALSE(fs::exists(dir + "/keyring"));
}

TEST(Demo, TakesThePassphraseThatIsThere) {
  std::string dir = fresh_dir("demo_passphrase");
  ASSERT_TRUE(make_private_directory(dir).has_value());
  ASSERT_TRUE(write_private_file(dir + "/keyring.passphrase", "words of my own\n").has_value());
  auto config = prepare_demo(dir, system_random());
  ASSERT_TRUE(config.has_value()) << config.error().message;
  auto passphrase = read_passphrase(*config);
  ASSERT_TRUE(passphrase.has_value());
  EXPECT_EQ(*passphrase, "words of my own");
  EXPECT_TRUE(crypto::Keyring::load(config->keyring_path, *passphrase).has_value());
}

TEST(Demo, KeepsTheKeyringWhenTheConfigIsGone) {
  std::string dir = fresh_dir("demo_config");
  ASSERT_TRUE(prepare_demo(dir, system_random()).has_value());
  auto keyring = read_small_file(dir + "/keyring", 1 << 20, true);
  fs::remove(dir + "/archipel.toml");
  auto config = prepare_demo(dir, system_random());
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->islands.size(), 6u);
  EXPECT_EQ(*read_small_file(dir + "/keyring", 1 << 20, true), *keyring);
}

TEST(Secrets, OthersMayNotReadThem) {
  std::string dir = fresh_dir("secrets");
  ASSERT_TRUE(make_private_directory(dir).has_value());
  std::ofstream(dir + "/credentials")
      << "[default]\naws_access_key_id = AKEXAMPLE\naws_secret_access_key = secret-secret\n";
  ASSERT_EQ(chmod((dir + "/credentials").c_str(), 0644), 0);
  auto refused = read_credentials(dir + "/credentials");
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("chmod 600"), std::string::npos);
  ASSERT_EQ(chmod((dir + "/credentials").c_str(), 0600), 0);
  EXPECT_EQ(read_credentials(dir + "/credentials")->secret_key, "secret-secret");
}

TEST(Credentials, AreCheckedBeforeUse) {
  EXPECT_TRUE(check_credentials(generate_credentials(system_random())).has_value());
  EXPECT_FALSE(check_credentials({"ab", "12345678"}).has_value());
  EXPECT_FALSE(check_credentials({"a/b", "12345678"}).has_value());
  EXPECT_FALSE(check_credentials({"abc", "1234567"}).has_value());
  EXPECT_FALSE(check_credentials({"abc", "1234 5678"}).has_value());
}

}  // namespace
}  // namespace archipel::app
