#include "exposure/report_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace archipel::exposure {
namespace {

constexpr size_t kNarrowest = 8;  // of a column that is wrapped

size_t width_of(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// Byte length of the first `points` code points.
size_t bytes_of(std::string_view text, size_t points) {
  size_t at = 0;
  while (at < text.size() && points > 0) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
    --points;
  }
  return at;
}

// Lines of at most `width`; a word that is longer is broken.
std::vector<std::string> lines_of(std::string_view text, size_t width) {
  std::vector<std::string> lines(1);
  auto take = [&](std::string_view word) {
    while (!word.empty()) {
      const size_t used = width_of(lines.back());
      const size_t need = width_of(word) + (used > 0 ? 1 : 0);
      if (used + need <= width) {
        if (used > 0) lines.back() += ' ';
        lines.back() += word;
        return;
      }
      if (used > 0) {
        lines.emplace_back();
        continue;
      }
      const size_t cut = bytes_of(word, width);
      lines.back() = word.substr(0, cut);
      word.remove_prefix(cut);
    }
  };
  for (size_t at = 0; at <= text.size();) {
    const size_t space = std::min(text.find(' ', at), text.size());
    take(text.substr(at, space - at));
    at = space + 1;
  }
  return lines;
}

// The widest column gives way until the table fits or none can.
std::vector<size_t> fit(std::vector<size_t> widths, const std::vector<size_t>& least, size_t columns) {
  const size_t gaps = 2 * (widths.size() - 1);
  for (;;) {
    size_t sum = gaps;
    for (const size_t width : widths) sum += width;
    if (sum <= columns) return widths;
    auto widest = widths.end();
    for (auto it = widths.begin(); it != widths.end(); ++it)
      if (*it > least[static_cast<size_t>(it - widths.begin())] && (widest == widths.end() || *it > *widest))
        widest = it;
    if (widest == widths.end()) return widths;
    --*widest;
  }
}

NamedCoalitions named(const Lens& lens, const std::vector<Coalition>& list, std::optional<int> min,
                      Coalition home) {
  NamedCoalitions out{min, {}, {}};
  for (const Coalition coalition : list) {
    out.coalitions.push_back(lens.names(coalition));
    const int size = std::popcount(coalition);
    if ((coalition & home) == 0 && (!out.abroad || size < *out.abroad)) out.abroad = size;
  }
  std::ranges::sort(out.coalitions);
  return out;
}

std::optional<int> least(const std::vector<std::vector<std::string>>& list) {
  if (list.empty()) return std::nullopt;
  return static_cast<int>(std::ranges::min_element(list, {}, &std::vector<std::string>::size)->size());
}

}  // namespace

std::vector<Placing> placings_of(const ReportInput& input) {
  std::vector<Placing> out = input.file.facts.placings;
  for (const Solution& solution : input.solutions)
    if (std::ranges::find(out, solution.placing.policy, &Placing::policy) == out.end())
      out.push_back(solution.placing);
  return out;
}

Facts facts_with_placings(const ReportInput& input) {
  Facts facts = input.file.facts;
  facts.placings = placings_of(input);
  return facts;
}

Result<std::vector<NamedAnswer>> answers_of(const ReportInput& input) {
  const std::vector<Placing> placings = placings_of(input);
  ASSIGN_OR_RETURN(std::vector<Answer> answers, expose_all(input.file.facts, placings));
  std::vector<NamedAnswer> out;
  for (size_t i = 0; i < placings.size(); ++i) {
    const auto& [lens, exposure] = answers[i];
    NamedAnswer answer{placings[i], {}, {}, {}, {}};
    Coalition home = 0;
    for (const StateCode& state : input.file.facts.home)
      if (const auto unit = lens.find(state)) home |= Coalition{1} << *unit;
    answer.read = named(lens, exposure.read, exposure.rho(), home);
    answer.cut = named(lens, exposure.cut, exposure.delta(), home);
    answer.degrade = named(lens, exposure.degrade, std::nullopt, home);
    answer.degrade.min = least(answer.degrade.coalitions);
    for (const Solution& solution : input.solutions)
      if (solution.placing.policy == placings[i].policy) answer.warnings = solution.warnings;
    out.push_back(std::move(answer));
  }
  return out;
}

Result<std::vector<NamedAdversary>> adversaries_of(const ReportInput& input) {
  std::vector<NamedAdversary> out;
  const std::vector<Placing> placings = placings_of(input);
  for (const std::string& id : input.adversaries)
    for (const Placing& placing : placings) {
      ASSIGN_OR_RETURN(Adversary adversary, judge(input.file.facts, placing, id));
      out.push_back({placing.policy, std::move(adversary)});
    }
  return out;
}

void TextTable::add(std::vector<std::string> cells) {
  CHECK(cells.size() == heads_.size());
  rows_.push_back(std::move(cells));
}

std::string TextTable::render(int columns, int indent) const {
  std::vector<size_t> widths, narrowest;
  for (size_t c = 0; c < heads_.size(); ++c) {
    size_t width = width_of(heads_[c]);
    for (const auto& row : rows_) width = std::max(width, width_of(row[c]));
    narrowest.push_back(std::min(width, kNarrowest));
    widths.push_back(width);
  }
  const size_t room = static_cast<size_t>(std::max(columns - indent, 20));
  widths = fit(std::move(widths), narrowest, room);
  if (std::accumulate(widths.begin(), widths.end(), 2 * (widths.size() - 1)) > room)
    return as_list(columns, indent);
  std::string out;
  auto line = [&](const std::vector<std::string>& cells) {
    std::string text(static_cast<size_t>(indent), ' ');
    for (size_t c = 0; c < cells.size(); ++c) {
      text += cells[c];
      text.append(widths[c] - std::min(widths[c], width_of(cells[c])) + 2, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + '\n';
  };
  auto row_lines = [&](const std::vector<std::string>& row) {
    std::vector<std::vector<std::string>> cells;
    size_t height = 1;
    for (size_t c = 0; c < row.size(); ++c) {
      cells.push_back(lines_of(row[c], widths[c]));
      height = std::max(height, cells.back().size());
    }
    for (size_t y = 0; y < height; ++y) {
      std::vector<std::string> part;
      part.reserve(cells.size());
      for (const auto& cell : cells) part.push_back(y < cell.size() ? cell[y] : "");
      line(part);
    }
  };
  row_lines(heads_);
  std::vector<std::string> rule;
  rule.reserve(widths.size());
  for (const size_t width : widths) rule.emplace_back(width, '-');
  line(rule);
  for (const auto& row : rows_) row_lines(row);
  return out;
}

// A table that is too narrow to be one.
std::string TextTable::as_list(int columns, int indent) const {
  std::string out;
  for (const auto& row : rows_) {
    if (!out.empty()) out += '\n';
    for (size_t c = 0; c < row.size(); ++c)
      if (!row[c].empty()) out += wrapped(heads_[c] + ": " + row[c], columns, indent);
  }
  return out;
}

std::string wrapped(std::string_view text, int columns, int indent) {
  std::string out;
  for (const std::string& line : lines_of(text, static_cast<size_t>(std::max(columns - indent, 20))))
    out += std::string(static_cast<size_t>(indent), ' ') + line + '\n';
  return out;
}

std::string bytes_text(double bytes) {
  static constexpr std::string_view kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  size_t at = 0;
  while (bytes >= 999.5 && at + 1 < std::size(kUnits)) {
    bytes /= 1000;
    ++at;
  }
  const int digits = at == 0 || bytes >= 100 ? 0 : bytes >= 10 ? 1 : 2;
  return fmt::format("{:.{}f} {}", bytes, digits, kUnits[at]);
}

std::string duration_text(double seconds) {
  struct Step {
    double length;
    std::string_view name;
  };
  static constexpr Step kSteps[] = {{86400, "days"}, {3600, "hours"}, {60, "minutes"}};
  if (seconds < 0.05) return "under 0.1 s";
  for (const auto& [length, name] : kSteps)
    if (seconds >= 1.5 * length)
      return fmt::format("{:.{}f} {}", seconds / length, seconds / length < 10 ? 1 : 0, name);
  return fmt::format("{:.{}f} s", seconds, seconds < 10 ? 1 : 0);
}

std::string count_text(uint64_t count) {
  std::string text = std::to_string(count);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string money_text(const std::optional<double>& dollars) {
  if (!dollars) return "not known";
  if (*dollars < 100) return fmt::format("${:.2f}", *dollars);
  return "$" + count_text(static_cast<uint64_t>(std::llround(*dollars)));
}

std::string bandwidth_text(double bits_per_second) {
  if (bits_per_second >= 1e9) return fmt::format("{:g} Gbit/s", bits_per_second / 1e9);
  return fmt::format("{:g} Mbit/s", bits_per_second / 1e6);
}

}  // namespace archipel::exposure
