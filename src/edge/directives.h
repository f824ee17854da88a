// Directives: Cache-Control of requests and responses (RFC 9111 §5.2, RFC 5861, RFC 8246) as the wild writes it, and targeted fields (RFC 9213)
// as the structured dictionaries they are. Pure functions.
//
// Where a value is doubtful the reading is the one that stores less: of contradictory durations the shortest counts, and one that is not a number
// counts as 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace archipel::edge {

// Longer spans are cut to this (RFC 9111 §1.2.2).
inline constexpr int64_t kSecondsMax = int64_t{1} << 31;
inline constexpr size_t kListedFieldsMax =
    32;  // names in no-cache="…" and private="…"; more: as if unqualified

// Spans in seconds, 0 … kSecondsMax.
struct Directives {
  bool present = false;  // there was such a field
  std::optional<int64_t> max_age, s_maxage;
  std::optional<int64_t> stale_while_revalidate, stale_if_error;
  std::optional<int64_t> min_fresh;
  std::optional<int64_t> max_stale;  // kSecondsMax: however stale
  bool no_store = false, no_cache = false, is_private = false, is_public = false;
  bool must_revalidate = false, proxy_revalidate = false, must_understand = false, only_if_cached = false;
  std::vector<std::string> no_cache_fields, private_fields;  // of the qualified forms; lower-case
};

// All lines of the field `name` (lower-case).
Directives parse_cache_control(const http::Headers& headers, std::string_view name = "cache-control");

// A targeted field: nullopt if it is absent, empty, or not a dictionary. Members of a wrong type are ignored, max-age among them leaves nothing to
// go by: nullopt too.
std::optional<Directives> parse_targeted(const http::Headers& headers, std::string_view name);

// What a response says to this cache: the first of `targeted` that holds, else Cache-Control.
struct Instructions {
  Directives directives;
  bool targeted = false;  // then Cache-Control and Expires do not count
};
Instructions read_instructions(const http::Headers& headers, const std::vector<std::string>& targeted);

// "3600": digits only, cut to kSecondsMax. nullopt otherwise.
std::optional<int64_t> parse_seconds(std::string_view text);

// The members of a comma-separated list, trimmed, empty ones left out, quoted commas respected.
std::vector<std::string_view> split_list(std::string_view value);
std::string lower_case(std::string_view text);

}  // namespace archipel::edge
