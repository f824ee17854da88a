// FactsLoader: one pass over a file of facts or a config. For facts_file.cc and its siblings only: facts_parties.cc (parties and their edges),
// facts_rules.cc (blocs, classes, policies), facts_holdings.cc (what is said to be kept).
#pragma once

#include <string>
#include <vector>

#include "base/toml.h"
#include "exposure/facts_file.h"

namespace archipel::exposure {

class FactsLoader {
 public:
  // `file` outlives it.
  FactsLoader(const std::string& file, std::shared_ptr<const World> world, bool config)
      : file_(file), world_(std::move(world)), config_(config) {}

  Result<FactsFile> load(const TomlValue& document);

 private:
  enum class Need : uint8_t { all, place, nothing };  // which of place, operator and parent must be known

  // facts_parties.cc
  Result<void> islands(TomlTable& root);
  Result<void> keyholders(TomlTable& root);
  Result<void> gateways(TomlTable& root);
  Result<void> names(TomlTable& root);
  Result<void> party(TomlTable& t, std::string_view kind, Need need, Party& out);
  Result<void> provider_of(TomlTable& t, Party& out);
  Result<void> reach(TomlTable& t, std::string_view kind, Party& out, std::vector<Edge>& said);
  Result<Edge> reach_entry(TomlTable& t, std::string_view kind, const Party& party);
  Result<void> add_reach(TomlTable& t, const TomlValue& at, Edge edge, std::vector<Edge>& said);
  Result<void> place(TomlTable& t, std::string_view kind, Need need, Party& out, std::vector<Edge>& said);
  Result<void> operator_and_parent(TomlTable& t, std::string_view kind, Need need, Party& out,
                                   std::vector<Edge>& said);
  Result<bool> stated(TomlTable& t, std::string_view key, Basis basis, Party& out, std::vector<Edge>& said);
  Result<StateCode> known_state(TomlTable& t, const TomlValue& at, const std::string& text) const;

  // facts_rules.cc
  Result<void> owner(TomlTable& root);
  Result<void> blocs(TomlTable& root);
  Result<void> bloc(TomlTable& t, Bloc& out);
  void add_known_blocs();
  Result<void> classes(TomlTable& root);
  Result<void> policies(TomlTable& root);
  Result<void> placing(TomlTable& t, const std::string& name);
  Result<void> policy(TomlTable& t, const std::string& name);
  Result<void> holdings(TomlTable& root);
  Result<void> holding(TomlTable& t, Holding& out) const;
  Result<Code> code(TomlTable& t, const TomlValue& at) const;
  Result<void> islands_of(TomlTable& t, std::vector<std::string>& out) const;
  Result<void> state_sets(TomlTable& t, std::string_view key, std::vector<std::string>& out) const;
  Result<void> adversaries(TomlTable& t, std::vector<std::string>& out) const;
  bool is_set(const std::string& id) const;
  bool is_provider(const std::string& id) const;

  // Hands each [[key]] table to `read`, at most `count_max`; `strict`: all of its keys must be ours.
  template <class F>
  Result<void> each(TomlTable& root, std::string_view key, size_t count_max, bool strict, F read) {
    const TomlValue* value = root.take(key);
    if (value == nullptr) return {};
    std::string name = "[[" + std::string(key) + "]]";
    if (!value->is(TomlValue::Kind::array))
      return root.error(*value, "`" + std::string(key) + "` must be tables: " + name);
    if (value->items.size() > count_max)
      return root.error(*value, "at most " + std::to_string(count_max) + " " + name + " tables are read");
    for (const TomlValue& item : value->items) {
      if (!item.is(TomlValue::Kind::table))
        return root.error(item, "`" + std::string(key) + "` must be tables: " + name);
      TomlTable t(file_, item, name);
      RETURN_IF_ERROR(read(t));
      if (strict) RETURN_IF_ERROR(t.finish());
    }
    return {};
  }
  // Hands the table [key] to `read`, if there is one.
  template <class F>
  Result<void> section(TomlTable& root, std::string_view key, bool strict, F read) {
    const TomlValue* value = root.take(key);
    if (value == nullptr) return {};
    if (!value->is(TomlValue::Kind::table))
      return root.error(*value, "`" + std::string(key) + "` must be a table: [" + std::string(key) + "]");
    TomlTable t(file_, *value, "[" + std::string(key) + "]");
    RETURN_IF_ERROR(read(t));
    return strict ? t.finish() : Result<void>{};
  }
  // The same for each [key.NAME], in the order of the file.
  template <class F>
  Result<void> each_named(TomlTable& root, std::string_view key, size_t count_max, F read) {
    return section(root, key, false, [&](TomlTable& all) -> Result<void> {
      if (all.value().entries.size() > count_max)
        return all.error("at most " + std::to_string(count_max) + " [" + std::string(key) +
                         ".NAME] tables are read");
      for (const TomlEntry& entry : all.value().entries) {
        std::string name = "[" + std::string(key) + "." + entry.key + "]";
        if (!entry.value.is(TomlValue::Kind::table)) return all.error(entry.value, name + " must be a table");
        TomlTable t(file_, entry.value, name);
        RETURN_IF_ERROR(read(t, entry.key));
        RETURN_IF_ERROR(t.finish());
      }
      return {};
    });
  }

  const std::string& file_;
  std::shared_ptr<const World> world_;
  bool config_;
  bool asked_ =
      false;  // the file says something about exposure, not only islands: then every island must have a place
  FactsFile out_;
};

// Words of any kind, which reports print as they are: without control characters, that a terminal would obey.
Result<void> free_text(TomlTable& t, std::string_view key, std::string& out, bool required = false);
bool is_printable(std::string_view text);
// 1..63 of letters, digits, "-", "." and "_".
bool is_party_id(std::string_view id);

}  // namespace archipel::exposure
