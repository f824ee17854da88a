// CORS: which scripts of other origins browsers let read a bucket's answers; the bucket's rules, and what an answer says of them.
//
// Pure functions over parsed rules. Source: the S3 user guide, "Using cross-origin resource sharing", and the Fetch standard's CORS
// protocol. The first rule that fits decides, as in S3.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace archipel::door::s3 {

inline constexpr size_t kCorsRulesMax = 100;                // S3 limit
inline constexpr size_t kCorsDocumentBytesMax = 64u << 10;  // S3 limit
inline constexpr size_t kCorsRequestHeadersMax = 256;       // names in one Access-Control-Request-Headers
inline constexpr int64_t kCorsMaxAgeSecondsMax = INT32_MAX;

struct CorsRule {
  std::string id;
  std::vector<std::string> origins, methods, headers, expose;  // origins and headers: at most one '*' each
  std::optional<int64_t> max_age_seconds;
};
using CorsRules = std::vector<CorsRule>;

// <CORSConfiguration>. Errors: MalformedXML, InvalidRequest (an unsupported method, a second wildcard).
Result<CorsRules> parse_cors(std::string_view xml);
std::string write_cors(const CorsRules& rules);

// A request of a script, as its headers tell.
struct CorsQuestion {
  std::string origin, method;
  std::vector<std::string> headers;  // lower-case; only of preflights
};
// Absent if no Origin is there. An Access-Control-Request-Method counts before the request's own.
std::optional<CorsQuestion> read_cors_question(const http::Request& request);

// The rule that allows it, or nullptr.
const CorsRule* find_cors_rule(const CorsRules& rules, const CorsQuestion& question);
// What an answer says when `rule` allowed it. `preflight`: the headers that were asked for are listed too.
http::Headers cors_headers(const CorsRule& rule, const CorsQuestion& question, bool preflight);

}  // namespace archipel::door::s3
