// For tests: the demo's islands, the world that is built in, and policies judged the slow way: every code on every set of islands.
#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <tuple>

#include "exposure/facts_fixture.h"
#include "exposure/policy.h"

namespace archipel::exposure::testing {

inline constexpr Code kCodes[] = {{4, 2}, {5, 3}, {6, 3}, {7, 4}, {9, 6}};

inline const World& world() {
  static const auto kWorld = World::load();
  return **kWorld;
}

// The six islands of the demo, with its illustrative facts, and one gateway at home.
inline Facts demo_facts() {
  Facts facts;
  facts.islands = {party("alibaba-frankfurt", "alibaba", {"DE", "SG", "CN"}),
                   party("aws-ireland", "aws", {"IE", "LU", "US"}),
                   party("ovh-gravelines", "ovh", {"FR", "FR", "FR"}),
                   party("hetzner-helsinki", "hetzner", {"FI", "DE", "DE"}),
                   party("sakura-tokyo", "sakura", {"JP", "JP", "JP"}),
                   party("exoscale-zurich", "exoscale", {"CH", "CH", "AT"})};
  Gateway gateway;
  static_cast<Party&>(gateway) = party("home", "", {"FR", "FR", "FR"});
  facts.gateways = {gateway};
  facts.home = {"FR"};
  return facts;
}

inline std::vector<std::string> ids_of(const Facts& facts) {
  std::vector<std::string> ids;
  ids.reserve(facts.islands.size());
  for (const Party& island : facts.islands) ids.push_back(island.id);
  return ids;
}

inline Policy policy_named(std::string name) {
  Policy policy;
  policy.name = std::move(name);
  policy.where = "archipel.toml:40:1";
  return policy;
}

struct Posed {
  Facts facts;
  Policy policy;
  std::vector<Code> codes;
};

// Small enough for the slow way, and crowded enough that a good part has no answer.
inline std::string to_text(const Posed& posed) {
  std::string text;
  const auto parties = [&](const char* kind, const auto& all) {
    for (const Party& party : all) {
      text += std::string(kind) + " " + party.id + " at \"" + party.provider + "\":";
      for (const Edge& edge : party.edges) text += " " + edge.state + "/" + std::string(to_string(edge.cap));
      text += "\n";
    }
  };
  parties("island", posed.facts.islands);
  parties("key", posed.facts.keyholders);
  parties("gateway", posed.facts.gateways);
  parties("name", posed.facts.names);
  const Policy& policy = posed.policy;
  const auto words = [&](const char* name, const auto& all) {
    text += std::string(name) + " =";
    for (const auto& word : all) text += " " + word;
    text += "\n";
  };
  words("home", posed.facts.home);
  words("allow", policy.allow);
  words("deny", policy.deny);
  words("adversaries", policy.adversaries);
  text += "of " + std::to_string(policy.of.size()) + " bases; read bound " +
          std::to_string(int(policy.read_bound)) + ", cut bound " + std::to_string(int(policy.cut_bound)) +
          "\n";
  if (policy.code)
    text += "code " + std::to_string(policy.code->n) + "," + std::to_string(policy.code->k) + "\n";
  if (policy.cost_max) text += "cost_max " + std::to_string(*policy.cost_max) + "\n";
  return text;
}

inline Posed some_problem() {
  static const std::vector<StateCode> kStates = {"FR", "DE", "US", "CN", "JP", "CH", "IE"};
  static const std::vector<std::string> kProviders = {"", "", "aws", "azure", "google", "cloudflare", "ovh"};
  const auto pick = [](const auto& all) { return all[*rc::gen::inRange<size_t>(0, all.size())]; };
  const auto some_party = [&](std::string id) {
    Party out = party(std::move(id), pick(kProviders), {pick(kStates), pick(kStates), pick(kStates)});
    for (Edge& edge : out.edges) {
      if (*rc::gen::inRange(0, 4) == 0) edge.cap = static_cast<Cap>(*rc::gen::inRange(1, 4));
    }
    return out;
  };
  Posed posed;
  const int islands = *rc::gen::inRange(3, 8);
  for (int i = 0; i < islands; ++i) {
    // Ids against the order of the facts: ties are broken by names.
    posed.facts.islands.push_back(some_party("i" + std::to_string(islands - i)));
  }
  const int keys = *rc::gen::inRange(0, 4);
  for (int i = 0; i < keys; ++i) posed.facts.keyholders.push_back(some_party("k" + std::to_string(i)));
  if (keys > 0) posed.facts.keys_threshold = *rc::gen::inRange(1, keys + 1);
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
    Gateway gateway;
    static_cast<Party&>(gateway) = some_party("g" + std::to_string(i));
    gateway.plaintext = *rc::gen::arbitrary<bool>();
    posed.facts.gateways.push_back(gateway);
  }
  if (*rc::gen::inRange(0, 4) == 0) {
    Name name;
    static_cast<Party&>(name) = some_party("name");
    posed.facts.names.push_back(name);
  }
  if (*rc::gen::arbitrary<bool>()) {
    posed.facts.blocs.push_back({"OURS", {"FR", "DE"}, *rc::gen::arbitrary<bool>(), ""});
  }
  if (*rc::gen::arbitrary<bool>()) posed.facts.home = {"FR"};
  Policy& policy = posed.policy;
  policy = policy_named("some");
  if (*rc::gen::inRange(0, 4) == 0) policy.allow = {"EU", pick(kStates), pick(kStates), pick(kStates)};
  if (*rc::gen::inRange(0, 4) == 0) policy.deny = {pick(kStates)};
  if (*rc::gen::arbitrary<bool>()) policy.of = {Basis::place, Basis::operator_, Basis::parent};
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
    policy.adversaries.push_back(*rc::gen::element<std::string>("US", "CN", "FR", "EU", "aws", "ovh"));
  }
  policy.read_bound = static_cast<Bound>(*rc::gen::inRange(0, 3));
  policy.cut_bound = static_cast<Bound>(*rc::gen::inRange(0, 3));
  if (*rc::gen::inRange(0, 6) == 0) policy.cost_max = *rc::gen::inRange(0, 60);
  posed.codes = {{2, 1}, {3, 2}, {4, 2}, {5, 3}, {6, 3}};
  if (*rc::gen::inRange(0, 5) == 0) policy.code = pick(posed.codes);
  return posed;
}

// Rho, delta, both without the owner's own (1000: nobody), whether the cost is known, the cost, shards, names: better is larger, then larger, …
using Rank = std::tuple<int, int, int, int, bool, double, int, std::vector<std::string>>;
inline bool better(const Rank& a, const Rank& b) {
  const auto goals = [](const Rank& rank) {
    return std::tuple(std::get<0>(rank), std::get<1>(rank), std::get<2>(rank), std::get<3>(rank),
                      std::get<4>(rank));
  };
  if (goals(a) != goals(b)) return goals(a) > goals(b);
  if (std::abs(std::get<5>(a) - std::get<5>(b)) > 1e-9) return std::get<5>(a) < std::get<5>(b);
  return std::tuple(std::get<6>(a), std::get<7>(a)) < std::tuple(std::get<6>(b), std::get<7>(b));
}

inline std::optional<double> slow_cost(const Facts& facts, const Placing& placing) {
  double sum = 0;
  for (const Party& island : facts.islands) {
    if (std::ranges::find(placing.islands, island.id) == placing.islands.end() || island.provider.empty())
      continue;
    const Price* price = world().price(island.provider);
    if (price == nullptr || price->storage_gb_month < 0) return std::nullopt;
    sum += price->storage_gb_month;
  }
  return sum * 1000 / placing.code.k;
}

// Whether the placing keeps the policy, by protocol §6 alone.
inline bool slow_keeps(const Facts& facts, const Policy& policy, const Placing& placing) {
  const auto states_of = [&](const std::string& name) {
    const StateSet* set = world().set(name);
    return set != nullptr ? set->states : std::vector<StateCode>{name};
  };
  const auto among = [&](const std::vector<std::string>& names, const StateCode& state) {
    return std::ranges::any_of(names, [&](const std::string& name) {
      const auto states = states_of(name);
      return std::ranges::find(states, state) != states.end();
    });
  };
  const auto [n, k] = placing.code;
  if (policy.code && *policy.code != placing.code) return false;
  std::map<std::string, int> of_provider;
  std::map<std::string, std::pair<int, int>> by_adversary;  // cut, read
  for (const Party& island : facts.islands) {
    if (std::ranges::find(placing.islands, island.id) == placing.islands.end()) continue;
    if (!island.provider.empty() && ++of_provider[island.provider] > n - k) return false;
    for (const Edge& edge : island.edges) {
      if (std::ranges::find(policy.of, edge.basis) == policy.of.end()) continue;
      if (!policy.allow.empty() && !among(policy.allow, edge.state)) return false;
      if (among(policy.deny, edge.state)) return false;
    }
    for (const std::string& adversary : std::set(policy.adversaries.begin(), policy.adversaries.end())) {
      bool cut = island.provider == adversary, read = cut;
      for (const Edge& edge : island.edges) {
        if (!among({adversary}, edge.state)) continue;
        cut = cut || edge.cap != Cap::read;
        read = read || edge.cap != Cap::cut;
      }
      by_adversary[adversary].first += cut;
      by_adversary[adversary].second += read;
    }
  }
  for (const auto& [adversary, reached] : by_adversary) {
    const bool home = std::ranges::find(facts.home, adversary) != facts.home.end();
    if (policy.cut_bound == Bound::enforce && reached.first > n - k) return false;
    if (policy.read_bound == Bound::enforce && !home && reached.second > k - 1) return false;
  }
  if (policy.cost_max) {
    const auto cost = slow_cost(facts, placing);
    if (!cost || *cost > *policy.cost_max + 1e-9) return false;
  }
  return true;
}

inline int slow_least(const Structure& structure, Question question, Coalition units) {
  int least = 1000;
  for (Coalition some = units;; some = (some - 1) & units) {
    if (std::popcount(some) < least && holds(structure, question, some)) least = std::popcount(some);
    if (some == 0) return least;
  }
}

inline Rank slow_rank(const Facts& facts, const Placing& placing) {
  const Lens lens = *lens_of(facts, Lens::Kind::states);
  const Structure structure = *structure_of(facts, placing, lens);
  const Coalition all = (Coalition{1} << lens.units.size()) - 1;
  Coalition foreign = all;
  for (const StateCode& state : facts.home) {
    if (const auto unit = lens.find(state)) foreign &= ~(Coalition{1} << *unit);
  }
  const auto cost = slow_cost(facts, placing);
  auto names = placing.islands;
  std::ranges::sort(names);
  return {slow_least(structure, Question::read, all),
          slow_least(structure, Question::cut, all),
          slow_least(structure, Question::read, foreign),
          slow_least(structure, Question::cut, foreign),
          cost.has_value(),
          cost.value_or(0),
          placing.code.n,
          names};
}

inline std::optional<Placing> slow_best(const Posed& posed) {
  std::optional<Placing> best;
  std::optional<Rank> rank;
  const size_t count = posed.facts.islands.size();
  for (const Code code : posed.codes) {
    for (uint32_t some = 0; some < 1u << count; ++some) {
      if (std::popcount(some) != code.n) continue;
      Placing placing{.policy = posed.policy.name, .code = code, .islands = {}, .where = {}};
      for (size_t i = 0; i < count; ++i) {
        if ((some >> i & 1) != 0) placing.islands.push_back(posed.facts.islands[i].id);
      }
      if (!slow_keeps(posed.facts, posed.policy, placing)) continue;
      const Rank its = slow_rank(posed.facts, placing);
      if (rank && !better(its, *rank)) continue;
      rank = its;
      best = placing;
    }
  }
  return best;
}

}  // namespace archipel::exposure::testing
