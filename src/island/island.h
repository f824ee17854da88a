// Island: one bucket, container or directory at one provider. Blobs under names, and five operations; nothing else is ever needed.
//
// What an island says is hostile until verified by the caller's tags. Correctness never rests on conditional writes, on island
// metadata or on listings (design §5).
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "io/task.h"

namespace archipel::island {

// 40 lower-case hex digits: a PRF output, random-looking, different on every island. Only the marker has a fixed name.
using BlobName = std::string;
inline constexpr size_t kBlobBytesMax =
    (64u << 20) + (4u << 20);  // an extent's shard, or a commit blob, with headers

// An island's proof of identity, written when it joins. Without it the island is *lost*: its 404s are no absences.
using Incarnation = std::array<uint8_t, 16>;
using RealmId = std::array<uint8_t, 16>;

class Health;

class Island {
 public:
  Island();
  virtual ~Island();
  virtual const std::string& id() const = 0;

  // How this island has been answering of late (island/health.h). Kept by those who call it (Fanout, ExtentReader). Thread-safe.
  Health& health();

  // Stores `parts` (concatenated, at most kBlobBytesMax) under a write-once name. Success means durable there: data and
  // directory entry are synced. Errors: exists (a blob of that name is there already, whatever its bytes: read back and
  // compare), timeout, unavailable (full, unreachable, marker gone), io. After an error the blob may or may not be there later.
  // `parts` must live until the task finishes.
  virtual io::Task<Result<void>> put(BlobName name, std::span<const ByteView> parts, Deadline deadline) = 0;

  // Replaces the blob under one of the few overwritable names (head slots, lease) atomically and durably.
  virtual io::Task<Result<void>> overwrite(BlobName name, ByteView bytes, Deadline deadline) = 0;

  // Bytes [offset, offset+length) of a blob; fewer at its end, and an empty buffer at or past its end. not_found only if the
  // island itself is there and the name is not; an island that is gone, unreadable or not ours is `unavailable`.
  virtual io::Task<Result<Buffer>> get(BlobName name, uint64_t offset, uint64_t length,
                                       Deadline deadline) = 0;

  virtual io::Task<Result<uint64_t>> size(BlobName name, Deadline deadline) = 0;  // HEAD; errors as get
  virtual io::Task<Result<void>> remove(BlobName name, Deadline deadline) = 0;    // absent already = success
  // For repair only. Names in any order; may be stale.
  virtual io::Task<Result<std::vector<BlobName>>> list(Deadline deadline) = 0;

  // The marker's bytes, not_found if the place is reachable and has none, unavailable if the place is not reachable.
  virtual io::Task<Result<Buffer>> read_marker(Deadline deadline) = 0;
  // Writes the marker durably, making the place (a directory and its fan-out) first. Refused with `exists` if there is one.
  virtual io::Task<Result<void>> write_marker(ByteView bytes, Deadline deadline) = 0;

 private:
  std::once_flag health_made_;
  std::unique_ptr<Health> health_;
};

}  // namespace archipel::island
