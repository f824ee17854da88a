#include "door/s3/lifecycle_document.h"

#include <set>

#include "base/bytes.h"
#include "door/s3/errors.h"
#include "door/s3/xml_fields.h"
#include "http/date.h"
#include "http/uri.h"

namespace archipel::door::s3 {
namespace {

using store::LifecycleRule;
using store::LifecycleRules;

constexpr size_t kIdBytesMax = 255;                                // S3 limit
constexpr int64_t kNewerNoncurrentMax = 100;                       // S3 limit
constexpr int64_t kDaysMax = INT32_MAX;                            // S3 limit
constexpr size_t kTagKeyBytesMax = 512, kTagValueBytesMax = 1024;  // 128 and 256 characters

std::unexpected<Error> bad_argument(std::string what) {
  return refuse("InvalidArgument", std::move(what));
}

Result<std::optional<int64_t>> positive(XmlFields& fields, std::string_view name, std::string_view action) {
  std::optional<int64_t> days = fields.integer(name);
  if (days && (*days <= 0 || *days > kDaysMax))
    return bad_argument("'" + std::string(name) + "' for " + std::string(action) +
                        " action must be a positive integer");
  return days;
}

// A day, with or without its midnight.
Result<UnixMs> parse_date(std::string_view text) {
  std::optional<UnixMs> at = http::parse_iso_extended(text);
  if (!at) at = http::parse_iso_extended(std::string(text) + "T00:00:00Z");
  if (!at) return malformed_xml("<Date> must be a date in ISO 8601 format");
  constexpr UnixMs kDay = 24 * 3600 * 1000;
  if (*at % kDay != 0) return bad_argument("'Date' must be at midnight GMT");
  return *at;
}

Result<void> read_expiration(const XmlElement& element, LifecycleRule& rule) {
  XmlFields fields(element);
  ASSIGN_OR_RETURN(rule.days, positive(fields, "Days", "Expiration"));
  std::optional<std::string> date = fields.text("Date");
  std::optional<bool> marker = fields.boolean("ExpiredObjectDeleteMarker");
  RETURN_IF_ERROR(fields.finish());
  if (date) {
    ASSIGN_OR_RETURN(rule.date, parse_date(*date));
  }
  rule.expired_marker = marker.value_or(false);
  int given = (rule.days ? 1 : 0) + (rule.date ? 1 : 0) + (rule.expired_marker ? 1 : 0);
  if (given > 1)
    return malformed_xml("an <Expiration> has one of <Days>, <Date> and <ExpiredObjectDeleteMarker>");
  return {};
}

Result<void> read_noncurrent(const XmlElement& element, LifecycleRule& rule) {
  XmlFields fields(element);
  ASSIGN_OR_RETURN(rule.noncurrent_days, positive(fields, "NoncurrentDays", "NoncurrentVersionExpiration"));
  std::optional<int64_t> newer = fields.integer("NewerNoncurrentVersions");
  RETURN_IF_ERROR(fields.finish());
  if (!rule.noncurrent_days) return malformed_xml("a <NoncurrentVersionExpiration> needs <NoncurrentDays>");
  if (newer && (*newer <= 0 || *newer > kNewerNoncurrentMax))
    return bad_argument("'NewerNoncurrentVersions' must be between 1 and 100");
  rule.newer_noncurrent = newer.value_or(0);
  return {};
}

Result<void> read_abort(const XmlElement& element, LifecycleRule& rule) {
  XmlFields fields(element);
  ASSIGN_OR_RETURN(rule.abort_days,
                   positive(fields, "DaysAfterInitiation", "AbortIncompleteMultipartUpload"));
  RETURN_IF_ERROR(fields.finish());
  if (!rule.abort_days)
    return malformed_xml("an <AbortIncompleteMultipartUpload> needs <DaysAfterInitiation>");
  return {};
}

// Both prefixes must hold, so the longer one does.
Result<void> narrow_prefix(const std::optional<std::string>& prefix, LifecycleRule& rule) {
  if (!prefix) return {};
  std::string& known = rule.filter.prefix;
  if (prefix->size() > 1024) return bad_argument("The maximum size of a prefix is 1024");
  if (rule.prefix_given && !prefix->starts_with(known) && !known.starts_with(*prefix))
    return refuse("InvalidRequest", "The prefixes of a filter contradict each other.");
  rule.prefix_given = true;
  if (prefix->size() > known.size()) known = *prefix;
  return {};
}

Result<void> read_tag(const XmlElement& element, LifecycleRule& rule) {
  XmlFields fields(element);
  std::string key = fields.need_text("Key"), value = fields.need_text("Value");
  RETURN_IF_ERROR(fields.finish());
  if (key.empty() || key.size() > kTagKeyBytesMax)
    return bad_argument("The TagKey you have provided is invalid");
  if (value.size() > kTagValueBytesMax) return bad_argument("The TagValue you have provided is invalid");
  if (!rule.filter.tags.emplace(std::move(key), std::move(value)).second)
    return refuse("InvalidRequest", "Duplicate Tag Keys are not allowed.");
  return {};
}

// The conditions in a <Filter>, or in its <And>.
Result<void> read_conditions(const XmlElement& element, bool in_and, LifecycleRule& rule) {
  XmlFields fields(element);
  std::optional<std::string> prefix = fields.text("Prefix");
  std::vector<const XmlElement*> tags = fields.all("Tag");
  std::optional<int64_t> larger = fields.integer("ObjectSizeGreaterThan");
  std::optional<int64_t> smaller = fields.integer("ObjectSizeLessThan");
  const XmlElement* both = in_and ? nullptr : fields.one("And");
  RETURN_IF_ERROR(fields.finish());
  if (!in_and && tags.size() > 1) return malformed_xml("several <Tag> belong into an <And>");
  RETURN_IF_ERROR(narrow_prefix(prefix, rule));
  for (const XmlElement* tag : tags) RETURN_IF_ERROR(read_tag(*tag, rule));
  if (larger.value_or(0) < 0 || smaller.value_or(1) < 1)
    return bad_argument("'ObjectSizeGreaterThan' must not be negative, 'ObjectSizeLessThan' not below 1");
  if (larger) rule.filter.larger_than = static_cast<uint64_t>(*larger);
  if (smaller) rule.filter.smaller_than = static_cast<uint64_t>(*smaller);
  if (both == nullptr) return {};
  rule.and_form = true;
  return read_conditions(*both, true, rule);
}

Result<void> check_rule(const LifecycleRule& rule) {
  if (!rule.days && !rule.date && !rule.expired_marker && !rule.noncurrent_days && !rule.abort_days)
    return refuse("InvalidRequest", "At least one action needs to be specified in a rule");
  const auto& filter = rule.filter;
  if (filter.larger_than && filter.smaller_than && *filter.smaller_than <= *filter.larger_than)
    return refuse("InvalidRequest", "'ObjectSizeLessThan' must be larger than 'ObjectSizeGreaterThan'");
  if (rule.expired_marker && filter.for_objects_only())
    return refuse("InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with tags or sizes.");
  if (rule.abort_days && filter.for_objects_only())
    return refuse("InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with tags or sizes.");
  return {};
}

Result<LifecycleRule> parse_rule(const XmlElement& element, Random* random) {
  XmlFields fields(element);
  LifecycleRule rule;
  rule.id = fields.text("ID").value_or("");
  std::string status = fields.need_text("Status");
  std::optional<std::string> prefix = fields.text("Prefix");
  const XmlElement* filter = fields.one("Filter");
  const XmlElement* expiration = fields.one("Expiration");
  const XmlElement* noncurrent = fields.one("NoncurrentVersionExpiration");
  const XmlElement* abort = fields.one("AbortIncompleteMultipartUpload");
  std::vector<const XmlElement*> transitions = fields.all("Transition");
  bool moves = !transitions.empty();
  moves = !fields.all("NoncurrentVersionTransition").empty() || moves;
  RETURN_IF_ERROR(fields.finish());
  for (const XmlElement* transition : transitions) {  // what is wrong is said before what is not offered
    if (auto date = XmlFields(*transition).text("Date")) RETURN_IF_ERROR(parse_date(*date));
  }
  if (moves)
    return refuse("NotImplemented",
                  "Transitions are not offered: there is one storage class, STANDARD. Leave <Transition> and "
                  "<NoncurrentVersionTransition> out.");
  if (rule.id.size() > kIdBytesMax) return bad_argument("ID length should not exceed allowed limit of 255");
  if (rule.id.empty() && random == nullptr) return malformed_xml("a <Rule> has no <ID>");
  if (rule.id.empty()) rule.id = hex(random->bytes<24>());
  if (status != "Enabled" && status != "Disabled")
    return malformed_xml("<Status> must be Enabled or Disabled");
  rule.enabled = status == "Enabled";
  if ((filter != nullptr) == prefix.has_value())
    return malformed_xml("a <Rule> has either a <Filter> or the older <Prefix>");
  rule.older_form = filter == nullptr;
  if (filter == nullptr) RETURN_IF_ERROR(narrow_prefix(prefix, rule));
  if (filter != nullptr) RETURN_IF_ERROR(read_conditions(*filter, false, rule));
  if (expiration != nullptr) RETURN_IF_ERROR(read_expiration(*expiration, rule));
  if (noncurrent != nullptr) RETURN_IF_ERROR(read_noncurrent(*noncurrent, rule));
  if (abort != nullptr) RETURN_IF_ERROR(read_abort(*abort, rule));
  RETURN_IF_ERROR(check_rule(rule));
  return rule;
}

void write_filter(const LifecycleRule& rule, XmlWriter& xml) {
  if (rule.older_form) {
    xml.element("Prefix", rule.filter.prefix);
    return;
  }
  xml.open("Filter");
  if (rule.and_form) xml.open("And");
  if (rule.prefix_given) xml.element("Prefix", rule.filter.prefix);
  for (const auto& [key, value] : rule.filter.tags)
    xml.open("Tag").element("Key", key).element("Value", value).close();
  if (rule.filter.larger_than) xml.element("ObjectSizeGreaterThan", *rule.filter.larger_than);
  if (rule.filter.smaller_than) xml.element("ObjectSizeLessThan", *rule.filter.smaller_than);
  if (rule.and_form) xml.close();
  xml.close();
}

}  // namespace

Result<LifecycleRules> parse_lifecycle(std::string_view xml, Random* random) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "LifecycleConfiguration"));
  XmlFields fields(root);
  std::vector<const XmlElement*> elements = fields.all("Rule");
  RETURN_IF_ERROR(fields.finish());
  if (elements.empty() || elements.size() > store::kLifecycleRulesMax)
    return malformed_xml("a <LifecycleConfiguration> holds 1 to 1,000 <Rule>");
  LifecycleRules rules;
  std::set<std::string> ids;
  for (const XmlElement* element : elements) {
    ASSIGN_OR_RETURN(LifecycleRule rule, parse_rule(*element, random));
    if (!ids.insert(rule.id).second)
      return bad_argument("Rule ID must be unique. Found same ID for more than one rule");
    rules.push_back(std::move(rule));
  }
  return rules;
}

std::string write_lifecycle(const LifecycleRules& rules) {
  XmlWriter xml("LifecycleConfiguration");
  for (const LifecycleRule& rule : rules) {
    xml.open("Rule").element("ID", rule.id);
    write_filter(rule, xml);
    xml.element("Status", rule.enabled ? "Enabled" : "Disabled");
    if (rule.days || rule.date || rule.expired_marker) {
      xml.open("Expiration");
      if (rule.days) xml.element("Days", std::to_string(*rule.days));
      if (rule.date) xml.element("Date", http::format_iso_extended(*rule.date));
      if (rule.expired_marker) xml.element("ExpiredObjectDeleteMarker", true);
      xml.close();
    }
    if (rule.noncurrent_days) {
      xml.open("NoncurrentVersionExpiration")
          .element("NoncurrentDays", std::to_string(*rule.noncurrent_days));
      if (rule.newer_noncurrent > 0)
        xml.element("NewerNoncurrentVersions", std::to_string(rule.newer_noncurrent));
      xml.close();
    }
    if (rule.abort_days)
      xml.open("AbortIncompleteMultipartUpload")
          .element("DaysAfterInitiation", std::to_string(*rule.abort_days))
          .close();
    xml.close();
  }
  return xml.take();
}

std::string expiration_header(const LifecycleRules& rules, const store::LifecycleSubject& object) {
  store::Expiry expiry = store::expiry_of(rules, object, store::LifecycleDay{});
  if (expiry.rule == nullptr) return {};
  // The id is the client's text: percent-encoded, as S3 does, so that quotes and anything that is no header stay out.
  return "expiry-date=\"" + http::format_http_date(expiry.at_ms) + "\", rule-id=\"" +
         http::uri_encode(expiry.rule->id, http::Slash::keep) + "\"";
}

}  // namespace archipel::door::s3
