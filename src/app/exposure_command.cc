#include "app/exposure_command.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>

#include "app/exposure_data.h"
#include "app/exposure_input.h"
#include "app/process.h"

namespace archipel::app {
namespace {

using namespace exposure;

constexpr int kColumns = 100;     // where the terminal does not say
constexpr size_t kAskedMax = 16;  // adversaries, bans, bandwidths: of each

int misused(const std::string& what) {
  fmt::print(stderr, "archipel: {}; see archipel exposure --help\n", what);
  return 2;
}

int print(const Result<std::string>& text) {
  if (!text) return failed(text.error());
  std::fwrite(text->data(), 1, text->size(), stdout);
  if (!text->ends_with('\n')) std::fputc('\n', stdout);
  return std::fflush(stdout) == 0 ? 0 : failed(Error{archipel::Code::io, "stdout cannot be written", {}});
}

int columns() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kColumns;
}

// Whole or not at all: a page that was there stays until the new one is.
Result<void> write_page(const std::string& path, const std::string& page) {
  const std::string temporary = path + ".new";
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  out << page;
  out.close();
  if (!out || std::rename(temporary.c_str(), path.c_str()) != 0) {
    int reason = errno;
    std::remove(temporary.c_str());
    return fail_errno(reason, "the page " + path + " cannot be written");
  }
  return {};
}

int page(const ExposureCommand& command, const ReportInput& input) {
  auto html = report_html(input, command.language);
  if (!html) return failed(html.error());
  if (auto written = write_page(command.html, *html); !written) return failed(written.error());
  fmt::print(stderr, "Written: {} ({} KiB). Open it in a browser; it loads nothing from elsewhere.\n",
             command.html, (html->size() + 1023) / 1024);
  return 0;
}

// What is kept otherwise than its policy says is judged as well, as it lies.
Result<std::string> text(ReportInput input) {
  std::vector<Placing> stored = placings_as_stored(input);
  std::vector<Placing>& placings = input.file.facts.placings;
  placings.insert(placings.end(), stored.begin(), stored.end());
  return report_text(input, columns());
}

int misuse(const ExposureCommand& command) {
  int places = !command.facts.empty() + !command.file.empty() + !command.dir.empty();
  if (places != 1) return misused("say what about: --facts FILE, --config FILE or --dir DIR, one of them");
  if (!command.facts.empty() && (!command.bucket.empty() || !command.data_class.empty()))
    return misused("--bucket and --class are of a cloud: use --config or --dir with them");
  if (command.facts.empty() && command.certificates) return misused("--certificates is for --facts FILE");
  if (command.certificates && (!command.bans.empty() || !command.adversaries.empty()))
    return misused("--certificates is of the coalitions alone: leave out --ban and --adversary");
  for (const auto* asked : {&command.adversaries, &command.bans, &command.bandwidths})
    if (asked->size() > kAskedMax)
      return misused(fmt::format("at most {} adversaries, bans and bandwidths are asked at once", kAskedMax));
  for (const std::string& bandwidth : command.bandwidths)
    if (!parse_bandwidth(bandwidth))
      return misused(fmt::format("--bandwidth '{}' is not bits per second such as 1G or 500M", bandwidth));
  return 0;
}

}  // namespace

void add_exposure_command(CLI::App& app, ExposureCommand& command) {
  CLI::App* exposure = app.add_subcommand("exposure", "who can read what is kept, and who can cut it off");
  exposure->footer(
      "Example: archipel exposure --dir archipel-demo --adversary US\n"
      "         archipel exposure --dir archipel-demo --ban aws --ban DE --bandwidth 2.5G\n"
      "         archipel exposure --config /etc/archipel/archipel.toml --class personal --html "
      "exposure.html\n"
      "         archipel exposure --facts facts.toml --json");
  exposure->add_option("--facts", command.facts, "a file of facts and policies; no cloud is needed");
  exposure->add_option("--config", command.file, "the gateway's archipel.toml");
  exposure->add_option("--dir", command.dir, "a demo's directory, instead of --config");
  exposure->add_option("--bucket", command.bucket, "only this bucket");
  exposure->add_option("--class", command.data_class,
                       "only buckets of this data class: personal, intellectual-property, public, own, …");
  exposure
      ->add_option("--adversary", command.adversaries,
                   "a state, a bloc or a provider: what it can do alone, and with how little help")
      ->expected(1, kAskedMax)
      ->delimiter(',');
  exposure
      ->add_option("--ban", command.bans,
                   "an island, a provider, a state or a bloc that is gone tomorrow: what is lost, and what "
                   "leaving takes and costs. May be given again: each is reckoned by itself")
      ->expected(1, kAskedMax)
      ->delimiter(',');
  exposure
      ->add_option("--bandwidth", command.bandwidths,
                   "of a link, in bits per second, for the times of --ban (default: 1G and 10G)")
      ->expected(1, kAskedMax)
      ->delimiter(',');
  exposure->add_option("--html", command.html, "write the report as one page for a browser to this file");
  exposure->add_option("--lang", command.language, "the page's language: en or fr")
      ->check(CLI::IsMember({"en", "fr"}))
      ->capture_default_str();
  auto* json =
      exposure->add_flag("--json", command.json,
                         "JSON: of facts alone, the coalitions and nothing else; otherwise the whole report");
  exposure
      ->add_flag("--certificates", command.certificates,
                 "JSON with the reason for every coalition of --facts")
      ->excludes(json);
  exposure->add_option("--check-data", command.check_data,
                       "only check the CSV files of a directory that [facts] data names (data/README.md)");
  exposure->callback([&command] { command.given = true; });
}

int run_exposure_command(const ExposureCommand& command) {
  if (!command.check_data.empty()) return print(data_summary(command.check_data));
  if (int wrong = misuse(command); wrong != 0) return wrong;
  auto input = exposure_input(command);
  if (!input) return failed(input.error());
  if (command.certificates) return print(certificates_json(input->file.facts));
  bool more = !command.facts.empty() && (!command.adversaries.empty() || !command.bans.empty());
  if (!command.html.empty())
    if (int code = page(command, *input); code != 0 || !command.json) return code;
  if (!command.json) return print(text(std::move(*input)));
  return print(command.facts.empty() || more ? report_json(*input) : facts_json(input->file.facts));
}

}  // namespace archipel::app
