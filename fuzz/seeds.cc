#include "seeds.h"

#include "edge/disk_format.h"
#include "edge/purge_log.h"
#include "edge/told_log.h"
#include "extent/work_item.h"
#include "fuzz_support.h"
#include "index/record.h"
#include "index/snapshot_entries.h"
#include "index/snapshot_manifest.h"
#include "store/keys.h"
#include "store/records.h"
#include "store/registry.h"
#include "store/repair_records.h"

namespace archipel::fuzz {
namespace {

// The first byte of an input says which decoder it is for.
std::string for_decoder(uint8_t which, std::string_view bytes) {
  return static_cast<char>(which) + std::string(bytes);
}

std::string plain_record() {
  index::Record record;
  record.epoch = 2;
  record.seq = 5;
  record.commit_ms = 1'700'000'000'000;
  record.confirmed = {{2, 3, 0x3f}, {2, 4, 0x1f}};
  record.mutations = {{"o/bucket", "value"}, {"x/gone", std::nullopt}};
  return index::encode_record(record, 200);
}

std::string plain_open() {
  index::EpochOpen open;
  open.epoch = 2;
  open.parent_epoch = 1;
  open.parent_seq = 9;
  open.code = {6, 3};
  open.w = 4;
  open.extent_range = 64;
  for (int i = 0; i < 6; ++i) open.roster.push_back({"island-" + std::to_string(i), {}, {}});
  return index::encode_open(open);
}

index::SnapshotManifest manifest() {
  index::SnapshotManifest m;
  m.number = 3;
  m.position = {2, 5, {}, {}};
  m.entries = 10;
  m.code = {6, 3};
  m.stream.length = 3 * extent::kSegmentPlain;
  m.stream.segments = 3;
  m.chunk_segments = 2;
  m.chunks = {{{2, 9}, {}, 0x3f}, {{2, 10}, {}, 0x1f}};
  return m;
}

std::string chunk() {
  std::string out;
  index::append_entry(out, "a/key", "value");
  index::append_entry(out, "b/key", "");
  out.resize(64, '\0');
  return out;
}

std::string header_bytes() {
  index::Header header;
  header.epoch = 2;
  header.seq = 5;
  header.record_bytes = 216;
  header.section = {{6, 3}, 700, 2000};
  return std::string(as_text(index::encode_header(header)));
}

store::VersionRecord version(uint64_t size) {
  store::VersionRecord record;
  record.info.size = size;
  record.info.etag = "d41d8cd98f00b204e9800998ecf8427e";
  record.info.checksum = {store::Checksum::Kind::crc32, "1234"};
  record.info.headers = {{"content-type", "text/plain"}};
  record.info.metadata = {{"colour", "blue"}};
  if (size == 0) return record;
  store::Slice slice;
  slice.stream.length = size;
  slice.stream.segments = (size + extent::kSegmentPlain - 1) / extent::kSegmentPlain;
  if (slice.stream.segments <= 2) {
    for (uint64_t i = 0; i < slice.stream.segments; ++i) {
      index::SmallLocation l;
      l.section.kind = extent::ExtentRef::Kind::section;
      l.section.id = {2, 5};
      l.section.geometry = {{6, 3}, extent::kCellBytesMax, 2 * extent::kCellBytesMax};
      l.section.base = 344;
      l.length = store::sealed_bytes(slice.stream, i, 1);
      slice.storage.small.push_back(l);
    }
  } else {
    store::ExtentRun run;
    run.ref.id = {2, 17};
    run.segments = slice.stream.segments;
    run.ref.geometry = {{6, 3}, extent::kSegmentSealed, store::sealed_bytes(slice.stream, 0, run.segments)};
    run.ref.confirmed = 0x3f;
    slice.storage.extents.push_back(run);
  }
  record.slices.push_back(std::move(slice));
  return record;
}

std::string geometry(uint32_t cell_bytes, uint64_t length) {
  std::string out;
  Writer(out).u8(6).u8(3).u32(cell_bytes).u64(length);
  return out;
}

extent::Homes some_homes() {
  return *extent::Homes::of(std::vector<uint8_t>{5, 0, 3, 2});
}

store::VersionRecord version_with_homes() {
  store::VersionRecord record = version(1'000'000);
  for (store::ExtentRun& run : record.slices[0].storage.extents) {
    run.ref.geometry.code = {4, 2};
    run.ref.homes = some_homes();
    run.ref.confirmed = 0b1011;
  }
  return record;
}

edge::Entry edge_entry() {
  edge::Entry entry;
  entry.id = 7;
  entry.key = "site\nhttp://host:80/a";
  entry.site = "site";
  entry.tags = {"news"};
  entry.groups = {"g"};
  entry.headers.add("content-type", "text/plain");
  entry.length = 4;
  entry.last_modified = 1'700'000'000'000;
  entry.ranges = true;
  entry.h1_head = "HTTP/1.1 200 OK\r\n";
  return entry;
}

std::string edge_record() {
  edge::disk::RecordHeader header;
  header.sequence = 3;
  header.key = {1, 2};
  header.id = 7;
  header.body_bytes = 4;
  header.meta_bytes = 200;
  std::string out;
  edge::disk::append_record_header(out, header);
  return out;
}

enum class Item { standard, with_homes, of_journal };
std::string work_item(Item kind) {
  const bool journal = kind == Item::of_journal;
  extent::WorkItem item;
  item.ref.geometry = {{6, 3}, 100, 1000};
  item.ref.id = {2, 7};
  if (kind == Item::with_homes) {
    item.ref.geometry.code = {4, 2};
    item.ref.homes = some_homes();
  }
  const std::vector<island::BlobName> names(static_cast<size_t>(item.n()), std::string(40, 'a'));
  item.names = names;
  if (journal) {
    item.ref.kind = extent::ExtentRef::Kind::section;
    item.ref.base = 128 + 200;
    item.record.emplace();
    item.record->bytes = 200;
    item.record->headers.resize(6);
  } else {
    item.next_names = names;
  }
  return extent::encode_work_item(item);
}

// Length, cell size, then steps of seven bytes.
std::string program(std::string_view steps) {
  std::string out;
  Writer(out).u16(1500).u8(100).raw(steps);
  return out;
}

}  // namespace

std::map<std::pair<std::string, std::string>, std::string> seeds() {
  std::map<std::pair<std::string, std::string>, std::string> out;
  auto journal = [&](const char* name) -> std::string& { return out[{"journal", name}]; };
  journal("header") = for_decoder(0, header_bytes());
  journal("record") = for_decoder(1, plain_record());
  journal("open") = for_decoder(2, plain_open());
  journal("sealed") = for_decoder(4, std::string("\x01\x02\x40", 3) + plain_record());
  auto view = [&](const char* name) -> std::string& { return out[{"view", name}]; };
  view("version_empty") = for_decoder(0, store::encode(version(0)));
  view("version_small") = for_decoder(0, store::encode(version(100'000)));
  view("version_large") = for_decoder(0, store::encode(version(1'000'000)));
  store::VersionRecord locked = version(100'000);
  locked.order = 1'700'000'000'000'000;
  locked.null = false;
  locked.info.attributes.tags = {{"colour", "blue"}};
  locked.info.attributes.acl = "acl";
  locked.info.attributes.retention = {store::Retention::Mode::compliance, 1'800'000'000'000};
  locked.info.attributes.legal_hold = true;
  view("version_locked") = for_decoder(0, store::encode(locked));
  locked.slices.clear();
  locked.part_set.emplace().fill(5);
  locked.parts = {{1, 5u << 20, "sum1"}, {2, 3, ""}};
  locked.info.parts = 2;
  locked.info.size = (5u << 20) + 3;
  view("version_parts") = for_decoder(0, store::encode(locked));
  store::VersionRecord marker;
  marker.order = 7;
  marker.info.delete_marker = true;
  view("delete_marker") = for_decoder(0, store::encode(marker));
  view("bucket_versioned") =
      for_decoder(1, store::encode(store::BucketRecord{
                         "owner", 1'700'000'000'000, store::Versioning::suspended, false, {5, 6}}));
  view("usage") = for_decoder(1, store::encode(store::UsageRecord{{300, 2}, {1000, 0}}));
  view("configuration") = for_decoder(1, store::encode_config("<CORSConfiguration/>"));
  view("version_key") = for_decoder(5, store::version_key("bucket", "key", 7));
  view("bucket") = for_decoder(1, store::encode(store::BucketRecord{"owner", 1'700'000'000'000}));
  std::unique_ptr<Random> random = seeded_random(3);
  std::string access_key = "AKIDEXAMPLEKEYOF20CH";
  store::Account account{"id", "name", access_key, "secret"};
  view("account") = for_decoder(2, access_key + store::encode(account, keys(), *random));
  const extent::ExtentRef lies = version(1'000'000).slices[0].storage.extents[0].ref;
  const extent::ExtentRef small = version(100'000).slices[0].storage.small[0].section;
  view("live") = for_decoder(3, store::encode(store::LiveRecord{1000, lies}));
  const extent::ExtentRef placed = version_with_homes().slices[0].storage.extents[0].ref;
  view("version_homes") = for_decoder(0, store::encode(version_with_homes()));
  view("live_homes") = for_decoder(3, store::encode(store::LiveRecord{1000, placed}));
  view("doomed_homes") = for_decoder(3, store::encode(store::doomed_now(placed, 1'700'000'000'000)));
  store::UsageRecord usage{{5'000, 4}, {}};
  usage.tallies.emplace();
  (*usage.tallies)[store::placing_of(small)] = {3, 4'000};
  (*usage.tallies)[store::placing_of(placed)] = {1, 1'000};
  view("usage_tallied") = for_decoder(1, store::encode(usage));
  view("extent_tally") = for_decoder(3, store::encode(store::ExtentTally{2, 5'000}));
  view("live_section") = for_decoder(3, store::encode(store::LiveRecord{1000, small}));
  view("doomed") = for_decoder(3, store::encode(store::doomed_now(lies, 1'700'000'000'000)));
  extent::ExtentRef owing = lies;
  owing.confirmed = 0x1f;
  view("exception") = for_decoder(3, store::encode(*store::exception_of(owing, 1'700'000'000'000)));
  view("rebuild") = for_decoder(3, store::encode(store::RebuildRecord{{}, false, {1, 2, 3}}));
  view("extent_key") = for_decoder(3, store::live_key(store::key_of(small)));
  view("count") = for_decoder(4, store::encode_count(300));
  auto snapshot = [&](const char* name) -> std::string& { return out[{"snapshot", name}]; };
  snapshot("manifest") = for_decoder(0, index::encode_manifest(manifest()));
  snapshot("chunk") = for_decoder(1, chunk());
  snapshot("slot") = for_decoder(2, std::string("\x02\x01\x00\x40", 4) + index::encode_manifest(manifest()));
  auto extent = [&](const char* name) -> std::string& { return out[{"extent", name}]; };
  extent("geometry") = for_decoder(0, geometry(100, 1234));
  extent("geometry_large") = for_decoder(0, geometry(extent::kCellBytesMax, 8u << 20));
  extent("header") = for_decoder(1, std::string(40, '\0') + "\x01");
  extent("program") = for_decoder(2, program(std::string("\x00\x02\x00\x31\x00\x00\x01"
                                                         "\x05\x01\x00\x00\x00\x00\x04"
                                                         "\x03\x03\x00\x07\x00\x00\x00",
                                                         21)));
  extent("program_foreign") = for_decoder(2, program(std::string("\x06\x00\x00\x00\x00\x00\x00", 7)));
  extent("work_item") = for_decoder(3, work_item(Item::standard));
  extent("work_item_homes") = for_decoder(3, work_item(Item::with_homes));
  extent("work_item_journal") = for_decoder(3, work_item(Item::of_journal));
  auto files = [&](const char* name) -> std::string& { return out[{"files", name}]; };
  files("marker") = for_decoder(0, std::string(30, '\0') + "\x01");
  files("lease") = for_decoder(2, std::string(50, '\0') + "\x01");
  std::string cost;
  Writer(cost).raw("ARCHKEYR").u16(1).u8(1).u8(1).u32(1).u32(8);
  cost.resize(8336, '\x55');
  files("keyring_cheap") = for_decoder(1, cost.substr(0, 120));
  auto edge_disk = [&](const char* name) -> std::string& { return out[{"edge_disk", name}]; };
  edge_disk("record") = for_decoder(0, edge_record().substr(0, edge::disk::kRecordHeaderBytes - 4));
  edge_disk("table") = for_decoder(
      1, edge::disk::encode_footer({}, 7, {{1, edge::disk::Kind::entry, 1, 200, 9}}, 1, 2).substr(0, 24));
  edge_disk("entry") = for_decoder(2, edge::disk::encode_entry(edge_entry()));
  edge_disk("variants") = for_decoder(3, edge::disk::encode_variants({"key", {{"accept-encoding"}, {}}}));
  edge::PurgeBook book{edge::HashSecret{}};
  book.add(edge::PurgeScope::prefix, {}, "site\nhttp://host:80/dir", true);
  book.set_heard({{3, 4, 5}});
  const std::string log = edge::encode_purge_log({}, book.snapshot());
  edge_disk("purges") = for_decoder(4, log.substr(0, 60) + log.substr(64, 36) + log.substr(104, 36));
  edge::told::State told;
  told.id = 7;
  told.was = {{3, 4, 5, 6}};
  edge_disk("told") = for_decoder(5, edge::told::encode(told).substr(0, 64) + std::string(30, '\x0a'));
  return out;
}

}  // namespace archipel::fuzz
