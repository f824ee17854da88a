#include "app/move_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

#include "app/inventory.h"
#include "app/placements.h"
#include "base/json.h"

namespace archipel::app {
namespace {

std::string json_of(const exposure::Move& move) {
  JsonWriter json;
  json.begin_object().key("event").text("elsewhere").key("bucket").text(move.from.bucket);
  json.key("policy").text(move.to.policy);
  json.key("code").begin_array().number(move.from.code.n).number(move.from.code.k).end_array();
  json.key("islands").texts(move.from.islands);
  json.key("objects").number(move.from.objects).key("bytes").number(move.from.bytes);
  json.key("to_code").begin_array().number(move.to.code.n).number(move.to.code.k).end_array();
  json.key("to_islands").texts(move.to.islands).key("move_bytes").number(move.bytes);
  if (move.cost) json.key("move_dollars").number(*move.cost);
  if (!move.reasons.empty()) json.key("reasons").texts(move.reasons);
  json.end_object();
  return json.str();
}

std::string text_of(const exposure::Move& move) {
  std::string out = fmt::format(
      "elsewhere    {} objects, {} bytes: any {} of {} shards, on {}; they stay there until they are written "
      "again",
      move.from.objects, move.from.bytes, move.from.code.k, move.from.code.n,
      fmt::join(move.from.islands, ", "));
  out += fmt::format("\n             to move them: {} bytes to write on {}, {}", move.bytes,
                     fmt::join(move.to.islands, ", "),
                     move.cost ? fmt::format("{:.2f} US dollars to read them", *move.cost)
                               : "and a price of reading that is not known");
  for (const std::string& reason : move.reasons) out += "\n             because " + reason;
  return out;
}

}  // namespace

Result<void> print_move_plan(const Config& config, const std::string& bucket, bool json) {
  ASSIGN_OR_RETURN(exposure::FactsFile file, exposure::load_config_facts(config.file));
  std::vector<std::string> roster;
  for (const IslandConfig& island : config.islands) roster.push_back(island.id);
  ASSIGN_OR_RETURN(SolvedPolicies solved, solve_policies(std::move(file), config, roster));
  ASSIGN_OR_RETURN(exposure::Inventory inventory, ask_inventory(config));
  std::erase_if(inventory.holdings,
                [&](const exposure::Holding& holding) { return holding.bucket != bucket; });
  ASSIGN_OR_RETURN(std::vector<exposure::Move> moves, moves_of(solved, inventory));
  for (const exposure::Move& move : moves) fmt::print("{}\n", json ? json_of(move) : text_of(move));
  if (moves.empty() && !json) fmt::print("elsewhere    nothing\n");
  return {};
}

}  // namespace archipel::app
