#include "extent/builder.h"

#include <algorithm>
#include <optional>

#include "extent/cells.h"
#include "extent/header.h"

namespace archipel::extent {
namespace {

constexpr size_t kShardAlign = 64;  // each shard starts on a cache line

}  // namespace

struct ExtentBuilder::State {
  CellKeys keys;
  const erasure::Coder& coder;
  ExtentRef ref;  // geometry.length: what was announced, until finish()
  size_t header_bytes;
  Buffer memory;
  std::vector<uint8_t*> shards;  // where each shard begins in `memory`
  CellTagger tagger;
  uint64_t length = 0;
  uint64_t stripes_done = 0;
  bool ended = false;
  std::vector<Buffer> scratch;  // a short data cell padded with zeros for coding

  State(const CellKeys& k, const erasure::Coder& c, ExtentRef r)
      : keys(k),
        coder(c),
        ref(r),
        header_bytes(ref.kind == ExtentRef::Kind::data ? kShardHeaderBytes : 0),
        tagger(k, ref) {
    const Geometry& g = ref.geometry;
    std::vector<size_t> starts;
    size_t total = 0;
    for (int shard = 0; shard < g.code.n; ++shard) {
      starts.push_back(total);
      total += (header_bytes + g.shard_bytes(shard) + kShardAlign - 1) / kShardAlign * kShardAlign;
    }
    memory = Buffer(total);
    shards.reserve(starts.size());
    for (size_t start : starts) shards.push_back(memory.data() + start);
  }

  uint8_t* cell(uint64_t stripe, int shard) {
    return shards[static_cast<size_t>(shard)] + header_bytes + ref.geometry.cell_offset(stripe);
  }

  // The cell's bytes as the coder wants them: `width` long, or nullptr for zeros.
  const uint8_t* data_for_coding(uint64_t stripe, int shard, size_t width) {
    size_t size = ref.geometry.cell_on_shard(stripe, shard);
    if (size == 0) return nullptr;
    if (size == width) return cell(stripe, shard);
    Buffer padded(width);
    std::memcpy(padded.data(), cell(stripe, shard), size);
    std::memset(padded.data() + size, 0, width - size);
    scratch.push_back(std::move(padded));
    return scratch.back().data();
  }

  void code_stripe(uint64_t stripe) {
    const Geometry& g = ref.geometry;
    size_t width = g.cell_on_shard(stripe, g.code.n - 1);
    std::vector<const uint8_t*> data;
    std::vector<uint8_t*> parity;
    data.reserve(static_cast<size_t>(g.code.k));
    parity.reserve(static_cast<size_t>(g.code.m()));
    for (int shard = 0; shard < g.code.k; ++shard) data.push_back(data_for_coding(stripe, shard, width));
    for (int shard = g.code.k; shard < g.code.n; ++shard) parity.push_back(cell(stripe, shard));
    coder.encode(data, parity, width);
    scratch.clear();
  }

  void tag_stripe(uint64_t stripe) {
    const Geometry& g = ref.geometry;
    for (int shard = 0; shard < g.code.n; ++shard) {
      size_t size = g.cell_on_shard(stripe, shard);
      if (size == 0) continue;
      uint8_t* bytes = cell(stripe, shard);
      crypto::Tag tag = tagger.tag(shard, stripe, ByteView(bytes, size));
      std::memcpy(bytes + size, tag.data(), tag.size());
    }
  }
};

ExtentBuilder::ExtentBuilder(const CellKeys& keys, const erasure::Coder& coder, ExtentRef ref) {
  CHECK(check_geometry(ref.geometry).has_value());
  CHECK(coder.code() == ref.geometry.code);
  ref.confirmed = 0;
  if (ref.kind == ExtentRef::Kind::data) ref.base = kShardHeaderBytes;
  state_ = std::make_unique<State>(keys, coder, ref);
}
ExtentBuilder::~ExtentBuilder() = default;
ExtentBuilder::ExtentBuilder(ExtentBuilder&&) noexcept = default;
ExtentBuilder& ExtentBuilder::operator=(ExtentBuilder&&) noexcept = default;

uint64_t ExtentBuilder::room() const {
  return state_->ended ? 0 : state_->ref.geometry.length - state_->length;
}
uint64_t ExtentBuilder::length() const {
  return state_->length;
}

MutableBytes ExtentBuilder::next_cell() {
  CHECK(room() > 0);
  const Geometry& g = state_->ref.geometry;
  uint64_t c = state_->length / g.cell_bytes;
  auto k = static_cast<uint64_t>(g.code.k);
  return {state_->cell(c / k, static_cast<int>(c % k)), std::min<uint64_t>(g.cell_bytes, room())};
}

void ExtentBuilder::commit(size_t used) {
  State& s = *state_;
  const Geometry& g = s.ref.geometry;
  CHECK(used > 0 && used <= std::min<uint64_t>(g.cell_bytes, room()));
  s.length += used;
  s.ended = used < g.cell_bytes;
  uint64_t stripe_bytes = uint64_t{g.cell_bytes} * static_cast<uint64_t>(g.code.k);
  if (s.ended || s.length % stripe_bytes != 0) return;
  s.code_stripe(s.stripes_done);
  s.tag_stripe(s.stripes_done);
  ++s.stripes_done;
}

CodedExtent ExtentBuilder::finish(const std::vector<std::string>& names) {
  State& s = *state_;
  Geometry& g = s.ref.geometry;
  CHECK(s.length > 0 || g.length == 0);
  if (s.length != g.length) {
    g.length = s.length;  // the cell keys depend on it
    s.tagger = CellTagger(s.keys, s.ref);
    for (uint64_t stripe = 0; stripe < s.stripes_done; ++stripe) s.tag_stripe(stripe);
  }
  for (; s.stripes_done < g.stripes(); ++s.stripes_done) {
    s.code_stripe(s.stripes_done);
    s.tag_stripe(s.stripes_done);
  }
  CodedExtent out;
  for (int shard = 0; shard < g.code.n; ++shard) {
    uint8_t* start = s.shards[static_cast<size_t>(shard)];
    out.shards.emplace_back(start, s.header_bytes + g.shard_bytes(shard));
    if (s.header_bytes == 0) continue;
    CHECK(names.size() == static_cast<size_t>(g.code.n));
    write_shard_header(s.keys, s.tagger, s.ref, shard, names[static_cast<size_t>(shard)],
                       {start, kShardHeaderBytes});
  }
  out.ref = s.ref;
  out.memory = std::move(s.memory);
  state_.reset();
  return out;
}

static Result<CodedExtent> encode(const CellKeys& keys, const erasure::Coder& coder, ExtentRef ref,
                                  ByteView sealed, const std::vector<std::string>& names) {
  RETURN_IF_ERROR(check_geometry(ref.geometry));
  CHECK(sealed.size() == ref.geometry.length);
  ExtentBuilder builder(keys, coder, ref);
  while (!sealed.empty()) {
    MutableBytes cell = builder.next_cell();
    std::memcpy(cell.data(), sealed.data(), cell.size());
    builder.commit(cell.size());
    sealed = sealed.subspan(cell.size());
  }
  return builder.finish(names);
}

Result<CodedExtent> encode_extent(const CellKeys& keys, const erasure::Coder& coder, ExtentRef ref,
                                  ByteView sealed, const std::vector<std::string>& names) {
  CHECK(ref.kind == ExtentRef::Kind::data);
  if (sealed.empty()) return fail(Code::invalid, "an extent has at least one byte");
  return encode(keys, coder, ref, sealed, names);
}

Result<CodedExtent> encode_section(const CellKeys& keys, const erasure::Coder& coder, ExtentRef ref,
                                   ByteView sealed) {
  CHECK(ref.kind == ExtentRef::Kind::section);
  return encode(keys, coder, ref, sealed, {});
}

}  // namespace archipel::extent
