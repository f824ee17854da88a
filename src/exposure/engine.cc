#include "exposure/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "exposure/terms.h"

namespace archipel::exposure {
namespace {

enum class Count : uint8_t { first, second };

// Position `at` of one of the term's counts is reached by each unit of `reach`.
void place(Term& term, Count count, size_t at, Coalition reach) {
  for (term.units |= reach; reach != 0; reach &= reach - 1) {
    Hits& hits = term.of[static_cast<size_t>(std::countr_zero(reach))];
    (count == Count::first ? hits.first : hits.second) |= uint64_t{1} << at;
  }
}

int confirmed_shards(const Structure& s) {
  return static_cast<int>(std::ranges::count(s.shards, true, &Structure::Shard::confirmed));
}

// An unconfirmed shard is lost already: nobody need withhold it.
Term confirmed_term(const Structure& s, int need) {
  Term term;
  term.need_first = std::max(need, 0);
  for (size_t i = 0; i < s.shards.size(); ++i)
    if (s.shards[i].confirmed) place(term, Count::first, i, s.shards[i].reach.cut);
  return term;
}

void add_read(const Structure& s, std::vector<Term>& out) {
  Term data;
  data.need_first = s.k;
  for (size_t i = 0; i < s.shards.size(); ++i) place(data, Count::first, i, s.shards[i].reach.read);
  if (!s.keys.empty()) {
    data.need_second = s.threshold;
    for (size_t i = 0; i < s.keys.size(); ++i) place(data, Count::second, i, s.keys[i].read);
  }
  out.push_back(data);
  Term gates;
  gates.need_first = 1;
  for (size_t i = 0; i < s.gateways.size(); ++i)
    if (s.gateways[i].plaintext) place(gates, Count::first, i, s.gateways[i].reach.read);
  if (gates.units != 0) out.push_back(gates);
}

void add_cut(const Structure& s, std::vector<Term>& out) {
  out.push_back(confirmed_term(s, confirmed_shards(s) - s.k + 1));
  auto all_of = [&](const auto& parties, size_t need, auto reach_of) {
    if (parties.empty()) return;
    Term term;
    term.need_first = static_cast<int>(need);
    for (size_t i = 0; i < parties.size(); ++i) place(term, Count::first, i, reach_of(parties[i]).cut);
    out.push_back(term);
  };
  auto itself = [](const Reach& reach) { return reach; };
  all_of(s.keys, s.keys.size() - static_cast<size_t>(s.threshold) + 1, itself);
  all_of(s.gateways, s.gateways.size(), [](const Structure::Gate& gate) { return gate.reach; });
  for (const auto& kind : s.names) all_of(kind, kind.size(), itself);
}

}  // namespace

std::vector<Term> terms_of(const Structure& structure, Question question) {
  std::vector<Term> out;
  if (question == Question::read) {
    add_read(structure, out);
  } else {
    add_cut(structure, out);
    if (question == Question::degrade) {
      bool whole = confirmed_shards(structure) == static_cast<int>(structure.shards.size());
      out.push_back(confirmed_term(structure, whole ? 1 : 0));
    }
  }
  return out;
}

bool holds(const Structure& structure, Question question, Coalition coalition) {
  return std::ranges::any_of(terms_of(structure, question),
                             [&](const Term& term) { return term.holds(coalition); });
}

namespace {

Coalition capable(const Reach& reach, Question question) {
  return question == Question::read ? reach.read : reach.cut;
}

// Positions of which some member of `with` and none of `without` has hold.
Positions positions(const Structure& s, Question question, Coalition with, Coalition without) {
  Positions out;
  auto add = [&](std::vector<int>& list, size_t at, const Reach& reach) {
    Coalition by = capable(reach, question);
    if ((by & with) != 0 && (by & without) == 0) list.push_back(static_cast<int>(at));
  };
  for (size_t i = 0; i < s.shards.size(); ++i)
    if (question == Question::read || s.shards[i].confirmed) add(out.shards, i, s.shards[i].reach);
  for (size_t i = 0; i < s.keys.size(); ++i) add(out.keys, i, s.keys[i]);
  for (size_t i = 0; i < s.gateways.size(); ++i)
    if (question != Question::read || s.gateways[i].plaintext) add(out.gateways, i, s.gateways[i].reach);
  if (question == Question::read) return out;  // who reaches a name reads nothing by it
  size_t at = 0;
  for (const auto& kind : s.names)
    for (const Reach& name : kind) add(out.names, at++, name);
  return out;
}

std::string read_reason(const Structure& s, const Positions& reached) {
  if (!reached.gateways.empty()) return fmt::format("gateway {} sees plaintext", reached.gateways.front());
  std::string out = fmt::format("{} shards of {} needed", reached.shards.size(), s.k);
  if (!s.keys.empty()) out += fmt::format(" and {} keys of {} needed", reached.keys.size(), s.threshold);
  return out;
}

std::string cut_reason(const Structure& s, const Positions& reached, bool degrade) {
  std::vector<std::string> out;
  int confirmed = confirmed_shards(s), left = confirmed - static_cast<int>(reached.shards.size());
  if (left < s.k)
    out.push_back(fmt::format("{} of {} confirmed shards left, {} needed", left, confirmed, s.k));
  int keys_left = static_cast<int>(s.keys.size() - reached.keys.size());
  if (!s.keys.empty() && keys_left < s.threshold)
    out.push_back(fmt::format("{} of {} keys left, {} needed", keys_left, s.keys.size(), s.threshold));
  if (!s.gateways.empty() && reached.gateways.size() == s.gateways.size())
    out.push_back(fmt::format("no gateway of {} left", s.gateways.size()));
  int at = 0;
  for (const auto& kind : s.names) {
    int first = at;
    at += static_cast<int>(kind.size());
    auto of_kind = std::ranges::count_if(reached.names, [&](int i) { return i >= first && i < at; });
    if (!kind.empty() && of_kind == at - first) out.push_back(fmt::format("no name of {} left", kind.size()));
  }
  if (degrade && out.empty()) out.push_back(fmt::format("{} of {} shards answer", left, s.shards.size()));
  return fmt::format("{}", fmt::join(out, "; "));
}

}  // namespace

Certificate certify(const Structure& structure, Question question, Coalition minimal) {
  Certificate out;
  out.coalition = minimal;
  out.reached = positions(structure, question, minimal, 0);
  for (Coalition rest = minimal; rest != 0; rest &= rest - 1) {
    Coalition member = rest & -rest;
    out.alone.push_back(positions(structure, question, member, minimal & ~member));
  }
  out.reason = question == Question::read ? read_reason(structure, out.reached)
                                          : cut_reason(structure, out.reached, question == Question::degrade);
  return out;
}

std::optional<int> Exposure::rho() const {
  return read.empty() ? std::nullopt : std::optional(std::popcount(read.front()));
}
std::optional<int> Exposure::delta() const {
  return cut.empty() ? std::nullopt : std::optional(std::popcount(cut.front()));
}

Result<Exposure> expose(const Structure& structure) {
  Exposure out;
  ASSIGN_OR_RETURN(out.read, minimal_coalitions(structure, Question::read));
  ASSIGN_OR_RETURN(out.cut, minimal_coalitions(structure, Question::cut));
  ASSIGN_OR_RETURN(out.degrade, minimal_coalitions(structure, Question::degrade));
  return out;
}

std::vector<uint64_t> key_of(const Structure& s) {
  std::vector<std::array<uint64_t, 3>> shards;
  shards.reserve(s.shards.size());
  for (const auto& shard : s.shards) shards.push_back({shard.reach.read, shard.reach.cut, shard.confirmed});
  std::ranges::sort(shards);
  std::vector<uint64_t> out = {static_cast<uint64_t>(s.k), static_cast<uint64_t>(s.threshold),
                               s.shards.size(), s.keys.size(), s.gateways.size()};
  for (const auto& shard : shards) out.insert(out.end(), shard.begin(), shard.end());
  for (const Reach& key : s.keys) out.insert(out.end(), {key.read, key.cut});
  for (const auto& gate : s.gateways)
    out.insert(out.end(), {gate.reach.read, gate.reach.cut, gate.plaintext});
  for (const auto& kind : s.names) {
    out.push_back(kind.size());
    for (const Reach& name : kind) out.insert(out.end(), {name.read, name.cut});
  }
  return out;
}

Result<std::vector<Answer>> expose_all(const Facts& facts, std::span<const Placing> placings) {
  std::map<std::vector<uint64_t>, Exposure> known;
  std::vector<Answer> out;
  for (const Placing& placing : placings) {
    Answer answer;
    ASSIGN_OR_RETURN(answer.lens, lens_of(facts, placing, Lens::Kind::states));
    ASSIGN_OR_RETURN(Structure structure, structure_of(facts, placing, answer.lens));
    auto [found, is_new] = known.try_emplace(key_of(structure));
    if (is_new) {
      auto exposure = expose(structure);
      if (!exposure)
        return fail(exposure.error().code,
                    fmt::format("policy {}: {}", placing.policy, exposure.error().message));
      found->second = std::move(*exposure);
    }
    answer.exposure = found->second;
    out.push_back(std::move(answer));
  }
  return out;
}

}  // namespace archipel::exposure
