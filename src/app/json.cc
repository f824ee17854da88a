#include "app/json.h"

#include "base/json.h"

namespace archipel::app {

void JsonObject::name(std::string_view key) {
  if (!body_.empty()) body_ += ',';
  json_quote(body_, key);
  body_ += ':';
}

JsonObject& JsonObject::text(std::string_view key, std::string_view value) {
  name(key);
  json_quote(body_, value);
  return *this;
}

JsonObject& JsonObject::number(std::string_view key, int64_t value) {
  name(key);
  body_ += std::to_string(value);
  return *this;
}

}  // namespace archipel::app
