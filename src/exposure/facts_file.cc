#include "exposure/facts_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/text_file.h"
#include "exposure/facts_loader.h"

namespace archipel::exposure {
namespace {

constexpr std::array<std::string_view, 8> kTables = {"facts", "keyholder", "keys",  "gateway",
                                                     "name",  "bloc",      "class", "policy"};

// The directory of [facts] data, from the file's own; empty: what is built in.
Result<std::string> data_directory(const TomlValue& document, const std::string& file) {
  const TomlValue* facts = document.get("facts");
  if (facts == nullptr || !facts->is(TomlValue::Kind::table)) return std::string();
  TomlTable t(file, *facts, "[facts]");
  std::string data;
  RETURN_IF_ERROR(t.text("data", data));
  if (data.empty()) return data;
  return (std::filesystem::path(file).parent_path() / data).lexically_normal().string();
}

Result<FactsFile> load(const std::string& file, bool config) {
  ASSIGN_OR_RETURN(std::string text, read_text_file(file, "file of facts", kFactsBytesMax));
  ASSIGN_OR_RETURN(TomlValue document, parse_toml(text, file));
  ASSIGN_OR_RETURN(std::string data, data_directory(document, file));
  ASSIGN_OR_RETURN(auto world, World::load(data));
  return FactsLoader(file, std::move(world), config).load(document);
}

}  // namespace

Result<FactsFile> load_facts(const std::string& file) {
  return load(file, false);
}
Result<FactsFile> load_config_facts(const std::string& file) {
  return load(file, true);
}
Result<FactsFile> parse_facts(std::string_view text, const std::string& file,
                              std::shared_ptr<const World> world, bool config) {
  ASSIGN_OR_RETURN(TomlValue document, parse_toml(text, file));
  return FactsLoader(file, std::move(world), config).load(document);
}

bool is_facts_table(std::string_view name) {
  return std::ranges::find(kTables, name) != kTables.end();
}
bool is_facts_key(std::string_view table, std::string_view key) {
  return (table == "island" && (key == "region" || key == "reach")) || (table == "owner" && key == "home");
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

Result<void> free_text(TomlTable& t, std::string_view key, std::string& out, bool required) {
  RETURN_IF_ERROR(t.text(key, out, required));
  if (is_printable(out)) return {};
  return t.error(*t.take(key), fmt::format("`{}` holds a control character", key));
}

bool is_party_id(std::string_view id) {
  auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  return !id.empty() && id.size() <= 63 && std::ranges::all_of(id, fits);
}

Result<FactsFile> FactsLoader::load(const TomlValue& document) {
  TomlTable root(file_, document, "the top level");
  out_.file = file_;
  out_.world = world_;
  for (std::string_view table : kTables) asked_ = asked_ || document.get(table) != nullptr;
  asked_ = asked_ || !config_;
  RETURN_IF_ERROR(section(root, "facts", true, [](TomlTable& t) -> Result<void> {
    std::string data;  // read before the world was
    return t.text("data", data);
  }));
  RETURN_IF_ERROR(islands(root));
  RETURN_IF_ERROR(keyholders(root));
  RETURN_IF_ERROR(gateways(root));
  RETURN_IF_ERROR(names(root));
  RETURN_IF_ERROR(blocs(root));
  RETURN_IF_ERROR(owner(root));
  RETURN_IF_ERROR(policies(root));
  RETURN_IF_ERROR(classes(root));
  if (!config_) RETURN_IF_ERROR(holdings(root));
  if (!config_) RETURN_IF_ERROR(root.finish());
  if (config_ && out_.policies.empty())
    out_.notes.push_back(
        fmt::format("{}: no [policy.NAME] is given: every bucket lies as the realm's code says", file_));
  if (config_ && out_.facts.gateways.empty())
    out_.notes.push_back(fmt::format(
        "{}: no [[gateway]] is given: who could reach the machine that holds the keys is not counted",
        file_));
  if (config_ && out_.facts.keyholders.empty())
    out_.notes.push_back(fmt::format(
        "{}: no [[keyholder]] is given: that islands hold sealed bytes only is not counted, and whoever has "
        "enough shards is taken to read them",
        file_));
  return std::move(out_);
}

}  // namespace archipel::exposure
