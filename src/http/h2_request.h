// H2RequestBuilder: from the fields of an HTTP/2 request to a Request that looks to handlers, and to the HTTP/1.1 servers behind them, like any other (RFC 9113 §8.2,
// §8.3). No I/O. What would mean something else in HTTP/1.1 is refused: there is no other place where a request could be smuggled from one version into the other.
#pragma once

#include <cstdint>
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

  // A field, in the order of arrival. After the first refusal the rest is dropped unlooked at: a bomb fills no memory.
  void add(std::string_view name, std::string_view value);

  // After the last: nullopt if the request is good. It is filled as far as it was understood, without peer and secure. Cookies are joined (§8.2.3), :authority has become
  // the first field, `host`.
  std::optional<Refusal> finish();

  std::optional<uint64_t> content_length() const { return content_length_; }
  bool expect_continue() const { return expect_continue_; }
  // Of all fields until now, with what each costs beside its text.
  size_t bytes() const { return bytes_; }

 private:
  std::optional<Refusal> take(std::string_view name, std::string_view value);
  std::optional<Refusal> take_pseudo(std::string_view name, std::string_view value);
  std::optional<Refusal> take_field(std::string_view name, std::string_view value);

  const Limits& limits_;
  Request& request_;
  std::string cookie_;
  bool fields_begun_ = false, has_scheme_ = false, has_cookie_ = false, expect_continue_ = false;
  size_t bytes_ = 0;
  std::optional<uint64_t> content_length_;
  std::optional<Refusal> refusal_;
};

}  // namespace archipel::http
