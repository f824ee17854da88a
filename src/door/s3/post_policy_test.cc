#include "door/s3/post_policy.h"

#include <gtest/gtest.h>

#include "http/date.h"

namespace archipel::door::s3 {
namespace {

constexpr UnixMs kNow = 1'700'000'000'000;  // 2023-11-14T22:13:20Z
constexpr const char* kLater = "2023-11-14T22:13:21Z";

std::string document(const std::string& conditions, const std::string& expiration = kLater) {
  return R"({"expiration":")" + expiration + R"(","conditions":[)" + conditions + "]}";
}

std::string code(const std::string& json, const FormFields& fields = {{"key", "foo.txt"}}) {
  auto limits = check_post_policy(json, fields, "bucket", kNow);
  return limits ? "ok" : limits.error().detail;
}

const std::string kBoth = R"({"bucket":"bucket"},["starts-with","$key","foo"])";

TEST(PostPolicy, HoldsWhatItsConditionsSay) {
  EXPECT_EQ(code(document(kBoth)), "ok");
  EXPECT_EQ(code(document(R"({"bucket":"other"},["starts-with","$key","foo"])")), "AccessDenied");
  EXPECT_EQ(code(document(R"({"bucket":"bucket"},["starts-with","$key","bar"])")), "AccessDenied");
  EXPECT_EQ(code(document(R"({"bucket":"bucket"},["eq","$key","foo"])")), "AccessDenied");
  EXPECT_EQ(code(document(R"({"BUCKET":"bucket"},{"KEY":"foo.txt"})")), "ok")
      << "names of fields have no case";
  EXPECT_EQ(code(document(R"({"bucket":"bucket"},["StArTs-WiTh","$KeY",""])")), "ok");
}

// A field that nobody signed for is refused: else a form could be given an ACL, or a redirect, behind its signer's back.
TEST(PostPolicy, EveryFieldNeedsACondition) {
  FormFields fields{{"key", "foo.txt"}, {"acl", "public-read"}};
  EXPECT_EQ(code(document(kBoth), fields), "AccessDenied");
  EXPECT_EQ(code(document(kBoth + R"(,{"acl":"private"})"), fields), "AccessDenied");
  EXPECT_EQ(code(document(kBoth + R"(,{"acl":"public-read"})"), fields), "ok");
  for (const char* name : {"x-amz-meta-a", "success_action_redirect", "tagging", "x-amz-credential"})
    EXPECT_EQ(code(document(kBoth), {{"key", "foo.txt"}, {name, "x"}}), "AccessDenied") << name;
  EXPECT_EQ(code(document(R"(["starts-with","$key","foo"])")), "AccessDenied")
      << "nor does the bucket go without";
  for (const char* name :
       {"x-ignore-this", "x-amz-checksum-sha256", "policy", "signature", "awsaccesskeyid", "x-amz-signature"})
    EXPECT_EQ(code(document(kBoth), {{"key", "foo.txt"}, {name, "x"}}), "ok") << name;
}

TEST(PostPolicy, ConditionOnAFieldThatIsNotThereFails) {
  EXPECT_EQ(code(document(kBoth + R"(,["starts-with","$x-amz-meta-foo","bar"])")), "AccessDenied");
  EXPECT_EQ(code(document(kBoth + R"(,["eq","$x-amz-meta-foo",""])")), "AccessDenied");
  EXPECT_EQ(code(document(kBoth + R"(,["starts-with","$x-amz-meta-foo",""])")), "ok");
}

TEST(PostPolicy, EachContentTypeOfAListIsJudged) {
  auto types = [](const char* value) { return FormFields{{"key", "foo.txt"}, {"content-type", value}}; };
  std::string json = document(kBoth + R"(,["starts-with","$Content-Type","image/"])");
  EXPECT_EQ(code(json, types("image/png,image/gif")), "ok");
  EXPECT_EQ(code(json, types("image/png,text/html")), "AccessDenied");
}

TEST(PostPolicy, LengthRangesLimitTheFile) {
  auto limits = check_post_policy(document(kBoth + R"(,["content-length-range",3,"10"])"),
                                  {{"key", "foo.txt"}}, "bucket", kNow);
  ASSERT_TRUE(limits);
  EXPECT_EQ(limits->bytes_min, 3u);
  EXPECT_EQ(limits->bytes_max, 10u);
  for (const char* bad : {R"(["content-length-range",0])", R"(["content-length-range",-1,0])",
                          R"(["content-length-range",5,1])", R"(["content-length-range","a",1])"})
    EXPECT_EQ(code(document(kBoth + "," + bad)), "InvalidPolicyDocument") << bad;
}

TEST(PostPolicy, Expires) {
  EXPECT_EQ(code(document(kBoth, http::format_iso_extended(kNow))), "AccessDenied");
  EXPECT_EQ(code(document(kBoth, "2023-11-14")), "InvalidPolicyDocument");
  EXPECT_EQ(code(document(kBoth, "")), "InvalidPolicyDocument");
}

TEST(PostPolicy, WhatIsNotUnderstoodWholeIsRefused) {
  for (const std::string& bad :
       {std::string(""), std::string("{"), std::string("[]"), std::string("\"x\""),
        R"({"expiration":")" + std::string(kLater) + "\"}",
        std::string(R"({"conditions":[["eq","$key","a"]]})"),
        R"({"EXPIRATION":")" + std::string(kLater) + R"(","conditions":[["eq","$key","a"]]})",
        R"({"expiration":")" + std::string(kLater) + R"(","CONDITIONS":[["eq","$key","a"]]})", document(""),
        document(R"({"bucket":"bucket","key":"foo.txt"})"), document(R"(["eq","key","foo.txt"])"),
        document(R"(["like","$key","foo"])"), document(R"(["eq","$key"])"), document(R"({"key":7})"),
        document("7"), std::string(1000, '[')})
    EXPECT_EQ(code(bad), "InvalidPolicyDocument") << bad;
}

}  // namespace
}  // namespace archipel::door::s3
