#include "door/s3/logging.h"

#include <gtest/gtest.h>

#include "door/s3/access_record.h"
#include "iam/principal.h"

namespace archipel::door::s3 {
namespace {

std::string code_of(const std::string& inner) {
  auto r = parse_logging("<BucketLoggingStatus><LoggingEnabled>" + inner +
                         "</LoggingEnabled></BucketLoggingStatus>");
  return r ? "ok" : r.error().detail;
}

TEST(LoggingDocument, HoldsS3sRules) {
  const std::string to = "<TargetBucket>b</TargetBucket><TargetPrefix>p</TargetPrefix>";
  EXPECT_EQ(code_of(to), "ok");
  EXPECT_EQ(code_of(to + "<TargetGrants/>"), "ok");
  EXPECT_EQ(code_of(to + "<TargetGrants><Grant/></TargetGrants>"), "NotImplemented");
  EXPECT_EQ(code_of("<TargetPrefix>p</TargetPrefix>"), "MalformedXML");
  EXPECT_EQ(code_of(to + "<TargetObjectKeyFormat/>"), "MalformedXML");
  EXPECT_EQ(code_of(to + "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>Never</"
                         "PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>"),
            "MalformedXML");
  auto off = parse_logging("<BucketLoggingStatus/>");
  ASSERT_TRUE(off.has_value());
  EXPECT_FALSE(off->has_value());
}

TEST(LoggingDocument, SurvivesWriting) {
  for (auto layout :
       {LoggingTarget::Layout::simple, LoggingTarget::Layout::by_event, LoggingTarget::Layout::by_delivery}) {
    LoggingTarget to{"bucket", "a/<b>", layout, true};
    auto again = parse_logging(write_logging(to));
    ASSERT_TRUE(again.has_value() && again->has_value());
    EXPECT_EQ((*again)->prefix, to.prefix);
    EXPECT_EQ((*again)->layout, layout);
  }
}

TEST(LogObjectName, FollowsTheLayout) {
  store::BucketInfo source;
  source.name = "src";
  source.owner = std::string(64, 'a');
  const UnixMs event = 1'700'000'000'000, delivery = event + 3 * 3600 * 1000;  // 2023-11-14T22:13:20Z
  LoggingTarget to{"logs", "p/"};
  EXPECT_EQ(log_object_name(to, source, "r1", event, delivery), "p/2023-11-15-01-13-20-");
  const std::string folder = "p/" + iam::account_number(source.owner) + "/r1/src/";
  to.layout = LoggingTarget::Layout::by_delivery;
  EXPECT_EQ(log_object_name(to, source, "r1", event, delivery), folder + "2023/11/15/2023-11-15-01-13-20-");
  to.layout = LoggingTarget::Layout::by_event;
  EXPECT_EQ(log_object_name(to, source, "r1", event, delivery), folder + "2023/11/14/2023-11-14-00-00-00-");
}

TEST(MayDeliverLogs, NeedsOneOwnerAndAPolicyThatLetsTheServiceIn) {
  store::BucketInfo source, target;
  source.name = "src";
  target.name = "logs";
  source.owner = target.owner = std::string(64, 'a');
  LoggingTarget to{"logs", "p/"};
  auto with_policy = [&](std::string resource, std::string account) {
    auto configs = std::make_shared<store::BucketConfigs>();
    (*configs)["policy"] =
        R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},)"
        R"("Action":"s3:PutObject","Resource":")" +
        resource + R"(","Condition":{"StringEquals":{"aws:SourceAccount":")" + account + R"("}}}]})";
    target.configs = configs;
    return may_deliver_logs(to, target, source).has_value();
  };
  const std::string account = iam::account_number(source.owner);
  EXPECT_FALSE(may_deliver_logs(to, target, source).has_value());
  EXPECT_TRUE(with_policy("arn:aws:s3:::logs/*", account));
  EXPECT_TRUE(with_policy("arn:aws:s3:::logs/p/*", account));
  EXPECT_FALSE(with_policy("arn:aws:s3:::logs/q/*", account));
  EXPECT_FALSE(with_policy("arn:aws:s3:::logs/*", "123456789012"));
  target.owner = std::string(64, 'b');
  EXPECT_FALSE(with_policy("arn:aws:s3:::logs/*", account));
}

TEST(AccessRecord, IsOneLineWhateverTheClientSent) {
  AccessRecord record;
  record.bucket_owner = "owner";
  record.bucket = "b";
  record.at_ms = 1'700'000'000'000;
  record.remote_ip = "::1";
  record.operation = Operation::get_object;
  record.method = "GET";
  record.target = "/b/k\" \n";
  record.key = "k\" \n\xff";
  record.status = 200;
  record.bytes_sent = 5;
  record.object_size = 6;
  record.total_ms = 7;
  record.user_agent = "ua\r\n\"x\"";
  record.request_id = "ID";
  EXPECT_EQ(write_access_record(record),
            "owner b [14/Nov/2023:22:13:20 +0000] ::1 - ID REST.GET.OBJECT k%22%20%0A%FF \"GET /b/k%22 %0A "
            "HTTP/1.1\" 200 - 5 6 7 - \"-\" \"ua%0D%0A%22x%22\" - - - - - - - - -\n");
}

TEST(AccessRecord, OperationsHaveAmazonsNames) {
  EXPECT_EQ(access_operation(Operation::put_object, "PUT"), "REST.PUT.OBJECT");
  EXPECT_EQ(access_operation(Operation::copy_object, "PUT"), "REST.COPY.OBJECT");
  EXPECT_EQ(access_operation(Operation::list_objects_v2, "GET"), "REST.GET.BUCKET");
  EXPECT_EQ(access_operation(Operation::get_bucket_versioning, "GET"), "REST.GET.VERSIONING");
  EXPECT_EQ(access_operation(Operation::put_bucket_policy, "PUT"), "REST.PUT.BUCKETPOLICY");
  EXPECT_EQ(access_operation(Operation::delete_objects, "POST"), "REST.POST.MULTI_OBJECT_DELETE");
  EXPECT_EQ(access_operation(Operation::none, "BREW"), "REST.BREW.-");
}

}  // namespace
}  // namespace archipel::door::s3
