#include <algorithm>
#include <atomic>
#include <numeric>

#include "base/log.h"
#include "base/metrics.h"
#include "extent/extent.h"
#include "extent/gather.h"
#include "extent/loop_scopes.h"
#include "extent/repair_table.h"
#include "island/health.h"

namespace archipel::extent {
namespace {

using island::Health;

constexpr size_t kInlineBytes =
    128u << 10;  // up to here verifying and copying on the loop is cheaper than a trip to a worker
constexpr int64_t kHedgeUnit = 100;               // the budget counts hundredths of a request
constexpr int64_t kHedgeEarned = 5;               // per first request: 5 % extra requests in the long run
constexpr int64_t kHedgeSaved = 20 * kHedgeUnit;  // the most that may be saved up

metrics::Counter hedged_requests{"archipel_extent_hedged_requests_total",
                                 "Extra reads because an island was slow"};
metrics::Counter repair_requests{"archipel_extent_degraded_requests_total",
                                 "Extra reads because cells were missing or wrong"};
metrics::Counter rebuilt_cells{"archipel_extent_rebuilt_cells_total",
                               "Data cells rebuilt from other shards during reads"};

// What one read shares with its fetches, some of which may outlive it.
struct Read {
  Gather gather;
  std::shared_ptr<const Placement> placement;
  Deadline deadline;
  io::Event changed;
  bool trusting;          // answers count as good if they are long enough: who asked will check them
  RepairException where;  // what repairs changed
  RepairTable* repairs;   // to be told what is wrong; may be null

  island::Island& island_of(int shard) const {
    return *placement->islands[static_cast<size_t>(gather.ref().home(shard))];
  }
};

class RealReader : public ExtentReader {
 public:
  RealReader(const crypto::Keyring& keys, std::shared_ptr<const Placement> placement, io::Workers& workers,
             HedgeRule rule, std::shared_ptr<RepairTable> repairs)
      : keys_(keys),
        placement_(std::move(placement)),
        workers_(workers),
        rule_(rule),
        repairs_(std::move(repairs)) {}

  io::Task<Result<Buffer>> read(ExtentRef ref, uint64_t offset, uint64_t length, Deadline deadline) override {
    CO_RETURN_IF_ERROR(check_request(ref, offset, length));
    if (length == 0) co_return Buffer{};
    std::shared_ptr<Read> read = begin(ref, offset, length, deadline, false);
    CO_RETURN_IF_ERROR(co_await complete(read));
    Buffer out = co_await assemble(read);
    co_return out;
  }

  io::Task<Result<void>> read_sealed(ExtentRef ref, uint64_t offset, uint64_t length, Deadline deadline,
                                     Open open) override {
    CO_RETURN_IF_ERROR(check_request(ref, offset, length));
    if (length == 0) co_return open({}) ? Result<void>() : refused();
    std::shared_ptr<Read> read = begin(ref, offset, length, deadline, true);
    CO_RETURN_IF_ERROR(co_await complete(read));
    if (read->trusting) {
      std::vector<ByteView> runs;
      for (const Gather::Assembly::Copy& copy : read->gather.assembly().copies) runs.push_back(copy.from);
      bool opened = co_await run_open(open, runs, length);
      if (opened) co_return {};
      co_await stop_trusting(read);
      CO_RETURN_IF_ERROR(co_await complete(read));
    }
    Buffer bytes = co_await assemble(read);
    std::vector<ByteView> whole(1, bytes.view());
    bool opened = co_await run_open(open, whole, length);
    co_return opened ? Result<void>() : refused();
  }

  uint64_t wrong_cells(const std::string& island_id) const override {
    for (const auto& island : placement_->islands) {
      if (island->id() == island_id) return island->health().wrong_cells();
    }
    return 0;
  }

  io::Task<void> drain() override { return scopes_.drain(); }

 private:
  Result<void> check_request(const ExtentRef& ref, uint64_t offset, uint64_t length) const {
    RETURN_IF_ERROR(check_geometry(ref.geometry));
    if (offset > ref.geometry.length || length > ref.geometry.length - offset) {
      return fail(Code::invalid, "extent read of bytes " + std::to_string(offset) + "+" +
                                     std::to_string(length) + " is outside its " +
                                     std::to_string(ref.geometry.length) + " bytes");
    }
    for (int shard = 0; shard < ref.geometry.code.n; ++shard) {
      if (static_cast<size_t>(ref.home(shard)) < placement_->islands.size()) continue;
      return fail(Code::unavailable, "shard " + std::to_string(shard) + " of an extent lies on island " +
                                         std::to_string(ref.home(shard)) + " of a roster that has " +
                                         std::to_string(placement_->islands.size()));
    }
    return {};
  }

  static std::unexpected<Error> refused() {
    return fail(Code::corrupt, "bytes of an extent are as they were written, and yet do not open");
  }

  // Asks the data islands.
  std::shared_ptr<Read> begin(ExtentRef ref, uint64_t offset, uint64_t length, Deadline deadline,
                              bool trusting) {
    RepairException where;
    if (repairs_ != nullptr) {
      where = repairs_->of(ref);
      ref.confirmed = where.confirmed;
    }
    size_t preferred = 0;
    std::vector<int> order = shard_order(ref, preferred);
    std::shared_ptr<Read> read(new Read{Gather(ref, offset, length, std::move(order), preferred),
                                        placement_,
                                        deadline,
                                        {},
                                        trusting,
                                        std::move(where),
                                        repairs_.get()});
    for (const CellRun& run : read->gather.first_runs()) {
      earn_hedge();
      start(read, run);
    }
    return read;
  }

  // Until every needed cell is there or can be rebuilt.
  io::Task<Result<void>> complete(std::shared_ptr<Read> read) {
    while (!read->gather.complete()) {
      TimePoint now = io::Loop::current()->now();
      if (now >= read->deadline) co_return fail(why(*read));
      if (!read->gather.on_course(now)) {
        if (read->trusting) {
          co_await stop_trusting(read);
          continue;
        }
        bool asked = ask_more(read, note_silence(*read, now));
        if (asked) continue;  // an answer may have come at once
        if (!read->gather.any_pending() || read->gather.hopeless()) co_return fail(why(*read));
      }
      TimePoint next = std::min(read->gather.next_slow_at(now), next_silent_at(*read));
      co_await read->changed.wait(std::min(read->deadline, next));
    }
    co_return {};
  }

  // Verifies what came unverified so far; what comes later is verified when it comes.
  io::Task<void> stop_trusting(std::shared_ptr<Read> read) {
    read->trusting = false;
    std::vector<Fetch*> ended;
    for (Fetch& fetch : read->gather.fetches()) {
      if (!fetch.pending && !fetch.bytes.empty()) ended.push_back(&fetch);
    }
    for (Fetch* fetch : ended) {
      std::vector<bool> good = co_await verify(keys_, workers_, read->gather.ref(), fetch->run, fetch->bytes);
      settle(*read, *fetch, std::move(good));
    }
  }

  // Shards that confirmed and whose islands answer come first; the rest is asked only if those do not suffice. A mask of 0 means that nothing
  // is known, not that nothing was confirmed.
  std::vector<int> shard_order(const ExtentRef& ref, size_t& preferred) const {
    std::vector<int> order(static_cast<size_t>(ref.geometry.code.n));
    std::iota(order.begin(), order.end(), 0);
    TimePoint now = io::Loop::current()->now();
    auto rank = [&](int shard) {
      bool confirmed = ref.confirmed == 0 || (ref.confirmed >> shard & 1) != 0;
      bool answers = placement_->islands[static_cast<size_t>(ref.home(shard))]->health().worth_waiting(now);
      return (confirmed ? 0 : 2) + (answers ? 0 : 1);
    };
    std::vector<int> ranks;
    ranks.reserve(order.size());
    for (int shard : order) ranks.push_back(rank(shard));
    std::sort(order.begin(), order.end(), [&](int a, int b) {
      return std::pair(ranks[static_cast<size_t>(a)], a) < std::pair(ranks[static_cast<size_t>(b)], b);
    });
    preferred = static_cast<size_t>(std::count(ranks.begin(), ranks.end(), 0));
    return order;
  }

  void start(const std::shared_ptr<Read>& read, const CellRun& run) {
    Health& health = read->island_of(run.shard).health();
    auto p95 = health.p95(Health::Op::get);
    Duration patience = p95 ? std::max(*p95, rule_.floor) : rule_.unknown;
    Fetch* one = read->gather.add(run, io::Loop::current()->now() + patience);
    scopes_.spawn(fetch(keys_, workers_, read, one));
  }

  // A call to a dead mount never comes back: without this, reads beyond the hedge budget would wait for their deadlines. True if any is silent.
  bool note_silence(Read& read, TimePoint now) const {
    bool any = false;
    for (Fetch& fetch : read.gather.fetches()) {
      if (!fetch.pending || now < fetch.slow_at + rule_.silent) continue;
      any = true;
      if (std::exchange(fetch.silent, true)) continue;
      read.island_of(fetch.run.shard).health().overdue(Health::Op::get, now);
    }
    return any;
  }

  TimePoint next_silent_at(Read& read) const {
    TimePoint next = kNoDeadline;
    for (const Fetch& fetch : read.gather.fetches()) {
      if (fetch.pending && !fetch.silent) next = std::min(next, fetch.slow_at + rule_.silent);
    }
    return next;
  }

  // True if anything was asked; `freely`: whatever the hedge budget says. Ends: every shard is asked at most once per stripe.
  bool ask_more(const std::shared_ptr<Read>& read, bool freely) {
    TimePoint now = io::Loop::current()->now();
    std::vector<CellRun> runs = read->gather.next_runs(now, false);
    if (!runs.empty()) {
      repair_requests.add(static_cast<int64_t>(runs.size()));
    } else {
      runs = read->gather.next_runs(now, true);
      if (runs.empty() || (!take_hedge(runs.size()) && !freely)) return false;
      hedged_requests.add(static_cast<int64_t>(runs.size()));
    }
    for (const CellRun& run : runs) start(read, run);
    return true;
  }

  // Asks one island, verifies what comes.
  static io::Task<void> fetch(const crypto::Keyring& keys, io::Workers& workers, std::shared_ptr<Read> read,
                              Fetch* fetch) {
    island::Island& island = read->island_of(fetch->run.shard);
    const ExtentRef& ref = read->gather.ref();
    const CellRun run = fetch->run;
    TimePoint started = io::Loop::current()->now();
    std::string name = shard_name(keys, island.id(), ref, run.shard, read->where.repair(run.shard));
    Result<Buffer> answer = co_await island.get(std::move(name), run_offset(ref, run),
                                                run_bytes(ref.geometry, run), read->deadline);
    TimePoint now = io::Loop::current()->now();
    island.health().record(Health::Op::get, now, now - started, answer ? answer->size() : 0,
                           answer ? nullptr : &answer.error());
    std::vector<bool> good(run.last - run.first + 1, false);
    if (!answer) {
      fetch->error = answer.error();
      const bool expected = ref.confirmed == 0 || (ref.confirmed >> run.shard & 1) != 0;
      if (read->repairs != nullptr && expected && answer.error().code == Code::not_found)
        read->repairs->suspect(ref, run.shard);
      fetch->good = std::move(good);
    } else if (read->trusting) {
      fetch->bytes = std::move(*answer);
      fetch->good = present(ref.geometry, run, fetch->bytes);
    } else {
      Buffer bytes = std::move(*answer);
      good = co_await verify(keys, workers, ref, run, bytes);
      fetch->bytes = std::move(bytes);
      settle(*read, *fetch, std::move(good));
    }
    fetch->pending = false;
    read->changed.notify_all();
  }

  static io::Task<std::vector<bool>> verify(const crypto::Keyring& keys, io::Workers& workers,
                                            const ExtentRef& ref, CellRun run, ByteView bytes) {
    auto job = [&keys, &ref, run, bytes] {
      CellTagger tagger(keys, ref);
      return verify_run(tagger, ref.geometry, run, bytes);
    };
    if (bytes.size() <= kInlineBytes) co_return job();
    std::vector<bool> good = co_await workers.run(std::move(job));
    co_return good;
  }

  // Takes in what verification said of an answer.
  static void settle(const Read& read, Fetch& fetch, std::vector<bool> good) {
    auto wrong = static_cast<uint64_t>(std::count(good.begin(), good.end(), false));
    fetch.good = std::move(good);
    fetch.lied = wrong > 0;
    if (!fetch.lied) return;
    island::Island& island = read.island_of(fetch.run.shard);
    report_lie(island, read.gather.ref(), fetch.run, wrong);
    if (read.repairs != nullptr) read.repairs->suspect(read.gather.ref(), fetch.run.shard);
  }

  io::Task<bool> run_open(const Open& open, std::span<const ByteView> runs, uint64_t length) {
    if (length <= kInlineBytes) co_return open(runs);
    auto job = [&open, runs] { return open(runs); };
    bool opened = co_await workers_.run(std::move(job));
    co_return opened;
  }

  io::Task<Buffer> assemble(std::shared_ptr<Read> read) {
    Gather::Assembly assembly = read->gather.assembly();
    for (const auto& rebuild : assembly.rebuilds)
      rebuilt_cells.add(static_cast<int64_t>(rebuild.wanted.size()));
    bool inline_job = read->gather.length() <= kInlineBytes && assembly.rebuilds.empty();
    if (inline_job) co_return assemble_now(*read, assembly);
    auto job = [&read, &assembly] { return assemble_now(*read, assembly); };
    Buffer out = co_await workers_.run(std::move(job));
    co_return out;
  }

  static void report_lie(island::Island& island, const ExtentRef& ref, const CellRun& run, uint64_t wrong) {
    island.health().count_wrong_cells(wrong);
    log::error("island.lied", {{"island", island.id()},
                               {"epoch", ref.id.epoch},
                               {ref.kind == ExtentRef::Kind::data ? "extent" : "commit", ref.id.counter},
                               {"shard", run.shard},
                               {"first_stripe", run.first},
                               {"last_stripe", run.last},
                               {"wrong_cells", wrong}});
  }

  static Buffer assemble_now(const Read& read, const Gather::Assembly& assembly) {
    const Gather& gather = read.gather;
    if (assembly.rebuilds.empty()) {
      // No coder is needed; making one is not free.
      return gather.assemble(assembly, nullptr);
    }
    erasure::Coder coder(gather.ref().geometry.code);
    return gather.assemble(assembly, &coder);
  }

  static Error why(const Read& read) {
    const Gather& gather = read.gather;
    Gather::Shortage shortage = gather.shortage();
    int k = gather.ref().geometry.code.k;
    std::string message = "stripe " + std::to_string(shortage.stripe) + " of an extent has " +
                          std::to_string(shortage.good) + " good cells and needs " +
                          std::to_string(k - shortage.good) + " more:";
    for (const Fetch& fetch : gather.fetches()) {
      bool covers = shortage.stripe >= fetch.run.first && shortage.stripe <= fetch.run.last;
      if (!covers || (!fetch.pending && fetch.good[shortage.stripe - fetch.run.first])) continue;
      const std::string& id = read.island_of(fetch.run.shard).id();
      if (fetch.pending)
        message += " [island " + id + ": no answer by the deadline]";
      else if (fetch.lied)
        message += " [island " + id + ": wrong bytes]";
      else
        message += " [" + fetch.error.message + "]";
    }
    Code code = shortage.lies > 0 && shortage.good + shortage.lies >= k ? Code::corrupt : Code::unavailable;
    return Error{code, std::move(message), {}};
  }

  void earn_hedge() {
    if (hedge_budget_.load(std::memory_order_relaxed) < kHedgeSaved)
      hedge_budget_.fetch_add(kHedgeEarned, std::memory_order_relaxed);
  }
  bool take_hedge(size_t requests) {
    int64_t cost = static_cast<int64_t>(requests) * kHedgeUnit;
    if (hedge_budget_.fetch_sub(cost, std::memory_order_relaxed) >= cost) return true;
    hedge_budget_.fetch_add(cost, std::memory_order_relaxed);
    return false;
  }

  const crypto::Keyring& keys_;
  std::shared_ptr<const Placement> placement_;
  io::Workers& workers_;
  HedgeRule rule_;
  std::shared_ptr<RepairTable> repairs_;  // may be null. Outlives every read by the drain of this object
  std::atomic<int64_t> hedge_budget_{kHedgeSaved};
  LoopScopes scopes_;
};

}  // namespace

io::Task<void> ExtentReader::drain() {
  co_return;
}

std::unique_ptr<ExtentReader> make_extent_reader(const crypto::Keyring& keys,
                                                 std::shared_ptr<const Placement> roster,
                                                 io::Workers& workers, HedgeRule rule,
                                                 std::shared_ptr<RepairTable> repairs) {
  return std::make_unique<RealReader>(keys, std::move(roster), workers, rule, std::move(repairs));
}

}  // namespace archipel::extent
