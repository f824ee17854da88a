// One adversary's case, and the facts that the answers hang on.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "exposure/engine.h"
#include "exposure/terms.h"

namespace archipel::exposure {
namespace {

bool is_provider(const Facts& facts, const std::string& id) {
  auto of = [&](const Party& party) { return party.provider == id; };
  return std::ranges::any_of(facts.islands, of) || std::ranges::any_of(facts.keyholders, of) ||
         std::ranges::any_of(facts.gateways, of) || std::ranges::any_of(facts.names, of);
}

bool looks_like_state(std::string_view id) {
  return id.size() == 2 && std::ranges::all_of(id, [](char c) { return c >= 'A' && c <= 'Z'; });
}

// The facts as they stand when the adversary acts for itself: its states are in nobody else's bloc.
struct Asked {
  Facts facts;
  Lens::Kind kind = Lens::Kind::states;
  std::vector<std::string> units;
};

Result<Asked> asked_about(const Facts& facts, const std::string& adversary) {
  Asked out{facts, Lens::Kind::states, {adversary}};
  auto bloc = std::ranges::find(facts.blocs, adversary, &Bloc::id);
  if (bloc != facts.blocs.end()) {
    if (!bloc->enabled) out.units = bloc->states;
  } else if (is_provider(facts, adversary)) {
    out.kind = Lens::Kind::providers;
  } else if (!looks_like_state(adversary)) {
    return fail(
        archipel::Code::not_found,
        fmt::format("\"{}\" is neither a state's code, nor a bloc or a provider of these facts", adversary));
  }
  if (bloc != facts.blocs.end() && bloc->enabled) return out;
  for (Bloc& other : out.facts.blocs)
    std::erase_if(other.states, [&](const StateCode& state) {
      return std::ranges::find(out.units, state) != out.units.end();
    });
  return out;
}

}  // namespace

Result<Adversary> judge(const Facts& facts, const Placing& placing, const std::string& adversary,
                        uint32_t confirmed) {
  ASSIGN_OR_RETURN(Asked asked, asked_about(facts, adversary));
  ASSIGN_OR_RETURN(Lens lens, lens_of(asked.facts, placing, asked.kind));
  ASSIGN_OR_RETURN(Structure structure, structure_of(asked.facts, placing, lens, confirmed));
  Coalition itself = 0;
  for (const std::string& unit : asked.units)
    if (auto at = lens.find(unit)) itself |= Coalition{1} << *at;
  Adversary out;
  out.id = adversary;
  ASSIGN_OR_RETURN(out.read_help, least_coalition(structure, Question::read, itself));
  ASSIGN_OR_RETURN(out.cut_help, least_coalition(structure, Question::cut, itself));
  out.reads = out.read_help == 0;
  out.cuts = out.cut_help == 0;
  out.degrades = holds(structure, Question::degrade, itself);
  return out;
}

namespace {

struct Sizes {
  std::optional<int> rho, delta;
  bool operator==(const Sizes&) const = default;
};

// Remembers: most facts say again what another one says, and leave the structure as it was.
class Sizer {
 public:
  Result<Sizes> of(const Structure& structure) {
    auto [found, is_new] = known_.try_emplace(key_of(structure));
    if (is_new) {
      ASSIGN_OR_RETURN(found->second.rho, least_coalition(structure, Question::read));
      ASSIGN_OR_RETURN(found->second.delta, least_coalition(structure, Question::cut));
    }
    return found->second;
  }

 private:
  std::map<std::vector<uint64_t>, Sizes> known_;
};

// Parties of a placing in `facts`, with the words that name their kind.
std::vector<std::pair<std::string, Party*>> parties_of(Facts& facts, const Placing& placing) {
  std::vector<std::pair<std::string, Party*>> out;
  for (const std::string& id : placing.islands)
    for (Party& island : facts.islands)
      if (island.id == id) out.emplace_back("island " + id, &island);
  for (Party& holder : facts.keyholders) out.emplace_back("key holder " + holder.id, &holder);
  for (Gateway& gateway : facts.gateways) out.emplace_back("gateway " + gateway.id, &gateway);
  for (Name& name : facts.names) out.emplace_back("name " + name.id, &name);
  return out;
}

}  // namespace

Result<std::vector<Sensitivity>> sensitivities(const Facts& facts) {
  std::vector<Sensitivity> out;
  Sizer sizer;
  Facts changed = facts;
  for (const Placing& placing : facts.placings) {
    ASSIGN_OR_RETURN(Lens lens, lens_of(facts, placing, Lens::Kind::states));
    ASSIGN_OR_RETURN(Structure whole, structure_of(facts, placing, lens));
    ASSIGN_OR_RETURN(Sizes sizes, sizer.of(whole));
    for (auto& [name, party] : parties_of(changed, placing)) {
      for (size_t i = 0; i < party->edges.size(); ++i) {
        Edge edge = party->edges[i];
        if (edge.level != Level::declared && edge.level != Level::assumed) continue;
        auto at = party->edges.begin() + static_cast<ptrdiff_t>(i);
        party->edges.erase(at);
        auto without = structure_of(changed, placing, lens);
        party->edges.insert(party->edges.begin() + static_cast<ptrdiff_t>(i), edge);
        if (!without) return fail(std::move(without).error());
        ASSIGN_OR_RETURN(Sizes less, sizer.of(*without));
        if (less != sizes)
          out.push_back({name, edge, placing.policy, sizes.rho, less.rho, sizes.delta, less.delta});
      }
    }
  }
  return out;
}

}  // namespace archipel::exposure
