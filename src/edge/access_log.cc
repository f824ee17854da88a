#include "edge/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/json.h"
#include "base/log.h"
#include "http/date.h"

namespace archipel::edge {
namespace {

constexpr size_t kFieldBytesMax = 2048;  // of one field of a line; what is longer is cut

std::string_view cut(std::string_view text) {
  return text.substr(0, kFieldBytesMax);
}

// A word, or in quotes with escapes.
void logfmt_value(std::string& out, std::string_view text) {
  bool plain = !text.empty();
  for (char c : text) plain = plain && c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
  if (plain)
    out += text;
  else
    json_quote(out, text);
}

}  // namespace

std::string format_access(const AccessRecord& r, bool json) {
  std::string time = http::format_iso_extended(r.at_ms);
  if (json) {
    JsonWriter w;
    w.begin_object().key("time").text(time).key("client").text(r.client).key("site").text(r.site);
    w.key("method").text(cut(r.method)).key("host").text(cut(r.host)).key("target").text(cut(r.target));
    w.key("protocol").text(r.version).key("tls").boolean(r.secure).key("status").number(r.status);
    w.key("bytes").number(r.body_bytes).key("duration_us").number(r.duration_us).key("cache").text(r.how);
    w.key("complete").boolean(r.complete);
    if (!r.origin.empty()) w.key("origin").text(r.origin).key("origin_bytes").number(r.origin_bytes);
    if (!r.referer.empty()) w.key("referer").text(cut(r.referer));
    if (!r.user_agent.empty()) w.key("user_agent").text(cut(r.user_agent));
    w.end_object();
    return w.str() + "\n";
  }
  std::string out = "time=" + time;
  auto field = [&out](std::string_view key, std::string_view value) {
    out += ' ';
    out += key;
    out += '=';
    logfmt_value(out, cut(value));
  };
  field("client", r.client);
  field("site", r.site);
  field("method", r.method);
  field("host", r.host);
  field("target", r.target);
  field("protocol", r.version);
  field("tls", r.secure ? "true" : "false");
  field("status", std::to_string(r.status));
  field("bytes", std::to_string(r.body_bytes));
  field("duration_us", std::to_string(r.duration_us));
  field("cache", r.how);
  field("complete", r.complete ? "true" : "false");
  if (!r.origin.empty()) {
    field("origin", r.origin);
    field("origin_bytes", std::to_string(r.origin_bytes));
  }
  if (!r.referer.empty()) field("referer", r.referer);
  if (!r.user_agent.empty()) field("user_agent", r.user_agent);
  return out + "\n";
}

struct AccessLog::File {
  int fd = -1;
  bool owned = false;
  bool torn = false;  // it ends in the middle of a line; one worker at a time
  ~File() {
    if (owned && fd >= 0) ::close(fd);
  }
};

AccessLog::AccessLog(AccessLogConfig config, size_t loops, io::Workers& workers)
    : config_(std::move(config)), workers_(workers) {
  for (size_t i = 0; i < loops; ++i) rings_.push_back(std::make_unique<Ring>());
}

AccessLog::~AccessLog() = default;

Result<void> AccessLog::open() {
  return reopen(config_);
}

Result<void> AccessLog::reopen(const AccessLogConfig& config) {
  auto file = std::make_shared<File>();
  if (config.path == "-") {
    file->fd = STDOUT_FILENO;
  } else if (!config.path.empty()) {
    file->fd = ::open(config.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
    if (file->fd < 0) return fail_errno(errno, "opening the access log " + config.path);
    file->owned = true;
  }
  std::lock_guard lock(file_mutex_);
  file_ = config.path.empty() ? nullptr : file;
  config_ = config;
  on_ = file_ != nullptr;
  return {};
}

void AccessLog::append(size_t loop, const AccessRecord& record) {
  if (!on_) return;
  std::string line = format_access(record, config_.json);
  size_t waiting = waiting_bytes_.fetch_add(line.size(), std::memory_order_relaxed) + line.size();
  if (waiting > config_.buffer_bytes) {
    waiting_bytes_.fetch_sub(line.size(), std::memory_order_relaxed);
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  Ring& ring = *rings_[loop];
  std::lock_guard lock(ring.mutex);
  ring.lines += line;
  ++ring.count;
}

void AccessLog::start() {
  scope_.spawn(flush_often(this));
}

io::Task<void> AccessLog::flush_often(AccessLog* self) {
  while (!self->closing_) {
    co_await self->wake_.wait(io::Loop::current()->now() + kFlushInterval);
    co_await self->flush();
  }
}

io::Task<void> AccessLog::flush() {
  std::string lines;
  uint64_t count = 0;
  for (auto& ring : rings_) {
    std::lock_guard lock(ring->mutex);
    lines += ring->lines;
    ring->lines.clear();
    count += std::exchange(ring->count, 0);
  }
  if (lines.empty()) co_return;
  auto job = [this, &lines, count] {
    write_all(lines, count);
    return true;
  };
  co_await workers_.run(std::move(job));
  waiting_bytes_.fetch_sub(lines.size(), std::memory_order_relaxed);
}

void AccessLog::write_all(const std::string& lines, uint64_t count) {
  std::shared_ptr<File> file;
  {
    std::lock_guard lock(file_mutex_);
    file = file_;
  }
  std::string_view rest = lines;
  int error = 0;
  // What a full disk cut off is a line of its own: the next one must not become part of it.
  bool begun = file != nullptr && !file->torn;
  while (file != nullptr && !rest.empty()) {
    const std::string_view next = begun ? rest : "\n";
    const ssize_t n = ::write(file->fd, next.data(), next.size());
    if (n < 0 && errno == EINTR) continue;
    error = n < 0 ? errno : EIO;
    if (n <= 0) break;
    if (begun) rest.remove_prefix(static_cast<size_t>(n));
    begun = true;
  }
  if (begun) file->torn = !rest.empty() && rest.size() < lines.size() && rest.data()[-1] != '\n';
  if (rest.empty()) {
    written_.fetch_add(count, std::memory_order_relaxed);
    failing_ = false;
    return;
  }
  // A line has one '\n', its end.
  const auto lost = std::min(count, static_cast<uint64_t>(std::ranges::count(rest, '\n')));
  written_.fetch_add(count - lost, std::memory_order_relaxed);
  dropped_.fetch_add(lost, std::memory_order_relaxed);
  if (file != nullptr && !failing_.exchange(true))
    log::error("access_log.not_written", {{"reason", std::string_view(strerror(error))}});
}

io::Task<void> AccessLog::close() {
  closing_ = true;
  wake_.notify_all();
  co_await scope_.join();
  co_await flush();
}

}  // namespace archipel::edge
