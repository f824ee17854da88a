#include "extent/repair.h"

#include <algorithm>
#include <bit>

#include "base/metrics.h"
#include "erasure/coder.h"
#include "extent/cells.h"
#include "extent/decode.h"
#include "extent/header.h"
#include "island/health.h"

namespace archipel::extent {
namespace {

metrics::Counter rebuilt_shards{"archipel_repair_shards_total", "Shards rebuilt and put back"};
metrics::Counter rebuilt_bytes{"archipel_repair_bytes_total", "Bytes of shards rebuilt and put back"};

bool has_cell(const Geometry& g, const ShardVerdict& shard, int number, uint64_t stripe) {
  return g.cell_on_shard(stripe, number) == 0 ||
         (stripe < shard.good_cells.size() && shard.good_cells[stripe]);
}

// Whether every stripe has k good cells, as far as the scrub saw, and the record is somewhere.
Result<void> check_possible(const CellWork& work, const WorkItem& item, const Verdict& verdict) {
  const Geometry& g = item.ref.geometry;
  for (uint64_t stripe = 0; stripe < g.stripes(); ++stripe) {
    int good = 0, lies = 0;
    for (int shard = 0; shard < g.code.n; ++shard) {
      const ShardVerdict& seen = verdict.shards[static_cast<size_t>(shard)];
      if (has_cell(g, seen, shard, stripe))
        ++good;
      else if (seen.state == ShardState::wrong)
        ++lies;
    }
    if (good >= g.code.k) continue;
    return fail(good + lies >= g.code.k ? Code::corrupt : Code::unavailable,
                item.describe() + " cannot be repaired now: stripe " + std::to_string(stripe) + " has " +
                    std::to_string(good) + " good cells and needs " + std::to_string(g.code.k - good) +
                    " more:" + " " + describe_faults(*work.roster, item.ref, verdict));
  }
  if (!item.journal() || std::ranges::any_of(verdict.shards, &ShardVerdict::prefix_good)) return {};
  return fail(Code::unavailable, item.describe() +
                                     " cannot be repaired now: no island that answers has its record:" + " " +
                                     describe_faults(*work.roster, item.ref, verdict));
}

// The rebuilding of some shards, stripe by stripe.
class Rebuilding {
 public:
  Rebuilding(CellWork work, std::shared_ptr<const WorkItem> item, const Verdict& verdict)
      : work_(work), item_(std::move(item)), verdict_(verdict), coder_(item_->ref.geometry.code) {
    rank_sources();
  }

  io::Task<Result<Rebuilt>> run(uint32_t wanted) {
    begin(wanted);
    if (item_->journal()) CO_RETURN_IF_ERROR(co_await fetch_record());
    const Geometry& g = item_->ref.geometry;
    const uint64_t step = std::max<uint64_t>(kScrubChunkBytes / (g.cell_bytes + kTagBytes), 1);
    for (uint64_t first = 0; first < g.stripes(); first += step) {
      CO_RETURN_IF_ERROR(co_await rebuild_stripes(first, std::min(first + step, g.stripes()) - 1));
    }
    if (!item_->journal()) write_headers();
    co_return std::move(out_);
  }

 private:
  // What one source gave of a group of stripes.
  struct Source {
    CellRun run;
    Buffer bytes;
    std::vector<bool> good;
  };

  // Shards that were seen to be good first, then those with some good cells; and data before parity, which spares coding.
  void rank_sources() {
    for (ShardState first : {ShardState::good, ShardState::wrong}) {
      for (int shard = 0; shard < item_->n(); ++shard)
        if (verdict_.shards[static_cast<size_t>(shard)].state == first) order_.push_back(shard);
    }
  }

  void begin(uint32_t wanted) {
    uint64_t taken = 0;
    for (int shard = 0; shard < item_->n(); ++shard) {
      if ((wanted & verdict_.broken()) >> shard % 32 & 1) {
        const uint64_t size = item_->blob_bytes(shard);
        if (!out_.shards.empty() && taken + size > kRepairMemoryMax) {
          out_.left |= 1u << shard;
          continue;
        }
        taken += size;
        const bool wrong = verdict_.shards[static_cast<size_t>(shard)].state == ShardState::wrong;
        out_.shards.push_back({shard, wrong, Buffer(size)});
      }
    }
    for (const Rebuilt::Shard& shard : out_.shards) wanted_.push_back(shard.shard);
  }

  io::Task<Result<void>> fetch_record() {
    const WorkItem::Record& record = *item_->record;
    for (int shard : order_) {
      if (!verdict_.shards[static_cast<size_t>(shard)].prefix_good) continue;
      island::BlobName name = item_->names[static_cast<size_t>(shard)];
      Result<Buffer> bytes = co_await read_piece(work_, item_->ref.home(shard), std::move(name),
                                                 kShardHeaderBytes, record.bytes);
      const bool right =
          bytes && bytes->size() == record.bytes && crypto::blake2b_256(*bytes) == record.digest;
      if (!right) continue;
      for (Rebuilt::Shard& target : out_.shards) {
        const ShardHeader& header = record.headers[static_cast<size_t>(target.shard)];
        std::memcpy(target.bytes.data(), header.data(), header.size());
        if (record.bytes > 0) std::memcpy(target.bytes.data() + header.size(), bytes->data(), record.bytes);
      }
      co_return Result<void>{};
    }
    co_return fail(Code::unavailable, item_->describe() +
                                          " cannot be repaired now: its record is not to be had:" + " " +
                                          describe_faults(*work_.roster, item_->ref, verdict_));
  }

  void write_headers() {
    CellTagger tagger(work_.keys, item_->ref);
    for (Rebuilt::Shard& target : out_.shards) {
      const auto i = static_cast<size_t>(target.shard);
      write_shard_header(work_.keys, tagger, item_->ref, target.shard,
                         target.replaces_wrong ? item_->next_names[i] : item_->names[i],
                         target.bytes.span().first(kShardHeaderBytes));
    }
  }

  // Of the group's stripes, those that still lack cells.
  bool enough(uint64_t first, uint64_t last) const {
    const Geometry& g = item_->ref.geometry;
    for (uint64_t stripe = first; stripe <= last; ++stripe)
      if (good_cells(stripe).size() < static_cast<size_t>(g.code.k)) return false;
    return true;
  }

  std::vector<GoodCell> good_cells(uint64_t stripe) const {
    const Geometry& g = item_->ref.geometry;
    std::vector<GoodCell> good;
    for (int shard = 0; shard < g.code.n && good.size() < static_cast<size_t>(g.code.k); ++shard) {
      auto source = std::ranges::find(sources_, shard, [](const Source& s) { return s.run.shard; });
      if (g.cell_on_shard(stripe, shard) == 0)
        good.push_back({shard, {}});
      else if (source != sources_.end() && source->good[stripe - source->run.first])
        good.push_back({shard, cell_payload(g, source->run, source->bytes, stripe)});
    }
    return good;
  }

  static io::Task<Source> fetch(const Rebuilding* self, CellRun run) {
    const ExtentRef& ref = self->item_->ref;
    Source source{run, {}, std::vector<bool>(run.last - run.first + 1, false)};
    island::BlobName name = self->item_->names[static_cast<size_t>(run.shard)];
    Result<Buffer> bytes = co_await read_piece(self->work_, ref.home(run.shard), std::move(name),
                                               run_offset(ref, run), run_bytes(ref.geometry, run));
    if (!bytes) co_return source;
    source.bytes = std::move(*bytes);
    source.good = co_await self->work_.workers.run([self, &source] {
      CellTagger tagger(self->work_.keys, self->item_->ref);
      return verify_run(tagger, self->item_->ref.geometry, source.run, source.bytes);
    });
    co_return source;
  }

  // k sources at once; others one by one while a stripe lacks cells.
  io::Task<Result<void>> gather(uint64_t first, uint64_t last) {
    sources_.clear();
    size_t next = 0;
    while (!enough(first, last)) {
      const size_t more = sources_.empty() ? static_cast<size_t>(item_->ref.geometry.code.k) : 1;
      std::vector<io::Task<Source>> tasks;
      for (; tasks.size() < more && next < order_.size(); ++next)
        tasks.push_back(fetch(this, {order_[next], first, last}));
      const bool none = tasks.empty();
      for (io::Task<Source>& task : tasks) {
        Source source = co_await std::move(task);
        sources_.push_back(std::move(source));
      }
      if (none)
        co_return fail(Code::unavailable,
                       item_->describe() +
                           " cannot be repaired now: cells that were good a moment ago do not come:" + " " +
                           describe_faults(*work_.roster, item_->ref, verdict_));
    }
    co_return Result<void>{};
  }

  io::Task<Result<void>> rebuild_stripes(uint64_t first, uint64_t last) {
    CO_RETURN_IF_ERROR(co_await gather(first, last));
    co_await work_.workers.run([this, first, last] {
      CellTagger tagger(work_.keys, item_->ref);
      for (uint64_t stripe = first; stripe <= last; ++stripe) rebuild_stripe(tagger, stripe);
      return true;
    });
    co_return Result<void>{};
  }

  // Codes straight into the rebuilt blobs, and tags.
  void rebuild_stripe(CellTagger& tagger, uint64_t stripe) {
    const Geometry& g = item_->ref.geometry;
    const std::vector<GoodCell> good = good_cells(stripe);
    std::vector<Buffer> cells = rebuild_cells(coder_, g, stripe, good, wanted_);
    for (size_t i = 0; i < cells.size(); ++i) {
      if (cells[i].empty()) continue;
      uint8_t* at = out_.shards[i].bytes.data() + item_->first_cell_offset() + g.cell_offset(stripe);
      std::memcpy(at, cells[i].data(), cells[i].size());
      crypto::Tag tag = tagger.tag(wanted_[i], stripe, cells[i]);
      std::memcpy(at + cells[i].size(), tag.data(), tag.size());
    }
  }

  CellWork work_;
  std::shared_ptr<const WorkItem> item_;
  const Verdict& verdict_;
  erasure::Coder coder_;
  std::vector<int> order_;   // shards to read from, best first
  std::vector<int> wanted_;  // shards to rebuild, as in out_
  std::vector<Source> sources_;
  Rebuilt out_;
};

// Puts `bytes` under `name`; success too if the very same bytes are there already. Code::exists: other bytes are.
io::Task<Result<void>> put_exactly(island::Island& island, island::BlobName name, ByteView bytes,
                                   Deadline deadline) {
  std::vector<ByteView> parts(1, bytes);
  Result<void> put = co_await island.put(name, parts, deadline);
  if (put || put.error().code != Code::exists) co_return put;
  Result<Buffer> there = co_await island.get(name, 0, bytes.size() + 1, deadline);
  if (!there) co_return fail(there.error());
  if (std::ranges::equal(there->view(), bytes)) co_return Result<void>{};
  co_return fail(Code::exists, "island " + island.id() + ": other bytes are stored under the name " + name);
}

// The same under a name that nothing refers to yet. What lies there otherwise was left by a repair whose write was torn: nobody reads it, and
// every later repair would come to this name again.
io::Task<Result<void>> put_afresh(island::Island& island, island::BlobName name, ByteView bytes,
                                  Deadline deadline) {
  Result<void> put = co_await put_exactly(island, name, bytes, deadline);
  if (put || put.error().code != Code::exists) co_return put;
  Result<void> removed = co_await island.remove(name, deadline);
  if (!removed) co_return fail(removed.error());
  Result<void> again = co_await put_exactly(island, std::move(name), bytes, deadline);
  co_return again;
}

struct PutOne {
  bool done = false, moved = false;
  std::string failed;
};

io::Task<PutOne> put_shard(const CellWork& work, const WorkItem& item, const Rebuilt::Shard* shard,
                           bool may_replace) {
  const auto i = static_cast<size_t>(shard->shard);
  island::Island& island = *work.roster->islands[static_cast<size_t>(item.ref.home(shard->shard))];
  const TimePoint started = io::Loop::current()->now();
  const Deadline deadline = started + kPutBackDeadline;
  PutOne out;
  const bool doubted = island.health().breaker_open();
  if (!island.health().worth_waiting(started)) {
    out.failed = "island " + island.id() + ": it has not been answering";
    co_return out;
  }
  if (shard->replaces_wrong && item.in_place(shard->shard)) {
    if (!may_replace) {
      out.failed = "island " + island.id() + ": " + item.describe() +
                   " is wrong there, and is left as it is until enough other islands hold it whole";
      co_return out;
    }
    Result<void> removed = co_await island.remove(item.names[i], deadline);
    if (!removed) {
      out.failed = removed.error().message;
      co_return out;
    }
  }
  out.moved = shard->replaces_wrong && !item.in_place(shard->shard);
  island::BlobName name = out.moved ? item.next_names[i] : item.names[i];
  auto write = out.moved ? put_afresh : put_exactly;
  Result<void> put = co_await write(island, std::move(name), shard->bytes, deadline);
  const TimePoint now = io::Loop::current()->now();
  if (doubted || !put)
    island.health().record(island::Health::Op::put, now, now - started, shard->bytes.size(),
                           put ? nullptr : &put.error());
  out.done = put.has_value();
  if (!put) {
    out.failed = put.error().message;
    co_return out;
  }
  rebuilt_shards.add();
  rebuilt_bytes.add(static_cast<int64_t>(shard->bytes.size()));
  co_return out;
}

}  // namespace

io::Task<Result<Rebuilt>> rebuild(CellWork work, std::shared_ptr<const WorkItem> item, const Verdict& verdict,
                                  uint32_t wanted) {
  CHECK(verdict.shards.size() == static_cast<size_t>(item->n()));
  CO_RETURN_IF_ERROR(check_possible(work, *item, verdict));
  Rebuilding rebuilding(work, item, verdict);
  Result<Rebuilt> rebuilt = co_await rebuilding.run(wanted);
  co_return rebuilt;
}

io::Task<PutBack> put_back(CellWork work, std::shared_ptr<const WorkItem> item, const Verdict& verdict,
                           Rebuilt rebuilt) {
  // Shards that this call repairs do not count: at every moment k others hold the blob.
  const bool may_replace = std::popcount(verdict.good()) >= item->ref.geometry.code.k;
  std::vector<io::Task<PutOne>> tasks;
  tasks.reserve(rebuilt.shards.size());
  for (const Rebuilt::Shard& shard : rebuilt.shards) {
    co_await work.pace.spend(shard.bytes.size());
    tasks.push_back(put_shard(work, *item, &shard, may_replace));
  }
  PutBack out;
  for (size_t i = 0; i < tasks.size(); ++i) {
    PutOne one = co_await std::move(tasks[i]);
    const uint32_t bit = 1u << rebuilt.shards[i].shard;
    if (one.done) out.repaired |= bit;
    if (one.done && one.moved) out.moved |= bit;
    if (!one.failed.empty()) out.failed += (out.failed.empty() ? "" : "; ") + one.failed;
  }
  co_return out;
}

}  // namespace archipel::extent
