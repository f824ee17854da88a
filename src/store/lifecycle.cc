#include "store/lifecycle.h"

#include <set>

#include "base/check.h"
#include "base/log.h"
#include "base/metrics.h"
#include "io/sync.h"

namespace archipel::store {
namespace {

constexpr size_t kRemovedTogetherMax = 1000;  // of one Store::remove

struct Metrics {
  static constexpr const char* kRemoved = "archipel_lifecycle_removed_total";
  static constexpr const char* kHelp = "What lifecycle rules have removed, by kind";
  metrics::Counter expired{kRemoved, kHelp, {{"kind", "current"}}};
  metrics::Counter noncurrent{kRemoved, kHelp, {{"kind", "noncurrent"}}};
  metrics::Counter markers{kRemoved, kHelp, {{"kind", "marker"}}};
  metrics::Counter aborted{kRemoved, kHelp, {{"kind", "upload"}}};
  metrics::Counter held{"archipel_lifecycle_held_total",
                        "Versions due by a rule and retained by Object Lock"};
  metrics::Counter looked_at{"archipel_lifecycle_examined_total", "Versions and uploads held against rules"};
  metrics::Counter rounds{"archipel_lifecycle_rounds_total", "Rounds over all buckets that ended"};
  metrics::Counter failures{
      "archipel_lifecycle_failures_total",
      "Buckets, pages and removals of lifecycle that failed; the next round tries again"};
};
Metrics& shared_metrics() {
  static auto* all = new Metrics;
  return *all;
}

// The same rules as if every object had the tags they ask for: what is not due by these needs no look at its tags.
LifecycleRules without_tags(LifecycleRules rules, bool& any) {
  for (LifecycleRule& rule : rules) {
    any = any || !rule.filter.tags.empty();
    rule.filter.tags.clear();
  }
  return rules;
}

enum class Kind { expired, noncurrent, marker };

// One bucket under its rules, for one round.
struct Bucket {
  std::string name;
  LifecycleRules rules, loose;
  bool tagged = false;
  UnixMs now = 0;

  // What is due and not removed yet.
  std::vector<DeleteItem> items;
  std::vector<Kind> kinds;

  // The key being looked at. Versions come newest first.
  std::string key;
  UnixMs newer_modified_ms = 0;     // of the version before
  uint64_t noncurrent = 0;          // versions so far
  std::optional<ListEntry> marker;  // the latest, and so far alone
};

class LifecycleImpl final : public Lifecycle {
 public:
  explicit LifecycleImpl(LifecycleParts parts) : p_(std::move(parts)) {
    CHECK(p_.options.page > 0 && p_.options.page <= kRemovedTogetherMax && p_.options.day.ms > 0);
  }

  void start() override { scope_.spawn(rounds(this)); }
  io::Task<Result<void>> run_once() override;
  io::Task<void> close() override {
    stop_ = true;
    stopping_.notify_all();
    co_await scope_.join();
  }
  const Counts& counts() const override { return counts_; }

 private:
  static io::Task<void> rounds(LifecycleImpl* self);
  io::Task<Result<std::vector<BucketInfo>>> all_buckets();
  io::Task<void> run_bucket(BucketInfo info);
  io::Task<Result<void>> run_versions(Bucket& bucket, std::string prefix);
  io::Task<Result<void>> look_at(Bucket& bucket, ListEntry entry);
  io::Task<Result<bool>> due(Bucket& bucket, const ListEntry& entry, UnixMs since_ms);
  void end_key(Bucket& bucket);
  io::Task<Result<void>> flush(Bucket& bucket);
  io::Task<Result<void>> run_uploads(Bucket& bucket, std::string prefix);
  io::Task<Result<void>> pause();
  void publish(const Counts& before);

  LifecycleParts p_;
  Counts counts_;
  bool stop_ = false;
  io::Event stopping_;
  io::TaskScope scope_;
};

io::Task<void> LifecycleImpl::rounds(LifecycleImpl* self) {
  while (!self->stop_) {
    co_await self->stopping_.wait(self->p_.home.now() + self->p_.options.interval);
    if (self->stop_ || !self->p_.may_write()) continue;
    Result<void> done = co_await self->run_once();
    if (!done && !self->stop_) log::warn("lifecycle.round_failed", {{"reason", done.error().message}});
  }
}

io::Task<Result<void>> LifecycleImpl::run_once() {
  const Counts before = counts_;
  auto buckets = co_await all_buckets();
  if (!buckets) co_return fail(std::move(buckets).error());
  for (BucketInfo& info : *buckets) {
    if (stop_) co_return fail(Code::cancelled, "the gateway is shutting down");
    if (!p_.may_write()) break;
    co_await run_bucket(std::move(info));
  }
  publish(before);
  co_return Result<void>{};
}

void LifecycleImpl::publish(const Counts& before) {
  Metrics& m = shared_metrics();
  auto add = [](metrics::Counter& counter, uint64_t now, uint64_t then) {
    counter.add(static_cast<int64_t>(now - then));
  };
  add(m.expired, counts_.expired, before.expired);
  add(m.noncurrent, counts_.noncurrent, before.noncurrent);
  add(m.markers, counts_.markers, before.markers);
  add(m.aborted, counts_.aborted, before.aborted);
  add(m.held, counts_.held, before.held);
  add(m.looked_at, counts_.looked_at, before.looked_at);
  add(m.failures, counts_.failed, before.failed);
  m.rounds.add();
  uint64_t removed = counts_.expired - before.expired + counts_.noncurrent - before.noncurrent +
                     counts_.markers - before.markers + counts_.aborted - before.aborted;
  if (removed > 0)
    log::info("lifecycle.round", {{"expired", counts_.expired - before.expired},
                                  {"noncurrent", counts_.noncurrent - before.noncurrent},
                                  {"markers", counts_.markers - before.markers},
                                  {"uploads", counts_.aborted - before.aborted}});
}

io::Task<Result<std::vector<BucketInfo>>> LifecycleImpl::all_buckets() {
  auto accounts = co_await p_.store.list_accounts();
  if (!accounts) co_return fail(std::move(accounts).error());
  std::set<std::string> owners;
  for (const Account& account : *accounts) owners.insert(account.id);
  std::vector<BucketInfo> out;
  for (const std::string& owner : owners) {
    auto owned = co_await p_.store.list_buckets(owner);
    if (!owned) co_return fail(std::move(owned).error());
    for (BucketInfo& bucket : *owned) out.push_back(std::move(bucket));
  }
  co_return out;
}

// What fails here is counted: one bucket's trouble is not another's.
io::Task<void> LifecycleImpl::run_bucket(BucketInfo info) {
  auto known = co_await p_.store.head_bucket(info.name);
  if (!known) co_return;  // deleted meanwhile
  Result<std::optional<LifecycleRules>> rules = p_.rules(*known);
  if (!rules) {
    ++counts_.failed;
    co_return;
  }
  if (!*rules) co_return;
  Bucket bucket;
  bucket.name = info.name;
  bucket.rules = std::move(**rules);
  bucket.loose = without_tags(bucket.rules, bucket.tagged);
  bucket.now = p_.clock.unix_ms();
  bool uploads = false;
  for (const LifecycleRule& rule : bucket.rules) uploads = uploads || (rule.enabled && rule.abort_days);
  for (const std::string& prefix : prefixes_of(bucket.rules)) {
    Result<void> done = co_await run_versions(bucket, prefix);
    if (done && uploads) done = co_await run_uploads(bucket, prefix);
    if (done) continue;
    if (stop_) co_return;
    ++counts_.failed;
    log::warn("lifecycle.bucket_failed", {{"reason", done.error().message}});
    co_return;
  }
}

io::Task<Result<void>> LifecycleImpl::pause() {
  co_await stopping_.wait(p_.home.now() + p_.options.page_pause);
  if (stop_) co_return fail(Code::cancelled, "the gateway is shutting down");
  co_return Result<void>{};
}

// --- versions ---

io::Task<Result<void>> LifecycleImpl::run_versions(Bucket& bucket, std::string prefix) {
  ListVersionsRequest request;
  request.bucket = bucket.name;
  request.prefix = std::move(prefix);
  request.max_keys = p_.options.page;
  bucket.key.clear();
  for (;;) {
    auto page = co_await p_.store.list_versions(request);
    if (!page) co_return fail(std::move(page).error());
    for (ListEntry& entry : page->entries) {
      Result<void> looked = co_await look_at(bucket, std::move(entry));
      if (!looked) co_return looked;
    }
    if (!page->truncated) end_key(bucket);
    Result<void> removed = co_await flush(bucket);
    if (!removed || !page->truncated) co_return removed;
    request.key_marker = std::move(page->next_key);
    request.version_marker = std::move(page->next_version);
    CO_RETURN_IF_ERROR(co_await pause());
  }
}

// The marker that was the latest of its key turned out to be all there is.
void LifecycleImpl::end_key(Bucket& bucket) {
  if (!bucket.marker) return;
  const ObjectInfo& info = bucket.marker->info;
  LifecycleSubject subject{bucket.marker->key, 0, info.modified_ms, true, nullptr};
  if (lone_marker_due(bucket.rules, subject, bucket.now, p_.options.day)) {
    DeleteItem item;
    item.key = bucket.marker->key;
    item.version = info.version;
    item.if_is = DeleteItem::Judged{info.version, info.modified_ms};
    item.only = DeleteItem::Only::lone_marker;
    bucket.items.push_back(std::move(item));
    bucket.kinds.push_back(Kind::marker);
  }
  bucket.marker.reset();
}

// Is the version due, by its tags too? `since_ms`: when it became noncurrent; the current version is judged by its own age.
io::Task<Result<bool>> LifecycleImpl::due(Bucket& bucket, const ListEntry& entry, UnixMs since_ms) {
  const ObjectInfo& info = entry.info;
  LifecycleSubject subject{entry.key, info.size, info.modified_ms, info.delete_marker, nullptr};
  auto by = [&](const LifecycleRules& rules) {
    if (!info.latest)
      return noncurrent_due(rules, subject, since_ms, bucket.noncurrent, bucket.now, p_.options.day);
    Expiry expiry = expiry_of(rules, subject, p_.options.day);
    return expiry.rule != nullptr && expiry.at_ms <= bucket.now;
  };
  if (!by(bucket.loose)) co_return false;
  if (!bucket.tagged || by(bucket.rules)) co_return by(bucket.rules);
  HeadRequest request;
  request.bucket = bucket.name;
  request.key = entry.key;
  request.version = info.version;
  auto head = co_await p_.store.head(std::move(request));
  if (!head && head.error().code == Code::not_found) co_return false;  // gone meanwhile
  if (!head) co_return fail(std::move(head).error());
  subject.tags = &head->attributes.tags;
  co_return by(bucket.rules);
}

io::Task<Result<void>> LifecycleImpl::look_at(Bucket& bucket, ListEntry entry) {
  ++counts_.looked_at;
  if (entry.key != bucket.key) {
    end_key(bucket);
    bucket.key = entry.key;
    bucket.noncurrent = 0;
  }
  bucket.marker.reset();  // there is something behind it
  const UnixMs since_ms = std::exchange(bucket.newer_modified_ms, entry.info.modified_ms);
  if (entry.info.latest && entry.info.delete_marker) {
    bucket.marker = std::move(entry);
    co_return Result<void>{};
  }
  auto is_due = co_await due(bucket, entry, since_ms);
  if (!is_due) co_return fail(std::move(is_due).error());
  if (!entry.info.latest) ++bucket.noncurrent;
  if (!*is_due) co_return Result<void>{};
  DeleteItem item;
  item.if_is = DeleteItem::Judged{entry.info.version, entry.info.modified_ms};
  if (!entry.info.latest) {
    item.version = entry.info.version;
    item.only = DeleteItem::Only::noncurrent;
  }
  item.key = std::move(entry.key);
  bucket.items.push_back(std::move(item));
  bucket.kinds.push_back(entry.info.latest ? Kind::expired : Kind::noncurrent);
  co_return Result<void>{};
}

io::Task<Result<void>> LifecycleImpl::flush(Bucket& bucket) {
  std::vector<Kind> kinds = std::exchange(bucket.kinds, {});
  RemoveRequest request;
  request.bucket = bucket.name;
  request.items = std::exchange(bucket.items, {});
  if (request.items.empty()) co_return Result<void>{};
  auto outcomes = co_await p_.store.remove(std::move(request));
  if (!outcomes) co_return fail(std::move(outcomes).error());
  CHECK(outcomes->size() == kinds.size());
  for (size_t i = 0; i < kinds.size(); ++i) {
    const Result<void>& result = (*outcomes)[i].result;
    if (result) {
      ++(kinds[i] == Kind::expired      ? counts_.expired
         : kinds[i] == Kind::noncurrent ? counts_.noncurrent
                                        : counts_.markers);
    } else if (result.error().detail == "AccessDenied") {
      ++counts_.held;
    } else if (result.error().code == Code::precondition || result.error().code == Code::not_found) {
      ++counts_.changed;
    } else {
      ++counts_.failed;
    }
  }
  co_return Result<void>{};
}

// --- uploads ---

io::Task<Result<void>> LifecycleImpl::run_uploads(Bucket& bucket, std::string prefix) {
  ListUploadsRequest request;
  request.bucket = bucket.name;
  request.prefix = std::move(prefix);
  request.max_uploads = p_.options.page;
  for (;;) {
    auto page = co_await p_.store.list_uploads(request);
    if (!page) co_return fail(std::move(page).error());
    for (const UploadInfo& upload : page->uploads) {
      ++counts_.looked_at;
      if (!upload_due(bucket.rules, upload.key, upload.initiated_ms, bucket.now, p_.options.day)) continue;
      Result<void> aborted = co_await p_.store.abort_upload(bucket.name, upload.key, upload.id);
      if (aborted)
        ++counts_.aborted;
      else if (aborted.error().code == Code::not_found)
        ++counts_.changed;  // completed or aborted meanwhile
      else
        ++counts_.failed;
    }
    if (!page->truncated) co_return Result<void>{};
    request.key_marker = std::move(page->next_key);
    request.upload_marker = std::move(page->next_upload);
    CO_RETURN_IF_ERROR(co_await pause());
  }
}

}  // namespace

std::unique_ptr<Lifecycle> make_lifecycle(LifecycleParts parts) {
  return std::make_unique<LifecycleImpl>(std::move(parts));
}

}  // namespace archipel::store
