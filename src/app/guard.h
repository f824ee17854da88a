// Guard: an island is believed to be itself only as long as it shows its own marker.
//
// A directory or bucket that is swapped, copied or mounted in another's place while the gateway runs would take shards that belong elsewhere. The
// guard reads the markers again and again; what shows another's is answered for with "unavailable" until it shows its own.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "crypto/keyring.h"
#include "index/journal.h"
#include "io/sync.h"
#include "island/island.h"

namespace archipel::app {

// Passes everything on, or nothing but the marker. refuse() and admit(): any thread.
class GuardedIsland final : public island::Island {
 public:
  explicit GuardedIsland(std::shared_ptr<island::Island> inner) : inner_(std::move(inner)) {}
  void refuse(std::string reason);
  void admit();
  bool refused() const { return refused_.load(std::memory_order_acquire); }

  const std::string& id() const override { return inner_->id(); }
  io::Task<Result<void>> put(island::BlobName name, std::span<const ByteView> parts,
                             Deadline deadline) override;
  io::Task<Result<void>> overwrite(island::BlobName name, ByteView bytes, Deadline deadline) override;
  io::Task<Result<Buffer>> get(island::BlobName name, uint64_t offset, uint64_t length,
                               Deadline deadline) override;
  io::Task<Result<uint64_t>> size(island::BlobName name, Deadline deadline) override;
  io::Task<Result<void>> remove(island::BlobName name, Deadline deadline) override;
  io::Task<Result<std::vector<island::BlobName>>> list(Deadline deadline) override;
  // Of the place itself, always.
  io::Task<Result<Buffer>> read_marker(Deadline deadline) override { return inner_->read_marker(deadline); }
  // An island that is given a marker, since it had none, takes part at once.
  io::Task<Result<void>> write_marker(ByteView bytes, Deadline deadline) override;

 private:
  std::unexpected<Error> no() const;
  const std::shared_ptr<island::Island> inner_;
  std::atomic<bool> refused_{false};
  mutable std::mutex mutex_;
  std::string reason_;
};

struct GuardOptions {
  Duration every = std::chrono::seconds(30);
  Duration deadline = std::chrono::seconds(10);  // of one reading
};

// Reads the markers of all islands every `every`. On one loop; the references must outlive close().
class Guard {
 public:
  Guard(std::vector<std::shared_ptr<island::Island>> islands, const crypto::Keyring& keys, io::Loop& home,
        GuardOptions options = {});

  // In shard order: what everybody else uses.
  std::vector<std::shared_ptr<island::Island>> islands() const;
  // What the journal's start saw: islands that it refused are refused until they show their own marker.
  void begin_with(const std::vector<index::IslandReport>& reports);
  // One round. An island that says it has no marker is lost: what it held is gone, and it confirms nothing until it has one. One that does not
  // answer is left as it is.
  io::Task<void> look();

  void start();
  io::Task<void> close();

 private:
  static io::Task<void> run(Guard* self);
  static io::Task<void> look_at(Guard* self, GuardedIsland* island);

  std::vector<std::shared_ptr<GuardedIsland>> islands_;
  const crypto::Keyring& keys_;
  io::Loop& home_;
  const GuardOptions options_;
  bool closing_ = false;
  io::Event stop_;
  io::TaskScope scope_;
};

}  // namespace archipel::app
