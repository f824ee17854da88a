// The pages this door writes itself, where a site has none of its own.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/server.h"

namespace archipel::door::site {

using Facts = std::vector<std::pair<std::string_view, std::string>>;  // "Code" -> "NoSuchKey"

// HTML; every text is escaped. `note`: a sentence below, or empty.
http::Page error_page(int status, const Facts& facts, std::string_view note = {});
// 3xx, with a link for whoever does not follow by himself.
http::Page redirect_page(int status, const std::string& location);

// What S3 says to people of an error's code.
std::string_view message_of(std::string_view code);

}  // namespace archipel::door::site
