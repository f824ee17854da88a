// The tiers of the edge's cache: what a find costs, what storing costs, and what a purge of one tag does to finds.
//
//   bench_edge_tiers [entries [MiB of disk]]      default: 1,000,000 entries of 1 KiB bodies, 512 MiB
//
// Then the disk tier, under TMPDIR: reads of 64 KiB against plain pread of the same file, in turns, and what a start costs. Both come out of the page cache:
// it is the tier's own cost that is measured, not a device's (that is bench/edge_disk.cc). pread into one buffer finds it in
// the processor again and again; the tier keeps what it reads, as pread into many buffers does.
// One thread; keys come in an order that no cache of the processor helps. Prints; asserts nothing about speed.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "edge/cache.h"
#include "io/loop.h"

namespace archipel::edge {
namespace {

constexpr size_t kBody = 1024;
constexpr size_t kFinds = 2'000'000;
constexpr size_t kTimed = 500'000;
constexpr int kRounds = 5;

// Of this thread, or of the process: other users of the machine do not count.
double cpu_seconds(clockid_t whose = CLOCK_THREAD_CPUTIME_ID) {
  timespec now{};
  clock_gettime(whose, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

using Steady = std::chrono::steady_clock;
double seconds_since(Steady::time_point begun) {
  return std::chrono::duration<double>(Steady::now() - begun).count();
}

size_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  size_t whole = 0, resident = 0;
  in >> whole >> resident;
  return resident * 4096;
}

std::string text_of(uint64_t i) {
  return fmt::format("site\nhttps://www.example.org:443/articles/{:08x}/page.html", i * 2654435761u);
}

EntryRef make_entry(Cache& cache, const std::string& text, size_t body) {
  auto entry = std::make_shared<Entry>();
  entry->id = cache.new_id();
  entry->stamp = cache.stamp();
  entry->key = text;
  entry->site = "site";
  entry->tags = {"all", "articles"};
  entry->length = body;
  entry->etag = "\"0123456789abcdef\"";
  entry->h1_head =
      "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nETag: \"0123456789abcdef\"\r\n";
  return entry;
}

SliceRef make_slice(uint64_t id, size_t bytes) {
  auto slice = std::make_shared<Slice>();
  slice->entry = id;
  slice->bytes = Buffer(bytes);
  std::ranges::fill(slice->bytes.span(), uint8_t{7});
  return slice;
}

struct Asked {
  Key key;
  std::string text;
};

double finds(Cache& cache, const std::vector<Asked>& asked, size_t& found) {
  const double begun = cpu_seconds();
  for (const Asked& a : asked) found += cache.find_hot(a.key, a.text).first != nullptr;
  return (cpu_seconds() - begun) / static_cast<double>(asked.size()) * 1e9;
}

// What the machine takes to fetch a line from nowhere near: a find needs three of them one after the other.
double chase(size_t bytes) {
  constexpr size_t kLoads = 1'000'000;
  std::vector<uint64_t> lines(bytes / 8);
  for (size_t i = 0; i < lines.size(); i += 8) lines[i] = i * 0x9E3779B97F4A7C15u;
  const double begun = cpu_seconds();
  uint64_t at = 0;
  for (size_t i = 0; i < kLoads; ++i)
    at = ((lines[at] + i) * 0xD1342543DE82EF95u >> 3) % (lines.size() / 8) * 8;
  const double took = cpu_seconds() - begun;
  fmt::print("{}", at == 8 ? "!" : "");  // so that nobody leaves the loads out
  return took / kLoads * 1e9;
}

struct Percentiles {
  double p50, p99, worst;
};
Percentiles timed_finds(Cache& cache, const std::vector<Asked>& asked, size_t from, size_t& found) {
  std::vector<double> each(kTimed);
  for (size_t i = 0; i < kTimed; ++i) {
    const Asked& a = asked[(from + i) % asked.size()];
    const auto begun = Steady::now();
    found += cache.find_hot(a.key, a.text).first != nullptr;
    each[i] = seconds_since(begun) * 1e9;
  }
  std::ranges::sort(each);
  return {each[kTimed / 2], each[kTimed / 100 * 99], each.back()};
}

void memory(size_t entries, io::Workers& workers) {
  const size_t before = resident_bytes();
  auto cache = make_cache({.memory_bytes = entries * (kBody + 1200), .disk_dir = {}}, workers, system_clock(),
                          system_random());
  std::vector<Asked> asked(kFinds);
  for (size_t i = 0; i < kFinds; ++i) {
    asked[i].text = text_of(system_random().u64() % entries);
    asked[i].key = cache->key_of(asked[i].text);
  }
  const size_t own = resident_bytes() - before;
  auto begun = Steady::now();
  for (size_t i = 0; i < entries; ++i) {
    const std::string text = text_of(i);
    EntryRef entry = make_entry(*cache, text, kBody);
    cache->put(cache->key_of(text), entry, make_slice(entry->id, kBody));
  }
  const double put = seconds_since(begun) / static_cast<double>(entries) * 1e9;
  CacheStats stats = cache->stats();
  const double resident = static_cast<double>(resident_bytes() - before - own);
  fmt::print(
      "{} entries of {} bytes: {:.0f} ns each to make and put; accounted {:.1f} MiB, resident {:.1f} MiB "
      "({:.3f})\n",
      stats.memory_entries, kBody, put, static_cast<double>(stats.memory_bytes) / 1048576, resident / 1048576,
      resident / static_cast<double>(stats.memory_bytes));
  size_t found = 0;
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) best = std::min(best, finds(*cache, asked, found));
  fmt::print("find_hot, uniform over all entries: {:.0f} ns ({:.2f} M/s); hit {:.4f}\n", best, 1e3 / best,
             static_cast<double>(found) / static_cast<double>(kFinds * kRounds));
  fmt::print("one load that waits for the last, at random in as many bytes: {:.0f} ns\n",
             chase(stats.memory_bytes));
  std::vector<Asked> few(asked.begin(), asked.begin() + 1000);
  double hot = 1e9;
  for (int round = 0; round < 200; ++round) hot = std::min(hot, finds(*cache, few, found));
  fmt::print("find_hot, 1000 keys again and again: {:.0f} ns\n", hot);
  begun = Steady::now();
  uint64_t sum = 0;
  for (const Asked& a : few) sum += cache->key_of(a.text).low;
  fmt::print("key_of, {} bytes: {:.0f} ns{}\n", few[0].text.size(), seconds_since(begun) / 1000 * 1e9,
             sum == 1 ? "!" : "");

  auto show = [](const char* what, Percentiles p) {
    fmt::print("{:<44} p50 {:6.0f}  p99 {:6.0f}  worst {:8.0f} ns\n", what, p.p50, p.p99, p.worst);
  };
  show("finds, each timed:", timed_finds(*cache, asked, 0, found));
  begun = Steady::now();
  auto soft = cache->purge_tag("site", "nothing has this", false);
  CHECK(soft.take().has_value());
  fmt::print("purge of a tag: {:.1f} us\n", seconds_since(begun) * 1e6);
  show("after a purge of a tag that none carries:", timed_finds(*cache, asked, 0, found));
  show("then:", timed_finds(*cache, asked, 0, found));
  auto all = cache->purge_tag("site", "articles", false);
  CHECK(all.take().has_value());
  found = 0;
  show("after a purge of a tag that all carry:", timed_finds(*cache, asked, 0, found));
  fmt::print("found then: {}\n", found);
}

// --- the disk tier

constexpr size_t kDiskBody = 64u << 10;

struct OnDisk {
  std::string dir, file;
  CacheConfig config;
};

std::shared_ptr<Cache> open_cache(const OnDisk& on, io::Workers& workers) {
  return make_cache(on.config, workers, system_clock(), system_random());
}

// Everything twice, so that it goes to the disk.
void fill(Cache& cache, size_t objects, size_t body) {
  for (size_t i = 0; i < objects; ++i) {
    const std::string text = text_of(i);
    EntryRef entry = make_entry(cache, text, body);
    cache.put(cache.key_of(text), entry, make_slice(entry->id, body));
    cache.find_hot(cache.key_of(text), text);
    if (i % 64 == 0) cache.close();
  }
  cache.close();
}

io::Task<size_t> read_some(Cache& cache, size_t from, size_t count, size_t objects) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; ++i) {
    std::string text = text_of((from + i * 7919) % objects);
    const Key key = cache.key_of(text);
    Found found = co_await cache.find(key, std::move(text));
    if (found.first != nullptr) bytes += found.first->bytes.size();
  }
  co_return bytes;
}

// Two readers at a time.
io::Task<size_t> read_many(Cache& cache, size_t from, size_t count, size_t objects) {
  io::Task<size_t> one = read_some(cache, from, count / 2, objects);
  io::Task<size_t> two = read_some(cache, from + 1, count / 2, objects);
  const size_t first = co_await std::move(one);
  const size_t second = co_await std::move(two);
  co_return first + second;
}

// Into so many buffers in turn.
size_t pread_many(const std::string& file, size_t bytes_of_file, size_t count, size_t buffers) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  std::atomic<size_t> bytes{0};
  auto reader = [&](size_t seed) {
    std::vector<Buffer> ring(buffers);
    for (Buffer& buffer : ring) buffer = Buffer(kDiskBody);
    for (size_t i = 0; i < count / 2; ++i) {
      const size_t at = (seed + i * 7919) % (bytes_of_file / kDiskBody) * kDiskBody;
      const ssize_t n = ::pread(fd, ring[i % buffers].data(), kDiskBody, static_cast<off_t>(at));
      if (n > 0) bytes += static_cast<size_t>(n);
    }
  };
  std::thread other(reader, 1);
  reader(0);
  other.join();
  ::close(fd);
  return bytes;
}

void disk(size_t mib, io::Workers& workers) {
  const char* tmp = std::getenv("TMPDIR");
  OnDisk on;
  on.dir = fmt::format("{}/bench_edge_tiers_{}", tmp != nullptr ? tmp : "/tmp", getpid());
  on.config.memory_bytes = 4u << 20;  // hardly anything: the disk is asked
  on.config.disk_dir = on.dir;
  on.config.disk_bytes = (uint64_t{mib} << 20) + (64u << 20);
  std::filesystem::remove_all(on.dir);
  {
    const size_t objects = (mib << 20) / (kDiskBody + 1024);
    auto cache = open_cache(on, workers);
    const auto begun = Steady::now();
    fill(*cache, objects, kDiskBody - 256);
    const double took = seconds_since(begun);
    CacheStats stats = cache->stats();
    fmt::print("disk: {} objects of 64 KiB written, {:.0f} MB/s; index {:.1f} bytes an object\n",
               stats.disk_objects, static_cast<double>(stats.disk_written_bytes) / took * 1e-6,
               static_cast<double>(stats.disk_index_bytes) / static_cast<double>(stats.disk_objects));
    double best = 0, best_plain = 0, best_kept = 0;
    const std::string file = on.dir + "/data.00000";
    const size_t bytes_of_file = std::min<size_t>(mib << 20, 1u << 30);
    for (int round = 0; round < kRounds; ++round) {
      double at = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
      const size_t reads = 8000;
      const size_t got = io::run_blocking(
          [&] { return read_many(*cache, static_cast<size_t>(round) * 131, reads, objects); });
      best = std::max(best, static_cast<double>(got) / (cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - at));
      at = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
      const size_t plain = pread_many(file, bytes_of_file, reads, 1);
      best_plain =
          std::max(best_plain, static_cast<double>(plain) / (cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - at));
      at = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
      const size_t kept = pread_many(file, bytes_of_file, reads, on.config.memory_bytes / 2 / kDiskBody);
      best_kept =
          std::max(best_kept, static_cast<double>(kept) / (cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - at));
    }
    fmt::print(
        "disk reads of 64 KiB: {:.0f} MB per CPU-second; plain pread of the same file into as many buffers: "
        "{:.0f} "
        "({:.2f}), into one: {:.0f} ({:.2f}); corrupt {}\n",
        best * 1e-6, best_kept * 1e-6, best / best_kept, best_plain * 1e-6, best / best_plain,
        cache->stats().disk_corrupt);
  }
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const auto begun = Steady::now();
    auto cache = open_cache(on, workers);
    best = std::min(best, seconds_since(begun));
  }
  fmt::print("start with {} MiB of 64 KiB objects: {:.3f} s, {:.3f} s a GiB\n", mib, best,
             best * 1024 / static_cast<double>(mib));
  std::filesystem::remove_all(on.dir);
  {
    const size_t objects = (mib << 20) / 1800;
    auto cache = open_cache(on, workers);
    fill(*cache, objects, kBody);
    fmt::print("disk: {} objects of 1 KiB; index {:.1f} bytes an object\n", cache->stats().disk_objects,
               static_cast<double>(cache->stats().disk_index_bytes) /
                   static_cast<double>(cache->stats().disk_objects));
  }
  size_t there = 0;
  best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const auto begun = Steady::now();
    auto cache = open_cache(on, workers);
    best = std::min(best, seconds_since(begun));
    there = cache->stats().disk_objects;
  }
  fmt::print("start with {} objects of 1 KiB: {:.3f} s, {:.3f} s a million, {:.3f} s a GiB\n", there, best,
             best / static_cast<double>(there) * 1e6, best * 1024 / static_cast<double>(mib));
  std::filesystem::remove_all(on.dir);
}

}  // namespace
}  // namespace archipel::edge

int main(int argc, char** argv) {
  const long long given = argc > 1 ? std::atoll(argv[1]) : 0;
  auto workers = archipel::io::make_workers(2);
  const long long mib = argc > 2 ? std::atoll(argv[2]) : 512;
  archipel::log::set_level(archipel::log::Level::warn);
  archipel::edge::memory(given > 0 ? static_cast<size_t>(given) : 1'000'000, *workers);
  archipel::edge::disk(static_cast<size_t>(std::max(mib, 64LL)), *workers);
}
