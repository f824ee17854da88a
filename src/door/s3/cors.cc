#include "door/s3/cors.h"

#include <algorithm>

#include "door/s3/errors.h"
#include "door/s3/xml_fields.h"
#include "http/h1_parser.h"

namespace archipel::door::s3 {
namespace {

constexpr std::string_view kMethods[] = {"GET", "PUT", "HEAD", "POST", "DELETE"};
constexpr size_t kIdBytesMax = 255;

bool known_method(std::string_view method) {
  return std::ranges::find(kMethods, method) != std::end(kMethods);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

// Does `text` match `pattern`, in which the one '*' stands for anything?
bool matches(std::string_view pattern, std::string_view text) {
  size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  std::string_view head = pattern.substr(0, star), tail = pattern.substr(star + 1);
  return text.size() >= head.size() + tail.size() && text.starts_with(head) && text.ends_with(tail);
}

bool any_matches(const std::vector<std::string>& patterns, std::string_view text) {
  return std::ranges::any_of(patterns, [&](const std::string& p) { return matches(p, text); });
}

std::string join(const std::vector<std::string>& values) {
  std::string out;
  for (const std::string& value : values) out += (out.empty() ? "" : ", ") + value;
  return out;
}

Result<std::vector<std::string>> texts(XmlFields& fields, std::string_view name) {
  std::vector<std::string> out;
  for (const XmlElement* element : fields.all(name)) {
    std::string_view text = element->trimmed();
    if (!element->children.empty() || text.empty())
      return malformed_xml("in <CORSRule>, <" + std::string(name) + "> must hold text");
    // What stands here goes into headers.
    bool plain = std::ranges::all_of(text, [](char c) { return c >= 0x20 && c != 0x7f; });
    if (!plain) return malformed_xml("in <CORSRule>, <" + std::string(name) + "> holds a control character");
    out.emplace_back(text);
  }
  return out;
}

Result<void> check_wildcards(const std::vector<std::string>& values, std::string_view name) {
  for (const std::string& value : values)
    if (std::ranges::count(value, '*') > 1)
      return refuse("InvalidRequest", std::string(name) + " \"" + value.substr(0, 128) +
                                          "\" can not have more than one wildcard.");
  return {};
}

Result<CorsRule> parse_rule(const XmlElement& element) {
  XmlFields fields(element);
  CorsRule rule;
  rule.id = fields.text("ID").value_or("");
  ASSIGN_OR_RETURN(rule.origins, texts(fields, "AllowedOrigin"));
  ASSIGN_OR_RETURN(rule.methods, texts(fields, "AllowedMethod"));
  ASSIGN_OR_RETURN(rule.headers, texts(fields, "AllowedHeader"));
  ASSIGN_OR_RETURN(rule.expose, texts(fields, "ExposeHeader"));
  rule.max_age_seconds = fields.integer("MaxAgeSeconds");
  RETURN_IF_ERROR(fields.finish());
  if (rule.origins.empty() || rule.methods.empty())
    return malformed_xml("a <CORSRule> needs <AllowedOrigin> and <AllowedMethod>");
  if (rule.id.size() > kIdBytesMax)
    return refuse("InvalidArgument", "ID length should not exceed allowed limit of 255");
  for (const std::string& method : rule.methods)
    if (!known_method(method))
      return refuse("InvalidRequest", "Found unsupported HTTP method in CORS config. Unsupported method is " +
                                          method.substr(0, 32));
  RETURN_IF_ERROR(check_wildcards(rule.origins, "AllowedOrigin"));
  RETURN_IF_ERROR(check_wildcards(rule.headers, "AllowedHeader"));
  for (const std::string& header : rule.expose)
    if (header.find('*') != std::string::npos)
      return refuse("InvalidRequest", "ExposeHeader \"" + header.substr(0, 128) +
                                          "\" contains wildcard. We currently do not support wildcard for "
                                          "ExposeHeader.");
  if (rule.max_age_seconds && (*rule.max_age_seconds < 0 || *rule.max_age_seconds > kCorsMaxAgeSecondsMax))
    return malformed_xml("<MaxAgeSeconds> must be from 0 to 2147483647");
  return rule;
}

}  // namespace

Result<CorsRules> parse_cors(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "CORSConfiguration"));
  XmlFields fields(root);
  std::vector<const XmlElement*> elements = fields.all("CORSRule");
  RETURN_IF_ERROR(fields.finish());
  if (elements.empty() || elements.size() > kCorsRulesMax)
    return malformed_xml("a <CORSConfiguration> holds 1 to 100 <CORSRule>");
  CorsRules rules;
  for (const XmlElement* element : elements) {
    ASSIGN_OR_RETURN(CorsRule rule, parse_rule(*element));
    rules.push_back(std::move(rule));
  }
  return rules;
}

std::string write_cors(const CorsRules& rules) {
  XmlWriter xml("CORSConfiguration");
  for (const CorsRule& rule : rules) {
    xml.open("CORSRule");
    if (!rule.id.empty()) xml.element("ID", rule.id);
    for (const std::string& value : rule.headers) xml.element("AllowedHeader", value);
    for (const std::string& value : rule.methods) xml.element("AllowedMethod", value);
    for (const std::string& value : rule.origins) xml.element("AllowedOrigin", value);
    for (const std::string& value : rule.expose) xml.element("ExposeHeader", value);
    if (rule.max_age_seconds) xml.element("MaxAgeSeconds", std::to_string(*rule.max_age_seconds));
    xml.close();
  }
  return xml.take();
}

std::optional<CorsQuestion> read_cors_question(const http::Request& request) {
  const std::string* origin = request.headers.find("origin");
  if (origin == nullptr || origin->empty()) return std::nullopt;
  CorsQuestion out;
  out.origin = *origin;
  const std::string* method = request.headers.find("access-control-request-method");
  out.method = method == nullptr ? request.method : *method;
  if (request.method != "OPTIONS") return out;
  std::string_view rest = request.headers.get("access-control-request-headers");
  while (!rest.empty() && out.headers.size() <= kCorsRequestHeadersMax) {
    size_t comma = rest.find(',');
    std::string_view name = http::trim_blanks(rest.substr(0, comma));
    if (!name.empty()) out.headers.push_back(lower(name));
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  }
  return out;
}

static bool allows(const CorsRule& rule, const CorsQuestion& question) {
  if (question.headers.size() > kCorsRequestHeadersMax) return false;
  if (!any_matches(rule.origins, question.origin)) return false;
  if (std::ranges::find(rule.methods, question.method) == rule.methods.end()) return false;
  return std::ranges::all_of(question.headers, [&](const std::string& header) {
    return std::ranges::any_of(rule.headers,
                               [&](const std::string& allowed) { return matches(lower(allowed), header); });
  });
}

const CorsRule* find_cors_rule(const CorsRules& rules, const CorsQuestion& question) {
  for (const CorsRule& rule : rules)
    if (allows(rule, question)) return &rule;
  return nullptr;
}

http::Headers cors_headers(const CorsRule& rule, const CorsQuestion& question, bool preflight) {
  http::Headers out;
  // Credentials go with a named origin only (Fetch standard): "*" says that anybody may read, and nobody as somebody.
  bool anybody = std::ranges::find(rule.origins, "*") != rule.origins.end();
  out.add("access-control-allow-origin", anybody ? "*" : question.origin);
  out.add("access-control-allow-methods", join(rule.methods));
  if (preflight && !question.headers.empty()) out.add("access-control-allow-headers", join(question.headers));
  if (!rule.expose.empty()) out.add("access-control-expose-headers", join(rule.expose));
  if (rule.max_age_seconds) out.add("access-control-max-age", std::to_string(*rule.max_age_seconds));
  if (!anybody) out.add("access-control-allow-credentials", "true");
  out.add("vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
  return out;
}

}  // namespace archipel::door::s3
