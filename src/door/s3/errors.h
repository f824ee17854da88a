// The one table of S3 error codes this door speaks: code, HTTP status, and what to tell a person.
//
// Inside the door and the store an S3 code travels in Error::detail; whatever carries no known code is mapped by its Code.
// Source: the S3 API's list of error responses; where its text and the service differ, what the service sends.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace archipel::door::s3 {

struct S3Error {
  std::string_view code;
  int status;
  std::string_view
      message;  // used when the Error brings none, and always for 5xx: internals are not the client's business
};

// The whole table; codes are unique.
std::span<const S3Error> s3_errors();
// The row for `error`: by its detail, else by its Code. Never fails.
const S3Error& s3_error_of(const Error& error);
// What the client reads: the error's own sentence, or the table's for 5xx (but 501) and where there is none.
std::string_view client_message(const Error& error);

// An Error that carries `s3_code` (CHECK: in the table) and a message, the table's if empty.
Error make_error(std::string_view s3_code, std::string message = {});
[[nodiscard]] inline std::unexpected<Error> refuse(std::string_view s3_code, std::string message = {}) {
  return std::unexpected<Error>(make_error(s3_code, std::move(message)));
}

}  // namespace archipel::door::s3
