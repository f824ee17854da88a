// Files of data/ that an owner edits: the first line names one, the rest stands in its place. Properties: either the whole is well, and every
// word in it leads somewhere, or the error names a file and a line.
#include "exposure/csv.h"
#include "exposure/world.h"
#include "fuzz_support.h"

using namespace archipel;
using namespace archipel::exposure;

namespace {

// "…/name.csv:12: …"
bool names_a_line(std::string_view message) {
  const size_t at = message.find(".csv:");
  if (at == std::string_view::npos || at + 5 >= message.size()) return false;
  return message[at + 5] >= '1' && message[at + 5] <= '9';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view in = as_text({data, size});
  const std::string_view name = in.substr(0, in.find('\n'));
  const std::string_view text = name.size() == in.size() ? std::string_view() : in.substr(name.size() + 1);
  const auto csv = parse_csv(text, "x.csv");
  MUST(csv || names_a_line(csv.error().message));
  if (!name.ends_with(".csv")) return 0;
  const EmbeddedFile files[] = {{name, text}};
  const auto world = World::parse(files);
  if (!world) {
    MUST(names_a_line(world.error().message));
    return 0;
  }
  for (const RegionFact& region : (*world)->regions()) {
    MUST((*world)->state(region.state) != nullptr);
    MUST((*world)->region(region.provider, region.region) == &region);
  }
  for (const ProviderFact& provider : (*world)->providers()) {
    MUST((*world)->provider(provider.id) == &provider && (*world)->provider(provider.name) == &provider);
    MUST((*world)->state(provider.operator_) != nullptr && !provider.origin.date.empty());
  }
  for (const StateSet& set : (*world)->sets()) {
    MUST(!set.states.empty() && set.states.size() == set.members.size());
    MUST((*world)->state(set.id) == nullptr);
  }
  return 0;
}
