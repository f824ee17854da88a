// The fixed form: what other programs read. And the certificates behind it, for a checker that is not ours.

#include <algorithm>

#include "base/json.h"
#include "exposure/report.h"

namespace archipel::exposure {
namespace {

using Names = std::vector<std::string>;

// As other languages sort lists of lists of strings: by their bytes, a list before those that go on after it.
std::vector<Names> sorted(const Lens& lens, const std::vector<Coalition>& coalitions) {
  std::vector<Names> out;
  out.reserve(coalitions.size());
  for (Coalition c : coalitions) out.push_back(lens.names(c));
  std::ranges::sort(out);
  return out;
}

void write_answer(JsonWriter& json, const Lens& lens, const std::vector<Coalition>& coalitions) {
  json.begin_object().key("min");
  if (coalitions.empty())
    json.null();
  else
    json.number(std::popcount(coalitions.front()));
  json.key("coalitions").begin_array();
  for (const Names& names : sorted(lens, coalitions)) json.texts(names);
  json.end_array().end_object();
}

Names ids_at(const std::vector<int>& positions, const Names& ids) {
  Names out;
  for (int i : positions) out.push_back(ids[static_cast<size_t>(i)]);
  return out;
}

// Ids of a placing's parties, by the positions of its structure.
struct Ids {
  Names shards, keys, gateways, names;
};

Ids ids_of(const Facts& facts, const Placing& placing) {
  Ids out;
  out.shards = placing.islands;
  for (const Party& holder : facts.keyholders) out.keys.push_back(holder.id);
  for (const Gateway& gateway : facts.gateways) out.gateways.push_back(gateway.id);
  for (Name::Kind kind : {Name::Kind::dns, Name::Kind::ca})
    for (const Name& name : facts.names)
      if (name.kind == kind) out.names.push_back(name.id);
  return out;
}

void write_positions(JsonWriter& json, const Positions& positions, const Ids& ids) {
  json.key("islands").texts(ids_at(positions.shards, ids.shards));
  json.key("keyholders").texts(ids_at(positions.keys, ids.keys));
  json.key("gateways").texts(ids_at(positions.gateways, ids.gateways));
  json.key("names").texts(ids_at(positions.names, ids.names));
}

void write_certificates(JsonWriter& json, const Structure& structure, Question question, const Answer& answer,
                        const Ids& ids) {
  json.begin_array();
  for (Coalition c : question == Question::read ? answer.exposure.read : answer.exposure.cut) {
    Certificate certificate = certify(structure, question, c);
    Names members = answer.lens.names(c);
    json.begin_object().key("coalition").texts(members).key("reaches").begin_object();
    write_positions(json, certificate.reached, ids);
    json.end_object().key("alone").begin_object();
    for (size_t i = 0; i < members.size(); ++i) {
      json.key(members[i]).begin_object();
      write_positions(json, certificate.alone[i], ids);
      json.end_object();
    }
    json.end_object().key("reason").text(certificate.reason).end_object();
  }
  json.end_array();
}

}  // namespace

Result<std::string> facts_json(const Facts& facts) {
  ASSIGN_OR_RETURN(std::vector<Answer> answers, expose_all(facts, facts.placings));
  JsonWriter json;
  json.begin_object().key("policies").begin_array();
  for (size_t i = 0; i < answers.size(); ++i) {
    json.begin_object().key("policy").text(facts.placings[i].policy);
    json.key("read");
    write_answer(json, answers[i].lens, answers[i].exposure.read);
    json.key("cut");
    write_answer(json, answers[i].lens, answers[i].exposure.cut);
    json.end_object();
  }
  json.end_array().end_object();
  return json.str();
}

Result<std::string> certificates_json(const Facts& facts) {
  ASSIGN_OR_RETURN(std::vector<Answer> answers, expose_all(facts, facts.placings));
  JsonWriter json;
  json.begin_object().key("format").text("archipel-certificates/1").key("policies").begin_array();
  for (size_t i = 0; i < answers.size(); ++i) {
    const Placing& placing = facts.placings[i];
    ASSIGN_OR_RETURN(Structure structure, structure_of(facts, placing, answers[i].lens));
    Ids ids = ids_of(facts, placing);
    json.begin_object().key("policy").text(placing.policy).key("read");
    write_certificates(json, structure, Question::read, answers[i], ids);
    json.key("cut");
    write_certificates(json, structure, Question::cut, answers[i], ids);
    json.end_object();
  }
  json.end_array().end_object();
  return json.str();
}

}  // namespace archipel::exposure
