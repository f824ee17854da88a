// A start without `index/`: seconds per million objects by replay of the journal and by a snapshot, in one run, on islands in memory.
//
//   bench_recovery [objects [objects a commit [bytes of a record]]]      default: 300,000, 16, 350
//
// What islands cost is left out on purpose: both ways read about the same bytes, the replay in many more requests, which is said. The view is the
// real RocksDB, under TMPDIR. Prints; asserts nothing about speed.
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "index/journal.h"
#include "index/snapshot_keeper.h"
#include "island/mem_island.h"

namespace archipel {
namespace {

constexpr int kIslands = 6;
constexpr int kWorkers = 4;
constexpr int kRounds = 3;

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Cloud {
  Cloud() {
    const char* tmp = std::getenv("TMPDIR");
    dir = std::string(tmp != nullptr ? tmp : "/tmp") + "/bench_recovery_" + std::to_string(getpid());
    std::filesystem::create_directories(dir);
    for (int i = 0; i < kIslands; ++i) {
      islands.push_back(std::make_shared<island::MemIsland>("island-" + std::to_string(i)));
      placement.islands.push_back(islands.back());
    }
    options.dir = dir;
    options.create = true;
    options.in_flight_max = 4;
    options.code = {6, 3};
  }
  ~Cloud() { std::filesystem::remove_all(dir); }

  io::Task<void> open() {
    Result<index::Journal> opened = co_await index::open_journal(
        options, *keys, placement, *fanout, *workers, *io::Loop::current(), random, system_clock());
    if (!opened) {
      fmt::print(stderr, "{}\n", opened.error().describe());
      std::exit(1);
    }
    journal = std::move(*opened);
  }
  io::Task<void> close() {
    co_await journal.committer->close();
    co_await fanout->drain();
    journal = index::Journal();
  }
  void forget_index() const { std::filesystem::remove_all(dir + "/index"); }
  uint64_t gets() const {
    uint64_t all = 0;
    for (const auto& island : islands) all += island->counts().gets;
    return all;
  }
  uint64_t got_bytes() const {
    uint64_t all = 0;
    for (const auto& island : islands) all += island->counts().get_bytes;
    return all;
  }

  std::string dir;
  Random& random = system_random();
  std::unique_ptr<crypto::Keyring> keys = crypto::Keyring::generate(random);
  std::vector<std::shared_ptr<island::MemIsland>> islands;
  extent::Placement placement;
  std::unique_ptr<io::Workers> workers = io::make_workers(kWorkers);
  std::unique_ptr<extent::Fanout> fanout = extent::make_fanout(*workers);
  index::JournalOptions options;
  index::Journal journal;
};

struct Load {
  uint64_t objects = 300'000, per_commit = 16, record_bytes = 350;
};

index::Intent objects_from(uint64_t first, const Load& load, std::shared_ptr<const std::string> noise) {
  index::Intent intent;
  intent.build = [first, load, noise](const index::View&, const std::vector<index::SmallLocation>&,
                                      std::vector<index::Mutation>& out) -> Result<void> {
    for (uint64_t i = first; i < std::min(first + load.per_commit, load.objects); ++i) {
      // Keys come in no order, and records are as good as random: they hold keys and digests.
      const uint64_t mixed = i * 0x9E3779B97F4A7C15u;
      out.push_back({std::string("o/bucket\0", 9) + fmt::format("photos/{:016x}.jpg", mixed) + '\0',
                     noise->substr(mixed % (noise->size() - load.record_bytes), load.record_bytes)});
    }
    return {};
  };
  return intent;
}

io::Task<void> fill(Cloud& cloud, const Load& load) {
  auto noise = std::make_shared<std::string>(size_t{8} << 20, '\0');
  cloud.random.fill({reinterpret_cast<uint8_t*>(noise->data()), noise->size()});
  for (uint64_t first = 0; first < load.objects; first += load.per_commit) {
    index::Intent intent = objects_from(first, load, noise);
    Result<index::CommitPosition> done = co_await cloud.journal.committer->commit(std::move(intent));
    CHECK(done.has_value());
  }
}

io::Task<double> write_snapshot_now(Cloud& cloud) {
  auto keeper = index::make_snapshot_keeper(
      {.write = {.keys = *cloud.keys,
                 .placement = std::make_shared<const extent::Placement>(cloud.placement),
                 .code = cloud.options.code,
                 .ack = cloud.options.ack,
                 .fanout = *cloud.fanout,
                 .committer = *cloud.journal.committer,
                 .kv = *cloud.journal.kv,
                 .workers = *cloud.workers,
                 .random = cloud.random,
                 .clock = system_clock()},
       .home = *io::Loop::current(),
       .progress = cloud.journal.progress,
       .slot = cloud.journal.slot,
       .w = cloud.options.ack.w},
      {});
  const TimePoint begun = system_clock().now();
  Result<void> done = co_await keeper->snapshot_now();
  CHECK(done.has_value());
  const double took = std::chrono::duration<double>(system_clock().now() - begun).count();
  co_await keeper->close();
  co_return took;
}

struct Start {
  double seconds = 0, cpu = 0;
  uint64_t gets = 0, bytes = 0;
};
io::Task<Start> start_without_index(Cloud& cloud, bool expect_snapshot) {
  cloud.forget_index();
  const uint64_t gets = cloud.gets(), bytes = cloud.got_bytes();
  const TimePoint begun = system_clock().now();
  const double cpu = cpu_seconds();
  co_await cloud.open();
  Start start;
  start.seconds = std::chrono::duration<double>(system_clock().now() - begun).count();
  start.cpu = cpu_seconds() - cpu;
  start.gets = cloud.gets() - gets;
  start.bytes = cloud.got_bytes() - bytes;
  CHECK((cloud.journal.snapshot > 0) == expect_snapshot);
  co_await cloud.close();
  co_return start;
}

void print(const char* what, const std::vector<Start>& starts, const Load& load) {
  std::vector<Start> sorted = starts;
  std::ranges::sort(sorted, {}, &Start::seconds);
  const Start& median = sorted[sorted.size() / 2];
  const double millions = static_cast<double>(load.objects) * 1e-6;
  fmt::print("{:<10} {:7.2f} s/million objects, {:7.2f} CPU s/million, {:8} reads, {:6.1f} MB\n", what,
             median.seconds / millions, median.cpu / millions, median.gets,
             static_cast<double>(median.bytes) * 1e-6);
}

io::Task<int> run(Load load) {
  Cloud cloud;
  co_await cloud.open();
  const TimePoint begun = system_clock().now();
  co_await fill(cloud, load);
  fmt::print("{} objects in commits of {}: written in {:.1f} s\n", load.objects, load.per_commit,
             std::chrono::duration<double>(system_clock().now() - begun).count());
  co_await cloud.close();

  std::vector<Start> replays, loads;
  for (int i = 0; i < kRounds; ++i) {
    Start start = co_await start_without_index(cloud, false);
    replays.push_back(start);
  }
  co_await cloud.open();
  const double wrote = co_await write_snapshot_now(cloud);
  co_await cloud.close();
  for (int i = 0; i < kRounds; ++i) {
    Start start = co_await start_without_index(cloud, true);
    loads.push_back(start);
  }
  print("replay", replays, load);
  print("snapshot", loads, load);
  fmt::print("writing the snapshot: {:.2f} s/million objects\n",
             wrote / (static_cast<double>(load.objects) * 1e-6));
  auto best = [](const std::vector<Start>& starts) {
    return std::ranges::min_element(starts, {}, &Start::seconds)->seconds;
  };
  fmt::print("a snapshot is {:.1f} times as fast as a replay\n", best(replays) / best(loads));
  co_return 0;
}

}  // namespace
}  // namespace archipel

int main(int argc, char** argv) {
  archipel::Load load;
  auto argument = [&](int i, uint64_t otherwise) {
    const long long given = argc > i ? std::atoll(argv[i]) : 0;
    return given > 0 ? static_cast<uint64_t>(given) : otherwise;
  };
  load.objects = argument(1, load.objects);
  load.per_commit = argument(2, load.per_commit);
  load.record_bytes = argument(3, load.record_bytes);
  archipel::log::set_level(archipel::log::Level::warn);
  return archipel::io::run_blocking([load] { return archipel::run(load); });
}
