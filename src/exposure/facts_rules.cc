// Blocs, the owner's home, classes and policies.

#include <fmt/format.h>

#include <algorithm>

#include "exposure/facts_loader.h"

namespace archipel::exposure {
namespace {

using Kind = TomlValue::Kind;

constexpr size_t kBlocsMax = 256;
constexpr size_t kStatesMax = 300;  // of one bloc, of home
constexpr size_t kRulesMax = 64;    // states, sets or adversaries in one rule
constexpr size_t kClassesMax = 256;
constexpr double kCostMax = 1e9;

bool is_bloc_id(std::string_view id) {
  return id.size() >= 2 && id.size() <= 40 && is_party_id(id);
}

bool is_policy_name(std::string_view name, bool config) {
  if (!config) {
    return !name.empty() && name.size() <= 63 && is_printable(name);
  }
  auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  return !name.empty() && name.size() <= 63 && std::ranges::all_of(name, fits);
}

}  // namespace

bool FactsLoader::is_set(const std::string& id) const {
  return world_->set(id) != nullptr ||
         std::ranges::find(out_.facts.blocs, id, &Bloc::id) != out_.facts.blocs.end();
}

bool FactsLoader::is_provider(const std::string& id) const {
  return world_->provider(id) != nullptr ||
         std::ranges::find(out_.facts.islands, id, &Party::provider) != out_.facts.islands.end();
}

Result<void> FactsLoader::owner(TomlTable& root) {
  return section(root, "owner", !config_, [&](TomlTable& t) -> Result<void> {
    std::vector<std::string> states;
    RETURN_IF_ERROR(t.texts("home", states, kStatesMax));
    std::vector<StateCode>& home = out_.facts.home;
    for (size_t i = 0; i < states.size(); ++i) {
      if (const StateSet* set = world_->set(states[i])) {
        home.insert(home.end(), set->states.begin(), set->states.end());
        continue;
      }
      ASSIGN_OR_RETURN(StateCode state, known_state(t, t.take("home")->items[i], states[i]));
      home.push_back(std::move(state));
    }
    std::ranges::sort(home);
    auto [again, end] = std::ranges::unique(home);
    home.erase(again, end);
    return {};
  });
}

Result<void> FactsLoader::bloc(TomlTable& t, Bloc& out) {
  out.where = t.where();
  RETURN_IF_ERROR(t.text("id", out.id, true));
  const TomlValue& id = *t.take("id");
  if (!is_bloc_id(out.id)) return t.error(id, "`id` must be 2 to 40 letters, digits, \"-\", \".\" and \"_\"");
  if (world_->state(out.id) != nullptr)
    return t.error(id, fmt::format("\"{}\" is a state: a bloc needs a name of its own", out.id));
  auto same = std::ranges::find(out_.facts.blocs, out.id, &Bloc::id);
  if (same != out_.facts.blocs.end())
    return t.error(id, fmt::format("bloc \"{}\" is given twice, first at {}", out.id, same->where));
  RETURN_IF_ERROR(t.truth("enabled", out.enabled));
  RETURN_IF_ERROR(t.texts("states", out.states, kStatesMax));
  const TomlValue* states = t.take("states");
  if (states == nullptr) {
    const StateSet* known = world_->set(out.id);
    if (known == nullptr)
      return t.error(fmt::format("bloc \"{}\" needs the key `states`: it is none of those in data/", out.id));
    out.states = known->states;
    return {};
  }
  if (out.states.empty()) return t.error(*states, fmt::format("bloc \"{}\" has no states", out.id));
  for (size_t i = 0; i < out.states.size(); ++i) {
    RETURN_IF_ERROR(known_state(t, states->items[i], out.states[i]));
    auto end = out.states.begin() + static_cast<ptrdiff_t>(i);
    if (std::find(out.states.begin(), end, out.states[i]) != end)
      return t.error(states->items[i], fmt::format("\"{}\" is in bloc \"{}\" twice", out.states[i], out.id));
  }
  return {};
}

Result<void> FactsLoader::blocs(TomlTable& root) {
  RETURN_IF_ERROR(each(root, "bloc", kBlocsMax, true, [&](TomlTable& t) -> Result<void> {
    Bloc made;
    RETURN_IF_ERROR(bloc(t, made));
    out_.facts.blocs.push_back(std::move(made));
    return {};
  }));
  add_known_blocs();
  return {};
}

// Those of data/ can be asked about, and switched on in the page. A file of facts counts only the ones it enables itself.
void FactsLoader::add_known_blocs() {
  for (const StateSet& set : world_->sets()) {
    bool given = std::ranges::find(out_.facts.blocs, set.id, &Bloc::id) != out_.facts.blocs.end();
    if (set.kind == StateSet::Kind::bloc && !given)
      out_.facts.blocs.push_back({set.id, set.states, config_ && set.enabled, set.origin.where});
  }
}

Result<void> FactsLoader::classes(TomlTable& root) {
  if (!config_) return {};
  return each_named(root, "class", kClassesMax, [&](TomlTable& t, const std::string& name) -> Result<void> {
    DataClass made{name, "", t.where()};
    if (!is_policy_name(name, true))
      return t.error("the name of a class must be 1 to 63 of a-z, 0-9, \"-\" and \".\"");
    RETURN_IF_ERROR(t.text("policy", made.policy, true));
    bool known = made.policy == "default" ||
                 std::ranges::find(out_.policies, made.policy, &Policy::name) != out_.policies.end();
    if (!known) return t.error(*t.take("policy"), fmt::format("there is no [policy.{}]", made.policy));
    out_.classes.push_back(std::move(made));
    return {};
  });
}

Result<void> FactsLoader::policies(TomlTable& root) {
  return each_named(root, "policy", kPlacingsMax, [&](TomlTable& t, const std::string& name) -> Result<void> {
    if (!is_policy_name(name, config_))
      return t.error(config_ ? "the name of a policy must be 1 to 63 of a-z, 0-9, \"-\" and \".\""
                             : "the name of a policy must be 1 to 63 printable characters");
    return config_ ? policy(t, name) : placing(t, name);
  });
}

Result<Code> FactsLoader::code(TomlTable& t, const TomlValue& at) const {
  bool pair = at.is(Kind::array) && at.items.size() == 2 && at.items[0].is(Kind::integer) &&
              at.items[1].is(Kind::integer);
  if (!pair) return t.error(at, "`code` must be [n, k], such as [6, 3]");
  int64_t n = at.items[0].integer, k = at.items[1].integer;
  if (k < 1 || n < 1 || n > static_cast<int64_t>(kShardsMax) || k > n)
    return t.error(
        at, fmt::format("code [{}, {}] is impossible: any k of n shards give the data back, 1 <= k <= n "
                        "<= {}",
                        n, k, kShardsMax));
  return Code{static_cast<int>(n), static_cast<int>(k)};
}

Result<void> FactsLoader::islands_of(TomlTable& t, std::vector<std::string>& out) const {
  RETURN_IF_ERROR(t.texts("islands", out, kIslandsMax));
  const TomlValue* at = t.take("islands");
  for (size_t i = 0; i < out.size(); ++i) {
    if (std::ranges::find(out_.facts.islands, out[i], &Party::id) == out_.facts.islands.end())
      return t.error(at->items[i], fmt::format("{}: there is no island \"{}\"", t.name(), out[i]));
    auto end = out.begin() + static_cast<ptrdiff_t>(i);
    if (std::find(out.begin(), end, out[i]) != end)
      return t.error(at->items[i],
                     fmt::format("{}: island \"{}\" is named twice; each shard needs an island of its "
                                 "own",
                                 t.name(), out[i]));
  }
  return {};
}

// Of a file of facts: where the shards lie.
Result<void> FactsLoader::placing(TomlTable& t, const std::string& name) {
  Placing made;
  made.policy = name;
  made.where = t.where();
  const TomlValue* at = t.take("code");
  if (at == nullptr) return t.error(fmt::format("{} needs the key `code`: [n, k]", t.name()));
  ASSIGN_OR_RETURN(made.code, code(t, *at));
  if (t.take("islands") == nullptr)
    return t.error(fmt::format("{} needs the key `islands`: one for each shard, in their order", t.name()));
  RETURN_IF_ERROR(islands_of(t, made.islands));
  if (made.islands.size() != static_cast<size_t>(made.code.n))
    return t.error(*t.take("islands"),
                   fmt::format("code [{}, {}] needs exactly {} islands, {} are given", made.code.n,
                               made.code.k, made.code.n, made.islands.size()));
  out_.facts.placings.push_back(std::move(made));
  return {};
}

Result<void> FactsLoader::state_sets(TomlTable& t, std::string_view key,
                                     std::vector<std::string>& out) const {
  RETURN_IF_ERROR(t.texts(key, out, kRulesMax));
  for (size_t i = 0; i < out.size(); ++i)
    if (!is_set(out[i])) RETURN_IF_ERROR(known_state(t, t.take(key)->items[i], out[i]));
  return {};
}

Result<void> FactsLoader::adversaries(TomlTable& t, std::vector<std::string>& out) const {
  RETURN_IF_ERROR(t.texts("adversaries", out, kRulesMax));
  for (size_t i = 0; i < out.size(); ++i)
    if (!is_set(out[i]) && !is_provider(out[i]) && world_->state(out[i]) == nullptr)
      return t.error(
          t.take("adversaries")->items[i],
          fmt::format("\"{}\" is neither a state, nor a bloc or set of data/, nor a provider", out[i]));
  return {};
}

namespace {

Result<void> bound(TomlTable& t, std::string_view key, Bound& out) {
  std::string text;
  RETURN_IF_ERROR(t.text(key, text));
  if (text.empty()) return {};
  if (text != "off" && text != "warn" && text != "enforce")
    return t.error(*t.take(key), fmt::format("`{}` must be \"off\", \"warn\" or \"enforce\"", key));
  out = text == "off" ? Bound::off : text == "warn" ? Bound::warn : Bound::enforce;
  return {};
}

Result<void> residency_of(TomlTable& t, std::vector<Basis>& out) {
  std::vector<std::string> words;
  RETURN_IF_ERROR(t.texts("residency_of", words, 3));
  const TomlValue* at = t.take("residency_of");
  if (at == nullptr) return {};
  if (words.empty()) return t.error(*at, "`residency_of` must not be empty");
  out.clear();
  for (size_t i = 0; i < words.size(); ++i) {
    auto basis = parse_basis(words[i]);
    bool fits = basis && (*basis == Basis::place || *basis == Basis::operator_ || *basis == Basis::parent);
    if (!fits || std::ranges::find(out, *basis) != out.end())
      return t.error(at->items[i], "`residency_of` lists \"place\", \"operator\" and \"parent\", each once");
    out.push_back(*basis);
  }
  return {};
}

Result<void> cost_max(TomlTable& t, std::optional<double>& out) {
  const TomlValue* at = t.take("cost_max");
  if (at == nullptr) return {};
  double value = at->is(Kind::real)      ? at->real
                 : at->is(Kind::integer) ? static_cast<double>(at->integer)
                                         : -1;
  if (!(value >= 0 && value <= kCostMax))
    return t.error(*at, "`cost_max` must be US dollars per month for 1 TB, such as 25.0");
  out = value;
  return {};
}

}  // namespace

// Of a config: what is demanded; the solver finds where the shards go.
Result<void> FactsLoader::policy(TomlTable& t, const std::string& name) {
  Policy made;
  made.name = name;
  made.where = t.where();
  if (const TomlValue* at = t.take("code")) {
    ASSIGN_OR_RETURN(made.code, code(t, *at));
  }
  RETURN_IF_ERROR(islands_of(t, made.islands));
  if (made.code && !made.islands.empty() && made.islands.size() != static_cast<size_t>(made.code->n))
    return t.error(*t.take("islands"),
                   fmt::format("code [{}, {}] needs exactly {} islands, {} are given", made.code->n,
                               made.code->k, made.code->n, made.islands.size()));
  RETURN_IF_ERROR(state_sets(t, "allow", made.allow));
  RETURN_IF_ERROR(state_sets(t, "deny", made.deny));
  RETURN_IF_ERROR(residency_of(t, made.of));
  RETURN_IF_ERROR(state_sets(t, "metadata_allow", made.metadata_allow));
  RETURN_IF_ERROR(state_sets(t, "metadata_deny", made.metadata_deny));
  RETURN_IF_ERROR(adversaries(t, made.adversaries));
  RETURN_IF_ERROR(bound(t, "read_bound", made.read_bound));
  RETURN_IF_ERROR(bound(t, "cut_bound", made.cut_bound));
  RETURN_IF_ERROR(cost_max(t, made.cost_max));
  out_.policies.push_back(std::move(made));
  return {};
}

}  // namespace archipel::exposure
