#include "edge/purge_relay.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

#include "base/json.h"
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

std::optional<uint64_t> heard_in(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::padded_string padded(json);
  simdjson::dom::object object;
  uint64_t heard = 0;
  if (parser.parse(padded).get(object) != simdjson::SUCCESS ||
      object["heard"].get(heard) != simdjson::SUCCESS)
    return std::nullopt;
  return heard;
}

// A batch as it came; its orders each as JSON.
struct Incoming {
  PurgesHeard::Batch batch;
  std::vector<std::string> records;
};
std::optional<Incoming> parse_batch(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::padded_string padded(json);
  simdjson::dom::object object;
  if (parser.parse(padded).get(object) != simdjson::SUCCESS) return std::nullopt;
  Incoming out;
  std::string_view name, id;
  simdjson::dom::array records;
  if (object["edge"].get(name) != simdjson::SUCCESS || object["id"].get(id) != simdjson::SUCCESS ||
      object["first"].get(out.batch.first) != simdjson::SUCCESS ||
      object["lost"].get(out.batch.lost) != simdjson::SUCCESS ||
      object["records"].get(records) != simdjson::SUCCESS)
    return std::nullopt;
  const std::optional<std::string> bytes = unhex(id);
  if (!bytes || bytes->size() != 8 || out.batch.first == 0 || out.batch.first > UINT64_MAX / 2)
    return std::nullopt;
  for (const char c : *bytes) out.batch.id = out.batch.id << 8 | static_cast<uint8_t>(c);
  out.batch.name = name;
  for (const simdjson::dom::element record : records) out.records.push_back(simdjson::minify(record));
  out.batch.count = out.records.size();
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

PurgeRelay::PurgeRelay(Parts parts) : parts_(std::move(parts)), id_(parts_.random.u64()), heard_(id_) {}

PurgeRelay::~PurgeRelay() = default;

void PurgeRelay::use(const PeerPolicy& policy) {
  token_ = policy.token;
  name_ = policy.self.empty() ? fmt::format("{:016x}", id_) : policy.self;
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
  for (const auto& target : targets_) scope_.spawn(serve(this, target));
}

uint64_t PurgeRelay::tell(const PurgeOrder& order) {
  if (!anybody_.load(std::memory_order_relaxed)) return 0;
  std::string json = purge_order_json(order);
  uint64_t number = 0;
  {
    std::lock_guard lock(mutex_);
    log_bytes_ += json.size();
    log_.push_back(std::move(json));
    number = latest_.load(std::memory_order_relaxed) + 1;
    latest_.store(number, std::memory_order_release);
    while (log_.size() > kLogRecordsMax || (log_bytes_ > kLogBytesMax && log_.size() > 1)) {
      log_bytes_ -= log_.front().size();
      log_.pop_front();
    }
  }
  wake();
  return number;
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
    const bool behind = target->heard < self->latest_.load(std::memory_order_acquire);
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
      target->heard = std::min(*heard, self->latest_.load(std::memory_order_acquire));
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
  std::lock_guard lock(mutex_);
  const uint64_t latest = latest_.load(std::memory_order_relaxed), oldest = latest + 1 - log_.size();
  // Before it has said what it heard, it is only asked.
  uint64_t first = target.greeted ? target.heard + 1 : latest + 1;
  const bool lost = first < oldest;
  first = std::max(first, oldest);
  JsonWriter name;
  name.text(name_);
  std::string out = fmt::format("{{\"edge\":{},\"id\":\"{:016x}\",\"first\":{},\"lost\":{},\"records\":[",
                                name.str(), id_, first, lost);
  size_t count = 0;
  for (uint64_t number = first; number <= latest && count < kBatchRecordsMax; ++number, ++count) {
    const std::string& record = log_[number - oldest];
    if (count > 0 && out.size() + record.size() > kBatchBytesMax) break;
    out += (count > 0 ? "," : "") + record;
  }
  return out + "]}";
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
  const std::optional<uint64_t> heard = answer->status() == 200 ? heard_in(text) : std::nullopt;
  if (!heard)
    co_return fail(Code::io, fmt::format("it answered {} to what was purged; do all edges have the same "
                                         "[peers] token, and this version?",
                                         answer->status()));
  co_return *heard;
}

// --- being told -----------------------------------------------------------------------------------------------------------------

io::Task<Result<std::string>> PurgeRelay::take(std::string body) {
  std::optional<Incoming> in = parse_batch(body);
  if (!in) co_return fail(Code::invalid, "that is no list of what was purged");
  if (closing_) co_return fail(Code::unavailable, "this edge is draining");
  const PurgesHeard::Verdict verdict = heard_.begin(in->batch, parts_.home.now());
  Purging purging;
  if (verdict.drop) {
    ++dropped_;
    log::warn("edge.purges.missed", {{"from", in->batch.name}, {"done", "all that was stored is let go"}});
    purging = parts_.purge_all();
  }
  if (verdict.apply) {
    for (size_t i = verdict.skip; i < in->records.size(); ++i) {
      auto order = parse_purge_order(in->records[i], true);
      auto begun = order ? parts_.purge(*order) : fail(order.error());
      // A site that is not here has nothing stored here.
      begun ? ++taken_ : ++refused_;
      if (!begun) log::debug("edge.purges.not_for_us", {{"reason", begun.error().message}});
      if (begun)
        for (auto& task : *begun) purging.push_back(std::move(task));
    }
    // They hold from here on.
    heard_.applied(in->batch.id, in->batch.first + in->batch.count - 1);
  }
  for (auto& task : purging) {
    [[maybe_unused]] auto durable = co_await std::move(task);
  }
  co_return fmt::format("{{\"heard\":{}}}", heard_.heard(in->batch.id));
}

std::string PurgeRelay::need() const {
  return heard_.need(latest_.load(std::memory_order_acquire), parts_.clock.now());
}

bool PurgeRelay::fulfils(std::string_view need) {
  std::vector<PurgesHeard::Missed> missed;
  const bool all = heard_.fulfils(need, latest_.load(std::memory_order_acquire), parts_.clock.now(), missed);
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
  scope_.spawn(finish(parts_.purge_all()));
  heard_.adopt(missed, parts_.clock.now());
}

io::Task<void> PurgeRelay::finish(Purging purging) {
  for (auto& task : purging) {
    [[maybe_unused]] auto durable = co_await std::move(task);
  }
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
                       latest_.load() - target->heard);
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
  targets_.clear();
}

}  // namespace archipel::edge
