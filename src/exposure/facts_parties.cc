// Islands, key holders, gateways and names, with their edges: what is said, and what is filled in where nothing is.

#include <fmt/format.h>

#include <algorithm>

#include "exposure/facts_loader.h"

namespace archipel::exposure {
namespace {

using Kind = TomlValue::Kind;

template <class P>
Result<void> add_unique(TomlTable& t, std::string_view kind, P made, std::vector<P>& out) {
  auto same = std::ranges::find(out, made.id, &P::id);
  if (same != out.end())
    return t.error(*t.take("id"),
                   fmt::format("{} \"{}\" is given twice, first at {}", kind, made.id, same->where));
  out.push_back(std::move(made));
  return {};
}

// "2026-11-22", a day that the calendar has.
bool is_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  auto number = [&](size_t from, size_t count) {
    int out = 0;
    for (size_t i = from; i < from + count; ++i)
      out = text[i] < '0' || text[i] > '9' ? -9999 : out * 10 + text[i] - '0';
    return out;
  };
  int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  if (year < 1900 || month < 1 || month > 12 || day < 1) return false;
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return day <= kDays[month - 1] + (month == 2 && leap ? 1 : 0);
}

std::string_view hint_for(std::string_view state) {
  if (state == "UK") return "; Great Britain is \"GB\"";
  if (state == "EL") return "; Greece is \"GR\"";
  if (state == "EU") return "; the EU is a bloc: [[bloc]] id = \"EU\"";
  return "";
}

}  // namespace

Result<StateCode> FactsLoader::known_state(TomlTable& t, const TomlValue& at, const std::string& text) const {
  if (world_->state(text) != nullptr) return text;
  return t.error(at, fmt::format("\"{}\" is not a state: ISO 3166-1 alpha-2 codes such as \"DE\" are{}", text,
                                 hint_for(text)));
}

Result<void> FactsLoader::islands(TomlTable& root) {
  return each(root, "island", kIslandsMax, !config_, [&](TomlTable& t) -> Result<void> {
    Party made;
    bool silent = !asked_ && t.take("place") == nullptr && t.take("region") == nullptr;
    RETURN_IF_ERROR(party(t, "island", silent ? Need::nothing : Need::all, made));
    return add_unique(t, "island", std::move(made), out_.facts.islands);
  });
}

Result<void> FactsLoader::keyholders(TomlTable& root) {
  RETURN_IF_ERROR(each(root, "keyholder", kPartiesMax, true, [&](TomlTable& t) -> Result<void> {
    Party made;
    RETURN_IF_ERROR(party(t, "key holder", Need::place, made));
    return add_unique(t, "key holder", std::move(made), out_.facts.keyholders);
  }));
  int holders = static_cast<int>(out_.facts.keyholders.size());
  bool said = false;
  RETURN_IF_ERROR(section(root, "keys", true, [&](TomlTable& t) -> Result<void> {
    int threshold = 0;
    RETURN_IF_ERROR(t.number("threshold", threshold, 0, kPartiesMax));
    const TomlValue* at = t.take("threshold");
    if (at == nullptr) return {};
    said = true;
    if (holders == 0) {
      out_.notes.push_back(fmt::format(
          "{}: there are no [[keyholder]] tables: keys are not part of the question", t.where(*at)));
      return {};
    }
    if (threshold < 1 || threshold > holders)
      return t.error(*at,
                     fmt::format("`threshold` must be from 1 to {}, the number of key holders", holders));
    out_.facts.keys_threshold = threshold;
    return {};
  }));
  if (holders > 0 && !said)
    return root.error(
        *root.take("keyholder"),
        fmt::format("{} key holders need [keys] threshold: how many of them open together", holders));
  return {};
}

Result<void> FactsLoader::gateways(TomlTable& root) {
  return each(root, "gateway", kPartiesMax, true, [&](TomlTable& t) -> Result<void> {
    Gateway made;
    RETURN_IF_ERROR(party(t, "gateway", Need::place, made));
    RETURN_IF_ERROR(t.truth("plaintext", made.plaintext));
    if (t.take("plaintext") == nullptr)
      out_.notes.push_back(fmt::format("{}: gateway {}: `plaintext` is not said: taken to be true (Assumed)",
                                       t.where(), made.id));
    return add_unique(t, "gateway", std::move(made), out_.facts.gateways);
  });
}

Result<void> FactsLoader::names(TomlTable& root) {
  return each(root, "name", kPartiesMax, true, [&](TomlTable& t) -> Result<void> {
    Name made;
    std::string kind;
    RETURN_IF_ERROR(t.text("kind", kind, true));
    if (kind != "dns" && kind != "ca") return t.error(*t.take("kind"), "`kind` must be \"dns\" or \"ca\"");
    made.kind = kind == "dns" ? Name::Kind::dns : Name::Kind::ca;
    RETURN_IF_ERROR(party(t, "name", Need::place, made));
    return add_unique(t, "name", std::move(made), out_.facts.names);
  });
}

Result<void> FactsLoader::party(TomlTable& t, std::string_view kind, Need need, Party& out) {
  out.where = t.where();
  RETURN_IF_ERROR(t.text("id", out.id, true));
  if (!is_party_id(out.id))
    return t.error(*t.take("id"), "`id` must be 1 to 63 letters, digits, \"-\", \".\" and \"_\"");
  RETURN_IF_ERROR(provider_of(t, out));
  std::vector<Edge> said;
  RETURN_IF_ERROR(reach(t, kind, out, said));
  RETURN_IF_ERROR(place(t, kind, need, out, said));
  RETURN_IF_ERROR(operator_and_parent(t, kind, need, out, said));
  out.edges.insert(out.edges.end(), std::make_move_iterator(said.begin()),
                   std::make_move_iterator(said.end()));
  return {};
}

Result<void> FactsLoader::provider_of(TomlTable& t, Party& out) {
  RETURN_IF_ERROR(free_text(t, "provider", out.provider));
  RETURN_IF_ERROR(free_text(t, "region", out.region));
  if (out.provider.size() > 63)
    return t.error(*t.take("provider"), "`provider` is longer than 63 characters");
  if (const ProviderFact* known = world_->provider(out.provider)) out.provider = known->id;
  if (!out.region.empty() && out.provider.empty())
    return t.error(*t.take("region"), "`region` is one of a provider: add `provider`");
  return {};
}

Result<Edge> FactsLoader::reach_entry(TomlTable& t, std::string_view kind, const Party& party) {
  Edge edge;
  edge.where = t.where();
  auto word = [&](std::string_view key, auto parse, std::string_view words, auto& out) -> Result<bool> {
    std::string text;
    RETURN_IF_ERROR(t.text(key, text));
    if (text.empty()) return false;
    auto parsed = parse(text);
    if (!parsed) return t.error(*t.take(key), fmt::format("`{}` must be one of {}", key, words));
    out = *parsed;
    return true;
  };
  RETURN_IF_ERROR(t.text("state", edge.state, true));
  RETURN_IF_ERROR(known_state(t, *t.take("state"), edge.state));
  ASSIGN_OR_RETURN(bool has_basis,
                   word("basis", parse_basis, "place, operator, parent, staff, supply, network and sanctions",
                        edge.basis));
  if (!has_basis) return t.error("a reach needs the key `basis`: by what the state reaches this party");
  ASSIGN_OR_RETURN(bool has_cap, word("cap", parse_cap, "read, cut and both", edge.cap));
  ASSIGN_OR_RETURN(bool has_level,
                   word("level", parse_level, "Proved, Measured, Declared and Assumed", edge.level));
  auto assume = [&](std::string_view key, std::string_view value) {
    out_.notes.push_back(
        fmt::format("{}: {} {}: the `{}` of {}'s reach is not said: taken to be {} (Assumed)", edge.where,
                    kind, party.id, key, edge.state, value));
  };
  if (!has_level) edge.level = Level::assumed;
  if (!has_level) assume("level", "Assumed");
  if (!has_cap) assume("cap", "both");
  RETURN_IF_ERROR(free_text(t, "source", edge.source));
  if (edge.source.empty() && edge.level != Level::assumed)
    return t.error(fmt::format("a reach that is {} needs the key `source`: where that is written",
                               to_string(edge.level)));
  const TomlValue* date = t.take("date");
  if (date == nullptr) return t.error("a reach needs the key `date`: as of when, such as \"2026-11-22\"");
  if ((!date->is(Kind::text) && !date->is(Kind::date)) || !is_date(date->text))
    return t.error(*date, "`date` must be a day such as \"2026-11-22\"");
  edge.date = date->text;
  return edge;
}

// Adds one reach to those said before. A state may reach a party by one basis for several reasons, each with its source: two laws are two facts. One
// source that gives the same reach two levels on one day is a contradiction, and so is a reach said with a source and without; what says the same
// again is dropped.
Result<void> FactsLoader::add_reach(TomlTable& t, const TomlValue& at, Edge edge, std::vector<Edge>& said) {
  for (const Edge& other : said) {
    if (other.basis != edge.basis) continue;
    if (other.state != edge.state) {
      if (edge.basis != Basis::place && edge.basis != Basis::operator_) continue;
      return t.error(at, fmt::format("contradiction: {} is {} here and {} at {}", to_string(edge.basis),
                                     edge.state, other.state, other.where));
    }
    if ((static_cast<int>(other.cap) & static_cast<int>(edge.cap)) == 0) continue;
    const bool one_source = other.source == edge.source && other.date == edge.date;
    if (one_source && other.level == edge.level) {
      if (other.cap == edge.cap) return {};
      continue;
    }
    if (!one_source && !other.source.empty() && !edge.source.empty()) continue;
    return t.error(at, fmt::format("contradiction: the reach of {} by {} is said with other words at {}",
                                   edge.state, to_string(edge.basis), other.where));
  }
  said.push_back(std::move(edge));
  return {};
}

Result<void> FactsLoader::reach(TomlTable& t, std::string_view kind, Party& out, std::vector<Edge>& said) {
  const TomlValue* list = t.take("reach");
  if (list == nullptr) return {};
  if (!list->is(Kind::array))
    return t.error(*list, "`reach` must be a list of tables: [{ state = \"US\", … }]");
  if (list->items.size() > kEdgesMax)
    return t.error(*list, fmt::format("`reach` holds more than {} tables", kEdgesMax));
  for (const TomlValue& item : list->items) {
    if (!item.is(Kind::table))
      return t.error(item, "`reach` must be a list of tables: [{ state = \"US\", … }]");
    TomlTable entry(file_, item, "a reach");
    ASSIGN_OR_RETURN(Edge edge, reach_entry(entry, kind, out));
    RETURN_IF_ERROR(entry.finish());
    RETURN_IF_ERROR(add_reach(t, item, std::move(edge), said));
  }
  return {};
}

// place = "DE" and the like, or a reach with that basis, which then goes to the front. False: neither.
Result<bool> FactsLoader::stated(TomlTable& t, std::string_view key, Basis basis, Party& out,
                                 std::vector<Edge>& said) {
  std::string state;
  RETURN_IF_ERROR(t.text(key, state));
  const TomlValue* at = t.take(key);
  bool single = basis != Basis::parent;
  Edge edge;
  if (at != nullptr) {
    RETURN_IF_ERROR(known_state(t, *at, state));
    edge.state = state;
    edge.basis = basis;
    edge.where = t.where(*at);
  }
  bool found = at != nullptr;
  for (size_t i = 0; i < said.size();) {
    if (said[i].basis != basis || (at != nullptr && !single && said[i].state != state)) {
      ++i;
      continue;
    }
    const Edge& other = said[i];
    // `place` says read and cut. A reach may add its evidence to that, not take from it.
    if (at != nullptr && (other.state != state || other.cap != Cap::both))
      return t.error(
          *at, fmt::format("contradiction: `{}` says that {} can read and cut; {} at {} says {}, {}", key,
                           state, to_string(basis), other.where, other.state, to_string(other.cap)));
    out.edges.push_back(other);
    said.erase(said.begin() + static_cast<ptrdiff_t>(i));
    if (at != nullptr) return true;
    found = true;
  }
  if (at != nullptr) out.edges.push_back(edge);
  return found;
}

Result<void> FactsLoader::place(TomlTable& t, std::string_view kind, Need need, Party& out,
                                std::vector<Edge>& said) {
  const RegionFact* region = out.region.empty() ? nullptr : world_->region(out.provider, out.region);
  if (!out.region.empty() && region == nullptr && t.take("place") == nullptr)
    return t.error(*t.take("region"),
                   fmt::format("region \"{}\" of {} is not known: add `place`", out.region, out.provider));
  ASSIGN_OR_RETURN(bool known, stated(t, "place", Basis::place, out, said));
  if (known && region != nullptr && out.edges.back().state != region->state)
    return t.error(fmt::format("contradiction: {} {} lies in {} at {}, but region {} of {} is in {} ({})",
                               kind, out.id, out.edges.back().state, out.edges.back().where, out.region,
                               out.provider, region->state, region->origin.where));
  if (known) return {};
  if (region != nullptr) {
    const Origin& origin = region->origin;
    out.edges.push_back(
        {region->state, Cap::both, Basis::place, origin.level, origin.source, origin.date, origin.where});
    return {};
  }
  if (need == Need::nothing) {
    out_.notes.push_back(fmt::format("{}: {} {}: nobody says where it lies: its exposure is not known",
                                     t.where(), kind, out.id));
    return {};
  }
  return t.error(
      fmt::format("{} \"{}\" needs the key `place`: the state on whose ground it is", kind, out.id));
}

Result<void> FactsLoader::operator_and_parent(TomlTable& t, std::string_view kind, Need need, Party& out,
                                              std::vector<Edge>& said) {
  const ProviderFact* provider = out.provider.empty() ? nullptr : world_->provider(out.provider);
  auto from_data = [&](Basis basis, const StateCode& state) {
    const Origin& origin = provider->origin;
    out.edges.push_back({state, Cap::both, basis, origin.level, origin.source, origin.date, origin.where});
  };
  auto assumed = [&](Basis basis, const StateCode& state, std::string_view like) {
    out.edges.push_back({state, Cap::both, basis, Level::assumed, "", "", t.where()});
    out_.notes.push_back(fmt::format("{}: {} {}: nobody names its {}: taken to be {}, as its {} (Assumed)",
                                     t.where(), kind, out.id, to_string(basis), state, like));
  };
  ASSIGN_OR_RETURN(bool has_operator, stated(t, "operator", Basis::operator_, out, said));
  if (!has_operator) {
    if (provider != nullptr)
      from_data(Basis::operator_, provider->operator_);
    else if (need == Need::place && out.provider.empty())
      assumed(Basis::operator_, StateCode(out.edges.front().state), "place");
    else if (need != Need::nothing)
      return t.error(
          out.provider.empty()
              ? fmt::format("{} \"{}\" needs the key `operator`: where who runs it is incorporated", kind,
                            out.id)
              : fmt::format("{} \"{}\": provider \"{}\" has no operator: add `operator`, where it is "
                            "incorporated",
                            kind, out.id, out.provider));
  }
  if (need == Need::nothing && !has_operator && provider == nullptr) return {};
  StateCode operated = out.edges.back().state;
  ASSIGN_OR_RETURN(bool has_parent, stated(t, "parent", Basis::parent, out, said));
  if (has_parent) return {};
  if (provider != nullptr)
    from_data(Basis::parent, provider->parent);
  else
    assumed(Basis::parent, operated, "operator");
  return {};
}

}  // namespace archipel::exposure
