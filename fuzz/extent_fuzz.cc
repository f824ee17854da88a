// Shards as islands may hand them out. First byte: geometry, header, or a program that cuts and pastes the cells of real shards.
//
// Properties: an accepted geometry adds up; no header but the right one passes; whatever was cut, pasted, swapped or invented, decoding
// gives the right bytes or an error, gives them while at most n-k shards were touched, and never blames a shard that was not.
#include "erasure/coder.h"
#include "extent/decode.h"
#include "extent/header.h"
#include "extent/work_item.h"
#include "fuzz_support.h"

using namespace archipel;
using namespace archipel::extent;

namespace {

constexpr uint64_t kCellsMax = 2048;  // walked one by one

void geometry(ByteView in) {
  Reader r(in);
  Geometry g;
  g.code.n = r.u8();
  g.code.k = r.u8();
  g.cell_bytes = r.u32();
  g.length = r.u64();
  if (!r.ok() || !check_geometry(g)) return;
  MUST(g.code.k >= 1 && g.code.n > g.code.k && g.cell_bytes <= kCellBytesMax && g.length <= kExtentBytesMax);
  if (g.cells() > kCellsMax) return;
  uint64_t data = 0, stored = 0, expected = 0;
  for (uint64_t c = 0; c < g.cells(); ++c) data += g.data_cell_bytes(c);
  for (int shard = 0; shard < g.code.n; ++shard) {
    stored += g.shard_bytes(shard);
    for (uint64_t stripe = 0; stripe < g.stripes(); ++stripe) {
      uint64_t cell = g.cell_on_shard(stripe, shard);
      expected += cell == 0 ? 0 : cell + kTagBytes;
    }
  }
  MUST(data == g.length && stored == expected);
}

ExtentRef ref_of(uint64_t length, uint32_t cell_bytes) {
  ExtentRef ref;
  ref.kind = ExtentRef::Kind::section;  // no headers: decode_extent() wants cells alone
  ref.id = {3, 7};
  ref.attempt.fill(9);
  ref.geometry = {{6, 3}, cell_bytes, length};
  return ref;
}

void header(ByteView in) {
  ExtentRef ref = ref_of(1000, 100);
  ref.kind = ExtentRef::Kind::data;
  CellTagger tagger(fuzz::keys(), ref);
  ShardHeader right;
  write_shard_header(fuzz::keys(), tagger, ref, 2, fuzz::kName, right);
  MUST(check_shard_header(fuzz::keys(), ref, 2, fuzz::kName, right).has_value());
  MUST(!check_shard_header(fuzz::keys(), ref, 3, fuzz::kName, right));
  // The input is XORed onto the right header: mutations reach behind the mask.
  for (size_t i = 0; i < in.size() && i < right.size(); ++i) right[i] ^= in[i];
  bool unchanged = true;
  for (size_t i = 0; i < in.size() && i < right.size(); ++i) unchanged = unchanged && in[i] == 0;
  MUST(check_shard_header(fuzz::keys(), ref, 2, fuzz::kName, right).has_value() == unchanged);
}

std::string repeat(ByteView in, size_t size) {
  std::string out;
  for (size_t i = 0; i < size; ++i)
    out.push_back(static_cast<char>(in.empty() ? i * 7 : in[i % in.size()] + i));
  return out;
}

// One step: what, which shard, and three numbers that mean what they can.
void edit(Reader& r, std::vector<std::optional<std::string>>& shards,
          const std::vector<std::string>& foreign) {
  uint8_t what = r.u8();
  size_t n = shards.size(), shard = r.u8() % n;
  size_t a = r.u16(), b = r.u16(), c = r.u8();
  if (!shards[shard]) return;
  std::string& bytes = *shards[shard];
  size_t at = bytes.empty() ? 0 : a % bytes.size();
  switch (what % 8) {
    case 0:
      if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ c);
      break;
    case 1:
      bytes.resize(at);
      break;
    case 2:
      bytes.append(b % 300, static_cast<char>(c));
      break;
    case 3:
      bytes.erase(0, at);
      break;
    case 4:
      bytes.insert(at, bytes.substr(0, b % (bytes.size() + 1)));
      break;
    case 5:
      std::swap(shards[shard], shards[c % n]);
      break;
    case 6:
      bytes = foreign[c % n];
      break;
    default:
      shards[shard].reset();
  }
}

void cut_and_paste(ByteView in) {
  static const erasure::Coder coder({6, 3});
  Reader r(in);
  uint64_t length = r.u16() % 3000 + 1;
  uint32_t cell_bytes = r.u8() % 200 + 1u;
  if (!r.ok()) return;
  ExtentRef ref = ref_of(length, cell_bytes), other = ref;
  other.attempt.fill(10);
  std::string content = repeat(in, length);
  auto coded = encode_section(fuzz::keys(), coder, ref, as_bytes(content));
  auto stranger = encode_section(fuzz::keys(), coder, other, as_bytes(content));
  MUST(coded && stranger);
  std::vector<std::string> right, foreign;
  for (ByteView shard : coded->shards) right.emplace_back(as_text(shard));
  for (ByteView shard : stranger->shards) foreign.emplace_back(as_text(shard));
  std::vector<std::optional<std::string>> shards(right.begin(), right.end());
  for (int steps = 0; steps < 16 && r.remaining() >= 7; ++steps) edit(r, shards, foreign);

  std::vector<std::optional<ByteView>> views(6);
  int touched = 0;
  for (size_t i = 0; i < 6; ++i) {
    if (shards[i]) views[i] = as_bytes(*shards[i]);
    touched += shards[i] != right[i];
  }
  std::vector<uint64_t> wrong(6);
  Result<Buffer> decoded = decode_extent(fuzz::keys(), coder, ref, views, &wrong);
  MUST(!decoded || as_text(*decoded) == content);
  MUST(decoded || touched > 3);
  for (size_t i = 0; i < 6; ++i) MUST(wrong[i] == 0 || shards[i] != right[i]);
}

// What the repairing process is handed: a hostile one gains nothing, for it is checked, and canonical.
void work_item(ByteView in) {
  Result<WorkItem> decoded = decode_work_item(in);
  if (!decoded) return;
  MUST(check_work_item(*decoded).has_value());
  MUST(encode_work_item(*decoded) == as_text(in));
  for (int shard = 0; shard < decoded->n(); ++shard)
    MUST(decoded->blob_bytes(shard) <= island::kBlobBytesMax * 2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  ByteView in(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      geometry(in);
      break;
    case 1:
      header(in);
      break;
    case 3:
      work_item(in);
      break;
    default:
      cut_and_paste(in);
  }
  return 0;
}
