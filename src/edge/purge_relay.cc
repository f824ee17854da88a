#include "edge/purge_relay.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "edge/peers.h"
#include "edge/text_body.h"

namespace archipel::edge {
namespace {

constexpr size_t kAnswerBytesMax = 4096;

OriginPolicy pool_policy() {
  OriginPolicy out;
  out.connect_timeout = std::chrono::seconds(1);
  out.response_timeout = PurgeRelay::kAnswerMax;
  out.connections_max = 2;
  out.idle_max = 1;
  return out;
}

}  // namespace

std::string_view to_string(PurgeRelay::State state) {
  return state == PurgeRelay::State::purged    ? "purged"
         : state == PurgeRelay::State::pending ? "pending"
                                               : "unreachable";
}

// An edge that is told. Home loop.
struct PurgeRelay::Target {
  OriginAddress address;
  std::shared_ptr<OriginPool> pool;
  uint64_t heard = 0;  // by its own word
  bool greeted = false, gone = false, unreachable = false;
  std::optional<TimePoint> failing_since;
  Duration pause = kPauseMin;
  TimePoint said_at{};
  Attempt* attempt = nullptr;  // under way
};

PurgeRelay::PurgeRelay(Parts parts) : parts_(std::move(parts)), log_(parts_.random) {
  heard_.set_own(log_.id(), {});
  heard_.restore(parts_.heard, parts_.clock.now());
  kept_heard_ = heard_.marks();
}

PurgeRelay::~PurgeRelay() = default;

void PurgeRelay::use(const PeerPolicy& policy) {
  token_ = policy.token;
  name_ = policy.self.empty() ? fmt::format("{:016x}", log_.id()) : policy.self;
  std::vector<std::shared_ptr<Target>> fresh;
  for (const auto* list : {&policy.list, &policy.shield, &policy.purge}) {
    for (const OriginAddress& address : *list) {
      auto same = [&](const auto& target) { return target->address == address; };
      if (address.url == policy.self || std::ranges::any_of(fresh, same)) continue;
      if (auto known = std::ranges::find_if(targets_, same); known != targets_.end()) {
        fresh.push_back(*known);
        continue;
      }
      auto target = std::make_shared<Target>();
      target->address = address;
      target->pool = make_origin_pool(parts_.home, address, pool_policy(), parts_.connector, parts_.clock,
                                      std::make_shared<OriginStats>());
      if (running_) scope_.spawn(serve(this, target));
      fresh.push_back(std::move(target));
    }
  }
  for (const auto& target : targets_)
    if (std::ranges::find(fresh, target) == fresh.end()) target->gone = true;
  targets_ = std::move(fresh);
  anybody_ = !targets_.empty();
  if (running_) changed_.notify_all();
}

void PurgeRelay::start() {
  running_ = true;
  if (awaited_ != nullptr) scope_.spawn(attach_often(this, awaited_));
  for (const auto& target : targets_) scope_.spawn(serve(this, target));
}

void PurgeRelay::keep_in(std::shared_ptr<DiskFiles> files) {
  CHECK(parts_.workers != nullptr);
  if (std::exchange(keeps_, true)) return;
  const Result<void> attached = log_.attach(files, *parts_.workers);
  take_log_over(attached, files->where());
  if (attached || attached.error().code != Code::exists) return;
  awaited_ = std::move(files);
  if (running_) scope_.spawn(attach_often(this, awaited_));
}

void PurgeRelay::take_log_over(const Result<void>& attached, const std::string& where) {
  heard_.set_own(log_.id(), log_.was());
  if (!attached && attached.error().code != Code::exists)
    log::error("edge.purges.log_unused", {{"where", where}, {"reason", attached.error().message}});
  if (attached && running_) changed_.notify_all();
}

io::Task<void> PurgeRelay::attach_often(PurgeRelay* self, std::shared_ptr<DiskFiles> files) {
  while (!self->closing_) {
    const TimePoint again = self->parts_.home.now() + kAttachInterval;
    while (!self->closing_ && self->parts_.home.now() < again) {
      [[maybe_unused]] const bool rang = co_await self->changed_.wait(again);
    }
    auto attached = co_await self->parts_.workers->run(
        [self, &files] { return self->log_.attach(files, *self->parts_.workers); });
    self->take_log_over(attached, files->where());
    if (attached || attached.error().code != Code::exists) co_return;
  }
}

uint64_t PurgeRelay::tell(const PurgeOrder& order) {
  if (!anybody_.load(std::memory_order_relaxed)) return 0;
  const uint64_t number = log_.add(purge_order_json(order));
  wake();
  return number;
}

io::Task<Result<void>> PurgeRelay::kept(uint64_t number) {
  if (parts_.workers == nullptr) co_return fail(Code::unavailable, "it is kept in memory alone");
  Result<void> done = co_await parts_.workers->run([this, number] { return log_.sync(number); });
  co_return done;
}

// Many tell at once: one posting is enough.
void PurgeRelay::wake() {
  if (waking_.exchange(true)) return;
  parts_.home.post([this] {
    waking_ = false;
    changed_.notify_all();
  });
}

io::Task<std::vector<PurgeRelay::Told>> PurgeRelay::told(uint64_t number, Deadline until) {
  auto pending = [number](const auto& target) { return target->heard < number && !target->unreachable; };
  bool in_time = true;
  while (in_time && std::ranges::any_of(targets_, pending)) in_time = co_await acknowledged_.wait(until);
  std::vector<Told> out;
  for (const auto& target : targets_)
    out.push_back({target->address.url, target->heard >= number ? State::purged
                                        : target->unreachable   ? State::unreachable
                                                                : State::pending});
  co_return out;
}

// --- telling --------------------------------------------------------------------------------------------------------------------

io::Task<void> PurgeRelay::serve(PurgeRelay* self, std::shared_ptr<Target> target) {
  io::Loop& loop = self->parts_.home;
  while (!target->gone) {
    const bool behind = target->heard < self->log_.latest();
    const bool hopeless = target->unreachable || loop.now() >= self->close_at_;
    if (self->closing_ && (!behind || hopeless)) co_return;
    const TimePoint beat = target->said_at + kBeat;
    if (!behind && target->greeted && loop.now() < beat) {
      [[maybe_unused]] const bool rang = co_await self->changed_.wait(beat);
      continue;
    }
    auto heard = co_await self->say(*target);
    target->said_at = loop.now();
    if (heard) {
      // A number that is not ours to have been heard is another start's.
      target->heard = std::min(*heard, self->log_.latest());
      target->greeted = true;
      target->failing_since.reset();
      target->pause = kPauseMin;
      if (std::exchange(target->unreachable, false))
        log::info("edge.purges.reachable", {{"edge", target->address.url}});
      self->acknowledged_.notify_all();
      continue;
    }
    self->failed(*target, heard.error());
    const TimePoint again = loop.now() + target->pause;
    target->pause = std::min(target->pause * 2, kPauseMax);
    while (loop.now() < again && !target->gone && !self->closing_) {
      [[maybe_unused]] const bool rang = co_await self->changed_.wait(again);
    }
    // At the end it is tried for kCloseMax, and no more often than before.
    if (self->closing_ && loop.now() < again) co_await io::sleep_until(std::min(again, self->close_at_));
  }
}

void PurgeRelay::failed(Target& target, const Error& error) {
  const TimePoint now = parts_.home.now();
  if (!target.failing_since) target.failing_since = now;
  if (target.unreachable || now - *target.failing_since < kUnreachableAfter) return;
  target.unreachable = true;
  log::warn("edge.purges.unreachable", {{"edge", target.address.url}, {"reason", error.message}});
  acknowledged_.notify_all();
}

std::string PurgeRelay::batch_for(const Target& target) const {
  // Before it has said what it heard, it is only asked.
  const uint64_t after = target.greeted ? target.heard : log_.latest();
  const ToldLog::Run run = log_.read(after, kBatchRecordsMax, kBatchBytesMax);
  PurgesHeard::Batch head;
  head.name = name_;
  head.id = log_.id();
  head.first = run.first;
  head.lost = run.lost;
  head.was = log_.was();
  std::string out = purge_batch_begin(head);
  for (const std::string& record : run.records) {
    if (!out.ends_with('[')) out += ',';
    out += record;
  }
  return out.append(kPurgeBatchEnd);
}

io::Task<Result<uint64_t>> PurgeRelay::say(Target& target) {
  TextBody body(batch_for(target));
  FetchRequest request;
  request.method = "POST";
  request.target = kPurgesPath;
  request.headers.add("host", target.address.authority());
  request.headers.add("content-type", "application/json");
  request.headers.set(kPeerField, token_);
  request.body = &body;
  Attempt attempt;
  target.attempt = &attempt;
  const Deadline deadline = parts_.home.now() + kAnswerMax;
  auto fetched = co_await target.pool->fetch(request, deadline, attempt);
  target.attempt = nullptr;
  if (!fetched) co_return fail(fetched.error());
  std::unique_ptr<Fetch> answer = std::move(*fetched);
  std::string text;
  Buffer buffer(kAnswerBytesMax);
  while (text.size() < kAnswerBytesMax) {
    auto got = co_await answer->read(buffer.span());
    if (!got) co_return fail(got.error());
    if (*got == 0) break;
    text += as_text(buffer.view().first(*got));
  }
  const std::optional<uint64_t> heard = answer->status() == 200 ? parse_heard(text) : std::nullopt;
  if (!heard)
    co_return fail(Code::io, fmt::format("it answered {} to what was purged; do all edges have the same "
                                         "[peers] token, and this version?",
                                         answer->status()));
  co_return *heard;
}

// --- being told -----------------------------------------------------------------------------------------------------------------

io::Task<Result<std::string>> PurgeRelay::take(std::string body) {
  CO_ASSIGN_OR_RETURN(const PurgeBatch in, parse_purge_batch(body));
  if (closing_) co_return fail(Code::unavailable, "this edge is draining");
  const PurgesHeard::Verdict verdict = heard_.begin(in.head, parts_.home.now());
  Purging purging;
  if (verdict.drop) {
    ++dropped_;
    log::warn("edge.purges.missed", {{"from", in.head.name}, {"done", "all that was stored is let go"}});
    purging = parts_.purge_all();
  }
  if (verdict.apply) {
    for (size_t i = verdict.skip; i < in.orders.size(); ++i) {
      auto begun = in.orders[i] ? parts_.purge(*in.orders[i]) : fail(in.orders[i].error());
      // A site that is not here has nothing stored here.
      begun ? ++taken_ : ++refused_;
      if (!begun) log::debug("edge.purges.not_for_us", {{"reason", begun.error().message}});
      if (begun)
        for (auto& task : *begun) purging.push_back(std::move(task));
    }
    // They hold from here on.
    heard_.applied(in.head.id, in.head.first + in.head.count - 1);
  }
  io::Task<void> finishing = finish(this, std::move(purging));
  co_await std::move(finishing);
  co_return heard_json(heard_.heard(in.head.id));
}

// Behind all the purges that it stands for: who finds it after a restart finds them, too. So not while one of them is still on its way to the disk.
void PurgeRelay::keep_heard() {
  if (parts_.keep_heard == nullptr || purging_ > 0) return;
  std::vector<HeardMark> marks = heard_.marks();
  if (marks == kept_heard_) return;
  kept_heard_ = marks;
  parts_.keep_heard(std::move(marks));
}

std::string PurgeRelay::need() const {
  return heard_.need(log_.latest(), parts_.clock.now());
}

bool PurgeRelay::fulfils(std::string_view need) {
  std::vector<PurgesHeard::Missed> missed;
  const bool all = heard_.fulfils(need, log_.latest(), parts_.clock.now(), missed);
  for (const PurgesHeard::Missed& one : missed) parts_.home.post([this, one] { drop_missed(one); });
  return all;
}

// Others have heard what nobody tells us: it cannot be known what it was.
void PurgeRelay::drop_missed(PurgesHeard::Missed missed) {
  if (closing_) return;
  ++dropped_;
  log::warn("edge.purges.missed", {{"from", fmt::format("{:016x}", missed.id)},
                                   {"done", "all that was stored is let go"},
                                   {"advice", "edges of one ring need the same shield and purge lists"}});
  scope_.spawn(finish(this, parts_.purge_all()));
  heard_.adopt(missed, parts_.clock.now());
}

io::Task<void> PurgeRelay::finish(PurgeRelay* self, Purging purging) {
  ++self->purging_;
  for (auto& task : purging) {
    [[maybe_unused]] auto durable = co_await std::move(task);
  }
  --self->purging_;
  self->keep_heard();
}

std::string PurgeRelay::metrics_text() const {
  if (targets_.empty() && taken_ + dropped_ + refused_ == 0) return {};
  std::string out =
      "# HELP archipel_edge_peer_purges_total Purges that other edges told: carried out, of sites that are "
      "not "
      "here, and times that everything was let go because some were missed\n"
      "# TYPE archipel_edge_peer_purges_total counter\n";
  for (auto [event, value] : {std::pair{"taken", taken_}, {"refused", refused_}, {"missed", dropped_}})
    out += fmt::format("archipel_edge_peer_purges_total{{event=\"{}\"}} {}\n", event, value);
  if (targets_.empty()) return out;
  out +=
      "# HELP archipel_edge_peer_purges_pending Purges that an edge was not told yet\n"
      "# TYPE archipel_edge_peer_purges_pending gauge\n";
  for (const auto& target : targets_)
    out += fmt::format("archipel_edge_peer_purges_pending{{edge=\"{}\"}} {}\n", target->address.url,
                       log_.latest() - target->heard);
  return out;
}

io::Task<void> PurgeRelay::close() {
  close_at_ = parts_.home.now() + kCloseMax;
  closing_ = true;
  changed_.notify_all();
  const io::Loop::TimerId late = parts_.home.run_at(close_at_, [this] {
    for (const auto& target : targets_)
      if (target->attempt != nullptr) target->attempt->cancel();
  });
  co_await scope_.join();
  parts_.home.cancel(late);
  if (parts_.workers != nullptr) {
    auto let_go = [this] {
      log_.release();
      return true;
    };
    [[maybe_unused]] const bool released = co_await parts_.workers->run(let_go);
  }
  targets_.clear();
}

}  // namespace archipel::edge
