#include "door/s3/access_log.h"

#include <algorithm>

#include "base/log.h"
#include "http/date.h"

namespace archipel::door::s3 {
namespace {

// A body in memory.
class TextBody final : public store::BodySource {
 public:
  explicit TextBody(const std::string& text) : text_(text) {}
  io::Task<Result<size_t>> read(MutableBytes out) override {
    size_t size = std::min(out.size(), text_.size() - at_);
    std::copy_n(text_.begin() + static_cast<ptrdiff_t>(at_), size, out.begin());
    at_ += size;
    co_return size;
  }

 private:
  const std::string& text_;
  size_t at_ = 0;
};

std::string upper_hex(ByteView bytes) {
  std::string out = hex(bytes);
  for (char& c : out)
    if (c >= 'a') c = static_cast<char>(c - 32);
  return out;
}

int64_t lines_in(const std::string& text) {
  return static_cast<int64_t>(std::ranges::count(text, '\n'));
}

}  // namespace

AccessLog::AccessLog(AccessLogOptions options, store::Store& store, io::Loop& home, Clock& clock,
                     Random& random, std::function<bool()> may_write)
    : options_(std::move(options)),
      store_(store),
      home_(home),
      clock_(clock),
      random_(random),
      may_write_(std::move(may_write)),
      records_("archipel_access_log_records_total", "Records of requests taken for access logs"),
      dropped_("archipel_access_log_dropped_total",
               "Records dropped: too many waited, or their target bucket refused them"),
      objects_("archipel_access_log_objects_total", "Log objects delivered"),
      waiting_bytes_("archipel_access_log_waiting_bytes", "Records that wait for delivery") {}

AccessLog::~AccessLog() = default;

void AccessLog::append(const LoggingTarget& to, const store::BucketInfo& source, std::string line,
                       UnixMs at_ms) {
  records_.add();
  // Names end where a NUL is, which no name holds. The day keeps apart what goes into folders of days.
  std::string key = source.name + '\0' + to.bucket + '\0' + to.prefix + '\0' +
                    std::to_string(static_cast<int>(to.layout)) + '\0' +
                    http::format_iso_basic(at_ms).substr(0, 8);
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    auto found = waiting_.find(key);
    bool full = bytes_ + line.size() > options_.bytes_max ||
                (found == waiting_.end() && waiting_.size() >= options_.targets_max);
    if (full) {
      dropped_.add();
      return;
    }
    bytes_ += line.size();
    if (found == waiting_.end()) found = waiting_.emplace(std::move(key), Batch{to, source, at_ms, {}}).first;
    found->second.lines += line;
    wake = found->second.lines.size() >= options_.object_bytes && !woken_;
    woken_ = woken_ || wake;
  }
  waiting_bytes_.add(static_cast<int64_t>(line.size()));
  if (wake) home_.post([this] { wake_.notify_all(); });
}

void AccessLog::start() {
  scope_.spawn(rounds(this));
}

io::Task<void> AccessLog::rounds(AccessLog* self) {
  while (!self->stop_) {
    co_await self->wake_.wait(self->home_.now() + self->options_.interval);
    if (!self->stop_) co_await self->deliver();
  }
}

io::Task<void> AccessLog::close() {
  stop_ = true;
  wake_.notify_all();
  co_await scope_.join();
  co_await deliver();
}

void AccessLog::drop(const Batch& batch) {
  dropped_.add(lines_in(batch.lines));
}

io::Task<void> AccessLog::deliver() {
  std::map<std::string, Batch> batches;
  {
    std::lock_guard lock(mutex_);
    woken_ = false;
    if (!may_write_()) co_return;
    batches.swap(waiting_);
  }
  for (auto& [key, batch] : batches) {
    const size_t size = batch.lines.size();
    bool done = co_await deliver_batch(batch);
    std::lock_guard lock(mutex_);
    if (!done) {
      // In front of what came meanwhile.
      auto [again, fresh] = waiting_.emplace(key, batch);
      if (!fresh) again->second.lines.insert(0, batch.lines);
      continue;
    }
    bytes_ -= size;
    waiting_bytes_.add(-static_cast<int64_t>(size));
  }
}

// False: try again later.
io::Task<bool> AccessLog::deliver_batch(const Batch& batch) {
  auto target = co_await store_.head_bucket(batch.to.bucket);
  if (!target && target.error().code != Code::not_found) co_return false;
  Result<void> allowed;
  if (target) allowed = may_deliver_logs(batch.to, *target, batch.source);
  if (!target || !allowed) {
    log::warn("access_log.dropped", {{"reason", target ? allowed.error().message : target.error().message}});
    drop(batch);
    co_return true;
  }
  store::PutRequest request;
  request.bucket = batch.to.bucket;
  request.key = log_object_name(batch.to, batch.source, options_.region, batch.first_ms, clock_.unix_ms()) +
                upper_hex(random_.bytes<8>());
  request.headers["content-type"] = "text/plain";
  request.length = batch.lines.size();
  TextBody body(batch.lines);
  auto put = co_await store_.put(std::move(request), body);
  if (put) {
    objects_.add();
    co_return true;
  }
  bool refused = put.error().code == Code::denied || put.error().code == Code::limit ||
                 put.error().code == Code::invalid || put.error().code == Code::not_found;
  if (refused) drop(batch);
  log::warn("access_log.not_delivered", {{"reason", put.error().message}});
  co_return refused;
}

}  // namespace archipel::door::s3
