#include "exposure/world.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>

#include "exposure/csv.h"
#include "exposure/sheet.h"
#include "exposure/world_loader.h"

namespace archipel::exposure {

std::span<const EmbeddedFile> embedded_world();  // generated from data/

namespace {

using enum archipel::Code;

constexpr size_t kFilesBytesMax = 16u << 20;  // of a directory, together
constexpr std::string_view kFiles[] = {"sources.csv",   "states.csv",  "sets.csv",  "members.csv",
                                       "providers.csv", "regions.csv", "prices.csv"};

WorldFiles built_in() {
  WorldFiles files;
  for (const EmbeddedFile& file : embedded_world())
    files.emplace(file.name, WorldFile{fmt::format("data/{}", file.name), file.text});
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
    if (path.extension() == ".csv" && std::ranges::find(kFiles, path.filename().string()) == std::end(kFiles))
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
      files.insert_or_assign(std::string(name), WorldFile{path.string(), *texts.back()});
    }
    if (texts.empty())
      return fail(not_found,
                  fmt::format("{} holds none of the files {}", directory, fmt::join(kFiles, ", ")));
    if (bytes > kFilesBytesMax)
      return fail(limit,
                  fmt::format("the files of {} have more than {} bytes together", directory, kFilesBytesMax));
  }
  ASSIGN_OR_RETURN(World world, load_world(std::move(files)));
  return std::make_shared<const World>(std::move(world));
}

Result<std::shared_ptr<const World>> World::parse(std::span<const EmbeddedFile> texts) {
  auto files = built_in();
  for (const EmbeddedFile& file : texts)
    files.insert_or_assign(std::string(file.name), WorldFile{std::string(file.name), file.text});
  ASSIGN_OR_RETURN(World world, load_world(std::move(files)));
  return std::make_shared<const World>(std::move(world));
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
