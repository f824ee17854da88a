#include <algorithm>
#include <bit>

#include "base/log.h"
#include "base/metrics.h"
#include "extent/extent.h"
#include "extent/loop_scopes.h"
#include "island/health.h"

namespace archipel::extent {
namespace {

using island::Health;
using island::Island;

constexpr int kPutTries = 2;  // the second settles a lost reply: it finds the blob there, or writes it
constexpr uint64_t kSpotCheckEvery = 100;  // acknowledged puts; protocol §1
constexpr uint64_t kSpotCheckBytes = 4096;

metrics::Counter unconfirmed_shards{
    "archipel_extent_unconfirmed_shards_total",
    "Shards that were not confirmed when their write was acknowledged (repair debt)"};
metrics::Counter spot_checks{"archipel_extent_spot_checks_total", "Acknowledged blobs read back in part"};

uint64_t total_bytes(const std::vector<ByteView>& parts) {
  uint64_t size = 0;
  for (ByteView part : parts) size += part.size();
  return size;
}

// True if `bytes` is what lies at `offset` of the concatenation of `parts`.
bool matches(const std::vector<ByteView>& parts, uint64_t offset, ByteView bytes) {
  for (ByteView part : parts) {
    if (bytes.empty()) return true;
    if (offset >= part.size()) {
      offset -= part.size();
      continue;
    }
    size_t n = std::min<uint64_t>(part.size() - offset, bytes.size());
    if (std::memcmp(part.data() + offset, bytes.data(), n) != 0) return false;
    bytes = bytes.subspan(n);
    offset = 0;
  }
  return bytes.empty();
}

// One put() and what is left of it in the background. Belongs to one loop.
struct Round {
  std::shared_ptr<const Placement> placement;
  std::vector<Fanout::Blob> blobs;
  std::shared_ptr<const void> keep_alive;
  std::shared_ptr<std::atomic<uint64_t>> confirmed_puts;  // of all rounds, for the spot checks
  Deadline deadline{};
  io::Event changed;
  uint32_t confirmed = 0, finished = 0;  // bit per island
  std::vector<Error> errors;             // of islands that finished unconfirmed

  int count() const { return static_cast<int>(blobs.size()); }
  bool pending(int i) const { return (finished >> i & 1) == 0; }
};

void record(Health& health, Health::Op op, TimePoint started, uint64_t bytes, const Error* error) {
  TimePoint now = io::Loop::current()->now();
  health.record(op, now, now - started, bytes, error);
}

// "It is there already" counts only if all its bytes are ours.
io::Task<Result<void>> read_back(Island& island, const Fanout::Blob& blob, Deadline deadline) {
  uint64_t size = total_bytes(blob.parts);
  TimePoint started = io::Loop::current()->now();
  Result<Buffer> stored = co_await island.get(blob.name, 0, size + 1, deadline);
  record(island.health(), Health::Op::get, started, size, stored ? nullptr : &stored.error());
  if (!stored) co_return fail(std::move(stored).error());
  if (stored->size() == size && matches(blob.parts, 0, *stored)) co_return Result<void>{};
  log::warn("island.name_taken", {{"island", island.id()}, {"name", blob.name}, {"bytes", stored->size()}});
  co_return fail(Code::corrupt,
                 "island " + island.id() + ": other bytes are stored under the name " + blob.name);
}

// A lost reply is settled by sending the same bytes again; a plain refusal (full, lost, gone) is not repeated.
bool worth_another_try(const Error& error) {
  return error.code == Code::timeout || error.code == Code::io || error.code == Code::throttled;
}

io::Task<Result<void>> put_blob(Island& island, const Fanout::Blob& blob, Deadline deadline) {
  Result<void> outcome;
  for (int attempt = 0; attempt < kPutTries; ++attempt) {
    TimePoint started = io::Loop::current()->now();
    outcome = co_await island.put(blob.name, blob.parts, deadline);
    record(island.health(), Health::Op::put, started, total_bytes(blob.parts),
           outcome ? nullptr : &outcome.error());
    if (outcome) co_return outcome;
    if (outcome.error().code == Code::exists) {
      outcome = co_await read_back(island, blob, deadline);
      co_return outcome;
    }
    if (!worth_another_try(outcome.error()) || io::Loop::current()->now() >= deadline) break;
  }
  co_return outcome;
}

// After the acknowledgement: w assumes honest confirmations, so some are tested.
io::Task<void> spot_check(std::shared_ptr<Round> round, int i) {
  Island& island = *round->placement->islands[static_cast<size_t>(i)];
  const Fanout::Blob& blob = round->blobs[static_cast<size_t>(i)];
  uint64_t size = total_bytes(blob.parts);
  uint64_t length = std::min(size, kSpotCheckBytes);
  uint64_t offset = std::hash<std::string>{}(blob.name) % (size - length + 1);
  Result<Buffer> stored = co_await island.get(blob.name, offset, length, round->deadline);
  spot_checks.add();
  bool lied = stored ? stored->size() != length || !matches(blob.parts, offset, *stored)
                     : stored.error().code == Code::not_found;
  if (!lied) co_return;
  island.health().count_wrong_cells(1);
  log::error(
      "island.lied",
      {{"island", island.id()}, {"name", blob.name}, {"found_by", "spot check after a confirmed put"}});
}

io::Task<void> put_one(std::shared_ptr<Round> round, int i) {
  Island& island = *round->placement->islands[static_cast<size_t>(i)];
  Result<void> outcome =
      fail(Code::unavailable,
           "island " + island.id() + ": not asked, since earlier writes to it have not ended yet");
  if (island.health().begin_put()) {
    outcome = co_await put_blob(island, round->blobs[static_cast<size_t>(i)], round->deadline);
    island.health().end_put();
  }
  round->finished |= 1u << i;
  if (outcome)
    round->confirmed |= 1u << i;
  else
    round->errors[static_cast<size_t>(i)] = outcome.error();
  round->changed.notify_all();
  if (!outcome) co_return;
  bool chosen =
      round->confirmed_puts->fetch_add(1, std::memory_order_relaxed) % kSpotCheckEvery == kSpotCheckEvery - 1;
  if (chosen) co_await spot_check(round, i);
}

// When an acknowledgement stops waiting for island i.
TimePoint soft_deadline(Health& health, const AckRule& rule, TimePoint started) {
  if (!health.worth_waiting(started)) return started;
  auto p95 = health.p95(Health::Op::put);
  if (!p95) return started + rule.soft_deadline_max;
  return started + std::clamp(2 * *p95, std::min(rule.soft_deadline_floor, rule.soft_deadline_max),
                              rule.soft_deadline_max);
}

Error too_few(const Round& round, int w) {
  std::string message = "only " + std::to_string(std::popcount(round.confirmed)) + " of " +
                        std::to_string(round.count()) + " islands confirmed a write that needs " +
                        std::to_string(w) + ":";
  for (int i = 0; i < round.count(); ++i) {
    if (round.confirmed >> i & 1) continue;
    const Error& error = round.errors[static_cast<size_t>(i)];
    const std::string& id = round.placement->islands[static_cast<size_t>(i)]->id();
    message +=
        " [" + (round.pending(i) ? "island " + id + ": no answer by the deadline" : error.message) + "]";
  }
  return Error{Code::unavailable, std::move(message), {}};
}

class RealFanout : public Fanout {
 public:
  io::Task<Result<uint32_t>> put(std::shared_ptr<const Placement> placement, std::vector<Blob> blobs,
                                 std::shared_ptr<const void> keep_alive, AckRule rule) override {
    CHECK(blobs.size() == placement->islands.size() && blobs.size() <= 32);
    auto round = std::make_shared<Round>();
    TimePoint started = io::Loop::current()->now();
    round->placement = std::move(placement);
    round->blobs = std::move(blobs);
    round->keep_alive = std::move(keep_alive);
    round->confirmed_puts = confirmed_puts_;
    round->deadline = started + rule.hard_deadline;
    round->errors.resize(round->blobs.size());
    std::vector<TimePoint> soft;
    for (const auto& island : round->placement->islands)
      soft.push_back(soft_deadline(island->health(), rule, started));
    for (int i = 0; i < round->count(); ++i) scopes_.spawn(put_one(round, i));

    while (true) {
      int confirmed = std::popcount(round->confirmed);
      int unfinished = round->count() - std::popcount(round->finished);
      if (unfinished == 0 || confirmed + unfinished < rule.w) break;
      Deadline until = round->deadline;
      if (confirmed >= rule.w) {
        until = started;
        for (int i = 0; i < round->count(); ++i) {
          if (round->pending(i)) until = std::max(until, soft[static_cast<size_t>(i)]);
        }
      }
      if (io::Loop::current()->now() >= until) break;
      co_await round->changed.wait(until);
    }
    // Their puts may never end: health hears of it now.
    TimePoint now = io::Loop::current()->now();
    for (int i = 0; i < round->count(); ++i) {
      if (round->pending(i) && now >= soft[static_cast<size_t>(i)])
        round->placement->islands[static_cast<size_t>(i)]->health().overdue(Health::Op::put, now);
    }
    int confirmed = std::popcount(round->confirmed);
    if (confirmed < rule.w) co_return fail(too_few(*round, rule.w));
    unconfirmed_shards.add(round->count() - confirmed);
    co_return uint32_t{round->confirmed};
  }

  io::Task<void> drain() override { return scopes_.drain(); }

 private:
  std::shared_ptr<std::atomic<uint64_t>> confirmed_puts_ = std::make_shared<std::atomic<uint64_t>>(0);
  LoopScopes scopes_;
};

}  // namespace

std::unique_ptr<Fanout> make_fanout(io::Workers&) {
  return std::make_unique<RealFanout>();
}

}  // namespace archipel::extent
