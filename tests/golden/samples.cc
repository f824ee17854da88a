#include "golden/samples.h"

#include "crypto/hash.h"
#include "extent/names.h"
#include "index/lease.h"
#include "index/pack.h"
#include "index/snapshot_entries.h"
#include "island/marker.h"
#include "island/mem_island.h"
#include "store/collector_state.h"
#include "store/keys.h"
#include "store/placements.h"
#include "store/repair_records.h"
#include "store/upload_records.h"
#include "store/wrap.h"

namespace archipel::golden {
namespace {

constexpr erasure::Code kCodes[] = {{4, 2}, {5, 3}, {6, 3}, {7, 4}, {9, 6}};
constexpr UnixMs kTime = 1'700'000'000'000;
constexpr size_t kBodyBytes = 70'000;  // two segments
constexpr size_t kRecordPad = 2048;

// JSON objects whose values are written already.
class Json {
 public:
  Json& text(std::string_view key, std::string_view value) {
    return raw(key, "\"" + std::string(value) + "\"");
  }
  Json& number(std::string_view key, uint64_t value) { return raw(key, std::to_string(value)); }
  Json& hexed(std::string_view key, ByteView value) { return text(key, hex(value)); }
  Json& raw(std::string_view key, std::string_view value) {
    out_ +=
        (out_.empty() ? "\n" : ",\n") + std::string("  \"") + std::string(key) + "\": " + std::string(value);
    return *this;
  }
  std::string done() const { return "{" + out_ + "\n}"; }

 private:
  std::string out_;
};

std::string list_of(const std::vector<std::string>& values, bool quoted) {
  std::string out = "[";
  for (const std::string& value : values)
    out += (out.size() > 1 ? ", " : "") + (quoted ? "\"" + value + "\"" : value);
  return out + "]";
}

std::string homes_of(const extent::ExtentRef& ref) {
  std::vector<std::string> places;
  for (int i = 0; i < ref.geometry.code.n; ++i) places.push_back(std::to_string(ref.home(i)));
  return list_of(places, false);
}

extent::Placement islands_of(int n) {
  extent::Placement placement;
  for (int i = 0; i < n; ++i)
    placement.islands.push_back(std::make_shared<island::MemIsland>(island_id(i), true));
  return placement;
}

// Blobs of all islands one after the other; their lengths go to `sizes`.
std::string joined(const std::vector<extent::Fanout::Blob>& blobs, std::vector<std::string>& sizes) {
  std::string out;
  for (const extent::Fanout::Blob& blob : blobs) {
    const size_t before = out.size();
    for (ByteView part : blob.parts) out.append(as_text(part));
    sizes.push_back(std::to_string(out.size() - before));
  }
  return out;
}

struct Builder {
  Samples& s;
  std::unique_ptr<Random> random = seeded_random(20'260'101);
  Json files, subkeys, views;

  void blob_file(const std::string& name, index::BlobKind kind, index::Sealed sealed, ByteView section);
  void homes();
  void shard_file(const std::string& name, erasure::Code code, const extent::ExtentRef& ref, ByteView bytes);
  // `more`: what else a reader should find, as further members.
  void view(const std::string& what, std::string_view key, std::string_view value,
            const std::string& more = "") {
    views.raw(what, "{\"key\": \"" + hex(as_bytes(key)) + "\", \"value\": \"" + hex(as_bytes(value)) + "\"" +
                        more + "}");
  }
  std::string sealed_copy(crypto::StreamSealer& sealer, std::string_view plain);

  void keys();
  void markers();
  void journal();
  void extents();
  void snapshot();
  void lease();
  void records();
  void versions();
  void identities();
  void uploads();
};

void Builder::blob_file(const std::string& name, index::BlobKind kind, index::Sealed sealed,
                        ByteView section) {
  erasure::Coder coder(s.open.code);
  auto set =
      index::make_blob_set(*s.keys, coder, islands_of(kIslands), s.open.bits, std::move(sealed), section);
  CHECK(set.has_value());
  std::vector<std::string> sizes;
  std::vector<int> shards;
  for (int i = 0; i < kIslands; ++i) shards.push_back(i);
  s.files[name] = joined((*set)->blobs(shards), sizes);
  files.raw(name, Json()
                      .number("kind", static_cast<uint64_t>(kind))
                      .raw("names", list_of((*set)->names, true))
                      .raw("blob_bytes", list_of(sizes, false))
                      .hexed("hash", (*set)->sealed.hash)
                      .number("record_bytes", (*set)->sealed.header.record_bytes)
                      .done());
}

void Builder::shard_file(const std::string& name, erasure::Code code, const extent::ExtentRef& ref,
                         ByteView bytes) {
  erasure::Coder coder(code);
  std::vector<std::string> names, sizes;
  for (int i = 0; i < code.n; ++i)
    names.push_back(extent::shard_name(*s.keys, island_id(ref.home(i)), ref, i));
  auto coded = extent::encode_extent(*s.keys, coder, ref, bytes, names);
  CHECK(coded.has_value());
  std::string all;
  for (ByteView shard : coded->shards) {
    sizes.push_back(std::to_string(shard.size()));
    all.append(as_text(shard));
  }
  s.files[name] = std::move(all);
  Json entry;
  entry.number("epoch", ref.id.epoch)
      .number("counter", ref.id.counter)
      .hexed("attempt", ref.attempt)
      .number("n", static_cast<uint64_t>(code.n))
      .number("k", static_cast<uint64_t>(code.k))
      .number("cell_bytes", ref.geometry.cell_bytes)
      .number("length", ref.geometry.length)
      .raw("names", list_of(names, true))
      .raw("blob_bytes", list_of(sizes, false))
      .hexed("sha256", crypto::sha256(bytes));
  if (!ref.homes.standard()) entry.raw("homes", homes_of(ref));
  files.raw(name, entry.done());
}

std::string Builder::sealed_copy(crypto::StreamSealer& sealer, std::string_view plain) {
  std::string out;
  const crypto::StreamInfo info = sealer.info(plain.size());
  for (uint64_t i = 0; i < info.segments; ++i) {
    const std::string_view part = plain.substr(i * extent::kSegmentPlain, extent::kSegmentPlain);
    std::string sealed(part.size() + extent::kTagBytes, '\0');
    sealer.seal(i, i + 1 == info.segments, as_bytes(part),
                {reinterpret_cast<uint8_t*>(sealed.data()), sealed.size()});
    out += sealed;
  }
  return out;
}

void Builder::keys() {
  for (const char* purpose :
       {"index", "cells/default", "head", "accounts", "names/golden-0", "marker/golden-0"})
    subkeys.hexed(purpose, s.keys->subkey(purpose).view());
}

void Builder::markers() {
  for (int i = 0; i < kIslands; ++i) {
    index::RosterEntry entry{island_id(i), random->bytes<16>(), index::RosterEntry::State::counted};
    s.files["marker_" + std::to_string(i)] = island::encode_marker(*s.keys, entry.island, entry.incarnation);
    s.open.roster.push_back(std::move(entry));
  }
}

void Builder::journal() {
  index::EpochOpen& open = s.open;
  open.epoch = 1;
  open.bits = random->bytes<8>();
  open.code = {6, 3};
  open.w = 4;
  open.opened_ms = kTime;
  open.extent_range = 1000;
  open.attempt_seed = random->bytes<32>();
  index::Header header;
  header.kind = index::BlobKind::open;
  header.epoch = 1;
  header.salt = random->bytes<32>();
  s.sealed_open = index::seal(*s.keys, header, as_bytes(index::encode_open(open)));
  blob_file("claim", index::BlobKind::claim, index::seal_claim(*s.keys, 1), {});
  blob_file("open", index::BlobKind::open, index::seal(*s.keys, header, as_bytes(index::encode_open(open))),
            {});

  // One commit: a bucket, and an object of two segments in the data section.
  s.body = body_of(kBodyBytes);
  crypto::StreamSealer sealer(*random);
  const std::string sealed = sealed_copy(sealer, s.body);
  store::Slice slice;
  slice.stream = sealer.info(s.body.size());
  const auto first = static_cast<uint32_t>(store::sealed_bytes(slice.stream, 0, 1));
  const auto second = static_cast<uint32_t>(store::sealed_bytes(slice.stream, 1, 1));
  const index::Packing packing = index::pack(open.code, {first, second});
  s.section.assign(packing.geometry.length, '\0');
  random->fill({reinterpret_cast<uint8_t*>(s.section.data()), s.section.size()});
  s.section.replace(packing.offsets[0], first, sealed.substr(0, first));
  s.section.replace(packing.offsets[1], second, sealed.substr(first));

  header = {};
  header.epoch = 1;
  header.seq = 1;
  header.salt = random->bytes<32>();
  header.section = packing.geometry;
  header.attempt = random->bytes<16>();
  header.record_bytes = kRecordPad + extent::kTagBytes;
  s.section_ref = index::section_ref(header, open.bits);
  slice.storage.small = {{s.section_ref, packing.offsets[0], first},
                         {s.section_ref, packing.offsets[1], second}};
  s.version.version_id = random->bytes<16>();
  s.version.info.size = s.body.size();
  s.version.info.etag = "0123456789abcdef0123456789abcdef";
  s.version.info.modified_ms = kTime + 5;
  s.version.info.headers["content-type"] = "text/plain";
  s.version.info.metadata["colour"] = "blue";
  s.version.info.checksum = {store::Checksum::Kind::crc32, std::string("\x01\x02\x03\x04", 4)};
  store::KeyScope scope{"golden-owner", "golden-bucket", s.version.version_id, 0};
  store::wrap_into(slice, *s.keys, 3, scope, sealer.data_key(), *random);
  s.version.slices.push_back(std::move(slice));

  index::Record& record = s.record;
  record.prev_hash = s.sealed_open.hash;
  record.epoch = record.seq = 1;
  record.commit_ms = kTime + 5;
  record.section_digest = crypto::blake2b_256(as_bytes(s.section));
  record.confirmed = {{1, 1, 0x2f}};
  record.mutations = {
      {store::bucket_key("golden-bucket"), store::encode(store::BucketRecord{"golden-owner", kTime})},
      {store::kek_key("golden-owner", 1), store::encode_count(3)},
      {store::object_key("golden-bucket", "a/key"), store::encode(s.version)},
      {store::object_key("golden-bucket", "gone"), std::nullopt},
      {store::owner_key("golden-owner", "golden-bucket"), std::string()},
  };
  const std::string plain = index::encode_record(record, kRecordPad);
  CHECK(plain.size() == kRecordPad);
  blob_file("commit", index::BlobKind::commit, index::seal(*s.keys, header, as_bytes(plain)),
            as_bytes(s.section));
  s.files["commit_plaintext"] = plain;
  s.files["open_plaintext"] = index::encode_open(open);
}

void Builder::extents() {
  for (erasure::Code code : kCodes) {
    const std::string name = "extent_" + std::to_string(code.n) + "_" + std::to_string(code.k);
    shard_file(name, code, extent_of(s.open, code), as_bytes(extent_bytes(code)));
  }
}

void Builder::snapshot() {
  uint64_t entries = 0;
  for (const index::Mutation& m : s.record.mutations) {
    if (!m.value) continue;
    index::append_entry(s.chunk, m.key, *m.value);
    ++entries;
  }
  crypto::StreamSealer sealer(*random);
  const std::string sealed = sealed_copy(sealer, s.chunk);
  index::SnapshotManifest m;
  m.number = 4;
  m.position = {1, 1, crypto::blake2b_256(as_bytes(s.files["commit_plaintext"])), s.open.bits};
  m.created_ms = kTime + 9;
  m.entries = entries;
  m.digest = crypto::sha256(crypto::sha256(as_bytes(s.chunk)));
  m.stream = sealer.info(s.chunk.size());
  const std::string ad = index::snapshot_wrap_ad(m.number, m.stream.data_id);
  m.wrapped_key =
      crypto::wrap_key(s.keys->subkey("index"), sealer.data_key(), m.stream.salt, as_bytes(ad), *random);
  m.code = s.open.code;
  m.chunk_segments = 256;
  const extent::ExtentId id{1, 77};
  m.chunks.push_back({id, index::attempt_of(s.open.attempt_seed, id), 0x3f});
  shard_file("snapshot_chunk", m.code, m.ref(0), as_bytes(sealed));
  s.files["snapshot_chunk_plaintext"] = s.chunk;
  s.files["snapshot_manifest"] = index::encode_manifest(m);

  s.head.number = 9;
  s.head.position = m.position;
  s.head.written_ms = kTime + 10;
  s.head.journal_bytes = 12'345;
  s.head.code = s.open.code;
  s.head.w = s.open.w;
  s.head.roster = s.open.roster;
  s.head.snapshots.push_back(m);
  const std::string name = extent::head_slot_name(*s.keys, island_id(0), s.head.slot());
  auto slot = index::seal_head_slot(*s.keys, *random, name, s.head);
  CHECK(slot.has_value());
  s.files["head_slot"] = *slot;
  files.raw("head_slot", Json().text("island", island_id(0)).text("name", name).number("number", 9).done());
}

void Builder::lease() {
  s.files["lease"] = index::encode_lease(*s.keys, island_id(0), {1, random->bytes<16>(), 42, false}, *random);
  files.raw("lease", Json()
                         .text("island", island_id(0))
                         .text("name", extent::lease_name(*s.keys, island_id(0)))
                         .number("epoch", 1)
                         .number("counter", 42)
                         .done());
}

// The other records of the view.
void Builder::records() {
  s.account = {"golden-owner", "Golden", "AKIAGOLDENGOLDENGOLD", "a secret access key"};
  view("account", store::account_key(s.account.access_key), store::encode(s.account, *s.keys, *random));
  for (const index::Mutation& m : s.record.mutations)
    if (m.value) view("record " + hex(as_bytes(m.key.substr(0, 2))), m.key, *m.value);

  store::Slice slice = store::Slice{};
  slice.stream = s.version.slices[0].stream;
  slice.stream.length = 3 * extent::kSegmentPlain + 5;
  slice.stream.segments = 4;
  uint64_t first = 0;
  for (uint64_t segments : {3u, 1u}) {
    store::ExtentRun run;
    run.first_segment = first;
    run.segments = segments;
    run.ref.id = {1, 200 + first};
    run.ref.attempt = index::attempt_of(s.open.attempt_seed, run.ref.id);
    run.ref.geometry = {s.open.code, extent::kSegmentSealed,
                        store::sealed_bytes(slice.stream, first, segments)};
    run.ref.confirmed = 0x1f;
    slice.storage.extents.push_back(run);
    first += segments;
  }
  store::VersionRecord large = s.version;
  large.info.size = slice.stream.length;
  const extent::ExtentRef ref = slice.storage.extents[0].ref;
  large.slices = {slice};
  view("version_large", store::object_key("golden-bucket", "large"), store::encode(large));
  const store::ExtentKey key = store::key_of(ref);
  view("live", store::live_key(store::key_of(s.section_ref)),
       store::encode(store::LiveRecord{70'032, s.section_ref}));
  view("doomed", store::doomed_key(key),
       store::encode(store::DoomedRecord{store::DoomedRecord::Stage::deleted, kTime, 0x21, ref}));
  view("exception", store::exception_key(key),
       store::encode(store::ExceptionRecord{kTime, {0x1f, {0, 0, 1}}}));
  view("rebuild", store::rebuild_key(2),
       store::encode(store::RebuildRecord{s.open.roster[2].incarnation, false, {1, 1, 9}}));
  store::EpochSweep sweep{store::EpochSweep::Stage::first, kTime, store::Sweep(2)};
  sweep.sweep.below = {{1, 5}, {1, 300}};
  view("epoch_sweep", store::epoch_swept_key(1), store::encode(sweep));
  view("time", store::collector_time_key(), store::encode_time(kTime));
}

// Records of the second format, and what came with versioning.
void Builder::versions() {
  store::BucketRecord bucket{"golden-owner", kTime, store::Versioning::enabled, true, {1u << 30, 1000}};
  view("bucket_2", store::bucket_key("golden-locked"), store::encode(bucket));
  store::VersionRecord version = s.version;
  version.order = static_cast<uint64_t>(kTime) * 1000 + 7;
  version.null = false;
  store::ObjectInfo& info = version.info;
  info.attributes.tags = {{"colour", "blue"}, {"empty", ""}};
  info.attributes.acl = "opaque";
  info.attributes.owner = "golden-writer";
  info.attributes.retention = {store::Retention::Mode::compliance, kTime + 86'400'000};
  info.attributes.legal_hold = true;
  info.encryption = {store::Encryption::Kind::sse_s3, ""};
  view("version_2", store::object_key("golden-bucket", "locked"), store::encode(version));

  store::VersionRecord parts;
  parts.version_id = random->bytes<16>();
  parts.order = version.order + 1;
  parts.info.modified_ms = kTime;
  parts.info.etag = std::string(32, 'a') + "-2";
  parts.info.size = (5u << 20) + 3;
  parts.info.checksum = {store::Checksum::Kind::crc32, "sum1", true};
  parts.info.parts = 2;
  parts.part_set = random->bytes<16>();
  parts.parts = {{1, 5u << 20, "prt1"}, {3, 3, "prt3"}};
  view("version_in_parts", store::version_key("golden-bucket", "parts", parts.order), store::encode(parts));

  store::VersionRecord marker;
  marker.version_id = random->bytes<16>();
  marker.order = parts.order + 1;
  marker.info.modified_ms = kTime;
  marker.info.delete_marker = true;
  view("delete_marker", store::version_key("golden-bucket", "parts", marker.order), store::encode(marker));
  std::string order;
  Writer(order).u64(marker.order);
  view("null_version", store::null_key("golden-bucket", "parts"), order);
  view("usage_bucket", store::bucket_usage_key("golden-bucket"),
       store::encode(store::UsageRecord{{5'312'883, 4}, {}}));
  view("usage_account", store::owner_usage_key("golden-owner"),
       store::encode(store::UsageRecord{{5'312'883, 4}, {1u << 30, 0}}));
  view("configuration", store::config_key("golden-bucket", "cors"),
       store::encode_config("<CORSConfiguration/>"));
}

// Users and roles, and a key of one.
void Builder::identities() {
  store::Account key{"golden-owner", "", "AKIAGOLDENGOLDENUSER", "another secret access key"};
  key.user = "ann";
  key.created_ms = kTime;
  view("account_user", store::account_key(key.access_key), store::encode(key, *s.keys, *random));
  const std::string allow = R"({"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}})";
  const std::string trust = R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}})";
  view("user", store::user_key("golden-owner", "ann"),
       store::encode(store::User{"golden-owner", "ann", kTime, {{"read", allow}}}));
  store::Role reader;
  reader.created_ms = kTime;
  reader.trust = trust;
  reader.policies = {{"policy", allow}};
  view("role", store::role_key("golden-owner", "reader"), store::encode(reader));
}

// An upload, a part of it, what is known of its set before and after Complete, and what is to be dropped.
void Builder::uploads() {
  // Of its own, so that samples before it may change without it.
  std::unique_ptr<Random> own = seeded_random(20'260'102);
  const store::UploadId id = own->bytes<16>();
  store::UploadRecord upload;
  upload.initiated_ms = kTime;
  upload.initiator = "golden-writer";
  upload.headers = {{"content-type", "text/plain"}};
  upload.metadata = {{"colour", "blue"}};
  upload.attributes = {{{"tag", "value"}}, "opaque", "golden-owner", {}, true};
  upload.checksum = store::Checksum::Kind::crc32;
  upload.composite = true;
  upload.encryption = store::Encryption::Kind::sse_s3;
  view("upload", store::upload_key("golden-bucket", "parts/under way", id), store::encode(upload));

  store::PartRecord part;
  part.modified_ms = kTime + 1;
  part.md5 = own->bytes<16>();
  part.checksum = {store::Checksum::Kind::crc32, "prt1"};
  part.size = extent::kSegmentPlain + 3;
  crypto::StreamSealer sealer(*own);
  store::Slice& slice = part.slice.emplace();
  slice.stream = sealer.info(part.size);
  store::ExtentRun run;
  run.segments = slice.stream.segments;
  run.ref.id = {1, 300};
  run.ref.attempt = index::attempt_of(s.open.attempt_seed, run.ref.id);
  run.ref.geometry = {s.open.code, extent::kSegmentSealed,
                      store::sealed_bytes(slice.stream, 0, run.segments)};
  run.ref.confirmed = 0x3f;
  slice.storage.extents.push_back(run);
  store::KeyScope scope{"golden-owner", "golden-bucket", id, 1};
  scope.of_upload = true;
  store::wrap_into(slice, *s.keys, 3, scope, sealer.data_key(), *own);
  view("part", store::part_key(id, 1), store::encode(part));
  store::PartRecord empty;
  empty.modified_ms = kTime + 2;
  view("part_empty", store::part_key(id, 10'000), store::encode(empty));

  store::PartSetRecord set;
  set.changes = 3;
  set.parts = 2;
  set.bytes = part.size;
  view("part_set", store::part_set_key(id), store::encode(set));
  set.completed = {"golden-bucket", "parts/done", own->bytes<16>(), static_cast<uint64_t>(kTime) * 1000,
                   crypto::sha256(as_bytes("the request"))};
  const store::UploadId done = own->bytes<16>();
  view("part_set_completed", store::part_set_key(done), store::encode(set));
  view("drop", store::drop_key(id), store::encode(store::DropRecord{}));
  view("drop_parts", store::drop_key(done), store::encode(store::DropRecord{{2, 10'000}}));
}

// Extents that lie on some islands of the roster, in an order of their own; what a bucket asks for, and what is counted of it.
void Builder::homes() {
  const extent::ExtentRef few = placed_extent(s.open);
  shard_file("extent_with_homes", few.geometry.code, few, as_bytes(extent_bytes(few.geometry.code)));

  store::Slice slice = s.version.slices[0];
  slice.stream.length = 3 * extent::kSegmentPlain + 5;
  slice.stream.segments = 4;
  slice.storage.small.clear();
  uint64_t first = 0;
  for (uint64_t segments : {3u, 1u}) {
    store::ExtentRun run;
    run.first_segment = first;
    run.segments = segments;
    run.ref.id = {1, 400 + first};
    run.ref.attempt = index::attempt_of(s.open.attempt_seed, run.ref.id);
    run.ref.geometry = {few.geometry.code, extent::kSegmentSealed,
                        store::sealed_bytes(slice.stream, first, segments)};
    run.ref.confirmed = first == 0 ? 0b1011 : 0b1111;
    run.ref.homes = few.homes;
    slice.storage.extents.push_back(run);
    first += segments;
  }
  const extent::ExtentRef ref = slice.storage.extents[0].ref;
  const std::string homes = ", \"homes\": " + homes_of(ref);
  store::VersionRecord version = s.version;
  version.info.size = slice.stream.length;
  version.slices = {slice};
  view("version_with_homes", store::object_key("golden-bucket", "placed"), store::encode(version), homes);
  view("live_with_homes", store::live_key(store::key_of(ref)),
       store::encode(store::LiveRecord{ref.geometry.length, ref}), homes);
  view("doomed_with_homes", store::doomed_key(store::key_of(ref)),
       store::encode(store::doomed_now(ref, kTime)), homes);

  view("bucket_placement", store::config_key("golden-bucket", store::kPlacementDocument),
       store::encode_config(store::encode(store::BucketPlacement{"eu-only", "personal"})));
  store::UsageRecord usage{{5'312'883, 4}, {}};
  usage.tallies.emplace();
  (*usage.tallies)[store::placing_of(s.section_ref)] = {3, 70'003};
  (*usage.tallies)[store::placing_of(ref)] = {1, slice.stream.length};
  view("usage_tallied", store::bucket_usage_key("golden-tallied"), store::encode(usage));
  view("extents_by_placing", store::extent_tally_key(store::placing_of(ref)),
       store::encode(store::ExtentTally{2, 4 * (ref.geometry.length / 2)}));
}

}  // namespace

std::string island_id(int shard) {
  return "golden-" + std::to_string(shard);
}

std::string body_of(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(static_cast<uint8_t>(i * 7 + i / 256));
  return bytes;
}

extent::ExtentRef extent_of(const index::EpochOpen& open, erasure::Code code) {
  extent::ExtentRef ref;
  ref.id = {1, 100 + static_cast<uint64_t>(code.n)};
  ref.attempt = index::attempt_of(open.attempt_seed, ref.id);
  ref.geometry = {code, 1000, extent_bytes(code).size()};
  return ref;
}

extent::ExtentRef placed_extent(const index::EpochOpen& open) {
  extent::ExtentRef ref = extent_of(open, {4, 2});
  ref.id = {1, 350};
  ref.attempt = index::attempt_of(open.attempt_seed, ref.id);
  ref.homes = *extent::Homes::of(std::vector<uint8_t>{5, 0, 3, 2});
  return ref;
}

std::string extent_bytes(erasure::Code code) {
  return body_of(static_cast<size_t>(code.k) * 2000 + 1137);  // two stripes, a full cell and a short one
}

Samples::Samples(std::unique_ptr<crypto::Keyring> keyring) : keys(std::move(keyring)) {
  Builder b{*this, seeded_random(20'260'101), {}, {}, {}};
  b.keys();
  b.markers();
  b.journal();
  b.extents();
  b.snapshot();
  b.records();
  b.lease();
  b.versions();
  b.identities();
  b.uploads();
  b.homes();
  manifest = Json()
                 .text("what", "samples of every format, version 1; docs/formats says what the bytes mean")
                 .text("passphrase", kPassphrase)
                 .hexed("realm", keys->realm())
                 .raw("subkeys", b.subkeys.done())
                 .raw("files", b.files.done())
                 .raw("view", b.views.done())
                 .done() +
             "\n";
}

}  // namespace archipel::golden
