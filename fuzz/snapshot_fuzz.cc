// What a start takes from snapshots and head slots. First byte: which of them.
//
// Properties: a manifest that decodes is canonical and its extents are sound; the entries of a chunk rise and rebuild it; a slot opens under
// its own name and to what was sealed, and with one byte changed not at all.
#include "fuzz_support.h"
#include "index/head_slots.h"
#include "index/snapshot_entries.h"

using namespace archipel;
using namespace archipel::index;

namespace {

void manifest(ByteView in) {
  Result<SnapshotManifest> decoded = decode_manifest(in);
  if (!decoded) return;
  MUST(encode_manifest(*decoded) == as_text(in));
  uint64_t bytes = 0;
  for (const extent::ExtentRef& ref : decoded->refs()) {
    MUST(extent::check_geometry(ref.geometry).has_value());
    bytes += ref.geometry.length;
  }
  MUST(bytes == decoded->sealed_bytes());
}

void chunk(ByteView in) {
  Result<std::vector<Entry>> entries = parse_entries(in);
  if (!entries) return;
  MUST(!entries->empty());
  std::string again;
  for (const auto& [key, value] : *entries) append_entry(again, key, value);
  MUST(again.size() <= in.size());
  again.resize(in.size(), '\0');
  MUST(again == as_text(in));
  for (size_t i = 1; i < entries->size(); ++i) MUST((*entries)[i - 1].first < (*entries)[i].first);
}

// Number of islands, a u16 that picks the byte to change, a u8 to change it by, then a manifest.
void slot(ByteView in) {
  MUST(!open_head_slot(fuzz::keys(), fuzz::kName, in));
  Reader r(in);
  size_t islands = r.u8() % (kRosterMax + 1);
  size_t at = r.u16();
  uint8_t change = r.u8();
  if (!r.ok()) return;
  HeadSlot made;
  made.number = at;
  made.code = {6, 3};
  for (size_t i = 0; i < islands; ++i) made.roster.push_back({"island-" + std::to_string(i), {}, {}});
  if (Result<SnapshotManifest> inside = decode_manifest(r.raw(r.remaining())))
    made.snapshots.push_back(*inside);
  static const std::unique_ptr<Random> random = seeded_random(17);
  Result<std::string> sealed = seal_head_slot(fuzz::keys(), *random, fuzz::kName, made);
  MUST(sealed.has_value());
  Result<HeadSlot> opened = open_head_slot(fuzz::keys(), fuzz::kName, as_bytes(*sealed));
  MUST(opened && opened->number == at && opened->roster.size() == islands);
  MUST(opened->snapshots.size() == made.snapshots.size());
  MUST(!open_head_slot(fuzz::keys(), "another name", as_bytes(*sealed)));
  MUST(!open_head_slot(fuzz::keys(), fuzz::kName, as_bytes(*sealed).first(at % sealed->size())));
  if (change == 0) return;
  (*sealed)[at % sealed->size()] = static_cast<char>((*sealed)[at % sealed->size()] ^ change);
  MUST(!open_head_slot(fuzz::keys(), fuzz::kName, as_bytes(*sealed)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  ByteView in(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      manifest(in);
      break;
    case 1:
      chunk(in);
      break;
    default:
      slot(in);
  }
  return 0;
}
