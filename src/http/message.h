// HTTP messages as handlers see them. Header names are lower-case; values are trimmed of OWS and contain no CR, LF or NUL.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace archipel::http {

// A header field that lives elsewhere.
struct FieldView {
  std::string_view name, value;
};

// The fields of a message, in order.
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;

  Headers() = default;
  Headers(const Headers& other) : fields_(other.begin(), other.end()), used_(other.used_) {}
  Headers(Headers&& other) noexcept
      : fields_(std::move(other.fields_)), used_(std::exchange(other.used_, 0)) {}
  Headers& operator=(const Headers& other) {
    if (this != &other) {
      fields_.assign(other.begin(), other.end());
      used_ = other.used_;
    }
    return *this;
  }
  Headers& operator=(Headers&& other) noexcept {
    fields_ = std::move(other.fields_);
    used_ = std::exchange(other.used_, 0);
    return *this;
  }
  ~Headers() = default;

  // First value of `name` (lower-case), or nullptr.
  const std::string* find(std::string_view name) const {
    for (const auto& [n, v] : *this)
      if (n == name) return &v;
    return nullptr;
  }
  std::string_view get(std::string_view name) const {
    const std::string* v = find(name);
    return v == nullptr ? std::string_view{} : std::string_view(*v);
  }
  size_t count(std::string_view name) const {
    size_t n = 0;
    for (const auto& f : *this) n += f.first == name;
    return n;
  }
  void add(std::string name, std::string value) {
    if (used_ < fields_.size()) {
      fields_[used_].first = std::move(name);
      fields_[used_].second = std::move(value);
    } else {
      fields_.emplace_back(std::move(name), std::move(value));
    }
    ++used_;
  }
  // The same as copies, into the memory of fields that were cleared.
  void add_copy(std::string_view name, std::string_view value) {
    if (used_ < fields_.size()) {
      fields_[used_].first.assign(name);
      fields_[used_].second.assign(value);
    } else {
      fields_.emplace_back(name, value);
    }
    ++used_;
  }
  void set(std::string_view name, std::string value) {
    remove(name);
    add(std::string(name), std::move(value));
  }
  void reserve(size_t fields) { fields_.reserve(fields); }
  // Keeps the room, and the memory of kKeptFields usual fields for the next ones.
  void clear() {
    if (fields_.size() > kKeptFields) fields_.resize(kKeptFields);
    for (auto& [name, value] : fields_) {
      if (name.capacity() > kKeptBytes) std::string().swap(name);
      if (value.capacity() > kKeptBytes) std::string().swap(value);
    }
    used_ = 0;
  }
  void remove(std::string_view name) {
    const auto last = fields_.begin() + static_cast<ptrdiff_t>(used_);
    const auto kept = std::remove_if(fields_.begin(), last, [&](const auto& f) { return f.first == name; });
    used_ = static_cast<size_t>(kept - fields_.begin());
    fields_.erase(kept, last);
  }
  std::vector<Field>::const_iterator begin() const { return fields_.begin(); }
  std::vector<Field>::const_iterator end() const { return fields_.begin() + static_cast<ptrdiff_t>(used_); }
  size_t size() const { return used_; }

 private:
  static constexpr size_t kKeptFields = 16, kKeptBytes = 128;

  std::vector<Field> fields_;  // behind used_: cleared
  size_t used_ = 0;
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
