#include "index/snapshot_loader.h"

#include "base/log.h"
#include "index/snapshot_entries.h"
#include "io/sync.h"

namespace archipel::index {
namespace {

using extent::kSegmentPlain;
using extent::kSegmentSealed;

constexpr Duration kChunkDeadline = std::chrono::seconds(60);

// Sealed bytes that came in several runs, taken segment by segment; without a copy where a segment lies in one run.
class SealedRuns {
 public:
  explicit SealedRuns(std::span<const ByteView> runs) : runs_(runs) {}
  ByteView take(size_t size) {
    skip_empty();
    if (!runs_.empty() && runs_.front().size() - at_ >= size) {
      at_ += size;
      return runs_.front().subspan(at_ - size, size);
    }
    joined_.clear();
    while (joined_.size() < size && !runs_.empty()) {
      const ByteView some =
          runs_.front().subspan(at_, std::min(size - joined_.size(), runs_.front().size() - at_));
      joined_.append(as_text(some));
      at_ += some.size();
      skip_empty();
    }
    return as_bytes(joined_);
  }

 private:
  void skip_empty() {
    while (!runs_.empty() && at_ == runs_.front().size()) runs_ = runs_.subspan(1), at_ = 0;
  }
  std::span<const ByteView> runs_;
  size_t at_ = 0;
  std::string joined_;
};

class SnapshotLoader {
 public:
  SnapshotLoader(const crypto::Keyring& keys, const extent::Placement& placement, io::Workers& workers,
                 io::Loop& home, const SnapshotManifest& manifest, Kv& kv)
      : keys_(keys),
        workers_(workers),
        home_(home),
        manifest_(manifest),
        kv_(kv),
        reader_(
            extent::make_extent_reader(keys, std::make_shared<const extent::Placement>(placement), workers)),
        chunks_(manifest.chunks.size()) {
    for (const auto& island : placement.islands) islands_.push_back(island->id());
  }

  io::Task<Result<SnapshotLoaded>> run() {
    Result<void> loaded = co_await load();
    co_await scope_.join();
    co_await reader_->drain();
    SnapshotLoaded out;
    for (const std::string& id : islands_) {
      const uint64_t wrong = reader_->wrong_cells(id);
      if (wrong == 0) continue;
      log::error("island.snapshot_cells_wrong",
                 {{"island", id}, {"snapshot", manifest_.number}, {"bytes", wrong}});
      out.wrong.push_back(id);
    }
    if (!loaded) co_return fail(loaded.error());
    co_return out;
  }

 private:
  // What a chunk was found to be.
  struct Chunk {
    uint64_t entries = 0;
    std::string first, last;  // keys
    Digest32 digest{};
    std::optional<std::string> applied;
  };

  io::Task<Result<void>> load();
  static io::Task<void> load_chunk(SnapshotLoader* self, size_t number);
  io::Task<Result<void>> read_chunk(size_t number);
  bool open_segments(size_t number, std::span<const ByteView> runs, MutableBytes plain) const;
  Result<void> take(size_t number, ByteView plain);
  Result<void> check_whole() const;
  std::unexpected<Error> trouble(const Error& error, const std::string& where) const {
    return fail(error.code, "snapshot " + std::to_string(manifest_.number) + where + ": " + error.message);
  }

  const crypto::Keyring& keys_;
  io::Workers& workers_;
  io::Loop& home_;
  const SnapshotManifest& manifest_;
  Kv& kv_;
  std::unique_ptr<extent::ExtentReader> reader_;
  std::vector<std::string> islands_;
  std::vector<Chunk> chunks_;
  crypto::Secret32 data_key_;
  std::unique_ptr<BulkLoad> bulk_;
  io::Semaphore slots_{kChunksAtOnce};
  io::TaskScope scope_;
  std::optional<Error> failed_;
};

io::Task<Result<void>> SnapshotLoader::load() {
  Result<crypto::Secret32> key =
      crypto::unwrap_key(keys_.subkey("index"), manifest_.wrapped_key, manifest_.stream.salt,
                         as_bytes(snapshot_wrap_ad(manifest_.number, manifest_.stream.data_id)));
  if (!key) co_return trouble(key.error(), "");
  data_key_ = std::move(*key);
  Result<std::unique_ptr<BulkLoad>> bulk = co_await workers_.run([this] { return kv_.bulk_load(); });
  if (!bulk) co_return fail(bulk.error());
  bulk_ = std::move(*bulk);
  for (size_t i = 0; i < chunks_.size() && !failed_; ++i) {
    CO_RETURN_IF_ERROR(co_await slots_.acquire(1));
    scope_.spawn(load_chunk(this, i));
  }
  co_await scope_.join();
  if (failed_) co_return fail(*failed_);
  Result<void> done = co_await workers_.run([this]() -> Result<void> {
    RETURN_IF_ERROR(check_whole());
    return bulk_->finish();
  });
  co_return done;
}

io::Task<void> SnapshotLoader::load_chunk(SnapshotLoader* self, size_t number) {
  Result<void> read = co_await self->read_chunk(number);
  if (!read && !self->failed_) {
    auto error = self->trouble(read.error(), ", chunk " + std::to_string(number + 1) + " of " +
                                                 std::to_string(self->chunks_.size()));
    self->failed_ = std::move(error).error();
  }
  self->slots_.release(1);
}

io::Task<Result<void>> SnapshotLoader::read_chunk(size_t number) {
  const extent::ExtentRef ref = manifest_.ref(number);
  CO_RETURN_IF_ERROR(extent::check_geometry(ref.geometry));
  Buffer plain(manifest_.chunk_plain_bytes(number));
  auto open = [this, number, &plain](std::span<const ByteView> runs) {
    return open_segments(number, runs, plain.span());
  };
  CO_RETURN_IF_ERROR(
      co_await reader_->read_sealed(ref, 0, ref.geometry.length, home_.now() + kChunkDeadline, open));
  Result<void> taken = co_await workers_.run([this, number, &plain] { return take(number, plain); });
  co_return taken;
}

bool SnapshotLoader::open_segments(size_t number, std::span<const ByteView> runs, MutableBytes plain) const {
  auto opener = crypto::StreamOpener::create(manifest_.stream, data_key_);
  if (!opener) return false;
  SealedRuns sealed(runs);
  uint64_t segment = uint64_t{number} * manifest_.chunk_segments;
  for (size_t at = 0; at < plain.size(); at += kSegmentPlain, ++segment) {
    MutableBytes out = plain.subspan(at, std::min<size_t>(kSegmentPlain, plain.size() - at));
    const ByteView bytes = sealed.take(out.size() + extent::kTagBytes);
    if (bytes.size() != out.size() + extent::kTagBytes) return false;
    if (!(*opener)->open(segment, bytes, out)) return false;
  }
  return true;
}

Result<void> SnapshotLoader::take(size_t number, ByteView plain) {
  ASSIGN_OR_RETURN(std::vector<Entry> entries, parse_entries(plain));
  Chunk& chunk = chunks_[number];
  chunk.entries = entries.size();
  chunk.first = entries.front().first;
  chunk.last = entries.back().first;
  chunk.digest = crypto::sha256(plain);
  for (const Entry& entry : entries) {
    if (entry.first == kAppliedKey) chunk.applied = std::string(entry.second);
  }
  return bulk_->add(entries);
}

Result<void> SnapshotLoader::check_whole() const {
  uint64_t entries = 0;
  std::string digests;
  std::optional<std::string> applied;
  for (size_t i = 0; i < chunks_.size(); ++i) {
    const Chunk& chunk = chunks_[i];
    entries += chunk.entries;
    digests.append(as_text(chunk.digest));
    if (chunk.applied) applied = chunk.applied;
    if (i > 0 && chunk.first <= chunks_[i - 1].last)
      return trouble({Code::corrupt, "its chunks are not in order", {}}, "");
  }
  if (entries != manifest_.entries || crypto::sha256(as_bytes(digests)) != manifest_.digest)
    return trouble({Code::corrupt, "its digest is not the manifest's", {}}, "");
  ASSIGN_OR_RETURN(Applied position, decode_applied(applied.value_or("")));
  if (position != manifest_.position)
    return trouble({Code::corrupt, "it is of another commit than its manifest says", {}}, "");
  return {};
}

}  // namespace

io::Task<Result<SnapshotLoaded>> load_snapshot(const crypto::Keyring& keys,
                                               const extent::Placement& placement, io::Workers& workers,
                                               io::Loop& home, const SnapshotManifest& manifest, Kv& kv) {
  CHECK(io::Loop::current() == &home);
  SnapshotLoader loader(keys, placement, workers, home, manifest, kv);
  Result<SnapshotLoaded> loaded = co_await loader.run();
  co_return loaded;
}

}  // namespace archipel::index
