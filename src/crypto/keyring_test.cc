#include "crypto/keyring.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "crypto/hash.h"
#include "crypto/keyring_file.h"

namespace archipel::crypto {
namespace {

namespace fs = std::filesystem;

class KeyringFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    directory_ = fs::path(::testing::TempDir()) / ("keyring_" + name + "_" + std::to_string(::getpid()));
    fs::create_directories(directory_);
    path_ = directory_ / "keyring";
  }
  void TearDown() override { fs::remove_all(directory_); }

  static std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& content) {
    std::ofstream(path_, std::ios::binary) << content;
    ::chmod(path_.c_str(), 0600);
  }
  Error load_error(const std::string& passphrase) {
    auto loaded = Keyring::load(path_, passphrase);
    return loaded ? Error{Code::internal, "it was loaded", {}} : loaded.error();
  }

  fs::path directory_;
  std::string path_;
  std::unique_ptr<Random> random_ = seeded_random(11);
};

// Hands out 0, 1, 2, …: for the golden file.
class CountingRandom : public Random {
 public:
  void fill(MutableBytes out) override {
    for (uint8_t& byte : out) byte = next_++;
  }

 private:
  uint8_t next_ = 0;
};

std::string everything(const Keyring& keys) {
  std::string all = hex(keys.realm()) + hex(keys.subkey("index").view());
  for (int slot = 0; slot < kKekSlots; ++slot) all += hex(keys.kek(slot).view());
  return all;
}

TEST_F(KeyringFile, ComesBackFromThePrivateFileItWasSavedIn) {
  auto keys = Keyring::generate(*random_);
  ASSERT_TRUE(keys->save(path_, "correct horse", *random_));
  struct stat status;
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  auto loaded = Keyring::load(path_, "correct horse");
  ASSERT_TRUE(loaded) << loaded.error().describe();
  EXPECT_EQ(everything(**loaded), everything(*keys));
  // Nothing else is left behind, and no secret is in the file.
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()), 1);
  std::string content = read(path_);
  EXPECT_EQ(content.size(), 8336u);
  for (int slot : {0, 255}) EXPECT_EQ(content.find(as_text(keys->kek(slot).view())), std::string::npos);
  EXPECT_EQ(content.find(as_text(keys->realm())), std::string::npos);
}

TEST_F(KeyringFile, IsNeverOverwritten) {
  auto keys = Keyring::generate(*random_);
  write("something precious");
  auto saved = keys->save(path_, "p", *random_);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, Code::exists);
  EXPECT_EQ(read(path_), "something precious");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()), 1);
  EXPECT_EQ(keys->save(directory_ / "absent" / "keyring", "p", *random_).error().code, Code::not_found);
  EXPECT_EQ(keys->save(directory_ / "other", "", *random_).error().code, Code::invalid);
}

TEST_F(KeyringFile, RefusesAWrongPassphraseAndAnyChangeWithOneError) {
  auto keys = Keyring::generate(*random_);
  ASSERT_TRUE(keys->save(path_, "right", *random_));
  const std::string good = read(path_);
  const Error wrong = load_error("wrong");
  EXPECT_EQ(wrong.code, Code::denied);
  auto refused = [&](const std::string& content) {
    write(content);
    Error error = load_error("right");
    return error.code == wrong.code && error.message == wrong.message;
  };
  // A byte of each field that authenticates by itself: passes, memory, salt, commitment, nonce, secrets, tag.
  for (size_t at : {size_t{15}, size_t{18}, size_t{20}, size_t{36}, size_t{68}, size_t{80}, size_t{200},
                    good.size() - 17, good.size() - 1}) {
    std::string changed = good;
    changed[at] ^= at == 15 ? 7 : 1;  // 3 passes become 4
    EXPECT_TRUE(refused(changed)) << at;
  }
  EXPECT_TRUE(refused(good.substr(0, good.size() - 1)));
  EXPECT_TRUE(refused(good.substr(0, 40)));
  EXPECT_TRUE(refused(good + "x"));
  write(good);
  EXPECT_TRUE(Keyring::load(path_, "right"));
}

TEST_F(KeyringFile, NamesWhatIsWrongWhereThatIsNoSecret) {
  EXPECT_EQ(load_error("p").code, Code::not_found);
  write("");
  EXPECT_NE(load_error("p").message.find("is not a keyring"), std::string::npos);
  write(std::string(10'000, 'A'));
  EXPECT_NE(load_error("p").message.find("is not a keyring"), std::string::npos);

  auto keys = Keyring::generate(*random_);
  ASSERT_TRUE(keys->save(directory_ / "made", "p", *random_));
  const std::string good = read(directory_ / "made");
  auto with = [&](size_t at, std::string_view bytes) {
    std::string changed = good;
    changed.replace(at, bytes.size(), bytes);
    write(changed);
    Error error = load_error("p");
    EXPECT_EQ(error.code, Code::invalid);
    return error.message;
  };
  EXPECT_NE(with(8, std::string_view("\0\2", 2)).find("version 2"), std::string::npos);
  EXPECT_NE(with(12, std::string_view("\0\0\0\2", 4)).find("floor"), std::string::npos);
  EXPECT_NE(with(12, std::string_view("\0\0\0\x0b", 4)).find("ceiling"), std::string::npos);
  EXPECT_NE(with(16, std::string_view("\0\0\xff\xff", 4)).find("floor"), std::string::npos);
  EXPECT_NE(with(16, std::string_view("\0\x10\0\1", 4)).find("ceiling"), std::string::npos);

  write(good);
  EXPECT_EQ(load_error("").code, Code::invalid);
  EXPECT_EQ(load_error(std::string(1025, 'p')).code, Code::invalid);
  for (mode_t mode : {0640, 0604, 0620}) {
    ::chmod(path_.c_str(), mode);
    Error error = load_error("p");
    EXPECT_EQ(error.code, Code::invalid);
    EXPECT_NE(error.message.find("chmod 600 " + path_), std::string::npos);
  }
  fs::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(load_error("p").code, Code::invalid);
}

TEST_F(KeyringFile, AcceptsAHigherCostThanTheDefault) {
  KeyringSecrets secrets, opened;
  random_->fill(secrets.root.mutable_view());
  auto file = encode_keyring(secrets, "p", {.passes = 4, .memory_kib = 65 * 1024}, *random_);
  ASSERT_TRUE(file);
  ASSERT_TRUE(decode_keyring(as_bytes(*file), "p", opened));
  EXPECT_EQ(hex(opened.root.view()), hex(secrets.root.view()));
  EXPECT_EQ(encode_keyring(secrets, "p", {.passes = 2, .memory_kib = 64 * 1024}, *random_).error().code,
            Code::invalid);
}

// A file made by this format's first version: an accidental change of the format fails here.
TEST_F(KeyringFile, MatchesGoldenFile) {
  KeyringSecrets secrets;
  for (size_t i = 0; i < secrets.realm.size(); ++i) secrets.realm[i] = static_cast<uint8_t>(i);
  std::ranges::fill(secrets.root.mutable_view(), 0x11);
  for (size_t i = 0; i < secrets.keks.size(); ++i)
    std::ranges::fill(secrets.keks[i].mutable_view(), static_cast<uint8_t>(i));
  CountingRandom random;
  std::string file = encode_keyring(secrets, "golden passphrase", {}, random).value();
  EXPECT_EQ(hex(as_bytes(file.substr(0, 112))),
            "415243484b455952000101010000000300010000000102030405060708090a0b0c0d0e0f890e4f8f4364175676a49b81"
            "815b073440dc726b04f830bba01502a13670c286101112131415161718191a1b638c4ddbacd742231a1ca240306c391c"
            "7614e9d5b64bed903eaf66c9c78c9772");
  EXPECT_EQ(hex(sha256(as_bytes(file))), "240a8495cf48ef1aeb34fd9c7f98847b9f27a6e68cb476ea92e02456c42bb6a8");
}

TEST(Keyring, DerivesOneKeyPerPurposeAndKeepsIt) {
  auto random = seeded_random(12);
  auto keys = Keyring::generate(*random), other = Keyring::generate(*random);
  std::set<std::string> seen;
  for (const char* purpose : {"index", "head", "names/a", "names/b", "cells/a", "marker/a", ""}) {
    seen.insert(hex(keys->subkey(purpose).view()));
    seen.insert(hex(other->subkey(purpose).view()));
  }
  EXPECT_EQ(seen.size(), 14u);
  EXPECT_EQ(&keys->subkey("index"), &keys->subkey("index"));

  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) keys->subkey("names/" + std::to_string(i));
    });
  const Secret32& index = keys->subkey("index");
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(&keys->subkey("index"), &index);
}

TEST(Keyring, WorksWhereNoMemoryMayBeLocked) {
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &before), 0);
  rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &none), 0);
  auto random = seeded_random(13);
  auto keys = Keyring::generate(*random);
  EXPECT_EQ(keys->kek(255).view().size(), 32u);
  ::setrlimit(RLIMIT_MEMLOCK, &before);
}

}  // namespace
}  // namespace archipel::crypto
