// Files of facts, and the tables of facts in a config. Properties: an error names the file and says something; what is accepted keeps the promises
// of facts.h, and the engine can look at it.
#include <algorithm>

#include "exposure/engine.h"
#include "exposure/facts_file.h"
#include "fuzz_support.h"

using namespace archipel;
using namespace archipel::exposure;

namespace {

void check_party(const World& world, const Party& party, bool config) {
  MUST(!party.id.empty() && party.id.size() <= 63 && !party.where.empty());
  MUST(config || party.edges.size() >= 3);
  for (const Edge& edge : party.edges) {
    MUST(world.state(edge.state) != nullptr && !edge.where.empty());
    bool named = edge.basis == Basis::place || edge.basis == Basis::operator_ || edge.basis == Basis::parent;
    MUST(!edge.source.empty() || edge.level == Level::assumed || named);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::shared_ptr<const World> world = World::load().value();
  // A comment's second character says which of the two forms it is.
  bool config = size > 1 && data[1] == 'c';
  auto file = parse_facts(as_text({data, size}), "f.toml", world, config);
  if (!file) {
    MUST(file.error().message.starts_with("f.toml:") && file.error().message.size() > 10);
    return 0;
  }
  const Facts& facts = file->facts;
  for (const Party& party : facts.islands) check_party(*world, party, config);
  for (const Party& party : facts.keyholders) check_party(*world, party, false);
  for (const Party& party : facts.gateways) check_party(*world, party, false);
  for (const Holding& holding : file->holdings) {
    MUST(!config && !holding.bucket.empty() && holding.islands.size() == static_cast<size_t>(holding.code.n));
    MUST(holding.stored_bytes >= holding.bytes);
  }
  MUST(facts.keys_threshold >= 0 && facts.keys_threshold <= static_cast<int>(facts.keyholders.size()));
  MUST((facts.keys_threshold == 0) == facts.keyholders.empty());
  for (const Bloc& bloc : facts.blocs) MUST(!bloc.states.empty() && world->state(bloc.id) == nullptr);
  for (const Placing& placing : facts.placings) {
    MUST(placing.islands.size() == static_cast<size_t>(placing.code.n) && placing.code.k <= placing.code.n);
    auto lens = lens_of(facts, placing, Lens::Kind::states);
    if (!lens) continue;  // more states than are judged at once
    auto structure = structure_of(facts, placing, *lens);
    MUST(structure.has_value());
    Coalition all = ~Coalition{0};
    MUST(holds(*structure, Question::read, all) || placing.code.k > 0);
    MUST(!holds(*structure, Question::degrade, 0));
  }
  return 0;
}
