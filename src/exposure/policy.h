// Policy: what a bucket's owner demands of a placement (protocol §6), and the solver that finds one, or says why there is none.
//
// Rules bind islands: residency (which states' ground, operators or parents), adversaries (a state, a bloc, a provider), each of which reaches at
// most n-k confirmed shards (cut) and, if the policy enforces it, at most k-1 (read); and no provider ever holds more than n-k. The solver uses
// the engine: what is promised is what is placed. Deterministic: the same facts and policy give the same placement on every machine.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "exposure/engine.h"
#include "exposure/facts.h"
#include "exposure/world.h"

namespace archipel::exposure {

enum class Bound : uint8_t { off, warn, enforce };

struct Policy {
  std::string name;                  // 1..63 of a-z 0-9 -. "default" is what buckets without a policy follow
  std::optional<Code> code;          // [n, k]; absent: the solver chooses among the codes the cloud knows
  std::vector<std::string> islands;  // pinned: shard i goes to islands[i]. Empty: the solver chooses
  // Residency: only where all of `of` lie in `allow` (empty: anywhere) and none in `deny`. States or sets of data/ ("EU", "gdpr-adequacy").
  std::vector<std::string> allow, deny;
  std::vector<Basis> of = {Basis::place};  // residency_of = ["place", "operator", "parent"]
  // For the journal, which holds metadata sealed on every island; a policy stricter than the journal's islands is refused.
  std::vector<std::string> metadata_allow, metadata_deny;
  std::vector<std::string> adversaries;  // states, sets, providers
  Bound read_bound = Bound::warn, cut_bound = Bound::enforce;
  // US dollars per month for 1 TB of clients' data, storage alone. An island whose price is not known cannot keep it; the owner's own cost nothing.
  std::optional<double> cost_max;
  Where where;
};

// personal | intellectual-property | public | own, and whatever else a config names.
struct DataClass {
  std::string name, policy;
  Where where;
};

// The four that every cloud has, all under "default" unless a config says otherwise.
std::span<const std::string_view> standard_data_classes();

struct Solution {
  Placing placing;
  std::optional<int> rho, delta;      // bloc-adjusted, as the engine counts them
  std::optional<double> cost;         // per TB and month; nothing: a price is not known
  std::vector<std::string> warnings;  // bounds that do not hold and are "warn"
  uint64_t tried = 0;                 // steps of the search
};

// Why nothing fits: a set of rules that contradict each other, of which none can be left out, and what would help (each tried by solving again).
struct Conflict {
  std::string policy;                // its name
  std::vector<std::string> rules;    // "residency allow = [\"EU\"] leaves 4 islands: …" with file and line
  std::vector<std::string> missing;  // "an island whose place is in EU, at a provider other than ovh"
  std::string message() const;       // one sentence for an error: policy, rules, what is missing
};

struct Solved {
  std::optional<Solution> solution;
  Conflict conflict;  // meaningful without a solution
};

// Best first by rho, delta (both as large as can be, nothing = nobody = best), then both again for coalitions without the owner's home states
// (a gateway at home reads and cuts alone, whatever the placement), then the lower cost (a known one before an unknown one), then fewer shards, then
// names. Shards are in the order of the facts' islands. `codes`: those the cloud knows; no other one is admitted. `journal`: the islands that hold
// metadata. Pinned islands are judged as they are, in their order.
//
// invalid: a policy with unknown words or islands, or numbers out of range, with its file and line. limit: more than kSolverTriesMax steps (choices
// of an island): a search cut short is an error, never a worse answer.
inline constexpr uint64_t kSolverTriesMax = 5'000'000;
Result<Solved> solve(const Facts& facts, const Policy& policy, std::span<const Code> codes,
                     std::span<const std::string> journal, const World& world);

// Does this placing keep the policy? Empty: yes. Else one sentence per rule broken. The same rules as solve(), but those for the journal's metadata.
// invalid: as solve(), or no placing.
Result<std::vector<std::string>> violations(const Facts& facts, const Policy& policy, const Placing& placing,
                                            const World& world);

}  // namespace archipel::exposure
