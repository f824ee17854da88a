#include "http/structured_fields.h"

#include <array>

#include "base/bytes.h"

namespace archipel::http::sf {
namespace {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_alpha(char c) {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}
constexpr bool is_tchar(char c) {
  return is_alpha(c) || is_digit(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// Puts a pair where its key was, or at the end.
template <class Pairs, class Value>
void put(Pairs& pairs, std::string key, Value value) {
  for (auto& [k, v] : pairs) {
    if (k != key) continue;
    v = std::move(value);
    return;
  }
  pairs.emplace_back(std::move(key), std::move(value));
}

class Parser {
 public:
  explicit Parser(std::string_view text) : in_(text) {}

  std::optional<Item> whole_item() {
    spaces();
    auto out = item();
    spaces();
    return out && in_.empty() ? out : std::nullopt;
  }

  std::optional<List> whole_list() {
    List out;
    spaces();
    while (!in_.empty()) {
      auto m = member();
      if (!m || out.size() == kMembersMax) return std::nullopt;
      out.push_back(std::move(*m));
      if (!separator()) return std::nullopt;
    }
    return out;
  }

  std::optional<Dictionary> whole_dictionary() {
    Dictionary out;
    spaces();
    while (!in_.empty()) {
      auto k = key();
      if (!k) return std::nullopt;
      Member m;
      if (take('=')) {
        auto parsed = member();
        if (!parsed) return std::nullopt;
        m = std::move(*parsed);
      } else {
        auto p = parameters();
        if (!p) return std::nullopt;
        m.item.parameters = std::move(*p);
      }
      put(out, std::move(*k), std::move(m));
      if (out.size() > kMembersMax || !separator()) return std::nullopt;
    }
    return out;
  }

 private:
  void spaces() {
    while (!in_.empty() && in_.front() == ' ') in_.remove_prefix(1);
  }
  void blanks() {
    while (!in_.empty() && (in_.front() == ' ' || in_.front() == '\t')) in_.remove_prefix(1);
  }
  bool take(char c) {
    if (in_.empty() || in_.front() != c) return false;
    in_.remove_prefix(1);
    return true;
  }
  // Behind a member: the end, or a comma that something follows.
  bool separator() {
    blanks();
    if (in_.empty()) return true;
    if (!take(',')) return false;
    blanks();
    return !in_.empty();
  }

  std::optional<Member> member() {
    Member m;
    if (!take('(')) {
      auto i = item();
      if (!i) return std::nullopt;
      m.item = std::move(*i);
      return m;
    }
    m.inner_list = true;
    for (;;) {
      spaces();
      if (take(')')) break;
      auto i = item();
      if (!i || m.items.size() == kInnerMembersMax) return std::nullopt;
      m.items.push_back(std::move(*i));
      if (in_.empty() || (in_.front() != ' ' && in_.front() != ')')) return std::nullopt;
    }
    auto p = parameters();
    if (!p) return std::nullopt;
    m.item.parameters = std::move(*p);
    return m;
  }

  std::optional<Item> item() {
    auto b = bare();
    if (!b) return std::nullopt;
    auto p = parameters();
    if (!p) return std::nullopt;
    return Item{std::move(*b), std::move(*p)};
  }

  std::optional<Parameters> parameters() {
    Parameters out;
    while (take(';')) {
      spaces();
      auto k = key();
      if (!k) return std::nullopt;
      Bare value = true;
      if (take('=')) {
        auto b = bare();
        if (!b) return std::nullopt;
        value = std::move(*b);
      }
      put(out, std::move(*k), std::move(value));
      if (out.size() > kInnerMembersMax) return std::nullopt;
    }
    return out;
  }

  std::optional<std::string> key() {
    size_t n = 0;
    while (n < in_.size() &&
           (is_lower(in_[n]) || in_[n] == '*' ||
            (n > 0 && (is_digit(in_[n]) || in_[n] == '_' || in_[n] == '-' || in_[n] == '.'))))
      n++;
    if (n == 0) return std::nullopt;
    std::string out(in_.substr(0, n));
    in_.remove_prefix(n);
    return out;
  }

  std::optional<Bare> bare() {
    if (in_.empty()) return std::nullopt;
    char c = in_.front();
    if (c == '-' || is_digit(c)) return number();
    if (c == '"') return string();
    if (c == '*' || is_alpha(c)) return token();
    if (c == ':') return byte_sequence();
    if (c == '?') return boolean();
    if (c == '@') return date();
    if (c == '%') return display_string();
    return std::nullopt;
  }

  std::optional<Bare> number() {
    bool negative = take('-');
    int64_t whole = 0, fraction = 0;
    size_t digits = 0, places = 0;
    for (; !in_.empty() && is_digit(in_.front()); in_.remove_prefix(1)) {
      if (++digits > 15) return std::nullopt;
      whole = whole * 10 + (in_.front() - '0');
    }
    if (digits == 0) return std::nullopt;
    if (!take('.')) return Bare(negative ? -whole : whole);
    for (; !in_.empty() && is_digit(in_.front()); in_.remove_prefix(1)) {
      if (++places > 3) return std::nullopt;
      fraction = fraction * 10 + (in_.front() - '0');
    }
    if (places == 0 || digits > 12) return std::nullopt;
    for (; places < 3; places++) fraction *= 10;
    int64_t all = whole * 1000 + fraction;
    return Bare(Decimal{negative ? -all : all});
  }

  std::optional<Bare> string() {
    in_.remove_prefix(1);
    std::string out;
    while (!in_.empty()) {
      char c = in_.front();
      in_.remove_prefix(1);
      if (c == '"') return Bare(std::move(out));
      if (c == '\\') {
        if (in_.empty() || (in_.front() != '"' && in_.front() != '\\')) return std::nullopt;
        c = in_.front();
        in_.remove_prefix(1);
      } else if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) {
        return std::nullopt;
      }
      out += c;
    }
    return std::nullopt;
  }

  std::optional<Bare> token() {
    size_t n = 1;
    while (n < in_.size() && (is_tchar(in_[n]) || in_[n] == ':' || in_[n] == '/')) n++;
    Token out{std::string(in_.substr(0, n))};
    in_.remove_prefix(n);
    return Bare(std::move(out));
  }

  std::optional<Bare> byte_sequence() {
    in_.remove_prefix(1);
    size_t end = in_.find(':');
    if (end == std::string_view::npos) return std::nullopt;
    auto bytes = unbase64(in_.substr(0, end));
    if (!bytes) return std::nullopt;
    in_.remove_prefix(end + 1);
    return Bare(Bytes{std::move(*bytes)});
  }

  std::optional<Bare> boolean() {
    in_.remove_prefix(1);
    if (take('1')) return Bare(true);
    if (take('0')) return Bare(false);
    return std::nullopt;
  }

  std::optional<Bare> date() {
    in_.remove_prefix(1);
    auto n = number();
    if (!n || !std::holds_alternative<int64_t>(*n)) return std::nullopt;
    return Bare(Date{std::get<int64_t>(*n)});
  }

  std::optional<Bare> display_string() {
    if (!in_.starts_with("%\"")) return std::nullopt;
    in_.remove_prefix(2);
    std::string out;
    while (!in_.empty()) {
      char c = in_.front();
      in_.remove_prefix(1);
      if (c == '"') return Bare(std::move(out));
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) return std::nullopt;
      if (c == '%') {
        for (char h : in_.substr(0, 2))
          if (h >= 'A' && h <= 'F') return std::nullopt;  // lower-case digits only
        auto byte = in_.size() >= 2 ? unhex(in_.substr(0, 2)) : std::nullopt;
        if (!byte) return std::nullopt;
        out += *byte;
        in_.remove_prefix(2);
        continue;
      }
      out += c;
    }
    return std::nullopt;
  }

  std::string_view in_;
};

}  // namespace

std::optional<Item> parse_item(std::string_view text) {
  return Parser(text).whole_item();
}
std::optional<List> parse_list(std::string_view text) {
  return Parser(text).whole_list();
}
std::optional<Dictionary> parse_dictionary(std::string_view text) {
  return Parser(text).whole_dictionary();
}

std::optional<std::string> joined(const Headers& headers, std::string_view name) {
  std::optional<std::string> out;
  for (const auto& [n, v] : headers) {
    if (n != name) continue;
    if (out)
      *out += ", " + v;
    else
      out = v;
  }
  return out;
}

const Bare* find(const Parameters& parameters, std::string_view key) {
  for (const auto& [k, v] : parameters)
    if (k == key) return &v;
  return nullptr;
}
const Member* find(const Dictionary& dictionary, std::string_view key) {
  for (const auto& [k, v] : dictionary)
    if (k == key) return &v;
  return nullptr;
}

std::string write_string(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c >= 0x20 && c <= 0x7e ? c : '?';
  }
  return out + '"';
}

bool is_token(std::string_view text) {
  static constexpr auto kBytes = [] {
    std::array<bool, 256> t{};
    for (size_t u = 0; u < t.size(); ++u) {
      const char c = static_cast<char>(u);
      t[u] = is_tchar(c) || c == ':' || c == '/';
    }
    return t;
  }();
  if (text.empty() || (!is_alpha(text[0]) && text[0] != '*')) return false;
  for (char c : text)
    if (!kBytes[static_cast<uint8_t>(c)]) return false;
  return true;
}

bool is_key(std::string_view text) {
  if (text.empty() || (!is_lower(text[0]) && text[0] != '*')) return false;
  for (char c : text)
    if (!is_lower(c) && !is_digit(c) && c != '_' && c != '-' && c != '.' && c != '*') return false;
  return true;
}

}  // namespace archipel::http::sf
