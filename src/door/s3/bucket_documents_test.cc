#include "door/s3/bucket_documents.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "door/s3/cors.h"
#include "door/s3/lifecycle_document.h"
#include "door/s3/settings.h"
#include "door/s3/xml.h"

namespace archipel::door::s3 {
namespace {

template <class T>
std::string code_of(const Result<T>& r) {
  return r ? "ok" : r.error().detail;
}

std::string wrap(const std::string& root, const std::string& inner) {
  return "<" + root + " xmlns=\"" + std::string(kS3Namespace) + "\">" + inner + "</" + root + ">";
}

TEST(NewBucketDocument, HasALocationAndTags) {
  auto made = parse_new_bucket(wrap(
      "CreateBucketConfiguration",
      "<LocationConstraint>eu-1</LocationConstraint><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>"));
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(made->location, "eu-1");
  EXPECT_EQ(made->tags, (Tags{{"a", "b"}}));
  EXPECT_EQ(parse_new_bucket("<CreateBucketConfiguration/>")->location, "");
  EXPECT_EQ(code_of(parse_new_bucket("<CreateBucketConfiguration><Bucket/></CreateBucketConfiguration>")),
            "NotImplemented");
  EXPECT_EQ(code_of(parse_new_bucket("<CreateBucketConfiguration><X/></CreateBucketConfiguration>")),
            "MalformedXML");
  EXPECT_EQ(code_of(parse_new_bucket("<Delete/>")), "MalformedXML");
}

TEST(VersioningDocument, IsReadByTheLetter) {
  auto status = [](const std::string& inner) {
    return code_of(parse_versioning(wrap("VersioningConfiguration", inner)));
  };
  EXPECT_EQ(*parse_versioning(write_versioning(store::Versioning::enabled)), store::Versioning::enabled);
  EXPECT_EQ(*parse_versioning(write_versioning(store::Versioning::suspended)), store::Versioning::suspended);
  EXPECT_EQ(status("<Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>"), "ok");
  EXPECT_EQ(status("<Status>enabled</Status>"), "MalformedXML");
  EXPECT_EQ(status(""), "IllegalVersioningConfigurationException");
  EXPECT_EQ(status("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"), "NotImplemented");
  EXPECT_EQ(status("<Status>Enabled</Status><Status>Suspended</Status>"), "MalformedXML");
}

TEST(TaggingDocument, HoldsS3sRules) {
  auto tag = [](const std::string& key, const std::string& value) {
    return "<Tag><Key>" + key + "</Key><Value>" + value + "</Value></Tag>";
  };
  auto code = [](const std::string& tags) {
    return code_of(parse_bucket_tagging(wrap("Tagging", "<TagSet>" + tags + "</TagSet>")));
  };
  EXPECT_EQ(code(""), "ok");
  EXPECT_EQ(code(tag("Hello", "World")), "ok");
  EXPECT_EQ(code(tag(std::string(128, 'k'), std::string(256, 'v'))), "ok");
  EXPECT_EQ(code(tag(std::string(129, 'k'), "v")), "InvalidTag");
  EXPECT_EQ(code(tag("k", std::string(257, 'v'))), "InvalidTag");
  EXPECT_EQ(code(tag("", "v")), "InvalidTag");
  EXPECT_EQ(code(tag("a", "1") + tag("a", "2")), "InvalidTag");
  EXPECT_EQ(code(tag("aws:x", "1")), "InvalidTag");
  EXPECT_EQ(code(tag("a*", "1")), "InvalidTag");
  EXPECT_EQ(code("<Tag><Key>a</Key></Tag>"), "MalformedXML");
  std::string many;
  for (size_t i = 0; i < kBucketTagsMax; ++i) many += tag("k" + std::to_string(i), "v");
  EXPECT_EQ(code(many), "ok");
  EXPECT_EQ(code(many + tag("one-more", "v")), "InvalidTag");
}

TEST(EncryptionDocument, TakesTheTwoAlgorithms) {
  auto code = [](const std::string& inner) {
    return code_of(parse_encryption(
        wrap("ServerSideEncryptionConfiguration", "<Rule><ApplyServerSideEncryptionByDefault>" + inner +
                                                      "</ApplyServerSideEncryptionByDefault></Rule>")));
  };
  EXPECT_EQ(code("<SSEAlgorithm>AES256</SSEAlgorithm>"), "ok");
  EXPECT_EQ(code("<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>"), "ok");
  EXPECT_EQ(code("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>"), "InvalidArgument");
  EXPECT_EQ(code("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>"), "NotImplemented");
  EXPECT_EQ(code("<SSEAlgorithm>ROT13</SSEAlgorithm>"), "MalformedXML");
  EXPECT_EQ(code(""), "MalformedXML");
  DefaultEncryption kms{store::Encryption::Kind::sse_kms, "key<1>", true};
  auto again = parse_encryption(write_encryption(kms));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->kind, kms.kind);
  EXPECT_EQ(again->key, kms.key);
  EXPECT_EQ(again->bucket_key, kms.bucket_key);
}

TEST(ObjectLockDocument, NeedsOnePositivePeriod) {
  auto code = [](const std::string& retention) {
    return code_of(parse_object_lock(wrap(
        "ObjectLockConfiguration", "<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>" +
                                       retention + "</DefaultRetention></Rule>")));
  };
  EXPECT_EQ(code("<Mode>GOVERNANCE</Mode><Days>1</Days>"), "ok");
  EXPECT_EQ(code("<Mode>COMPLIANCE</Mode><Years>100</Years>"), "ok");
  EXPECT_EQ(code("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), "MalformedXML");
  EXPECT_EQ(code("<Mode>GOVERNANCE</Mode>"), "MalformedXML");
  EXPECT_EQ(code("<Mode>governance</Mode><Days>1</Days>"), "MalformedXML");
  EXPECT_EQ(code("<Mode>GOVERNANCE</Mode><Days>0</Days>"), "InvalidRetentionPeriod");
  EXPECT_EQ(code("<Mode>GOVERNANCE</Mode><Years>-1</Years>"), "InvalidRetentionPeriod");
  EXPECT_EQ(code("<Mode>GOVERNANCE</Mode><Days>36501</Days>"), "InvalidRetentionPeriod");
  EXPECT_EQ(code("<Mode>GOVERNANCE</Mode><Years>101</Years>"), "InvalidRetentionPeriod");
  EXPECT_EQ(code_of(parse_object_lock(
                wrap("ObjectLockConfiguration", "<ObjectLockEnabled>Disabled</ObjectLockEnabled>"))),
            "MalformedXML");
  auto bare = parse_object_lock(write_object_lock({}));
  ASSERT_TRUE(bare.has_value());
  EXPECT_EQ(bare->mode, store::Retention::Mode::none);
  DefaultRetention year{store::Retention::Mode::compliance, 0, 1};
  EXPECT_EQ(year.until(1000), 1000 + 365ll * 24 * 3600 * 1000);
  EXPECT_EQ(parse_object_lock(write_object_lock(year))->until(0), year.until(0));
}

TEST(RequestPaymentDocument, OnlyTheOwnerPays) {
  EXPECT_EQ(code_of(parse_request_payment(write_request_payment())), "ok");
  EXPECT_EQ(code_of(parse_request_payment(wrap("RequestPaymentConfiguration", "<Payer>Requester</Payer>"))),
            "NotImplemented");
  EXPECT_EQ(code_of(parse_request_payment(wrap("RequestPaymentConfiguration", "<Payer>Nobody</Payer>"))),
            "MalformedXML");
}

TEST(WebsiteDocument, ChecksEveryElement) {
  auto code = [](const std::string& inner) {
    return code_of(parse_website(wrap("WebsiteConfiguration", inner)));
  };
  const std::string index = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>";
  auto rules = [&](const std::string& rule) {
    return index + "<RoutingRules><RoutingRule>" + rule + "</RoutingRule></RoutingRules>";
  };
  const std::string redirect = "<Redirect><HostName>h</HostName></Redirect>";
  EXPECT_EQ(code(index), "ok");
  EXPECT_EQ(code(index + "<ErrorDocument><Key>e</Key></ErrorDocument>"), "ok");
  EXPECT_EQ(code(""), "InvalidArgument");
  EXPECT_EQ(code("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>"), "InvalidArgument");
  EXPECT_EQ(
      code("<RedirectAllRequestsTo><HostName>h</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>"),
      "ok");
  EXPECT_EQ(code("<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>" + index),
            "InvalidArgument");
  EXPECT_EQ(
      code("<RedirectAllRequestsTo><HostName>h</HostName><Protocol>ftp</Protocol></RedirectAllRequestsTo>"),
      "InvalidRequest");
  EXPECT_EQ(code(rules(redirect)), "ok");
  EXPECT_EQ(code(rules("<Condition><KeyPrefixEquals>a</KeyPrefixEquals></Condition>" + redirect)), "ok");
  EXPECT_EQ(code(rules("<Condition/>" + redirect)), "InvalidRequest");
  EXPECT_EQ(
      code(rules("<Condition><HttpErrorCodeReturnedEquals>200</HttpErrorCodeReturnedEquals></Condition>" +
                 redirect)),
      "InvalidRequest");
  EXPECT_EQ(code(rules("<Redirect><HttpRedirectCode>300</HttpRedirectCode></Redirect>")), "InvalidRequest");
  EXPECT_EQ(code(rules("<Redirect><ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</"
                       "ReplaceKeyPrefixWith></Redirect>")),
            "InvalidRequest");
  EXPECT_EQ(code(rules("<Redirect/>")), "MalformedXML");
  EXPECT_EQ(code(index + "<RoutingRules/>"), "MalformedXML");
}

TEST(WebsiteDocument, SurvivesWriting) {
  Website site;
  site.index = "i";
  site.error = "e";
  site.rules.push_back({.if_prefix = "p&",
                        .if_error = "404",
                        .host = "h",
                        .protocol = "https",
                        .code = "302",
                        .replace_prefix = "",
                        .replace_key = {},
                        .has_replace_prefix = true});
  auto again = parse_website(write_website(site));
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(write_website(*again), write_website(site));
  EXPECT_TRUE(again->rules.at(0).has_replace_prefix);
  EXPECT_EQ(again->rules.at(0).if_prefix, "p&");
}

// --- lifecycle ---

std::string lifecycle_code(const std::string& rule) {
  auto random = seeded_random(1);
  return code_of(parse_lifecycle(wrap("LifecycleConfiguration", "<Rule>" + rule + "</Rule>"), random.get()));
}

TEST(LifecycleDocument, HoldsS3sRules) {
  const std::string on = "<Status>Enabled</Status><Prefix/>",
                    days = "<Expiration><Days>1</Days></Expiration>";
  const std::string enabled = "<Status>Enabled</Status>";
  auto filter = [&](const std::string& inner) {
    return lifecycle_code(enabled + days + "<Filter>" + inner + "</Filter>");
  };
  auto expiration = [&](const std::string& inner) {
    return lifecycle_code(on + "<Expiration>" + inner + "</Expiration>");
  };
  EXPECT_EQ(lifecycle_code(on + days), "ok");
  EXPECT_EQ(lifecycle_code(on + days + "<ID>" + std::string(255, 'a') + "</ID>"), "ok");
  EXPECT_EQ(lifecycle_code(on + days + "<ID>" + std::string(256, 'a') + "</ID>"), "InvalidArgument");
  EXPECT_EQ(lifecycle_code("<Status>enabled</Status><Prefix/>" + days), "MalformedXML");
  EXPECT_EQ(lifecycle_code(enabled + days), "MalformedXML") << "neither filter nor prefix";
  EXPECT_EQ(lifecycle_code(on + days + "<Filter/>"), "MalformedXML");
  EXPECT_EQ(lifecycle_code(on), "InvalidRequest") << "no action";
  EXPECT_EQ(lifecycle_code(on + days + "<Transition><Days>1</Days></Transition>"), "NotImplemented");
  EXPECT_EQ(lifecycle_code(on + days + "<NoncurrentVersionTransition/>"), "NotImplemented");
  EXPECT_EQ(lifecycle_code(on + days + "<Unknown/>"), "MalformedXML");

  EXPECT_EQ(expiration("<Days>0</Days>"), "InvalidArgument");
  EXPECT_EQ(expiration("<Days>-1</Days>"), "InvalidArgument");
  EXPECT_EQ(expiration("<Days>2147483648</Days>"), "InvalidArgument");
  EXPECT_EQ(expiration("<Date>2017-09-27</Date>"), "ok");
  EXPECT_EQ(expiration("<Date>2017-09-27T00:00:00Z</Date>"), "ok");
  EXPECT_EQ(expiration("<Date>2017-09-27T00:00:01Z</Date>"), "InvalidArgument");
  EXPECT_EQ(expiration("<Date>20170927</Date>"), "MalformedXML");
  EXPECT_EQ(expiration("<Days>1</Days><Date>2017-09-27</Date>"), "MalformedXML");
  EXPECT_EQ(expiration("<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"), "ok");
  EXPECT_EQ(expiration("<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker><Days>1</Days>"),
            "MalformedXML");

  EXPECT_EQ(filter(""), "ok");
  EXPECT_EQ(filter("<Prefix>a</Prefix>"), "ok");
  EXPECT_EQ(filter("<Tag><Key>k</Key><Value>v</Value></Tag>"), "ok");
  EXPECT_EQ(filter("<Tag><Key>k</Key></Tag>"), "MalformedXML");
  EXPECT_EQ(filter("<And><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><Tag><Key>k</Key><Value>w</"
                   "Value></Tag></And>"),
            "InvalidRequest");
  EXPECT_EQ(filter("<Prefix>a</Prefix><And><Prefix>b</Prefix></And>"), "InvalidRequest");
  EXPECT_EQ(filter("<ObjectSizeGreaterThan>10</ObjectSizeGreaterThan><ObjectSizeLessThan>10</"
                   "ObjectSizeLessThan>"),
            "InvalidRequest");
  EXPECT_EQ(
      lifecycle_code(enabled + "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>"
                               "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
                               "</AbortIncompleteMultipartUpload>"),
      "InvalidRequest");
  EXPECT_EQ(lifecycle_code(on + "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
                                "<NewerNoncurrentVersions>101</NewerNoncurrentVersions>"
                                "</NoncurrentVersionExpiration>"),
            "InvalidArgument");
  EXPECT_EQ(lifecycle_code(on + "<NoncurrentVersionExpiration><NewerNoncurrentVersions>1</"
                                "NewerNoncurrentVersions></NoncurrentVersionExpiration>"),
            "MalformedXML");
}

TEST(LifecycleDocument, IdsAreUniqueAndGivenWhereTheyLack) {
  auto random = seeded_random(1);
  auto rule = [](const std::string& id) {
    return "<Rule>" + id + "<Status>Enabled</Status><Prefix/><Expiration><Days>1</Days></Expiration></Rule>";
  };
  auto two = wrap("LifecycleConfiguration", rule("") + rule(""));
  auto parsed = parse_lifecycle(two, random.get());
  ASSERT_TRUE(parsed.has_value());
  EXPECT_FALSE(parsed->at(0).id.empty());
  EXPECT_NE(parsed->at(0).id, parsed->at(1).id);
  EXPECT_EQ(code_of(parse_lifecycle(two, nullptr)), "MalformedXML") << "what is stored has its ids";
  EXPECT_EQ(code_of(parse_lifecycle(wrap("LifecycleConfiguration", rule("<ID>a</ID>") + rule("<ID>a</ID>")),
                                    random.get())),
            "InvalidArgument");
}

// What is kept says what was put: every rule that can be written is read back the same.
RC_GTEST_PROP(LifecycleDocument, SurvivesWriting, ()) {
  auto some_text = [] {
    return *rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab/&<\"' ")));
  };
  store::LifecycleRules rules;
  for (int i = 0, n = *rc::gen::inRange(1, 4); i < n; ++i) {
    store::LifecycleRule& rule = rules.emplace_back();
    rule.id = "r" + std::to_string(i) + some_text();
    rule.enabled = *rc::gen::arbitrary<bool>();
    rule.older_form = *rc::gen::arbitrary<bool>();
    rule.prefix_given = rule.older_form || *rc::gen::arbitrary<bool>();
    if (rule.prefix_given) rule.filter.prefix = some_text();
    int action = *rc::gen::inRange(0, 4);
    if (action == 0) rule.days = *rc::gen::inRange(1, 400);
    if (action == 1) rule.date = *rc::gen::inRange(0, 30'000) * 86'400'000ll;
    if (action == 2) rule.expired_marker = true;
    rule.noncurrent_days = *rc::gen::inRange(1, 400);
    rule.newer_noncurrent = *rc::gen::inRange(0, 101);
    if (rule.older_form || rule.expired_marker) continue;
    rule.and_form = *rc::gen::arbitrary<bool>();
    if (*rc::gen::arbitrary<bool>()) rule.filter.tags["k" + some_text()] = some_text();
    if (rule.and_form) rule.filter.tags["second"] = some_text();
    if (*rc::gen::arbitrary<bool>()) rule.filter.larger_than = *rc::gen::inRange(0, 100);
    if (*rc::gen::arbitrary<bool>()) rule.filter.smaller_than = *rc::gen::inRange(200, 300);
  }
  std::string written = write_lifecycle(rules);
  auto again = parse_lifecycle(written, nullptr);
  if (!again) RC_FAIL(again.error().message + written);
  RC_ASSERT(write_lifecycle(*again) == written);
  for (size_t i = 0; i < rules.size(); ++i) {
    RC_ASSERT(again->at(i).filter.tags == rules[i].filter.tags);
    RC_ASSERT(again->at(i).filter.prefix == rules[i].filter.prefix);
    RC_ASSERT(again->at(i).days == rules[i].days);
    RC_ASSERT(again->at(i).date == rules[i].date);
  }
}

TEST(LifecycleDocument, TellsWhenAnObjectExpires) {
  auto random = seeded_random(1);
  auto rules = parse_lifecycle(
      wrap(
          "LifecycleConfiguration",
          "<Rule><ID>a \"b\"</ID><Status>Enabled</Status><Prefix>x/</Prefix><Expiration><Days>2</Days></"
          "Expiration></Rule><Rule><ID>off</ID><Status>Disabled</Status><Prefix/><Expiration><Days>1</Days></"
          "Expiration></Rule>"),
      random.get());
  ASSERT_TRUE(rules.has_value());
  // 2023-11-14T22:13:20Z, two days, the next midnight.
  store::LifecycleSubject object{"x/1", 5, 1'700'000'000'000, false, nullptr};
  EXPECT_EQ(expiration_header(*rules, object),
            "expiry-date=\"Fri, 17 Nov 2023 00:00:00 GMT\", rule-id=\"a%20%22b%22\"");
  object.key = "y/1";
  EXPECT_EQ(expiration_header(*rules, object), "");
}

// --- settings ---

TEST(Settings, ADocumentThatCannotBeReadIsAnErrorNotAnAbsence) {
  auto configs = std::make_shared<store::BucketConfigs>();
  (*configs)["cors"] = "<broken";
  (*configs)["object-lock"] = write_object_lock({store::Retention::Mode::governance, 1, 0});
  BucketSettings settings = read_settings(configs);
  EXPECT_EQ(code_of(settings.cors), "InternalError");
  ASSERT_TRUE(settings.object_lock.has_value() && settings.object_lock->has_value());
  EXPECT_EQ((*settings.object_lock)->days, 1);
  ASSERT_TRUE(settings.website.has_value());
  EXPECT_FALSE(settings.website->has_value());
}

TEST(Settings, AreReadOncePerConfiguration) {
  SettingsCache cache;
  store::BucketInfo bucket;
  EXPECT_FALSE(cache.of(bucket)->cors->has_value());
  auto configs = std::make_shared<store::BucketConfigs>();
  (*configs)["cors"] = write_cors(
      {{.id = {}, .origins = {"*"}, .methods = {"GET"}, .headers = {}, .expose = {}, .max_age_seconds = {}}});
  bucket.configs = configs;
  auto first = cache.of(bucket);
  EXPECT_TRUE(first->cors->has_value());
  EXPECT_EQ(cache.of(bucket), first);
  bucket.configs = std::make_shared<store::BucketConfigs>();
  EXPECT_FALSE(cache.of(bucket)->cors->has_value());
}

}  // namespace
}  // namespace archipel::door::s3
