// What configures a bucket, through the door, over a real store.
#include <gtest/gtest.h>

#include "door/s3/testing/real_world.h"

namespace archipel::door::s3::testing {
namespace {

struct ConfigCase {
  const char *name, *document, *absent_code;
  int put_status = 200;
};
constexpr ConfigCase kConfigs[] = {
    {"cors",
     "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></"
     "CORSRule>"
     "</CORSConfiguration>",
     "NoSuchCORSConfiguration"},
    {"tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>", "NoSuchTagSet",
     204},
    {"website",
     "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>",
     "NoSuchWebsiteConfiguration"},
    {"encryption",
     "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</"
     "SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
     "ServerSideEncryptionConfigurationNotFoundError"},
    {"lifecycle",
     "<LifecycleConfiguration><Rule><ID>r</ID><Prefix>x/</Prefix><Status>Enabled</"
     "Status><Expiration><Days>2</"
     "Days></Expiration></Rule></LifecycleConfiguration>",
     "NoSuchLifecycleConfiguration"},
};

TEST(BucketConfig, IsPutGivenBackAndDeleted) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    Answer a = co_await world.send("PUT", "/bucket");
    EXPECT_EQ(a.status, 200);
    for (const ConfigCase& c : kConfigs) {
      std::string target = std::string("/bucket?") + c.name;
      a = co_await world.send("GET", target);
      EXPECT_EQ(a.status, 404) << c.name;
      EXPECT_EQ(a.code(), c.absent_code);
      a = co_await world.send("PUT", target, "<broken");
      EXPECT_EQ(a.code(), "MalformedXML") << c.name;
      a = co_await world.send("PUT", target);
      EXPECT_EQ(a.code(), "MissingRequestBodyError") << c.name;
      a = co_await world.send_as(&world.other, "PUT", target, c.document);
      EXPECT_EQ(a.code(), "AccessDenied") << c.name;
      a = co_await world.send("PUT", target, c.document);
      EXPECT_EQ(a.status, c.put_status) << c.name << a.body;
      a = co_await world.send("GET", target);
      EXPECT_EQ(a.status, 200) << c.name;
      std::string inner(c.document);
      inner = inner.substr(inner.find('>') + 1);
      inner = inner.substr(0, 40);
      EXPECT_NE(a.body.find(inner), std::string::npos) << a.body;
      a = co_await world.send("DELETE", target);
      EXPECT_EQ(a.status, 204) << c.name;
      a = co_await world.send("GET", target);
      EXPECT_EQ(a.code(), c.absent_code);
      a = co_await world.send("DELETE", target);
      EXPECT_EQ(a.status, 204) << c.name << ": absent already";
    }
    a = co_await world.send("GET", "/nobucket?cors");
    EXPECT_EQ(a.code(), "NoSuchBucket");
  });
}

TEST(BucketConfig, SurvivesTheLossOfTheView) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    Answer a = co_await world.send("PUT", "/bucket");
    a = co_await world.send("PUT", "/bucket?tagging", kConfigs[1].document);
    world.door.reset();
    co_await world.access_log->close();
    world.access_log.reset();
    co_await world.rig.stop();
    std::filesystem::remove_all(world.rig.dir + "/index");
    bool begun = co_await world.begin();
    CO_ASSERT_TRUE(begun);
    a = co_await world.send("GET", "/bucket?tagging");
    EXPECT_EQ(a.element("Key"), "a");
  });
}

TEST(Versioning, IsEnabledAndSuspendedButNotUnderObjectLock) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    const std::string enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    const std::string suspended =
        "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    const std::string lock =
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</"
        "ObjectLockEnabled><Rule><DefaultRetention><Mode>"
        "GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    Answer a = co_await world.send("PUT", "/bucket");
    a = co_await world.send("GET", "/bucket?versioning");
    EXPECT_EQ(a.body.find("<Status>"), std::string::npos);
    a = co_await world.send("PUT", "/bucket?object-lock", lock);
    EXPECT_EQ(a.code(), "InvalidBucketState");
    a = co_await world.send("PUT", "/bucket?versioning", suspended);
    EXPECT_EQ(a.status, 200);
    a = co_await world.send("PUT", "/bucket?object-lock", lock);
    EXPECT_EQ(a.code(), "InvalidBucketState");
    a = co_await world.send("PUT", "/bucket?versioning", enabled);
    a = co_await world.send("GET", "/bucket?versioning");
    EXPECT_EQ(a.element("Status"), "Enabled");
    a = co_await world.send("GET", "/bucket?object-lock");
    EXPECT_EQ(a.code(), "ObjectLockConfigurationNotFoundError");
    a = co_await world.send("PUT", "/bucket?object-lock", lock);
    EXPECT_EQ(a.status, 200);
    a = co_await world.send("GET", "/bucket?object-lock");
    EXPECT_EQ(a.element("Mode"), "GOVERNANCE");
    EXPECT_EQ(a.element("Days"), "1");
    a = co_await world.send("PUT", "/bucket?versioning", suspended);
    EXPECT_EQ(a.status, 409);
    EXPECT_EQ(a.code(), "InvalidBucketState");
  });
}

TEST(CreateBucket, WithObjectLockAndTags) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    const std::string document =
        "<CreateBucketConfiguration><Tags><Tag><Key>k</Key><Value>v</Value></Tag></Tags></"
        "CreateBucketConfiguration>";
    HeaderList lock{{"x-amz-bucket-object-lock-enabled", "true"}};
    Answer a = co_await world.send("PUT", "/locked", document, lock);
    EXPECT_EQ(a.status, 200) << a.body;
    a = co_await world.send("GET", "/locked?versioning");
    EXPECT_EQ(a.element("Status"), "Enabled");
    a = co_await world.send("GET", "/locked?object-lock");
    EXPECT_EQ(a.element("ObjectLockEnabled"), "Enabled");
    a = co_await world.send("GET", "/locked?tagging");
    EXPECT_EQ(a.element("Value"), "v");
    HeaderList odd{{"x-amz-bucket-object-lock-enabled", "maybe"}};
    a = co_await world.send("PUT", "/other", {}, odd);
    EXPECT_EQ(a.code(), "InvalidArgument");
  });
}

TEST(CreateBucket, AgainIsAConflictExceptInTheOldestRegion) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    Answer a = co_await world.send("PUT", "/bucket");
    a = co_await world.send("PUT", "/bucket");
    EXPECT_EQ(a.code(), "BucketAlreadyOwnedByYou");
    Signer oldest = world.signer;
    oldest.region = "us-east-1";
    a = co_await world.send_as(&oldest, "PUT", "/bucket");
    EXPECT_EQ(a.status, 200);
    HeaderList lock{{"x-amz-bucket-object-lock-enabled", "true"}};
    a = co_await world.send_as(&oldest, "PUT", "/bucket", {}, lock);
    EXPECT_EQ(a.code(), "BucketAlreadyExists") << "it has no object lock, and 200 would say so";
    a = co_await world.send_as(&world.other, "PUT", "/bucket");
    EXPECT_EQ(a.code(), "BucketAlreadyExists");
  });
}

TEST(Cors, PreflightsAndAnswersSayWhatTheBucketAllows) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    Answer a = co_await world.send("PUT", "/bucket");
    HeaderList asks{{"origin", "http://a"}, {"access-control-request-method", "GET"}};
    a = co_await world.send_as(nullptr, "OPTIONS", "/bucket/k");
    EXPECT_EQ(a.status, 400);
    EXPECT_EQ(a.code(), "BadRequest");
    a = co_await world.send_as(nullptr, "OPTIONS", "/bucket/k", {}, asks);
    EXPECT_EQ(a.status, 403);
    EXPECT_EQ(a.code(), "AccessForbidden");
    a = co_await world.send_as(nullptr, "OPTIONS", "/nobucket/k", {}, asks);
    EXPECT_EQ(a.code(), "AccessForbidden");
    a = co_await world.send("PUT", "/bucket?cors",
                            "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>"
                            "http://a</AllowedOrigin><ExposeHeader>ETag</ExposeHeader></CORSRule></"
                            "CORSConfiguration>");
    EXPECT_EQ(a.status, 200);
    a = co_await world.send_as(nullptr, "OPTIONS", "/bucket/k?X-Amz-Signature=x&versionId=y", {}, asks);
    EXPECT_EQ(a.status, 200) << a.body;
    EXPECT_EQ(a.headers.get("access-control-allow-origin"), "http://a");
    HeaderList origin{{"origin", "http://a"}};
    a = co_await world.send("GET", "/bucket/missing", {}, origin);
    EXPECT_EQ(a.status, 404);
    EXPECT_EQ(a.headers.get("access-control-allow-origin"), "http://a") << "errors are answers";
    EXPECT_EQ(a.headers.get("access-control-expose-headers"), "ETag");
    a = co_await world.send_as(nullptr, "GET", "/bucket/missing", {}, origin);
    EXPECT_EQ(a.status, 403);
    EXPECT_EQ(a.headers.get("access-control-allow-origin"), "http://a");
    a = co_await world.send("PUT", "/bucket/k", "x", origin);
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.headers.find("access-control-allow-origin"), nullptr) << "PUT is not allowed to scripts";
    a = co_await world.send("GET", "/bucket/k");
    EXPECT_EQ(a.headers.find("access-control-allow-origin"), nullptr) << "nobody asked";
  });
}

TEST(Expiration, IsToldWithTheObject) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    Answer a = co_await world.send("PUT", "/bucket");
    a = co_await world.send("PUT", "/bucket?lifecycle", kConfigs[4].document);
    EXPECT_EQ(a.status, 200);
    const std::string told = "expiry-date=\"Fri, 17 Nov 2023 00:00:00 GMT\", rule-id=\"r\"";
    a = co_await world.send("PUT", "/bucket/x/1", "x");
    EXPECT_EQ(a.headers.get("x-amz-expiration"), told);
    a = co_await world.send("HEAD", "/bucket/x/1");
    EXPECT_EQ(a.headers.get("x-amz-expiration"), told);
    a = co_await world.send("GET", "/bucket/x/1");
    EXPECT_EQ(a.headers.get("x-amz-expiration"), told);
    a = co_await world.send("PUT", "/bucket/x/2", "", {{"x-amz-copy-source", "/bucket/x/1"}});
    EXPECT_EQ(a.headers.get("x-amz-expiration"), told) << "of a copy";
    a = co_await world.send("POST", "/bucket/x/3?uploads");
    const std::string id = a.element("UploadId");
    a = co_await world.send("PUT", "/bucket/x/3?partNumber=1&uploadId=" + id, "x");
    a = co_await world.send("POST", "/bucket/x/3?uploadId=" + id,
                            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" +
                                std::string(a.headers.get("etag")) +
                                "</ETag></Part></CompleteMultipartUpload>");
    EXPECT_EQ(a.headers.get("x-amz-expiration"), told) << "of a multipart upload";
    a = co_await world.send("PUT", "/bucket/y/1", "x");
    EXPECT_EQ(a.headers.find("x-amz-expiration"), nullptr);
  });
}

// --- access logs ---

const std::string kLogging =
    "<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>p/</TargetPrefix></"
    "LoggingEnabled></BucketLoggingStatus>";

// Lets logs of "bucket" into "logs"; put behind the door's back, whatever the door thinks of policies.
io::Task<void> allow_logs(RealWorld& world) {
  store::BucketChange change;
  change.configs["policy"] =
      R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},)"
      R"("Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/*",)"
      R"("Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::bucket"}}}]})";
  auto changed = co_await world.rig.store->configure_bucket("logs", change);
  EXPECT_TRUE(changed.has_value());
}

TEST(AccessLog, IsDeliveredWhereTheBucketSaysIfItMay) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    Answer a = co_await world.send("PUT", "/bucket");
    a = co_await world.send("PUT", "/bucket?logging", kLogging);
    EXPECT_EQ(a.code(), "InvalidTargetBucketForLogging") << "it is not there";
    a = co_await world.send("PUT", "/logs");
    a = co_await world.send("PUT", "/bucket?logging", kLogging);
    EXPECT_EQ(a.code(), "InvalidTargetBucketForLogging") << "its policy lets no logs in";
    co_await allow_logs(world);
    a = co_await world.send("PUT", "/bucket?logging", kLogging);
    EXPECT_EQ(a.status, 200) << a.body;
    a = co_await world.send("GET", "/bucket?logging");
    EXPECT_EQ(a.element("TargetPrefix"), "p/");

    HeaderList agent{{"user-agent", "a \"b\""}};
    a = co_await world.send("PUT", "/bucket/my%20key", "12345", agent);
    EXPECT_EQ(a.status, 200);
    a = co_await world.send("GET", "/bucket/absent");
    EXPECT_EQ(a.status, 404);
    co_await world.access_log->deliver();
    auto listed =
        co_await world.rig.store->list({.bucket = "logs", .prefix = "", .delimiter = "", .start_after = ""});
    CO_ASSERT_TRUE(listed.has_value() && listed->entries.size() == 1);
    const std::string key = listed->entries[0].key;
    EXPECT_TRUE(key.starts_with("p/2023-11-14-22-13-20-")) << key;
    auto text = co_await world.rig.get("logs", key);
    CO_ASSERT_TRUE(text.has_value());
    EXPECT_NE(text->find(store::kAlice + " bucket [14/Nov/2023:22:13:20 +0000] 192.0.2.7 " + store::kAlice),
              std::string::npos)
        << *text;
    EXPECT_NE(text->find(" REST.PUT.OBJECT my%20key \"PUT /bucket/my%20key HTTP/1.1\" 200 - "),
              std::string::npos)
        << *text;
    EXPECT_NE(text->find(" REST.GET.OBJECT absent \"GET /bucket/absent HTTP/1.1\" 404 NoSuchKey "),
              std::string::npos)
        << *text;
    EXPECT_NE(text->find("\"a %22b%22\""), std::string::npos) << *text;

    a = co_await world.send("PUT", "/bucket?logging", "<BucketLoggingStatus/>");
    EXPECT_EQ(a.status, 200);
    a = co_await world.send("GET", "/bucket/absent");
    co_await world.access_log->deliver();
    listed =
        co_await world.rig.store->list({.bucket = "logs", .prefix = "", .delimiter = "", .start_after = ""});
    CO_ASSERT_TRUE(listed.has_value());
    EXPECT_LE(listed->entries.size(), 2u) << "the request that ended logging is the last one";
  });
}

TEST(AccessLog, ATargetThatForbidsItLosesItsRecords) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    Answer a = co_await world.send("PUT", "/bucket");
    a = co_await world.send("PUT", "/logs");
    co_await allow_logs(world);
    a = co_await world.send("PUT", "/bucket?logging", kLogging);
    store::BucketChange change;
    change.configs["policy"] = std::nullopt;
    auto changed = co_await world.rig.store->configure_bucket("logs", change);
    a = co_await world.send("GET", "/bucket/absent");
    co_await world.access_log->deliver();
    co_await allow_logs(world);
    co_await world.access_log->deliver();
    auto listed =
        co_await world.rig.store->list({.bucket = "logs", .prefix = "", .delimiter = "", .start_after = ""});
    CO_ASSERT_TRUE(listed.has_value());
    EXPECT_TRUE(listed->entries.empty());
  });
}

}  // namespace
}  // namespace archipel::door::s3::testing
