#include "base/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <chrono>

namespace archipel::log {
namespace {

std::atomic<Level> g_level{Level::info};
std::atomic<bool> g_json{false};
std::atomic<Sink> g_sink{nullptr};

constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}",
                     static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
  out += '"';
}

bool needs_quotes(std::string_view text) {
  if (text.empty()) return true;
  for (char c : text)
    if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '\\' || c == '=' || c == 0x7f) return true;
  return false;
}

}  // namespace

void set_level(Level level) {
  g_level = level;
}
void set_json(bool json) {
  g_json = json;
}
void set_sink(Sink sink) {
  g_sink = sink;
}

void event(Level level, std::string_view name, Fields fields) {
  if (level < g_level.load(std::memory_order_relaxed)) return;
  if (Sink sink = g_sink.load(std::memory_order_relaxed)) return sink(level, name, fields);
  auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  std::string line;
  bool json = g_json.load(std::memory_order_relaxed);
  auto time = fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                          (now - seconds).count());
  std::string_view level_name = kNames[static_cast<int>(level)];
  if (json) {
    line = fmt::format(R"({{"time":"{}","level":"{}","event":)", time, level_name);
    append_quoted(line, name);
  } else {
    line = fmt::format("time={} level={} event={}", time, level_name, name);
  }
  for (const Field& f : fields) {
    if (json) {
      line += ',';
      append_quoted(line, f.key);
      line += ':';
      append_quoted(line, f.value);
    } else {
      line += ' ';
      line += f.key;
      line += '=';
      if (needs_quotes(f.value))
        append_quoted(line, f.value);
      else
        line += f.value;
    }
  }
  line += json ? "}\n" : "\n";
  // A log line that cannot be written has nowhere to be reported.
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace archipel::log
