// Engine: who can read, who can cut (design §6, inquiry §4). Pure functions over small bit masks; no names, no files, no law.
//
// A *unit* is what coalitions are made of: a state, a bloc that stands for its states, or a provider. At most 64; bit u of a mask is unit u. A
// Structure is one placement as those units see it. READ and CUT are monotone: whatever a coalition can do, a larger one can. So the minimal
// coalitions say everything, and each carries its own proof.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "exposure/facts.h"

namespace archipel::exposure {

inline constexpr size_t kUnitsMax = 64;
inline constexpr size_t kCoalitionsMax = 100'000;  // of one answer: more is an error, never a cut list
inline constexpr uint64_t kStepsMax = 20'000'000;  // of one search: a second or two

using Coalition = uint64_t;

// The units that reach a party, each of them alone.
struct Reach {
  Coalition read = 0, cut = 0;
};

struct Structure {
  struct Shard {
    Reach reach;
    bool confirmed =
        true;  // an unconfirmed shard may be readable where it is, and counts as lost already for CUT
  };
  struct Gate {
    Reach reach;
    bool plaintext = false;
  };
  int k = 0;
  std::vector<Shard> shards;  // n
  int threshold = 0;
  std::vector<Reach> keys;                // empty: the key terms drop out
  std::vector<Gate> gateways;             // empty: so do theirs
  std::vector<std::vector<Reach>> names;  // by kind; every name of a kind reached = that kind is cut
};

enum class Question : uint8_t {
  read,  // k shards and the threshold of keys, or a gateway that sees plaintext
  cut,   // fewer than k confirmed shards left, or too few keys, or every gateway, or every name of one kind
  degrade,  // some shard withheld: fewer than n answer (cut coalitions degrade, too)
};

bool holds(const Structure& structure, Question question, Coalition coalition);

// Every inclusion-minimal coalition for which the question holds, by size, then by value. {0} if it holds for nobody's help, empty if for nobody.
// limit: more than kCoalitionsMax of them, or more than kStepsMax steps to find them. Cost: grows with the coalitions in which everybody is still
// needed, not with 2^units; units that reach the same count as one until the end.
Result<std::vector<Coalition>> minimal_coalitions(const Structure& structure, Question question);

// Size of the smallest coalition that, together with `helped` (whose members count nothing), makes the question hold; nothing: none does. No list
// is made: what kCoalitionsMax refuses is still answered. limit: kStepsMax.
Result<std::optional<int>> least_coalition(const Structure& structure, Question question,
                                           Coalition helped = 0);

// What a coalition reaches, or one member of it alone: positions in a Structure. `names`: counted through all kinds in their order.
struct Positions {
  std::vector<int> shards, keys, gateways, names;
};

// What makes one coalition's case: what it reaches, counted against what it needs. Enough for a reader, and for another program, to check.
struct Certificate {
  Coalition coalition = 0;
  Positions reached;
  // By member, in bit order: positions that nobody else in the coalition reaches; without that member the question does not hold.
  std::vector<Positions> alone;
  std::string reason;  // "3 shards of 3 needed and 2 keys of 2 needed", "gateway 0 sees plaintext", …
};
Certificate certify(const Structure& structure, Question question, Coalition minimal);

// Units by name, in sorted order, and how to see a placing through them.
struct Lens {
  enum class Kind : uint8_t { states, providers } kind = Kind::states;
  std::vector<std::string> units;  // sorted; state codes and ids of enabled blocs, or providers
  std::optional<size_t> find(std::string_view unit) const;
  std::vector<std::string> names(Coalition coalition) const;  // sorted
};
// Only units that reach somebody. limit: more than kUnitsMax.
Result<Lens> lens_of(const Facts& facts, Lens::Kind kind);
// Only units that reach an island of this placing, a key holder, a gateway or a name: what one answer needs, however many islands there are.
Result<Lens> lens_of(const Facts& facts, const Placing& placing, Lens::Kind kind);
// `confirmed`: bit per shard, besides the placing's own. invalid: an island that the facts do not know.
Result<Structure> structure_of(const Facts& facts, const Placing& placing, const Lens& lens,
                               uint32_t confirmed = ~0u);

// The answers for one placing. rho() and delta() are the sizes of the smallest coalitions; none: nobody can.
struct Exposure {
  std::vector<Coalition> read, cut, degrade;
  std::optional<int> rho() const, delta() const;
};
Result<Exposure> expose(const Structure& structure);

// An Exposure with the names of its units.
struct Answer {
  Lens lens;
  Exposure exposure;
};
// One answer per placing, in order, each through its own lens of states. Structures that are the same but for the order of shards are computed once.
Result<std::vector<Answer>> expose_all(const Facts& facts, std::span<const Placing> placings);

// Can this state, bloc (enabled or not) or provider do it alone? And with how little help from others: states and enabled blocs, or for a provider
// other providers? A state of an enabled bloc is asked about for itself.
struct Adversary {
  std::string id;
  bool reads = false, cuts = false, degrades = false;
  std::optional<int> read_help, cut_help;  // further units needed; 0 = none; nothing: no help suffices
};
// not_found: neither a state's code, nor a bloc or provider of these facts. limit.
Result<Adversary> judge(const Facts& facts, const Placing& placing, const std::string& adversary,
                        uint32_t confirmed = ~0u);

// A fact of level Declared or Assumed that an answer hangs on: what changes if it is false. Of the facts' placings; in their order, then the parties'.
struct Sensitivity {
  std::string party;  // "island aws-ireland"
  Edge edge;
  std::string policy;
  std::optional<int> rho, rho_without, delta, delta_without;
};
Result<std::vector<Sensitivity>> sensitivities(const Facts& facts);

}  // namespace archipel::exposure
