// How a [[site]] and its tables are read. Internal to config.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/toml.h"
#include "edge/policy.h"

namespace archipel::edge {

// Without finish(): that is the caller's.
Result<SitePolicy> load_site(TomlTable& table, const std::string& base);

// "http://10.0.0.1:8000", "https://www.example.org". invalid: something else; the message says what to write.
Result<OriginAddress> parse_origin(const std::string& url);

// These leave `out` alone if the key is not there.
Result<void> take_size(TomlTable& table, std::string_view key, uint64_t& out, uint64_t min, uint64_t max);
Result<void> take_duration(TomlTable& table, std::string_view key, Duration& out, Duration min, Duration max);
Result<std::vector<const TomlValue*>> take_tables(TomlTable& table, std::string_view key, size_t count_max);

// A name in lower case, "*." before one, or "*".
bool is_host_pattern(std::string_view host);

}  // namespace archipel::edge
