#include "exposure/ban.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "exposure/ground.h"
#include "exposure/phrases.h"
#include "exposure/rules.h"

namespace archipel::exposure {
namespace {

using ErrorCode = archipel::Code;

// What the question names. One kind only.
struct Target {
  enum class Kind : uint8_t { island, provider, states } kind = Kind::island;
  std::string word;  // "island", "provider", "state" or "bloc", for people
  std::string id;
  std::vector<StateCode> states;
};

bool is_prefix(const std::string& text, const char* prefix, std::string& rest) {
  if (!text.starts_with(prefix)) return false;
  rest = text.substr(std::string_view(prefix).size());
  return true;
}

// Gone with the target: its own, or of one of its states by ground, operator or parent. A ban is no capability: whose they are counts, not what
// could be done to them.
bool gone(const World& world, const Target& target, const Party& party, bool island) {
  switch (target.kind) {
    case Target::Kind::island:
      return island && party.id == target.id;
    case Target::Kind::provider:
      return !party.provider.empty() && provider_id(world, party.provider) == target.id;
    case Target::Kind::states:
      break;
  }
  return std::ranges::any_of(party.edges, [&](const Edge& edge) {
    return edge.basis <= Basis::parent && contains(target.states, edge.state);
  });
}

template <class Parties>
std::vector<std::string> gone_of(const World& world, const Target& target, const Parties& parties,
                                 bool island) {
  std::vector<std::string> ids;
  for (const auto& party : parties) {
    if (gone(world, target, party, island)) ids.push_back(party.id);
  }
  return ids;
}

// "island/ID", "gateway/ID", …
std::vector<std::string> all_gone(const Ground& ground, const Target& target) {
  std::vector<std::string> all;
  const auto add = [&](const char* kind, const auto& parties) {
    for (const std::string& id : gone_of(ground.world(), target, parties, *kind == 'i')) {
      all.push_back(std::string(kind) + "/" + id);
    }
  };
  add("island", ground.facts().islands);
  add("keyholder", ground.facts().keyholders);
  add("gateway", ground.facts().gateways);
  add("name", ground.facts().names);
  return all;
}

bool among(std::span<const std::string> ids, const std::string& id) {
  return std::ranges::find(ids, id) != ids.end();
}

Result<Target> find_target(const Ground& ground, const std::string& asked) {
  std::string name = asked;
  const bool island_only = is_prefix(asked, "island:", name),
             provider_only = is_prefix(asked, "provider:", name),
             state_only = is_prefix(asked, "state:", name), bloc_only = is_prefix(asked, "bloc:", name);
  const bool any = !island_only && !provider_only && !state_only && !bloc_only;
  std::vector<Target> found;
  if ((any || island_only) && ground.find(name)) found.push_back({Target::Kind::island, "island", name, {}});
  if (any || provider_only) {
    if (const auto provider = ground.provider_of(name))
      found.push_back({Target::Kind::provider, "provider", *provider, {}});
  }
  if (any || state_only || bloc_only) {
    const bool state = ground.world().state(name) != nullptr;
    const auto states = ground.states_of(name);
    if (states && (any || state == state_only))
      found.push_back({Target::Kind::states, state ? "state" : "bloc", name, *states});
  }
  if (found.empty()) {
    return fail(ErrorCode::not_found,
                "\"" + asked + "\" is no island, provider, state or bloc of these facts");
  }
  // An island and the provider that has nothing else here: the same ban.
  if (found.size() == 2 && found[1].word == "provider" && found[0].word == "island" &&
      all_gone(ground, found[0]) == all_gone(ground, found[1])) {
    found.pop_back();
  }
  if (found.size() > 1) {
    return fail(ErrorCode::invalid, "\"" + asked + "\" names both " +
                                        (found[0].word == "island" ? "an " : "a ") + found[0].word +
                                        " and a " + found[1].word + "; say " + found[0].word + ":" + name +
                                        " or " + found[1].word + ":" + name);
  }
  return found.front();
}

class Reckoning {
 public:
  Reckoning(const Facts& facts, const World& world, const BanQuestion& question)
      : facts_(facts), world_(world), question_(question) {}

  void add(const Holding& holding, BanReport& report) {
    BanOfHolding item{.holding = holding};
    std::vector<std::string> lost, survivors;
    int answering = 0;
    for (size_t i = 0; i < holding.islands.size(); ++i) {
      const bool banned = among(report.islands, holding.islands[i]);
      const bool confirmed = i >= 32 || (holding.confirmed >> i & 1) != 0;
      answering += banned ? 0 : 1;
      if (confirmed) (banned ? lost : survivors).push_back(holding.islands[i]);
    }
    item.lost = static_cast<int>(lost.size());
    item.left = static_cast<int>(survivors.size());
    item.unavailable = item.left < holding.code.k;
    item.degraded = item.lost > 0;
    item.tolerance = item.left - holding.code.k;
    // As many must confirm a write as make it readable and outvote what is gone (protocol §1); and every write is a commit.
    const bool journal = holding.bucket.empty();
    item.writable = !report.read_only &&
                    (journal || answering >= std::max(holding.code.k, holding.code.n - holding.code.k) + 1);
    if (item.lost == 0) return;
    (item.unavailable ? report.unavailable_objects : report.degraded_objects) += holding.objects;
    (item.unavailable ? report.unavailable_bytes : report.degraded_bytes) += holding.bytes;
    const double shard = static_cast<double>(holding.stored_bytes) / holding.code.n;
    // Nothing is taken from nowhere: an island without a price is no hindrance where it sends nothing.
    if (shard > 0) {
      for (const std::string& id : lost) copied_[id] += shard;
    }
    if (!item.unavailable && shard > 0) {
      std::ranges::sort(survivors, [&](const std::string& a, const std::string& b) {
        return std::pair(egress(a).value_or(HUGE_VAL), a) < std::pair(egress(b).value_or(HUGE_VAL), b);
      });
      for (int i = 0; i < holding.code.k; ++i)
        rebuilt_[survivors[static_cast<size_t>(i)]] += shard * item.lost;
    }
    report.holdings.push_back(std::move(item));
  }

  void finish(BanReport& report) const {
    report.copy_out = transfer(copied_, false);
    report.rebuild_around = transfer(rebuilt_, true);
  }

 private:
  std::optional<double> egress(const std::string& id) const {
    const auto at = std::ranges::find(facts_.islands, id, &Party::id);
    if (at == facts_.islands.end() || at->provider.empty()) return std::nullopt;
    const Price* price = world_.price(at->provider);
    if (price == nullptr || price->egress_gb < 0) return std::nullopt;
    return price->egress_gb;
  }

  // Copied out, each island sends over its own link; rebuilding, all of it comes in over the one of who rebuilds.
  Transfer transfer(const std::map<std::string, double>& by_source, bool one_link) const {
    Transfer out;
    double sum = 0, slowest = 0, cost = 0;
    for (const auto& [id, bytes] : by_source) {
      sum += bytes;
      slowest = std::max(slowest, bytes);
      const auto price = egress(id);
      if (!price) out.unpriced.push_back(id);
      cost += price.value_or(0) * bytes / 1e9;
    }
    out.bytes = static_cast<uint64_t>(std::llround(sum));
    for (const double bandwidth : question_.bits_per_second) {
      out.seconds.push_back((one_link ? sum : slowest) * 8 / bandwidth);
    }
    if (out.unpriced.empty()) out.cost = cost;
    return out;
  }

  const Facts& facts_;
  const World& world_;
  const BanQuestion& question_;
  std::map<std::string, double> copied_, rebuilt_;
};

// What to change, from the solver: for each policy that loses something.
class Adviser {
 public:
  Adviser(const Facts& facts, const Inventory& inventory, std::span<const Code> codes, const World& world,
          const Target& target, BanReport& report)
      : facts_(facts), rest_(facts), codes_(codes), world_(world), target_(target), report_(report) {
    std::erase_if(rest_.islands, [&](const Party& island) { return among(report.islands, island.id); });
    for (const std::string& id : inventory.journal) {
      journal_.push_back(id);
      if (!among(report.islands, id)) rest_journal_.push_back(id);
    }
  }

  void parties() {
    if (report_.keys_lost) {
      say("too few key holders are left: " + phrases::list(report_.keyholders) + " go with " + target_.id +
          ", and " + std::to_string(facts_.keys_threshold) + " of " +
          std::to_string(facts_.keyholders.size()) +
          " must open; give shares to holders out of its reach, or lower the threshold");
    }
    if (report_.gateways_lost) {
      say("every gateway goes with " + target_.id + " (" + phrases::list(report_.gateways) +
          "); run one out of its reach");
    }
  }

  // Where nothing is counted: what each placing that the facts name would lose.
  void placings(const Inventory& inventory) {
    if (!inventory.holdings.empty()) return;
    for (const Placing& placing :
         std::span(facts_.placings).first(std::min(facts_.placings.size(), kAdvisedMax))) {
      const auto lost = std::ranges::count_if(
          placing.islands, [&](const std::string& id) { return among(report_.islands, id); });
      if (lost == 0) continue;
      const auto spare = placing.code.n - placing.code.k - lost;
      say("policy \"" + placing.policy + "\" loses " + std::to_string(lost) + " of " +
          std::to_string(placing.code.n) + " shards: " +
          (spare < 0
               ? "what lies there becomes unavailable, for code " + phrases::code(placing.code) +
                     " bears the loss of " + std::to_string(placing.code.n - placing.code.k)
               : "what lies there stays readable, and bears the loss of " + std::to_string(spare) + " more"));
    }
  }

  Result<> policy(const Policy& policy) {
    const BanOfHolding* worst = nullptr;
    for (const BanOfHolding& item : report_.holdings) {
      if (item.holding.policy != policy.name || item.holding.bucket.empty()) continue;
      if (worst == nullptr || item.tolerance < worst->tolerance) worst = &item;
    }
    const std::string name = "policy \"" + policy.name + "\"";
    if (worst != nullptr && worst->unavailable) RETURN_IF_ERROR(survive(policy, name, *worst));
    ASSIGN_OR_RETURN(const bool touched, touches(policy));
    if (worst == nullptr && !touched) return {};
    return leave(policy, name);
  }

 private:
  void say(std::string sentence) {
    if (!among(report_.advice, sentence)) report_.advice.push_back(std::move(sentence));
  }

  // Whether what is written from now on would lie on a banned island.
  Result<bool> touches(const Policy& policy) const {
    ASSIGN_OR_RETURN(const auto now, solve(facts_, policy, codes_, journal_, world_));
    return now.solution && std::ranges::any_of(now.solution->placing.islands, [&](const std::string& id) {
             return among(report_.islands, id);
           });
  }

  // A placement of which the target holds no more than may be lost, on the islands there are.
  Result<> survive(const Policy& policy, const std::string& name, const BanOfHolding& worst) {
    const Holding& holding = worst.holding;
    const std::string lost = name + ": " + target_.id + " takes " + std::to_string(worst.lost) + " of " +
                             std::to_string(holding.code.n) + " shards of bucket " + holding.bucket +
                             ", and code " + phrases::code(holding.code) + " bears the loss of " +
                             std::to_string(holding.code.n - holding.code.k);
    if (target_.kind == Target::Kind::island) {
      say(lost + "; heal what is owed to the other islands first");
      return {};
    }
    Policy wary = policy;
    wary.islands.clear();
    if (!among(wary.adversaries, target_.id)) wary.adversaries.push_back(target_.id);
    wary.cut_bound = Bound::enforce;
    ASSIGN_OR_RETURN(const auto answer, solve(facts_, wary, codes_, journal_, world_));
    if (answer.solution) {
      say(lost + "; with adversaries = " + phrases::quoted(wary.adversaries) +
          " and cut_bound = \"enforce\" it is placed so that it survives: " + placed(*answer.solution));
    } else {
      say(lost + "; no placement survives it here: " + phrases::sentences(answer.conflict.rules) +
          help(answer.conflict));
    }
    return {};
  }

  // A placement with full redundancy and without the banned islands.
  Result<> leave(const Policy& policy, const std::string& name) {
    Policy free = policy;
    free.islands.clear();
    ASSIGN_OR_RETURN(const auto answer, solve(rest_, free, codes_, rest_journal_, world_));
    if (answer.solution) {
      say(name + " holds without " + target_.id + ": " + placed(*answer.solution));
    } else {
      say(name + " does not hold without " + target_.id + ": " + phrases::sentences(answer.conflict.rules) +
          help(answer.conflict));
    }
    return {};
  }

  static std::string placed(const Solution& solution) {
    return "code " + phrases::code(solution.placing.code) + " on " + phrases::list(solution.placing.islands);
  }

  static std::string help(const Conflict& conflict) {
    std::string text;
    for (const std::string& one : conflict.missing)
      text += (text.empty() ? ". What would help: " : "; or ") + one;
    return text;
  }

  const Facts& facts_;
  Facts rest_;
  std::span<const Code> codes_;
  const World& world_;
  const Target& target_;
  BanReport& report_;
  std::vector<std::string> journal_, rest_journal_;
};

// The policies, and those that buckets follow without anybody having written them ("default"): they demand nothing of their own.
std::vector<Policy> with_unwritten(std::span<const Policy> policies, const Inventory& inventory) {
  std::vector<Policy> all(policies.begin(), policies.end());
  for (const Holding& holding : inventory.holdings) {
    if (holding.bucket.empty() || std::ranges::find(all, holding.policy, &Policy::name) != all.end())
      continue;
    all.emplace_back();
    all.back().name = holding.policy;
  }
  return all;
}

// Those of which something becomes unavailable, then those of which something is lost, then the others; within these in their order.
std::vector<Policy> worst_first(const std::vector<Policy>& policies, const BanReport& report) {
  std::map<std::string, int> harm;  // by policy: 2 unavailable, 1 something is lost
  for (const BanOfHolding& item : report.holdings) {
    int& most = harm[item.holding.policy];
    most = std::max(most, item.unavailable ? 2 : 1);
  }
  std::vector<Policy> out;
  for (const int wanted : {2, 1, 0}) {
    for (const Policy& policy : policies) {
      const auto found = harm.find(policy.name);
      if ((found == harm.end() ? 0 : found->second) == wanted) out.push_back(policy);
    }
  }
  return out;
}

Result<> check(const BanQuestion& question, const Inventory& inventory) {
  for (const double bandwidth : question.bits_per_second) {
    if (!(bandwidth > 0))
      return fail(ErrorCode::invalid, "a bandwidth is a number of bits per second above zero");
  }
  for (const Holding& holding : inventory.holdings) {
    if (!sound(holding.code) || holding.islands.size() != static_cast<size_t>(holding.code.n)) {
      return fail(ErrorCode::invalid, "bucket \"" + holding.bucket + "\" lies on " +
                                          phrases::count(holding.islands.size(), "island", "islands") +
                                          " by code " + phrases::code(holding.code));
    }
  }
  return {};
}

}  // namespace

Result<BanReport> ban(const Facts& facts, const Inventory& inventory, std::span<const Policy> policies,
                      std::span<const Code> codes, const World& world, const BanQuestion& question) {
  RETURN_IF_ERROR(check(question, inventory));
  ASSIGN_OR_RETURN(const Ground ground, Ground::of(facts, world));
  ASSIGN_OR_RETURN(const Target target, find_target(ground, question.target));
  BanReport report;
  report.target = target.id;
  report.kind = target.word;
  report.islands = gone_of(world, target, facts.islands, true);
  report.gateways = gone_of(world, target, facts.gateways, false);
  report.keyholders = gone_of(world, target, facts.keyholders, false);
  report.names = gone_of(world, target, facts.names, false);
  report.keys_lost =
      !facts.keyholders.empty() &&
      facts.keyholders.size() < report.keyholders.size() + static_cast<size_t>(facts.keys_threshold);
  report.gateways_lost = !facts.gateways.empty() && report.gateways.size() == facts.gateways.size();
  const auto left = std::ranges::count_if(inventory.journal,
                                          [&](const std::string& id) { return !among(report.islands, id); });
  report.read_only = left < inventory.journal_quorum;
  Reckoning reckoning(facts, world, question);
  for (const Holding& holding : inventory.holdings) reckoning.add(holding, report);
  reckoning.finish(report);
  std::ranges::sort(report.holdings, [](const BanOfHolding& a, const BanOfHolding& b) {
    return std::tie(a.tolerance, b.holding.bytes, a.holding.bucket, a.holding.islands) <
           std::tie(b.tolerance, a.holding.bytes, b.holding.bucket, b.holding.islands);
  });
  Adviser adviser(facts, inventory, codes, world, target, report);
  adviser.parties();
  adviser.placings(inventory);
  const std::vector<Policy> advised = worst_first(with_unwritten(policies, inventory), report);
  for (size_t i = 0; i < std::min(advised.size(), kAdvisedMax); ++i)
    RETURN_IF_ERROR(adviser.policy(advised[i]));
  if (advised.size() > kAdvisedMax) {
    report.advice.push_back(
        phrases::count(advised.size() - kAdvisedMax, "more policy was", "more policies were") +
        " not looked at");
  }
  return report;
}

}  // namespace archipel::exposure
