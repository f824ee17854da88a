// Minimal coalitions of one question, term by term. A depth-first search over coalitions in which every member is still needed: a member is
// needed as long as, without it, one of the term's counts is missed. That can only be lost by growing, never won back, so a coalition that
// fails it is dropped with everything above it, and one that fulfils the term is minimal for it as it stands. (The crit lists of Murakami and
// Uno's MMCS, for counts in place of hitting sets.)

#include <algorithm>
#include <map>

#include "exposure/engine.h"
#include "exposure/terms.h"

namespace archipel::exposure {
namespace {

// Units that reach exactly the same positions of a term: any one of them will do, and two are one too many.
struct Peers {
  Hits hits;
  Coalition units = 0;
};

// Those whose reach is largest first: what they cannot do, the small ones after them cannot either, and the search ends early.
std::vector<Peers> peers_of(const Term& term, Coalition units, Hits base) {
  std::map<Hits, Coalition> by_hits;
  for (Coalition rest = units & term.units; rest != 0; rest &= rest - 1) {
    Hits hits = term.of[static_cast<size_t>(std::countr_zero(rest))] & ~base;
    if (hits != Hits{}) by_hits[hits] |= rest & -rest;
  }
  std::vector<Peers> out;
  out.reserve(by_hits.size());
  for (const auto& [hits, peers] : by_hits) out.push_back({hits, peers});
  auto size = [](const Peers& p) { return std::popcount(p.hits.first) + std::popcount(p.hits.second); };
  std::ranges::sort(out, [&](const Peers& a, const Peers& b) {
    return std::pair(-size(a), a.hits) < std::pair(-size(b), b.hits);
  });
  return out;
}

std::unexpected<Error> too_long() {
  return fail(
      archipel::Code::limit,
      "the minimal coalitions cannot be found within the limit of steps; enable blocs, or judge fewer "
      "parties at once");
}

class Search {
 public:
  // `base`: positions that are reached already, by nobody's doing.
  Search(const Term& term, std::vector<Peers> peers, Hits base) : term_(term), peers_(std::move(peers)) {
    after_.resize(peers_.size() + 1);
    for (size_t i = peers_.size(); i-- > 0;) after_[i] = after_[i + 1] | peers_[i].hits;
    base_ = base;
  }

  // Calls `found(chosen)` with each minimal choice of peers, in no order; false from it ends the search. False: out of steps.
  template <class F>
  bool run(int size_max, uint64_t& steps, F found) {
    size_max_ = size_max;
    steps_ = &steps;
    if (term_.enough(base_)) {
      found(chosen_);
      return true;
    }
    descend(0, base_, base_, found);
    return steps < kStepsMax;
  }

  const Peers& peers(size_t i) const { return peers_[i]; }
  void limit_size(int size_max) { size_max_ = size_max; }

 private:
  // Does a count miss its need without what `hits` alone reaches (of `once`, but not of `twice`)?
  bool needed(Hits hits, Hits once, Hits twice) const {
    auto missed = [](uint64_t alone, uint64_t all, int need) {
      return alone != 0 && std::popcount(all & ~alone) < need;
    };
    Hits alone = hits & ~twice;
    return missed(alone.first, once.first, term_.need_first) ||
           missed(alone.second, once.second, term_.need_second);
  }

  template <class F>
  bool descend(size_t from, Hits once, Hits twice, F& found) {
    if (static_cast<int>(chosen_.size()) >= size_max_) return true;
    for (size_t i = from; i < peers_.size(); ++i) {
      if (!term_.enough(once | after_[i])) return true;  // all that is left together would not do
      if (++*steps_ >= kStepsMax) return false;
      Hits hits = peers_[i].hits;
      Hits now = once | hits, now_twice = twice | (once & hits);
      if (now == once || !needed(hits, now, now_twice)) continue;
      bool all_needed =
          std::ranges::all_of(chosen_, [&](size_t c) { return needed(peers_[c].hits, now, now_twice); });
      if (!all_needed) continue;
      chosen_.push_back(i);
      bool go_on = term_.enough(now) ? found(chosen_) : descend(i + 1, now, now_twice, found);
      chosen_.pop_back();
      if (!go_on) return false;
      if (static_cast<int>(chosen_.size()) >= size_max_) return true;  // lowered meanwhile
    }
    return true;
  }

  const Term& term_;
  std::vector<Peers> peers_;
  std::vector<Hits> after_;  // what all from i on reach together
  Hits base_;
  int size_max_ = 0;
  uint64_t* steps_ = nullptr;
  std::vector<size_t> chosen_;
};

// Each way to take one unit of every chosen group of peers. False: `each` wants no more.
template <class F>
bool expand(const Search& search, const std::vector<size_t>& chosen, size_t from, Coalition picked, F& each) {
  if (from == chosen.size()) return each(picked);
  for (Coalition rest = search.peers(chosen[from]).units; rest != 0; rest &= rest - 1)
    if (!expand(search, chosen, from + 1, picked | (rest & -rest), each)) return false;
  return true;
}

// Minimal for its own term, `coalition` is minimal for the question if no other term holds for a part of it.
bool minimal_for_all(const std::vector<Term>& terms, size_t own, Coalition coalition) {
  for (size_t t = 0; t < terms.size(); ++t) {
    if (t == own) continue;
    for (Coalition rest = coalition; rest != 0; rest &= rest - 1)
      if (terms[t].holds(coalition & ~(rest & -rest))) return false;
  }
  return true;
}

}  // namespace

Result<std::vector<Coalition>> minimal_coalitions(const Structure& structure, Question question) {
  std::vector<Term> terms = terms_of(structure, question);
  for (const Term& term : terms)
    if (term.enough({})) return std::vector<Coalition>{0};
  Coalition single = 0, others = 0;  // units that can do it alone are in no larger minimal coalition
  for (const Term& term : terms) others |= term.units;
  for (Coalition rest = others; rest != 0; rest &= rest - 1)
    if (std::ranges::any_of(terms, [&](const Term& term) { return term.holds(rest & -rest); }))
      single |= rest & -rest;
  others &= ~single;

  std::vector<Coalition> out;
  for (Coalition rest = single; rest != 0; rest &= rest - 1) out.push_back(rest & -rest);
  uint64_t steps = 0;
  for (size_t t = 0; t < terms.size(); ++t) {
    Search search(terms[t], peers_of(terms[t], others, {}), {});
    auto take = [&](Coalition coalition) {
      if (minimal_for_all(terms, t, coalition)) out.push_back(coalition);
      return ++steps < kStepsMax && out.size() <= kCoalitionsMax * terms.size();
    };
    bool ended = search.run(static_cast<int>(kUnitsMax), steps, [&](const std::vector<size_t>& chosen) {
      return expand(search, chosen, 0, 0, take);
    });
    if (!ended) return too_long();
  }
  std::ranges::sort(out, [](Coalition a, Coalition b) {
    return std::pair(std::popcount(a), a) < std::pair(std::popcount(b), b);
  });
  auto [again, end] = std::ranges::unique(out);  // two terms may agree on one
  out.erase(again, end);
  if (out.size() > kCoalitionsMax)
    return fail(archipel::Code::limit,
                "there are more than 100,000 minimal coalitions; enable blocs to see fewer");
  return out;
}

Result<std::optional<int>> least_coalition(const Structure& structure, Question question, Coalition helped) {
  std::vector<Term> terms = terms_of(structure, question);
  int best = static_cast<int>(kUnitsMax) + 1;
  uint64_t steps = 0;
  for (const Term& term : terms) {
    if (best == 0) break;
    Hits base = term.reached_by(helped);
    Search search(term, peers_of(term, ~helped, base), base);
    bool ended = search.run(best - 1, steps, [&](const std::vector<size_t>& chosen) {
      best = static_cast<int>(chosen.size());
      search.limit_size(best - 1);
      return true;
    });
    if (!ended) return too_long();
  }
  if (best > static_cast<int>(kUnitsMax)) return std::optional<int>();
  return std::optional(best);
}

}  // namespace archipel::exposure
