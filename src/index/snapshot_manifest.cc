#include "index/snapshot_manifest.h"

#include <algorithm>

namespace archipel::index {
namespace {

using extent::kSegmentPlain;
using extent::kSegmentSealed;

constexpr uint8_t kManifestVersion = 1;
constexpr std::string_view kKeptPrefix = "m/snapshot/", kKeptEnd = "m/snapshot0";
constexpr std::string_view kRetiredPrefix = "m/retired/", kRetiredEnd = "m/retired0";
constexpr std::string_view kLimitPrefix = "m/truncation/", kLimitEnd = "m/truncation0";
constexpr std::string_view kWrapLabel = "archipel/1 snapshot";

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Code::corrupt, "a snapshot's manifest is damaged: " + std::string(what));
}

std::string numbered(std::string_view prefix, uint64_t number) {
  std::string key(prefix);
  Writer(key).u64(number);
  return key;
}
uint64_t number_of(std::string_view key, std::string_view prefix) {
  return Reader(key.substr(prefix.size())).u64();
}

std::string encode_retired(UnixMs retired_ms, const SnapshotManifest& manifest) {
  std::string out;
  Writer(out).u64(static_cast<uint64_t>(retired_ms)).raw(encode_manifest(manifest));
  return out;
}

// One note of truncation_limit(): since when a snapshot has stood behind a newer one.
struct Limit {
  uint64_t number = 0;  // of the newer snapshot
  UnixMs since_ms = 0;
  CommitPosition position;  // of the older
};

bool ripe(const Limit& limit, UnixMs now_ms, Duration delay) {
  return now_ms - limit.since_ms >= std::chrono::duration_cast<std::chrono::milliseconds>(delay).count();
}

Result<Limit> decode_limit(std::string_view key, std::string_view value) {
  Limit limit;
  limit.number = number_of(key, kLimitPrefix);
  Reader r(value);
  limit.since_ms = static_cast<UnixMs>(r.u64());
  limit.position.epoch = r.u64();
  limit.position.seq = r.u64();
  if (!r.done()) return fail(Code::corrupt, "the index does not say what may be truncated");
  return limit;
}

// Scans keys of a view or of a snapshot and decodes each.
template <class T, class Decode>
Result<std::vector<T>> collect(const Snapshot& view, std::string_view from, std::string_view to,
                               const Decode& decode) {
  std::vector<T> out;
  std::optional<Error> bad;
  auto add = [&](std::string_view key, std::string_view value, std::string*) {
    Result<T> one = decode(key, value);
    if (!one) bad = one.error();
    if (one) out.push_back(std::move(*one));
    return !bad;
  };
  RETURN_IF_ERROR(view.scan(from, to, add));
  if (bad) return fail(*bad);
  return out;
}
template <class T, class Decode>
Result<std::vector<T>> collect(const View& view, std::string_view from, std::string_view to,
                               const Decode& decode) {
  std::vector<T> out;
  std::optional<Error> bad;
  auto add = [&](std::string_view key, std::string_view value) {
    Result<T> one = decode(key, value);
    if (!one) bad = one.error();
    if (one) out.push_back(std::move(*one));
    return !bad;
  };
  RETURN_IF_ERROR(view.scan(from, to, add));
  if (bad) return fail(*bad);
  return out;
}

// Mask of the islands that the epoch in force counts on.
Result<uint32_t> counted_islands(const View& view, erasure::Code code) {
  const uint32_t all = (1u << code.n) - 1;
  ASSIGN_OR_RETURN(std::optional<std::string> value, view.get(kAppliedKey));
  if (!value) return all;
  ASSIGN_OR_RETURN(Applied applied, decode_applied(*value));
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(numbered("m/open/", applied.epoch)));
  if (!bytes) return all;
  ASSIGN_OR_RETURN(EpochOpen open, decode_open(as_bytes(*bytes)));
  uint32_t counted = 0;
  for (size_t i = 0; i < open.roster.size(); ++i)
    if (open.roster[i].state == RosterEntry::State::counted) counted |= 1u << i;
  return counted;
}

// Every island that counts has confirmed every chunk. One that missed some protects less than the commits it would replace, which may be on all
// of them: losing n - k islands would lose it, and the realm with it.
bool whole(const SnapshotManifest& manifest, uint32_t counted) {
  return std::ranges::all_of(manifest.chunks, [counted](const SnapshotManifest::Chunk& chunk) {
    return (chunk.confirmed & counted) == counted;
  });
}

Result<SnapshotManifest> decode_kept(std::string_view, std::string_view value) {
  return decode_manifest(as_bytes(value));
}

}  // namespace

uint64_t SnapshotManifest::chunk_plain_bytes(size_t chunk) const {
  const uint64_t full = uint64_t{chunk_segments} * kSegmentPlain;
  return std::min(full, stream.length - chunk * full);
}

extent::ExtentRef SnapshotManifest::ref(size_t chunk) const {
  const uint64_t plain = chunk_plain_bytes(chunk);
  const uint64_t segments = (plain + kSegmentPlain - 1) / kSegmentPlain;
  extent::ExtentRef ref;
  ref.kind = extent::ExtentRef::Kind::data;
  ref.id = chunks[chunk].id;
  ref.attempt = chunks[chunk].attempt;
  ref.geometry = {code, kSegmentSealed, plain + segments * extent::kTagBytes};
  ref.confirmed = chunks[chunk].confirmed;
  return ref;
}

std::vector<extent::ExtentRef> SnapshotManifest::refs() const {
  std::vector<extent::ExtentRef> out;
  out.reserve(chunks.size());
  for (size_t i = 0; i < chunks.size(); ++i) out.push_back(ref(i));
  return out;
}

uint64_t SnapshotManifest::sealed_bytes() const {
  return stream.length + stream.segments * extent::kTagBytes;
}

std::string snapshot_wrap_ad(uint64_t number, const crypto::DataId& data_id) {
  std::string ad;
  Writer(ad).raw(kWrapLabel).u64(number).raw(ByteView(data_id));
  return ad;
}

std::string encode_manifest(const SnapshotManifest& m) {
  std::string out;
  Writer w(out);
  w.u8(kManifestVersion).u64(m.number);
  w.u64(m.position.epoch)
      .raw(ByteView(m.position.open))
      .u64(m.position.seq)
      .raw(ByteView(m.position.hash))
      .u64(static_cast<uint64_t>(m.created_ms));
  w.u64(m.entries).raw(ByteView(m.digest));
  w.raw(ByteView(m.stream.data_id)).raw(ByteView(m.stream.salt)).raw(ByteView(m.stream.commitment));
  w.u16(m.stream.suite).u64(m.stream.length).raw(ByteView(m.wrapped_key));
  w.u8(static_cast<uint8_t>(m.code.n)).u8(static_cast<uint8_t>(m.code.k)).u32(m.chunk_segments);
  w.varint(m.chunks.size());
  for (const SnapshotManifest::Chunk& chunk : m.chunks)
    w.varint(chunk.id.epoch).varint(chunk.id.counter).raw(ByteView(chunk.attempt)).varint(chunk.confirmed);
  return out;
}

Result<SnapshotManifest> decode_manifest(ByteView bytes) {
  Reader r(bytes);
  const uint8_t version = r.u8();
  if (version != kManifestVersion)
    return fail(Code::unsupported, "a snapshot's manifest has format version " + std::to_string(version) +
                                       ", which this program does not know; use the program that wrote it");
  SnapshotManifest m;
  m.number = r.u64();
  m.position.epoch = r.u64();
  r.fixed(m.position.open);
  m.position.seq = r.u64();
  r.fixed(m.position.hash);
  m.created_ms = static_cast<UnixMs>(r.u64());
  m.entries = r.u64();
  r.fixed(m.digest);
  r.fixed(m.stream.data_id);
  r.fixed(m.stream.salt);
  r.fixed(m.stream.commitment);
  m.stream.suite = r.u16();
  m.stream.length = r.u64();
  r.fixed(m.wrapped_key);
  m.code.n = r.u8();
  m.code.k = r.u8();
  m.chunk_segments = r.u32();
  const uint64_t count = r.varint();
  if (!r.ok()) return damaged("it is cut short");
  RETURN_IF_ERROR(erasure::check_code(m.code));
  if (m.chunk_segments < 1 || m.chunk_segments > kChunkSegmentsMax)
    return damaged("its chunks have a size that cannot be");
  if (count < 1 || count > kSnapshotChunksMax) return damaged("its number of chunks is out of bounds");
  const uint64_t full = uint64_t{m.chunk_segments} * kSegmentPlain;
  if (m.stream.length <= (count - 1) * full || m.stream.length > count * full)
    return damaged("its chunks and its length do not fit");
  m.stream.segments = (m.stream.length + kSegmentPlain - 1) / kSegmentPlain;
  for (uint64_t i = 0; i < count && r.ok(); ++i) {
    SnapshotManifest::Chunk chunk;
    chunk.id.epoch = r.varint();
    chunk.id.counter = r.varint();
    r.fixed(chunk.attempt);
    const uint64_t mask = r.varint();
    if (mask >> m.code.n != 0) return damaged("it tells of islands that there are not");
    chunk.confirmed = static_cast<uint32_t>(mask);
    m.chunks.push_back(chunk);
  }
  if (!r.done()) return damaged("it has a wrong length");
  return m;
}

Result<std::vector<SnapshotManifest>> read_snapshots(const Snapshot& view) {
  return collect<SnapshotManifest>(view, kKeptPrefix, kKeptEnd, decode_kept);
}

Result<std::vector<RetiredSnapshot>> read_retired_snapshots(const Snapshot& view) {
  auto decode = [](std::string_view, std::string_view value) -> Result<RetiredSnapshot> {
    Reader r(value);
    RetiredSnapshot retired;
    retired.retired_ms = static_cast<UnixMs>(r.u64());
    if (!r.ok()) return damaged("it is cut short");
    ASSIGN_OR_RETURN(retired.manifest, decode_manifest(as_bytes(value.substr(8))));
    return retired;
  };
  return collect<RetiredSnapshot>(view, kRetiredPrefix, kRetiredEnd, decode);
}

Mutation forget_retired_snapshot(uint64_t number) {
  return {numbered(kRetiredPrefix, number), std::nullopt};
}

Result<std::vector<Mutation>> adopt_snapshot(const View& view, const SnapshotManifest& manifest,
                                             UnixMs now_ms) {
  ASSIGN_OR_RETURN(std::optional<std::string> value, view.get(kAppliedKey));
  ASSIGN_OR_RETURN(Applied applied, decode_applied(value.value_or("")));
  for (const SnapshotManifest::Chunk& chunk : manifest.chunks) {
    if (chunk.id.epoch == applied.epoch) continue;
    return fail(Code::precondition, "the epoch was closed while the snapshot was written");
  }
  ASSIGN_OR_RETURN(std::vector<SnapshotManifest> kept,
                   collect<SnapshotManifest>(view, kKeptPrefix, kKeptEnd, decode_kept));
  std::vector<Mutation> out;
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i].number >= manifest.number)
      return fail(Code::precondition, "there is a newer snapshot already");
    if (i + kSnapshotsKept > kept.size()) continue;
    out.push_back({numbered(kKeptPrefix, kept[i].number), std::nullopt});
    out.push_back({numbered(kRetiredPrefix, kept[i].number), encode_retired(now_ms, kept[i])});
  }
  out.push_back({numbered(kKeptPrefix, manifest.number), encode_manifest(manifest)});
  return out;
}

Result<std::optional<CommitPosition>> truncation_limit(const Snapshot& view, UnixMs journalled_ms,
                                                       Duration delay) {
  ASSIGN_OR_RETURN(std::vector<Limit> limits, collect<Limit>(view, kLimitPrefix, kLimitEnd, decode_limit));
  // The notes' own times are journalled too. Without them the limit would fall where a clock is set back after ripe notes were dropped.
  for (const Limit& limit : limits) journalled_ms = std::max(journalled_ms, limit.since_ms);
  std::optional<CommitPosition> out;
  for (const Limit& limit : limits) {
    if (ripe(limit, journalled_ms, delay)) out = std::max(out.value_or(CommitPosition{}), limit.position);
  }
  return out;
}

Result<std::vector<Mutation>> note_head_confirmed(const View& view, uint64_t snapshot_number, UnixMs now_ms,
                                                  Duration delay) {
  ASSIGN_OR_RETURN(std::vector<SnapshotManifest> kept,
                   collect<SnapshotManifest>(view, kKeptPrefix, kKeptEnd, decode_kept));
  if (kept.size() < kSnapshotsKept || kept.back().number != snapshot_number) return std::vector<Mutation>{};
  ASSIGN_OR_RETURN(uint32_t counted, counted_islands(view, kept.back().code));
  if (!whole(kept.back(), counted) && !whole(kept[kept.size() - kSnapshotsKept], counted))
    return std::vector<Mutation>{};
  ASSIGN_OR_RETURN(std::vector<Limit> limits, collect<Limit>(view, kLimitPrefix, kLimitEnd, decode_limit));
  if (!limits.empty()) {
    const Limit& last = limits.back();
    now_ms = std::max(now_ms, last.since_ms);  // a clock that goes back makes nothing ripe sooner
    if (last.number >= snapshot_number) return std::vector<Mutation>{};
    if (!ripe(last, now_ms, delay / kLimitsWaitingMax)) return std::vector<Mutation>{};
  }
  std::vector<Mutation> out;
  // Of those that are ripe only the last says anything.
  size_t ripe_count = 0;
  while (ripe_count < limits.size() && ripe(limits[ripe_count], now_ms, delay)) ++ripe_count;
  for (size_t i = 0; i + 1 < ripe_count; ++i)
    out.push_back({numbered(kLimitPrefix, limits[i].number), std::nullopt});
  const Applied& older = kept[kept.size() - kSnapshotsKept].position;
  std::string value;
  Writer(value).u64(static_cast<uint64_t>(now_ms)).u64(older.epoch).u64(older.seq);
  out.push_back({numbered(kLimitPrefix, snapshot_number), std::move(value)});
  return out;
}

}  // namespace archipel::index
