#include "exposure/world_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "exposure/sheet.h"

namespace archipel::exposure {
namespace {

using enum archipel::Code;
using Row = Sheet::Row;

bool is_code(std::string_view text) {
  return text.size() == 2 && std::ranges::all_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
}

}  // namespace

class WorldLoader {
 public:
  explicit WorldLoader(WorldFiles files) : files_(std::move(files)) {}

  Result<World> run() {
    RETURN_IF_ERROR(sources());
    RETURN_IF_ERROR(states());
    RETURN_IF_ERROR(sets());
    RETURN_IF_ERROR(members());
    RETURN_IF_ERROR(providers());
    RETURN_IF_ERROR(regions());
    RETURN_IF_ERROR(prices());
    return std::move(world_);
  }

 private:
  Result<Sheet> sheet(std::string_view name, std::initializer_list<std::string_view> columns) const {
    const auto file = files_.find(name);
    if (file == files_.end()) return fail(internal, fmt::format("{} was not built in", name));
    return Sheet::parse(file->second.text, file->second.shown, columns);
  }

  Result<void> sources() {
    ASSIGN_OR_RETURN(const Sheet sheet_, sheet("sources.csv", {"id", "title", "address", "date"}));
    Once once;
    RETURN_IF_ERROR(sheet_.each([&](const Row& row) -> Result<void> {
      Source source{
          .id = {}, .title = {}, .address = std::string(row["address"]), .date = {}, .where = row.where()};
      ASSIGN_OR_RETURN(source.id, row.text("id"));
      ASSIGN_OR_RETURN(source.title, row.text("title"));
      ASSIGN_OR_RETURN(source.date, row.date("date"));
      if (!only(source.id, "-.", false))
        return row.error(fmt::format("the id \"{}\" must be of a-z, 0-9, - and .", source.id));
      RETURN_IF_ERROR(once.take(row, source.id, source.title, fmt::format("the source {}", source.id)));
      world_.sources_.push_back(std::move(source));
      return {};
    }));
    std::ranges::sort(world_.sources_, {}, &Source::id);
    return {};
  }

  Result<void> states() {
    ASSIGN_OR_RETURN(const Sheet sheet_, sheet("states.csv", {"code", "en", "fr", "latitude", "longitude",
                                                              "source", "date", "level"}));
    Once once;
    RETURN_IF_ERROR(sheet_.each([&](const Row& row) -> Result<void> {
      State state;
      ASSIGN_OR_RETURN(state.code, row.text("code"));
      if (!is_code(state.code))
        return row.error(fmt::format("\"{}\" is no code of ISO 3166-1: two capital letters", state.code));
      ASSIGN_OR_RETURN(state.en, row.text("en"));
      ASSIGN_OR_RETURN(state.fr, row.text("fr"));
      RETURN_IF_ERROR(position(row, state.latitude, state.longitude));
      ASSIGN_OR_RETURN(state.origin, origin(row));
      RETURN_IF_ERROR(once.take(row, state.code, state.en, fmt::format("the state {}", state.code)));
      world_.states_.push_back(std::move(state));
      return {};
    }));
    if (world_.states_.empty()) return fail(invalid, fmt::format("{}:1: there is no state", sheet_.file()));
    std::ranges::sort(world_.states_, {}, &State::code);
    return {};
  }

  Result<void> sets() {
    ASSIGN_OR_RETURN(const Sheet sheet_,
                     sheet("sets.csv", {"id", "kind", "en", "fr", "enabled", "source", "date", "level"}));
    Once once;
    RETURN_IF_ERROR(sheet_.each([&](const Row& row) -> Result<void> {
      StateSet set;
      ASSIGN_OR_RETURN(set.id, row.text("id"));
      RETURN_IF_ERROR(kind_of_set(row, set));
      ASSIGN_OR_RETURN(set.en, row.text("en"));
      ASSIGN_OR_RETURN(set.fr, row.text("fr"));
      if (row["enabled"] != "true" && row["enabled"] != "false")
        return row.error(fmt::format("`enabled` must be true or false, not \"{}\"", row["enabled"]));
      set.enabled = row["enabled"] == "true";
      if (set.enabled && set.kind == StateSet::Kind::list)
        return row.error(fmt::format("{} is a list, and only a bloc can be enabled", set.id));
      ASSIGN_OR_RETURN(set.origin, origin(row));
      RETURN_IF_ERROR(once.take(row, set.id, set.en, fmt::format("the set {}", set.id)));
      if (world_.sets_.size() == kSetsMax)
        return row.error(fmt::format("there are more than {} sets", kSetsMax));
      world_.sets_.push_back(std::move(set));
      return {};
    }));
    std::ranges::sort(world_.sets_, {}, &StateSet::id);
    return {};
  }

  Result<void> kind_of_set(const Row& row, StateSet& set) const {
    const std::string_view kind = row["kind"];
    if (kind != "bloc" && kind != "list")
      return row.error(fmt::format("`kind` must be bloc or list, not \"{}\"", kind));
    const bool bloc = kind == "bloc";
    set.kind = bloc ? StateSet::Kind::bloc : StateSet::Kind::list;
    if (set.id.size() < 2 || set.id.size() > (bloc ? 16 : 40) || !only(set.id, "-", bloc))
      return row.error(fmt::format("the id \"{}\" must be {}", set.id,
                                   bloc ? "2 to 16 of A-Z, 0-9 and -" : "2 to 40 of a-z, 0-9 and -"));
    if (world_.state(set.id) != nullptr)
      return row.error(fmt::format("{} is the code of a state ({}): no bloc can be called so", set.id,
                                   world_.state(set.id)->en));
    return {};
  }

  Result<void> members() {
    ASSIGN_OR_RETURN(const Sheet sheet_,
                     sheet("members.csv", {"set", "state", "note", "source", "date", "level"}));
    Once once;
    RETURN_IF_ERROR(sheet_.each([&](const Row& row) -> Result<void> {
      const auto set = std::ranges::find(world_.sets_, row["set"], &StateSet::id);
      if (set == world_.sets_.end())
        return row.error(fmt::format("there is no set \"{}\" in sets.csv", row["set"]));
      StateSet::Member member{.state = {}, .note = std::string(row["note"]), .origin = {}};
      ASSIGN_OR_RETURN(member.state, known_state(row, "state"));
      ASSIGN_OR_RETURN(member.origin, origin(row));
      RETURN_IF_ERROR(once.take(row, fmt::format("{} {}", set->id, member.state), member.note,
                                fmt::format("{} in {}", member.state, set->id)));
      set->members.push_back(std::move(member));
      return {};
    }));
    for (StateSet& set : world_.sets_) {
      if (set.members.empty())
        return fail(invalid,
                    fmt::format("{}: the set {} has no member in members.csv", set.origin.where, set.id));
      std::ranges::sort(set.members, {}, &StateSet::Member::state);
      for (const StateSet::Member& member : set.members) set.states.push_back(member.state);
    }
    return {};
  }

  Result<void> providers() {
    ASSIGN_OR_RETURN(const Sheet sheet_,
                     sheet("providers.csv", {"id", "name", "aliases", "operator", "parent", "note", "source",
                                             "date", "level"}));
    Once once;
    RETURN_IF_ERROR(sheet_.each([&](const Row& row) -> Result<void> {
      ProviderFact provider;
      ASSIGN_OR_RETURN(provider.id, row.text("id"));
      if (provider.id.size() > 63 || !only(provider.id, "-._", false))
        return row.error(fmt::format("the id \"{}\" must be 1 to 63 of a-z, 0-9, -, . and _", provider.id));
      ASSIGN_OR_RETURN(provider.name, row.text("name"));
      if (row["operator"].empty()) return row.error(fmt::format("{} has no operator", provider.id));
      ASSIGN_OR_RETURN(provider.operator_, known_state(row, "operator"));
      ASSIGN_OR_RETURN(provider.parent, known_state(row, "parent"));
      provider.note = row["note"];
      ASSIGN_OR_RETURN(provider.origin, origin(row));
      RETURN_IF_ERROR(words_of(row, provider, once));
      world_.providers_.push_back(std::move(provider));
      return {};
    }));
    std::ranges::sort(world_.providers_, {}, &ProviderFact::id);
    for (size_t i = 0; i < world_.providers_.size(); i++) {
      const ProviderFact& provider = world_.providers_[i];
      for (const std::string& word : provider.aliases) world_.provider_words_.emplace(lower(word), i);
      world_.provider_words_.emplace(lower(provider.name), i);
      world_.provider_words_.emplace(provider.id, i);
    }
    return {};
  }

  // Everything a provider may be called by calls no other, and no state or set: "--ban X" must mean one thing.
  Result<void> words_of(const Row& row, ProviderFact& provider, Once& once) const {
    const std::string_view aliases = row["aliases"];
    for (size_t at = 0; at < aliases.size();) {
      const size_t end = std::min(aliases.find(';', at), aliases.size());
      if (end > at) provider.aliases.emplace_back(aliases.substr(at, end - at));
      at = end + 1;
    }
    std::set<std::string> words{provider.id, lower(provider.name)};
    for (const std::string& alias : provider.aliases) words.insert(lower(alias));
    for (const std::string& word : words) {
      RETURN_IF_ERROR(once.take(row, word, provider.id, fmt::format("the provider \"{}\"", word)));
      const auto same = [&](std::string_view other) { return lower(other) == word; };
      if (std::ranges::any_of(world_.states_, same, &State::code) ||
          std::ranges::any_of(world_.sets_, same, &StateSet::id))
        return row.error(fmt::format("a provider cannot be called \"{}\": a state or a set is", word));
    }
    return {};
  }

  Result<void> regions() {
    ASSIGN_OR_RETURN(const Sheet sheet_,
                     sheet("regions.csv", {"provider", "region", "state", "city", "latitude", "longitude",
                                           "source", "date", "level"}));
    Once once;
    RETURN_IF_ERROR(sheet_.each([&](const Row& row) -> Result<void> {
      RegionFact region;
      ASSIGN_OR_RETURN(region.provider, known_provider(row));
      ASSIGN_OR_RETURN(region.region, row.text("region"));
      ASSIGN_OR_RETURN(region.state, known_state(row, "state"));
      ASSIGN_OR_RETURN(region.city, row.text("city"));
      RETURN_IF_ERROR(position(row, region.latitude, region.longitude));
      ASSIGN_OR_RETURN(region.origin, origin(row));
      RETURN_IF_ERROR(once.take(row, region.provider + " " + region.region, region.state,
                                fmt::format("the region {} of {}", region.region, region.provider)));
      world_.regions_.push_back(std::move(region));
      return {};
    }));
    std::ranges::sort(world_.regions_, {},
                      [](const RegionFact& r) { return std::tie(r.provider, r.region); });
    return {};
  }

  Result<void> prices() {
    ASSIGN_OR_RETURN(const Sheet sheet_,
                     sheet("prices.csv", {"provider", "egress_gb", "storage_gb_month", "put_1000", "get_1000",
                                          "note", "source", "date", "level"}));
    Once once;
    RETURN_IF_ERROR(sheet_.each([&](const Row& row) -> Result<void> {
      Price price;
      ASSIGN_OR_RETURN(price.provider, known_provider(row));
      RETURN_IF_ERROR(dollars(row, "egress_gb", price.egress_gb));
      RETURN_IF_ERROR(dollars(row, "storage_gb_month", price.storage_gb_month));
      RETURN_IF_ERROR(dollars(row, "put_1000", price.put_1000));
      RETURN_IF_ERROR(dollars(row, "get_1000", price.get_1000));
      price.note = row["note"];
      ASSIGN_OR_RETURN(price.origin, origin(row));
      RETURN_IF_ERROR(
          once.take(row, price.provider,
                    fmt::format("egress {}, storage {}", row["egress_gb"], row["storage_gb_month"]),
                    fmt::format("the price of {}", price.provider)));
      world_.prices_.push_back(std::move(price));
      return {};
    }));
    std::ranges::sort(world_.prices_, {}, &Price::provider);
    return {};
  }

  // An empty field is a price that nobody knows.
  static Result<void> dollars(const Row& row, std::string_view column, double& out) {
    constexpr double kDollarsMax = 1000;
    if (row[column].empty()) return {};
    ASSIGN_OR_RETURN(out, row.number(column, 0, kDollarsMax));
    return {};
  }

  static Result<void> position(const Row& row, double& latitude, double& longitude) {
    ASSIGN_OR_RETURN(latitude, row.number("latitude", -90, 90));
    ASSIGN_OR_RETURN(longitude, row.number("longitude", -180, 180));
    return {};
  }

  Result<std::string> known_state(const Row& row, std::string_view column) const {
    ASSIGN_OR_RETURN(std::string code, row.text(column));
    if (world_.state(code) == nullptr)
      return row.error(fmt::format("`{}`: there is no state \"{}\" in states.csv", column, code));
    return code;
  }

  Result<std::string> known_provider(const Row& row) const {
    ASSIGN_OR_RETURN(std::string id, row.text("provider"));
    if (std::ranges::find(world_.providers_, id, &ProviderFact::id) == world_.providers_.end())
      return row.error(fmt::format("there is no provider \"{}\" in providers.csv", id));
    return id;
  }

  Result<Origin> origin(const Row& row) const {
    Origin origin{.source = {}, .address = {}, .date = {}, .level = Level::declared, .where = row.where()};
    ASSIGN_OR_RETURN(std::string source, row.text("source"));
    const auto known = std::ranges::find(world_.sources_, source, &Source::id);
    if (known != world_.sources_.end()) {
      origin.source = known->title;
      origin.address = known->address;
    } else if (source.contains("://")) {
      origin.source = origin.address = std::move(source);
    } else if (source.contains(' ')) {
      origin.source = std::move(source);
    } else {
      return row.error(fmt::format(
          "there is no source \"{}\" in sources.csv (an address or a sentence may stand for itself)",
          source));
    }
    ASSIGN_OR_RETURN(origin.date, row.date("date"));
    const std::optional<Level> level = parse_level(row["level"]);
    if (!level)
      return row.error(
          fmt::format("`level` must be Proved, Measured, Declared or Assumed, not \"{}\"", row["level"]));
    origin.level = *level;
    return origin;
  }

  WorldFiles files_;
  World world_;
};

Result<World> load_world(WorldFiles files) {
  return WorldLoader(std::move(files)).run();
}

}  // namespace archipel::exposure
