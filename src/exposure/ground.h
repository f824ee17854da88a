// Ground: facts as the solver sees them: islands as bits in order of their ids, providers as sets of them, names of adversaries resolved.
//
// The one place where a word of a policy or a question ("US", "EU", "gdpr-adequacy", "aws") becomes states or islands. Borrows facts and world,
// which outlive it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "exposure/facts.h"
#include "exposure/packing.h"
#include "exposure/world.h"

namespace archipel::exposure {

// US dollars, in millionths: sums are exact, and equal on every machine.
using MicroDollars = int64_t;
using PriceOverrides = std::map<std::string, MicroDollars, std::less<>>;

// Who must not read or cut, as a policy names it. A state of an enabled bloc counts for itself, as in the engine's judge().
struct Opponent {
  std::string id;
  std::vector<StateCode> states;  // empty for a provider
  Mask read = 0, cut = 0;         // islands it reaches
  bool home = false;              // all of its states are the owner's own
};

class Ground {
 public:
  // limit: more than kIslandsMax islands. `storage`: dollars per GB and month of providers that the world does not know.
  static Result<Ground> of(const Facts& facts, const World& world, PriceOverrides storage = {});

  const Facts& facts() const { return *facts_; }
  const World& world() const { return *world_; }
  size_t count() const { return islands_.size(); }
  Mask all() const { return all_; }
  const Party& island(size_t bit) const { return *islands_[bit]; }
  std::optional<size_t> find(std::string_view id) const;
  // Ids, in order.
  std::vector<std::string> ids(Mask mask) const;
  // Ids in the order of the facts: that of shards in a placing.
  std::vector<std::string> in_fact_order(Mask mask) const;
  // By the provider's id; islands that are nobody's but the owner's are in none.
  const std::map<std::string, Mask, std::less<>>& providers() const { return providers_; }
  // Per GB and month, by island; -1: not known. The owner's own islands (no provider) cost nothing.
  const std::vector<MicroDollars>& storage() const { return storage_; }

  // States of a state's code, a bloc of the facts, a set of the world; nothing: no such thing.
  std::optional<std::vector<StateCode>> states_of(std::string_view name) const;
  // The provider's id, if the facts or the world know it by id or name.
  std::optional<std::string> provider_of(std::string_view name) const;
  // not_found; invalid: the name is a state's or bloc's and a provider's.
  Result<Opponent> opponent(const std::string& name) const;

 private:
  const Facts* facts_ = nullptr;
  const World* world_ = nullptr;
  std::vector<const Party*> islands_;
  Mask all_ = 0;
  std::map<std::string, Mask, std::less<>> providers_;
  std::vector<MicroDollars> storage_;
};

// The id that the world knows a provider by; free text stays as it is.
std::string provider_id(const World& world, const std::string& provider);
// Dollars as a price list has them, in millionths; -1 for a price that is not known.
MicroDollars micro_dollars(double dollars);
bool contains(const std::vector<StateCode>& states, std::string_view state);
// Whether one of the edges with any of `caps` names one of the states.
bool reaches(const Party& party, const std::vector<StateCode>& states, Cap cap);

}  // namespace archipel::exposure
