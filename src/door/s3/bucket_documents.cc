#include "door/s3/bucket_documents.h"

#include <algorithm>

#include "door/s3/errors.h"
#include "door/s3/target.h"
#include "door/s3/xml_fields.h"

namespace archipel::door::s3 {

// --- versioning ---

Result<store::Versioning> parse_versioning(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "VersioningConfiguration"));
  XmlFields fields(root);
  std::optional<std::string> status = fields.text("Status"), mfa = fields.text("MfaDelete");
  RETURN_IF_ERROR(fields.finish());
  if (mfa && *mfa != "Disabled" && *mfa != "Enabled")
    return malformed_xml("<MfaDelete> must be Enabled or Disabled");
  if (mfa && *mfa == "Enabled") return refuse("NotImplemented", "MFA delete is not offered.");
  if (!status) return refuse("IllegalVersioningConfigurationException");
  if (*status == "Enabled") return store::Versioning::enabled;
  if (*status == "Suspended") return store::Versioning::suspended;
  return malformed_xml("<Status> must be Enabled or Suspended");
}

std::string write_versioning(store::Versioning versioning) {
  XmlWriter xml("VersioningConfiguration");
  if (versioning != store::Versioning::never)
    xml.element("Status", versioning == store::Versioning::enabled ? "Enabled" : "Suspended");
  return xml.take();
}

// --- tags ---

// Code points of UTF-8 that is known to be valid.
static size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// Letters and digits of any script, blanks, and + - = . _ : / @
static bool tag_characters(std::string_view text) {
  return valid_utf8(text) && std::ranges::all_of(text, [](char c) {
           auto byte = static_cast<unsigned char>(c);
           bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
           return byte >= 0x80 || alnum || std::string_view(" +-=._:/@").find(c) != std::string_view::npos;
         });
}

Result<void> check_bucket_tags(const Tags& tags) {
  if (tags.size() > kBucketTagsMax) return refuse("InvalidTag", "A bucket has at most 50 tags.");
  for (const auto& [key, value] : tags) {
    if (key.empty() || characters(key) > kTagKeyCharsMax || !tag_characters(key))
      return refuse("InvalidTag", "The TagKey you have provided is invalid");
    if (characters(value) > kTagValueCharsMax || !tag_characters(value))
      return refuse("InvalidTag", "The TagValue you have provided is invalid");
    if (key.starts_with("aws:"))
      return refuse("InvalidTag", "System tags cannot be added/updated by requester");
  }
  return {};
}

static Result<Tags> parse_tag_set(const XmlElement& set) {
  XmlFields fields(set);
  std::vector<const XmlElement*> elements = fields.all("Tag");
  RETURN_IF_ERROR(fields.finish());
  Tags tags;
  for (const XmlElement* element : elements) {
    XmlFields tag(*element);
    std::string key = tag.need_text("Key"), value = tag.need_text("Value");
    RETURN_IF_ERROR(tag.finish());
    if (!tags.emplace(std::move(key), std::move(value)).second)
      return refuse("InvalidTag", "Cannot provide multiple Tags with the same key");
  }
  RETURN_IF_ERROR(check_bucket_tags(tags));
  return tags;
}

Result<Tags> parse_bucket_tagging(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "Tagging"));
  XmlFields fields(root);
  const XmlElement* set = fields.need("TagSet");
  RETURN_IF_ERROR(fields.finish());
  return parse_tag_set(*set);
}

std::string write_bucket_tagging(const Tags& tags) {
  XmlWriter xml("Tagging");
  xml.open("TagSet");
  for (const auto& [key, value] : tags) xml.open("Tag").element("Key", key).element("Value", value).close();
  return xml.take();
}

// --- encryption ---

Result<DefaultEncryption> parse_encryption(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "ServerSideEncryptionConfiguration"));
  XmlFields fields(root);
  const XmlElement* rule = fields.need("Rule");
  RETURN_IF_ERROR(fields.finish());
  XmlFields in_rule(*rule);
  const XmlElement* apply = in_rule.need("ApplyServerSideEncryptionByDefault");
  DefaultEncryption out;
  out.bucket_key = in_rule.boolean("BucketKeyEnabled");
  RETURN_IF_ERROR(in_rule.finish());
  XmlFields in_apply(*apply);
  std::string algorithm = in_apply.need_text("SSEAlgorithm");
  out.key = in_apply.text("KMSMasterKeyID").value_or("");
  RETURN_IF_ERROR(in_apply.finish());
  if (algorithm == "AES256") {
    if (!out.key.empty())
      return refuse("InvalidArgument",
                    "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms");
  } else if (algorithm == "aws:kms") {
    out.kind = store::Encryption::Kind::sse_kms;
  } else if (algorithm == "aws:kms:dsse") {
    return refuse("NotImplemented", "The encryption algorithm aws:kms:dsse is not offered.");
  } else {
    return malformed_xml("<SSEAlgorithm> must be AES256 or aws:kms");
  }
  return out;
}

std::string write_encryption(const DefaultEncryption& encryption) {
  XmlWriter xml("ServerSideEncryptionConfiguration");
  xml.open("Rule").open("ApplyServerSideEncryptionByDefault");
  bool kms = encryption.kind == store::Encryption::Kind::sse_kms;
  xml.element("SSEAlgorithm", kms ? "aws:kms" : "AES256");
  if (!encryption.key.empty()) xml.element("KMSMasterKeyID", encryption.key);
  xml.close();
  if (encryption.bucket_key) xml.element("BucketKeyEnabled", *encryption.bucket_key);
  return xml.take();
}

// --- request payment ---

Result<void> parse_request_payment(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "RequestPaymentConfiguration"));
  XmlFields fields(root);
  std::string payer = fields.need_text("Payer");
  RETURN_IF_ERROR(fields.finish());
  if (payer == "BucketOwner") return {};
  if (payer == "Requester")
    return refuse("NotImplemented", "Requester pays is not offered: the owner of a bucket pays.");
  return malformed_xml("<Payer> must be BucketOwner or Requester");
}

std::string write_request_payment() {
  return XmlWriter("RequestPaymentConfiguration").element("Payer", "BucketOwner").take();
}

// --- object lock ---

UnixMs DefaultRetention::until(UnixMs now) const {
  constexpr UnixMs kDay = 24 * 3600 * 1000;
  return now + (years > 0 ? years * 365 : days) * kDay;
}

static Result<DefaultRetention> parse_retention_rule(const XmlElement& rule) {
  XmlFields fields(rule);
  const XmlElement* element = fields.need("DefaultRetention");
  RETURN_IF_ERROR(fields.finish());
  XmlFields retention(*element);
  std::string mode = retention.need_text("Mode");
  std::optional<int64_t> days = retention.integer("Days"), years = retention.integer("Years");
  RETURN_IF_ERROR(retention.finish());
  DefaultRetention out;
  if (mode == "GOVERNANCE") {
    out.mode = store::Retention::Mode::governance;
  } else if (mode == "COMPLIANCE") {
    out.mode = store::Retention::Mode::compliance;
  } else {
    return malformed_xml("<Mode> must be GOVERNANCE or COMPLIANCE");
  }
  if (days.has_value() == years.has_value())
    return malformed_xml("a <DefaultRetention> has either <Days> or <Years>");
  if (days.value_or(1) <= 0 || years.value_or(1) <= 0)
    return refuse("InvalidRetentionPeriod", "Default retention period must be a positive integer value.");
  if (days.value_or(0) > kRetentionDaysMax || years.value_or(0) > kRetentionYearsMax)
    return refuse("InvalidRetentionPeriod",
                  "Default retention period too large: at most 36500 days or 100 years.");
  out.days = days.value_or(0);
  out.years = years.value_or(0);
  return out;
}

Result<DefaultRetention> parse_object_lock(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "ObjectLockConfiguration"));
  XmlFields fields(root);
  std::string enabled = fields.need_text("ObjectLockEnabled");
  const XmlElement* rule = fields.one("Rule");
  RETURN_IF_ERROR(fields.finish());
  if (enabled != "Enabled") return malformed_xml("<ObjectLockEnabled> must be Enabled");
  if (rule == nullptr) return DefaultRetention{};
  return parse_retention_rule(*rule);
}

std::string write_object_lock(const DefaultRetention& retention) {
  XmlWriter xml("ObjectLockConfiguration");
  xml.element("ObjectLockEnabled", "Enabled");
  if (retention.mode != store::Retention::Mode::none) {
    bool governance = retention.mode == store::Retention::Mode::governance;
    xml.open("Rule").open("DefaultRetention");
    xml.element("Mode", governance ? "GOVERNANCE" : "COMPLIANCE");
    if (retention.years > 0) {
      xml.element("Years", std::to_string(retention.years));
    } else {
      xml.element("Days", std::to_string(retention.days));
    }
  }
  return xml.take();
}

// --- creation ---

Result<NewBucket> parse_new_bucket(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "CreateBucketConfiguration"));
  XmlFields fields(root);
  NewBucket out;
  out.location = fields.text("LocationConstraint").value_or("");
  const XmlElement* tags = fields.one("Tags");
  bool directory = fields.one("Location") != nullptr;
  directory = fields.one("Bucket") != nullptr || directory;
  RETURN_IF_ERROR(fields.finish());
  if (directory) return refuse("NotImplemented", "Directory buckets are not offered.");
  if (tags != nullptr) {
    ASSIGN_OR_RETURN(out.tags, parse_tag_set(*tags));
  }
  return out;
}

}  // namespace archipel::door::s3
