#include "island/marker.h"

#include <gtest/gtest.h>

namespace archipel::island {
namespace {

class MarkerTest : public testing::Test {
 protected:
  std::unique_ptr<Random> random_ = seeded_random(7);
  std::unique_ptr<crypto::Keyring> keys_ = crypto::Keyring::generate(*random_);
  Incarnation incarnation_ = random_->bytes<16>();

  Code refusal(const std::string& bytes, const std::string& id = "alpha") {
    auto result = verify_marker(*keys_, id, as_bytes(bytes));
    return result ? Code::internal : result.error().code;
  }
};

TEST_F(MarkerTest, GivesBackTheIncarnation) {
  auto result = verify_marker(*keys_, "alpha", as_bytes(encode_marker(*keys_, "alpha", incarnation_)));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, incarnation_);
}

TEST_F(MarkerTest, SaysWhatIsWrong) {
  EXPECT_EQ(refusal(""), Code::not_found);
  EXPECT_EQ(refusal("#!/bin/sh\n"), Code::corrupt);

  auto swapped = verify_marker(*keys_, "alpha", as_bytes(encode_marker(*keys_, "beta", incarnation_)));
  ASSERT_FALSE(swapped);
  EXPECT_EQ(swapped.error().code, Code::precondition);
  EXPECT_NE(swapped.error().message.find("marker of island beta"), std::string::npos);

  auto other = crypto::Keyring::generate(*random_);
  auto foreign = verify_marker(*keys_, "alpha", as_bytes(encode_marker(*other, "alpha", incarnation_)));
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, Code::precondition);
  EXPECT_NE(foreign.error().message.find("another realm"), std::string::npos);

  std::string newer = encode_marker(*keys_, "alpha", incarnation_);
  newer[17] = 9;  // the version
  EXPECT_EQ(refusal(newer), Code::unsupported);
}

TEST_F(MarkerTest, RefusesEveryFlippedBitAndEveryCut) {
  const std::string good = encode_marker(*keys_, "alpha", incarnation_);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    EXPECT_NE(refusal(bad), Code::internal) << "bit " << bit;
  }
  for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(refusal(good.substr(0, size)), Code::internal);
  EXPECT_NE(refusal(good + "x"), Code::internal);
}

TEST_F(MarkerTest, NeverRepeatsHostileText) {
  std::string hostile = encode_marker(*keys_, "a\x1b[31m", incarnation_);
  auto result = verify_marker(*keys_, "alpha", as_bytes(hostile));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace archipel::island
