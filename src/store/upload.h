// Upload: one body becomes one sealed stream, either a few segments in memory (small) or extents on the islands of its placement class.
//
// Memory follows the bytes that have arrived, not those that were announced: the first piece (1 MiB) starts with room for one segment and
// grows with what comes. A client that fills it quickly gets an extent (8 MiB) to fill, and then the pipeline, each step on its own: read a
// piece while the one before is hashed on one worker and sealed into its place in the extent on another, while the extent before is on its
// way to the islands. At most two extents are in memory: one that fills, one that is sent; each has its ticket of the budget, kept until its
// last straggling PUT is done. A client that is slow, or turns slow, never holds an extent while it is waited for: each of its pieces, cut
// short if memory is, becomes an extent of its own when it is there. So a thousand slow uploads hold a segment or some each.
#pragma once

#include <optional>
#include <vector>

#include "crypto/hash.h"
#include "extent/builder.h"
#include "store/env.h"
#include "store/records.h"

namespace archipel::store {

class Upload {
 public:
  // `length`: if known. `placed`: where the bytes go; a small body is kept in memory for the commit only if that class allows it, and gets an
  // extent of its own otherwise. `body` and `env` must outlive it.
  Upload(Env& env, BodySource& body, std::optional<uint64_t> length,
         std::shared_ptr<const PlacementClass> placed);

  // Reads the body to its end. After success the results below are final. After an error nothing of the body is referenced anywhere:
  // extents that were sent are garbage by computation. Call once.
  io::Task<Result<void>> run();

  uint64_t size() const { return total_; }
  std::string etag() const { return etag_; }
  const crypto::Secret32& data_key() const { return sealer_.data_key(); }
  // Stream and storage; of a small body the storage is not yet known. Not for an empty body.
  Slice slice() const;
  // The extents that were begun, whatever came of them; to be given up when nothing refers to them.
  std::vector<extent::ExtentRef> begun() const;
  // Sealed segments of a small body, for the commit; empty otherwise.
  std::vector<Buffer> take_small() { return std::move(small_); }

 private:
  struct Sending;

  io::Task<Result<void>> read_all();
  io::Task<Result<bool>> fill(size_t want);
  io::Task<Result<bool>> make_room(size_t want);
  io::Task<Result<void>> admit_piece(size_t bytes, bool quick);
  io::Task<Result<void>> admit_extent();
  io::Task<Result<void>> admit(uint64_t least_bytes, uint64_t want_bytes, Budget::Ticket& ticket);
  void carry(size_t sealed);
  io::Task<Result<void>> turn_slow(size_t sealed);
  io::Task<Result<void>> send_piece();
  io::Task<Result<void>> open_extent();
  io::Task<Result<void>> close_extent();
  io::Task<Result<void>> send(std::unique_ptr<Sending> sending, size_t run);
  static io::Task<Result<void>> settle(std::optional<io::Task<Result<void>>>& work);
  io::Task<Result<void>> settle_work();
  io::Task<Result<void>> seal_small(size_t bytes);
  io::Task<Result<void>> seal_piece(ByteView plain, uint64_t first_segment, bool final);
  io::Task<Result<void>> hash_piece(ByteView plain);
  Result<void> check_size(bool ended) const;
  void finish_etag();

  uint64_t stripes_to_segments(uint64_t plain_bytes) const;
  uint64_t coded_bytes(uint64_t segments) const;
  uint64_t extent_cost(uint64_t segments) const;
  uint64_t staged_segments_max() const;

  Env& env_;
  BodySource& body_;
  const std::optional<uint64_t> length_;
  const std::shared_ptr<const PlacementClass> placed_;
  const bool hashing_;
  Pins::Writer pin_;  // of the extents, from before the first has an id
  crypto::StreamSealer sealer_;
  crypto::Md5 md5_;
  std::string etag_;
  uint64_t total_ = 0;         // plaintext read, without the byte of look-ahead
  uint64_t next_segment_ = 0;  // of the stream

  Buffer pieces_[2];  // one is read into while the other is sealed
  int turn_ = 0;
  size_t have_ = 0;    // bytes in the piece that is read into
  bool fast_ = false;  // there is an extent to fill; otherwise pieces wait for nobody's memory but their own
  Budget::Ticket arriving_;  // of the piece that is read into, unless fast_: then the extent's pays
  std::optional<io::Task<Result<void>>> hash_work_, seal_work_, send_work_;

  Budget::Ticket ticket_;          // of the small body, or of the extent that fills
  Budget::Ticket next_ticket_;     // of the extent after it, while it is still being sealed
  uint64_t extent_segments_ = 0;   // room of the extent that fills
  uint64_t planned_segments_ = 0;  // of it, handed to sealing
  std::unique_ptr<extent::ExtentBuilder> builder_;
  std::vector<ExtentRun> extents_;
  std::vector<Buffer> small_;
};

}  // namespace archipel::store
