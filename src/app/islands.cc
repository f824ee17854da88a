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

// An island that was refused: until the next start it does nothing.
class RefusedIsland final : public island::Island {
 public:
  RefusedIsland(std::string id, std::string reason) : id_(std::move(id)), reason_(std::move(reason)) {}
  const std::string& id() const override { return id_; }
  io::Task<Result<void>> put(island::BlobName, std::span<const ByteView>, Deadline) override {
    co_return no();
  }
  io::Task<Result<void>> overwrite(island::BlobName, ByteView, Deadline) override { co_return no(); }
  io::Task<Result<Buffer>> get(island::BlobName, uint64_t, uint64_t, Deadline) override { co_return no(); }
  io::Task<Result<uint64_t>> size(island::BlobName, Deadline) override { co_return no(); }
  io::Task<Result<void>> remove(island::BlobName, Deadline) override { co_return no(); }
  io::Task<Result<std::vector<island::BlobName>>> list(Deadline) override { co_return no(); }
  io::Task<Result<Buffer>> read_marker(Deadline) override { co_return no(); }
  io::Task<Result<void>> write_marker(ByteView, Deadline) override { co_return no(); }

 private:
  std::unexpected<Error> no() const { return fail(Code::unavailable, reason_); }
  std::string id_, reason_;
};

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

std::vector<std::shared_ptr<island::Island>> without_impostors(
    std::vector<std::shared_ptr<island::Island>> islands, const std::vector<index::IslandReport>& reports) {
  CHECK(islands.size() == reports.size());
  for (size_t i = 0; i < islands.size(); ++i) {
    if (reports[i].refused) islands[i] = std::make_shared<RefusedIsland>(islands[i]->id(), reports[i].reason);
  }
  return islands;
}

io::Task<std::vector<IslandState>> inspect_islands(const Config& config, const crypto::Keyring& keys) {
  auto islands = make_islands(config, false);
  std::vector<IslandState> states;
  for (size_t i = 0; i < islands.size(); ++i) {
    IslandState state;
    state.facts = config.islands[i];
    Deadline deadline = system_clock().now() + kInspectTimeout;
    auto marker = co_await islands[i]->read_marker(deadline);
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
