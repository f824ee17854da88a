// JsonWriter: writes one JSON value, on one line, keys in the order given. Text must be UTF-8; other bytes become U+FFFD.
//
//   JsonWriter json;
//   json.begin_object().key("min").number(3).key("coalitions").begin_array().text("FR").end_array().end_object();
//   json.str();  // {"min":3,"coalitions":["FR"]}
//
// Misuse (a value without its key, an end without its begin) is a bug of the caller and ends the process. Not thread-safe.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace archipel {

// Appends `text` as a JSON string, with its quotes.
void json_quote(std::string& out, std::string_view text);

class JsonWriter {
 public:
  JsonWriter& begin_object() { return begin('{'); }
  JsonWriter& end_object() { return end('}'); }
  JsonWriter& begin_array() { return begin('['); }
  JsonWriter& end_array() { return end(']'); }
  // The next value's name; only inside an object.
  JsonWriter& key(std::string_view name);

  JsonWriter& text(std::string_view value);
  template <std::integral T>
  JsonWriter& number(T value) {
    return word(std::to_string(value));
  }
  // The shortest digits that give the same value back; what is not finite becomes null.
  JsonWriter& number(double value);
  JsonWriter& boolean(bool value) { return word(value ? "true" : "false"); }
  JsonWriter& null() { return word("null"); }
  // An array of strings.
  JsonWriter& texts(std::span<const std::string> values);

  // Whole once every begin has its end.
  const std::string& str() const;

 private:
  JsonWriter& begin(char c);
  JsonWriter& end(char c);
  JsonWriter& word(std::string_view value);
  void separate();

  std::string out_;
  std::string open_;  // brackets that are open, outermost first
  bool first_ = true, keyed_ = false;
};

}  // namespace archipel
