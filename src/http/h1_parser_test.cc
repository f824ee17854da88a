#include "http/h1_parser.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "http/h1_properties_test_util.h"
#include "support/source_dir.h"

namespace archipel::http {
namespace {

using testing::parse_head;
using Progress = RequestParser::Progress;

const Limits kLimits;

// The status that `head` is refused with; 0 = accepted, -1 = more is needed.
int status_of(std::string_view head, const Limits& limits = kLimits) {
  testing::check_request(head, limits, 1);
  auto out = parse_head(head, limits);
  if (out.progress == Progress::refused) return info(out.refusal).status;
  return out.progress == Progress::done ? 0 : -1;
}

RequestHead accepted(std::string_view head) {
  auto out = parse_head(head, kLimits);
  EXPECT_EQ(out.progress, Progress::done) << head << info(out.refusal).name;
  return out.head;
}

std::string with_header(std::string_view line) {
  return "PUT /b/k HTTP/1.1\r\nHost: h\r\n" + std::string(line) + "\r\n\r\n";
}

TEST(RequestParser, ReadsWhatAnSdkSends) {
  std::string head =
      "PUT /bucket/a%20b%2Fc?partNumber=1&uploadId=x HTTP/1.1\r\nHost: 127.0.0.1:9000\r\nX-Amz-Date: "
      "20260102T030405Z\r\n"
      "Content-Type:text/plain; a=b\t \r\nX-Empty:\r\nContent-Length: 00012\r\nExpect: 100-Continue\r\n\r\n";
  auto out = parse_head(head + "body", kLimits);
  ASSERT_EQ(out.progress, Progress::done);
  EXPECT_EQ(out.bytes, head.size());
  const Request& r = out.head.request;
  EXPECT_EQ(r.method, "PUT");
  EXPECT_EQ(r.target, "/bucket/a%20b%2Fc?partNumber=1&uploadId=x");
  EXPECT_EQ(r.path(), "/bucket/a%20b%2Fc");
  EXPECT_EQ(r.query(), "partNumber=1&uploadId=x");
  EXPECT_EQ(r.headers.get("x-amz-date"), "20260102T030405Z");
  EXPECT_EQ(r.headers.get("content-type"), "text/plain; a=b");
  ASSERT_NE(r.headers.find("x-empty"), nullptr);
  EXPECT_EQ(out.head.content_length, 12u);
  EXPECT_TRUE(out.head.expect_continue);
  EXPECT_TRUE(out.head.keep_alive);
}

TEST(RequestParser, ReadsChunkedAwsChunkedOfTheJavaScriptSdk) {
  RequestHead head = accepted(with_header(
      "Content-Encoding: aws-chunked\r\nTransfer-Encoding: chunked\r\nx-amz-decoded-content-length: 5"));
  EXPECT_TRUE(head.chunked);
  EXPECT_EQ(head.request.headers.get("content-encoding"), "aws-chunked");
}

TEST(RequestParser, KeepsRawBytesOfTargetsAndValues) {
  RequestHead head =
      accepted("GET /b/\xc3\xa9\xff{}|\"<>^`\\ HTTP/1.1\r\nHost: h\r\nX-Amz-Meta-A: \xc3\xa9 \xff\r\n\r\n");
  EXPECT_EQ(head.request.target, "/b/\xc3\xa9\xff{}|\"<>^`\\");
  EXPECT_EQ(head.request.headers.get("x-amz-meta-a"), "\xc3\xa9 \xff");
}

TEST(RequestParser, TurnsAbsoluteFormIntoOriginForm) {
  RequestHead head = accepted("GET HTTP://b.example:80/k?x HTTP/1.1\r\nHost: other\r\n\r\n");
  EXPECT_EQ(head.request.target, "/k?x");
  EXPECT_EQ(head.request.headers.get("host"), "b.example:80");
  EXPECT_EQ(head.request.headers.count("host"), 1u);
  EXPECT_EQ(accepted("GET http://b.example HTTP/1.1\r\nHost: h\r\n\r\n").request.target, "/");
  EXPECT_EQ(accepted("GET http://b.example?x HTTP/1.1\r\nHost: h\r\n\r\n").request.target, "/?x");
  EXPECT_EQ(accepted("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").request.target, "*");
}

TEST(RequestParser, PersistenceFollowsVersionAndConnection) {
  auto keep = [](std::string_view version, std::string_view connection) {
    return accepted("GET / " + std::string(version) +
                    "\r\nHost: h\r\nConnection: " + std::string(connection) + "\r\n\r\n")
        .keep_alive;
  };
  EXPECT_TRUE(keep("HTTP/1.1", "x"));
  EXPECT_FALSE(keep("HTTP/1.1", "x , Close"));
  EXPECT_FALSE(keep("HTTP/1.0", "x"));
  EXPECT_TRUE(keep("HTTP/1.0", "Keep-Alive"));
  EXPECT_FALSE(keep("HTTP/1.0", "keep-alive, close"));
}

TEST(RequestParser, ForgivesOneEmptyLineBeforeTheRequest) {
  EXPECT_EQ(status_of("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 0);
  EXPECT_EQ(status_of("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
}

TEST(RequestParser, NeedsTheWholeHead) {
  std::string head = with_header("A: b");
  for (size_t n = 0; n < head.size(); ++n) EXPECT_EQ(status_of(head.substr(0, n)), -1) << n;
}

TEST(RequestParser, RefusesBadRequestLines) {
  const std::pair<std::string_view, int> table[] = {
      {"GET /\r\n", 400},  // HTTP/0.9
      {"GET  / HTTP/1.1\r\n", 400},
      {"GET / HTTP/1.1 \r\n", 400},
      {" GET / HTTP/1.1\r\n", 400},
      {"GET /a b HTTP/1.1\r\n", 400},
      {"GET\t/ HTTP/1.1\r\n", 400},
      {"GET / HTTP/1.1\n", 400},
      {"GET / HTTP/1.1\r\r\n", 400},
      {"G(T / HTTP/1.1\r\n", 400},
      {"GET / http/1.1\r\n", 400},
      {"GET / HTTP/1.10\r\n", 400},
      {"GET / HTTP/11\r\n", 400},
      {"GET / HTTP/1.2\r\n", 505},
      {"GET / HTTP/2.0\r\n", 505},
      {"PRI * HTTP/2.0\r\n", 505},
      {"GET / HTTP/0.9\r\n", 505},
      {"GET k HTTP/1.1\r\n", 400},
      {"GET * HTTP/1.1\r\n", 400},
      {"CONNECT h:443 HTTP/1.1\r\n", 400},
      {"GET ftp://h/ HTTP/1.1\r\n", 400},
      {"GET http:///k HTTP/1.1\r\n", 400},
      {"GET http://user@h/k HTTP/1.1\r\n", 400},
      {"GET /a#b HTTP/1.1\r\n", 400},
      {"GET /a\x7f HTTP/1.1\r\n", 400},
      {"GET /a\rb HTTP/1.1\r\n", 400},
      {"\x16\x03\x01", 400},  // a TLS hello is refused at its first byte
      {"GETGETGETGETGETGETGETGETGETGETGETGET", 501},
  };
  for (auto [line, status] : table)
    EXPECT_EQ(status_of(std::string(line) + "Host: h\r\n\r\n"), status) << line;
  EXPECT_EQ(status_of(std::string("GET /a\0b HTTP/1.1\r\n", 19)), 400);
}

TEST(RequestParser, RefusesBadHeaders) {
  const std::pair<std::string_view, int> table[] = {
      {"A : b", 400},
      {"A\t: b", 400},
      {": b", 400},
      {"A", 400},
      {"A(: b", 400},
      {"\xc3\xa9: b", 400},
      {" A: b", 400},
      {"A: b\r\n c", 400},
      {"A: b\r\n\tc", 400},
      {"A: b\nB: c", 400},
      {"A: b\rB: c", 400},
      {"A: b\x01", 400},
      {"A: b\x7f", 400},
      {"Host: h", 400},  // a second one
      {"Content-Length: 5\r\nContent-Length: 5", 400},
      {"Content-Length: 5\r\nContent-Length: 6", 400},
      {"Content-Length: 5, 5", 400},
      {"Content-Length: +5", 400},
      {"Content-Length: -5", 400},
      {"Content-Length: 5 5", 400},
      {"Content-Length: 0x5", 400},
      {"Content-Length: 5.0", 400},
      {"Content-Length:", 400},
      {"Content-Length: 9223372036854775807", 0},
      {"Content-Length: 9223372036854775808", 413},
      {"Content-Length: 99999999999999999999999999999", 413},
      {"Content-Length: 99999999999999999999999999999x", 400},
      {"Transfer-Encoding: chunked", 0},
      {"Transfer-Encoding: Chunked", 0},
      {"Transfer-Encoding: chunked\r\nContent-Length: 5", 400},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400},
      {"Transfer-Encoding: gzip, chunked", 501},
      {"Transfer-Encoding: chunked, chunked", 501},
      {"Transfer-Encoding: identity", 501},
      {"Transfer-Encoding: \"chunked\"", 501},
      {"Transfer-Encoding: xchunked", 501},
      {"Transfer-Encoding:", 501},
      {"Transfer-Encoding : chunked", 400},
      {"Transfer-Encoding: \x0b"
       "chunked",
       400},
      {"Expect: 100-continue", 0},
      {"Expect: 200-ok", 0},
      {"Expect:", 0},
  };
  for (auto [line, status] : table) EXPECT_EQ(status_of(with_header(line)), status) << line;
  EXPECT_EQ(status_of(with_header(std::string_view("A: b\0c", 6))), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\n"), 400);
  EXPECT_EQ(status_of("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

TEST(RequestParser, WantsExactlyOneGoodHost) {
  auto host = [](std::string_view value) {
    return status_of("GET / HTTP/1.1\r\nHost: " + std::string(value) + "\r\n\r\n");
  };
  for (const char* good :
       {"h", "127.0.0.1:9000", "[::1]", "[::1]:9000", "b.s3.localhost:9000", "h:", "B_ucket.h"})
    EXPECT_EQ(host(good), 0) << good;
  for (const char* bad :
       {"", "a b", "a,b", "a/b", "u@h", "h:80:80", "h:8o", ":80", "[::1", "[::1]x", "::1", "h?x", "h\\x"})
    EXPECT_EQ(host(bad), 400) << bad;
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 0);
}

TEST(RequestParser, HoldsItsLimitsExactly) {
  Limits limits;
  limits.request_line_bytes_max = 64;
  limits.header_bytes_max = 100;
  limits.headers_max = 3;
  auto line = [](size_t bytes) { return "GET /" + std::string(bytes - 16, 'a') + " HTTP/1.1\r\n"; };
  EXPECT_EQ(status_of(line(64) + "Host: h\r\n\r\n", limits), 0);
  EXPECT_EQ(status_of(line(65) + "Host: h\r\n\r\n", limits), 414);
  EXPECT_EQ(status_of(line(65).substr(0, 64), limits), 414);
  auto headers = [&](size_t bytes) {  // 9 for Host, 2 for the end, 5 around the value
    return line(20) + "Host: h\r\nA: " + std::string(bytes - 16, 'v') + "\r\n\r\n";
  };
  EXPECT_EQ(status_of(headers(100), limits), 0);
  EXPECT_EQ(status_of(headers(101), limits), 431);
  EXPECT_EQ(status_of(line(20) + std::string(1000, 'x'), limits), 431);
  EXPECT_EQ(status_of(line(20) + "Host: h\r\nA:\r\nB:\r\n\r\n", limits), 0);
  EXPECT_EQ(status_of(line(20) + "Host: h\r\nA:\r\nB:\r\nC:\r\n\r\n", limits), 431);
}

// --- against any input --------------------------------------------------------------------------------------------------

rc::Gen<std::string> text_of(std::string alphabet) {
  return rc::gen::container<std::string>(rc::gen::elementOf(std::move(alphabet)));
}

rc::Gen<std::string> any_value() {
  return rc::gen::map(text_of("abc XYZ,;=\t\"\xc3\xa9\xff:/"), [](std::string s) {
    while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.erase(0, 1);
    while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.pop_back();
    return s;
  });
}

rc::Gen<Request> any_request() {
  return rc::gen::exec([] {
    Request r;
    r.method = *rc::gen::element<std::string>("GET", "PUT", "HEAD", "DELETE", "POST", "x-!#");
    r.target = "/" + *text_of("ab%2F?=&+~\xc3\xa9/");
    r.headers.add("host", *rc::gen::element<std::string>("h", "h:9000", "[::1]:9"));
    auto more = *rc::gen::container<std::vector<std::string>>(any_value());
    size_t n = std::min<size_t>(more.size(), 50);
    for (size_t i = 0; i < n; ++i) r.headers.add("x-" + std::to_string(i), more[i]);
    if (*rc::gen::arbitrary<bool>())
      r.headers.add("content-length", std::to_string(*rc::gen::inRange(0, 1 << 30)));
    else if (*rc::gen::arbitrary<bool>())
      r.headers.add("transfer-encoding", "chunked");
    return r;
  });
}

RC_GTEST_PROP(RequestParserProperty, ReadsBackWhatWasWritten, (uint64_t seed)) {
  Request r = *any_request();
  std::string head = testing::write_head(r);
  testing::check_request(head + "rest", kLimits, seed);
  auto out = parse_head(head, kLimits, 20, seed);
  RC_ASSERT(out.progress == Progress::done);
  RC_ASSERT(out.bytes == head.size());
  RC_ASSERT(out.head.request.method == r.method);
  RC_ASSERT(out.head.request.target == r.target);
  RC_ASSERT(testing::same_fields(out.head.request.headers, r.headers));
}

// A second reading of the RFC by other means (whole text, regular expressions): both must agree on what is acceptable.
bool reference_accepts(const std::string& head) {
  static const std::regex request_line("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} /[!\"$-~]* HTTP/1\\.[01]");
  static const std::regex field("([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ \t!-~]*)");
  static const std::regex host(
      "[-._~%!$&'()*+;=0-9A-Za-z]+(:[0-9]*)?|\\[[-._~%!$&'()*+;=:0-9A-Za-z]+\\](:[0-9]*)?");
  if (!head.ends_with("\r\n\r\n") || head.find("\r\n\r\n") != head.size() - 4) return false;
  std::vector<std::string> lines;
  for (size_t at = 0; at < head.size() - 2;) {
    size_t end = head.find("\r\n", at);
    lines.push_back(head.substr(at, end - at));
    at = end + 2;
  }
  if (lines.empty() || !std::regex_match(lines[0], request_line)) return false;
  bool http_1_0 = lines[0].back() == '0';
  std::multimap<std::string, std::string> fields;
  for (size_t i = 1; i < lines.size(); ++i) {
    std::smatch m;
    if (!std::regex_match(lines[i], m, field)) return false;
    std::string name = m[1], value = m[2];
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.pop_back();
    fields.emplace(name, value);
  }
  size_t hosts = fields.count("host"), lengths = fields.count("content-length"),
         codings = fields.count("transfer-encoding");
  if (hosts > 1 || (hosts == 0 && !http_1_0) || lengths + codings > 1 || (codings > 0 && http_1_0))
    return false;
  for (auto& [name, value] : fields) {
    std::string lower = value;
    for (char& c : lower) c = static_cast<char>(std::tolower(c));
    if (name == "host" && !std::regex_match(value, host)) return false;
    if (name == "content-length" && !std::regex_match(value, std::regex("[0-9]{1,18}"))) return false;
    if (name == "transfer-encoding" && lower != "chunked") return false;
  }
  return true;
}

TEST(RequestParserProperty, AgreesWithASecondReadingOfTheRfcOnMutants) {
  const std::string seeds[] = {
      "GET /a?b HTTP/1.1\r\nHost: h:80\r\nContent-Length: 12\r\n\r\n",
      "PUT /a HTTP/1.1\r\nHost: [::1]:9\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
      "GET / HTTP/1.0\r\nA: b\r\nHost: h\r\n\r\n",
  };
  using namespace std::string_literals;
  const std::string alphabet = "\r\n\t :/\0\x01\x7f[]@#,0129aZ-+*?%"s;
  testing::Splits random(2026);
  int accepted_count = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string head = seeds[round % 3];
    for (size_t n = random.next(2); n > 0; --n) {
      size_t at = random.next(head.size()) - 1;
      char c = alphabet[random.next(alphabet.size()) - 1];
      switch (random.next(3)) {
        case 1:
          head[at] = c;
          break;
        case 2:
          head.insert(at, 1, c);
          break;
        default:
          head.erase(at, 1);
      }
    }
    // The reference knows neither the forgiven empty line, nor absolute forms, nor what follows the head.
    if (head.starts_with("\r\n") || head.find("\r\n\r\n") != head.size() - 4) continue;
    testing::check_request(head, kLimits, static_cast<uint64_t>(round));
    auto out = parse_head(head, kLimits);
    bool accepts = out.progress == Progress::done;
    EXPECT_EQ(accepts, reference_accepts(head)) << ::testing::PrintToString(head);
    accepted_count += accepts;
  }
  EXPECT_GT(accepted_count, 1000);  // otherwise the mutants are too wild to tell anything
}

RC_GTEST_PROP(RequestParserProperty, AnySplitGivesTheSameVerdictOnGarbage, (uint64_t seed)) {
  Limits small;
  small.request_line_bytes_max = 60;
  small.header_bytes_max = 80;
  small.headers_max = 4;
  std::string head = testing::write_head(*any_request());
  auto cuts = *rc::gen::container<std::vector<std::pair<size_t, char>>>(rc::gen::pair(
      rc::gen::inRange<size_t>(0, head.size()), rc::gen::elementOf(std::string("\r\n \t:\x01\xff/AH"))));
  for (auto [at, c] : cuts) head[at] = c;
  testing::check_request(head, small, seed);
  testing::check_request(head, kLimits, seed);
}

std::vector<std::string> corpus(const std::string& name) {
  std::vector<std::string> all;
  auto root = archipel::testing::source_dir() / "fuzz/corpus" / name;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    std::ifstream in(entry.path(), std::ios::binary);
    all.push_back((std::stringstream() << in.rdbuf()).str());
  }
  return all;
}

TEST(FuzzCorpus, RequestSeedsHoldTheProperties) {
  auto seeds = corpus("h1_request");
  EXPECT_GE(seeds.size(), 10u);
  for (const auto& seed : seeds) testing::check_request(seed, kLimits, seed.size());
}

TEST(FuzzCorpus, ChunkedSeedsHoldTheProperties) {
  auto seeds = corpus("h1_chunked");
  EXPECT_GE(seeds.size(), 10u);
  for (const auto& seed : seeds) testing::check_chunked(seed, kLimits, seed.size());
}

// Eight bytes are looked at together: against a look at each.
TEST(IsFieldValue, MatchesALookAtEveryByte) {
  EXPECT_TRUE(rc::check([] {
    const auto plain = *rc::gen::container<std::string>(rc::gen::inRange<char>(0x20, 0x7e));
    std::string text = plain;
    if (!text.empty() && *rc::gen::arbitrary<bool>())
      text[*rc::gen::inRange<size_t>(0, text.size())] = *rc::gen::arbitrary<char>();
    bool good = true;
    for (char c : text) {
      const auto u = static_cast<uint8_t>(c);
      good = good && (u == '\t' || (u >= 0x20 && u != 0x7f));
    }
    RC_ASSERT(is_field_value(text) == good);
  }));
  for (size_t size = 1; size < 40; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text(size, 'x');
        text[at] = static_cast<char>(byte);
        const bool good = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        ASSERT_EQ(is_field_value(text), good) << size << " " << at << " " << byte;
      }
    }
  }
}

}  // namespace
}  // namespace archipel::http
