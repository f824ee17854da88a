#include "app/exposure_input.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "app/config.h"
#include "app/inventory.h"
#include "app/placements.h"
#include "base/clock.h"
#include "exposure/policy.h"

namespace archipel::app {
namespace {

using namespace exposure;
using ErrorCode = archipel::Code;

constexpr double kBandwidthMax = 1e15;

std::string today() {
  std::chrono::sys_days day = std::chrono::floor<std::chrono::days>(
      std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(system_clock().unix_ms())));
  std::chrono::year_month_day date{day};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

Result<void> islands_are_known(const FactsFile& file) {
  for (const Party& island : file.facts.islands)
    if (island.edges.empty())
      return fail(
          ErrorCode::invalid,
          fmt::format("{}: nobody says whose law reaches island \"{}\": add place, operator and parent",
                      island.where, island.id));
  return {};
}

struct Cloud {
  ReportInput input;
  SolvedPolicies solved;
};

Result<Cloud> from_cloud(const ExposureCommand& command) {
  const std::string path = command.dir.empty() ? command.file : command.dir + "/archipel.toml";
  ASSIGN_OR_RETURN(Config config, load_config(path));
  Cloud out;
  ASSIGN_OR_RETURN(out.input.file, load_config_facts(path));
  RETURN_IF_ERROR(islands_are_known(out.input.file));
  std::vector<std::string> journal;
  journal.reserve(config.islands.size());
  for (const IslandConfig& island : config.islands) journal.push_back(island.id);
  ASSIGN_OR_RETURN(out.solved, solve_policies(out.input.file, config, journal));
  out.input.solutions = out.solved.solutions;
  if (auto inventory = ask_inventory(config)) {
    out.input.inventory = std::move(*inventory);
  } else {
    out.input.inventory.journal = std::move(journal);
    out.input.file.notes.push_back(
        fmt::format("what is kept is not known, only what the policies say: {}", inventory.error().message));
  }
  out.input.inventory.journal_quorum = std::max(config.code.k, config.code.n - config.code.k) + 1;
  return out;
}

// Leaves only what the chosen buckets need.
Result<void> choose(const ExposureCommand& command, ReportInput& input) {
  if (command.bucket.empty() && command.data_class.empty()) return {};
  auto chosen = [&](const Holding& holding) {
    return !holding.bucket.empty() && (command.bucket.empty() || holding.bucket == command.bucket) &&
           (command.data_class.empty() || holding.data_class == command.data_class);
  };
  std::erase_if(input.inventory.holdings, [&](const Holding& holding) { return !chosen(holding); });
  auto named = std::ranges::find(input.file.classes, command.data_class, &DataClass::name);
  bool standard =
      std::ranges::find(standard_data_classes(), command.data_class) != standard_data_classes().end();
  if (input.inventory.holdings.empty() && !command.bucket.empty())
    return fail(ErrorCode::not_found,
                fmt::format("nothing is known to be kept in a bucket \"{}\"{}", command.bucket,
                            command.data_class.empty() ? "" : " of class \"" + command.data_class + "\""));
  if (input.inventory.holdings.empty() && named == input.file.classes.end() && !standard)
    return fail(ErrorCode::not_found,
                fmt::format("there is no [class.{}], and nothing of that class is kept", command.data_class));
  std::vector<std::string> policies;
  policies.reserve(input.inventory.holdings.size() + 1);
  for (const Holding& holding : input.inventory.holdings) policies.push_back(holding.policy);
  if (command.bucket.empty())
    policies.push_back(named == input.file.classes.end() ? "default" : named->policy);
  std::erase_if(input.solutions, [&](const Solution& solution) {
    return std::ranges::find(policies, solution.placing.policy) == policies.end();
  });
  return {};
}

// Those asked for, or else those that the policies name. Sets of data/ are made known to the engine; providers get the id that the data give them.
void name_adversaries(const ExposureCommand& command, ReportInput& input) {
  std::vector<std::string> names = command.adversaries;
  if (names.empty())
    for (const Policy& policy : input.file.policies)
      for (const std::string& name : policy.adversaries)
        if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  Facts& facts = input.file.facts;
  for (std::string& name : names) {
    bool bloc = std::ranges::find(facts.blocs, name, &Bloc::id) != facts.blocs.end();
    if (const StateSet* set = input.file.world->set(name); set != nullptr && !bloc)
      facts.blocs.push_back({set->id, set->states, false, set->origin.where});
    else if (const ProviderFact* provider = input.file.world->provider(name); provider != nullptr && !bloc)
      name = provider->id;
  }
  input.adversaries = std::move(names);
}

// What bans are advised on: the policies of a config, or where a file of facts places things, as it stands there. Only those the report is about.
std::vector<Policy> advised_policies(const ReportInput& input) {
  std::vector<Policy> out;
  for (const Policy& policy : input.file.policies)
    if (std::ranges::any_of(input.solutions,
                            [&](const Solution& s) { return s.placing.policy == policy.name; }))
      out.push_back(policy);
  for (const Placing& placing : input.file.facts.placings) {
    out.emplace_back();
    out.back().name = placing.policy;
    out.back().code = placing.code;
    out.back().islands = placing.islands;
    out.back().where = placing.where;
  }
  return out;
}

// Those of the cloud, and those that a file of facts names.
std::vector<exposure::Code> known_codes(const ReportInput& input) {
  std::vector<exposure::Code> out(std::begin(kCodesKnown), std::end(kCodesKnown));
  for (const Placing& placing : input.file.facts.placings)
    if (std::ranges::find(out, placing.code) == out.end()) out.push_back(placing.code);
  return out;
}

Result<void> answer_bans(const ExposureCommand& command, ReportInput& input) {
  const std::vector<Policy> policies = advised_policies(input);
  const std::vector<exposure::Code> codes = known_codes(input);
  for (const std::string& target : command.bans) {
    // The page offers what the facts name: a list of data/ that is asked about is named with them.
    const std::string id = target.starts_with("bloc:") ? target.substr(5) : target;
    const StateSet* set = input.file.world->set(id);
    std::vector<Bloc>& blocs = input.file.facts.blocs;
    if (set != nullptr && std::ranges::find(blocs, id, &Bloc::id) == blocs.end())
      blocs.push_back({set->id, set->states, false, set->origin.where});
    ASSIGN_OR_RETURN(BanReport report, ban(input.file.facts, input.inventory, policies, codes,
                                           *input.file.world, {target, input.bits_per_second}));
    input.bans.push_back(std::move(report));
  }
  return {};
}

}  // namespace

Result<ReportInput> exposure_input(const ExposureCommand& command) {
  ReportInput out;
  if (!command.facts.empty()) {
    ASSIGN_OR_RETURN(out.file, load_facts(command.facts));
    out.inventory.holdings = out.file.holdings;
  } else {
    ASSIGN_OR_RETURN(Cloud cloud, from_cloud(command));
    out = std::move(cloud.input);
    RETURN_IF_ERROR(choose(command, out));
    ASSIGN_OR_RETURN(out.moves, moves_of(cloud.solved, out.inventory));
  }
  out.date = today();
  name_adversaries(command, out);
  if (!command.bandwidths.empty()) out.bits_per_second.clear();
  for (const std::string& text : command.bandwidths) out.bits_per_second.push_back(*parse_bandwidth(text));
  RETURN_IF_ERROR(answer_bans(command, out));
  return out;
}

std::vector<Placing> placings_as_stored(const ReportInput& input) {
  std::map<std::tuple<int, int, std::vector<std::string>, uint32_t>, std::vector<std::string>> buckets;
  std::map<std::string, const Placing*> said;
  for (const Solution& solution : input.solutions) said[solution.placing.policy] = &solution.placing;
  for (const Placing& placing : input.file.facts.placings) said[placing.policy] = &placing;
  for (const Holding& holding : input.inventory.holdings) {
    uint32_t all = (1u << holding.code.n) - 1;
    auto policy = said.find(holding.policy);
    bool as_said = policy != said.end() && policy->second->code == holding.code &&
                   policy->second->islands == holding.islands && (holding.confirmed & all) == all;
    if (as_said || holding.objects == 0) continue;
    std::vector<std::string>& names =
        buckets[{holding.code.n, holding.code.k, holding.islands, holding.confirmed | ~all}];
    const std::string name = holding.bucket.empty() ? "(journal)" : holding.bucket;
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  std::vector<Placing> out;
  for (const auto& [placed, names] : buckets) {
    const auto& [n, k, islands, confirmed] = placed;
    std::string more = names.size() > 1 ? fmt::format(" and {} more", names.size() - 1) : "";
    const bool journal = names.size() == 1 && names.front().starts_with('(');
    std::string name =
        journal ? names.front() : fmt::format("as stored: {}{}, {} of {}", names.front(), more, k, n);
    for (int again = 2; std::ranges::find(out, name, &Placing::policy) != out.end(); ++again)
      name = fmt::format("as stored: {}{}, {} of {} ({})", names.front(), more, k, n, again);
    out.push_back({std::move(name), {n, k}, islands, "", confirmed});
  }
  return out;
}

std::optional<double> parse_bandwidth(std::string_view text) {
  for (std::string_view unit : {"bit/s", "b/s"})
    if (text.ends_with(unit)) {
      text.remove_suffix(unit.size());
      break;
    }
  double factor = 1;
  constexpr std::pair<char, double> kUnits[] = {{'k', 1e3}, {'M', 1e6}, {'G', 1e9}, {'T', 1e12}};
  for (auto [unit, times] : kUnits)
    if (text.ends_with(unit)) {
      factor = times;
      text.remove_suffix(1);
      break;
    }
  while (text.ends_with(' ')) text.remove_suffix(1);
  double value = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + text.size() || !(value * factor >= 1) ||
      value * factor > kBandwidthMax)
    return std::nullopt;
  return value * factor;
}

}  // namespace archipel::app
