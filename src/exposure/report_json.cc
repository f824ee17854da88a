// The form "archipel-exposure/1": facts, answers and counts in one object. docs/exposure.md says what each field is.

#include <algorithm>
#include <set>

#include "exposure/report_parts.h"

namespace archipel::exposure {
namespace {

void optional_number(JsonWriter& json, std::string_view key, const std::optional<int>& value) {
  json.key(key);
  value ? json.number(*value) : json.null();
}

void optional_money(JsonWriter& json, std::string_view key, const std::optional<double>& value) {
  json.key(key);
  value ? json.number(*value) : json.null();
}

void known_price(JsonWriter& json, std::string_view key, double value) {
  json.key(key);
  value >= 0 ? json.number(value) : json.null();
}

void edge_json(JsonWriter& json, const Edge& edge) {
  json.begin_object().key("state").text(edge.state).key("cap").text(to_string(edge.cap));
  json.key("basis").text(to_string(edge.basis)).key("level").text(to_string(edge.level));
  json.key("source").text(edge.source).key("date").text(edge.date).end_object();
}

// Leaves the object open: gateways and names have one more field.
void open_party(JsonWriter& json, const Party& party, const World* world) {
  json.begin_object().key("id").text(party.id).key("provider").text(party.provider);
  json.key("region").text(party.region);
  const RegionFact* region =
      world != nullptr && !party.region.empty() ? world->region(party.provider, party.region) : nullptr;
  if (region != nullptr)
    json.key("city")
        .text(region->city)
        .key("latitude")
        .number(region->latitude)
        .key("longitude")
        .number(region->longitude);
  json.key("edges").begin_array();
  for (const Edge& edge : party.edges) edge_json(json, edge);
  json.end_array();
}

void bloc_json(JsonWriter& json, const Bloc& bloc, const StateSet* set) {
  json.begin_object().key("id").text(bloc.id);
  json.key("en").text(set != nullptr ? set->en : bloc.id).key("fr").text(set != nullptr ? set->fr : bloc.id);
  json.key("states").texts(bloc.states).key("enabled").boolean(bloc.enabled).end_object();
}

// Those of the facts, then the world's that a reader may switch on.
void blocs_json(JsonWriter& json, const Facts& facts, const World* world) {
  json.key("blocs").begin_array();
  for (const Bloc& bloc : facts.blocs)
    bloc_json(json, bloc, world != nullptr ? world->set(bloc.id) : nullptr);
  if (world != nullptr)
    for (const StateSet& set : world->sets())
      if (set.kind == StateSet::Kind::bloc &&
          std::ranges::find(facts.blocs, set.id, &Bloc::id) == facts.blocs.end())
        bloc_json(json, Bloc{set.id, set.states, false, {}}, &set);
  json.end_array();
}

void facts_part(JsonWriter& json, const Facts& facts, const World* world) {
  json.key("facts").begin_object();
  auto parties = [&](std::string_view key, const auto& list, auto more) {
    json.key(key).begin_array();
    for (const auto& party : list) {
      open_party(json, party, world);
      more(party);
      json.end_object();
    }
    json.end_array();
  };
  parties("islands", facts.islands, [](const Party&) {});
  parties("keyholders", facts.keyholders, [](const Party&) {});
  json.key("keys").begin_object().key("threshold").number(facts.keys_threshold).end_object();
  parties("gateways", facts.gateways,
          [&](const Gateway& gateway) { json.key("plaintext").boolean(gateway.plaintext); });
  parties("names", facts.names,
          [&](const Name& name) { json.key("kind").text(name.kind == Name::Kind::ca ? "ca" : "dns"); });
  blocs_json(json, facts, world);
  json.key("home").texts(facts.home).end_object();
}

void code_json(JsonWriter& json, const Code& code) {
  json.key("code").begin_array().number(code.n).number(code.k).end_array();
}

void coalitions_json(JsonWriter& json, std::string_view key, const NamedCoalitions& named) {
  json.key(key).begin_object();
  optional_number(json, "min", named.min);
  optional_number(json, "min_abroad", named.abroad);
  json.key("coalitions").begin_array();
  for (const auto& coalition : named.coalitions) json.texts(coalition);
  json.end_array().end_object();
}

Result<> policies_part(JsonWriter& json, const ReportInput& input) {
  ASSIGN_OR_RETURN(std::vector<NamedAnswer> answers, answers_of(input));
  json.key("policies").begin_array();
  for (const NamedAnswer& answer : answers) {
    json.begin_object().key("policy").text(answer.placing.policy);
    code_json(json, answer.placing.code);
    json.key("islands").texts(answer.placing.islands);
    coalitions_json(json, "read", answer.read);
    coalitions_json(json, "cut", answer.cut);
    coalitions_json(json, "degrade", answer.degrade);
    json.key("warnings").texts(answer.warnings).end_object();
  }
  json.end_array();
  json.key("classes").begin_array();
  for (const DataClass& data_class : input.file.classes)
    json.begin_object().key("name").text(data_class.name).key("policy").text(data_class.policy).end_object();
  json.end_array();
  return {};
}

void holding_fields(JsonWriter& json, const Holding& holding) {
  json.key("bucket").text(holding.bucket).key("data_class").text(holding.data_class);
  json.key("policy").text(holding.policy);
  code_json(json, holding.code);
  json.key("islands").texts(holding.islands).key("confirmed").begin_array();
  for (size_t i = 0; i < holding.islands.size(); ++i)
    if (i >= 32 || (holding.confirmed >> i & 1) != 0) json.text(holding.islands[i]);
  json.end_array().key("objects").number(holding.objects).key("bytes").number(holding.bytes);
  json.key("stored_bytes").number(holding.stored_bytes);
  json.key("in_commits").boolean(holding.in_commits);
}

void holdings_part(JsonWriter& json, const Inventory& inventory) {
  json.key("journal").begin_object().key("islands").texts(inventory.journal);
  json.key("quorum").number(inventory.journal_quorum).end_object();
  json.key("holdings").begin_array();
  for (const Holding& holding : inventory.holdings) {
    json.begin_object();
    holding_fields(json, holding);
    json.end_object();
  }
  json.end_array();
}

Result<> adversaries_part(JsonWriter& json, const ReportInput& input) {
  ASSIGN_OR_RETURN(std::vector<NamedAdversary> adversaries, adversaries_of(input));
  json.key("adversaries").begin_array();
  for (const auto& [policy, adversary] : adversaries) {
    json.begin_object().key("id").text(adversary.id).key("policy").text(policy);
    json.key("reads").boolean(adversary.reads).key("cuts").boolean(adversary.cuts);
    json.key("degrades").boolean(adversary.degrades);
    optional_number(json, "read_help", adversary.read_help);
    optional_number(json, "cut_help", adversary.cut_help);
    json.end_object();
  }
  json.end_array();
  return {};
}

Result<> sensitivity_part(JsonWriter& json, const ReportInput& input) {
  ASSIGN_OR_RETURN(std::vector<Sensitivity> list, sensitivities(facts_with_placings(input)));
  json.key("sensitivity").begin_array();
  for (const Sensitivity& item : list) {
    json.begin_object().key("party").text(item.party).key("edge");
    edge_json(json, item.edge);
    json.key("policy").text(item.policy);
    optional_number(json, "rho", item.rho);
    optional_number(json, "rho_without", item.rho_without);
    optional_number(json, "delta", item.delta);
    optional_number(json, "delta_without", item.delta_without);
    json.end_object();
  }
  json.end_array();
  return {};
}

void transfer_json(JsonWriter& json, std::string_view key, const Transfer& transfer) {
  json.key(key).begin_object().key("bytes").number(transfer.bytes).key("seconds").begin_array();
  for (const double seconds : transfer.seconds) json.number(seconds);
  json.end_array();
  optional_money(json, "cost", transfer.cost);
  json.key("unpriced").texts(transfer.unpriced).end_object();
}

void ban_json(JsonWriter& json, const BanReport& ban) {
  json.begin_object().key("target").text(ban.target).key("kind").text(ban.kind);
  json.key("islands").texts(ban.islands);
  json.key("gateways").texts(ban.gateways).key("keyholders").texts(ban.keyholders);
  json.key("names").texts(ban.names).key("keys_lost").boolean(ban.keys_lost);
  json.key("gateways_lost").boolean(ban.gateways_lost).key("read_only").boolean(ban.read_only);
  json.key("holdings").begin_array();
  for (const BanOfHolding& item : ban.holdings) {
    json.begin_object();
    holding_fields(json, item.holding);
    json.key("lost").number(item.lost).key("left").number(item.left);
    json.key("unavailable").boolean(item.unavailable).key("degraded").boolean(item.degraded);
    json.key("writable").boolean(item.writable).key("tolerance").number(item.tolerance).end_object();
  }
  json.end_array();
  json.key("unavailable_objects").number(ban.unavailable_objects);
  json.key("unavailable_bytes").number(ban.unavailable_bytes);
  json.key("degraded_objects").number(ban.degraded_objects);
  json.key("degraded_bytes").number(ban.degraded_bytes);
  transfer_json(json, "copy_out", ban.copy_out);
  transfer_json(json, "rebuild_around", ban.rebuild_around);
  json.key("advice").texts(ban.advice).end_object();
}

void moves_part(JsonWriter& json, const std::vector<Move>& moves) {
  json.key("moves").begin_array();
  for (const Move& move : moves) {
    json.begin_object().key("bucket").text(move.from.bucket).key("policy").text(move.to.policy);
    json.key("from").begin_object();
    code_json(json, move.from.code);
    json.key("islands").texts(move.from.islands).end_object().key("to").begin_object();
    code_json(json, move.to.code);
    json.key("islands").texts(move.to.islands).end_object().key("bytes").number(move.bytes);
    optional_money(json, "cost", move.cost);
    json.key("reasons").texts(move.reasons).end_object();
  }
  json.end_array();
}

template <class F>
void each_party(const Facts& facts, F each) {
  for (const Party& party : facts.islands) each(party);
  for (const Party& party : facts.keyholders) each(party);
  for (const Party& party : facts.gateways) each(party);
  for (const Party& party : facts.names) each(party);
}

// Names of providers and prices, of those who hold something here.
void providers_part(JsonWriter& json, const Facts& facts, const World* world) {
  std::set<std::string> ids;
  each_party(facts, [&](const Party& party) {
    if (!party.provider.empty()) ids.insert(party.provider);
  });
  json.key("providers").begin_object();
  for (const std::string& id : ids) {
    const ProviderFact* provider = world != nullptr ? world->provider(id) : nullptr;
    json.key(id).begin_object().key("name").text(provider != nullptr ? provider->name : id).end_object();
  }
  json.end_object().key("prices").begin_object();
  for (const std::string& id : ids) {
    const Price* price = world != nullptr ? world->price(id) : nullptr;
    if (price == nullptr) continue;
    json.key(id).begin_object();
    known_price(json, "egress_gb", price->egress_gb);
    known_price(json, "storage_gb_month", price->storage_gb_month);
    json.key("source").text(price->origin.source).key("date").text(price->origin.date).end_object();
  }
  json.end_object();
}

void states_part(JsonWriter& json, const Facts& facts, const World* world, States which) {
  json.key("states").begin_object();
  if (world != nullptr) {
    std::set<StateCode> codes(facts.home.begin(), facts.home.end());
    each_party(facts, [&](const Party& party) {
      for (const Edge& edge : party.edges) codes.insert(edge.state);
    });
    for (const Bloc& bloc : facts.blocs) codes.insert(bloc.states.begin(), bloc.states.end());
    for (const State& state : world->states()) {
      if (which == States::mentioned && !codes.contains(state.code)) continue;
      json.key(state.code).begin_object().key("en").text(state.en).key("fr").text(state.fr);
      json.key("latitude").number(state.latitude).key("longitude").number(state.longitude).end_object();
    }
  }
  json.end_object();
}

}  // namespace

Result<std::string> report_json_with(const ReportInput& input, States states) {
  const Facts& facts = input.file.facts;
  const World* world = input.file.world.get();
  JsonWriter json;
  json.begin_object().key("format").text("archipel-exposure/1").key("date").text(input.date);
  facts_part(json, facts, world);
  RETURN_IF_ERROR(policies_part(json, input));
  holdings_part(json, input.inventory);
  RETURN_IF_ERROR(adversaries_part(json, input));
  RETURN_IF_ERROR(sensitivity_part(json, input));
  json.key("bits_per_second").begin_array();
  for (const double bandwidth : input.bits_per_second) json.number(bandwidth);
  json.end_array().key("bans").begin_array();
  for (const BanReport& ban : input.bans) ban_json(json, ban);
  json.end_array();
  moves_part(json, input.moves);
  json.key("assumed").texts(input.file.notes);
  providers_part(json, facts, world);
  states_part(json, facts, world, states);
  json.end_object();
  return json.str();
}

Result<std::string> report_json(const ReportInput& input) {
  return report_json_with(input, States::mentioned);
}

}  // namespace archipel::exposure
