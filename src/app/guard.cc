#include "app/guard.h"

#include "base/log.h"
#include "island/marker.h"

namespace archipel::app {

void GuardedIsland::refuse(std::string reason) {
  std::lock_guard lock(mutex_);
  reason_ = std::move(reason);
  refused_.store(true, std::memory_order_release);
}
void GuardedIsland::admit() {
  refused_.store(false, std::memory_order_release);
}

std::unexpected<Error> GuardedIsland::no() const {
  std::lock_guard lock(mutex_);
  return fail(Code::unavailable, reason_);
}

io::Task<Result<void>> GuardedIsland::put(island::BlobName name, std::span<const ByteView> parts,
                                          Deadline deadline) {
  if (refused()) co_return no();
  Result<void> done = co_await inner_->put(std::move(name), parts, deadline);
  // A swap during the put: what is there now may have taken it.
  if (done && refused()) co_return no();
  co_return done;
}

io::Task<Result<void>> GuardedIsland::overwrite(island::BlobName name, ByteView bytes, Deadline deadline) {
  if (refused()) co_return no();
  Result<void> done = co_await inner_->overwrite(std::move(name), bytes, deadline);
  co_return done;
}

io::Task<Result<Buffer>> GuardedIsland::get(island::BlobName name, uint64_t offset, uint64_t length,
                                            Deadline deadline) {
  if (refused()) co_return no();
  Result<Buffer> bytes = co_await inner_->get(std::move(name), offset, length, deadline);
  co_return bytes;
}

io::Task<Result<uint64_t>> GuardedIsland::size(island::BlobName name, Deadline deadline) {
  if (refused()) co_return no();
  Result<uint64_t> bytes = co_await inner_->size(std::move(name), deadline);
  co_return bytes;
}

io::Task<Result<void>> GuardedIsland::remove(island::BlobName name, Deadline deadline) {
  if (refused()) co_return no();
  Result<void> done = co_await inner_->remove(std::move(name), deadline);
  co_return done;
}

io::Task<Result<std::vector<island::BlobName>>> GuardedIsland::list(Deadline deadline) {
  if (refused()) co_return no();
  Result<std::vector<island::BlobName>> names = co_await inner_->list(deadline);
  co_return names;
}

io::Task<Result<void>> GuardedIsland::write_marker(ByteView bytes, Deadline deadline) {
  Result<void> done = co_await inner_->write_marker(bytes, deadline);
  if (done) admit();
  co_return done;
}

Guard::Guard(std::vector<std::shared_ptr<island::Island>> islands, const crypto::Keyring& keys,
             io::Loop& home, GuardOptions options)
    : keys_(keys), home_(home), options_(options) {
  for (std::shared_ptr<island::Island>& island : islands)
    islands_.push_back(std::make_shared<GuardedIsland>(std::move(island)));
}

std::vector<std::shared_ptr<island::Island>> Guard::islands() const {
  return {islands_.begin(), islands_.end()};
}

void Guard::begin_with(const std::vector<index::IslandReport>& reports) {
  CHECK(reports.size() == islands_.size());
  for (size_t i = 0; i < reports.size(); ++i) {
    if (reports[i].refused) islands_[i]->refuse(reports[i].reason);
  }
}

io::Task<void> Guard::look_at(Guard* self, GuardedIsland* island) {
  Result<Buffer> bytes = co_await island->read_marker(self->home_.now() + self->options_.deadline);
  if (!bytes && bytes.error().code != Code::not_found) co_return;
  if (!bytes) {
    if (island->refused()) co_return;
    const std::string reason =
        "island " + island->id() +
        " is lost: its marker is gone, so the place was wiped or is not mounted; bring it "
        "back, or rejoin it empty with `archipel island rejoin " +
        island->id() + "`";
    log::error("island.lost", {{"island", island->id()},
                               {"reason", reason},
                               {"consequence", "the island takes no part until it shows its own marker"}});
    island->refuse(reason);
    co_return;
  }
  Result<island::Incarnation> marker = island::verify_marker(self->keys_, island->id(), *bytes);
  if (!marker && !island->refused()) {
    log::error("island.marker_refused", {{"island", island->id()},
                                         {"reason", marker.error().message},
                                         {"consequence", "the island takes no part until it shows its own"}});
    island->refuse(marker.error().message);
  } else if (marker && island->refused()) {
    log::info("island.marker_in_order", {{"island", island->id()}});
    island->admit();
  }
}

io::Task<void> Guard::look() {
  io::TaskScope scope;
  for (const auto& island : islands_) scope.spawn(look_at(this, island.get()));
  co_await scope.join();
}

void Guard::start() {
  scope_.spawn(run(this));
}

io::Task<void> Guard::run(Guard* self) {
  while (!self->closing_) {
    co_await self->stop_.wait(self->home_.now() + self->options_.every);
    if (!self->closing_) co_await self->look();
  }
}

io::Task<void> Guard::close() {
  closing_ = true;
  stop_.notify_all();
  co_await scope_.join();
}

}  // namespace archipel::app
