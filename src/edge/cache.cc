#include "edge/cache.h"

#include <algorithm>
#include <atomic>
#include <unordered_set>

#include "base/log.h"
#include "edge/disk.h"
#include "edge/disk_home.h"
#include "edge/late.h"
#include "edge/memory.h"
#include "edge/purge_journal.h"
#include "edge/purges.h"

namespace archipel::edge {
namespace {

// Slices of a response that was replaced or erased are let go at once, up to this many; the rest leaves as nobody asks for it.
constexpr uint32_t kSlicesErasedMax = 64;
// Keys that came once, remembered for the second time.
constexpr size_t kSeenMax = size_t{1} << 20;
constexpr size_t kSeenBytesEach = 16u << 10;  // of disk, as a guess of how many make sense
// Responses too large for memory whose slices are on their way to the disk.
constexpr size_t kAdmittedMax = 4096;

// What comes the second time goes to disk, if memory had lost it meanwhile, or never takes it: nobody else would tell that it is used again.
class Newcomers {
 public:
  explicit Newcomers(uint64_t disk_bytes) : seen_(kSeenMax) {
    seen_.set_capacity(static_cast<size_t>(std::max<uint64_t>(disk_bytes / kSeenBytesEach, 1024)));
  }
  bool seen_before(const Key& key) {
    std::lock_guard lock(mutex_);
    if (seen_.knows(key.low)) return true;
    seen_.remember(key.low);
    return false;
  }
  void admit(uint64_t id) {
    std::lock_guard lock(mutex_);
    if (!admitted_.insert(id).second) return;
    order_.push_back(id);
    if (order_.size() <= kAdmittedMax) return;
    admitted_.erase(order_.front());
    order_.pop_front();
  }
  bool admitted(uint64_t id) {
    std::lock_guard lock(mutex_);
    return admitted_.contains(id);
  }

 private:
  std::mutex mutex_;
  Ghost seen_;
  std::unordered_set<uint64_t> admitted_;
  std::deque<uint64_t> order_;
};

// What the disk brings along; all empty without one.
struct Disk {
  DiskHome home;
  std::unique_ptr<PurgeBook> book;
  std::unique_ptr<PurgeLog> log;
  std::shared_ptr<DiskTier> tier;
};

// Purges of this process are numbered beyond all that one beside it can make.
constexpr uint64_t kNumbersBeside = uint64_t{1} << 32;

// A disk tier that another process still has. What it is to know when it comes: which keys were stored anew or erased here meanwhile.
class Awaited {
 public:
  static constexpr size_t kKeysMax = size_t{1} << 20;  // with more, all that is stored there is let go

  struct Home {
    std::shared_ptr<DiskFiles> files;
    disk::Identity identity;
    uint64_t purges = 0;  // number of the last one that was read
  };
  void wait_for(Home home) {
    home_ = std::move(home);
    waiting_ = true;
  }
  const Home& home() const { return home_; }
  bool waiting() const { return waiting_.load(std::memory_order_acquire); }
  // False: nobody waits any more, and the disk is to be told itself.
  bool changed(const Key& key) {
    std::lock_guard lock(mutex_);
    if (!waiting_) return false;
    too_many_ = too_many_ || keys_.size() >= kKeysMax;
    if (!too_many_) keys_.push_back(key);
    return true;
  }
  // Calls `there`, which makes the disk known to all, when nobody can be in changed().
  template <class F>
  void end(F there) {
    std::lock_guard lock(mutex_);
    there(keys_, too_many_);
    waiting_ = false;
    keys_ = {};
  }

 private:
  Home home_;
  std::atomic<bool> waiting_{false};
  std::mutex mutex_;
  std::vector<Key> keys_;
  bool too_many_ = false;
};

class CacheImpl final : public Cache, public ReuseSink, public std::enable_shared_from_this<CacheImpl> {
 public:
  // `disk` without a tier, but with a book: of a disk that is `awaited`.
  CacheImpl(const CacheConfig& config, Disk disk, std::optional<Awaited::Home> awaited, io::Workers& workers,
            Clock& clock, Random& random)
      : config_(config),
        home_(std::move(disk.home)),
        secret_(disk.tier != nullptr ? home_.identity.secret
                : awaited            ? awaited->identity.secret
                                     : HashSecret{random.bytes<16>()}),
        next_id_(random.u64()),
        workers_(workers),
        clock_(clock),
        random_(random),
        book_(disk.book != nullptr ? std::move(disk.book) : std::make_unique<PurgeBook>(secret_)),
        memory_(config.memory_bytes, *book_, clock, disk.tier != nullptr || awaited ? this : nullptr),
        newcomers_(config.disk_bytes) {
    if (disk.tier != nullptr) {
      journal_.set(make_purge_journal(std::move(disk.log), workers));
      disk_.set(std::move(disk.tier));
    }
    if (awaited) awaited_.wait_for(std::move(*awaited));
  }

  Key key_of(std::string_view text) const override { return hash_key(secret_, text); }
  uint64_t new_id() override { return next_id_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t stamp() const override { return book_->latest(); }

  Found find_hot(const Key& key, std::string_view text) override {
    Found found = memory_.find(key, text);
    if (whole(found) || found.entry == nullptr) return found;
    found.first = slice_hot(*found.entry, 0);
    if (found.first != nullptr && of_one_slice(*found.entry)) {
      memory_.adopt(key, *found.entry, found.first);
      memory_.erase_slice(slice_key(found.entry->id, 0));
    }
    return found;
  }

  io::Task<Found> find(Key key, std::string text) override {
    Found found = find_hot(key, text);
    if (disk_ == nullptr || whole(found)) co_return found;
    const bool variants = found.variants == nullptr && disk_->may_have(variants_key(key));
    if (!variants && !disk_->may_have(key)) co_return found;
    if (!disk_->begin_read()) co_return found;
    if (!look_on_disk(key, text, found, Wait::no)) {
      co_await workers_.run(
          [this, &key, &text, &found] { return look_on_disk(key, text, found, Wait::yes); });
    }
    disk_->end_read();
    co_return found;
  }

  SliceRef slice_hot(const Entry& entry, uint32_t index) override {
    return memory_.find_slice(slice_key(entry.id, index), entry.id, index);
  }

  io::Task<SliceRef> slice(EntryRef entry, uint32_t index) override {
    const Key key = slice_key(entry->id, index);
    SliceRef slice = memory_.find_slice(key, entry->id, index);
    if (slice != nullptr || disk_ == nullptr) co_return slice;
    const bool inside = index == 0 && of_one_slice(*entry);
    const Key of_entry = inside ? key_of(entry->key) : key;
    if (!disk_->may_have(key) && !(inside && disk_->may_have(of_entry))) co_return nullptr;
    if (!disk_->begin_read()) co_return nullptr;
    const Lost lost{entry->id, index, key, inside ? &of_entry : nullptr};
    if (!read_lost(lost, slice, Wait::no)) {
      co_await workers_.run([this, &lost, &slice] { return read_lost(lost, slice, Wait::yes); });
    }
    disk_->end_read();
    co_return slice;
  }

  std::shared_ptr<const Variants> variants(const Key& key, std::string_view text) override {
    return memory_.find_variants(key, text);
  }

  void set_variants(const Key& key, std::shared_ptr<const Variants> variants) override {
    if (changes_on_disk(variants_key(key)) && disk_->erase(variants_key(key)))
      disk_->write_variants(variants_key(key), variants);
    memory_.put_variants(key, std::move(variants));
  }

  void put(const Key& key, EntryRef entry, SliceRef first) override {
    const uint64_t latest = book_->latest();
    bool soft = false;
    if (entry->stamp < latest) {
      const Verdict verdict = book_->judge(*entry, entry->stamp);
      if (verdict == Verdict::hard) return;
      soft = verdict == Verdict::soft;
    }
    SliceRef apart;
    if (first != nullptr && !of_one_slice(*entry)) apart = std::exchange(first, nullptr);
    bool on_disk = false;
    if (changes_on_disk(key)) on_disk = put_on_disk(key, entry, first, latest, soft);
    MemoryTier::Put put = memory_.put(key, std::move(entry), std::move(first), latest, soft, on_disk);
    if (apart != nullptr) put_slice(std::move(apart));
    if (put.replaced != nullptr) erase_slices(*put.replaced);
  }

  void put_slice(SliceRef slice) override {
    const Key key = slice_key(slice->entry, slice->index);
    const bool to_disk =
        disk_ != nullptr && !memory_.admits(slice->bytes.capacity()) && newcomers_.admitted(slice->entry);
    if (to_disk) disk_->write_slice(key, slice);
    memory_.put_slice(key, std::move(slice), false);
  }

  void erase(const Key& key) override {
    // In this order: who reads it from the disk meanwhile looks there again after putting it into memory.
    if (changes_on_disk(key)) disk_->erase(key);
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
  void invalidate(std::string_view text) override { add_soon(PurgeScope::key, {}, text, false); }
  void invalidate_all(std::string_view site, std::string_view tag, bool soft) override {
    if (tag.empty())
      add_soon(PurgeScope::site, {}, site, soft);
    else
      add_soon(PurgeScope::tag, site, tag, soft);
  }

  void keep_heard(const std::vector<HeardMark>& heard) override {
    for (const Purge& line : book_->set_heard(heard))
      if (journal_ != nullptr) journal_->write_soon(line);
  }
  std::vector<HeardMark> heard() const override { return book_->heard(); }

  CacheStats stats() const override {
    CacheStats out;
    memory_.add_to(out);
    out.purges = book_->size();
    if (disk_ != nullptr) disk_->add_to(out);
    return out;
  }

  void close() override {
    if (disk_ != nullptr) disk_->flush();
    if (journal_ != nullptr) journal_->flush();
  }

  void release_disk() override {
    if (disk_ == nullptr) return;
    disk_->retire();
    journal_->retire();
    home_.lock.reset();
  }
  Result<void> attach_disk() override;

  // --- ReuseSink

  void reused_entry(const Key& key, EntryRef entry, SliceRef first, uint64_t since) override {
    if (disk_ == nullptr) return memory_.not_taken(key);
    const size_t primary = entry->key.find('\0');
    if (primary != std::string::npos) write_variants_of(std::string_view(entry->key).substr(0, primary));
    if (!disk_->write_entry(key, std::move(entry), std::move(first), since)) memory_.not_taken(key);
  }
  void reused_slice(const Key& key, SliceRef slice) override {
    if (disk_ == nullptr || !disk_->write_slice(key, std::move(slice))) memory_.not_taken(key);
  }

 private:
  static bool of_one_slice(const Entry& entry) { return entry.length && *entry.length <= kSliceBytes; }
  // Nothing is missing that a find could still bring: later slices are asked for one by one.
  static bool whole(const Found& found) {
    return found.entry != nullptr && (found.first != nullptr || found.entry->length == uint64_t{0});
  }

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

  // Whether there is a disk that is to hear that this key changes; one that comes later hears it then.
  bool changes_on_disk(const Key& key) {
    if (disk_ != nullptr) return true;
    return awaited_.waiting() && !awaited_.changed(key);
  }
  // What the disk has of this key is of another response now. Whether it has this one.
  bool put_on_disk(const Key& key, const EntryRef& entry, const SliceRef& first, uint64_t since, bool soft) {
    const auto held = memory_.id_of(key);
    if (held == entry->id) return false;  // memory knows
    const bool had = disk_->erase(key);
    if (soft) return false;
    const bool too_large = (first != nullptr && !memory_.admits(first->bytes.capacity())) ||
                           (!of_one_slice(*entry) && !memory_.admits(kSliceBytes));
    const bool again = (too_large || !held) && newcomers_.seen_before(key);
    if (!had && !again) return false;
    if (too_large) newcomers_.admit(entry->id);
    return disk_->write_entry(key, entry, first, since);
  }

  void write_variants_of(std::string_view primary) {
    const Key key = key_of(primary);
    if (disk_->may_have(variants_key(key))) return;
    std::shared_ptr<const Variants> variants = memory_.find_variants(key, primary);
    if (variants != nullptr) disk_->write_variants(variants_key(key), std::move(variants));
  }

  // --- reading from the disk: at once what is at hand, on a worker what is not. All of these say false if they would have to wait; what they found by then is
  // in their last argument but one, and asking again goes on from there.

  using Wait = DiskTier::Wait;

  // What find() did not have in memory.
  bool look_on_disk(const Key& key, std::string_view text, Found& found, Wait wait) {
    if (found.variants == nullptr && !read_variants(key, text, found, wait)) return false;
    const bool in_memory = found.entry != nullptr;
    if (!in_memory && !read_entry(key, text, found, wait)) return false;
    if (found.entry == nullptr || whole(found)) return true;
    const bool inside = in_memory && of_one_slice(*found.entry);
    const Lost lost{found.entry->id, 0, slice_key(found.entry->id, 0), inside ? &key : nullptr};
    if (!read_lost(lost, found.first, wait)) return false;
    if (found.first != nullptr && of_one_slice(*found.entry)) {
      memory_.adopt(key, *found.entry, found.first);
      memory_.erase_slice(lost.key);
    }
    return true;
  }

  bool read_variants(const Key& key, std::string_view text, Found& found, Wait wait) {
    DiskTier::Read read = disk_->read(variants_key(key), disk::Kind::variants, wait);
    if (read.record && read.record->variants->key == text) {
      found.variants = read.record->variants;
      memory_.put_variants(key, found.variants);
    }
    return !read.waits;
  }

  bool read_entry(const Key& key, std::string_view text, Found& found, Wait wait) {
    DiskTier::Read read = disk_->read(key, disk::Kind::entry, wait);
    if (!read.record || read.record->entry->key != text) return !read.waits;
    const uint64_t latest = book_->latest();
    const Verdict verdict = book_->judge(*read.record->entry, read.record->header.stamp);
    if (verdict == Verdict::hard) {
      disk_->erase(key);
      return true;
    }
    found.entry = read.record->entry;
    found.purged_softly = verdict == Verdict::soft;
    found.first = slice_of(*read.record, found.entry->id, 0);
    memory_.put_if_absent(key, found.entry, found.first, latest, found.purged_softly);
    if (disk_->may_have(key)) return true;
    // Erased or replaced while it was read.
    memory_.erase_if(key, found.entry.get());
    std::shared_ptr<const Variants> variants = std::move(found.variants);
    found = memory_.find(key, text);
    found.variants = std::move(variants);
    return true;
  }

  // A slice that memory has not: it lies by itself under `key`, or with its entry under `*entry`.
  struct Lost {
    uint64_t id = 0;
    uint32_t index = 0;
    const Key& key;
    const Key* entry = nullptr;
  };
  bool read_lost(const Lost& lost, SliceRef& slice, Wait wait) {
    DiskTier::Read read = disk_->read(lost.key, disk::Kind::slice, wait);
    if (read.waits) return false;
    if (read.record && read.record->header.id == lost.id && read.record->header.index == lost.index)
      slice = slice_of(*read.record, lost.id, lost.index);
    if (slice != nullptr) memory_.put_slice(lost.key, slice, true);
    if (slice != nullptr || lost.entry == nullptr) return true;
    read = disk_->read(*lost.entry, disk::Kind::entry, wait);
    if (read.record && read.record->entry->id == lost.id) slice = slice_of(*read.record, lost.id, 0);
    return !read.waits;
  }

  static SliceRef slice_of(DiskTier::Record& record, uint64_t id, uint32_t index) {
    if (record.body.empty()) return nullptr;
    auto slice = std::make_shared<Slice>();
    slice->entry = id;
    slice->index = index;
    slice->bytes = std::move(record.body);
    return slice;
  }

  void add_soon(PurgeScope scope, std::string_view scope_text, std::string_view text, bool soft) {
    const Purge purge = book_->add(scope, scope_text, text, soft);
    if (journal_ != nullptr) journal_->write_soon(purge);
    sweep_if_crowded();
  }

  io::Task<Result<void>> purge(PurgeScope scope, std::string scope_text, std::string text, bool soft) {
    const Purge purge = book_->add(scope, scope_text, text, soft);
    sweep_if_crowded();
    if (journal_ == nullptr && awaited_.waiting())
      co_return fail(Code::unavailable, "the process before this one still has the log of purges");
    if (journal_ == nullptr) co_return Result<void>();
    Result<void> done = co_await workers_.run([this, purge] { return journal_->write(purge); });
    co_return done;
  }

  // Before the book has to forget what entries were not held against yet.
  void sweep_if_crowded() {
    if (!book_->crowded() || sweeping_.exchange(true)) return;
    workers_.submit([self = shared_from_this()] {
      const uint64_t until = self->book_->latest();
      self->memory_.sweep();
      const uint64_t on_disk = self->disk_ != nullptr ? self->disk_->stamp_min() : until;
      self->book_->forget_until(std::min(until, on_disk));
      self->sweeping_ = false;
    });
  }

  const CacheConfig config_;
  DiskHome home_;
  const HashSecret secret_;
  std::atomic<uint64_t> next_id_;
  io::Workers& workers_;
  Clock& clock_;
  Random& random_;
  const std::unique_ptr<PurgeBook> book_;
  Late<DiskTier> disk_;  // null: none, or not yet
  Late<PurgeJournal> journal_;
  Awaited awaited_;
  MemoryTier memory_;
  Newcomers newcomers_;
  std::atomic<bool> sweeping_{false};
};

Result<Disk> open_disk(const CacheConfig& config, std::shared_ptr<DiskFiles> files, io::Workers& workers,
                       Clock& clock, Random& random) {
  Disk disk;
  ASSIGN_OR_RETURN(disk.home, open_disk_home(std::move(files), random));
  for (int attempt = 0;; ++attempt) {
    disk.book = std::make_unique<PurgeBook>(disk.home.identity.secret);
    auto log = PurgeLog::open(*disk.home.files, disk.home.identity.id, *disk.book);
    if (log) {
      disk.log = std::move(*log);
      break;
    }
    if (log.error().code != Code::corrupt || attempt > 0) return fail(log.error());
    // What was purged is not known: so nothing that is stored may be served.
    log::warn("edge.disk.forgotten", {{"where", disk.home.files->where()}, {"reason", log.error().message}});
    RETURN_IF_ERROR(begin_anew(disk.home, random));
  }
  const DiskTier::Options options{config.disk_bytes, config.disk_write_bytes_per_s};
  ASSIGN_OR_RETURN(disk.tier,
                   DiskTier::open(options, disk.home.files, disk.home.identity.id, workers, clock));
  disk.book->raise_latest(disk.tier->stamp_max());
  return disk;
}

// What another process's disk tier is called, and what was purged there until now. Nothing: there is none that can be taken over.
std::optional<Awaited::Home> look_beside(const std::shared_ptr<DiskFiles>& files,
                                         PurgeBook::Snapshot& purges) {
  auto identity = open_identity(*files);
  if (!identity || !*identity) return std::nullopt;
  auto log = files->read_whole(PurgeLog::kName);
  if (!log || !*log) return std::nullopt;
  auto snapshot = decode_purge_log(as_bytes(**log), (*identity)->id);
  if (!snapshot) return std::nullopt;
  purges = std::move(*snapshot);
  return Awaited::Home{files, **identity, purges.latest};
}

Result<void> CacheImpl::attach_disk() {
  if (!awaited_.waiting()) return {};
  const Awaited::Home& before = awaited_.home();
  auto home = open_disk_home(before.files, random_);
  if (!home && home.error().code == Code::exists) return fail(home.error());
  auto there = [&]() -> Result<void> {
    if (!home) return fail(home.error());
    if (home->identity != before.identity)
      return fail(Code::corrupt,
                  "the process before this one has made the cache in " + before.files->where() + " anew");
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, before.files->read_whole(PurgeLog::kName));
    auto purges = bytes ? decode_purge_log(as_bytes(*bytes), before.identity.id) : std::nullopt;
    if (!purges) return fail(Code::corrupt, "the log of purges in " + before.files->where() + " is damaged");
    // What was purged there since this process began holds for what is stored here, too.
    for (const Purge& purge : purges->purges)
      if (purge.number > before.purges) book_->repeat(purge);
    ASSIGN_OR_RETURN(auto log, PurgeLog::open(*before.files, before.identity.id, *book_));
    const DiskTier::Options options{config_.disk_bytes, config_.disk_write_bytes_per_s};
    ASSIGN_OR_RETURN(auto tier, DiskTier::open(options, before.files, before.identity.id, workers_, clock_));
    home_ = std::move(*home);
    journal_.set(make_purge_journal(std::move(log), workers_));
    awaited_.end([&](const std::vector<Key>& keys, bool too_many) {
      if (too_many) book_->forget_all_until(before.purges + kNumbersBeside);
      for (const Key& key : keys) tier->erase(key);
      disk_.set(std::move(tier));
    });
    // With what was purged between the log's opening and the journal's.
    journal_->write_anew();
    return {};
  };
  Result<void> done = there();
  if (!done) awaited_.end([](const std::vector<Key>&, bool) {});
  return done;
}

}  // namespace

std::shared_ptr<Cache> make_cache(const CacheConfig& config, std::shared_ptr<DiskFiles> files,
                                  io::Workers& workers, Clock& clock, Random& random) {
  Disk disk;
  if (files != nullptr) {
    auto opened = open_disk(config, files, workers, clock, random);
    if (opened)
      disk = std::move(*opened);
    else
      log::error("edge.disk.unused", {{"where", files->where()}, {"reason", opened.error().message}});
  }
  return std::make_shared<CacheImpl>(config, std::move(disk), std::nullopt, workers, clock, random);
}

std::shared_ptr<Cache> make_cache_beside(const CacheConfig& config, std::shared_ptr<DiskFiles> files,
                                         io::Workers& workers, Clock& clock, Random& random) {
  Disk disk;
  PurgeBook::Snapshot purges;
  std::optional<Awaited::Home> awaited = files == nullptr ? std::nullopt : look_beside(files, purges);
  if (!awaited) return make_cache(config, std::move(files), workers, clock, random);
  disk.book = std::make_unique<PurgeBook>(awaited->identity.secret);
  disk.book->restore(purges);
  disk.book->raise_latest(awaited->purges + kNumbersBeside);
  return std::make_shared<CacheImpl>(config, std::move(disk), std::move(awaited), workers, clock, random);
}

static std::shared_ptr<DiskFiles> files_of(const CacheConfig& config) {
  if (config.disk_dir.empty()) return nullptr;
  auto opened = open_disk_files(config.disk_dir);
  if (opened) return std::move(*opened);
  log::error("edge.disk.unused", {{"where", config.disk_dir}, {"reason", opened.error().message}});
  return nullptr;
}

std::shared_ptr<Cache> make_cache(const CacheConfig& config, io::Workers& workers, Clock& clock,
                                  Random& random) {
  return make_cache(config, files_of(config), workers, clock, random);
}

std::shared_ptr<Cache> make_cache_beside(const CacheConfig& config, io::Workers& workers, Clock& clock,
                                         Random& random) {
  return make_cache_beside(config, files_of(config), workers, clock, random);
}

}  // namespace archipel::edge
