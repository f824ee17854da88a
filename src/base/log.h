// Structured log: events, not sentences.
//
//   log::info("island.lost", {{"island", id}, {"reason", error.message}});
//
// One logfmt line per event on stderr: time, level, event, fields. Values are quoted where needed and control characters are
// escaped, so that input can never forge a line. Never pass secrets, object names or bodies. Thread-safe; does not allocate
// beyond the line; a line is one write(2).
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

namespace archipel::log {

enum class Level { debug, info, warn, error };

struct Field {
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, std::integral auto v) : key(k), value(std::to_string(v)) {}
  std::string_view key;
  std::string value;
};
using Fields = std::initializer_list<Field>;

void event(Level level, std::string_view name, Fields fields);
inline void debug(std::string_view name, Fields fields = {}) {
  event(Level::debug, name, fields);
}
inline void info(std::string_view name, Fields fields = {}) {
  event(Level::info, name, fields);
}
inline void warn(std::string_view name, Fields fields = {}) {
  event(Level::warn, name, fields);
}
inline void error(std::string_view name, Fields fields = {}) {
  event(Level::error, name, fields);
}

// Events below `level` are dropped. Default: info.
void set_level(Level level);
// logfmt (default) or one JSON object per line.
void set_json(bool json);
// Events that are not dropped go to `sink` instead of stderr; null: to stderr again. For the simulator, which reads them. Called on whichever
// thread logs; set before other threads start.
using Sink = void (*)(Level level, std::string_view name, Fields fields);
void set_sink(Sink sink);

}  // namespace archipel::log
