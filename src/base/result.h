// Result<T>: a value, or an Error that says what failed, where, and what can be done.
//
// Expected failures travel as Result; exceptions are not used for control flow. libstdc++ 12 has no monadic operations on
// std::expected, hence the two macros:
//
//   ASSIGN_OR_RETURN(auto blob, read_blob(name));          // in a function returning Result<U>
//   RETURN_IF_ERROR(check(blob));
//   CO_ASSIGN_OR_RETURN(auto n, co_await stream.read(b));  // in a Task<Result<U>>; one co_await per expression
//   CO_RETURN_IF_ERROR(co_await stream.flush());
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace archipel {

// What kind of failure it is: what a caller decides on. Doors map it to their protocol's error.
enum class Code {
  not_found,     // the named thing does not exist (proven, not merely unreachable)
  exists,        // it exists already
  precondition,  // a condition given by the caller does not hold
  invalid,       // bad input: the caller must change it
  denied,        // authentication or permission failed; deliberately without details
  limit,         // a named limit was reached
  throttled,     // asked to slow down; try later
  unavailable,   // cannot be done now; try later
  undetermined,  // the islands heard do not settle what happened
  timeout,       // the deadline passed; the outcome may be unknown
  cancelled,     // the caller, or a shutdown, gave up
  corrupt,       // bytes failed verification
  io,            // the operating system or a device failed
  unsupported,   // valid, but not offered here
  internal,      // a bug that was caught
};

std::string_view to_string(Code code);

struct Error {
  Code code = Code::internal;
  std::string message;  // one sentence for a person: what, where, what to do. Never a secret.
  std::string
      detail;  // optional machine word for the layer above, such as an S3 error code ("BucketNotEmpty")

  // "corrupt: shard 3 of extent 7 fails its tag"
  std::string describe() const;
};

template <class T = void>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(Code code, std::string message, std::string detail = {}) {
  return std::unexpected<Error>(Error{code, std::move(message), std::move(detail)});
}
[[nodiscard]] inline std::unexpected<Error> fail(Error error) {
  return std::unexpected<Error>(std::move(error));
}

// An Error of code io that names the system call's subject and the text of `errno_value`; ENOSPC and EDQUOT become
// `unavailable`, ENOENT `not_found`, EEXIST `exists`.
[[nodiscard]] std::unexpected<Error> fail_errno(int errno_value, std::string_view what);

}  // namespace archipel

#define ARCHIPEL_CONCAT_(a, b) a##b
#define ARCHIPEL_CONCAT(a, b) ARCHIPEL_CONCAT_(a, b)
#define ARCHIPEL_TRY_(tmp, ret, lhs, ...)        \
  auto tmp = (__VA_ARGS__);                      \
  if (!tmp) [[unlikely]]                         \
    ret std::unexpected(std::move(tmp).error()); \
  lhs = std::move(*tmp)
#define ARCHIPEL_TRY_VOID_(ret, ...)                   \
  do {                                                 \
    auto result_ = (__VA_ARGS__);                      \
    if (!result_) [[unlikely]]                         \
      ret std::unexpected(std::move(result_).error()); \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, ...) ARCHIPEL_TRY_(ARCHIPEL_CONCAT(result_, __LINE__), return, lhs, __VA_ARGS__)
#define CO_ASSIGN_OR_RETURN(lhs, ...) \
  ARCHIPEL_TRY_(ARCHIPEL_CONCAT(result_, __LINE__), co_return, lhs, __VA_ARGS__)
#define RETURN_IF_ERROR(...) ARCHIPEL_TRY_VOID_(return, __VA_ARGS__)
#define CO_RETURN_IF_ERROR(...) ARCHIPEL_TRY_VOID_(co_return, __VA_ARGS__)
