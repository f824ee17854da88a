// The fields of a response for HTTP/2 (RFC 9113 §8.3.2). No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace archipel::http {

// Fields that the protocol says itself (date, content-length), or does not know (§8.2.2): they are left out of what handlers give.
bool is_h2_own(std::string_view name);
// A token without upper-case letters (RFC 9113 §8.2.1).
bool is_h2_name(std::string_view name);
// Can the field go on the wire: a name, and no control characters in the value.
bool is_h2_field(std::string_view name, std::string_view value);

// The part of a stored response's head that is the same whenever it is sent: its status and `headers`, without those that are ours. False, with `out` unchanged, if the status
// is not 200..599 or a name or value cannot go on the wire. See StoredResponse::h2_head.
[[nodiscard]] bool write_stored_h2_head(std::string& out, int status, const Headers& headers);
// Behind it: the fields that are ours, for answers that have the same date and content-length (nullopt: none) whenever they are sent. Returns how many bytes: StoredResponse::h2_own.
// 0, with `out` unchanged: the status decides itself about its length (204, 205, 304), or the date cannot go on the wire.
size_t write_stored_h2_own(std::string& out, int status, std::string_view date,
                           std::optional<uint64_t> length);

}  // namespace archipel::http
