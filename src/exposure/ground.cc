#include "exposure/ground.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>

namespace archipel::exposure {
namespace {

using ErrorCode = archipel::Code;

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

}  // namespace

std::string provider_id(const World& world, const std::string& provider) {
  if (provider.empty()) return provider;
  const ProviderFact* fact = world.provider(provider);
  return fact == nullptr ? provider : fact->id;
}

MicroDollars micro_dollars(double dollars) {
  return dollars < 0 ? -1 : static_cast<MicroDollars>(std::llround(dollars * 1e6));
}

bool contains(const std::vector<StateCode>& states, std::string_view state) {
  return std::ranges::find(states, state) != states.end();
}

bool reaches(const Party& party, const std::vector<StateCode>& states, Cap cap) {
  return std::ranges::any_of(party.edges, [&](const Edge& edge) {
    return (static_cast<int>(edge.cap) & static_cast<int>(cap)) != 0 && contains(states, edge.state);
  });
}

Result<Ground> Ground::of(const Facts& facts, const World& world, PriceOverrides storage) {
  if (facts.islands.size() > kIslandsMax) {
    return fail(ErrorCode::limit, "there are " + std::to_string(facts.islands.size()) +
                                      " islands, and exposure is reckoned for at most " +
                                      std::to_string(kIslandsMax));
  }
  Ground ground;
  ground.facts_ = &facts;
  ground.world_ = &world;
  for (const Party& island : facts.islands) ground.islands_.push_back(&island);
  std::ranges::sort(ground.islands_, {},
                    [](const Party* island) -> const std::string& { return island->id; });
  for (size_t i = 0; i < ground.islands_.size(); ++i) {
    ground.all_ |= Mask{1} << i;
    const std::string provider = provider_id(world, ground.islands_[i]->provider);
    if (!provider.empty()) ground.providers_[provider] |= Mask{1} << i;
    const auto given = storage.find(provider);
    const Price* price = provider.empty() ? nullptr : world.price(provider);
    ground.storage_.push_back(provider.empty()         ? 0
                              : given != storage.end() ? given->second
                              : price == nullptr       ? -1
                                                       : micro_dollars(price->storage_gb_month));
  }
  return ground;
}

std::optional<size_t> Ground::find(std::string_view id) const {
  const auto at = std::ranges::lower_bound(islands_, id, {},
                                           [](const Party* island) { return std::string_view(island->id); });
  if (at == islands_.end() || (*at)->id != id) return std::nullopt;
  return static_cast<size_t>(at - islands_.begin());
}

std::vector<std::string> Ground::ids(Mask mask) const {
  std::vector<std::string> ids;
  for (Mask rest = mask; rest != 0; rest &= rest - 1) {
    ids.push_back(islands_[static_cast<size_t>(std::countr_zero(rest))]->id);
  }
  return ids;
}

std::vector<std::string> Ground::in_fact_order(Mask mask) const {
  std::vector<std::string> ids;
  for (const Party& island : facts_->islands) {
    const auto bit = find(island.id);
    if (bit && (mask >> *bit & 1) != 0) ids.push_back(island.id);
  }
  return ids;
}

std::optional<std::vector<StateCode>> Ground::states_of(std::string_view name) const {
  for (const Bloc& bloc : facts_->blocs) {
    if (bloc.id == name) return bloc.states;
  }
  if (const StateSet* set = world_->set(name); set != nullptr) return set->states;
  if (const State* state = world_->state(name); state != nullptr) return std::vector{state->code};
  return std::nullopt;
}

std::optional<std::string> Ground::provider_of(std::string_view name) const {
  if (name.empty()) return std::nullopt;
  if (const ProviderFact* fact = world_->provider(name); fact != nullptr) return fact->id;
  for (const auto& [provider, mask] : providers_) {
    if (same_word(provider, name)) return provider;
  }
  return std::nullopt;
}

Result<Opponent> Ground::opponent(const std::string& name) const {
  const auto states = states_of(name);
  const auto provider = provider_of(name);
  if (states && provider) {
    return fail(ErrorCode::invalid, "\"" + name + "\" names both states and the provider " + *provider +
                                        "; give the provider another id");
  }
  Opponent opponent;
  opponent.id = name;
  if (states) {
    opponent.states = *states;
    opponent.home = std::ranges::all_of(
        *states, [this](const StateCode& state) { return contains(facts_->home, state); });
    for (size_t i = 0; i < count(); ++i) {
      if (reaches(island(i), opponent.states, Cap::read)) opponent.read |= Mask{1} << i;
      if (reaches(island(i), opponent.states, Cap::cut)) opponent.cut |= Mask{1} << i;
    }
    return opponent;
  }
  if (provider) {
    const auto at = providers_.find(*provider);
    opponent.read = opponent.cut = at == providers_.end() ? 0 : at->second;
    return opponent;
  }
  return fail(ErrorCode::not_found, "\"" + name + "\" is no state, bloc, list of states or provider");
}

}  // namespace archipel::exposure
