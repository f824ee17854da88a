#include "door/s3/logging.h"

#include "door/s3/errors.h"
#include "door/s3/xml_fields.h"
#include "http/date.h"
#include "iam/policy.h"

namespace archipel::door::s3 {
namespace {

using Layout = LoggingTarget::Layout;

Result<Layout> read_layout(const XmlElement& element) {
  XmlFields fields(element);
  const XmlElement* simple = fields.one("SimplePrefix");
  const XmlElement* parted = fields.one("PartitionedPrefix");
  RETURN_IF_ERROR(fields.finish());
  if ((simple != nullptr) == (parted != nullptr))
    return malformed_xml("a <TargetObjectKeyFormat> is either <SimplePrefix> or <PartitionedPrefix>");
  if (simple != nullptr) return Layout::simple;
  XmlFields in_parted(*parted);
  std::string source = in_parted.text("PartitionDateSource").value_or("DeliveryTime");
  RETURN_IF_ERROR(in_parted.finish());
  if (source == "EventTime") return Layout::by_event;
  if (source == "DeliveryTime") return Layout::by_delivery;
  return malformed_xml("<PartitionDateSource> must be EventTime or DeliveryTime");
}

// What the delivery of a log object asks of the target's policy.
iam::Request delivery_request(const LoggingTarget& to, const store::BucketInfo& source) {
  iam::Request out;
  out.principal = iam::Principal::service("logging.s3.amazonaws.com");
  out.action = "s3:PutObject";
  out.resource = "arn:aws:s3:::" + to.bucket + "/" + to.prefix + "log";
  out.context.add_principal(out.principal);
  out.context.add("aws:SourceArn", "arn:aws:s3:::" + source.name);
  out.context.add("aws:SourceAccount", iam::account_number(source.owner));
  return out;
}

}  // namespace

Result<std::optional<LoggingTarget>> parse_logging(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "BucketLoggingStatus"));
  XmlFields fields(root);
  const XmlElement* enabled = fields.one("LoggingEnabled");
  RETURN_IF_ERROR(fields.finish());
  if (enabled == nullptr) return std::optional<LoggingTarget>();
  XmlFields in_enabled(*enabled);
  LoggingTarget out;
  out.bucket = in_enabled.need_text("TargetBucket");
  out.prefix = in_enabled.text("TargetPrefix").value_or("");
  const XmlElement* grants = in_enabled.one("TargetGrants");
  const XmlElement* layout = in_enabled.one("TargetObjectKeyFormat");
  RETURN_IF_ERROR(in_enabled.finish());
  if (grants != nullptr && !grants->children.empty())
    return refuse("NotImplemented",
                  "TargetGrants are not offered: log objects belong to the owner of the target bucket, whose "
                  "policy says who reads them.");
  if (out.bucket.empty()) return malformed_xml("<TargetBucket> is empty");
  if (out.prefix.size() > kLoggingPrefixBytesMax)
    return refuse("InvalidArgument", "The TargetPrefix is longer than 512 bytes.");
  if (layout != nullptr) {
    ASSIGN_OR_RETURN(out.layout, read_layout(*layout));
    out.layout_given = true;
  }
  return std::optional(std::move(out));
}

std::string write_logging(const std::optional<LoggingTarget>& target) {
  XmlWriter xml("BucketLoggingStatus");
  if (!target) return xml.take();
  xml.open("LoggingEnabled");
  xml.element("TargetBucket", target->bucket).element("TargetPrefix", target->prefix);
  if (target->layout_given) {
    xml.open("TargetObjectKeyFormat");
    if (target->layout == Layout::simple) {
      xml.open("SimplePrefix").close();
    } else {
      bool event = target->layout == Layout::by_event;
      xml.open("PartitionedPrefix").element("PartitionDateSource", event ? "EventTime" : "DeliveryTime");
    }
  }
  return xml.take();
}

Result<void> may_deliver_logs(const LoggingTarget& to, const store::BucketInfo& target,
                              const store::BucketInfo& source) {
  if (target.owner != source.owner)
    return refuse("InvalidTargetBucketForLogging",
                  "The owner for the bucket to be logged and the target bucket must be the same.");
  const store::BucketConfigs* configs = target.configs.get();
  auto config = [&](const char* name) -> const std::string* {
    if (configs == nullptr) return nullptr;
    auto found = configs->find(name);
    return found == configs->end() ? nullptr : &found->second;
  };
  if (config("object-lock") != nullptr)
    return refuse("InvalidTargetBucketForLogging",
                  "The target bucket for logging has a default retention; log objects have none.");
  const std::string* document = config("policy");
  if (document != nullptr) {
    auto policy = iam::parse_policy(*document, iam::PolicyKind::resource);
    if (policy && iam::evaluate(**policy, delivery_request(to, source)) == iam::Effect::allow) return {};
  }
  return refuse(
      "InvalidTargetBucketForLogging",
      "The policy of the target bucket must allow the service logging.s3.amazonaws.com s3:PutObject "
      "under the target prefix.");
}

std::string log_object_name(const LoggingTarget& to, const store::BucketInfo& source, std::string_view region,
                            UnixMs event_ms, UnixMs delivery_ms) {
  // "2026-01-02T03:04:05.678Z"
  std::string time = http::format_iso_extended(to.layout == Layout::by_event ? event_ms : delivery_ms);
  std::string day = time.substr(0, 10);
  std::string clock = time.substr(11, 2) + "-" + time.substr(14, 2) + "-" + time.substr(17, 2);
  if (to.layout == Layout::simple) return to.prefix + day + "-" + clock + "-";
  if (to.layout == Layout::by_event) clock = "00-00-00";  // as S3: only the day is meant
  return to.prefix + iam::account_number(source.owner) + "/" + std::string(region) + "/" + source.name + "/" +
         day.substr(0, 4) + "/" + day.substr(5, 2) + "/" + day.substr(8, 2) + "/" + day + "-" + clock + "-";
}

}  // namespace archipel::door::s3
