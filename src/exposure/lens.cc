// Facts through a lens: which units there are, and what each of them reaches of one placing.

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "exposure/engine.h"

namespace archipel::exposure {
namespace {

using Kind = Lens::Kind;

// What a state counts as: itself, or every enabled bloc it is in.
template <class F>
void units_of_state(const Facts& facts, const StateCode& state, F each) {
  bool in_bloc = false;
  for (const Bloc& bloc : facts.blocs) {
    if (!bloc.enabled || std::ranges::find(bloc.states, state) == bloc.states.end()) continue;
    in_bloc = true;
    each(bloc.id);
  }
  if (!in_bloc) each(state);
}

template <class F>
void units_of_party(const Facts& facts, const Party& party, Kind kind, F each) {
  if (kind == Kind::providers) {
    if (!party.provider.empty()) each(party.provider, Cap::both);
    return;
  }
  for (const Edge& edge : party.edges)
    units_of_state(facts, edge.state, [&](const std::string& unit) { each(unit, edge.cap); });
}

// Everybody that every placing depends on.
template <class F>
void common_parties(const Facts& facts, F each) {
  for (const Party& party : facts.keyholders) each(party);
  for (const Party& party : facts.gateways) each(party);
  for (const Party& party : facts.names) each(party);
}

Result<Lens> lens_from(const Facts& facts, Kind kind, const std::vector<const Party*>& parties) {
  std::set<std::string> units;
  for (const Party* party : parties)
    units_of_party(facts, *party, kind, [&](const std::string& unit, Cap) { units.insert(unit); });
  if (units.size() > kUnitsMax)
    return fail(
        archipel::Code::limit,
        fmt::format("{} {} reach these parties, and at most {} can be judged at once; enable blocs or "
                    "judge fewer islands",
                    units.size(), kind == Kind::states ? "states" : "providers", kUnitsMax));
  Lens lens;
  lens.kind = kind;
  lens.units.assign(units.begin(), units.end());
  return lens;
}

Result<const Party*> find_island(const Facts& facts, const Placing& placing, const std::string& id) {
  auto found = std::ranges::find(facts.islands, id, &Party::id);
  if (found == facts.islands.end())
    return fail(archipel::Code::invalid,
                fmt::format("policy {}: there is no island \"{}\"", placing.policy, id));
  return &*found;
}

Reach reach_of(const Facts& facts, const Party& party, const Lens& lens) {
  Reach out;
  units_of_party(facts, party, lens.kind, [&](const std::string& unit, Cap cap) {
    std::optional<size_t> at = lens.find(unit);
    if (!at) return;
    Coalition bit = Coalition{1} << *at;
    if ((static_cast<int>(cap) & static_cast<int>(Cap::read)) != 0) out.read |= bit;
    if ((static_cast<int>(cap) & static_cast<int>(Cap::cut)) != 0) out.cut |= bit;
  });
  return out;
}

}  // namespace

std::optional<size_t> Lens::find(std::string_view unit) const {
  auto found = std::ranges::lower_bound(units, unit);
  if (found == units.end() || *found != unit) return std::nullopt;
  return static_cast<size_t>(found - units.begin());
}

std::vector<std::string> Lens::names(Coalition coalition) const {
  std::vector<std::string> out;
  for (size_t i = 0; i < units.size(); ++i)
    if ((coalition >> i & 1) != 0) out.push_back(units[i]);
  return out;
}

Result<Lens> lens_of(const Facts& facts, Kind kind) {
  std::vector<const Party*> parties;
  parties.reserve(facts.islands.size());
  for (const Party& party : facts.islands) parties.push_back(&party);
  common_parties(facts, [&](const Party& party) { parties.push_back(&party); });
  return lens_from(facts, kind, parties);
}

Result<Lens> lens_of(const Facts& facts, const Placing& placing, Kind kind) {
  std::vector<const Party*> parties;
  for (const std::string& id : placing.islands) {
    ASSIGN_OR_RETURN(const Party* island, find_island(facts, placing, id));
    parties.push_back(island);
  }
  common_parties(facts, [&](const Party& party) { parties.push_back(&party); });
  return lens_from(facts, kind, parties);
}

Result<Structure> structure_of(const Facts& facts, const Placing& placing, const Lens& lens,
                               uint32_t confirmed) {
  Structure out;
  out.k = placing.code.k;
  confirmed &= placing.confirmed;
  for (size_t i = 0; i < placing.islands.size(); ++i) {
    ASSIGN_OR_RETURN(const Party* island, find_island(facts, placing, placing.islands[i]));
    out.shards.push_back({reach_of(facts, *island, lens), i >= 32 || (confirmed >> i & 1) != 0});
  }
  out.threshold = facts.keys_threshold;
  for (const Party& holder : facts.keyholders) out.keys.push_back(reach_of(facts, holder, lens));
  for (const Gateway& gateway : facts.gateways)
    out.gateways.push_back({reach_of(facts, gateway, lens), gateway.plaintext});
  for (Name::Kind kind : {Name::Kind::dns, Name::Kind::ca}) {
    std::vector<Reach> names;
    for (const Name& name : facts.names)
      if (name.kind == kind) names.push_back(reach_of(facts, name, lens));
    if (!names.empty()) out.names.push_back(std::move(names));
  }
  return out;
}

}  // namespace archipel::exposure
