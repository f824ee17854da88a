#include "door/s3/access.h"

#include <gtest/gtest.h>

#include "door/s3/access_context.h"
#include "door/s3/testing/client.h"

namespace archipel::door::s3::testing {
namespace {

const std::string kOwner(64, 'a'), kOther(64, 'b');
constexpr const char* kSource = "/bucket/key";

std::string statement(std::string effect, std::string principal, std::string actions, std::string resources,
                      std::string condition = {}) {
  return R"({"Effect":")" + effect + R"(","Principal":)" + principal + R"(,"Action":)" + actions +
         R"(,"Resource":)" + resources + (condition.empty() ? "" : R"(,"Condition":)" + condition) + "}";
}

std::string policy(std::vector<std::string> statements) {
  std::string joined;
  for (const std::string& s : statements) joined += (joined.empty() ? "" : ",") + s;
  return R"({"Version":"2012-10-17","Statement":[)" + joined + "]}";
}

std::string allow_everyone(const std::string& actions, const std::string& condition = {}) {
  return policy({statement("Allow", "\"*\"", actions, R"(["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"])",
                           condition)});
}

class Access : public ::testing::Test {
 protected:
  World w;
  Access() {
    w.make_bucket();
    EXPECT_EQ(w.send("PUT", "/bucket/key", {}, "body").status, 200);
  }
  void put_policy(const std::string& text) {
    Answer answer = w.send("PUT", "/bucket?policy", {}, text);
    ASSERT_EQ(answer.status, 204) << answer.body;
  }
  int anonymous(const std::string& method, const std::string& target, const HeaderList& headers = {}) {
    return w.send_anonymous(method, target, headers, method == "PUT" ? "body" : "").status;
  }
  int other(const std::string& method, const std::string& target, const HeaderList& headers = {}) {
    return w.send_as(w.other(), method, target, headers, method == "PUT" ? "body" : "").status;
  }
};

TEST_F(Access, StrangersAreRefusedEverythingByDefault) {
  for (const char* target : {"/bucket", "/bucket?acl", "/bucket?policy", "/bucket/key", "/bucket/key?acl",
                             "/bucket/nothing", "/bucket?location"}) {
    EXPECT_EQ(anonymous("GET", target), 403) << target;
    EXPECT_EQ(other("GET", target), 403) << target;
  }
  EXPECT_EQ(anonymous("GET", "/"), 403);
  EXPECT_EQ(anonymous("PUT", "/mine-now"), 403);
  EXPECT_EQ(anonymous("PUT", "/bucket/key"), 403);
  EXPECT_EQ(other("PUT", "/bucket/key"), 403);
  EXPECT_EQ(other("DELETE", "/bucket/key"), 403);
  EXPECT_EQ(other("PUT", "/bucket?policy"), 403);
  EXPECT_EQ(w.bytes("key"), "body");
  EXPECT_EQ(anonymous("GET", "/no-such-bucket/key"), 404);
}

TEST_F(Access, PolicyOpensWhatItNamesAndNothingElse) {
  put_policy(allow_everyone(R"("s3:GetObject")"));
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 200);
  EXPECT_EQ(other("HEAD", "/bucket/key"), 200);
  EXPECT_EQ(anonymous("GET", "/bucket"), 403);
  EXPECT_EQ(anonymous("PUT", "/bucket/key"), 403);
  EXPECT_EQ(anonymous("GET", "/bucket/key?acl"), 403);
}

// Reading a named version is another right than reading the current one.
TEST_F(Access, VersionReadIsNotCoveredByGetObject) {
  put_policy(allow_everyone(R"("s3:GetObject")"));
  EXPECT_EQ(anonymous("GET", "/bucket/key?versionId=null"), 403);
  put_policy(allow_everyone(R"("s3:GetObjectVersion")"));
  EXPECT_EQ(anonymous("GET", "/bucket/key?versionId=null"), 200);
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 403);
}

TEST_F(Access, VersionDeleteIsNotCoveredByDeleteObject) {
  put_policy(allow_everyone(R"("s3:DeleteObject")"));
  EXPECT_EQ(anonymous("DELETE", "/bucket/key?versionId=null"), 403);
  EXPECT_TRUE(w.has("key"));
  EXPECT_EQ(anonymous("DELETE", "/bucket/key"), 204);
}

TEST_F(Access, OverridingARetentionIsARightOfItsOwn) {
  const HeaderList bypass{{"x-amz-bypass-governance-retention", "true"}};
  put_policy(allow_everyone(R"("s3:DeleteObject")"));
  EXPECT_EQ(other("DELETE", "/bucket/key", bypass), 403);
  EXPECT_TRUE(w.has("key"));
  put_policy(allow_everyone(R"(["s3:DeleteObject","s3:BypassGovernanceRetention"])"));
  EXPECT_EQ(other("DELETE", "/bucket/key", bypass), 204);
}

TEST_F(Access, DenyBindsTheOwnerButNeverLocksItOutOfThePolicy) {
  put_policy(
      policy({statement("Deny", "\"*\"", "\"s3:*\"", R"(["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"])")}));
  EXPECT_EQ(w.send("GET", "/bucket/key").status, 403);
  EXPECT_EQ(w.send("GET", "/bucket").status, 403);
  EXPECT_EQ(w.send("GET", "/bucket?policy").status, 200);
  EXPECT_EQ(w.send("DELETE", "/bucket?policy").status, 204);
  EXPECT_EQ(w.send("GET", "/bucket/key").status, 200);
}

TEST_F(Access, BucketWhosePolicyCannotBeReadServesNobodyUntilItIsReplaced) {
  store::BucketConfigs configs{{"policy", "{ not a policy"}};
  w.store.buckets["bucket"].info.configs = std::make_shared<const store::BucketConfigs>(std::move(configs));
  EXPECT_EQ(w.send("GET", "/bucket/key").status, 403);
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 403);
  EXPECT_EQ(other("DELETE", "/bucket?policy"), 403);
  EXPECT_EQ(w.send("DELETE", "/bucket?policy").status, 204);
  EXPECT_EQ(w.send("GET", "/bucket/key").status, 200);
}

TEST_F(Access, BucketWhoseAclOrBlockCannotBeReadServesNobody) {
  for (const char* name : {"acl", "public-access", "ownership"}) {
    store::BucketConfigs configs{{name, "\x07rubbish"}};
    w.store.buckets["bucket"].info.configs = std::make_shared<const store::BucketConfigs>(std::move(configs));
    EXPECT_EQ(w.send("GET", "/bucket/key").status, 403) << name;
    EXPECT_EQ(w.send("PUT", "/bucket/key", {}, "x").status, 403) << name;
  }
}

TEST_F(Access, ObjectWhoseAclCannotBeReadIsClosedToAllButItsOwner) {
  put_policy(policy({statement("Allow", "\"*\"", R"("s3:ListBucket")", R"("arn:aws:s3:::bucket")")}));
  w.store.buckets["bucket"].objects["key"].info.attributes.acl = "\x09rubbish";
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 403);
  EXPECT_EQ(other("GET", "/bucket/key"), 403);
}

TEST_F(Access, MissingKeyIsToldOnlyToThoseWhoMayList) {
  EXPECT_EQ(other("GET", "/bucket/nothing"), 403);
  put_policy(policy({statement("Allow", "\"*\"", R"("s3:GetObject")", R"("arn:aws:s3:::bucket/*")")}));
  EXPECT_EQ(other("GET", "/bucket/nothing"), 403);
  put_policy(policy({statement("Allow", "\"*\"", R"("s3:ListBucket")", R"("arn:aws:s3:::bucket")",
                               R"({"StringLike":{"s3:prefix":"public/*"}})")}));
  EXPECT_EQ(other("HEAD", "/bucket/public/nothing"), 404);
  EXPECT_EQ(other("HEAD", "/bucket/private/nothing"), 403);
}

// X-Forwarded-For is what anybody says of himself: the address that counts is the socket's.
TEST_F(Access, ForwardedAddressIsNotTrustedForSourceIp) {
  put_policy(allow_everyone(R"("s3:GetObject")", R"({"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}})"));
  EXPECT_EQ(anonymous("GET", "/bucket/key", {{"x-forwarded-for", "10.1.2.3"}}), 403);
  EXPECT_EQ(anonymous("GET", "/bucket/key", {{"x-real-ip", "10.1.2.3"}}), 403);
  EXPECT_EQ(anonymous("GET", "/bucket/key", {{"forwarded", "for=10.1.2.3"}}), 403);
  put_policy(allow_everyone(R"("s3:GetObject")", R"({"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}})"));
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 200);
}

// A header named like a condition key says nothing about the request.
TEST_F(Access, HeaderDoesNotBecomeAConditionKeyOfItsName) {
  put_policy(allow_everyone(R"("s3:GetObject")", R"({"StringEquals":{"aws:username":"alice"}})"));
  for (const char* name : {"aws:username", "username", "aws-username", "x-amz-username"})
    EXPECT_NE(anonymous("GET", "/bucket/key", {{name, "alice"}}), 200) << name;
  put_policy(allow_everyone(R"("s3:GetObject")", R"({"Bool":{"aws:SecureTransport":"true"}})"));
  for (const char* name : {"aws:securetransport", "securetransport", "x-forwarded-proto"})
    EXPECT_EQ(anonymous("GET", "/bucket/key", {{name, "https"}}), 403) << name;
}

TEST_F(Access, SecureTransportIsWhatTheConnectionIs) {
  put_policy(allow_everyone(R"("s3:GetObject")", R"({"Bool":{"aws:SecureTransport":"true"}})"));
  FakeExchange exchange;
  exchange.in = World::request("GET", "/bucket/key");
  exchange.in.secure = true;
  EXPECT_EQ(w.run(exchange).status, 200);
}

TEST_F(Access, ConditionsSeeTheTagsOfTheObject) {
  put_policy(allow_everyone(R"("s3:GetObject")", R"({"StringEquals":{"s3:ExistingObjectTag/open":"yes"}})"));
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 403);
  w.store.buckets["bucket"].objects["key"].info.attributes.tags = {{"open", "yes"}};
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 200);
}

// What a body asks for is judged before anything of it happens, and a denial binds the owner too.
TEST_F(Access, ConditionsSeeTheTagsOfABody) {
  put_policy(policy({statement("Deny", "\"*\"", R"("s3:PutObjectTagging")", R"("arn:aws:s3:::bucket/*")",
                               R"({"StringEquals":{"s3:RequestObjectTag/open":"yes"}})")}));
  auto tag = [&](const std::string& value) {
    return w
        .send("PUT", "/bucket/key?tagging", {},
              "<Tagging><TagSet><Tag><Key>open</Key><Value>" + value + "</Value></Tag></TagSet></Tagging>")
        .status;
  };
  EXPECT_EQ(tag("yes"), 403);
  EXPECT_NE(tag("no"), 403);
}

// Another object may take the place of the one that was judged before it is opened.
TEST_F(Access, WhatIsOpenedIsJudgedToo) {
  for (const char* method : {"GET", "HEAD"}) {
    EXPECT_EQ(w.send("PUT", "/bucket/key?acl", {{"x-amz-acl", "public-read"}}).status, 200);
    EXPECT_EQ(anonymous(method, "/bucket/key"), 200) << method;
    w.store.before_get = [&] { w.store.buckets["bucket"].objects["key"].info.attributes.acl.clear(); };
    EXPECT_EQ(anonymous(method, "/bucket/key"), 403) << method;
  }
  put_policy(
      allow_everyone(R"("s3:GetObjectTagging")", R"({"StringEquals":{"s3:ExistingObjectTag/open":"yes"}})"));
  auto& tags = w.store.buckets["bucket"].objects["key"].info.attributes.tags;
  tags["open"] = "yes";
  EXPECT_EQ(anonymous("GET", "/bucket/key?tagging"), 200);
  w.store.before_get = [&] { tags["open"] = "no"; };
  EXPECT_EQ(anonymous("GET", "/bucket/key?tagging"), 403);
}

TEST_F(Access, CopyNeedsTheRightToReadItsSource) {
  w.store.buckets["theirs"].info = {"theirs", kOther, w.clock.ms};
  EXPECT_EQ(w.send_as(w.other(), "PUT", "/theirs/stolen", {{"x-amz-copy-source", kSource}}).status, 403);
  EXPECT_FALSE(w.has("stolen", "theirs"));
  put_policy(allow_everyone(R"("s3:GetObject")"));
  EXPECT_EQ(w.send_as(w.other(), "PUT", "/theirs/lent", {{"x-amz-copy-source", kSource}}).status, 200);
}

TEST_F(Access, CopySourceConditionSeesTheSourceHoweverItIsSpelled) {
  w.store.buckets["theirs"].info = {"theirs", kOther, w.clock.ms};
  store::BucketConfigs configs{
      {"policy", policy({statement("Allow", "\"*\"", R"("s3:PutObject")", R"("arn:aws:s3:::theirs/*")",
                                   R"({"StringNotLike":{"s3:x-amz-copy-source":"bucket/secret/*"}})")})}};
  w.store.buckets["theirs"].info.configs = std::make_shared<const store::BucketConfigs>(std::move(configs));
  EXPECT_EQ(w.send("PUT", "/bucket/secret/x", {}, "x").status, 200);
  for (const char* source :
       {"/bucket/secret/x", "bucket/secret/x", "bucket%2Fsecret%2fx", "/bucket/%73ecret/x"})
    EXPECT_EQ(w.send("PUT", "/theirs/copy", {{"x-amz-copy-source", source}}).status, 403) << source;
  EXPECT_EQ(w.send("PUT", "/theirs/copy", {{"x-amz-copy-source", kSource}}).status, 200);
}

TEST_F(Access, DeleteObjectsAsksForEachKey) {
  EXPECT_EQ(w.send("PUT", "/bucket/open/1", {}, "x").status, 200);
  put_policy(
      policy({statement("Allow", "\"*\"", R"("s3:DeleteObject")", R"("arn:aws:s3:::bucket/open/*")")}));
  std::string document = "<Delete><Object><Key>open/1</Key></Object><Object><Key>key</Key></Object></Delete>";
  Answer answer =
      w.send_as(w.other(), "POST", "/bucket?delete", {{"content-md5", md5_base64(document)}}, document);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.element("Code"), "AccessDenied");
  EXPECT_FALSE(w.has("open/1"));
  EXPECT_TRUE(w.has("key"));
}

TEST_F(Access, CannedAclsOpenBucketsAndObjects) {
  EXPECT_EQ(w.send("PUT", "/bucket?acl", {{"x-amz-acl", "public-read"}}).status, 200);
  EXPECT_EQ(anonymous("GET", "/bucket"), 200);
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 403);
  EXPECT_EQ(anonymous("GET", "/bucket/nothing"), 404);
  EXPECT_EQ(w.send("PUT", "/bucket/key?acl", {{"x-amz-acl", "authenticated-read"}}).status, 200);
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 403);
  EXPECT_EQ(other("GET", "/bucket/key"), 200);
  EXPECT_EQ(other("PUT", "/bucket/new"), 403);
  EXPECT_EQ(w.send("PUT", "/bucket?acl", {{"x-amz-acl", "public-read-write"}}).status, 200);
  EXPECT_EQ(anonymous("PUT", "/bucket/new"), 200);
  EXPECT_EQ(w.send("PUT", "/bucket?acl", {{"x-amz-acl", "almost-public"}}).code(), "InvalidArgument");
}

TEST_F(Access, WriterOwnsItsObjectUnlessTheBucketSaysOtherwise) {
  EXPECT_EQ(w.send("PUT", "/bucket?acl", {{"x-amz-acl", "public-read-write"}}).status, 200);
  EXPECT_EQ(other("PUT", "/bucket/theirs"), 200);
  EXPECT_EQ(w.send("GET", "/bucket/theirs").status, 403) << "the bucket's owner does not own the object";
  EXPECT_EQ(other("GET", "/bucket/theirs"), 200);
  EXPECT_EQ(w.send_as(w.other(), "GET", "/bucket/theirs?acl").element("ID"), kOther);
  EXPECT_EQ(w.send("DELETE", "/bucket/theirs").status, 204);

  const std::string preferred =
      "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerPreferred</ObjectOwnership></Rule></"
      "OwnershipControls>";
  EXPECT_EQ(w.send("PUT", "/bucket?ownershipControls", {}, preferred).status, 200);
  EXPECT_EQ(other("PUT", "/bucket/given", {{"x-amz-acl", "bucket-owner-full-control"}}), 200);
  EXPECT_EQ(w.send("GET", "/bucket/given?acl").element("ID"), kOwner);
}

TEST_F(Access, WriterMaySayTheAclOfWhatItWillOwnUnlessThatIsDenied) {
  put_policy(allow_everyone(R"("s3:PutObject")"));
  EXPECT_EQ(other("PUT", "/bucket/theirs", {{"x-amz-acl", "public-read"}}), 200);
  EXPECT_NE(other("PUT", "/bucket/theirs", {{"x-amz-tagging", "a=b"}}), 200)
      << "tags are the bucket's affair";
  put_policy(policy({statement("Allow", "\"*\"", R"("s3:PutObject")", R"("arn:aws:s3:::bucket/*")"),
                     statement("Deny", "\"*\"", R"("s3:PutObjectAcl")", R"("arn:aws:s3:::bucket/*")")}));
  EXPECT_EQ(other("PUT", "/bucket/theirs", {{"x-amz-acl", "public-read"}}), 403);
}

TEST_F(Access, EnforcedOwnershipTurnsAclsOff) {
  EXPECT_EQ(w.send("PUT", "/bucket/key?acl", {{"x-amz-acl", "public-read"}}).status, 200);
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 200);
  const std::string enforced =
      "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></"
      "OwnershipControls>";
  EXPECT_EQ(w.send("PUT", "/bucket?ownershipControls", {}, enforced).status, 200);
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 403);
  EXPECT_EQ(w.send("PUT", "/bucket/key", {{"x-amz-acl", "private"}}, "x").code(),
            "AccessControlListNotSupported");
  EXPECT_EQ(w.send("PUT", "/bucket/key", {{"x-amz-acl", "bucket-owner-full-control"}}, "x").status, 200);
  EXPECT_EQ(w.send("PUT", "/bucket?acl", {{"x-amz-acl", "private"}}).code(), "AccessControlListNotSupported");
  EXPECT_EQ(w.send("PUT", "/new-bucket",
                   {{"x-amz-acl", "public-read"}, {"x-amz-object-ownership", "BucketOwnerEnforced"}})
                .code(),
            "InvalidBucketAclWithObjectOwnership");
}

TEST_F(Access, PublicAccessBlockTakesPublicGrantsAway) {
  auto block = [&](const std::string& flag) {
    std::string xml =
        "<PublicAccessBlockConfiguration><" + flag + ">true</" + flag + "></PublicAccessBlockConfiguration>";
    EXPECT_EQ(w.send("PUT", "/bucket?publicAccessBlock", {}, xml).status, 200);
  };
  EXPECT_EQ(w.send("PUT", "/bucket/key?acl", {{"x-amz-acl", "public-read"}}).status, 200);
  block("IgnorePublicAcls");
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 403);
  block("BlockPublicAcls");
  EXPECT_EQ(anonymous("GET", "/bucket/key"), 200);
  EXPECT_EQ(w.send("PUT", "/bucket/new", {{"x-amz-acl", "public-read"}}, "x").code(), "AccessDenied");
  EXPECT_EQ(w.send("PUT", "/bucket?acl", {{"x-amz-acl", "public-read-write"}}).code(), "AccessDenied");
  put_policy(allow_everyone(R"("s3:ListBucket")"));
  EXPECT_EQ(anonymous("GET", "/bucket"), 200);
  EXPECT_EQ(w.send("GET", "/bucket?policyStatus").element("IsPublic"), "true");
  block("RestrictPublicBuckets");
  EXPECT_EQ(anonymous("GET", "/bucket"), 403);
  EXPECT_EQ(other("GET", "/bucket"), 403);
  block("BlockPublicPolicy");
  EXPECT_EQ(w.send("PUT", "/bucket?policy", {}, allow_everyone(R"("s3:GetObject")")).code(), "AccessDenied");
  EXPECT_EQ(w.send("DELETE", "/bucket?publicAccessBlock").status, 204);
  EXPECT_EQ(w.send("GET", "/bucket?publicAccessBlock").code(), "NoSuchPublicAccessBlockConfiguration");
}

TEST_F(Access, PolicyMustBeOneAndSpeakOfThisBucket) {
  EXPECT_EQ(w.send("PUT", "/bucket?policy", {}, "{}").code(), "MalformedPolicy");
  std::string elsewhere =
      policy({statement("Allow", "\"*\"", R"("s3:GetObject")", R"("arn:aws:s3:::other-bucket/*")")});
  EXPECT_EQ(w.send("PUT", "/bucket?policy", {}, elsewhere).code(), "MalformedPolicy");
  EXPECT_EQ(w.send("GET", "/bucket?policy").code(), "NoSuchBucketPolicy");
  std::string good = allow_everyone(R"("s3:GetObject")");
  put_policy(good);
  EXPECT_EQ(w.send("GET", "/bucket?policy").body, good);
}

TEST_F(Access, GrantsNameAccountsThatExist) {
  EXPECT_EQ(w.send("PUT", "/bucket?acl", {{"x-amz-grant-read", "id=\"" + kOther + "\""}}).status, 200);
  EXPECT_EQ(other("GET", "/bucket"), 200);
  EXPECT_EQ(anonymous("GET", "/bucket"), 403);
  EXPECT_EQ(
      w.send("PUT", "/bucket?acl", {{"x-amz-grant-read", "id=\"" + std::string(64, 'c') + "\""}}).code(),
      "InvalidArgument");
  EXPECT_EQ(w.send("PUT", "/bucket?acl", {{"x-amz-grant-read", "emailAddress=nobody@example.org"}}).code(),
            "UnresolvableGrantByEmailAddress");
  EXPECT_EQ(
      w.send("PUT", "/bucket?acl", {{"x-amz-acl", "private"}, {"x-amz-grant-read", "id=\"" + kOther + "\""}})
          .code(),
      "InvalidRequest");
}

TEST_F(Access, AclDocumentsRoundTrip) {
  Answer read = w.send("GET", "/bucket?acl");
  EXPECT_EQ(read.element("Permission"), "FULL_CONTROL");
  EXPECT_EQ(read.element("DisplayName"), "name of AKTEST");
  EXPECT_EQ(w.send("PUT", "/bucket?acl", {}, read.body).status, 200);
  EXPECT_EQ(w.send("GET", "/bucket?acl").body, read.body);
  std::string others_name = read.body;
  others_name.replace(others_name.find(kOwner), 64, kOther);
  EXPECT_EQ(w.send("PUT", "/bucket?acl", {}, others_name).code(), "AccessDenied");
  EXPECT_EQ(w.send("PUT", "/bucket?acl", {}, "<AccessControlPolicy/>").code(), "MalformedACLError");
  EXPECT_EQ(w.send("PUT", "/bucket?acl").code(), "MissingSecurityHeader");
}

TEST_F(Access, ExpectedOwnerIsChecked) {
  EXPECT_EQ(w.send("GET", "/bucket", {{"x-amz-expected-bucket-owner", kOwner}}).status, 200);
  EXPECT_EQ(w.send("GET", "/bucket", {{"x-amz-expected-bucket-owner", iam::account_number(kOwner)}}).status,
            200);
  EXPECT_EQ(w.send("GET", "/bucket", {{"x-amz-expected-bucket-owner", kOther}}).status, 403);
}

TEST(AccessContext, AddressIsThePeersWithoutItsPort) {
  EXPECT_EQ(address_of_peer("192.0.2.1:443"), "192.0.2.1");
  EXPECT_EQ(address_of_peer("[2001:db8::1]:443"), "2001:db8::1");
  EXPECT_EQ(address_of_peer(""), "");
}

TEST(Acl, EncodingGivesBackWhatItWasGivenAndRefusesTheRest) {
  Grants grants{{{Grantee::Kind::all_users, {}}, Permission::read},
                {{Grantee::Kind::account, kOther}, Permission::write_acp},
                {{Grantee::Kind::log_delivery, {}}, Permission::write}};
  std::string bytes = encode_acl(grants, kOwner);
  EXPECT_EQ(decode_acl(bytes, kOwner).value(), grants);
  EXPECT_EQ(encode_acl(private_grants(kOwner), kOwner), "");
  EXPECT_EQ(decode_acl("", kOwner).value(), private_grants(kOwner));
  EXPECT_EQ(decode_acl(encode_acl({}, kOwner), kOwner).value(), Grants{});
  for (size_t cut = 1; cut < bytes.size(); ++cut)
    EXPECT_FALSE(decode_acl(std::string_view(bytes).substr(0, cut), kOwner)) << cut;
  EXPECT_FALSE(decode_acl(bytes + "x", kOwner));
  bytes[0] = 2;
  EXPECT_FALSE(decode_acl(bytes, kOwner));
}

}  // namespace
}  // namespace archipel::door::s3::testing
