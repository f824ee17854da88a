// What must hold for any bytes whatever; shared by the unit tests and the fuzzers. A violation is a failed CHECK. Tests only.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "http/h1_body.h"
#include "http/h1_parser.h"
#include "http/h1_response.h"

namespace archipel::http::testing {

// A tiny generator for split points: the inputs are given, only the splits vary.
class Splits {
 public:
  explicit Splits(uint64_t seed) : state_(seed * 2 + 1) {}
  size_t next(size_t max) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return 1 + static_cast<size_t>(state_ >> 33) % max;
  }

 private:
  uint64_t state_;
};

struct HeadOutcome {
  RequestParser::Progress progress = RequestParser::Progress::need_more;
  Refusal refusal{};
  RequestHead head;
  size_t bytes = 0;
};

// Parses `input` as it arrives in steps of at most `step_max` bytes (0 = all at once).
inline HeadOutcome parse_head(std::string_view input, const Limits& limits, size_t step_max = 0,
                              uint64_t seed = 0) {
  RequestParser parser(limits);
  Splits splits(seed);
  HeadOutcome out;
  for (size_t have = 0; out.progress == RequestParser::Progress::need_more && have < input.size();) {
    have = step_max == 0 ? input.size() : std::min(input.size(), have + splits.next(step_max));
    out.progress = parser.parse(input.substr(0, have));
  }
  if (out.progress == RequestParser::Progress::refused) out.refusal = parser.refusal();
  if (out.progress == RequestParser::Progress::done) {
    out.head = parser.head();
    out.bytes = parser.head_bytes();
  }
  return out;
}

inline bool same_fields(const Headers& a, const Headers& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

inline bool same(const HeadOutcome& a, const HeadOutcome& b) {
  return a.progress == b.progress && a.refusal == b.refusal && a.bytes == b.bytes &&
         a.head.request.method == b.head.request.method && a.head.request.target == b.head.request.target &&
         a.head.request.minor_version == b.head.request.minor_version &&
         same_fields(a.head.request.headers, b.head.request.headers) && a.head.chunked == b.head.chunked &&
         a.head.content_length == b.head.content_length && a.head.keep_alive == b.head.keep_alive &&
         a.head.expect_continue == b.head.expect_continue;
}

inline std::string write_head(const Request& request) {
  std::string out =
      request.method + " " + request.target + " HTTP/1." + std::to_string(request.minor_version) + "\r\n";
  for (const auto& [name, value] : request.headers) out += name + ": " + value + "\r\n";
  return out + "\r\n";
}

// The verdict does not depend on the split; an accepted head has the promised shape and survives being written and read again.
inline void check_request(std::string_view input, const Limits& limits, uint64_t seed) {
  HeadOutcome whole = parse_head(input, limits);
  CHECK(same(whole, parse_head(input, limits, 1)));
  CHECK(same(whole, parse_head(input, limits, 7, seed)));
  CHECK(same(whole, parse_head(input, limits, 100, seed)));
  if (whole.progress != RequestParser::Progress::done) return;

  const Request& request = whole.head.request;
  CHECK(whole.bytes <= input.size() && input.substr(0, whole.bytes).ends_with("\r\n\r\n"));
  CHECK(is_token(request.method) && request.method.size() <= kMethodBytesMax);
  CHECK(request.target.starts_with('/') || (request.target == "*" && request.method == "OPTIONS"));
  for (char c : request.target) CHECK(static_cast<uint8_t>(c) > 0x20 && c != 0x7f && c != '#');
  CHECK(request.headers.size() <= limits.headers_max + 1);
  for (const auto& [name, value] : request.headers) {
    CHECK(is_token(name) && is_field_value(value));
    CHECK(std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }));
    CHECK(value.empty() ||
          (value.front() != ' ' && value.front() != '\t' && value.back() != ' ' && value.back() != '\t'));
  }
  size_t hosts = request.headers.count("host");
  CHECK(hosts == 1 || (hosts == 0 && request.minor_version == 0));
  CHECK(request.headers.count("content-length") + request.headers.count("transfer-encoding") <= 1);
  CHECK(!(whole.head.chunked && whole.head.content_length > 0));
  CHECK(whole.head.content_length <= static_cast<uint64_t>(INT64_MAX));

  // Written anew, it may only have become longer by the spaces after the colons; limits aside, it says the same.
  Limits wide = limits;
  wide.request_line_bytes_max += 64;
  wide.header_bytes_max = wide.header_bytes_max * 2 + 4096;
  wide.headers_max += 1;
  HeadOutcome again = parse_head(write_head(request), wide);
  again.bytes = whole.bytes;
  CHECK(same(whole, again));
}

struct ResponseOutcome {
  ResponseParser::Progress progress = ResponseParser::Progress::need_more;
  Refusal refusal{};
  ResponseHead head;
  BodyEnd body_end{};
  bool keep_alive = false;
  size_t bytes = 0;
};

inline ResponseOutcome parse_response(std::string_view input, const Limits& limits, bool to_head,
                                      size_t step_max = 0, uint64_t seed = 0) {
  ResponseParser parser(limits, to_head);
  Splits splits(seed);
  ResponseOutcome out;
  for (size_t have = 0; out.progress == ResponseParser::Progress::need_more && have < input.size();) {
    have = step_max == 0 ? input.size() : std::min(input.size(), have + splits.next(step_max));
    out.progress = parser.parse(input.substr(0, have));
  }
  if (out.progress == ResponseParser::Progress::refused) out.refusal = parser.refusal();
  if (out.progress == ResponseParser::Progress::done) {
    out.head = parser.head();
    out.body_end = parser.body_end();
    out.keep_alive = parser.keep_alive();
    out.bytes = parser.head_bytes();
  }
  return out;
}

inline bool same(const ResponseOutcome& a, const ResponseOutcome& b) {
  return a.progress == b.progress && a.refusal == b.refusal && a.bytes == b.bytes &&
         a.head.status == b.head.status && a.head.minor_version == b.head.minor_version &&
         a.head.content_length == b.head.content_length && same_fields(a.head.headers, b.head.headers) &&
         a.body_end == b.body_end && a.keep_alive == b.keep_alive;
}

// The verdict does not depend on the split; an accepted head says one thing about its body; written and read again it says the same.
inline void check_response(std::string_view input, const Limits& limits, bool to_head, uint64_t seed) {
  ResponseOutcome whole = parse_response(input, limits, to_head);
  CHECK(same(whole, parse_response(input, limits, to_head, 1)));
  CHECK(same(whole, parse_response(input, limits, to_head, 7, seed)));
  CHECK(same(whole, parse_response(input, limits, to_head, 100, seed)));
  if (whole.progress != ResponseParser::Progress::done) return;

  const ResponseHead& head = whole.head;
  CHECK(whole.bytes <= input.size() && input.substr(0, whole.bytes).ends_with("\r\n\r\n"));
  CHECK(head.status >= 100 && head.status <= 599);
  CHECK(head.headers.size() <= limits.headers_max);
  for (const auto& [name, value] : head.headers) {
    CHECK(is_token(name) && is_field_value(value));
    CHECK(std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }));
  }
  CHECK(head.headers.count("content-length") <= 1 && head.headers.count("transfer-encoding") == 0);
  const bool bodyless = to_head || head.status < 200 || head.status == 204 || head.status == 304;
  CHECK(!bodyless || (whole.body_end == BodyEnd::none && head.content_length == 0u));
  CHECK(whole.body_end != BodyEnd::chunked || (head.minor_version == 1 && !head.content_length));
  CHECK(whole.body_end != BodyEnd::close || !whole.keep_alive);

  std::string again =
      "HTTP/1." + std::to_string(head.minor_version) + " " + std::to_string(head.status) + "\r\n";
  for (const auto& [name, value] : head.headers) again += name + ": " + value + "\r\n";
  if (whole.body_end == BodyEnd::chunked) again += "transfer-encoding: chunked\r\n";
  Limits wide = limits;
  wide.request_line_bytes_max += 64;
  wide.header_bytes_max = wide.header_bytes_max * 2 + 4096;
  wide.headers_max += 1;
  ResponseOutcome second = parse_response(again + "\r\n", wide, to_head);
  CHECK(second.progress == ResponseParser::Progress::done && second.body_end == whole.body_end);
  CHECK(second.head.content_length == head.content_length && same_fields(second.head.headers, head.headers));
}

struct BodyOutcome {
  std::optional<Refusal> refusal;
  bool done = false;
  size_t consumed = 0;
  std::string data;  // complete only without a refusal
  Headers trailers;
};

// Decodes with reads of at most `in_max` and outputs of at most `out_max` bytes; `straight` takes content by advance() when it can.
inline BodyOutcome decode_body(BodyDecoder decoder, std::string_view input, size_t in_max, size_t out_max,
                               uint64_t seed, bool straight = false) {
  BodyOutcome out;
  Splits splits(seed);
  size_t have = 0;
  std::string room;
  while (!decoder.done() && (have < input.size() || out.consumed < have)) {
    if (straight && decoder.direct() > 0) {
      size_t n = std::min<uint64_t>({splits.next(out_max), decoder.direct(), input.size() - out.consumed});
      out.data += input.substr(out.consumed, n);
      decoder.advance(n);
      out.consumed += n;
      have = std::max(have, out.consumed);
      continue;
    }
    have = std::min(input.size(), have + splits.next(in_max));
    room.assign(splits.next(out_max), '\0');
    auto step = decoder.decode(as_bytes(input.substr(out.consumed, have - out.consumed)),
                               {reinterpret_cast<uint8_t*>(room.data()), room.size()});
    if (!step) {
      out.refusal = step.error();
      return out;
    }
    CHECK(step->consumed <= have - out.consumed && step->produced <= room.size());
    out.consumed += step->consumed;
    out.data.append(room, 0, step->produced);
  }
  out.done = decoder.done();
  out.trailers = decoder.trailers();
  return out;
}

inline bool same(const BodyOutcome& a, const BodyOutcome& b) {
  if (a.refusal || b.refusal) return a.refusal == b.refusal;
  return a.done == b.done && a.consumed == b.consumed && a.data == b.data &&
         same_fields(a.trailers, b.trailers);
}

inline void check_chunked(std::string_view input, const Limits& limits, uint64_t seed) {
  size_t all = input.size() + 1;
  BodyOutcome whole = decode_body(BodyDecoder::chunked(limits), input, all, 1, seed);
  for (size_t in_max : {size_t{1}, size_t{5}, all})
    for (size_t out_max : {size_t{1}, size_t{9}, all})
      for (bool straight : {false, true})
        CHECK(same(whole, decode_body(BodyDecoder::chunked(limits), input, in_max, out_max, seed, straight)));
  if (whole.refusal) return;
  CHECK(whole.data.size() <= input.size());
  if (!whole.done) return;
  CHECK(input.substr(0, whole.consumed).ends_with("\r\n"));
  CHECK(whole.trailers.size() <= kTrailersMax);
  for (const auto& [name, value] : whole.trailers) CHECK(is_token(name) && is_field_value(value));
}

}  // namespace archipel::http::testing
