// Reads of the edge's disk tier from its device, for bench/edge.py, which runs fio beside it on the same file system.
//
//   bench_edge_disk fill DIR MiB               a disk tier in DIR with so many MiB of objects of 64 KiB
//   bench_edge_disk read DIR MiB READERS cold  each object once, in random order, READERS under way at a time; nothing of it is in the page cache before
//   bench_edge_disk read DIR MiB READERS warm  all of it is in the page cache
//
// `read` prints one line of JSON: MB/s of bodies with their checksums verified, microseconds of CPU for each, and what was missed or corrupt.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "edge/cache.h"
#include "edge/disk.h"
#include "io/loop.h"
#include "io/sync.h"

namespace archipel::edge {
namespace {

constexpr size_t kBody = 64u << 10;
constexpr int kWorkers = 16;  // as `archipel edge` has them

std::string text_of(uint64_t i) {
  return fmt::format("site\nhttps://www.example.org:443/pictures/{:08x}/large.jpg", i * 2654435761u);
}

size_t objects_in(size_t mib) {
  return (mib << 20) / (kBody + 1024);
}

CacheConfig config_of(const std::string& dir, size_t mib) {
  CacheConfig config;
  config.memory_bytes = 16u << 20;  // so small that nearly all is asked of the disk
  config.disk_dir = dir;
  config.disk_bytes = (uint64_t{mib} << 20) + 4 * disk::kRegionBytes;
  return config;
}

void fill(Cache& cache, size_t objects) {
  auto dice = seeded_random(1);
  for (size_t i = 0; i < objects; ++i) {
    const std::string text = text_of(i);
    const Key key = cache.key_of(text);
    auto entry = std::make_shared<Entry>();
    entry->id = cache.new_id();
    entry->stamp = cache.stamp();
    entry->key = text;
    entry->site = "site";
    entry->length = kBody;
    entry->etag = "\"0123456789abcdef\"";
    entry->h1_head = "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nETag: \"0123456789abcdef\"\r\n";
    auto slice = std::make_shared<Slice>();
    slice->entry = entry->id;
    slice->bytes = Buffer(kBody);
    std::ranges::fill(slice->bytes.span(), static_cast<uint8_t>(dice->u64()));
    cache.put(key, entry, std::move(slice));
    cache.find_hot(key, text);  // the second use takes it to the disk
    if (i % 64 == 0) cache.close();
  }
  cache.close();
}

// Reading the files by the tier's start and by whoever wrote them leaves pages behind.
void set_page_cache(const std::string& dir, bool warm) {
  std::vector<char> piece(1u << 20);
  for (const auto& file : std::filesystem::directory_iterator(dir)) {
    if (!file.path().filename().string().starts_with("data.")) continue;
    const int fd = ::open(file.path().c_str(), O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(::fdatasync(fd) == 0);
    CHECK(::posix_fadvise(fd, 0, 0, warm ? POSIX_FADV_NORMAL : POSIX_FADV_DONTNEED) == 0);
    while (warm && ::read(fd, piece.data(), piece.size()) > 0) {
    }
    ::close(fd);
  }
}

struct Work {
  Cache& cache;
  std::vector<uint32_t> order;
  size_t next = 0;
  size_t bytes = 0, missed = 0;
};

io::Task<void> reader(Work& work) {
  while (work.next < work.order.size()) {
    std::string text = text_of(work.order[work.next++]);
    const Key key = work.cache.key_of(text);
    Found found = co_await work.cache.find(key, std::move(text));
    if (found.first == nullptr)
      ++work.missed;
    else
      work.bytes += found.first->bytes.size();
  }
}

io::Task<bool> read_all(Work& work, size_t readers) {
  std::deque<io::Task<void>> tasks;
  for (size_t i = 0; i < readers; ++i) tasks.push_back(reader(work));
  for (io::Task<void>& task : tasks) co_await std::move(task);
  co_return true;
}

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

int run(const std::vector<std::string>& args) {
  const std::string dir = args[1];
  const size_t mib = std::strtoull(args[2].c_str(), nullptr, 10);
  auto workers = io::make_workers(kWorkers);
  auto cache = make_cache(config_of(dir, mib), *workers, system_clock(), system_random());
  if (args[0] == "fill") {
    fill(*cache, objects_in(mib));
    fmt::print("{} objects\n", cache->stats().disk_objects);
    return 0;
  }
  Work work{.cache = *cache, .order = std::vector<uint32_t>(objects_in(mib))};
  std::iota(work.order.begin(), work.order.end(), 0u);
  for (size_t i = work.order.size(); i > 1; --i)
    std::swap(work.order[i - 1], work.order[system_random().u64() % i]);
  set_page_cache(dir, args[4] == "warm");
  const size_t readers = std::strtoull(args[3].c_str(), nullptr, 10);
  const double cpu = cpu_seconds();
  const auto begun = std::chrono::steady_clock::now();
  io::run_blocking([&] { return read_all(work, readers); });
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const double used = cpu_seconds() - cpu;
  const double count = static_cast<double>(work.order.size());
  fmt::print(R"({{"MBps": {:.1f}, "cpu_us": {:.2f}, "reads": {}, "missed": {}, "corrupt": {}}})"
             "\n",
             static_cast<double>(work.bytes) / took * 1e-6, used / count * 1e6, cache->stats().disk_reads,
             work.missed, cache->stats().disk_corrupt);
  return 0;
}

}  // namespace
}  // namespace archipel::edge

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const bool fill = args.size() == 3 && args[0] == "fill";
  const bool read = args.size() == 5 && args[0] == "read" && (args[4] == "cold" || args[4] == "warm");
  if (!fill && !read) {
    fmt::print(stderr, "usage: bench_edge_disk fill DIR MiB | read DIR MiB READERS cold|warm\n");
    return 2;
  }
  archipel::log::set_level(archipel::log::Level::warn);
  return archipel::edge::run(args);
}
