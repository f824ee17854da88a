// CSV as RFC 4180 has it, with comments: fields between commas, quotes around what holds a comma, a quote ("" inside) or the end of a line.
//
// The first line that is not a comment names the columns. A line that begins with # outside quotes is a comment; empty lines are skipped. Lines
// end in LF or CRLF. Text is UTF-8. Nothing is guessed: blanks around a field, a quote in the middle of one, a row with too few or too many fields
// are errors with file and line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace archipel::exposure {

inline constexpr size_t kCsvBytesMax = 4u << 20;
inline constexpr size_t kCsvRowsMax = 20'000;
inline constexpr size_t kCsvColumnsMax = 32;
inline constexpr size_t kCsvFieldMax = 1000;  // bytes

struct CsvRow {
  size_t line = 0;  // 1-based, where the row begins
  std::vector<std::string> fields;
};

struct Csv {
  size_t header_line = 1;
  std::vector<std::string> columns;
  std::vector<CsvRow> rows;  // each with as many fields as columns
};

// `file` for messages only: "states.csv:12: …". invalid, limit.
Result<Csv> parse_csv(std::string_view text, std::string_view file);

}  // namespace archipel::exposure
