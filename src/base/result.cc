#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace archipel {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::not_found:
      return "not found";
    case Code::exists:
      return "exists";
    case Code::precondition:
      return "precondition failed";
    case Code::invalid:
      return "invalid";
    case Code::denied:
      return "denied";
    case Code::limit:
      return "limit reached";
    case Code::throttled:
      return "throttled";
    case Code::unavailable:
      return "unavailable";
    case Code::undetermined:
      return "undetermined";
    case Code::timeout:
      return "timeout";
    case Code::cancelled:
      return "cancelled";
    case Code::corrupt:
      return "corrupt";
    case Code::io:
      return "i/o error";
    case Code::unsupported:
      return "unsupported";
    case Code::internal:
      return "internal error";
  }
  return "unknown";
}

std::string Error::describe() const {
  std::string text(to_string(code));
  text += ": ";
  text += message;
  return text;
}

std::unexpected<Error> fail_errno(int errno_value, std::string_view what) {
  Code code = Code::io;
  if (errno_value == ENOSPC || errno_value == EDQUOT) code = Code::unavailable;
  if (errno_value == ENOENT) code = Code::not_found;
  if (errno_value == EEXIST) code = Code::exists;
  char buffer[128] = {};
  const char* text = strerror_r(errno_value, buffer, sizeof buffer);
  return fail(code, std::string(what) + ": " + text);
}

}  // namespace archipel
