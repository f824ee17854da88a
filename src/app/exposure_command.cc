#include "app/exposure_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "exposure/engine.h"
#include "exposure/facts_file.h"
#include "exposure/report.h"

namespace archipel::app {
namespace {

using namespace exposure;

constexpr size_t kShownMax = 5;  // coalitions of one answer in a table; --json has them all

int failed(const Error& error) {
  fmt::print(stderr, "archipel: {}\n", error.message);
  return 1;
}

// Results are for stdout; what was assumed is for the person.
int print(const Result<std::string>& text) {
  if (!text) return failed(text.error());
  std::fwrite(text->data(), 1, text->size(), stdout);
  std::fputc('\n', stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

std::string answer_line(const Lens& lens, const std::vector<Coalition>& coalitions) {
  if (coalitions.empty()) return "nobody";
  std::string out =
      fmt::format("{} together; {} ways: ", std::popcount(coalitions.front()), coalitions.size());
  for (size_t i = 0; i < std::min(coalitions.size(), kShownMax); ++i)
    out += fmt::format("{}{}", i == 0 ? "" : ", ", fmt::join(lens.names(coalitions[i]), "+"));
  return out + (coalitions.size() > kShownMax ? ", …" : "");
}

Result<std::string> facts_text(const FactsFile& file) {
  ASSIGN_OR_RETURN(std::vector<Answer> answers, expose_all(file.facts, file.facts.placings));
  std::string out;
  for (size_t i = 0; i < answers.size(); ++i) {
    const Placing& placing = file.facts.placings[i];
    out += fmt::format("policy {}: any {} of {} shards, on {}\n", placing.policy, placing.code.k,
                       placing.code.n, fmt::join(placing.islands, ", "));
    out += fmt::format("  read  {}\n", answer_line(answers[i].lens, answers[i].exposure.read));
    out += fmt::format("  cut   {}\n", answer_line(answers[i].lens, answers[i].exposure.cut));
  }
  for (const std::string& note : file.notes) out += note + "\n";
  if (!out.empty()) out.pop_back();
  return out;
}

}  // namespace

void add_exposure_command(CLI::App& app, ExposureCommand& command) {
  CLI::App* exposure = app.add_subcommand("exposure", "who can read what is kept, and who can cut it off");
  exposure->footer("Example: archipel exposure --facts facts.toml --json");
  exposure->add_option("--facts", command.facts, "a file of facts and policies; no cloud is needed")
      ->required();
  auto* json = exposure->add_flag("--json", command.json, "the answers as JSON, and nothing else");
  exposure->add_flag("--certificates", command.certificates, "JSON with the reason for every coalition")
      ->excludes(json);
  exposure->callback([&command] { command.given = true; });
}

int run_exposure_command(const ExposureCommand& command) {
  auto file = load_facts(command.facts);
  if (!file) return failed(file.error());
  if (command.certificates) return print(certificates_json(file->facts));
  if (command.json) return print(facts_json(file->facts));
  return print(facts_text(*file));
}

}  // namespace archipel::app
