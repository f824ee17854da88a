#include "index/overlay.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace archipel::index {
namespace {

std::string random_key() {
  return std::string(1, *rc::gen::inRange<char>('a', 'j')) +
         std::string(1, *rc::gen::inRange<char>('a', 'c'));
}

std::vector<Mutation> random_mutations() {
  std::vector<Mutation> out;
  int size = *rc::gen::inRange(0, 8);
  for (int i = 0; i < size; ++i) {
    bool put = *rc::gen::inRange(0, 3) != 0;
    out.push_back({random_key(), put ? std::optional<std::string>(std::to_string(*rc::gen::inRange(0, 1000)))
                                     : std::nullopt});
  }
  return out;
}

void apply_to(std::map<std::string, std::string>& model, const std::vector<Mutation>& mutations) {
  for (const Mutation& m : mutations) {
    if (m.value) {
      model[m.key] = *m.value;
    } else {
      model.erase(m.key);
    }
  }
}

TEST(LayeredView, ReadsAsIfEveryLayerHadBeenApplied) {
  EXPECT_TRUE(rc::check([] {
    std::map<std::string, std::string> model;
    auto kv = make_map_kv();
    std::vector<Mutation> stored = random_mutations();
    RC_ASSERT(kv->write(stored).has_value());
    apply_to(model, stored);
    std::vector<std::shared_ptr<const Layer>> layers;
    for (int i = 0; i < 3; ++i) {
      std::vector<Mutation> mutations = random_mutations();
      Layer layer;
      for (const Mutation& m : mutations) layer[m.key] = m.value;
      apply_to(model, mutations);
      layers.push_back(std::make_shared<Layer>(std::move(layer)));
    }
    LayeredView view(kv->snapshot(), layers);
    std::vector<Mutation> own = random_mutations();
    view.add(own);
    apply_to(model, own);

    std::string key = random_key();
    auto value = view.get(key);
    RC_ASSERT(value.has_value());
    RC_ASSERT(*value == (model.contains(key) ? std::optional<std::string>(model[key]) : std::nullopt));

    std::string from = random_key(), to = random_key();
    if (*rc::gen::inRange(0, 3) == 0) to.clear();
    size_t limit = *rc::gen::inRange<size_t>(1, 20);
    std::vector<std::pair<std::string, std::string>> seen, want;
    auto done = view.scan(from, to, [&](std::string_view k, std::string_view v) {
      seen.emplace_back(k, v);
      return seen.size() < limit;
    });
    RC_ASSERT(done.has_value());
    for (auto at = model.lower_bound(from);
         at != model.end() && (to.empty() || at->first < to) && want.size() < limit; ++at)
      want.push_back(*at);
    RC_ASSERT(seen == want);
  }));
}

}  // namespace
}  // namespace archipel::index
