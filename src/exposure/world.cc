#include "exposure/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <set>

#include "exposure/csv.h"

namespace archipel::exposure {

std::span<const EmbeddedFile> embedded_world();  // generated from data/

namespace {

using enum archipel::Code;

constexpr size_t kFilesBytesMax = 16u << 20;  // of a directory, together
constexpr std::string_view kFiles[] = {"sources.csv",   "states.csv",  "sets.csv",  "members.csv",
                                       "providers.csv", "regions.csv", "prices.csv"};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool only(std::string_view text, std::string_view more, bool upper) {
  return std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (upper ? c >= 'A' && c <= 'Z' : c >= 'a' && c <= 'z') ||
           more.contains(c);
  });
}

bool has(const auto& all, std::string_view one) {
  return std::ranges::find(all, one) != std::ranges::end(all);
}

bool is_code(std::string_view text) {
  return text.size() == 2 && std::ranges::all_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
}

// YYYY-MM-DD, a day that exists.
bool is_date(std::string_view text) {
  const auto number = [&](size_t at, size_t length) {
    int value = 0;
    for (const char c : text.substr(at, length))
      value = c >= '0' && c <= '9' ? value * 10 + (c - '0') : -1000000;
    return value;
  };
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  if (year < 1900 || month < 1 || month > 12 || day < 1) return false;
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return day <= kDays[month - 1] + (leap ? 1 : 0);
}

// One file, with its rows by the names of their columns.
class Sheet {
 public:
  class Row {
   public:
    Row(const Sheet& sheet, const CsvRow& row) : sheet_(sheet), row_(row) {}
    std::string_view operator[](std::string_view column) const {
      return row_.fields[static_cast<size_t>(std::ranges::find(sheet_.csv_.columns, column) -
                                             sheet_.csv_.columns.begin())];
    }
    Where where() const { return fmt::format("{}:{}", sheet_.file_, row_.line); }
    std::unexpected<Error> error(std::string_view what) const {
      return fail(invalid, fmt::format("{}: {}", where(), what));
    }
    // What may not be left out.
    Result<std::string> text(std::string_view column) const {
      const std::string_view value = (*this)[column];
      if (value.empty()) return error(fmt::format("`{}` is missing", column));
      return std::string(value);
    }
    Result<double> number(std::string_view column, double min, double max) const {
      const std::string_view value = (*this)[column];
      double out = 0;
      const auto [end, wrong] = std::from_chars(value.data(), value.data() + value.size(), out);
      if (wrong != std::errc{} || end != value.data() + value.size() || !std::isfinite(out))
        return error(fmt::format("`{}` must be a number, not \"{}\"", column, value));
      if (out < min || out > max)
        return error(fmt::format("`{}` is {}: it must lie between {} and {}", column, value, min, max));
      return out;
    }

   private:
    const Sheet& sheet_;
    const CsvRow& row_;
  };

  static Result<Sheet> parse(std::string_view text, std::string file,
                             std::initializer_list<std::string_view> columns) {
    Sheet sheet;
    sheet.file_ = std::move(file);
    ASSIGN_OR_RETURN(sheet.csv_, parse_csv(text, sheet.file_));
    for (const std::string_view column : columns)
      if (!has(sheet.csv_.columns, column))
        return fail(invalid, fmt::format("{}:1: the column `{}` is missing", sheet.file_, column));
    for (const std::string& column : sheet.csv_.columns)
      if (!has(columns, column))
        return fail(invalid, fmt::format("{}:1: nobody knows the column `{}`", sheet.file_, column));
    return sheet;
  }

  template <class F>
  Result<void> each(F&& take) const {
    for (const CsvRow& row : csv_.rows) RETURN_IF_ERROR(take(Row(*this, row)));
    return {};
  }
  const std::string& file() const { return file_; }

 private:
  std::string file_;
  Csv csv_;
};

using Row = Sheet::Row;

// A fact said twice is an error, all the more if it is said differently.
class Once {
 public:
  Result<void> take(const Row& row, const std::string& key, const std::string& value, std::string_view what) {
    const auto [at, first] = seen_.try_emplace(lower(key), Seen{value, row.where()});
    if (first) return {};
    if (at->second.value == value)
      return row.error(fmt::format("{} stands at {} already: take one out", what, at->second.where));
    return row.error(fmt::format("{} says \"{}\", but {} says \"{}\": only one can hold", what, value,
                                 at->second.where, at->second.value));
  }

 private:
  struct Seen {
    std::string value;
    Where where;
  };
  std::map<std::string, Seen> seen_;
};

}  // namespace

class WorldLoader {
 public:
  struct File {
    std::string shown;  // in messages
    std::string_view text;
  };
  explicit WorldLoader(std::map<std::string, File, std::less<>> files) : files_(std::move(files)) {}

  Result<std::shared_ptr<const World>> run() {
    RETURN_IF_ERROR(sources());
    RETURN_IF_ERROR(states());
    RETURN_IF_ERROR(sets());
    RETURN_IF_ERROR(members());
    RETURN_IF_ERROR(providers());
    RETURN_IF_ERROR(regions());
    RETURN_IF_ERROR(prices());
    return std::make_shared<const World>(std::move(world_));
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
      ASSIGN_OR_RETURN(source.date, date(row, "date"));
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

  static Result<std::string> date(const Row& row, std::string_view column) {
    ASSIGN_OR_RETURN(std::string text, row.text(column));
    if (!is_date(text))
      return row.error(fmt::format("`{}` must be a day such as 2026-11-22, not \"{}\"", column, text));
    return text;
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
    ASSIGN_OR_RETURN(origin.date, date(row, "date"));
    const std::string level = lower(row["level"]);
    constexpr std::pair<std::string_view, Level> kLevels[] = {{"proved", Level::proved},
                                                              {"measured", Level::measured},
                                                              {"declared", Level::declared},
                                                              {"assumed", Level::assumed}};
    const auto known_level = std::ranges::find(kLevels, level, &std::pair<std::string_view, Level>::first);
    if (known_level == std::end(kLevels))
      return row.error(
          fmt::format("`level` must be Proved, Measured, Declared or Assumed, not \"{}\"", row["level"]));
    origin.level = known_level->second;
    return origin;
  }

  std::map<std::string, File, std::less<>> files_;
  World world_;
};

namespace {

std::map<std::string, WorldLoader::File, std::less<>> built_in() {
  std::map<std::string, WorldLoader::File, std::less<>> files;
  for (const EmbeddedFile& file : embedded_world())
    files.emplace(file.name, WorldLoader::File{fmt::format("data/{}", file.name), file.text});
  return files;
}

// Nothing if the directory does not hold it.
Result<std::optional<std::string>> read(const std::filesystem::path& path) {
  std::error_code error;
  const auto kind = std::filesystem::status(path, error).type();
  if (kind == std::filesystem::file_type::not_found) return std::nullopt;
  if (kind != std::filesystem::file_type::regular)
    return fail(io, fmt::format("{} cannot be read: it is no ordinary file", path.string()));
  std::ifstream in(path, std::ios::binary);
  std::string text(kCsvBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || !in.eof() || !in.gcount()) {
    if (in.gcount() == static_cast<std::streamsize>(text.size()))
      return fail(limit, fmt::format("{}:1: the file has more than {} bytes", path.string(), kCsvBytesMax));
    if (!in.eof()) return fail(io, fmt::format("{} cannot be read", path.string()));
  }
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

// A file whose name is misspelt would be as good as not there.
Result<void> only_known_files(const std::string& directory) {
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    const std::filesystem::path& path = at->path();
    if (path.extension() == ".csv" && !has(kFiles, path.filename().string()))
      return fail(invalid, fmt::format("{}:1: nobody reads a file of this name; those read are {}",
                                       path.string(), fmt::join(kFiles, ", ")));
  }
  if (error) return fail(io, fmt::format("{} cannot be listed: {}", directory, error.message()));
  return {};
}

}  // namespace

Result<std::shared_ptr<const World>> World::load(const std::string& directory) {
  auto files = built_in();
  std::vector<std::unique_ptr<std::string>> texts;
  if (!directory.empty()) {
    std::error_code error;
    if (!std::filesystem::is_directory(directory, error))
      return fail(not_found,
                  fmt::format("{} is no directory: [facts] data names one with CSV files", directory));
    RETURN_IF_ERROR(only_known_files(directory));
    size_t bytes = 0;
    for (const std::string_view name : kFiles) {
      const std::filesystem::path path = std::filesystem::path(directory) / name;
      ASSIGN_OR_RETURN(std::optional<std::string> text, read(path));
      if (!text) continue;
      bytes += text->size();
      texts.push_back(std::make_unique<std::string>(std::move(*text)));
      files.insert_or_assign(std::string(name), WorldLoader::File{path.string(), *texts.back()});
    }
    if (texts.empty())
      return fail(not_found,
                  fmt::format("{} holds none of the files {}", directory, fmt::join(kFiles, ", ")));
    if (bytes > kFilesBytesMax)
      return fail(limit,
                  fmt::format("the files of {} have more than {} bytes together", directory, kFilesBytesMax));
  }
  return WorldLoader(std::move(files)).run();
}

Result<std::shared_ptr<const World>> World::parse(std::span<const EmbeddedFile> texts) {
  auto files = built_in();
  for (const EmbeddedFile& file : texts)
    files.insert_or_assign(std::string(file.name), WorldLoader::File{std::string(file.name), file.text});
  return WorldLoader(std::move(files)).run();
}

namespace {

template <class T, class Key, class Projection>
const T* find_sorted(const std::vector<T>& all, const Key& key, Projection projection) {
  const auto at = std::ranges::lower_bound(all, key, {}, projection);
  return at != all.end() && std::invoke(projection, *at) == key ? &*at : nullptr;
}

}  // namespace

const State* World::state(std::string_view code) const {
  return find_sorted(states_, code, &State::code);
}

const StateSet* World::set(std::string_view id) const {
  return find_sorted(sets_, id, &StateSet::id);
}

const ProviderFact* World::provider(std::string_view id_or_name) const {
  const auto at = provider_words_.find(lower(id_or_name));
  return at == provider_words_.end() ? nullptr : &providers_[at->second];
}

const RegionFact* World::region(std::string_view provider_word, std::string_view region) const {
  const ProviderFact* known = provider(provider_word);
  if (known == nullptr) return nullptr;
  const std::pair<std::string_view, std::string_view> key{known->id, region};
  return find_sorted(regions_, key, [](const RegionFact& r) {
    return std::pair<std::string_view, std::string_view>{r.provider, r.region};
  });
}

const Price* World::price(std::string_view provider_word) const {
  const ProviderFact* known = provider(provider_word);
  return known == nullptr ? nullptr : find_sorted(prices_, std::string_view(known->id), &Price::provider);
}

std::string_view world_map() {
  for (const EmbeddedFile& file : embedded_world())
    if (file.name == "world-map.json") return file.text;
  return {};
}

}  // namespace archipel::exposure
