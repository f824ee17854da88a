#include "edge/disk_home.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "edge/purge_log.h"

namespace archipel::edge {
namespace {

constexpr const char* kIdentity = "identity";
constexpr std::string_view kIdentityMagic = "ARCHEDGI";
// What may lie in a directory that was not used yet.
constexpr std::array<std::string_view, 5> kHarmless = {"lock", "identity.new", "purges.new", "lost+found",
                                                       "peers"};

}  // namespace

Result<void> begin_anew(DiskHome& home, Random& random) {
  home.identity = {random.bytes<16>(), {random.bytes<16>()}};
  const std::string log = encode_purge_log(home.identity.id, {});
  RETURN_IF_ERROR(home.files->write_whole(PurgeLog::kName, as_bytes(log)));
  return home.files->write_whole(kIdentity, as_bytes(disk::encode_identity(home.identity)));
}

Result<std::optional<disk::Identity>> open_identity(DiskFiles& files) {
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, files.read_whole(kIdentity));
  if (!bytes) return std::optional<disk::Identity>();
  return disk::decode_identity(as_bytes(*bytes));
}

Result<DiskHome> open_disk_home(std::shared_ptr<DiskFiles> files, Random& random) {
  DiskHome home;
  home.files = std::move(files);
  ASSIGN_OR_RETURN(home.lock, home.files->lock());
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, home.files->read_whole(kIdentity));
  if (!bytes) {
    ASSIGN_OR_RETURN(std::vector<std::string> names, home.files->list());
    for (const std::string& name : names)
      if (std::ranges::find(kHarmless, name) == kHarmless.end())
        return fail(Code::invalid, home.files->where() + " holds \"" + name +
                                       "\" and is no cache's directory: give the cache one of its own");
    RETURN_IF_ERROR(begin_anew(home, random));
    return home;
  }
  if (std::optional<disk::Identity> identity = disk::decode_identity(as_bytes(*bytes))) {
    home.identity = *identity;
    return home;
  }
  if (!bytes->starts_with(kIdentityMagic))
    return fail(
        Code::invalid,
        home.files->where() + "/identity was not written by a cache: give the cache a directory of its own");
  log::warn("edge.disk.forgotten", {{"where", home.files->where()}, {"reason", "its identity is damaged"}});
  RETURN_IF_ERROR(begin_anew(home, random));
  return home;
}

}  // namespace archipel::edge
