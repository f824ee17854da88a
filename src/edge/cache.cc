#include "edge/cache.h"

#include <algorithm>
#include <atomic>

#include "edge/memory.h"
#include "edge/purges.h"

namespace archipel::edge {
namespace {

// Slices of a response that was replaced or erased are let go at once, up to this many; the rest leaves as nobody asks for it.
constexpr uint32_t kSlicesErasedMax = 64;

class CacheImpl final : public Cache, public std::enable_shared_from_this<CacheImpl> {
 public:
  CacheImpl(const CacheConfig& config, io::Workers& workers, Clock& clock, Random& random)
      : secret_{random.bytes<16>()},
        next_id_(random.u64()),
        workers_(workers),
        book_(secret_),
        memory_(config.memory_bytes, book_, clock, nullptr) {}

  Key key_of(std::string_view text) const override { return hash_key(secret_, text); }
  uint64_t new_id() override { return next_id_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t stamp() const override { return book_.latest(); }

  Found find_hot(const Key& key, std::string_view text) override {
    Found found = memory_.find(key, text);
    if (found.entry == nullptr || found.first != nullptr) return found;
    if (found.entry->length == uint64_t{0}) return found;
    found.first = slice_hot(*found.entry, 0);
    if (found.first != nullptr && of_one_slice(*found.entry)) {
      memory_.adopt(key, *found.entry, found.first);
      memory_.erase_slice(slice_key(found.entry->id, 0));
    }
    return found;
  }

  io::Task<Found> find(Key key, std::string text) override { co_return find_hot(key, text); }

  SliceRef slice_hot(const Entry& entry, uint32_t index) override {
    return memory_.find_slice(slice_key(entry.id, index), entry.id, index);
  }
  io::Task<SliceRef> slice(EntryRef entry, uint32_t index) override { co_return slice_hot(*entry, index); }

  std::shared_ptr<const Variants> variants(const Key& key, std::string_view text) override {
    return memory_.find_variants(key, text);
  }
  void set_variants(const Key& key, std::shared_ptr<const Variants> variants) override {
    memory_.put_variants(key, std::move(variants));
  }

  void put(const Key& key, EntryRef entry, SliceRef first) override {
    const uint64_t latest = book_.latest();
    bool soft = false;
    if (entry->stamp < latest) {
      const Verdict verdict = book_.judge(*entry, entry->stamp);
      if (verdict == Verdict::hard) return;
      soft = verdict == Verdict::soft;
    }
    SliceRef apart;
    if (first != nullptr && !of_one_slice(*entry)) apart = std::exchange(first, nullptr);
    MemoryTier::Put put = memory_.put(key, std::move(entry), std::move(first), latest, soft, false);
    if (apart != nullptr) put_slice(std::move(apart));
    if (put.replaced != nullptr) erase_slices(*put.replaced);
  }

  void put_slice(SliceRef slice) override {
    const Key key = slice_key(slice->entry, slice->index);
    memory_.put_slice(key, std::move(slice), false);
  }

  void erase(const Key& key) override {
    EntryRef entry = memory_.erase(key);
    if (entry != nullptr) erase_slices(*entry);
  }

  io::Task<Result<void>> purge_key(std::string text, bool soft) override {
    return purge(PurgeScope::key, {}, std::move(text), soft);
  }
  io::Task<Result<void>> purge_prefix(std::string text, bool soft) override {
    return purge(PurgeScope::prefix, {}, std::move(text), soft);
  }
  io::Task<Result<void>> purge_tag(std::string site, std::string tag, bool soft) override {
    return purge(PurgeScope::tag, std::move(site), std::move(tag), soft);
  }
  io::Task<Result<void>> purge_group(std::string origin, std::string group) override {
    return purge(PurgeScope::group, std::move(origin), std::move(group), false);
  }
  io::Task<Result<void>> purge_site(std::string site, bool soft) override {
    return purge(PurgeScope::site, {}, std::move(site), soft);
  }
  void invalidate(std::string_view text) override {
    book_.add(PurgeScope::key, {}, text, false);
    sweep_if_crowded();
  }

  CacheStats stats() const override {
    CacheStats out;
    memory_.add_to(out);
    out.purges = book_.size();
    return out;
  }

  void close() override {}

 private:
  static bool of_one_slice(const Entry& entry) { return entry.length && *entry.length <= kSliceBytes; }

  Key slice_key(uint64_t id, uint32_t index) const {
    char name[13];
    name[0] = 's';
    std::memcpy(name + 1, &id, 8);
    std::memcpy(name + 9, &index, 4);
    return hash_key(secret_, {name, sizeof name});
  }

  void erase_slices(const Entry& entry) {
    if (of_one_slice(entry)) return memory_.erase_slice(slice_key(entry.id, 0));
    const uint64_t count = entry.length ? *entry.length / kSliceBytes + 1 : kSlicesErasedMax;
    for (uint32_t i = 0; i < std::min<uint64_t>(count, kSlicesErasedMax); ++i)
      memory_.erase_slice(slice_key(entry.id, i));
  }

  io::Task<Result<void>> purge(PurgeScope scope, std::string scope_text, std::string text, bool soft) {
    book_.add(scope, scope_text, text, soft);
    sweep_if_crowded();
    co_return Result<void>();
  }

  // Before the book has to forget what entries were not held against yet.
  void sweep_if_crowded() {
    if (!book_.crowded() || sweeping_.exchange(true)) return;
    workers_.submit([self = shared_from_this()] {
      const uint64_t until = self->book_.latest();
      self->memory_.sweep();
      self->book_.forget_until(until);
      self->sweeping_ = false;
    });
  }

  const HashSecret secret_;
  std::atomic<uint64_t> next_id_;
  io::Workers& workers_;
  PurgeBook book_;
  MemoryTier memory_;
  std::atomic<bool> sweeping_{false};
};

}  // namespace

std::shared_ptr<Cache> make_cache(const CacheConfig& config, io::Workers& workers, Clock& clock,
                                  Random& random) {
  return std::make_shared<CacheImpl>(config, workers, clock, random);
}

}  // namespace archipel::edge
