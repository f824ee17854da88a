// The page: the template of web/exposure with its style, its scripts in the order of modules.txt, the map and the report put in.

#include <algorithm>

#include "base/check.h"
#include "base/embedded.h"
#include "exposure/report_parts.h"

namespace archipel::exposure {

std::span<const EmbeddedFile> embedded_page();

namespace {

std::string_view page_file(std::string_view name) {
  const std::span<const EmbeddedFile> files = embedded_page();
  const auto found = std::ranges::find(files, name, &EmbeddedFile::name);
  CHECK(found != files.end());
  return found->text;
}

std::string scripts() {
  std::string out;
  std::string_view list = page_file("modules.txt");
  while (!list.empty()) {
    const size_t end = std::min(list.find('\n'), list.size());
    if (end > 0) out += page_file(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return out;
}

// JSON has "<" only inside strings, where an escape means the same: nothing in it can end the element or open a comment.
std::string inside_script(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}

}  // namespace

Result<std::string> report_html(const ReportInput& input, const std::string& language) {
  if (language != "en" && language != "fr")
    return fail(archipel::Code::invalid, "the page speaks \"en\" or \"fr\", not \"" + language + "\"");
  ASSIGN_OR_RETURN(std::string report, report_json_with(input, States::all));
  std::string out;
  std::string_view rest = page_file("page.html");
  // What is put in is not looked at again: a name in the facts may read "@STYLE@".
  while (!rest.empty()) {
    const size_t at = std::min(rest.find('@'), rest.size());
    out += rest.substr(0, at);
    rest.remove_prefix(at);
    if (rest.empty()) break;
    const size_t end = rest.find('@', 1);
    CHECK(end != std::string_view::npos);
    const std::string_view name = rest.substr(1, end - 1);
    if (name == "LANGUAGE")
      out += language;
    else if (name == "STYLE")
      out += page_file("page.css");
    else if (name == "SCRIPT")
      out += scripts();
    else if (name == "REPORT")
      out += inside_script(report);
    else if (name == "MAP")
      out += inside_script(world_map());
    else
      CHECK(false);
    rest.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace archipel::exposure
