// `archipel scrub`: asks the gateway, or is one for as long as the pass takes; shows lines to programs and a bar to people.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "app/gateway.h"
#include "app/json.h"
#include "app/mending.h"

namespace archipel::app {
namespace {

// Of a flat JSON object that this program wrote itself.
std::string value_of(std::string_view line, std::string_view name) {
  const std::string key = "\"" + std::string(name) + "\":";
  const size_t at = line.find(key);
  if (at == std::string_view::npos) return "";
  std::string_view rest = line.substr(at + key.size());
  if (!rest.starts_with('"')) return std::string(rest.substr(0, rest.find_first_of(",}")));
  std::string out;
  for (size_t i = 1; i < rest.size() && rest[i] != '"'; ++i) {
    if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
    out += rest[i];
  }
  return out;
}

uint64_t number_of(std::string_view line, std::string_view name) {
  return std::strtoull(value_of(line, name).c_str(), nullptr, 10);
}

// Takes the lines of a pass as they come.
class Screen {
 public:
  Screen(bool lines, bool bar) : lines_(lines), bar_(bar) {}

  void take(std::string_view line) {
    const std::string event = value_of(line, "event");
    if (lines_) {
      std::fwrite(line.data(), 1, line.size(), stdout);
      std::fputc('\n', stdout);
      std::fflush(stdout);
    }
    if (event == "progress") return draw(line);
    clear();
    if (event == "failed") failure_ = value_of(line, "reason");
    if (event == "island") unchecked(line);
    if (!lines_) tell(event, line);
    if (event != "done") return;
    done_ = true;
    whole_ = number_of(line, "unrepaired_items") == 0 && number_of(line, "unchecked_shards") == 0;
  }

  int exit_code() {
    clear();
    if (!failure_.empty() || !done_) {
      fmt::print(stderr, "archipel: {}\n", failure_.empty() ? "the scrub broke off" : failure_);
      return 1;
    }
    if (!unchecked_.empty()) fmt::print(stderr, "archipel: not all could be checked at: {}\n", unchecked_);
    return whole_ ? 0 : 1;
  }

 private:
  static constexpr int kBarWidth = 30;

  void draw(std::string_view line) {
    if (!bar_) return;
    const uint64_t items = number_of(line, "items"),
                   total = std::max<uint64_t>(number_of(line, "items_total"), 1);
    const auto filled = static_cast<size_t>(kBarWidth * std::min(items, total) / total);
    fmt::print(stderr, "\r[{}{}] {}/{} items, {:.1f} MB read, {} shards repaired ", std::string(filled, '#'),
               std::string(kBarWidth - filled, '.'), items, total,
               static_cast<double>(number_of(line, "bytes_read")) / 1e6, number_of(line, "repaired_shards"));
    drawn_ = true;
  }
  void clear() {
    if (drawn_) fmt::print(stderr, "\r\033[K");
    drawn_ = false;
  }
  void unchecked(std::string_view line) {
    if (number_of(line, "unreachable") == 0) return;
    unchecked_ += (unchecked_.empty() ? "" : ", ") + value_of(line, "id");
  }
  void tell(const std::string& event, std::string_view line) {
    if (event == "island") {
      if (!std::exchange(headed_, true))
        fmt::print("{:<22} {:>9} {:>9} {:>9} {:>11} {:>9}\n", "ISLAND", "GOOD", "MISSING", "WRONG",
                   "UNREACHABLE", "REPAIRED");
      fmt::print("{:<22} {:>9} {:>9} {:>9} {:>11} {:>9}\n", value_of(line, "id"), number_of(line, "good"),
                 number_of(line, "missing"), number_of(line, "wrong"), number_of(line, "unreachable"),
                 number_of(line, "repaired"));
    }
    if (event == "unrepaired") fmt::print("Not in order: {}\n", value_of(line, "reason"));
    if (event == "done") {
      fmt::print("{} items, {:.1f} MB read, {} shards repaired, {} items not in order",
                 number_of(line, "items"), static_cast<double>(number_of(line, "bytes_read")) / 1e6,
                 number_of(line, "repaired_shards"), number_of(line, "unrepaired_items"));
      if (const uint64_t shards = number_of(line, "unchecked_shards"); shards > 0)
        fmt::print(", {} shards not checked at {}", shards, value_of(line, "unchecked_islands"));
      fmt::print(".\n");
    }
  }

  const bool lines_, bar_;
  bool drawn_ = false, headed_ = false, done_ = false, whole_ = false;
  std::string failure_, unchecked_;
};

io::Task<bool> show(Screen* screen, std::string line) {
  screen->take(line);
  co_return true;
}

}  // namespace

int scrub_command(const Config& config, bool repair, bool json) {
  const bool lines = json || isatty(STDOUT_FILENO) == 0;
  Screen screen(lines, !json && isatty(STDERR_FILENO) != 0);
  auto on_line = [&screen](std::string_view line) { screen.take(line); };
  Result<void> asked =
      ask_gateway(config.dir, "POST", std::string("/scrub?repair=") + (repair ? "1" : "0"), on_line);
  if (!asked && asked.error().code == Code::not_found) {
    GatewayOptions options;
    options.config = config;
    options.instead = [&](Mending& mending) {
      return mending.scrub(repair, [&](std::string line) { return show(&screen, std::move(line)); });
    };
    asked = run_gateway(std::move(options), [](const Ready&) {});
  }
  if (!asked) {
    fmt::print(stderr, "archipel: {}\n", asked.error().message);
    return 1;
  }
  return screen.exit_code();
}

}  // namespace archipel::app
