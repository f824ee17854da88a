// World: what data/*.csv say about states, blocs, providers, regions and prices. Every row has a source, a date and a level.
//
// The files of data/ are part of the binary; a directory named in the config ([facts] data) replaces those it holds. They are checked whole when
// they are loaded: an unknown state, a row without source or date, the same fact twice with another value is an error with file and line.
// Immutable, shared, thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "exposure/facts.h"

namespace archipel::exposure {

struct Origin {
  std::string source;  // a row of data/sources.csv: its title or address
  std::string date;    // as of
  Level level = Level::declared;
  Where where;
};

struct State {
  StateCode code;
  std::string en, fr;
  double latitude = 0, longitude = 0;  // of its middle, degrees: where a map puts it
};

// A set of states with a meaning: a bloc, or a list such as "gdpr-adequacy", "countries-of-concern".
struct StateSet {
  std::string id, en, fr;
  enum class Kind : uint8_t { bloc, list } kind = Kind::bloc;
  std::vector<StateCode> states;
  bool enabled =
      false;  // a bloc that is counted unless a config says otherwise. None is by default but what data/blocs.csv says
  Origin origin;
};

struct ProviderFact {
  std::string id, name;         // "aws", "Amazon Web Services"
  StateCode operator_, parent;  // who operates it for customers; who controls that
  Origin origin;
};

struct RegionFact {
  std::string provider, region;  // unique together: codes of two providers collide
  StateCode state;
  std::string city;
  double latitude = 0, longitude = 0;
  Origin origin;
};

// In US dollars, list price of the first tier. A value below zero: not known.
struct Price {
  std::string provider;
  double egress_gb = -1, storage_gb_month = -1, put_1000 = -1, get_1000 = -1;
  Origin origin;
};

class World {
 public:
  // `directory` empty: what was built in. not_found, invalid ("providers.csv:12: …").
  static Result<std::shared_ptr<const World>> load(const std::string& directory = {});

  const State* state(std::string_view code) const;
  const StateSet* set(std::string_view id) const;
  // By id, or by name, any case.
  const ProviderFact* provider(std::string_view id_or_name) const;
  const RegionFact* region(std::string_view provider, std::string_view region) const;
  const Price* price(std::string_view provider) const;

  const std::vector<State>& states() const { return states_; }
  const std::vector<StateSet>& sets() const { return sets_; }
  const std::vector<ProviderFact>& providers() const { return providers_; }
  const std::vector<RegionFact>& regions() const { return regions_; }
  const std::vector<Price>& prices() const { return prices_; }

 private:
  friend class WorldLoader;
  std::vector<State> states_;
  std::vector<StateSet> sets_;
  std::vector<ProviderFact> providers_;
  std::vector<RegionFact> regions_;
  std::vector<Price> prices_;
};

}  // namespace archipel::exposure
