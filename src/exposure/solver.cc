// The search for the best placement. Every goal is a limit (see threats.h), so each step only asks whether islands fit within limits: first
// whether rho may be larger by one, then delta, then both without the owner's help, then the lowest cost. What is left decides itself: fewer
// shards, then names.
#include <algorithm>
#include <bit>
#include <utility>

#include "exposure/conflict.h"
#include "exposure/phrases.h"
#include "exposure/policy.h"
#include "exposure/threats.h"

namespace archipel::exposure {
namespace {

using ErrorCode = archipel::Code;

// A code that is still in the race, with every limit agreed on so far.
struct Contender {
  Code code;
  std::vector<Limit> limits;
};

class Planner {
 public:
  Planner(const RuleBook& book, const Problem& problem, Budget& budget)
      : book_(book),
        ground_(book.ground()),
        problem_(problem),
        budget_(budget),
        usable_(book.usable(book.all())) {}

  // Nothing: no placement keeps the rules.
  Result<std::optional<Candidate>> best() {
    ASSIGN_OR_RETURN(const bool any, admit());
    if (!any) return std::optional<Candidate>();
    ASSIGN_OR_RETURN(lens_, lens_of(ground_.facts(), Lens::Kind::states));
    ASSIGN_OR_RETURN(structure_, structure_of_all(ground_, lens_));
    const Coalition everybody =
        lens_.units.size() == kUnitsMax ? ~Coalition{0} : (Coalition{1} << lens_.units.size()) - 1;
    const Coalition foreign = everybody & ~home_units();
    RETURN_IF_ERROR(raise(Question::read, everybody));
    RETURN_IF_ERROR(raise(Question::cut, everybody));
    if (foreign != everybody) {
      RETURN_IF_ERROR(raise(Question::read, foreign));
      RETURN_IF_ERROR(raise(Question::cut, foreign));
    }
    RETURN_IF_ERROR(cheapen());
    return pick();
  }

 private:
  Result<bool> admit() {
    for (const Code code : problem_.codes) {
      if (book_.policy().code && *book_.policy().code != code) continue;
      Contender contender{.code = code, .limits = book_.limits(book_.all(), code)};
      ASSIGN_OR_RETURN(const auto found, first_packing(packing(contender, {}), budget_));
      if (found) contenders_.push_back(std::move(contender));
    }
    return !contenders_.empty();
  }

  Packing packing(const Contender& contender, const std::vector<Limit>& more) const {
    Packing packing{
        .n = contender.code.n, .usable = usable_, .limits = contender.limits, .prices = {}, .cap = {}};
    packing.limits.insert(packing.limits.end(), more.begin(), more.end());
    if (const auto cap = book_.cap(book_.all(), contender.code)) {
      packing.cap = cap;
      packing.prices = ground_.storage();
    }
    return packing;
  }

  // States of the owner's, and enabled blocs that hold nobody else.
  Coalition home_units() const {
    Coalition units = 0;
    const auto& home = ground_.facts().home;
    for (size_t unit = 0; unit < lens_.units.size(); ++unit) {
      bool own = contains(home, lens_.units[unit]);
      for (const Bloc& bloc : ground_.facts().blocs) {
        if (bloc.enabled && bloc.id == lens_.units[unit]) {
          own =
              std::ranges::all_of(bloc.states, [&](const StateCode& state) { return contains(home, state); });
        }
      }
      if (own) units |= Coalition{1} << unit;
    }
    return units;
  }

  static int bound(Question question, Code code) {
    return question == Question::read ? code.k - 1 : code.n - code.k;
  }

  // Makes the smallest coalition as large as it can be; only codes that reach it stay.
  Result<> raise(Question question, Coalition units) {
    Threats threats(structure_, question, units, usable_);
    std::vector<Contender> leading = contenders_;  // coalitions of 0 units never have it
    for (size_t size = 1; size <= kUnitsMax; ++size) {
      // Is there a placement which no `size` units have?
      ASSIGN_OR_RETURN(const bool hopeless, threats.without_shards(size));
      if (hopeless) break;
      ASSIGN_OR_RETURN(const auto masks, threats.masks(size));
      std::vector<Contender> better;
      for (const Contender& contender : leading) {
        std::vector<Limit> more;
        for (const Mask mask : masks) more.push_back({mask, bound(question, contender.code)});
        ASSIGN_OR_RETURN(const auto found, first_packing(packing(contender, more), budget_));
        if (!found) continue;
        better.push_back(contender);
        better.back().limits.insert(better.back().limits.end(), more.begin(), more.end());
      }
      if (better.empty()) break;
      leading = std::move(better);
      ASSIGN_OR_RETURN(const bool saturated, threats.saturated(size));
      if (saturated) break;  // nobody has it
    }
    contenders_ = std::move(leading);
    return {};
  }

  // Leaves the codes that cost least, and remembers what that is; known prices go before unknown ones.
  Result<> cheapen() {
    Mask priced = 0;
    for (size_t i = 0; i < ground_.count(); ++i) {
      if (ground_.storage()[i] >= 0) priced |= Mask{1} << i;
    }
    std::vector<std::pair<Contender, MicroDollars>> leading;
    for (const Contender& contender : contenders_) {
      Packing some = packing(contender, {});
      some.usable &= priced;
      some.prices = ground_.storage();
      if (!leading.empty()) {  // sum/k at most the leader's
        const auto& [best, sum] = leading.front();
        const MicroDollars most = sum * contender.code.k / best.code.k;
        some.cap = some.cap ? std::min(*some.cap, most) : most;
      }
      ASSIGN_OR_RETURN(const auto sum, cheapest_packing(some, budget_));
      if (!sum) continue;
      if (!leading.empty() &&
          *sum * leading.front().first.code.k < leading.front().second * contender.code.k) {
        leading.clear();
      }
      leading.emplace_back(contender, *sum);
    }
    if (leading.empty()) return {};
    contenders_.clear();
    for (auto& [contender, sum] : leading) {
      contenders_.push_back(std::move(contender));
      sums_.push_back(sum);
    }
    usable_ &= priced;
    return {};
  }

  Result<std::optional<Candidate>> pick() {
    std::optional<Candidate> best;
    for (size_t i = 0; i < contenders_.size(); ++i) {
      const Contender& contender = contenders_[i];
      if (best && best->code.n < contender.code.n) continue;
      Packing last = packing(contender, {});
      if (!sums_.empty()) {
        last.prices = ground_.storage();
        last.cap = sums_[i];
      }
      ASSIGN_OR_RETURN(const auto found, first_packing(last, budget_));
      if (!found) return fail(ErrorCode::internal, "the solver lost a placement that it had found");
      if (!best || contender.code.n < best->code.n || ground_.ids(*found) < ground_.ids(best->islands)) {
        best = Candidate{.code = contender.code, .islands = *found};
      }
    }
    return best;
  }

  const RuleBook& book_;
  const Ground& ground_;
  const Problem& problem_;
  Budget& budget_;
  Mask usable_;
  Lens lens_;
  Structure structure_;
  std::vector<Contender> contenders_;
  std::vector<MicroDollars> sums_;  // by contender, once the cost is known
};

// What the engine says of a placing, and what it costs.
Result<Solution> describe(const RuleBook& book, Placing placing, Mask chosen) {
  const Ground& ground = book.ground();
  Solution solution{.placing = std::move(placing), .rho = {}, .delta = {}, .cost = {}, .warnings = {}};
  ASSIGN_OR_RETURN(const Lens lens, lens_of(ground.facts(), solution.placing, Lens::Kind::states));
  ASSIGN_OR_RETURN(const Structure structure, structure_of(ground.facts(), solution.placing, lens));
  ASSIGN_OR_RETURN(solution.rho, least_coalition(structure, Question::read));
  ASSIGN_OR_RETURN(solution.delta, least_coalition(structure, Question::cut));
  MicroDollars sum = 0;
  bool priced = true;
  for (Mask rest = chosen; rest != 0; rest &= rest - 1) {
    const MicroDollars price = ground.storage()[static_cast<size_t>(std::countr_zero(rest))];
    priced = priced && price >= 0;
    sum += price;
  }
  if (priced) solution.cost = static_cast<double>(sum) / (1e3 * solution.placing.code.k);
  (void)book.broken(solution.placing.code, chosen, solution.warnings);
  return solution;
}

Result<Mask> mask_of(const Ground& ground, std::span<const std::string> ids, const std::string& whose) {
  Mask mask = 0;
  for (const std::string& id : ids) {
    const auto bit = ground.find(id);
    if (!bit)
      return fail(ErrorCode::invalid, whose + " names \"" + id + "\", which is no island of these facts");
    if ((mask >> *bit & 1) != 0) return fail(ErrorCode::invalid, whose + " names " + id + " twice");
    mask |= Mask{1} << *bit;
  }
  return mask;
}

Policy without_pin(const Policy& policy) {
  Policy free = policy;
  free.islands.clear();
  return free;
}

// A policy that names its islands: they are judged as they are, in their order.
Result<Solved> check_pinned(const Ground& ground, const RuleBook& book, const Problem& problem,
                            const World& world) {
  const Policy& policy = book.policy();
  const std::string whose = "policy \"" + policy.name + "\"" + phrases::at(policy.where) + ": islands";
  ASSIGN_OR_RETURN(const Mask chosen, mask_of(ground, policy.islands, whose));
  const std::string pin = "islands = " + phrases::quoted(policy.islands) + phrases::at(policy.where);
  Solved solved;
  solved.conflict.policy = policy.name;
  const auto better = [](const Solution& a, const Solution& b) {
    const auto rank = [](const std::optional<int>& size) { return size.value_or(1000); };
    return std::pair(rank(a.rho), rank(a.delta)) > std::pair(rank(b.rho), rank(b.delta));
  };
  for (const Code code : problem.codes) {
    if (policy.code && *policy.code != code) continue;
    if (code.n != static_cast<int>(policy.islands.size())) continue;
    std::vector<std::string> warnings;
    auto broken = book.broken(code, chosen, warnings);
    const auto outside = book.metadata_outside(book.all(), problem.journal);
    if (broken.empty() && outside.empty()) {
      Placing placing{.policy = policy.name, .code = code, .islands = policy.islands, .where = policy.where};
      ASSIGN_OR_RETURN(auto solution, describe(book, std::move(placing), chosen));
      solution.tried = 1;
      if (!solved.solution || better(solution, *solved.solution)) solved.solution = std::move(solution);
    } else if (solved.conflict.rules.empty()) {
      solved.conflict.rules = {pin};
      for (std::string& sentence : broken) solved.conflict.rules.push_back(std::move(sentence));
      for (const Rule& rule : book.rules()) {
        if (rule.kind != RuleKind::metadata_allow && rule.kind != RuleKind::metadata_deny) continue;
        if (!outside.empty()) {
          solved.conflict.rules.push_back(phrases::constraint(book, rule, code, true, problem.journal));
        }
      }
    }
  }
  if (solved.solution) {
    solved.conflict = {};
    return solved;
  }
  if (solved.conflict.rules.empty()) {
    solved.conflict.rules.push_back(
        pin + " are " + std::to_string(policy.islands.size()) + ", and " +
        (policy.code ? "code = " + phrases::code(*policy.code) + " needs " + std::to_string(policy.code->n)
                     : "no code that this cloud knows has so many shards"));
  }
  const Policy free = without_pin(policy);
  ASSIGN_OR_RETURN(const auto instead, solve(ground.facts(), free, problem.codes, problem.journal, world));
  if (instead.solution) {
    const Placing& placing = instead.solution->placing;
    solved.conflict.missing.push_back(
        "without islands, or with islands = " + phrases::quoted(placing.islands) +
        " and code = " + phrases::code(placing.code) + ", it holds");
  } else {
    solved.conflict.missing = instead.conflict.missing;
  }
  return solved;
}

}  // namespace

std::span<const std::string_view> standard_data_classes() {
  static constexpr std::string_view kClasses[] = {"personal", "intellectual-property", "public", "own"};
  return kClasses;
}

Result<Solved> solve(const Facts& facts, const Policy& policy, std::span<const Code> codes,
                     std::span<const std::string> journal, const World& world) {
  if (codes.empty() || !std::ranges::all_of(codes, sound)) {
    return fail(ErrorCode::invalid, "a placement needs codes to choose from, each with 1 <= k <= n <= " +
                                        std::to_string(kShardsMax));
  }
  ASSIGN_OR_RETURN(const Ground ground, Ground::of(facts, world));
  ASSIGN_OR_RETURN(const RuleBook book, RuleBook::of(ground, policy));
  const Problem problem{.codes = codes, .journal = journal};
  if (!policy.islands.empty()) return check_pinned(ground, book, problem, world);
  Budget budget{.left = kSolverTriesMax};
  Solved solved;
  if (book.metadata_outside(book.all(), journal).empty()) {
    ASSIGN_OR_RETURN(const auto best, Planner(book, problem, budget).best());
    if (best) {
      Placing placing{.policy = policy.name,
                      .code = best->code,
                      .islands = ground.in_fact_order(best->islands),
                      .where = policy.where};
      ASSIGN_OR_RETURN(solved.solution, describe(book, std::move(placing), best->islands));
      solved.solution->tried = budget.used;
      return solved;
    }
  }
  Budget more{.left = kSolverTriesMax};
  ASSIGN_OR_RETURN(solved.conflict, explain(book, problem, more));
  return solved;
}

Result<std::vector<std::string>> violations(const Facts& facts, const Policy& policy, const Placing& placing,
                                            const World& world) {
  ASSIGN_OR_RETURN(const Ground ground, Ground::of(facts, world));
  ASSIGN_OR_RETURN(const RuleBook book, RuleBook::of(ground, policy));
  if (!sound(placing.code) || placing.islands.size() != static_cast<size_t>(placing.code.n)) {
    return fail(ErrorCode::invalid, "a placing of code " + phrases::code(placing.code) + " on " +
                                        phrases::count(placing.islands.size(), "island", "islands") +
                                        " is not one: n islands, 1 <= k <= n");
  }
  ASSIGN_OR_RETURN(const Mask chosen, mask_of(ground, placing.islands, "a placing"));
  std::vector<std::string> sentences, warnings;
  const std::string where = phrases::at(policy.where);
  if (policy.code && *policy.code != placing.code) {
    sentences.push_back("code = " + phrases::code(*policy.code) + " is asked for, and this is " +
                        phrases::code(placing.code) + where);
  }
  if (!policy.islands.empty() && policy.islands != placing.islands) {
    sentences.push_back("islands = " + phrases::quoted(policy.islands) + " are asked for, and these are " +
                        phrases::list(placing.islands) + where);
  }
  for (std::string& sentence : book.broken(placing.code, chosen, warnings))
    sentences.push_back(std::move(sentence));
  return sentences;
}

}  // namespace archipel::exposure
