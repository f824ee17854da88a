#include "extent/decode.h"

#include <algorithm>

#include "extent/header.h"

namespace archipel::extent {

uint64_t first_cell_offset(const ExtentRef& ref) {
  return ref.kind == ExtentRef::Kind::data ? kShardHeaderBytes : uint64_t{ref.base};
}

uint64_t run_offset(const ExtentRef& ref, const CellRun& run) {
  return first_cell_offset(ref) + ref.geometry.cell_offset(run.first);
}

uint64_t run_bytes(const Geometry& g, const CellRun& run) {
  uint32_t tail = g.cell_on_shard(run.last, run.shard);
  return g.cell_offset(run.last) - g.cell_offset(run.first) + (tail == 0 ? 0 : tail + kTagBytes);
}

ByteView stored_cell(const Geometry& g, const CellRun& run, ByteView bytes, uint64_t stripe) {
  uint32_t size = g.cell_on_shard(stripe, run.shard);
  uint64_t start = g.cell_offset(stripe) - g.cell_offset(run.first);
  if (size == 0 || start + size + kTagBytes > bytes.size()) return {};
  return bytes.subspan(start, size + kTagBytes);
}

ByteView cell_payload(const Geometry& g, const CellRun& run, ByteView bytes, uint64_t stripe) {
  ByteView stored = stored_cell(g, run, bytes, stripe);
  return stored.empty() ? stored : stored.first(stored.size() - kTagBytes);
}

std::vector<bool> verify_run(CellTagger& tagger, const Geometry& g, const CellRun& run, ByteView bytes) {
  std::vector<bool> good(run.last - run.first + 1);
  for (uint64_t s = run.first; s <= run.last; ++s) {
    bool absent = g.cell_on_shard(s, run.shard) == 0;
    good[s - run.first] = absent || tagger.verify(run.shard, s, stored_cell(g, run, bytes, s));
  }
  return good;
}

std::vector<bool> present(const Geometry& g, const CellRun& run, ByteView bytes) {
  std::vector<bool> there(run.last - run.first + 1);
  for (uint64_t s = run.first; s <= run.last; ++s)
    there[s - run.first] = g.cell_on_shard(s, run.shard) == 0 || !stored_cell(g, run, bytes, s).empty();
  return there;
}

std::vector<Buffer> rebuild_cells(const erasure::Coder& coder, const Geometry& g, uint64_t stripe,
                                  std::span<const GoodCell> good, std::span<const int> wanted) {
  CHECK(good.size() == static_cast<size_t>(g.code.k));
  const size_t length =
      g.cell_on_shard(stripe, g.code.n - 1);  // parity is as long as the stripe's longest cell
  std::vector<Buffer> padded;  // a short last data cell, filled up with the zeros that it was coded with
  std::vector<int> have;
  std::vector<const uint8_t*> cells;
  for (const GoodCell& cell : good) {
    CHECK(cell.bytes.size() == g.cell_on_shard(stripe, cell.shard));
    have.push_back(cell.shard);
    if (cell.bytes.size() == length) {
      cells.push_back(cell.bytes.data());
    } else if (cell.bytes.empty()) {
      cells.push_back(nullptr);
    } else {
      Buffer copy(length);
      std::memcpy(copy.data(), cell.bytes.data(), cell.bytes.size());
      std::memset(copy.data() + cell.bytes.size(), 0, length - cell.bytes.size());
      cells.push_back(copy.data());
      padded.push_back(std::move(copy));
    }
  }
  std::vector<Buffer> out;
  std::vector<uint8_t*> targets;
  for (size_t i = 0; i < wanted.size(); ++i) {
    out.emplace_back(length);
    targets.push_back(out.back().data());
  }
  coder.reconstruct(have, cells, wanted, targets, length);
  for (size_t i = 0; i < wanted.size(); ++i) out[i].resize_within(g.cell_on_shard(stripe, wanted[i]));
  return out;
}

namespace {

// One stripe of decode_extent: copies its data cells to their places in `out`, rebuilding those that are not good.
void decode_stripe(const erasure::Coder& coder, const Geometry& g, uint64_t stripe,
                   const std::vector<GoodCell>& good, Buffer& out) {
  std::vector<int> wanted;
  auto place = [&](int shard) {
    return out.data() + (stripe * g.code.k + static_cast<uint64_t>(shard)) * g.cell_bytes;
  };
  for (int shard = 0; shard < g.code.k; ++shard) {
    auto it = std::find_if(good.begin(), good.end(), [&](const GoodCell& c) { return c.shard == shard; });
    if (it == good.end())
      wanted.push_back(shard);
    else if (!it->bytes.empty())
      std::memcpy(place(shard), it->bytes.data(), it->bytes.size());
  }
  if (wanted.empty()) return;
  std::vector<Buffer> rebuilt =
      rebuild_cells(coder, g, stripe, std::span(good).first(static_cast<size_t>(g.code.k)), wanted);
  for (size_t i = 0; i < wanted.size(); ++i)
    std::memcpy(place(wanted[i]), rebuilt[i].data(), rebuilt[i].size());
}

}  // namespace

Result<Buffer> decode_extent(const CellKeys& keys, const erasure::Coder& coder, const ExtentRef& ref,
                             const std::vector<std::optional<ByteView>>& cells,
                             std::vector<uint64_t>* wrong) {
  const Geometry& g = ref.geometry;
  RETURN_IF_ERROR(check_geometry(g));
  CHECK(coder.code() == g.code && cells.size() == static_cast<size_t>(g.code.n));
  if (wrong != nullptr) wrong->assign(cells.size(), 0);
  Buffer out(g.length);
  CellTagger tagger(keys, ref);
  for (uint64_t s = 0; s < g.stripes(); ++s) {
    std::vector<GoodCell> good;
    size_t lies = 0;
    for (int shard = 0; shard < g.code.n; ++shard) {
      const auto& bytes = cells[static_cast<size_t>(shard)];
      CellRun whole{shard, 0, g.stripes() - 1};
      if (g.cell_on_shard(s, shard) == 0) {
        good.push_back({shard, {}});
      } else if (bytes && tagger.verify(shard, s, stored_cell(g, whole, *bytes, s))) {
        good.push_back({shard, cell_payload(g, whole, *bytes, s)});
      } else if (bytes) {
        ++lies;
        if (wrong != nullptr) ++(*wrong)[static_cast<size_t>(shard)];
      }
    }
    auto k = static_cast<size_t>(g.code.k);
    if (good.size() < k) {
      return fail(good.size() + lies >= k ? Code::corrupt : Code::unavailable,
                  "extent: stripe " + std::to_string(s) + " has " + std::to_string(good.size()) +
                      " good cells and " + std::to_string(lies) + " wrong ones; " + std::to_string(k) +
                      " good ones are needed");
    }
    decode_stripe(coder, g, s, good, out);
  }
  return out;
}

}  // namespace archipel::extent
