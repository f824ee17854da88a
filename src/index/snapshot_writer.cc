#include "index/snapshot_writer.h"

#include "extent/builder.h"
#include "index/snapshot_entries.h"
#include "io/sync.h"

namespace archipel::index {
namespace {

using extent::kSegmentPlain;

constexpr int64_t kPutsAtOnce = 1;  // chunks on their way to islands, while the next is made

// Takes the view's entries in order, a chunk at a time. On workers, one call after the other.
class ChunkScanner {
 public:
  ChunkScanner(std::shared_ptr<const Snapshot> view, size_t chunk_bytes)
      : view_(std::move(view)), chunk_bytes_(chunk_bytes) {}

  struct Chunk {
    std::string plain;  // chunk_bytes, the rest zeros; of the last chunk only what is used
    uint64_t entries = 0;
    bool last = false;
    Digest32 digest{};
  };
  Result<Chunk> next() {
    Chunk chunk;
    chunk.last = true;
    chunk.plain.reserve(chunk_bytes_);
    std::optional<Error> bad;
    auto take = [&](std::string_view key, std::string_view value, std::string*) {
      const size_t more = entry_bytes(key, value);
      if (chunk.plain.size() + more <= chunk_bytes_) {
        append_entry(chunk.plain, key, value);
        ++chunk.entries;
        return true;
      }
      if (chunk.entries == 0)
        bad = {Code::limit,
               "an entry of the index has " + std::to_string(more) +
                   " bytes, more than a chunk of a snapshot holds",
               {}};
      chunk.last = false;
      from_ = key;
      return false;
    };
    RETURN_IF_ERROR(view_->scan(from_, "", take));
    if (bad) return fail(*bad);
    if (!chunk.last) chunk.plain.resize(chunk_bytes_, '\0');
    chunk.digest = crypto::sha256(as_bytes(chunk.plain));
    return chunk;
  }

 private:
  std::shared_ptr<const Snapshot> view_;
  size_t chunk_bytes_;
  std::string from_;
};

class SnapshotWriter {
 public:
  SnapshotWriter(SnapshotWriteParts parts, uint64_t number, uint32_t chunk_segments, const bool& stop)
      : p_(std::move(parts)),
        stop_(stop),
        coder_(p_.code),
        sealer_(p_.random),
        chunk_bytes_(size_t{chunk_segments} * kSegmentPlain) {
    manifest_.number = number;
    manifest_.code = p_.code;
    manifest_.chunk_segments = chunk_segments;
  }

  io::Task<Result<SnapshotManifest>> run() {
    Result<void> written = co_await write_all();
    co_await puts_.join();
    if (!written) co_return fail(written.error());
    if (failed_) co_return fail(*failed_);
    finish();
    co_return std::move(manifest_);
  }
  std::vector<extent::ExtentRef> begun() const { return manifest_.refs(); }

 private:
  io::Task<Result<void>> write_all();
  io::Task<Result<void>> allocate(SnapshotManifest::Chunk* chunk);
  Result<extent::CodedExtent> seal(const extent::ExtentRef& ref, std::string_view plain, bool last);
  static io::Task<void> put(SnapshotWriter* self, size_t number, std::shared_ptr<extent::CodedExtent> coded);
  std::vector<std::string> names_of(const extent::ExtentRef& ref) const;
  void finish();

  SnapshotWriteParts p_;
  const bool& stop_;
  erasure::Coder coder_;
  crypto::StreamSealer sealer_;
  size_t chunk_bytes_;
  SnapshotManifest manifest_;
  uint64_t length_ = 0, segments_ = 0;
  std::string digests_;
  io::Semaphore slots_{kPutsAtOnce};
  io::TaskScope puts_;
  std::optional<Error> failed_;  // of a put
};

io::Task<Result<void>> SnapshotWriter::write_all() {
  std::shared_ptr<const Snapshot> view;
  Result<std::optional<Applied>> applied = co_await p_.workers.run([this, &view] {
    view = p_.kv.snapshot();
    return read_applied(*view);
  });
  if (!applied) co_return fail(applied.error());
  if (!*applied) co_return fail(Code::internal, "a view without a position cannot be written as a snapshot");
  manifest_.position = **applied;
  manifest_.created_ms = p_.clock.unix_ms();
  ChunkScanner scanner(std::move(view), chunk_bytes_);
  for (bool last = false; !last;) {
    if (stop_) co_return fail(Code::cancelled, "the gateway is shutting down");
    Result<ChunkScanner::Chunk> chunk = co_await p_.workers.run([&scanner] { return scanner.next(); });
    if (!chunk) co_return fail(chunk.error());
    last = chunk->last;
    if (manifest_.chunks.size() == kSnapshotChunksMax)
      co_return fail(Code::limit, "the index is larger than a snapshot can be");
    SnapshotManifest::Chunk where;
    CO_RETURN_IF_ERROR(co_await allocate(&where));
    manifest_.chunks.push_back(where);
    manifest_.entries += chunk->entries;
    digests_.append(as_text(chunk->digest));
    length_ += chunk->plain.size();
    manifest_.stream.length = length_;  // ref() goes by it
    const extent::ExtentRef ref = manifest_.ref(manifest_.chunks.size() - 1);
    Result<extent::CodedExtent> coded =
        co_await p_.workers.run([this, &ref, &chunk, last] { return seal(ref, chunk->plain, last); });
    if (!coded) co_return fail(coded.error());
    CO_RETURN_IF_ERROR(co_await slots_.acquire(1));
    if (failed_) co_return fail(*failed_);
    puts_.spawn(
        put(this, manifest_.chunks.size() - 1, std::make_shared<extent::CodedExtent>(std::move(*coded))));
  }
  co_return {};
}

io::Task<Result<void>> SnapshotWriter::allocate(SnapshotManifest::Chunk* chunk) {
  CO_ASSIGN_OR_RETURN(const NewExtent fresh, co_await p_.committer.allocate_extent());
  chunk->id = fresh.id;
  chunk->attempt = fresh.attempt;
  // Of an epoch that was closed nothing says that they are in use.
  if (!manifest_.chunks.empty() && manifest_.chunks.front().id.epoch != chunk->id.epoch)
    co_return fail(Code::unavailable, "the epoch was closed while the snapshot was written");
  co_return {};
}

std::vector<std::string> SnapshotWriter::names_of(const extent::ExtentRef& ref) const {
  std::vector<std::string> names;
  for (size_t i = 0; i < p_.placement->islands.size(); ++i)
    names.push_back(extent::shard_name(p_.keys, p_.placement->islands[i]->id(), ref, static_cast<int>(i)));
  return names;
}

Result<extent::CodedExtent> SnapshotWriter::seal(const extent::ExtentRef& ref, std::string_view plain,
                                                 bool last) {
  RETURN_IF_ERROR(extent::check_geometry(ref.geometry));
  extent::ExtentBuilder builder(p_.keys, coder_, ref);
  for (size_t at = 0; at < plain.size(); at += kSegmentPlain) {
    const ByteView part = as_bytes(plain.substr(at, kSegmentPlain));
    const bool final = last && at + part.size() == plain.size();
    MutableBytes cell = builder.next_cell();
    sealer_.seal(segments_++, final, part, cell.first(part.size() + extent::kTagBytes));
    builder.commit(part.size() + extent::kTagBytes);
  }
  return builder.finish(names_of(ref));
}

io::Task<void> SnapshotWriter::put(SnapshotWriter* self, size_t number,
                                   std::shared_ptr<extent::CodedExtent> coded) {
  std::vector<std::string> names = self->names_of(coded->ref);
  std::vector<extent::Fanout::Blob> blobs;
  for (size_t i = 0; i < names.size(); ++i) blobs.push_back({std::move(names[i]), {coded->shards[i]}});
  std::shared_ptr<const void> keep_alive = std::move(coded);
  Result<uint32_t> mask =
      co_await self->p_.fanout.put(self->p_.placement, std::move(blobs), std::move(keep_alive), self->p_.ack);
  if (mask) {
    self->manifest_.chunks[number].confirmed = *mask;
  } else if (!self->failed_) {
    self->failed_ = mask.error();
  }
  self->slots_.release(1);
}

void SnapshotWriter::finish() {
  manifest_.digest = crypto::sha256(as_bytes(digests_));
  manifest_.stream = sealer_.info(length_);
  manifest_.wrapped_key =
      crypto::wrap_key(p_.keys.subkey("index"), sealer_.data_key(), manifest_.stream.salt,
                       as_bytes(snapshot_wrap_ad(manifest_.number, manifest_.stream.data_id)), p_.random);
}

}  // namespace

io::Task<Result<SnapshotManifest>> write_snapshot(SnapshotWriteParts parts, uint64_t number,
                                                  uint32_t chunk_segments, const bool& stop,
                                                  std::vector<extent::ExtentRef>* begun) {
  CHECK(chunk_segments >= 1 && chunk_segments <= kChunkSegmentsMax);
  SnapshotWriter writer(std::move(parts), number, chunk_segments, stop);
  Result<SnapshotManifest> manifest = co_await writer.run();
  if (!manifest && begun != nullptr) *begun = writer.begun();
  co_return manifest;
}

}  // namespace archipel::index
