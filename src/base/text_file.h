// A whole small file as text: configurations, facts, tokens.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace archipel {

// `what`: for messages, such as "config file". Blocks. Errors: not_found, invalid (no regular file: a device or a pipe may never end), limit, io.
Result<std::string> read_text_file(const std::string& path, std::string_view what, size_t bytes_max);

}  // namespace archipel
