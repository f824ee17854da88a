// Sheet: a CSV file of data/ whose columns are known, read row by row by their names, with errors that say where.
//
// Internal to `world`: what it reads is checked by world_loader.cc. References to a Sheet's rows live as long as the Sheet.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "exposure/csv.h"
#include "exposure/facts.h"

namespace archipel::exposure {

class Sheet {
 public:
  class Row {
   public:
    Row(const Sheet& sheet, const CsvRow& row) : sheet_(sheet), row_(row) {}
    std::string_view operator[](std::string_view column) const;  // one of those given to parse()
    Where where() const;                                         // "states.csv:12"
    std::unexpected<Error> error(std::string_view what) const;   // invalid
    // What may not be left out, a day that exists, a number within bounds.
    Result<std::string> text(std::string_view column) const;
    Result<std::string> date(std::string_view column) const;
    Result<double> number(std::string_view column, double min, double max) const;

   private:
    const Sheet& sheet_;
    const CsvRow& row_;
  };

  // The file must name these columns, in any order, and no others. `file` for messages.
  static Result<Sheet> parse(std::string_view text, std::string file,
                             std::initializer_list<std::string_view> columns);

  // Stops at the first row that `take(const Row&)` fails on.
  template <class F>
  Result<void> each(F&& take) const {
    for (const CsvRow& row : csv_.rows) RETURN_IF_ERROR(take(Row(*this, row)));
    return {};
  }
  const std::string& file() const { return file_; }

 private:
  std::string file_;
  Csv csv_;
};

// A fact said twice is an error, all the more if it is said differently.
class Once {
 public:
  // `key`, in any case, stands for the fact `what`, which is `value` here.
  Result<void> take(const Sheet::Row& row, const std::string& key, const std::string& value,
                    std::string_view what);

 private:
  struct Seen {
    std::string value;
    Where where;
  };
  std::map<std::string, Seen> seen_;
};

// ASCII letters in lower case.
std::string lower(std::string_view text);
// Only digits, letters of one case, and what `more` holds.
bool only(std::string_view text, std::string_view more, bool upper);

}  // namespace archipel::exposure
