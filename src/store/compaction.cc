#include "store/compaction.h"

#include <algorithm>
#include <atomic>

#include "base/log.h"
#include "base/metrics.h"
#include "index/pack.h"
#include "io/sync.h"
#include "store/collector_state.h"
#include "store/compaction_plan.h"
#include "store/give_up.h"
#include "store/keys.h"

namespace archipel::store {
namespace {

constexpr size_t kStreamsPerCommitMax = 2000;  // their versions stay well inside a record
constexpr uint64_t kVersionBytesPerCommitMax = kStreamVersionBytesMax;
constexpr uint64_t kGapMax =
    extent::kSegmentSealed;  // dead bytes that are read along rather than asked for around
constexpr Duration kReadDeadlineHere = std::chrono::seconds(20);

struct Metrics {
  metrics::Counter passes{"archipel_compaction_passes_total", "Passes of compaction that found enough to do"};
  metrics::Counter bytes{"archipel_compaction_moved_bytes_total",
                         "Sealed bytes moved out of extents that were mostly dead"};
  metrics::Counter streams{"archipel_compaction_moved_streams_total", "Small bodies moved"};
  metrics::Counter left_behind{
      "archipel_compaction_left_behind_total",
      "Small bodies that changed while they were being moved; a later pass sees them again"};
  metrics::Gauge live_extents{"archipel_store_live_extents",
                              "Extents and commit sections with live bytes, at the last pass"};
  metrics::Gauge live_bytes{"archipel_store_live_bytes", "Sealed bytes that are live, at the last pass"};
  metrics::Gauge held_bytes{"archipel_store_held_bytes",
                            "Bytes, before coding, that those extents and their commits' records hold"};
};
Metrics& shared_metrics() {
  static auto* all = new Metrics;
  return *all;
}

// Streams that go into one packed extent, and the sealed segments once they have been read.
struct Batch {
  std::vector<Moving> streams;
  uint64_t bytes = 0;
  std::vector<Buffer> segments;  // of all streams, in order
};

class CompactorImpl final : public Compactor {
 public:
  explicit CompactorImpl(CompactionParts parts) : p_(std::move(parts)), coder_(p_.code) {
    CHECK(p_.options.duty_percent >= 1 && p_.options.duty_percent <= 100);
    CHECK(p_.options.extent_bytes <= extent::kExtentBytesMax / 2);
  }
  void start() override { scope_.spawn(passes(this)); }
  io::Task<Result<void>> run_once() override;
  io::Task<void> close() override {
    stop_ = true;
    stopping_.notify_all();
    co_await scope_.join();
  }
  const Counts& counts() const override { return counts_; }

 private:
  static io::Task<void> passes(CompactorImpl* self);
  io::Task<Result<Candidates>> find_candidates(std::shared_ptr<const index::Snapshot> view);
  io::Task<Result<MovingStreams>> find_streams(std::shared_ptr<const index::Snapshot> view,
                                               Candidates candidates);
  io::Task<Result<void>> move_all(MovingStreams found);
  io::Task<Result<void>> move(Batch batch);
  io::Task<Result<void>> read_segments(Batch& batch);
  io::Task<Result<extent::ExtentRef>> write_packed(const Batch& batch, const index::Packing& packing);
  io::Task<Result<void>> relocate(Batch batch, const index::Packing& packing, extent::ExtentRef ref);
  void publish(const Counts& before) const;

  CompactionParts p_;
  erasure::Coder coder_;
  Counts counts_;
  bool stop_ = false;
  io::Event stopping_;
  io::TaskScope scope_;
};

io::Task<void> CompactorImpl::passes(CompactorImpl* self) {
  // The first one soon, for the sake of the figures.
  for (Duration pause = self->p_.options.interval / 10; !self->stop_; pause = self->p_.options.interval) {
    co_await self->stopping_.wait(self->p_.home.now() + pause);
    if (self->stop_ || !self->p_.committer.open()) continue;
    Result<void> done = co_await self->run_once();
    if (!done && !self->stop_) log::warn("compaction.pass_failed", {{"reason", done.error().message}});
  }
}

void CompactorImpl::publish(const Counts& before) const {
  Metrics& metrics = shared_metrics();
  metrics.passes.add(static_cast<int64_t>(counts_.passes - before.passes));
  metrics.bytes.add(static_cast<int64_t>(counts_.bytes - before.bytes));
  metrics.streams.add(static_cast<int64_t>(counts_.streams - before.streams));
  metrics.left_behind.add(static_cast<int64_t>(counts_.left_behind - before.left_behind));
  metrics.live_extents.set(static_cast<int64_t>(counts_.live_extents));
  metrics.live_bytes.set(static_cast<int64_t>(counts_.live_bytes));
  metrics.held_bytes.set(static_cast<int64_t>(counts_.held_bytes));
  if (counts_.bytes > before.bytes)
    log::info("compaction.pass", {{"streams", counts_.streams - before.streams},
                                  {"bytes", counts_.bytes - before.bytes},
                                  {"extents", counts_.extents - before.extents}});
}

io::Task<Result<void>> CompactorImpl::run_once() {
  const Counts before = counts_;
  std::shared_ptr<const index::Snapshot> view = p_.kv.snapshot();
  Result<Candidates> candidates = co_await find_candidates(view);
  if (!candidates) co_return fail(candidates.error());
  counts_.live_extents = candidates->totals.live_extents;
  counts_.live_bytes = candidates->totals.live_bytes;
  counts_.held_bytes = candidates->totals.held_bytes;
  Result<void> done;
  if (candidates->garbage_bytes >= p_.options.garbage_bytes_min && !candidates->extents.empty()) {
    ++counts_.passes;
    // What is live in them from here on stays on the islands until it has been read, whatever is dropped and collected meanwhile.
    Pins::Reader pin = p_.pins->begin_read();
    view = p_.kv.snapshot();
    pin.hold({candidates->extents.begin(), candidates->extents.end()});
    Result<MovingStreams> found = co_await find_streams(view, std::move(*candidates));
    view.reset();
    if (!found) co_return fail(found.error());
    done = co_await move_all(std::move(*found));
  }
  publish(before);
  co_return done;
}

io::Task<Result<Candidates>> CompactorImpl::find_candidates(std::shared_ptr<const index::Snapshot> view) {
  Candidates out;
  CandidateRule rule{std::nullopt, p_.options.live_percent_max, p_.options.pass_bytes_max};
  if (p_.limit) {
    auto look = [this, &view]() -> Result<std::optional<index::CommitPosition>> {
      ASSIGN_OR_RETURN(std::optional<std::string> time, view->get(collector_time_key()));
      UnixMs journalled_ms = 0;
      if (time) {
        ASSIGN_OR_RETURN(journalled_ms, decode_time(*time));
      }
      return p_.limit(*view, journalled_ms);
    };
    CO_ASSIGN_OR_RETURN(rule.limit, co_await p_.workers.run(look));
  }
  std::optional<ExtentKey> from = ExtentKey{};
  while (from && !stop_) {
    auto look = [&view, &from, &rule, &out] { return add_candidates(*view, *from, rule, out); };
    CO_ASSIGN_OR_RETURN(from, co_await p_.workers.run(look));
  }
  co_return out;
}

io::Task<Result<MovingStreams>> CompactorImpl::find_streams(std::shared_ptr<const index::Snapshot> view,
                                                            Candidates candidates) {
  MovingStreams out;
  for (std::string_view prefix : kSlicePrefixes) {
    std::optional<std::string> from = std::string(prefix);
    while (from && !stop_) {
      auto look = [&view, &from, &candidates, &out] { return add_moving(*view, *from, candidates, out); };
      CO_ASSIGN_OR_RETURN(from, co_await p_.workers.run(look));
    }
  }
  co_return out;
}

// In the order in which they lie, so that what was written together is read together.
io::Task<Result<void>> CompactorImpl::move_all(MovingStreams found) {
  std::vector<Moving> streams;
  streams.reserve(found.streams.size());
  for (auto& [id, moving] : found.streams) {
    if (moving.stays())
      ++counts_.left_behind;
    else
      streams.push_back(std::move(moving));
  }
  Result<void> done;
  std::ranges::sort(streams, {}, [](const Moving& moving) {
    const index::SmallLocation& at = moving.from.small.front();
    return std::pair(key_of(at.section), at.offset);
  });
  for (size_t at = 0; at < streams.size() && !stop_;) {
    Batch batch;
    uint64_t version_bytes = 0;
    while (at < streams.size() && batch.streams.size() < kStreamsPerCommitMax &&
           batch.bytes < p_.options.extent_bytes && version_bytes < kVersionBytesPerCommitMax) {
      batch.bytes += streams[at].bytes();
      version_bytes += streams[at].version_bytes;
      batch.streams.push_back(std::move(streams[at++]));
    }
    const TimePoint started = p_.home.now();
    Result<void> moved = co_await move(std::move(batch));
    // What cannot be read or written now must not keep everything behind it from being compacted, in this pass and in every other.
    if (!moved && done) done = moved;
    if (!moved && !p_.committer.open()) break;
    const Duration worked = p_.home.now() - started;
    if (at == streams.size()) break;
    const Duration pause = pause_after(worked, p_.options.duty_percent);
    if (pause > Duration{}) co_await stopping_.wait(p_.home.now() + pause);
  }
  co_return done;
}

io::Task<Result<void>> CompactorImpl::move(Batch batch) {
  CO_RETURN_IF_ERROR(co_await read_segments(batch));
  std::vector<uint32_t> sizes;
  for (const Buffer& segment : batch.segments) sizes.push_back(static_cast<uint32_t>(segment.size()));
  const index::Packing packing = index::pack(p_.code, sizes);
  Pins::Writer pin = p_.pins->begin_write(p_.committer.applied().epoch);
  Result<extent::ExtentRef> ref = co_await write_packed(batch, packing);
  if (!ref) co_return fail(ref.error());
  CO_RETURN_IF_ERROR(co_await relocate(std::move(batch), packing, *ref));
  co_return {};
}

// Neighbours are read together, verified cell by cell, and taken as they are.
io::Task<Result<void>> CompactorImpl::read_segments(Batch& batch) {
  std::vector<index::SmallLocation> places;
  for (const Moving& moving : batch.streams)
    places.insert(places.end(), moving.from.small.begin(), moving.from.small.end());
  for (size_t first = 0; first < places.size();) {
    uint64_t end = places[first].offset + places[first].length;
    size_t last = first + 1;
    for (; last < places.size(); ++last) {
      const index::SmallLocation& next = places[last];
      const bool near = key_of(next.section) == key_of(places[first].section) && next.offset >= end &&
                        next.offset - end <= kGapMax;
      if (!near) break;
      end = next.offset + next.length;
    }
    const uint64_t from = places[first].offset;
    Result<Buffer> run =
        co_await p_.reader.read(places[first].section, from, end - from, p_.home.now() + kReadDeadlineHere);
    if (!run) co_return fail(run.error());
    for (; first < last; ++first)
      batch.segments.push_back(
          Buffer::copy_of(run->view().subspan(places[first].offset - from, places[first].length)));
    if (stop_) co_return fail(Code::cancelled, "the gateway is shutting down");
  }
  co_return {};
}

io::Task<Result<extent::ExtentRef>> CompactorImpl::write_packed(const Batch& batch,
                                                                const index::Packing& packing) {
  CO_ASSIGN_OR_RETURN(index::NewExtent fresh, co_await p_.committer.allocate_extent());
  extent::ExtentRef ref;
  ref.id = fresh.id;
  ref.attempt = fresh.attempt;
  ref.geometry = packing.geometry;
  std::vector<std::string> names;
  for (size_t i = 0; i < p_.placement->islands.size(); ++i)
    names.push_back(extent::shard_name(p_.keys, p_.placement->islands[i]->id(), ref, static_cast<int>(i)));
  auto coded = std::make_shared<extent::CodedExtent>();
  auto code = [this, &batch, &packing, &ref, &names, &coded]() -> Result<void> {
    // Random bytes between segments: an island must not see where one ends.
    Buffer bytes(packing.geometry.length);
    p_.random.fill(bytes.span());
    for (size_t i = 0; i < batch.segments.size(); ++i)
      std::memcpy(bytes.data() + packing.offsets[i], batch.segments[i].data(), batch.segments[i].size());
    ASSIGN_OR_RETURN(*coded, extent::encode_extent(p_.keys, coder_, ref, bytes, names));
    return {};
  };
  CO_RETURN_IF_ERROR(co_await p_.workers.run(code));
  ref = coded->ref;
  std::vector<extent::Fanout::Blob> blobs;
  for (size_t i = 0; i < names.size(); ++i) blobs.push_back({std::move(names[i]), {coded->shards[i]}});
  std::shared_ptr<const void> keep_alive = std::move(coded);
  Result<uint32_t> confirmed =
      co_await p_.fanout.put(p_.placement, std::move(blobs), std::move(keep_alive), p_.ack);
  if (!confirmed) {
    co_await give_up(p_.committer, p_.clock, {ref});
    co_return fail(confirmed.error());
  }
  ref.confirmed = *confirmed;
  co_return ref;
}

io::Task<Result<void>> CompactorImpl::relocate(Batch batch, const index::Packing& packing,
                                               extent::ExtentRef ref) {
  auto relocation = std::make_shared<Relocation>();
  relocation->now_ms = p_.clock.unix_ms();
  size_t segment = 0;
  for (const Moving& moving : batch.streams) {
    std::vector<index::SmallLocation>& to = relocation->to.emplace_back();
    for (const index::SmallLocation& at : moving.from.small)
      to.push_back({ref, packing.offsets[segment++], at.length});
  }
  const size_t streams = batch.streams.size();
  relocation->streams = std::move(batch.streams);
  index::Intent intent;
  auto left_behind = std::make_shared<std::atomic<size_t>>(0);
  intent.build = [shared = std::shared_ptr<const Relocation>(std::move(relocation)), left_behind](
                     const index::View& view, const std::vector<index::SmallLocation>&,
                     std::vector<index::Mutation>& out) -> Result<void> {
    size_t moved = 0;
    RETURN_IF_ERROR(build_relocation(*shared, view, out, moved));
    *left_behind = shared->streams.size() - moved;
    return {};
  };
  Result<index::CommitPosition> done = co_await p_.committer.commit(std::move(intent));
  if (!done) {
    co_await give_up(p_.committer, p_.clock, {ref});
    if (done.error().code != Code::precondition) co_return fail(done.error());
    counts_.left_behind += streams;
    co_return {};
  }
  counts_.left_behind += *left_behind;
  counts_.streams += streams - *left_behind;
  counts_.bytes += batch.bytes;
  ++counts_.extents;
  co_return {};
}

}  // namespace

std::unique_ptr<Compactor> make_compactor(CompactionParts parts) {
  return std::make_unique<CompactorImpl>(std::move(parts));
}

}  // namespace archipel::store
