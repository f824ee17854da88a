// Report: the answers as text for a terminal, JSON for programs, and one self-contained page for people. English or French.
//
// The JSON of facts alone has the fixed form that other programs rely on: {"policies":[{"policy":…,"read":{"min":3,"coalitions":[["CN",…],…]},
// "cut":{…}}]}, coalitions sorted, each as sorted names. Everything else of a report is in the form "archipel-exposure/1" (docs/exposure.md), which
// the page embeds: it recomputes every answer from the facts in it, with the same results.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "exposure/ban.h"
#include "exposure/facts_file.h"

namespace archipel::exposure {

struct ReportInput {
  FactsFile file;
  Inventory inventory;                   // empty for facts alone
  std::vector<Solution> solutions;       // by policy; facts form: empty
  std::vector<std::string> adversaries;  // asked for with --adversary
  std::vector<BanReport> bans;
  std::vector<double> bits_per_second = {
      1e9, 1e10};  // those of the bans' questions; the page reckons with them too
  std::vector<Move> moves;
  std::string date;  // "2026-11-22"
};

// The fixed form.
Result<std::string> facts_json(const Facts& facts);
// Every coalition of the fixed form with its certificate, "archipel-certificates/1": {"policies":[{"policy":…,"read":[{"coalition":["CN",…],
// "reaches":{"islands":[…],"keyholders":[…],"gateways":[…],"names":[…]},"alone":{"CN":{…what nobody else of them reaches…}},"reason":…}],"cut":[…]}]}.
Result<std::string> certificates_json(const Facts& facts);
// Form "archipel-exposure/1", on one line. Errors: those of the engine (limit; invalid: an island that the facts do not know; not_found: an
// adversary nobody knows). Pure; costs what the engine costs for every placing and, by far the most, for the sensitivities.
Result<std::string> report_json(const ReportInput& input);
// For a terminal `columns` wide (40..; less counts as 40). ASCII but for names; no colour. Lists that are long are cut and say how much is missing.
Result<std::string> report_text(const ReportInput& input, int columns);
// One file that loads nothing and runs from anywhere: report_json with every state of the world, the map, styles and scripts of web/exposure.
// `language`: "en" or "fr", the one the page opens in; invalid: another.
Result<std::string> report_html(const ReportInput& input, const std::string& language);

}  // namespace archipel::exposure
