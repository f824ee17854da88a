// What the three forms of a report share: every placing with its answers, under names. Internal to report_*.cc.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "exposure/report.h"

namespace archipel::exposure {

// The minimal coalitions of one question: each sorted, and all of them as Python sorts lists of strings.
struct NamedCoalitions {
  std::optional<int> min;     // nothing: nobody can
  std::optional<int> abroad;  // of the smallest without a state of the owner's own; nothing: none of them can
  std::vector<std::vector<std::string>> coalitions;
};

struct NamedAnswer {
  Placing placing;
  std::vector<std::string> warnings;  // read bounds that do not hold
  NamedCoalitions read, cut, degrade;
};

// Placings of the facts, then those the solver found; each policy once.
std::vector<Placing> placings_of(const ReportInput& input);
Result<std::vector<NamedAnswer>> answers_of(const ReportInput& input);
// The input's facts with placings_of(input) for placings: what sensitivities are of.
Facts facts_with_placings(const ReportInput& input);
// One per adversary asked for and placing, in this order.
struct NamedAdversary {
  std::string policy;
  Adversary adversary;
};
Result<std::vector<NamedAdversary>> adversaries_of(const ReportInput& input);

enum class States : uint8_t { mentioned, all };
// report_json, with the names of these states.
Result<std::string> report_json_with(const ReportInput& input, States states);

// A table of text: columns two spaces apart, cells wrapped at spaces until the table is no wider than asked for, a rule of dashes under the
// heads; where that cannot be done, a list of heads and cells. Widths are counted in code points.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> heads) : heads_(std::move(heads)) {}
  // As many cells as heads.
  void add(std::vector<std::string> cells);
  // Every line indented by `indent`, without blanks at its end.
  std::string render(int columns, int indent = 0) const;
  bool empty() const { return rows_.empty(); }

 private:
  std::string as_list(int columns, int indent) const;
  std::vector<std::string> heads_;
  std::vector<std::vector<std::string>> rows_;
};

// `text` broken at spaces into lines of at most `columns`, each indented.
std::string wrapped(std::string_view text, int columns, int indent);

// "3.20 TB", "9.3 days", "$9,000"; "not known" for no money.
std::string bytes_text(double bytes);
std::string duration_text(double seconds);
std::string money_text(const std::optional<double>& dollars);
std::string count_text(uint64_t count);  // "1,234"
std::string bandwidth_text(double bits_per_second);

}  // namespace archipel::exposure
