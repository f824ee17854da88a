#include "door/s3/cors.h"

#include <gtest/gtest.h>

namespace archipel::door::s3 {
namespace {

template <class T>
std::string code_of(const Result<T>& r) {
  return r ? "ok" : r.error().detail;
}

std::string document(const std::string& rule) {
  return "<CORSConfiguration><CORSRule>" + rule + "</CORSRule></CORSConfiguration>";
}

const std::string kGet = "<AllowedMethod>GET</AllowedMethod>", kAny = "<AllowedOrigin>*</AllowedOrigin>";

TEST(CorsDocument, HoldsS3sRules) {
  auto code = [](const std::string& rule) { return code_of(parse_cors(document(rule))); };
  EXPECT_EQ(code(kGet + kAny), "ok");
  EXPECT_EQ(code(kGet), "MalformedXML");
  EXPECT_EQ(code(kAny), "MalformedXML");
  EXPECT_EQ(code("<AllowedMethod>PATCH</AllowedMethod>" + kAny), "InvalidRequest");
  EXPECT_EQ(code(kGet + "<AllowedOrigin>*.a.*</AllowedOrigin>"), "InvalidRequest");
  EXPECT_EQ(code(kGet + kAny + "<AllowedHeader>a*b*</AllowedHeader>"), "InvalidRequest");
  EXPECT_EQ(code(kGet + kAny + "<ExposeHeader>x-*</ExposeHeader>"), "InvalidRequest");
  EXPECT_EQ(code(kGet + kAny + "<ExposeHeader>a&#10;b</ExposeHeader>"), "MalformedXML");
  EXPECT_EQ(code(kGet + kAny + "<MaxAgeSeconds>-1</MaxAgeSeconds>"), "MalformedXML");
  EXPECT_EQ(code(kGet + kAny + "<Other/>"), "MalformedXML");
  EXPECT_EQ(code_of(parse_cors("<CORSConfiguration/>")), "MalformedXML");
  std::string many;
  for (size_t i = 0; i <= kCorsRulesMax; ++i) many += "<CORSRule>" + kGet + kAny + "</CORSRule>";
  EXPECT_EQ(code_of(parse_cors("<CORSConfiguration>" + many + "</CORSConfiguration>")), "MalformedXML");
}

http::Request request(std::string method, std::vector<std::pair<std::string, std::string>> headers) {
  http::Request out;
  out.method = std::move(method);
  for (auto& [n, v] : headers) out.headers.add(n, v);
  return out;
}

// Allow-Origin of the answer; "-" if no rule fits.
std::string answer(const CorsRules& rules, const http::Request& r, bool preflight = false) {
  auto question = read_cors_question(r);
  if (!question) return "no question";
  const CorsRule* rule = find_cors_rule(rules, *question);
  if (rule == nullptr) return "-";
  return std::string(cors_headers(*rule, *question, preflight).get("access-control-allow-origin"));
}

TEST(Cors, OriginsMatchWithOneWildcard) {
  auto rules = parse_cors(
      "<CORSConfiguration><CORSRule>" + kGet + "<AllowedOrigin>*suffix</AllowedOrigin></CORSRule><CORSRule>" +
      kGet + "<AllowedOrigin>start*end</AllowedOrigin></CORSRule><CORSRule>" + kGet +
      "<AllowedOrigin>prefix*</AllowedOrigin></CORSRule><CORSRule><AllowedMethod>PUT</AllowedMethod>"
      "<AllowedOrigin>*.put</AllowedOrigin></CORSRule></CORSConfiguration>");
  ASSERT_TRUE(rules.has_value());
  for (const std::string& good : {"foo.suffix", "suffix", "startend", "start1end", "prefix", "prefix.suffix"})
    EXPECT_EQ(answer(*rules, request("GET", {{"origin", good}})), good);
  for (const std::string& bad :
       {"foo.bar", "foo.suffix.get", "0start12end", "bla.prefix", "foo.put", "staend"})
    EXPECT_EQ(answer(*rules, request("GET", {{"origin", bad}})), "-") << bad;
  EXPECT_EQ(answer(*rules, request("PUT", {{"origin", "foo.put"}})), "foo.put");
  EXPECT_EQ(answer(*rules, request("GET", {})), "no question");
  EXPECT_EQ(
      answer(*rules, request("PUT", {{"origin", "foo.suffix"}, {"access-control-request-method", "GET"}})),
      "foo.suffix");
}

TEST(Cors, PreflightsMustBeAllowedEveryHeader) {
  auto rules = parse_cors(document(kGet + kAny +
                                   "<AllowedHeader>x-amz-*</AllowedHeader><AllowedHeader>Range</"
                                   "AllowedHeader>"));
  ASSERT_TRUE(rules.has_value());
  auto ask = [&](const std::string& headers) {
    return answer(*rules,
                  request("OPTIONS", {{"origin", "o"},
                                      {"access-control-request-method", "GET"},
                                      {"access-control-request-headers", headers}}),
                  true);
  };
  EXPECT_EQ(ask(""), "*");
  EXPECT_EQ(ask("X-Amz-Meta-A, range"), "*");
  EXPECT_EQ(ask("x-amz-meta-a, authorization"), "-");
  std::string flood;
  for (size_t i = 0; i < kCorsRequestHeadersMax + 1; ++i) flood += "range,";
  EXPECT_EQ(ask(flood), "-");
}

TEST(Cors, AnswersSayWhatTheRuleAllows) {
  auto rules =
      parse_cors(document(kGet + "<AllowedMethod>PUT</AllowedMethod><AllowedOrigin>http://a</AllowedOrigin>"
                                 "<AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>"
                                 "<ExposeHeader>x-a</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds>"));
  ASSERT_TRUE(rules.has_value());
  auto question = read_cors_question(request("OPTIONS", {{"origin", "http://a"},
                                                         {"access-control-request-method", "PUT"},
                                                         {"access-control-request-headers", "X-B,c"}}));
  http::Headers headers = cors_headers(rules->at(0), *question, true);
  EXPECT_EQ(headers.get("access-control-allow-origin"), "http://a");
  EXPECT_EQ(headers.get("access-control-allow-methods"), "GET, PUT");
  EXPECT_EQ(headers.get("access-control-allow-headers"), "x-b, c");
  EXPECT_EQ(headers.get("access-control-expose-headers"), "ETag, x-a");
  EXPECT_EQ(headers.get("access-control-max-age"), "3000");
  EXPECT_EQ(headers.get("access-control-allow-credentials"), "true");
  EXPECT_EQ(headers.get("vary"), "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
}

TEST(Cors, AnybodyComesWithoutCredentials) {
  auto rules = parse_cors(document(kGet + kAny));
  auto question = read_cors_question(request("GET", {{"origin", "http://a"}}));
  http::Headers headers = cors_headers(rules->at(0), *question, false);
  EXPECT_EQ(headers.get("access-control-allow-origin"), "*");
  EXPECT_EQ(headers.find("access-control-allow-credentials"), nullptr);
}

TEST(CorsDocument, SurvivesWriting) {
  std::string rule = "<ID>i</ID><AllowedHeader>h*</AllowedHeader>" + kGet + kAny +
                     "<ExposeHeader>e</ExposeHeader><MaxAgeSeconds>0</MaxAgeSeconds>";
  auto rules = parse_cors(document(rule));
  ASSERT_TRUE(rules.has_value());
  std::string written = write_cors(*rules);
  EXPECT_NE(written.find(rule), std::string::npos) << written;
  EXPECT_EQ(write_cors(*parse_cors(written)), written);
}

}  // namespace
}  // namespace archipel::door::s3
