#include "app/islands.h"

#include "app/private_file.h"
#include "base/clock.h"
#include "base/log.h"
#include "island/dir.h"
#include "island/marker.h"

namespace archipel::app {
namespace {

constexpr Duration kInspectTimeout = std::chrono::seconds(10);

std::string_view state_of(const Error& error) {
  if (error.code == Code::not_found) return "lost";
  if (error.code == Code::precondition || error.code == Code::corrupt) return "foreign";
  return "unreachable";
}

}  // namespace

Result<std::vector<std::shared_ptr<island::Island>>> make_islands(const Config& config, bool make_missing) {
  std::vector<std::shared_ptr<island::Island>> islands;
  for (const IslandConfig& facts : config.islands) {
    if (make_missing) {
      // One bad path costs one island: the journal finds it unreachable, says so, and goes on with the others.
      Result<void> made = make_private_directory(facts.path);
      if (!made) log::error("island.directory_not_made", {{"island", facts.id}, {"reason", made.error().message}});
    }
    islands.push_back(island::make_dir_island(facts.id, facts.path));
  }
  return islands;
}

io::Task<std::vector<IslandState>> inspect_islands(const Config& config, const crypto::Keyring& keys) {
  auto islands = make_islands(config, false);
  CHECK(islands.has_value());  // nothing is made, so nothing can fail
  std::vector<IslandState> states;
  for (size_t i = 0; i < islands->size(); ++i) {
    IslandState state;
    state.facts = config.islands[i];
    Deadline deadline = system_clock().now() + kInspectTimeout;
    auto marker = co_await (*islands)[i]->read_marker(deadline);
    Result<island::Incarnation> verified = fail(Code::internal, "");
    if (marker)
      verified = island::verify_marker(keys, state.facts.id, *marker);
    else
      verified = fail(marker.error());
    if (verified) {
      state.state = "ok";
      state.incarnation = hex(*verified);
    } else {
      state.state = state_of(verified.error());
      state.reason = verified.error().message;
    }
    states.push_back(std::move(state));
  }
  co_return states;
}

}  // namespace archipel::app
