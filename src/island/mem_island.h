// MemIsland: an island in memory with a scripted adversary inside. For tests and simulation only.
//
// Obeys the contract of Island to the letter (write-once, marker rules, limits) until told otherwise. One
// loop runs its operations; the hooks may be called from the same thread between operations.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "io/sync.h"
#include "island/island.h"

namespace archipel::island {

class MemIsland : public Island {
 public:
  enum class Op { put, overwrite, get, size, remove, list, read_marker, write_marker };

  // `joined`: starts with some marker, so that blobs can be put at once. Otherwise write_marker() comes
  // first, as on a real island.
  explicit MemIsland(std::string id, bool joined = false);

  const std::string& id() const override { return id_; }
  io::Task<Result<void>> put(BlobName name, std::span<const ByteView> parts, Deadline deadline) override;
  io::Task<Result<void>> overwrite(BlobName name, ByteView bytes, Deadline deadline) override;
  io::Task<Result<Buffer>> get(BlobName name, uint64_t offset, uint64_t length, Deadline deadline) override;
  io::Task<Result<uint64_t>> size(BlobName name, Deadline deadline) override;
  io::Task<Result<void>> remove(BlobName name, Deadline deadline) override;
  io::Task<Result<std::vector<BlobName>>> list(Deadline deadline) override;
  io::Task<Result<Buffer>> read_marker(Deadline deadline) override;
  io::Task<Result<void>> write_marker(ByteView bytes, Deadline deadline) override;

  // --- faults ---
  // The next `times` operations of this kind fail with `error`, having done nothing; 0 ends it.
  void fail_next(Op op, Error error, int times = 1);
  // Every operation fails `unavailable` until up().
  void down() { down_ = true; }
  void up() { down_ = false; }
  // The next `times` puts store the blob and then answer timeout: the reply was lost.
  void lose_put_replies(int times) { lost_replies_ = times; }
  // Operations of this kind wait from now on, until release() or their deadline (timeout). Held puts have not
  // stored anything yet.
  void hold(Op op) { held_.insert(op); }
  void release(Op op);
  size_t waiting() const { return waiting_; }  // how many operations are being held now
  // Called on every get's answer before it is returned: the place to lie.
  std::function<void(const BlobName& name, uint64_t offset, Buffer& answer)> tamper_get;
  // Runs after every successful put, with the names so far in blobs(): the place to crash or to look.
  std::function<void(const BlobName& name)> after_put;
  std::function<void(const BlobName& name)> after_overwrite;

  // --- what is stored ---
  std::map<BlobName, std::string>& blobs() { return blobs_; }
  std::optional<std::string>& marker() { return marker_; }
  void flip(const BlobName& name, size_t offset, uint8_t mask = 1);  // CHECK: the blob has that byte
  void forget(const BlobName& name) { blobs_.erase(name); }
  void wipe();  // blobs and marker

  // --- what was asked ---
  struct Counts {
    uint64_t puts = 0, gets = 0, overwrites = 0, removes = 0;  // calls, whatever their outcome
    uint64_t get_bytes = 0;                                    // returned
  };
  const Counts& counts() const { return counts_; }

 private:
  // Faults and holds common to all operations, before anything is done.
  io::Task<Result<void>> admit(Op op, Deadline deadline);
  Result<void> need_marker() const;

  std::string id_;
  std::map<BlobName, std::string> blobs_;
  std::optional<std::string> marker_;
  Counts counts_;
  std::map<Op, std::pair<Error, int>> failures_;
  std::set<Op> held_;
  io::Event released_;
  size_t waiting_ = 0;
  bool down_ = false;
  int lost_replies_ = 0;
};

}  // namespace archipel::island
