// Continuation tokens of listings: where the listing goes on, opaque to clients. Not a secret, so not authenticated; checked, because they
// come back from outside.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace archipel::door::s3 {

// `next`: the last name of the page.
std::string make_token(std::string_view next);
// The name, valid UTF-8 of at most kKeyBytesMax bytes; nullopt for what make_token() cannot have made.
std::optional<std::string> open_token(std::string_view token);

}  // namespace archipel::door::s3
