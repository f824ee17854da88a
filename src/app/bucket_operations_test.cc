#include "app/bucket_operations.h"

#include <gtest/gtest.h>

#include "store/store_fixture.h"

namespace archipel::app {
namespace {

TEST(ParseSize, TakesDigitsAndBinaryUnits) {
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("500MiB"), 500u << 20);
  EXPECT_EQ(parse_size("1TiB"), 1ull << 40);
  for (const char* bad :
       {"", "-1", "1.5GiB", "10GB", "GiB", "10 GiB", "9223372036854775808", "9007199254740993TiB"})
    EXPECT_EQ(parse_size(bad), std::nullopt) << bad;
}

TEST(BucketOperations, QuotasAreSetShownAndHold) {
  store::with_store(+[](store::StoreRig& rig) -> io::Task<void> {
    store::Account account{store::kAlice, "alice", "AKALICE", "secret"};
    auto put = co_await rig.store->put_account(account);
    auto made = co_await rig.store->create_bucket("bucket", store::kAlice);
    CO_ASSERT_TRUE(put.has_value() && made.has_value());
    IdentityFields set{{"op", "bucket quota"}, {"bucket", "bucket"}, {"bytes", "1KiB"}, {"json", "1"}};
    auto lines = co_await run_bucket_operation(*rig.store, set);
    CO_ASSERT_TRUE(lines.has_value() && lines->size() == 1);
    EXPECT_NE(lines->front().find("\"quota_bytes\":1024"), std::string::npos) << lines->front();
    auto object = co_await rig.put("bucket", "k", std::string(1000, 'x'));
    EXPECT_TRUE(object.has_value());
    object = co_await rig.put("bucket", "l", std::string(1000, 'x'));
    EXPECT_EQ(store::code_of(object), "QuotaExceeded");
    IdentityFields list{{"op", "bucket list"}, {"json", "1"}};
    lines = co_await run_bucket_operation(*rig.store, list);
    CO_ASSERT_TRUE(lines.has_value() && lines->size() == 1);
    EXPECT_NE(lines->front().find("\"bytes\":1000"), std::string::npos) << lines->front();
    IdentityFields lift{{"op", "bucket quota"}, {"bucket", "bucket"}, {"bytes", "0"}};
    lines = co_await run_bucket_operation(*rig.store, lift);
    object = co_await rig.put("bucket", "l", std::string(1000, 'x'));
    EXPECT_TRUE(object.has_value());
    IdentityFields whole{{"op", "account quota"}, {"account", "alice"}, {"versions", "2"}, {"json", "1"}};
    lines = co_await run_bucket_operation(*rig.store, whole);
    CO_ASSERT_TRUE(lines.has_value() && lines->size() == 1);
    EXPECT_NE(lines->front().find("\"quota_versions\":2"), std::string::npos) << lines->front();
    object = co_await rig.put("bucket", "m", "x");
    EXPECT_EQ(store::code_of(object), "QuotaExceeded");
    IdentityFields odd{{"op", "bucket quota"}, {"bucket", "bucket"}, {"bytes", "much"}};
    lines = co_await run_bucket_operation(*rig.store, odd);
    EXPECT_FALSE(lines.has_value());
  });
}

TEST(BucketOperations, PlaceABucketAndShowWhere) {
  store::with_store(+[](store::StoreRig& rig) -> io::Task<void> {
    store::Account account{store::kAlice, "alice", "AKALICE", "secret"};
    auto put = co_await rig.store->put_account(account);
    auto made = co_await rig.store->create_bucket("bucket", store::kAlice);
    CO_ASSERT_TRUE(put.has_value() && made.has_value());
    IdentityFields place{{"op", "bucket place"}, {"bucket", "bucket"}, {"class", "personal"}, {"json", "1"}};
    auto lines = co_await run_bucket_operation(*rig.store, place);
    CO_ASSERT_TRUE(lines.has_value() && lines->size() == 1);
    EXPECT_NE(lines->front().find(R"("policy":"default","data_class":"personal")"), std::string::npos)
        << lines->front();
    IdentityFields list{{"op", "bucket list"}, {"json", "1"}};
    lines = co_await run_bucket_operation(*rig.store, list);
    CO_ASSERT_TRUE(lines.has_value() && lines->size() == 1);
    EXPECT_NE(lines->front().find(R"("data_class":"personal")"), std::string::npos) << lines->front();
    // The class stays when only the policy is said; a class alone ends the policy.
    place = {{"op", "bucket place"}, {"bucket", "bucket"}, {"policy", "default"}};
    lines = co_await run_bucket_operation(*rig.store, place);
    auto info = co_await rig.store->head_bucket("bucket");
    CO_ASSERT_TRUE(info.has_value() && info->configs);
    EXPECT_EQ(info->configs->at("placement"), encode(store::BucketPlacement{"default", "personal"}));
    place = {{"op", "bucket place"}, {"bucket", "bucket"}, {"class", "own"}};
    lines = co_await run_bucket_operation(*rig.store, place);
    info = co_await rig.store->head_bucket("bucket");
    CO_ASSERT_TRUE(info.has_value() && info->configs);
    EXPECT_EQ(info->configs->at("placement"), encode(store::BucketPlacement{"", "own"}));
    place["policy"] = "nowhere";
    lines = co_await run_bucket_operation(*rig.store, place);
    CO_ASSERT_TRUE(!lines.has_value());
    EXPECT_NE(lines.error().message.find("nowhere"), std::string::npos);
    IdentityFields inventory{{"op", "inventory"}};
    lines = co_await run_bucket_operation(*rig.store, inventory);
    CO_ASSERT_TRUE(lines.has_value() && lines->size() == 3);
    EXPECT_NE(lines->at(1).find(R"("bucket":"bucket")"), std::string::npos) << lines->at(1);
  });
}

}  // namespace
}  // namespace archipel::app
