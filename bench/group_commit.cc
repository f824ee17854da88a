// What RocksDB makes of durable small writes: C threads that each put one value at a time, synced, and so share fsyncs by its group commit. The
// yardstick for PUT of small objects: one key-value store on one disk, without HTTP, signatures, sealing or islands. Prints one JSON line, like s3load.
#include <fmt/format.h>
#include <rocksdb/db.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr int kKeysPerThread = 4;  // overwritten in turn, as s3load does

double cpu_seconds(timeval t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
}

[[noreturn]] void die(const std::string& message) {
  fmt::print(stderr, "group_commit: {}\n", message);
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  std::string directory;
  int threads = 32;
  size_t size = 4096;
  double seconds = 2;
  CLI::App app{"Synced puts into RocksDB from many threads."};
  app.footer("Example: bench_group_commit --dir /tmp/db --connections 32 --size 4096");
  app.add_option("--dir", directory, "made if it is not there")->required();
  app.add_option("--connections", threads)->check(CLI::Range(1, 1024));
  app.add_option("--size", size)->check(CLI::Range(1, 1 << 20));
  app.add_option("--seconds", seconds)->check(CLI::Range(0.01, 600.0));
  CLI11_PARSE(app, argc, argv);

  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* opened = nullptr;
  rocksdb::Status status = rocksdb::DB::Open(options, directory, &opened);
  if (!status.ok()) die(status.ToString());
  std::unique_ptr<rocksdb::DB> db(opened);

  const std::string value(size, 'v');
  std::atomic<int64_t> done = 0, failed = 0;
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const auto start = SteadyClock::now();
  const auto end =
      start + std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(seconds));
  std::vector<std::thread> writers;
  for (int number = 0; number < threads; ++number)
    writers.emplace_back([&, number] {
      rocksdb::WriteOptions synced;
      synced.sync = true;
      for (int i = 0; SteadyClock::now() < end; ++i) {
        std::string key = fmt::format("put-{}-{}", number, i % kKeysPerThread);
        ++(db->Put(synced, key, value).ok() ? done : failed);
      }
    });
  for (std::thread& writer : writers) writer.join();
  const double took = std::chrono::duration<double>(SteadyClock::now() - start).count();
  getrusage(RUSAGE_SELF, &after);
  const double user = cpu_seconds(after.ru_utime) - cpu_seconds(before.ru_utime);
  const double system = cpu_seconds(after.ru_stime) - cpu_seconds(before.ru_stime);
  fmt::print(
      "{{\"op\":\"put\",\"bytes\":{},\"connections\":{},\"requests\":{},\"failed\":{},\"wrong\":0,"
      "\"seconds\":{:.3f},"
      "\"user_seconds\":{:.3f},\"system_seconds\":{:.3f},\"cpu_seconds\":{:.6f}}}\n",
      size, threads, done.load(), failed.load(), took, user, system, user + system);
  return failed == 0 ? 0 : 1;
}
