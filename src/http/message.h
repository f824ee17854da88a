// HTTP messages as handlers see them. Header names are lower-case; values are trimmed of OWS and contain no CR, LF or NUL.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace archipel::http {

// A header field that lives elsewhere.
struct FieldView {
  std::string_view name, value;
};

class Headers {
 public:
  // First value of `name` (lower-case), or nullptr.
  const std::string* find(std::string_view name) const {
    for (const auto& [n, v] : fields_)
      if (n == name) return &v;
    return nullptr;
  }
  std::string_view get(std::string_view name) const {
    const std::string* v = find(name);
    return v == nullptr ? std::string_view{} : std::string_view(*v);
  }
  size_t count(std::string_view name) const {
    size_t n = 0;
    for (const auto& f : fields_) n += f.first == name;
    return n;
  }
  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  void set(std::string_view name, std::string value) {
    std::erase_if(fields_, [&](const auto& f) { return f.first == name; });
    fields_.emplace_back(std::string(name), std::move(value));
  }
  void reserve(size_t fields) { fields_.reserve(fields); }
  void clear() { fields_.clear(); }  // keeps the room
  void remove(std::string_view name) {
    std::erase_if(fields_, [&](const auto& f) { return f.first == name; });
  }
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  size_t size() const { return fields_.size(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct Request {
  std::string method;  // as sent: methods are case-sensitive
  std::string
      target;  // the raw request-target, origin form ("/a%20b?x=1"), exactly as on the wire: signatures need it
  std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
  std::string_view query() const {
    size_t q = target.find('?');
    return q == std::string::npos ? std::string_view{} : std::string_view(target).substr(q + 1);
  }
  int major_version = 1,
      minor_version = 1;  // 1.0, 1.1; 2.0 looks the same to a handler: its :authority is `host`
  Headers headers;
  std::string peer;     // "127.0.0.1:51234"
  bool secure = false;  // it came over TLS
};

struct Response {
  int status = 200;
  Headers
      headers;  // without content-length, transfer-encoding, connection, date: the server writes those (see ServerOptions for date)
};

}  // namespace archipel::http
