#include "exposure/sheet.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace archipel::exposure {
namespace {

using enum archipel::Code;

bool has(const auto& all, std::string_view one) {
  return std::ranges::find(all, one) != std::ranges::end(all);
}

// YYYY-MM-DD, a day that exists.
bool is_date(std::string_view text) {
  const auto number = [&](size_t at, size_t length) {
    int value = 0;
    for (const char c : text.substr(at, length))
      value = c >= '0' && c <= '9' ? value * 10 + (c - '0') : -1000000;
    return value;
  };
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  if (year < 1900 || month < 1 || month > 12 || day < 1) return false;
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return day <= kDays[month - 1] + (leap ? 1 : 0);
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool only(std::string_view text, std::string_view more, bool upper) {
  return std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (upper ? c >= 'A' && c <= 'Z' : c >= 'a' && c <= 'z') ||
           more.contains(c);
  });
}

std::string_view Sheet::Row::operator[](std::string_view column) const {
  return row_.fields[static_cast<size_t>(std::ranges::find(sheet_.csv_.columns, column) -
                                         sheet_.csv_.columns.begin())];
}

Where Sheet::Row::where() const {
  return fmt::format("{}:{}", sheet_.file_, row_.line);
}
std::unexpected<Error> Sheet::Row::error(std::string_view what) const {
  return fail(invalid, fmt::format("{}: {}", where(), what));
}

Result<std::string> Sheet::Row::text(std::string_view column) const {
  const std::string_view value = (*this)[column];
  if (value.empty()) return error(fmt::format("`{}` is missing", column));
  return std::string(value);
}

Result<double> Sheet::Row::number(std::string_view column, double min, double max) const {
  const std::string_view value = (*this)[column];
  double out = 0;
  const auto [end, wrong] = std::from_chars(value.data(), value.data() + value.size(), out);
  if (wrong != std::errc{} || end != value.data() + value.size() || !std::isfinite(out))
    return error(fmt::format("`{}` must be a number, not \"{}\"", column, value));
  if (out < min || out > max)
    return error(fmt::format("`{}` is {}: it must lie between {} and {}", column, value, min, max));
  return out;
}

Result<std::string> Sheet::Row::date(std::string_view column) const {
  ASSIGN_OR_RETURN(std::string day, text(column));
  if (!is_date(day))
    return error(fmt::format("`{}` must be a day such as 2026-11-22, not \"{}\"", column, day));
  return day;
}

Result<Sheet> Sheet::parse(std::string_view text, std::string file,
                           std::initializer_list<std::string_view> columns) {
  Sheet sheet;
  sheet.file_ = std::move(file);
  ASSIGN_OR_RETURN(sheet.csv_, parse_csv(text, sheet.file_));
  for (const std::string_view column : columns)
    if (!has(sheet.csv_.columns, column))
      return fail(invalid, fmt::format("{}:{}: the column `{}` is missing", sheet.file_,
                                       sheet.csv_.header_line, column));
  for (const std::string& column : sheet.csv_.columns)
    if (!has(columns, column))
      return fail(invalid, fmt::format("{}:{}: nobody knows the column `{}`", sheet.file_,
                                       sheet.csv_.header_line, column));
  return sheet;
}

Result<void> Once::take(const Sheet::Row& row, const std::string& key, const std::string& value,
                        std::string_view what) {
  const auto [at, first] = seen_.try_emplace(lower(key), Seen{value, row.where()});
  if (first) return {};
  if (at->second.value == value)
    return row.error(fmt::format("{} stands at {} already: take one out", what, at->second.where));
  return row.error(fmt::format("{} says \"{}\", but {} says \"{}\": only one can hold", what, value,
                               at->second.where, at->second.value));
}

}  // namespace archipel::exposure
