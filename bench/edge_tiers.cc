// The tiers of the edge's cache: what a find costs, what storing costs, and what a purge of one tag does to finds.
//
//   bench_edge_tiers [entries]      default: 1,000,000 entries of 1 KiB bodies
//
// One thread; keys come in an order that no cache of the processor helps. Prints; asserts nothing about speed.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "edge/cache.h"
#include "io/loop.h"

namespace archipel::edge {
namespace {

constexpr size_t kBody = 1024;
constexpr size_t kFinds = 2'000'000;
constexpr size_t kTimed = 500'000;
constexpr int kRounds = 5;

// Of this thread: other users of the machine do not count.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
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
  CHECK(at % 8 == 0);
  return (cpu_seconds() - begun) / kLoads * 1e9;
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

}  // namespace
}  // namespace archipel::edge

int main(int argc, char** argv) {
  const long long given = argc > 1 ? std::atoll(argv[1]) : 0;
  auto workers = archipel::io::make_workers(2);
  archipel::edge::memory(given > 0 ? static_cast<size_t>(given) : 1'000'000, *workers);
}
