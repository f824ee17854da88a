// For tests: facts made by hand and at random.
#pragma once

#include <rapidcheck.h>

#include "exposure/facts.h"

namespace archipel::exposure::testing {

inline Party party(std::string id, std::string provider, std::vector<StateCode> states) {
  Party out;
  out.id = std::move(id);
  out.provider = std::move(provider);
  for (StateCode& state : states) {
    Edge edge;
    edge.state = std::move(state);
    edge.basis = out.edges.empty() ? Basis::place : out.edges.size() == 1 ? Basis::operator_ : Basis::parent;
    edge.source = "a test";
    edge.date = "2026-11-22";
    out.edges.push_back(std::move(edge));
  }
  return out;
}

// Five islands, any three of which give the data back, and keys two of three (inquiry §4).
inline Facts split_example() {
  Facts out;
  out.islands = {party("a", "a", {"DE", "SG", "CN"}), party("b", "b", {"IE", "LU", "US"}),
                 party("c", "c", {"FR"}), party("d", "d", {"FI", "DE"}), party("e", "e", {"JP"})};
  out.islands[0].edges.push_back(
      {"US", Cap::cut, Basis::sanctions, Level::declared, "a test", "2026-11-22", ""});
  out.keyholders = {party("owner", "", {"US"}), party("fr", "", {"FR"}), party("ch", "", {"CH"})};
  out.keys_threshold = 2;
  out.placings = {{"split", {5, 3}, {"a", "b", "c", "d", "e"}, ""}};
  return out;
}

inline Facts some_facts() {
  static const std::vector<StateCode> kStates = {"AA", "BB", "CC", "DD", "EE", "FF", "GG"};
  auto state = [] { return kStates[*rc::gen::inRange<size_t>(0, kStates.size())]; };
  auto some_party = [&](std::string id) {
    Party out = party(id, "p" + std::to_string(*rc::gen::inRange(0, 4)), {state(), state(), state()});
    for (Edge& edge : out.edges) {
      edge.cap = static_cast<Cap>(*rc::gen::inRange(1, 4));
      edge.level = static_cast<Level>(*rc::gen::inRange(0, 4));
    }
    return out;
  };
  Facts out;
  int islands = *rc::gen::inRange(2, 7);
  for (int i = 0; i < islands; ++i) out.islands.push_back(some_party("i" + std::to_string(i)));
  int keys = *rc::gen::inRange(0, 4);
  for (int i = 0; i < keys; ++i) out.keyholders.push_back(some_party("k" + std::to_string(i)));
  if (keys > 0) out.keys_threshold = *rc::gen::inRange(1, keys + 1);
  if (*rc::gen::inRange(0, 3) == 0) {
    Gateway gateway;
    static_cast<Party&>(gateway) = some_party("g");
    gateway.plaintext = *rc::gen::arbitrary<bool>();
    out.gateways.push_back(gateway);
  }
  if (*rc::gen::arbitrary<bool>()) out.blocs.push_back({"EU", {"AA", "BB"}, *rc::gen::arbitrary<bool>(), ""});
  for (int p = 0; p < 2; ++p) {
    Placing placing{"policy" + std::to_string(p), {}, {}, ""};
    placing.code.n = *rc::gen::inRange(1, islands + 1);
    placing.code.k = *rc::gen::inRange(1, placing.code.n + 1);
    for (int i = 0; i < placing.code.n; ++i)
      placing.islands.push_back(out.islands[static_cast<size_t>(i)].id);
    out.placings.push_back(placing);
  }
  return out;
}

}  // namespace archipel::exposure::testing
