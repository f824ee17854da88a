// JsonObject: writes one flat JSON object on one line, keys in the order given. Text must be UTF-8; other bytes become U+FFFD.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace archipel::app {

class JsonObject {
 public:
  JsonObject& text(std::string_view key, std::string_view value);
  JsonObject& number(std::string_view key, int64_t value);
  std::string str() const { return "{" + body_ + "}"; }

 private:
  void name(std::string_view key);
  std::string body_;
};

}  // namespace archipel::app
