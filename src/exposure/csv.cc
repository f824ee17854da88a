#include "exposure/csv.h"

#include <fmt/format.h>

#include <algorithm>

namespace archipel::exposure {
namespace {

using enum archipel::Code;

// The length of the UTF-8 sequence that begins here, 0 if none does: no surrogates, no overlong forms, nothing beyond U+10FFFF.
size_t utf8_length(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = at(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; i++)
    if ((at(i) & 0xc0) != 0x80) return 0;
  if (first == 0xe0 && at(1) < 0xa0) return 0;
  if (first == 0xed && at(1) > 0x9f) return 0;
  if (first == 0xf0 && at(1) < 0x90) return 0;
  if (first == 0xf4 && at(1) > 0x8f) return 0;
  return length;
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view file) : text_(text), file_(file) {}

  Result<Csv> run() {
    RETURN_IF_ERROR(check_text());
    bool header = false;
    while (at_ < text_.size()) {
      if (skip_line_without_row()) continue;
      ASSIGN_OR_RETURN(CsvRow row, next_row());
      if (!header) {
        header = true;
        RETURN_IF_ERROR(take_header(std::move(row)));
        continue;
      }
      if (row.fields.size() != csv_.columns.size())
        return error(invalid, row.line,
                     fmt::format("this row has {} fields, but the first line names {} columns",
                                 row.fields.size(), csv_.columns.size()));
      if (csv_.rows.size() == kCsvRowsMax)
        return error(limit, row.line, fmt::format("there are more than {} rows", kCsvRowsMax));
      csv_.rows.push_back(std::move(row));
    }
    if (!header) return error(invalid, line_, "the file is empty: its first line must name the columns");
    return std::move(csv_);
  }

 private:
  std::unexpected<Error> error(archipel::Code code, size_t line, std::string_view what) const {
    return fail(code, fmt::format("{}:{}: {}", file_, line, what));
  }

  // Once over the whole: what follows need not think about bytes that are no text.
  Result<void> check_text() {
    if (text_.size() > kCsvBytesMax)
      return error(limit, 1, fmt::format("the file has more than {} bytes", kCsvBytesMax));
    if (text_.starts_with("\xef\xbb\xbf"))
      return error(invalid, 1, "the file begins with a byte order mark: save it without");
    size_t line = 1;
    for (size_t i = 0; i < text_.size();) {
      const char c = text_[i];
      if (c == '\r' && (i + 1 == text_.size() || text_[i + 1] != '\n'))
        return error(invalid, line, "a carriage return that ends no line");
      if ((static_cast<uint8_t>(c) < 0x20 && c != '\n' && c != '\r') || c == 0x7f)
        return error(invalid, line, "a control character");
      const size_t length = utf8_length(text_.substr(i));
      if (length == 0) return error(invalid, line, "bytes that are not UTF-8");
      if (c == '\n') line++;
      i += length;
    }
    return {};
  }

  bool skip_line_without_row() {
    const std::string_view rest = text_.substr(at_);
    if (rest[0] != '#' && rest[0] != '\n' && !rest.starts_with("\r\n")) return false;
    const size_t end = rest.find('\n');
    at_ = end == std::string_view::npos ? text_.size() : at_ + end + 1;
    line_++;
    return true;
  }

  Result<CsvRow> next_row() {
    CsvRow row{.line = line_, .fields = {}};
    for (;;) {
      if (row.fields.size() == kCsvColumnsMax)
        return error(limit, line_, fmt::format("a row of more than {} fields", kCsvColumnsMax));
      ASSIGN_OR_RETURN(std::string field, next_field());
      row.fields.push_back(std::move(field));
      if (at_ < text_.size() && text_[at_] == ',') {
        at_++;
        continue;
      }
      if (text_.substr(at_).starts_with("\r\n")) at_++;
      if (at_ < text_.size()) at_++;  // the LF: next_field stops nowhere else
      line_++;
      return row;
    }
  }

  Result<std::string> next_field() {
    const bool quoted = at_ < text_.size() && text_[at_] == '"';
    ASSIGN_OR_RETURN(std::string field, quoted ? quoted_field() : plain_field());
    if (field.size() > kCsvFieldMax)
      return error(limit, line_, fmt::format("a field of more than {} bytes", kCsvFieldMax));
    if (!field.empty() && (field.front() == ' ' || field.back() == ' '))
      return error(invalid, line_, fmt::format("blanks around \"{}\"", field));
    if (field.find_first_of("\r\n") != std::string::npos)
      return error(invalid, line_, "a field that goes over the end of its line");
    return field;
  }

  Result<std::string> plain_field() {
    const size_t end = std::min(text_.find_first_of(",\n\"", at_), text_.size());
    if (end < text_.size() && text_[end] == '"')
      return error(invalid, line_,
                   "a quote inside a field: put the whole field in quotes and write the quote twice");
    size_t length = end - at_;
    if (length > 0 && text_[end - 1] == '\r') length--;
    std::string field(text_.substr(at_, length));
    at_ += length;
    return field;
  }

  Result<std::string> quoted_field() {
    std::string field;
    for (at_++;;) {
      const size_t end = text_.find('"', at_);
      if (end == std::string_view::npos) return error(invalid, line_, "a quote that is not closed");
      field += text_.substr(at_, end - at_);
      at_ = end + 1;
      if (at_ < text_.size() && text_[at_] == '"') {
        field += '"';
        at_++;
        continue;
      }
      const std::string_view rest = text_.substr(at_);
      if (rest.empty() || rest[0] == ',' || rest[0] == '\n' || rest.starts_with("\r\n")) return field;
      return error(invalid, line_, "text after the quote that closes a field");
    }
  }

  Result<void> take_header(CsvRow row) {
    for (size_t i = 0; i < row.fields.size(); i++) {
      if (row.fields[i].empty()) return error(invalid, row.line, "a column without a name");
      if (std::ranges::count(row.fields, row.fields[i]) > 1)
        return error(invalid, row.line, fmt::format("the column {} is named twice", row.fields[i]));
    }
    csv_.header_line = row.line;
    csv_.columns = std::move(row.fields);
    return {};
  }

  std::string_view text_, file_;
  size_t at_ = 0, line_ = 1;
  Csv csv_;
};

}  // namespace

Result<Csv> parse_csv(std::string_view text, std::string_view file) {
  return Reader(text, file).run();
}

}  // namespace archipel::exposure
