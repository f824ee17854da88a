// The golden files in both directions: what the encoders make today is what lies there, and what lies there decodes to what went in.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "crypto/hash.h"
#include "extent/decode.h"
#include "extent/header.h"
#include "extent/names.h"
#include "golden/samples.h"
#include "index/lease.h"
#include "index/snapshot_entries.h"
#include "island/marker.h"
#include "store/keys.h"
#include "store/placements.h"
#include "store/registry.h"
#include "store/upload_records.h"
#include "store/wrap.h"
#include "support/source_dir.h"

namespace archipel::golden {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class GoldenFiles : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    files_ = testing::source_dir() / "tests/golden/files";
    // A checkout does not keep permissions, and a keyring must be private.
    scratch_ = fs::path(::testing::TempDir()) / ("golden_" + std::to_string(::getpid()));
    fs::create_directories(scratch_);
    fs::copy_file(files_ / "keyring", scratch_ / "keyring");
    ::chmod((scratch_ / "keyring").c_str(), 0600);
    auto keys = crypto::Keyring::load(scratch_ / "keyring", std::string(kPassphrase));
    ASSERT_TRUE(keys) << keys.error().describe();
    samples_ = std::make_unique<Samples>(std::move(*keys));
  }
  static void TearDownTestSuite() {
    samples_.reset();
    fs::remove_all(scratch_);
  }
  static std::string file(const std::string& name) { return read(files_ / name); }
  // The blob of one island out of a file that holds those of all, each `blob_bytes` long.
  static std::vector<std::string> split(const std::string& all, const std::vector<size_t>& sizes) {
    std::vector<std::string> out;
    size_t at = 0;
    for (size_t size : sizes) {
      out.push_back(all.substr(at, size));
      at += size;
    }
    EXPECT_EQ(at, all.size());
    return out;
  }
  // Shards of a data extent from its golden file: headers checked and cut off.
  static std::vector<std::string> shards_of(const std::string& name, const extent::ExtentRef& ref) {
    std::vector<size_t> sizes;
    for (int i = 0; i < ref.geometry.code.n; ++i)
      sizes.push_back(extent::kShardHeaderBytes + ref.geometry.shard_bytes(i));
    std::vector<std::string> shards = split(file(name), sizes);
    for (size_t i = 0; i < shards.size(); ++i) {
      const int shard = static_cast<int>(i);
      const std::string blob = extent::shard_name(keys(), island_id(ref.home(shard)), ref, shard);
      EXPECT_TRUE(extent::check_shard_header(keys(), ref, shard, blob,
                                             as_bytes(shards[i]).first(extent::kShardHeaderBytes)));
      shards[i].erase(0, extent::kShardHeaderBytes);
    }
    return shards;
  }
  static std::string decoded(const extent::ExtentRef& ref, const std::vector<std::string>& shards,
                             uint32_t without) {
    std::vector<std::optional<ByteView>> cells;
    for (size_t i = 0; i < shards.size(); ++i)
      cells.push_back((without >> i & 1) != 0 ? std::nullopt : std::optional(as_bytes(shards[i])));
    auto bytes = extent::decode_extent(keys(), erasure::Coder(ref.geometry.code), ref, cells);
    return bytes ? std::string(as_text(*bytes)) : bytes.error().describe();
  }
  // Key and value of a record of the view, out of the manifest.
  static std::pair<std::string, std::string> record(const std::string& what) {
    const std::string manifest = file("manifest.json");
    const auto field = [&](const std::string& name, size_t from) {
      const size_t at = manifest.find("\"" + name + "\": \"", from) + name.size() + 5;
      const auto bytes = unhex(manifest.substr(at, manifest.find('"', at) - at));
      EXPECT_TRUE(bytes) << what;
      return bytes.value_or("");
    };
    const size_t at = manifest.find("\"" + what + "\": {");
    EXPECT_NE(at, std::string::npos) << what;
    return {field("key", at), field("value", at)};
  }
  static const crypto::Keyring& keys() { return *samples_->keys; }

  static inline fs::path files_, scratch_;
  static inline std::unique_ptr<Samples> samples_;
};

TEST_F(GoldenFiles, AreWhatTheEncodersMake) {
  std::map<std::string, std::string> made = samples_->files;
  made["manifest.json"] = samples_->manifest;
  std::set<std::string> there;
  for (const auto& entry : fs::directory_iterator(files_)) there.insert(entry.path().filename());
  for (const auto& [name, bytes] : made) {
    EXPECT_EQ(crypto::sha256(as_bytes(file(name))), crypto::sha256(as_bytes(bytes))) << name;
    there.erase(name);
  }
  EXPECT_EQ(there, std::set<std::string>{"keyring"});
}

TEST_F(GoldenFiles, TheKeyringIsMadeAgainFromItsSeed) {
  auto random = seeded_random(1);
  ASSERT_TRUE(crypto::Keyring::generate(*random)->save(scratch_ / "again", kPassphrase, *random));
  EXPECT_EQ(read(scratch_ / "again"), file("keyring"));
}

TEST_F(GoldenFiles, MarkersTellTheirIncarnation) {
  for (int i = 0; i < kIslands; ++i) {
    const std::string bytes = file("marker_" + std::to_string(i));
    auto incarnation = island::verify_marker(keys(), island_id(i), as_bytes(bytes));
    ASSERT_TRUE(incarnation) << incarnation.error().describe();
    EXPECT_EQ(*incarnation, samples_->open.roster[static_cast<size_t>(i)].incarnation);
  }
}

TEST_F(GoldenFiles, ClaimAndOpenAreReadFromEveryIsland) {
  const std::string claims = file("claim"), opens = file("open");
  ASSERT_EQ(claims.size() % kIslands, 0u);
  ASSERT_EQ(opens.size() % kIslands, 0u);
  for (int i = 0; i < kIslands; ++i) {
    const std::string id = island_id(i);
    const size_t shard = static_cast<size_t>(i), claim = claims.size() / kIslands,
                 open = opens.size() / kIslands;
    auto claimed = index::open_blob(keys(), id, extent::claim_name(keys(), id, 1), index::BlobKind::claim, 1,
                                    0, as_bytes(claims).subspan(shard * claim, claim));
    EXPECT_TRUE(claimed) << i;
    auto opened = index::open_blob(keys(), id, extent::open_name(keys(), id, 1), index::BlobKind::open, 1, 0,
                                   as_bytes(opens).subspan(shard * open, open));
    ASSERT_TRUE(opened) << i;
    auto epoch = index::decode_open(opened->plain);
    ASSERT_TRUE(epoch) << i;
    EXPECT_EQ(index::encode_open(*epoch), index::encode_open(samples_->open));
  }
}

TEST_F(GoldenFiles, TheCommitGivesItsMutationsAndFromAnyThreeIslandsTheBody) {
  std::vector<size_t> sizes;
  for (int i = 0; i < kIslands; ++i)
    sizes.push_back(samples_->section_ref.base + samples_->section_ref.geometry.shard_bytes(i));
  std::vector<std::string> blobs = split(file("commit"), sizes);
  std::optional<index::Record> record;
  for (int i = 0; i < kIslands; ++i) {
    const std::string id = island_id(i);
    auto opened =
        index::open_blob(keys(), id, extent::commit_blob_name(keys(), id, 1, samples_->open.bits, 1),
                         index::BlobKind::commit, 1, 1, as_bytes(blobs[static_cast<size_t>(i)]));
    ASSERT_TRUE(opened) << i;
    auto decoded_record = index::decode_record(opened->plain);
    ASSERT_TRUE(decoded_record) << i;
    record = std::move(*decoded_record);
    blobs[static_cast<size_t>(i)].erase(0, opened->cells_at);
  }
  EXPECT_EQ(index::encode_record(*record, file("commit_plaintext").size()), file("commit_plaintext"));
  ASSERT_EQ(record->mutations.size(), samples_->record.mutations.size());
  EXPECT_EQ(record->prev_hash, samples_->sealed_open.hash);
  for (uint32_t without : {0b111000u, 0b000111u, 0b010101u})
    EXPECT_EQ(decoded(samples_->section_ref, blobs, without), samples_->section) << without;

  auto version = store::decode_version(*record->mutations[2].value);
  ASSERT_TRUE(version);
  const store::Slice& slice = version->slices[0];
  auto data_key = store::unwrap(slice, keys(), {"golden-owner", "golden-bucket", version->version_id, 0});
  ASSERT_TRUE(data_key);
  auto opener = crypto::StreamOpener::create(slice.stream, *data_key);
  ASSERT_TRUE(opener);
  std::string body;
  for (uint64_t i = 0; i < slice.stream.segments; ++i) {
    const index::SmallLocation& at = slice.storage.small[i];
    std::vector<uint8_t> plain(at.length - extent::kTagBytes);
    ASSERT_TRUE((*opener)->open(i, as_bytes(samples_->section).subspan(at.offset, at.length), plain));
    body.append(as_text(plain));
  }
  EXPECT_EQ(body, samples_->body);
}

TEST_F(GoldenFiles, ExtentsOfAllCodesComeBackWithoutAnyOfTheirParityCount) {
  for (erasure::Code code : {erasure::Code{4, 2}, {5, 3}, {6, 3}, {7, 4}, {9, 6}}) {
    const extent::ExtentRef ref = extent_of(samples_->open, code);
    const std::vector<std::string> shards =
        shards_of("extent_" + std::to_string(code.n) + "_" + std::to_string(code.k), ref);
    const uint32_t first = (1u << code.m()) - 1;
    for (int shift = 0; shift <= code.k; ++shift)
      EXPECT_EQ(decoded(ref, shards, first << shift), extent_bytes(code)) << code.n << ' ' << shift;
  }
}

TEST_F(GoldenFiles, AnExtentWithHomesComesBackFromAnyTwoOfItsFourIslands) {
  const extent::ExtentRef ref = placed_extent(samples_->open);
  const std::vector<std::string> shards = shards_of("extent_with_homes", ref);
  for (uint32_t without : {0b0011u, 0b0101u, 0b1001u, 0b0110u, 0b1010u, 0b1100u})
    EXPECT_EQ(decoded(ref, shards, without), extent_bytes({4, 2})) << without;
}

TEST_F(GoldenFiles, RecordsOfWhatHasHomesAreRead) {
  const extent::Homes homes = placed_extent(samples_->open).homes;
  const auto version = store::decode_version(record("version_with_homes").second);
  ASSERT_TRUE(version) << version.error().describe();
  uint64_t counter = 400;
  for (const store::ExtentRun& run : version->slices[0].storage.extents) {
    EXPECT_EQ(run.ref.homes, homes);
    EXPECT_EQ(run.ref.id.counter, counter);
    EXPECT_EQ(run.ref.confirmed, counter == 400 ? 0b1011u : 0b1111u);
    counter += run.segments;
  }
  EXPECT_EQ(counter, 404u);
  const auto live = store::decode_live(record("live_with_homes").second);
  ASSERT_TRUE(live);
  EXPECT_EQ(live->ref.homes, homes);
  EXPECT_EQ(live->ref.kind, extent::ExtentRef::Kind::data);
  EXPECT_EQ(store::live_key(store::key_of(live->ref)), record("live_with_homes").first);
  const auto doomed = store::decode_doomed(record("doomed_with_homes").second);
  ASSERT_TRUE(doomed);
  EXPECT_EQ(doomed->ref.homes, homes);
  EXPECT_EQ(doomed->left, 0b1111u);
}

TEST_F(GoldenFiles, WhatABucketAsksForAndWhatLiesWhereAreRead) {
  const auto document = store::decode_config(record("bucket_placement").second);
  ASSERT_TRUE(document);
  const auto placement = store::decode_bucket_placement(*document);
  ASSERT_TRUE(placement);
  EXPECT_EQ(*placement, (store::BucketPlacement{"eu-only", "personal"}));
  const auto usage = store::decode_usage(record("usage_tallied").second);
  ASSERT_TRUE(usage && usage->tallies);
  ASSERT_EQ(usage->tallies->size(), 2u);
  const auto& [journal, in_commits] = *usage->tallies->begin();
  EXPECT_EQ(journal.in, store::PlacedAs::In::commits);
  EXPECT_EQ(in_commits, (store::Tally{3, 70'003}));
  const auto& [few, in_extents] = *usage->tallies->rbegin();
  EXPECT_EQ(few.n, 4);
  EXPECT_EQ(few.islands[0], 5);
  EXPECT_EQ(in_extents.streams, 1u);
  const auto extents = store::decode_extent_tally(record("extents_by_placing").second);
  ASSERT_TRUE(extents);
  EXPECT_EQ(extents->extents, 2u);
  EXPECT_EQ(record("extents_by_placing").first, store::extent_tally_key(few));
}

TEST_F(GoldenFiles, TheHeadSlotLeadsToTheSnapshot) {
  const std::string name = extent::head_slot_name(keys(), island_id(0), 1);
  auto slot = index::open_head_slot(keys(), name, as_bytes(file("head_slot")));
  ASSERT_TRUE(slot) << slot.error().describe();
  EXPECT_EQ(slot->number, samples_->head.number);
  EXPECT_EQ(slot->position, samples_->head.position);
  ASSERT_EQ(slot->snapshots.size(), 1u);
  const index::SnapshotManifest& manifest = slot->snapshots[0];
  EXPECT_EQ(index::encode_manifest(manifest), file("snapshot_manifest"));
  const std::string sealed = decoded(manifest.ref(0), shards_of("snapshot_chunk", manifest.ref(0)), 0b101010);
  const std::string ad = index::snapshot_wrap_ad(manifest.number, manifest.stream.data_id);
  auto key =
      crypto::unwrap_key(keys().subkey("index"), manifest.wrapped_key, manifest.stream.salt, as_bytes(ad));
  ASSERT_TRUE(key);
  auto opener = crypto::StreamOpener::create(manifest.stream, *key);
  ASSERT_TRUE(opener);
  std::vector<uint8_t> chunk(sealed.size() - extent::kTagBytes);
  ASSERT_TRUE((*opener)->open(0, as_bytes(sealed), chunk));
  auto entries = index::parse_entries(chunk);
  ASSERT_TRUE(entries);
  EXPECT_EQ(entries->size(), 4u);
  EXPECT_EQ(entries->front().first, store::bucket_key("golden-bucket"));
}

TEST_F(GoldenFiles, TheLeaseTellsItsHolder) {
  auto lease = index::decode_lease(keys(), island_id(0), as_bytes(file("lease")));
  ASSERT_TRUE(lease) << lease.error().describe();
  EXPECT_EQ(lease->epoch, 1u);
  EXPECT_EQ(lease->counter, 42u);
  EXPECT_FALSE(lease->released);
}

TEST_F(GoldenFiles, AnUploadItsPartsAndWhatBecameOfThemAreRead) {
  const auto [upload_key, upload_value] = record("upload");
  const std::string prefix = store::uploads_prefix("golden-bucket");
  ASSERT_TRUE(upload_key.starts_with(prefix));
  const auto place = store::upload_place_of(upload_key, prefix.size());
  ASSERT_TRUE(place);
  EXPECT_EQ(place->key, "parts/under way");
  const auto upload = store::decode_upload(upload_value);
  ASSERT_TRUE(upload) << upload.error().describe();
  EXPECT_EQ(upload->initiator, "golden-writer");
  EXPECT_EQ(upload->attributes.owner, "golden-owner");
  EXPECT_TRUE(upload->composite && upload->attributes.legal_hold);

  const auto [part_key, part_value] = record("part");
  EXPECT_EQ(store::part_number_of(part_key), 1u);
  const auto part = store::decode_part(part_value);
  ASSERT_TRUE(part && part->slice);
  EXPECT_EQ(part->size, part->slice->stream.length);
  store::KeyScope scope{"golden-owner", "golden-bucket", place->id, 1};
  EXPECT_FALSE(store::unwrap(*part->slice, keys(), scope));  // the key of a part, not of a version
  scope.of_upload = true;
  EXPECT_TRUE(store::unwrap(*part->slice, keys(), scope));
  EXPECT_EQ(store::part_number_of(record("part_empty").first), 10'000u);
  EXPECT_FALSE(store::decode_part(record("part_empty").second)->slice);

  const auto set = store::decode_part_set(record("part_set").second);
  ASSERT_TRUE(set && !set->completed);
  EXPECT_EQ(set->parts, 2u);
  EXPECT_EQ(set->bytes, part->size);
  const auto completed = store::decode_part_set(record("part_set_completed").second);
  ASSERT_TRUE(completed && completed->completed);
  EXPECT_EQ(completed->completed->key, "parts/done");
  EXPECT_EQ(completed->completed->request, crypto::sha256(as_bytes("the request")));

  EXPECT_EQ(store::drop_of(record("drop").first), place->id);
  EXPECT_TRUE(store::decode_drop(record("drop").second)->numbers.empty());
  EXPECT_EQ(store::decode_drop(record("drop_parts").second)->numbers, (std::vector<uint32_t>{2, 10'000}));
}

// Versions that this program does not know are refused by name, not as damage.
TEST_F(GoldenFiles, OfALaterVersionAreNamedSo) {
  std::string keyring = file("keyring");
  keyring[9] = 2;
  std::ofstream(scratch_ / "later", std::ios::binary) << keyring;
  ::chmod((scratch_ / "later").c_str(), 0600);
  auto later = crypto::Keyring::load(scratch_ / "later", std::string(kPassphrase));
  ASSERT_FALSE(later);
  EXPECT_NE(later.error().message.find("version 2"), std::string::npos);

  std::string marker = file("marker_0");
  marker[17] = 2;
  EXPECT_EQ(island::verify_marker(keys(), island_id(0), as_bytes(marker)).error().code, Code::unsupported);

  index::HeaderBytes header = index::encode_header(samples_->sealed_open.header);
  header[5] = 2;
  EXPECT_EQ(index::decode_header(header).error().code, Code::unsupported);

  const extent::ExtentRef ref = extent_of(samples_->open, {6, 3});
  const std::string name = extent::shard_name(keys(), island_id(0), ref, 0);
  std::string shard = file("extent_6_3").substr(0, extent::kShardHeaderBytes);
  shard[8] = static_cast<char>(shard[8] ^ (1 ^ 2));  // masked by an XOR
  EXPECT_EQ(extent::check_shard_header(keys(), ref, 0, name, as_bytes(shard)).error().code,
            Code::unsupported);

  std::string manifest = file("snapshot_manifest");
  manifest[0] = 2;
  EXPECT_EQ(index::decode_manifest(as_bytes(manifest)).error().code, Code::unsupported);
  std::string version = store::encode(samples_->version);
  version[0] = 3;
  EXPECT_EQ(store::decode_version(version).error().code, Code::unsupported);
}

}  // namespace
}  // namespace archipel::golden
