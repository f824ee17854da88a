// What a disk gives back to the edge's cache. Properties: what is accepted is within its limits, and encodes to the same bytes. Checksums are made right
// here, so that the decoders behind them are reached.
#include "crypto/checksum.h"
#include "edge/disk_format.h"
#include "edge/purge_log.h"
#include "edge/told_log.h"
#include "fuzz_support.h"

using namespace archipel;
using namespace archipel::edge;

namespace {

std::string sealed(ByteView bytes, size_t size) {
  std::string out(as_text(bytes));
  out.resize(size - 4, '\0');
  crypto::Crc32c crc;
  crc.update(as_bytes(out));
  Writer(out).u32(crc.value());
  return out;
}

void record_header(ByteView bytes) {
  const std::string whole = sealed(bytes, disk::kRecordHeaderBytes);
  std::optional<disk::RecordHeader> header = disk::decode_record_header(as_bytes(whole));
  if (!header) return;
  MUST(header->bytes() <= disk::kRecordBytesMax);
  std::string again;
  disk::append_record_header(again, *header);
  MUST(again == whole);
}

void footer(ByteView bytes) {
  const size_t count = bytes.size() / disk::kItemBytes;
  const ByteView table = bytes.first(count * disk::kItemBytes);
  disk::Trailer trailer;
  trailer.items = static_cast<uint32_t>(count);
  trailer.table_at = disk::kRegionBytes - disk::footer_bytes(count);
  crypto::Crc32c crc;
  crc.update(table);
  trailer.table_crc = crc.value();
  std::optional<std::vector<disk::Item>> items = disk::decode_table(table, trailer);
  if (!items) return;
  for (const disk::Item& item : *items)
    MUST(item.unit > 0 && uint64_t{item.unit} * disk::kUnit + item.bytes <= trailer.table_at);
  const std::string again = disk::encode_footer({}, 7, *items, 1, 2);
  MUST(std::string_view(again).substr(0, table.size()) == as_text(table));
  std::optional<disk::Trailer> read =
      disk::decode_trailer(as_bytes(std::string_view(again).substr(table.size())), {}, 7);
  MUST(read && read->table_at == trailer.table_at && read->table_crc == trailer.table_crc);
}

void purge_log(ByteView bytes) {
  // As a file: a header made right, then records of 36 bytes and their checksums.
  std::string whole = sealed(bytes.first(std::min<size_t>(bytes.size(), 60)), 64);
  for (ByteView rest = bytes.subspan(std::min<size_t>(bytes.size(), 60)); !rest.empty();
       rest = rest.subspan(std::min<size_t>(rest.size(), 36)))
    whole += sealed(rest.first(std::min<size_t>(rest.size(), 36)), 40);
  std::optional<PurgeBook::Snapshot> snapshot = decode_purge_log(as_bytes(whole), {});
  if (!snapshot) return;
  MUST(snapshot->forgotten_hard <= snapshot->latest && snapshot->forgotten_soft <= snapshot->latest);
  for (const Purge& purge : snapshot->purges) MUST(purge.number > 0 && purge.number <= snapshot->latest);
  std::optional<PurgeBook::Snapshot> again = decode_purge_log(as_bytes(encode_purge_log({}, *snapshot)), {});
  MUST(again && again->purges == snapshot->purges && again->latest == snapshot->latest &&
       again->heard == snapshot->heard);
}

void told_log(ByteView bytes) {
  // As a file: a head made right, then records each with their checksums.
  const size_t earlier = bytes.size() > 9 ? bytes[9] % (PurgesHeard::kEarlierMax + 2) : 0;
  const size_t head = 32 + earlier * 32;
  std::string first(as_text(bytes.first(std::min(bytes.size(), head))));
  if (first.size() > 9) first[9] = static_cast<char>(earlier);
  std::string whole = sealed(as_bytes(first), head + 4);
  uint64_t number = Reader(std::string_view(whole).substr(24)).u64();
  for (ByteView rest = bytes.subspan(std::min(bytes.size(), head)); !rest.empty();) {
    const size_t size = std::min<size_t>(rest[0], rest.size());
    if (size == 255) whole += "cut";
    told::append_record(whole, ++number, as_text(rest.first(size)));
    rest = rest.subspan(std::max<size_t>(size, 1));
  }
  auto state = told::decode(as_bytes(whole));
  if (!state) return;
  MUST(state->was.size() <= PurgesHeard::kEarlierMax && state->latest() >= state->before);
  auto again = told::decode(as_bytes(told::encode(*state)));
  MUST(again && *again == *state);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(data + 1, size - 1);
  switch (data[0] % 6) {
    case 0:
      record_header(bytes);
      break;
    case 1:
      footer(bytes);
      break;
    case 2:
      if (auto entry = disk::decode_entry(bytes)) MUST(disk::encode_entry(*entry) == as_text(bytes));
      break;
    case 3:
      if (auto variants = disk::decode_variants(bytes))
        MUST(disk::encode_variants(*variants) == as_text(bytes));
      break;
    case 4:
      purge_log(bytes);
      break;
    default:
      if (auto state = told::decode(bytes)) MUST(state->was.size() <= PurgesHeard::kEarlierMax);
      told_log(bytes);
  }
  return 0;
}
