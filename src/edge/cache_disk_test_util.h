// What tests of the cache with a disk tier share. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "base/log.h"
#include "edge/cache.h"
#include "edge/disk.h"
#include "edge/disk_files_test_util.h"
#include "edge/disk_format.h"
#include "io/loop.h"

namespace archipel::edge {

inline constexpr uint64_t kDiskBytes = 4 * disk::kRegionBytes;

class CacheDiskClock final : public Clock {
 public:
  TimePoint now() override { return TimePoint(Duration(ns.load())); }
  UnixMs unix_ms() override { return 1'800'000'000'000 + ns.load() / 1'000'000; }
  void advance(Duration by) { ns += by.count(); }
  std::atomic<int64_t> ns{1'000'000'000};
};

// A cache with a disk tier on a disk that can be torn, filled and broken.
struct CacheDisk : ::testing::Test {
  CacheDisk() {
    log::set_level(log::Level::error);
    config.memory_bytes = 64u << 20;
    config.disk_bytes = kDiskBytes;
    start();
  }
  ~CacheDisk() override {
    cache = nullptr;
    log::set_level(log::Level::info);
  }

  void start() { cache = make_cache(config, disk->files(), *workers, clock, *random); }
  // kill -9 once all that was handed over was written, and a new process.
  void restart() {
    cache->close();
    disk->kill();
    cache = nullptr;
    start();
  }

  std::shared_ptr<Entry> make(std::string_view text, size_t length = 4) {
    auto entry = std::make_shared<Entry>();
    entry->id = cache->new_id();
    entry->stamp = cache->stamp();
    entry->key = std::string(text);
    entry->site = "site";
    entry->tags = {"news"};
    entry->etag = "\"e\"";
    entry->length = length;
    entry->headers.add("content-type", "text/plain");
    entry->h1_head = "HTTP/1.1 200 OK\r\n";
    return entry;
  }
  static SliceRef slice(const Entry& entry, uint32_t index, std::string_view bytes) {
    auto out = std::make_shared<Slice>();
    out->entry = entry.id;
    out->index = index;
    out->bytes = Buffer::copy_of(as_bytes(bytes));
    return out;
  }
  std::string text(size_t i) { return "site\nhttp://host:80/" + std::to_string(i); }
  EntryRef put(std::string_view key, std::string_view body = "body") {
    auto entry = make(key, body.size());
    cache->put(cache->key_of(key), entry, slice(*entry, 0, body));
    return entry;
  }
  // Stored, and used once more, which is what takes it to the disk.
  EntryRef keep(std::string_view key, std::string_view body = "body") {
    EntryRef entry = put(key, body);
    hot(key);
    return entry;
  }
  // No faster than the writer, whose queue is bounded.
  void keep_many(size_t& next, size_t count, std::string_view bytes) {
    for (size_t i = 0; i < count; ++i) {
      keep(text(next++), bytes);
      if (i % 50 == 0) cache->close();
    }
  }
  // Null: healthy again.
  void fail_writes(std::function<bool(const std::string&)> which) {
    std::lock_guard lock(disk->mutex);
    disk->fails_to_write = std::move(which);
  }
  Found hot(std::string_view key) { return cache->find_hot(cache->key_of(key), key); }
  Found find(std::string_view key) {
    return io::run_blocking([&]() { return cache->find(cache->key_of(key), std::string(key)); });
  }
  SliceRef find_slice(EntryRef entry, uint32_t index) {
    return io::run_blocking([&]() { return cache->slice(entry, index); });
  }
  std::string body(std::string_view key) {
    Found found = find(key);
    if (found.entry == nullptr) return "no entry";
    return found.first == nullptr ? "no body" : std::string(as_text(found.first->bytes.view()));
  }
  Result<void> purge_tag(std::string tag, bool soft = false) {
    return io::run_blocking([&]() { return cache->purge_tag("site", tag, soft); });
  }
  std::string& data() { return disk->contents["data.00000"]; }
  size_t where_is(std::string_view bytes) { return data().find(bytes); }

  std::shared_ptr<FakeDisk> disk = std::make_shared<FakeDisk>();
  CacheDiskClock clock;
  std::unique_ptr<io::Workers> workers = io::make_workers(2);
  std::unique_ptr<Random> random = seeded_random(1);
  CacheConfig config;
  std::shared_ptr<Cache> cache;
};

}  // namespace archipel::edge
