// H2RequestBuilder: from the fields of an HTTP/2 request to a Request that looks to handlers, and to the HTTP/1.1 servers behind them, like any other (RFC 9113 §8.2,
// §8.3). No I/O. What would mean something else in HTTP/1.1 is refused: there is no other place where a request could be smuggled from one version into the other.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "http/limits.h"
#include "http/message.h"
#include "http/refusal.h"

namespace archipel::http {

class H2RequestBuilder {
 public:
  // Both must outlive it; `out` is empty.
  H2RequestBuilder(const Limits& limits, Request& out) : limits_(limits), request_(out) {}

  // A field, in the order of arrival. After the first refusal the rest is dropped unlooked at: a bomb fills no memory. `note` is 0, or what was left there when the same field
  // was given to any builder with the same limits: what can be said about it alone is known then.
  void add(std::string_view name, std::string_view value, uint8_t& note);

  // After the last: nullopt if the request is good. It is filled as far as it was understood, without peer and secure. Cookies are joined (§8.2.3), :authority has become
  // the first field, `host`.
  std::optional<Refusal> finish();

  std::optional<uint64_t> content_length() const { return content_length_; }
  bool expect_continue() const { return expect_continue_; }
  // Of all fields until now, with what each costs beside its text.
  size_t bytes() const { return bytes_; }

 private:
  enum class Kind : uint8_t;
  // What the field is, if it is good by itself.
  std::expected<Kind, Refusal> judge(std::string_view name, std::string_view value) const;
  std::expected<Kind, Refusal> judge_pseudo(std::string_view name, std::string_view value) const;
  static std::expected<Kind, Refusal> judge_field(std::string_view name, std::string_view value);
  // Whether it is good behind those before it.
  std::optional<Refusal> take(Kind kind, std::string_view name, std::string_view value);
  std::optional<Refusal> take_field(Kind kind, std::string_view name, std::string_view value);

  const Limits& limits_;
  Request& request_;
  std::string cookie_;
  bool fields_begun_ = false, has_scheme_ = false, has_cookie_ = false, expect_continue_ = false;
  size_t bytes_ = 0;
  std::optional<uint64_t> content_length_;
  std::optional<Refusal> refusal_;
};

}  // namespace archipel::http
