#include "app/edge_check.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>

#include "app/edge_ports.h"
#include "app/origin_connector.h"
#include "app/tls_files.h"
#include "base/clock.h"
#include "base/random.h"
#include "edge/node.h"
#include "io/loop.h"
#include "io/tls.h"
#include "io/workers.h"

namespace archipel::app {
namespace {

enum class Kind : uint8_t { file, directory };

Result<void> writable(const std::string& path, const std::string& what) {
  if (::access(path.c_str(), W_OK) == 0) return {};
  return fail_errno(errno, fmt::format("{} {} cannot be written to by this user", what, path));
}

// What is there can be written to; what is not there can be made.
Result<void> usable(const std::string& path, Kind kind, const std::string& what) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) {
    if (errno != ENOENT) return fail_errno(errno, fmt::format("{} {}", what, path));
    const std::string parent = std::filesystem::path(path).parent_path().string();
    if (::stat(parent.c_str(), &about) != 0 || !S_ISDIR(about.st_mode))
      return fail(Code::not_found, fmt::format("{} {}: there is no directory {}; run: mkdir -p {}", what,
                                               path, parent, parent));
    return writable(parent, what + ": the directory");
  }
  if (kind == Kind::directory && !S_ISDIR(about.st_mode))
    return fail(Code::invalid, fmt::format("{} {} is not a directory; name another", what, path));
  if (kind == Kind::file && S_ISDIR(about.st_mode))
    return fail(Code::invalid, fmt::format("{} {} is a directory; name a file", what, path));
  return writable(path, what);
}

Result<void> check_places(const edge::Config& config) {
  if (!config.access.path.empty() && config.access.path != "-")
    RETURN_IF_ERROR(usable(config.access.path, Kind::file, "[log] access: the file"));
  if (!config.cache.disk_dir.empty())
    RETURN_IF_ERROR(usable(config.cache.disk_dir, Kind::directory, "[cache] disk: the directory"));
  // The one in the disk tier's directory is made with that.
  const std::string& told = config.peers.log_dir;
  if (!told.empty() && config.peers.somebody() &&
      std::filesystem::path(told).parent_path() != config.cache.disk_dir)
    RETURN_IF_ERROR(usable(told, Kind::directory, "[peers] log: the directory"));
  if (!config.take_over_dir.empty())
    RETURN_IF_ERROR(usable(config.take_over_dir, Kind::directory, "[proxy] take_over: the directory"));
  return {};
}

Result<void> check_authorities(const edge::Config& config) {
  std::set<std::string> seen;
  for (const edge::SitePolicy& site : config.sites) {
    const std::string& file = site.origin.ca_file;
    if (file.empty() || !seen.insert(file).second) continue;
    if (auto read = read_authorities(file); !read)
      return fail(read.error().code, fmt::format("site '{}': {}", site.name, read.error().message));
  }
  return {};
}

}  // namespace

Result<void> check_edge(const edge::Config& config) {
  RETURN_IF_ERROR(check_places(config));
  RETURN_IF_ERROR(check_authorities(config));
  const std::unique_ptr<io::Loop> loop = io::make_loop();
  const std::unique_ptr<io::Workers> workers = io::make_workers(1);
  if (config.tls_listen) {
    const auto context = io::make_tls_context(system_random(), system_clock());
    TlsFiles files(*context, *workers, system_clock());
    RETURN_IF_ERROR(files.load(tls_tables(config)));
  }
  // The rest is a node's to say. It makes no file: its log is off, and its cache in memory.
  edge::Config quiet = config;
  quiet.access.path.clear();
  quiet.peers.log_dir.clear();
  quiet.cache.disk_dir.clear();
  quiet.cache.disk_bytes = 0;
  const std::shared_ptr<edge::Cache> cache =
      edge::make_cache(quiet.cache, *workers, system_clock(), system_random());
  OriginConnector connector(io::tcp_network(), *workers, system_clock());
  edge::Node node(edge::NodeParts{{loop.get()},
                                  *cache,
                                  {system_random().bytes<16>()},
                                  connector,
                                  *workers,
                                  system_clock(),
                                  system_random(),
                                  [] {}});
  return node.apply(quiet);
}

}  // namespace archipel::app
