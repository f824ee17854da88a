// <WebsiteConfiguration>: kept here, served by whoever hosts the site.
#include "door/s3/bucket_documents.h"
#include "door/s3/errors.h"
#include "door/s3/xml_fields.h"

namespace archipel::door::s3 {
namespace {

Result<void> check_protocol(std::string_view protocol) {
  if (protocol.empty() || protocol == "http" || protocol == "https") return {};
  return refuse("InvalidRequest",
                "Invalid protocol, protocol can be http or https. If not defined the protocol "
                "will be selected automatically.");
}

bool three_digits(std::string_view code, char from, char to) {
  return code.size() == 3 && code[0] >= from && code[0] <= to && code[1] >= '0' && code[1] <= '9' &&
         code[2] >= '0' && code[2] <= '9';
}

Result<void> read_condition(const XmlElement& element, Website::Routing& rule) {
  XmlFields fields(element);
  rule.if_prefix = fields.text("KeyPrefixEquals").value_or("");
  rule.if_error = fields.text("HttpErrorCodeReturnedEquals").value_or("");
  RETURN_IF_ERROR(fields.finish());
  if (rule.if_prefix.empty() && rule.if_error.empty())
    return refuse("InvalidRequest",
                  "Condition cannot be empty. To redirect all requests without a condition, "
                  "the condition element shouldn't be present.");
  if (!rule.if_error.empty() && !three_digits(rule.if_error, '4', '5'))
    return refuse("InvalidRequest", "The provided HTTP error code (" + rule.if_error.substr(0, 16) +
                                        ") is not valid. Valid codes are 4XX or 5XX.");
  return {};
}

Result<void> read_redirect(const XmlElement& element, Website::Routing& rule) {
  XmlFields fields(element);
  rule.host = fields.text("HostName").value_or("");
  rule.protocol = fields.text("Protocol").value_or("");
  rule.code = fields.text("HttpRedirectCode").value_or("");
  std::optional<std::string> prefix = fields.text("ReplaceKeyPrefixWith"),
                             key = fields.text("ReplaceKeyWith");
  RETURN_IF_ERROR(fields.finish());
  rule.has_replace_prefix = prefix.has_value();
  rule.replace_prefix = prefix.value_or("");
  rule.replace_key = key.value_or("");
  bool empty = rule.host.empty() && rule.protocol.empty() && rule.code.empty() && rule.replace_key.empty();
  if (empty && !prefix) return malformed_xml("a <Redirect> says where to");
  if (prefix && key)
    return refuse("InvalidRequest", "You can only define ReplaceKeyPrefix or ReplaceKey but not both.");
  RETURN_IF_ERROR(check_protocol(rule.protocol));
  if (!rule.code.empty() && !three_digits(rule.code, '3', '3'))
    return refuse("InvalidRequest", "The provided HTTP redirect code (" + rule.code.substr(0, 16) +
                                        ") is not valid. Valid codes are 3XX except 300.");
  if (rule.code == "300")
    return refuse("InvalidRequest",
                  "The provided HTTP redirect code (300) is not valid. Valid codes are 3XX except 300.");
  return {};
}

Result<std::vector<Website::Routing>> read_rules(const XmlElement& element) {
  XmlFields fields(element);
  std::vector<const XmlElement*> rules = fields.all("RoutingRule");
  RETURN_IF_ERROR(fields.finish());
  if (rules.empty()) return malformed_xml("<RoutingRules> holds at least one <RoutingRule>");
  if (rules.size() > kRoutingRulesMax)
    return refuse("InvalidRequest", "A website configuration has at most 50 routing rules.");
  std::vector<Website::Routing> out;
  for (const XmlElement* rule : rules) {
    XmlFields in_rule(*rule);
    const XmlElement* condition = in_rule.one("Condition");
    const XmlElement* redirect = in_rule.need("Redirect");
    RETURN_IF_ERROR(in_rule.finish());
    Website::Routing routing;
    if (condition != nullptr) RETURN_IF_ERROR(read_condition(*condition, routing));
    RETURN_IF_ERROR(read_redirect(*redirect, routing));
    out.push_back(std::move(routing));
  }
  return out;
}

Result<Website::RedirectAll> read_redirect_all(const XmlElement& element) {
  XmlFields fields(element);
  Website::RedirectAll out{fields.need_text("HostName"), fields.text("Protocol").value_or("")};
  RETURN_IF_ERROR(fields.finish());
  if (out.host.empty()) return malformed_xml("in <RedirectAllRequestsTo>, <HostName> is empty");
  RETURN_IF_ERROR(check_protocol(out.protocol));
  return out;
}

Result<std::string> read_only_text(const XmlElement& element, std::string_view name) {
  XmlFields fields(element);
  std::string out = fields.need_text(name);
  RETURN_IF_ERROR(fields.finish());
  return out;
}

}  // namespace

Result<Website> parse_website(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "WebsiteConfiguration"));
  XmlFields fields(root);
  const XmlElement* all = fields.one("RedirectAllRequestsTo");
  const XmlElement* index = fields.one("IndexDocument");
  const XmlElement* error = fields.one("ErrorDocument");
  const XmlElement* rules = fields.one("RoutingRules");
  RETURN_IF_ERROR(fields.finish());
  Website out;
  if (all != nullptr) {
    if (index != nullptr || error != nullptr || rules != nullptr)
      return refuse("InvalidArgument",
                    "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.");
    ASSIGN_OR_RETURN(out.redirect_all, read_redirect_all(*all));
    return out;
  }
  if (index == nullptr)
    return refuse("InvalidArgument",
                  "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty");
  ASSIGN_OR_RETURN(out.index, read_only_text(*index, "Suffix"));
  if (out.index.empty() || out.index.find('/') != std::string::npos)
    return refuse("InvalidArgument", "The IndexDocument Suffix is not well formed");
  if (error != nullptr) {
    ASSIGN_OR_RETURN(out.error, read_only_text(*error, "Key"));
    if (out.error.empty()) return refuse("InvalidArgument", "The ErrorDocument Key must not be empty");
  }
  if (rules != nullptr) {
    ASSIGN_OR_RETURN(out.rules, read_rules(*rules));
  }
  return out;
}

static void write_if(XmlWriter& xml, std::string_view name, const std::string& value) {
  if (!value.empty()) xml.element(name, value);
}

std::string write_website(const Website& website) {
  XmlWriter xml("WebsiteConfiguration");
  if (website.redirect_all) {
    xml.open("RedirectAllRequestsTo").element("HostName", website.redirect_all->host);
    write_if(xml, "Protocol", website.redirect_all->protocol);
    return xml.take();
  }
  xml.open("IndexDocument").element("Suffix", website.index).close();
  if (!website.error.empty()) xml.open("ErrorDocument").element("Key", website.error).close();
  if (website.rules.empty()) return xml.take();
  xml.open("RoutingRules");
  for (const Website::Routing& rule : website.rules) {
    xml.open("RoutingRule");
    if (!rule.if_prefix.empty() || !rule.if_error.empty()) {
      xml.open("Condition");
      write_if(xml, "HttpErrorCodeReturnedEquals", rule.if_error);
      write_if(xml, "KeyPrefixEquals", rule.if_prefix);
      xml.close();
    }
    xml.open("Redirect");
    write_if(xml, "HostName", rule.host);
    write_if(xml, "HttpRedirectCode", rule.code);
    write_if(xml, "Protocol", rule.protocol);
    if (rule.has_replace_prefix) xml.element("ReplaceKeyPrefixWith", rule.replace_prefix);
    write_if(xml, "ReplaceKeyWith", rule.replace_key);
    xml.close().close();
  }
  return xml.take();
}

}  // namespace archipel::door::s3
