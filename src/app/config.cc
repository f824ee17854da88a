#include "app/config.h"

#include <fmt/format.h>
#include <sys/stat.h>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <filesystem>
#include <set>

namespace archipel::app {
namespace {

constexpr uintmax_t kConfigBytesMax = 1u << 20;

// Walks one table, handing out its keys; what nobody asked for is an unknown key.
class Table {
 public:
  Table(const std::string& file, const toml::table& table, std::string name)
      : file_(file), table_(table), name_(std::move(name)) {}

  std::unexpected<Error> error(const toml::node& at, const std::string& what) const {
    return fail(Code::invalid,
                fmt::format("{}:{}:{}: {}", file_, at.source().begin.line, at.source().begin.column, what));
  }
  std::unexpected<Error> error(const std::string& what) const { return error(table_, what); }

  const toml::node* take(std::string_view key) {
    seen_.emplace(key);
    return table_.get(key);
  }
  Result<void> text(std::string_view key, std::string& out, bool required = false) {
    const toml::node* node = take(key);
    if (node == nullptr) {
      if (!required) return {};
      return error(fmt::format("{} needs the key `{}`", name_, key));
    }
    const auto* value = node->as_string();
    if (value == nullptr) return error(*node, fmt::format("`{}` must be a string in quotes", key));
    if (value->get().empty()) return error(*node, fmt::format("`{}` must not be empty", key));
    if (value->get().find('\0') != std::string::npos)
      return error(*node, fmt::format("`{}` holds a NUL character", key));
    out = value->get();
    return {};
  }
  Result<void> number(std::string_view key, int& out, int64_t min, int64_t max) {
    const toml::node* node = take(key);
    if (node == nullptr) return {};
    const auto* value = node->as_integer();
    if (value == nullptr || value->get() < min || value->get() > max)
      return error(*node, fmt::format("`{}` must be a whole number from {} to {}", key, min, max));
    out = static_cast<int>(value->get());
    return {};
  }
  Result<void> finish() const {
    for (auto&& [key, node] : table_)
      if (!seen_.contains(std::string(key.str())))
        return fail(Code::invalid,
                    fmt::format("{}:{}:{}: unknown key `{}` in {}", file_, key.source().begin.line,
                                key.source().begin.column, key.str(), name_));
    return {};
  }

 private:
  const std::string& file_;
  const toml::table& table_;
  std::string name_;
  std::set<std::string> seen_;
};

bool is_island_id(const std::string& id) {
  if (id.empty() || id.size() > 63 || id.front() == '-') return false;
  for (char c : id)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
  return true;
}

bool is_state(const std::string& cc) {
  return cc.size() == 2 && cc[0] >= 'A' && cc[0] <= 'Z' && cc[1] >= 'A' && cc[1] <= 'Z';
}

struct Loader {
  const std::string& file;
  std::filesystem::path base;
  Config config;

  std::string resolve(const std::string& path) const {
    return (base / path).lexically_normal().string();  // an absolute path stays as it is
  }

  // Hands the table `name` (or an empty one) to `read`.
  template <class F>
  Result<void> section(Table& root, std::string_view name, F read) {
    const toml::node* node = root.take(name);
    if (node == nullptr) return {};
    const toml::table* table = node->as_table();
    if (table == nullptr) return root.error(*node, fmt::format("`{}` must be a table: [{}]", name, name));
    Table section(file, *table, fmt::format("[{}]", name));
    RETURN_IF_ERROR(read(section));
    return section.finish();
  }

  Result<void> realm(Table& t) {
    std::string dir;
    RETURN_IF_ERROR(t.text("dir", dir));
    if (!dir.empty()) config.dir = resolve(dir);
    const toml::node* node = t.take("code");
    if (node == nullptr) return {};
    const toml::array* pair = node->as_array();
    if (pair == nullptr || pair->size() != 2 || !pair->get(0)->is_integer() || !pair->get(1)->is_integer())
      return t.error(*node, "`code` must be [n, k], such as [6, 3]");
    int64_t n = pair->get(0)->as_integer()->get(), k = pair->get(1)->as_integer()->get();
    bool in_range = n > 0 && n < 256 && k > 0 && k < 256;
    if (in_range) config.code = {static_cast<int>(n), static_cast<int>(k)};
    Result<void> admitted = in_range ? erasure::check_code(config.code) : fail(Code::invalid, "");
    if (!admitted)
      return t.error(
          *node, fmt::format("code [{}, {}] is not admitted; choose [4, 2], [5, 3], [6, 3], [7, 4] or [9, 6]",
                             n, k));
    return {};
  }

  Result<void> log(Table& t) {
    RETURN_IF_ERROR(t.text("level", config.log_level));
    static const std::set<std::string> kLevels = {"debug", "info", "warn", "error"};
    if (!kLevels.contains(config.log_level))
      return t.error(*t.take("level"), "`level` must be debug, info, warn or error");
    std::string format = "logfmt";
    RETURN_IF_ERROR(t.text("format", format));
    if (format != "logfmt" && format != "json")
      return t.error(*t.take("format"), "`format` must be logfmt or json");
    config.log_json = format == "json";
    return {};
  }

  Result<void> island(Table& t) {
    IslandConfig island;
    std::string type;
    RETURN_IF_ERROR(t.text("id", island.id, true));
    if (!is_island_id(island.id))
      return t.error(*t.take("id"), "`id` must be 1 to 63 characters of a-z, 0-9 and -, not starting with -");
    RETURN_IF_ERROR(t.text("type", type, true));
    if (type != "dir")
      return t.error(*t.take("type"),
                     fmt::format("island type \"{}\" is unknown; this version has \"dir\"", type));
    RETURN_IF_ERROR(t.text("path", island.path, true));
    island.path = resolve(island.path);
    RETURN_IF_ERROR(t.text("provider", island.provider));
    for (auto [key, out] :
         {std::pair{"place", &island.place}, {"operator", &island.operator_}, {"parent", &island.parent}}) {
      RETURN_IF_ERROR(t.text(key, *out));
      if (!out->empty() && !is_state(*out))
        return t.error(*t.take(key),
                       fmt::format("`{}` must be an ISO 3166-1 alpha-2 code such as \"DE\"", key));
    }
    for (const IslandConfig& other : config.islands) {
      if (other.id == island.id) return t.error(fmt::format("island id \"{}\" is used twice", island.id));
      if (other.path == island.path)
        return t.error(fmt::format("islands \"{}\" and \"{}\" share the directory {}", other.id, island.id,
                                   island.path));
    }
    config.islands.push_back(std::move(island));
    return {};
  }

  Result<void> islands(Table& root) {
    const toml::node* node = root.take("island");
    const toml::array* list = node == nullptr ? nullptr : node->as_array();
    if (list == nullptr)
      return root.error(fmt::format("no islands: add {} [[island]] tables", config.code.n));
    for (const toml::node& item : *list) {
      if (!item.is_table()) return root.error(item, "`island` must be tables: [[island]]");
      Table t(file, *item.as_table(), "[[island]]");
      RETURN_IF_ERROR(island(t));
      RETURN_IF_ERROR(t.finish());
    }
    if (config.islands.size() != static_cast<size_t>(config.code.n))
      return root.error(*node,
                        fmt::format("code [{}, {}] needs exactly {} islands, {} are given", config.code.n,
                                    config.code.k, config.code.n, config.islands.size()));
    return {};
  }

  Result<void> load(const toml::table& document) {
    Table root(file, document, "the top level");
    config.keyring_path = "keyring";
    RETURN_IF_ERROR(section(root, "realm", [&](Table& t) { return realm(t); }));
    RETURN_IF_ERROR(section(root, "keyring", [&](Table& t) -> Result<void> {
      RETURN_IF_ERROR(t.text("path", config.keyring_path));
      RETURN_IF_ERROR(t.text("passphrase_file", config.passphrase_file));
      return {};
    }));
    RETURN_IF_ERROR(section(root, "listen", [&](Table& t) -> Result<void> {
      std::string admin;
      RETURN_IF_ERROR(t.text("http", config.listen));
      RETURN_IF_ERROR(t.text("admin", admin));
      if (!admin.empty()) config.admin_listen = admin;
      return {};
    }));
    RETURN_IF_ERROR(section(root, "s3", [&](Table& t) -> Result<void> {
      RETURN_IF_ERROR(t.text("region", config.region));
      RETURN_IF_ERROR(t.text("virtual_host_base", config.virtual_host_base));
      return {};
    }));
    RETURN_IF_ERROR(section(root, "owner", [&](Table& t) -> Result<void> {
      std::string path;
      RETURN_IF_ERROR(t.text("credentials_file", path));
      if (!path.empty()) config.credentials_file = resolve(path);
      return {};
    }));
    RETURN_IF_ERROR(section(root, "limits", [&](Table& t) -> Result<void> {
      RETURN_IF_ERROR(t.number("threads", config.threads, 0, 64));
      RETURN_IF_ERROR(t.number("memory_budget_mib", config.memory_budget_mib, 64, 1 << 20));
      RETURN_IF_ERROR(t.number("connections", config.connections_max, 16, 1'000'000));
      return {};
    }));
    RETURN_IF_ERROR(section(root, "log", [&](Table& t) { return log(t); }));
    RETURN_IF_ERROR(islands(root));
    config.keyring_path = resolve(config.keyring_path);
    if (!config.passphrase_file.empty()) config.passphrase_file = resolve(config.passphrase_file);
    return root.finish();
  }
};

}  // namespace

Result<Config> load_config(const std::string& file) {
  std::error_code error;
  uintmax_t size = std::filesystem::file_size(file, error);
  if (error) return fail_errno(error.value(), "the config file " + file + " cannot be read");
  if (size > kConfigBytesMax) return fail(Code::limit, "the config file " + file + " is larger than 1 MiB");
  toml::parse_result parsed = toml::parse_file(file);
  if (!parsed) {
    const auto& where = parsed.error().source().begin;
    return fail(Code::invalid,
                fmt::format("{}:{}:{}: {}", file, where.line, where.column, parsed.error().description()));
  }
  std::filesystem::path absolute = std::filesystem::absolute(file, error);
  Loader loader{file, absolute.parent_path(), {}};
  loader.config.file = file;
  loader.config.dir = loader.base.string();
  RETURN_IF_ERROR(loader.load(parsed.table()));
  return std::move(loader.config);
}

}  // namespace archipel::app
