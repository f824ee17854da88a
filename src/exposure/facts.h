// Facts: who is there, and whose law reaches them, as declared. Values only; nothing here decides anything.
//
// A *party* is an island, a key holder, a gateway or a name that clients depend on. An *edge* says that a state can make that party show
// what it holds (read), withhold it (cut), or both, by one basis, with a level of evidence, a source and a date. `place`, `operator` and `parent`
// are short for three edges of both capabilities. Legal facts are data with sources, never code (inquiry §4); what is not said is not guessed:
// it is added as an edge of level Assumed where a cautious reader would assume it (a parent that is not named is the operator), and shown as such.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace archipel::exposure {

// "facts.toml:12:3", for messages and reports; empty for what was not read from a file.
using Where = std::string;

enum class Cap : uint8_t { read = 1, cut = 2, both = 3 };
enum class Basis : uint8_t {
  place,
  operator_,  // NOLINT(readability-identifier-naming): the word is taken
  parent,
  staff,
  supply,
  network,
  sanctions
};
// Of evidence, best first (promise P10).
enum class Level : uint8_t { proved, measured, declared, assumed };

// ISO 3166-1 alpha-2, upper case.
using StateCode = std::string;

struct Edge {
  StateCode state;
  Cap cap = Cap::both;
  Basis basis = Basis::place;
  Level level = Level::declared;
  std::string
      source;  // where it is written; empty only for level assumed and for place, operator, parent of a config
  std::string date;  // "2026-11-22": as of when. Empty only where source may be
  Where where;
  bool operator==(const Edge&) const = default;
};

struct Party {
  std::string id;           // 1..63 of a-z 0-9 - . _; unique among its kind
  std::string provider;     // id of data/providers.csv or free text; empty: nobody's but the owner's
  std::string region;       // of that provider, where known
  std::vector<Edge> edges;  // place, operator and parent first, in this order
  Where where;
};

struct Gateway : Party {
  bool plaintext = true;  // sees what clients store. Every gateway of this release does
};

// Names without which clients find no gateway. All of one kind must be reached to cut: a single one suffices.
struct Name : Party {
  enum class Kind : uint8_t { dns, ca } kind = Kind::dns;
};

// States that act as one. Enabled: it stands for its states, which are then not counted for themselves.
struct Bloc {
  std::string id;  // "EU", "FVEY": 2..16 of A-Z 0-9 -, never a state's code
  std::vector<StateCode> states;
  bool enabled = false;
  Where where;
};

struct Code {
  int n = 0, k = 0;  // any k of n shards give the data back; 1 <= k <= n <= 16
  bool operator==(const Code&) const = default;
};

// Where the shards of a policy's objects go: what the engine judges. islands[i] holds shard i; distinct; as many as code.n.
struct Placing {
  std::string policy;
  Code code;
  std::vector<std::string> islands;
  Where where;
  uint32_t confirmed = ~0u;  // bit per shard: those that are known to lie there, of objects that are stored
};

inline constexpr size_t kIslandsMax = 64;
inline constexpr size_t kShardsMax = 16;
inline constexpr size_t kPartiesMax = 64;  // key holders; gateways; names: each
inline constexpr size_t kEdgesMax = 64;    // of one party
inline constexpr size_t kPlacingsMax = 4096;

struct Facts {
  std::vector<Party> islands;
  std::vector<Party> keyholders;  // empty: keys are not part of the question
  int keys_threshold = 0;         // holders that together open; 1..keyholders
  std::vector<Gateway> gateways;
  std::vector<Name> names;
  std::vector<Bloc> blocs;
  std::vector<StateCode> home;  // the owner's own: what they can read is not held against a policy
  std::vector<Placing> placings;
};

// "place", "operator", …; "Proved", …; "read", "cut", "both".
std::string_view to_string(Basis basis);
std::string_view to_string(Level level);
std::string_view to_string(Cap cap);
std::optional<Basis> parse_basis(std::string_view text);
std::optional<Level> parse_level(std::string_view text);  // any case
std::optional<Cap> parse_cap(std::string_view text);

}  // namespace archipel::exposure
