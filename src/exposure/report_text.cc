// The report for a terminal: one table per question, in words a reader needs no manual for.

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "exposure/report_parts.h"

namespace archipel::exposure {
namespace {

constexpr int kColumnsMin = 40;
constexpr size_t kCoalitionsShown = 6;  // of one policy and question
constexpr size_t kRowsShown = 30;       // of holdings and sensitivities

std::string joined(std::span<const std::string> words, std::string_view between) {
  return fmt::format("{}", fmt::join(words, between));
}

std::string title(std::string_view text, int columns) {
  return '\n' + wrapped(text, columns, 0) + '\n';
}

std::string number_or(const std::optional<int>& value, std::string_view otherwise) {
  return value ? std::to_string(*value) : std::string(otherwise);
}

std::string code_text(const Code& code) {
  return fmt::format("{} of {}", code.k, code.n);
}

// "CN + FR + US, DE + FR + US and 23 others", the smallest first.
std::string who(const NamedCoalitions& named) {
  if (!named.min) return "nobody can";
  if (*named.min == 0) return "already so";
  std::vector<std::vector<std::string>> list = named.coalitions;
  std::ranges::sort(
      list, [](const auto& a, const auto& b) { return a.size() != b.size() ? a.size() < b.size() : a < b; });
  std::string out;
  const size_t shown = std::min(list.size(), kCoalitionsShown);
  for (size_t i = 0; i < shown; ++i) out += (i > 0 ? "; " : "") + joined(list[i], " + ");
  const size_t rest = list.size() - shown;
  if (rest > 0) out += fmt::format(" and {} other{}", rest, rest == 1 ? "" : "s");
  return out;
}

// Where the owner's own states are in it: how many it takes of the others alone.
std::string abroad_text(const std::vector<NamedAnswer>& answers, const std::vector<StateCode>& home,
                        int columns) {
  TextTable table({"POLICY", "READ", "CUT"});
  for (const NamedAnswer& answer : answers)
    if (answer.read.abroad != answer.read.min || answer.cut.abroad != answer.cut.min)
      table.add({answer.placing.policy, number_or(answer.read.abroad, "nobody can"),
                 number_or(answer.cut.abroad, "nobody can")});
  if (table.empty()) return wrapped("The same without the owner's own: " + joined(home, ", "), columns, 2);
  return wrapped("Without the owner's own, " + joined(home, ", ") + ":", columns, 2) + '\n' +
         table.render(columns, 2);
}

std::string policies_text(const std::vector<NamedAnswer>& answers, const std::vector<StateCode>& home,
                          int columns) {
  std::string out;
  TextTable store({"POLICY", "NEEDED", "ISLANDS, BY SHARD"});
  TextTable table({"POLICY", "READ", "BY THESE TOGETHER", "CUT", "BY THESE TOGETHER"});
  for (const NamedAnswer& answer : answers) {
    store.add({answer.placing.policy, code_text(answer.placing.code), joined(answer.placing.islands, ", ")});
    table.add({answer.placing.policy, number_or(answer.read.min, "-"), who(answer.read),
               number_or(answer.cut.min, "-"), who(answer.cut)});
  }
  out += title("Store: where the shards of a policy lie", columns) + store.render(columns, 2);
  out += title("Read and cut: how many must act together, and the smallest who can", columns) +
         table.render(columns, 2);
  if (!home.empty()) out += '\n' + abroad_text(answers, home, columns);
  for (const NamedAnswer& answer : answers)
    for (const std::string& warning : answer.warnings) out += wrapped("warning: " + warning, columns, 2);
  return out;
}

std::string holding_name(const Holding& holding) {
  if (holding.bucket.empty()) return "(journal)";
  return holding.bucket + (holding.in_commits ? " (small bodies)" : "");
}

std::string unconfirmed(const Holding& holding) {
  std::vector<std::string> out;
  for (size_t i = 0; i < holding.islands.size() && i < 32; ++i)
    if ((holding.confirmed >> i & 1) == 0) out.push_back(holding.islands[i]);
  return out.empty() ? "" : joined(out, ", ");
}

std::string more_rows(size_t all) {
  return all > kRowsShown ? fmt::format("  and {} more; --json has them all\n", all - kRowsShown) : "";
}

std::string holdings_text(const Inventory& inventory, int columns) {
  if (inventory.holdings.empty()) return "";
  TextTable table({"BUCKET", "CLASS", "POLICY", "NEEDED", "OBJECTS", "BYTES", "STORED", "NOT CONFIRMED AT"});
  for (size_t i = 0; i < std::min(inventory.holdings.size(), kRowsShown); ++i) {
    const Holding& holding = inventory.holdings[i];
    table.add({holding_name(holding), holding.data_class.empty() ? "-" : holding.data_class, holding.policy,
               code_text(holding.code), count_text(holding.objects),
               bytes_text(static_cast<double>(holding.bytes)),
               bytes_text(static_cast<double>(holding.stored_bytes)), unconfirmed(holding)});
  }
  return title("What lies there", columns) + table.render(columns, 2) + more_rows(inventory.holdings.size());
}

std::string help_text(bool alone, const std::optional<int>& help, std::string_view verb) {
  if (alone) return fmt::format("{} alone", verb);
  if (!help) return fmt::format("never {}, whoever helps", verb);
  return fmt::format("{} with {} other{}", verb, *help, *help == 1 ? "" : "s");
}

Result<std::string> adversaries_text(const ReportInput& input, int columns) {
  if (input.adversaries.empty()) return "";
  ASSIGN_OR_RETURN(std::vector<NamedAdversary> list, adversaries_of(input));
  TextTable table({"ADVERSARY", "POLICY", "READ", "CUT", "DEGRADE"});
  for (const auto& [policy, adversary] : list)
    table.add({adversary.id, policy, help_text(adversary.reads, adversary.read_help, "reads"),
               help_text(adversary.cuts, adversary.cut_help, "cuts"),
               adversary.degrades ? "degrades alone" : "not alone"});
  return title("Named adversaries", columns) + table.render(columns, 2);
}

std::vector<std::string> transfer_row(std::string_view name, const Transfer& transfer) {
  std::vector<std::string> row = {std::string(name), bytes_text(static_cast<double>(transfer.bytes))};
  if (transfer.bytes == 0) {
    row.resize(row.size() + transfer.seconds.size() + 1, "-");
    return row;
  }
  for (const double seconds : transfer.seconds) row.push_back(duration_text(seconds));
  row.push_back(money_text(transfer.cost));
  return row;
}

std::string objects_text(uint64_t count) {
  return count_text(count) + (count == 1 ? " object" : " objects");
}

std::string then_text(const BanOfHolding& item) {
  if (item.unavailable) return "unavailable";
  std::string out = item.tolerance == 0   ? "readable, bears no further loss"
                    : item.tolerance == 1 ? "readable, bears one more loss"
                                          : fmt::format("readable, bears {} more losses", item.tolerance);
  return item.writable ? out : out + "; not writable";
}

// What of each bucket is left, worst first.
std::string ban_holdings_text(const BanReport& ban, int columns) {
  if (ban.holdings.empty()) return "  Nothing that is counted loses anything.\n";
  TextTable table({"BUCKET", "POLICY", "BYTES", "SHARDS LOST", "LEFT", "NEEDED", "THEN"});
  for (size_t i = 0; i < std::min(ban.holdings.size(), kRowsShown); ++i) {
    const BanOfHolding& item = ban.holdings[i];
    table.add({holding_name(item.holding), item.holding.policy,
               bytes_text(static_cast<double>(item.holding.bytes)), std::to_string(item.lost),
               std::to_string(item.left), std::to_string(item.holding.code.k), then_text(item)});
  }
  return table.render(columns, 2) + more_rows(ban.holdings.size());
}

std::string ways_text(const BanReport& ban, const std::vector<double>& bandwidths, int columns) {
  std::vector<std::string> heads = {"WAY", "BYTES"};
  const size_t times = std::max(ban.copy_out.seconds.size(), ban.rebuild_around.seconds.size());
  for (size_t i = 0; i < times; ++i)
    heads.push_back(i < bandwidths.size() ? "AT " + bandwidth_text(bandwidths[i]) : "TIME");
  heads.emplace_back("EGRESS COST");
  TextTable table(heads);
  for (auto row : {transfer_row("copy out, while it answers", ban.copy_out),
                   transfer_row("rebuild from the others", ban.rebuild_around)}) {
    row.resize(heads.size());
    table.add(std::move(row));
  }
  std::string out = table.render(columns, 2);
  std::set<std::string> unpriced(ban.copy_out.unpriced.begin(), ban.copy_out.unpriced.end());
  unpriced.insert(ban.rebuild_around.unpriced.begin(), ban.rebuild_around.unpriced.end());
  if (!unpriced.empty())
    out += wrapped(fmt::format("No price of egress is known for {}.", fmt::join(unpriced, ", ")), columns, 2);
  if (ban.rebuild_around.bytes == 0 && ban.unavailable_objects > 0)
    out += wrapped("What is unavailable cannot be rebuilt from the others: too few shards are left there.",
                   columns, 2);
  return out;
}

std::string ban_text(const BanReport& ban, bool counted, const std::vector<double>& bandwidths, int columns) {
  std::string out = title(fmt::format("The price of a ban: {} {}", ban.kind, ban.target), columns);
  auto say = [&](const std::string& text) { out += wrapped(text, columns, 2); };
  say(ban.islands.empty() ? "It takes no island." : "It takes: " + joined(ban.islands, ", ") + ".");
  if (!ban.keyholders.empty()) say("Key holders: " + joined(ban.keyholders, ", ") + ".");
  if (!ban.gateways.empty()) say("Gateways: " + joined(ban.gateways, ", ") + ".");
  if (!ban.names.empty()) say("Names: " + joined(ban.names, ", ") + ".");
  if (ban.keys_lost) say("Too few key holders are left to open anything.");
  if (ban.gateways_lost) say("No gateway is left: clients reach nothing.");
  if (ban.read_only)
    say("Too few islands of the journal are left to confirm a commit: nothing can be written, to any "
        "bucket.");
  if (counted) {
    say(fmt::format("Unavailable: {}, {}. Degraded: {}, {}.", objects_text(ban.unavailable_objects),
                    bytes_text(static_cast<double>(ban.unavailable_bytes)),
                    objects_text(ban.degraded_objects), bytes_text(static_cast<double>(ban.degraded_bytes))));
    out += '\n' + ban_holdings_text(ban, columns);
    if (ban.copy_out.bytes > 0) out += '\n' + ways_text(ban, bandwidths, columns);
  } else {
    say("How many bytes that is, nobody counts here: the figures of leaving are for what is kept.");
  }
  if (!ban.advice.empty()) out += "\n  What to change:\n";
  for (const std::string& advice : ban.advice) out += wrapped(advice, columns, 4);
  return out;
}

std::string moves_text(const std::vector<Move>& moves, int columns) {
  if (moves.empty()) return "";
  TextTable table({"BUCKET", "POLICY", "FROM", "TO", "BYTES", "COST", "BECAUSE"});
  for (const Move& move : moves)
    table.add({holding_name(move.from), move.to.policy,
               code_text(move.from.code) + ": " + joined(move.from.islands, ", "),
               code_text(move.to.code) + ": " + joined(move.to.islands, ", "),
               bytes_text(static_cast<double>(move.bytes)), money_text(move.cost),
               move.reasons.empty() ? "the solver knows a better place" : joined(move.reasons, "; ")});
  return title("What has to move", columns) + table.render(columns, 2);
}

std::string change(const std::optional<int>& now, const std::optional<int>& then) {
  if (now == then) return number_or(now, "nobody");
  return number_or(now, "nobody") + " -> " + number_or(then, "nobody");
}

Result<std::string> sensitivity_text(const ReportInput& input, int columns) {
  ASSIGN_OR_RETURN(std::vector<Sensitivity> list, sensitivities(facts_with_placings(input)));
  if (list.empty()) return "";
  TextTable table({"IF THIS IS FALSE", "LEVEL", "POLICY", "READ", "CUT"});
  for (size_t i = 0; i < std::min(list.size(), kRowsShown); ++i) {
    const Sensitivity& item = list[i];
    table.add({fmt::format("{}: {} by {}", item.party, item.edge.state, to_string(item.edge.basis)),
               std::string(to_string(item.edge.level)), item.policy, change(item.rho, item.rho_without),
               change(item.delta, item.delta_without)});
  }
  return title("What the answers hang on: declared and assumed facts", columns) + table.render(columns, 2) +
         more_rows(list.size());
}

std::string assumed_text(const std::vector<std::string>& notes, int columns) {
  std::string out = title("What was assumed", columns);
  if (notes.empty()) return out + "  nothing\n";
  for (const std::string& note : notes) out += wrapped(note, columns, 2);
  return out;
}

std::string head_text(const ReportInput& input, int columns) {
  const Facts& facts = input.file.facts;
  std::string out = wrapped(
      fmt::format("Exposure as of {}, by the facts of {}: {} island{}, {} key holder{}{}, {} gateway{}",
                  input.date, input.file.file, facts.islands.size(), facts.islands.size() == 1 ? "" : "s",
                  facts.keyholders.size(), facts.keyholders.size() == 1 ? "" : "s",
                  facts.keyholders.empty() ? "" : fmt::format(" ({} open)", facts.keys_threshold),
                  facts.gateways.size(), facts.gateways.size() == 1 ? "" : "s"),
      columns, 0);
  if (facts.keyholders.empty())
    out += wrapped(
        "No key holders are declared: Read counts who reaches enough sealed shards, not what opens them",
        columns, 0);
  std::vector<std::string> blocs;
  for (const Bloc& bloc : facts.blocs)
    if (bloc.enabled) blocs.push_back(bloc.id);
  if (!blocs.empty()) out += wrapped("States counted as one: " + joined(blocs, ", "), columns, 0);
  for (const Gateway& gateway : facts.gateways)
    if (gateway.plaintext)
      out += wrapped(fmt::format("Gateway {} sees plaintext: whoever reaches it reads alone", gateway.id),
                     columns, 0);
  return out;
}

}  // namespace

Result<std::string> report_text(const ReportInput& input, int columns) {
  columns = std::max(columns, kColumnsMin);
  ASSIGN_OR_RETURN(std::vector<NamedAnswer> answers, answers_of(input));
  ASSIGN_OR_RETURN(std::string adversaries, adversaries_text(input, columns));
  ASSIGN_OR_RETURN(std::string hang_on, sensitivity_text(input, columns));
  std::string out = head_text(input, columns);
  if (!answers.empty()) out += policies_text(answers, input.file.facts.home, columns);
  out += holdings_text(input.inventory, columns) + adversaries;
  for (const BanReport& ban : input.bans)
    out += ban_text(ban, !input.inventory.holdings.empty(), input.bits_per_second, columns);
  out += moves_text(input.moves, columns) + hang_on + assumed_text(input.file.notes, columns);
  return out;
}

}  // namespace archipel::exposure
