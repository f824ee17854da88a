// Facts and policies from TOML: a file of facts alone (`archipel exposure --facts FILE`), or the tables of a gateway's config.
//
// [[island]] id, provider, place, operator, parent, region · [[keyholder]] id, place, operator, parent · [keys] threshold · [[gateway]] id, place,
// operator, parent, plaintext · [[name]] id, kind = "dns|ca", place, operator, parent · any of them: reach = [{state, cap, basis, level, source,
// date}] · [[bloc]] id, states, enabled · [owner] home = ["FR"] · [facts] data = "DIR" · [class.NAME] policy (config only) · [policy.NAME]: of a
// facts file code and islands; of a config everything in policy.h · [[holding]] (facts form only) bucket, policy, class, objects, bytes, unconfirmed:
// what is said to be kept, so that a ban has bytes to reckon with.
//
// place, operator and parent each reach read and cut. What is left out is filled from data/: place from (provider, region), operator and parent
// from the provider, with that row's source; a parent nobody names is the operator, Assumed. A place nobody names, a provider without operator,
// an unknown state, a reach without date, the same reach twice with different words: an error with file, line and column.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "exposure/facts.h"
#include "exposure/inventory.h"
#include "exposure/policy.h"
#include "exposure/world.h"

namespace archipel::exposure {

inline constexpr size_t kFactsBytesMax = 1u << 20;

struct FactsFile {
  std::string file;
  std::shared_ptr<const World> world;
  Facts facts;  // facts form: with placings
  // Facts form: of [[holding]], each where its policy says; stored_bytes are those of the shards, without what sealing adds.
  std::vector<Holding> holdings;
  std::vector<Policy> policies;  // config form
  std::vector<DataClass> classes;
  std::vector<std::string> notes;  // what was assumed, one sentence each, with file and line
};

// not_found, io; invalid.
Result<FactsFile> load_facts(const std::string& file);
// The same tables in archipel.toml; others there are not looked at. A config without any has no policies and no gateways: that is said in notes.
Result<FactsFile> load_config_facts(const std::string& file);
// For tests and fuzzers. `file` for messages only.
Result<FactsFile> parse_facts(std::string_view text, const std::string& file,
                              std::shared_ptr<const World> world, bool config);

// Top-level tables of a config that belong to this loader, and keys of [[island]] and [owner] that do: the config's own loader leaves them alone.
bool is_facts_table(std::string_view name);
bool is_facts_key(std::string_view table, std::string_view key);

}  // namespace archipel::exposure
