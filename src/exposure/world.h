// World: what data/*.csv say about states, sets of them, providers, regions and prices. Every row has a source, a date and a level.
//
// The files of data/ are part of the binary; a directory named in the config ([facts] data) replaces those it holds. They are checked whole when
// they are loaded: an unknown state, a row without source or date, a provider without operator, a fact said twice is an error with file and
// line. data/README.md says what each column means. Immutable, shared, thread-safe; loading costs a few milliseconds.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/embedded.h"
#include "base/result.h"
#include "exposure/facts.h"

namespace archipel::exposure {

// Where a fact is written: a row of data/sources.csv.
struct Source {
  std::string id, title;
  std::string address;  // empty: what somebody knows, without a place to look it up
  std::string date;     // of the source, or when it was read
  Where where;
};

struct Origin {
  std::string
      source;  // for people: the title of the source, or what the row itself says if it names none of sources.csv
  std::string address;  // of the source; may be empty
  std::string date;     // as of: "2026-11-22"
  Level level = Level::declared;
  Where where;
};

struct State {
  StateCode code;
  std::string en, fr;
  double latitude = 0, longitude = 0;  // of its middle, degrees: where a map puts it
  Origin origin;
};

// A set of states with a meaning: a bloc, or a list such as "gdpr-adequacy", "countries-of-concern".
struct StateSet {
  struct Member {
    StateCode state;
    std::string note;  // what must be known with it: "commercial organisations only"; may be empty
    Origin origin;
  };
  std::string id, en,
      fr;  // id of a bloc: 2..16 of A-Z 0-9 -; of a list: 2..40 of a-z 0-9 -. Never a state's code
  enum class Kind : uint8_t { bloc, list } kind = Kind::bloc;
  std::vector<StateCode> states;  // sorted; at least one
  std::vector<Member> members;    // the same, with their origins
  bool enabled = false;  // a bloc that is counted unless a config says otherwise. None is, as built in
  Origin origin;
};

struct ProviderFact {
  std::string id, name;              // "aws", "Amazon Web Services"
  std::vector<std::string> aliases;  // other words for it: "amazon"
  StateCode operator_,
      parent;  // seat of who operates it for customers in Europe (the note says who, and for whom else); of who controls that in the end
  std::string note;
  Origin origin;
};

struct RegionFact {
  std::string provider, region;  // unique together: codes of two providers collide
  StateCode state;
  std::string city;  // or the part of the state, as the provider names it
  double latitude = 0, longitude = 0;
  Origin origin;
};

// In US dollars, list price of the first paid tier. A value below zero: not known.
struct Price {
  std::string provider;
  double egress_gb = -1, storage_gb_month = -1, put_1000 = -1, get_1000 = -1;
  std::string note;  // "EUR at 1.10", "egress up to what is stored is free"; may be empty
  Origin origin;
};

inline constexpr size_t kSetsMax = 200;

class World {
 public:
  // `directory` empty: what was built in. not_found (no such directory), io, invalid ("DIR/providers.csv:12: …"; of a file that was built in:
  // "data/providers.csv:12: …"). Reads files: not on a loop.
  static Result<std::shared_ptr<const World>> load(const std::string& directory = {});
  // From texts: `files` stand before those built in, by name. For tests and fuzzers.
  static Result<std::shared_ptr<const World>> parse(std::span<const EmbeddedFile> files);

  const State* state(std::string_view code) const;
  const StateSet* set(std::string_view id) const;
  // By id, name or alias, any case.
  const ProviderFact* provider(std::string_view id_or_name) const;
  const RegionFact* region(std::string_view provider, std::string_view region) const;
  const Price* price(std::string_view provider) const;

  // Each sorted by its key.
  const std::vector<State>& states() const { return states_; }
  const std::vector<StateSet>& sets() const { return sets_; }
  const std::vector<ProviderFact>& providers() const { return providers_; }
  const std::vector<RegionFact>& regions() const { return regions_; }
  const std::vector<Price>& prices() const { return prices_; }
  const std::vector<Source>& sources() const { return sources_; }

 private:
  friend class WorldLoader;
  std::vector<State> states_;
  std::vector<StateSet> sets_;
  std::vector<ProviderFact> providers_;
  std::vector<RegionFact> regions_;
  std::vector<Price> prices_;
  std::vector<Source> sources_;
  std::map<std::string, size_t, std::less<>> provider_words_;  // ids, names and aliases in lower case
};

// The outlines of the land for maps: data/world-map.json, as built in. Its form: data/README.md.
std::string_view world_map();

}  // namespace archipel::exposure
