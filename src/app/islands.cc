#include "app/islands.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/private_file.h"
#include "base/clock.h"
#include "base/log.h"
#include "extent/names.h"
#include "index/blob_set.h"
#include "index/lease.h"
#include "island/dir.h"
#include "island/marker.h"

namespace archipel::app {
namespace {

constexpr Duration kInspectTimeout = std::chrono::seconds(10);
constexpr Duration kListTimeout = std::chrono::seconds(60);
constexpr size_t kSampleBlobs = 32;
constexpr uint64_t kSampleBytes = 64u << 10;
constexpr uint64_t kEpochBlobBytesMax = 64u << 10;  // claims and opens are small

std::string_view state_of(const Error& error) {
  if (error.code == Code::not_found) return "lost";
  if (error.code == Code::precondition || error.code == Code::corrupt) return "foreign";
  return "unreachable";
}

io::Task<IslandState> inspect(IslandConfig facts, island::Island& island, const crypto::Keyring& keys) {
  IslandState state;
  state.facts = std::move(facts);
  auto marker = co_await island.read_marker(system_clock().now() + kInspectTimeout);
  Result<island::Incarnation> verified = fail(Code::internal, "");
  if (marker)
    verified = island::verify_marker(keys, island.id(), *marker);
  else
    verified = fail(marker.error());
  if (verified) {
    state.state = "ok";
    state.incarnation = hex(*verified);
  } else {
    state.state = state_of(verified.error());
    state.reason = verified.error().message;
  }
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(state.facts.path, error);
  if (!error) state.free_bytes = space.available;
  co_return state;
}

// The claim or the open of an epoch on one island: "ok", "absent", or what is wrong.
io::Task<std::string> check_epoch_blob(island::Island& island, const crypto::Keyring& keys,
                                       index::BlobKind kind, uint64_t epoch) {
  const std::string name = index::blob_name(keys, island.id(), kind, epoch, {}, 0);
  auto bytes = co_await island.get(name, 0, kEpochBlobBytesMax, system_clock().now() + kInspectTimeout);
  if (!bytes) co_return bytes.error().code == Code::not_found ? "absent" : bytes.error().message;
  auto opened = index::open_blob(keys, island.id(), name, kind, epoch, 0, *bytes);
  co_return opened ? std::string("ok") : opened.error().message;
}

io::Task<void> check_lease(IslandCheck& check, island::Island& island, const crypto::Keyring& keys) {
  const std::string name = extent::lease_name(keys, island.id());
  auto bytes = co_await island.get(name, 0, index::kLeaseBytes + 1, system_clock().now() + kInspectTimeout);
  if (!bytes) {
    check.lease = bytes.error().code == Code::not_found ? "none" : bytes.error().message;
    co_return;
  }
  auto lease = index::decode_lease(keys, island.id(), *bytes);
  if (!lease) {
    check.lease = lease.error().message;
    co_return;
  }
  check.lease = fmt::format("epoch {}{}", lease->epoch, lease->released ? ", released" : "");
  check.lease_good = true;
  std::string claim = co_await check_epoch_blob(island, keys, index::BlobKind::claim, lease->epoch);
  check.epoch_open = co_await check_epoch_blob(island, keys, index::BlobKind::open, lease->epoch);
  if (check.epoch_open == "ok" && claim != "ok") check.epoch_open = "its claim: " + claim;
}

io::Task<void> check_sample(IslandCheck& check, island::Island& island, Random& random) {
  auto names = co_await island.list(system_clock().now() + kListTimeout);
  if (!names) {
    check.state.reason = names.error().message;
    ++check.sample_failed;
    co_return;
  }
  check.blobs = names->size();
  std::vector<int64_t> times;
  for (size_t i = 0; i < kSampleBlobs && !names->empty(); ++i) {
    const std::string& name = (*names)[random.u64() % names->size()];
    const TimePoint began = system_clock().now();
    auto bytes = co_await island.get(name, 0, kSampleBytes, began + kInspectTimeout);
    const Duration took = system_clock().now() - began;
    if (!bytes) {
      ++check.sample_failed;
      check.state.reason = bytes.error().message;
      continue;
    }
    ++check.sampled;
    check.sampled_bytes += bytes->size();
    times.push_back(std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  }
  if (times.empty()) co_return;
  std::ranges::sort(times);
  check.median_us = times[times.size() / 2];
  check.slowest_us = times.back();
}

}  // namespace

std::vector<std::shared_ptr<island::Island>> make_islands(const Config& config, bool make_missing) {
  std::vector<std::shared_ptr<island::Island>> islands;
  for (const IslandConfig& facts : config.islands) {
    if (make_missing) {
      // One bad path costs one island: the journal finds it unreachable, says so, and goes on with the others.
      Result<void> made = make_private_directory(facts.path);
      if (!made)
        log::error("island.directory_not_made", {{"island", facts.id}, {"reason", made.error().message}});
    }
    islands.push_back(island::make_dir_island(facts.id, facts.path));
  }
  return islands;
}

bool IslandCheck::good() const {
  return state.state == "ok" && lease_good && sample_failed == 0 &&
         (epoch_open == "ok" || epoch_open == "absent");
}

io::Task<std::vector<IslandState>> inspect_islands(const Config& config, const crypto::Keyring& keys) {
  auto islands = make_islands(config, false);
  std::vector<IslandState> states;
  for (size_t i = 0; i < islands.size(); ++i) {
    IslandState state = co_await inspect(config.islands[i], *islands[i], keys);
    states.push_back(std::move(state));
  }
  co_return states;
}

io::Task<IslandCheck> check_island(const Config& config, const std::string& id, const crypto::Keyring& keys,
                                   Random& random) {
  auto islands = make_islands(config, false);
  auto at = std::ranges::find_if(islands, [&](const auto& island) { return island->id() == id; });
  CHECK(at != islands.end());
  IslandCheck check;
  check.state = co_await inspect(config.islands[static_cast<size_t>(at - islands.begin())], **at, keys);
  if (check.state.state != "ok") co_return check;
  co_await check_lease(check, **at, keys);
  co_await check_sample(check, **at, random);
  co_return check;
}

}  // namespace archipel::app
