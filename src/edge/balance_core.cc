#include "edge/balance_core.h"

#include <algorithm>

#include "base/log.h"
#include "base/metrics.h"

namespace archipel::edge {
namespace {

// What a failed try counts as in the latencies, at least: an origin that fails fast must not look like a fast one.
constexpr Duration kFailureCost = std::chrono::seconds(1);
constexpr double kHedgePart = 0.95;  // the percentile that a request has to outlast

std::vector<std::string> urls(const OriginPolicy& policy) {
  std::vector<std::string> out;
  for (const OriginAddress& origin : policy.origins) out.push_back(origin.url);
  return out;
}

// The server's own failures; 501 and 505 say something about the request.
bool is_server_failure(int status) {
  return status >= 500 && status != 501 && status != 505;
}

}  // namespace

BalanceCore::BalanceCore(OriginPolicy p, BalanceParts b, const Balancer* before)
    : policy(std::move(p)),
      parts(std::move(b)),
      picker(policy.balance.algorithm, policy.balance.hash_bound, urls(policy)),
      health(policy.health, policy.balance.slow_start, policy.origins.size()),
      retries(policy.retry.budget, policy.retry.budget_min),
      hedges(policy.retry.hedge_budget, 0) {
  for (size_t i = 0; i < policy.origins.size(); ++i) {
    origins.emplace_back(policy.balance.decay);
    if (i < policy.balance.weights.size()) origins[i].weight = policy.balance.weights[i];
    stats.push_back(std::make_shared<OriginStats>());
  }
  checks.resize(origins.size());
  if (before != nullptr) adopt(*before);
  for (io::Loop* loop : parts.loops) {
    OfLoop& mine = loops.emplace_back(OfLoop{loop, {}});
    for (size_t i = 0; i < policy.origins.size(); ++i)
      mine.pools.push_back(
          make_origin_pool(*loop, policy.origins[i], policy, parts.connector, parts.clock, stats[i]));
  }
}

void BalanceCore::adopt(const Balancer& before) {
  const BalanceCore& old = before.core();
  std::scoped_lock lock(old.mutex);
  for (size_t i = 0; i < origins.size(); ++i) {
    auto same = std::ranges::find(old.policy.origins, policy.origins[i]);
    if (same == old.policy.origins.end()) {
      health.joined(i, parts.clock.now());
      continue;
    }
    const auto other = static_cast<size_t>(same - old.policy.origins.begin());
    health.adopt(i, old.health, other);
    origins[i].latency = old.origins[other].latency;
    origins[i].window = old.origins[other].window;
    origins[i].told = old.origins[other].told;
    stats[i] = old.stats[other];
  }
}

BalanceCore::~BalanceCore() {
  for (OfLoop& mine : loops)
    if (io::Loop::current() != mine.loop)
      mine.loop->post([pools = std::move(mine.pools)]() mutable { pools.clear(); });
}

std::vector<std::shared_ptr<OriginPool>>& BalanceCore::pools_here() {
  io::Loop* here = io::Loop::current();
  auto mine = std::ranges::find_if(loops, [here](const OfLoop& one) { return one.loop == here; });
  CHECK(mine != loops.end());
  return mine->pools;
}

void BalanceCore::collect(TimePoint now, OriginSet without, bool only_usable) {
  candidates.clear();
  for (size_t i = 0; i < origins.size(); ++i) {
    const Origin& o = origins[i];
    if ((without >> i & 1) != 0 || o.in_flight >= policy.balance.requests_max) continue;
    if (only_usable && health.state(i, now) != OriginState::usable) continue;
    candidates.push_back({i, o.weight * health.ramp(i, now), o.in_flight, o.latency.value(now)});
  }
}

std::optional<size_t> BalanceCore::place(TimePoint now, OriginSet tried, std::string_view hash_key,
                                         bool elsewhere) {
  std::scoped_lock lock(mutex);
  const bool panic = health.panic(now);
  collect(now, tried, !panic);
  // Better one that was tried and is well than one that is known to be down.
  if (candidates.empty() && !elsewhere && tried != 0) collect(now, 0, !panic);
  if (candidates.empty()) return std::nullopt;
  const size_t origin = candidates[picker.pick(candidates, hash_key, parts.random)].origin;
  ++origins[origin].in_flight;
  return origin;
}

void BalanceCore::release(size_t origin) {
  {
    std::scoped_lock lock(mutex);
    CHECK(--origins[origin].in_flight >= 0);
  }
  wake_next();
}

void BalanceCore::wake_next() {
  std::shared_ptr<PlaceWaiter> next;
  {
    std::scoped_lock lock(mutex);
    if (queue.empty()) return;
    next = std::move(queue.front());
    queue.pop_front();
  }
  io::Loop& loop = next->loop;
  loop.post([next = std::move(next)] {
    next->woken = true;
    next->event.notify_all();
  });
}

void BalanceCore::judge(size_t origin, const Result<std::unique_ptr<Fetch>>& out, const Attempt& attempt,
                        TimePoint began, TimePoint now) {
  std::scoped_lock lock(mutex);
  Origin& o = origins[origin];
  if (out && !is_server_failure((*out)->status())) {
    o.latency.observe(now, attempt.to_head);
    o.window.observe(now, attempt.to_head);
    health.answered(origin, true, now);
  } else if (!out && (attempt.cancelled || out.error().code == Code::cancelled)) {
    // It lost a race, or the client went: all that is known is that it took so long at least.
    const Duration took = now - began;
    if (static_cast<double>(took.count()) > o.latency.value(now)) o.latency.observe(now, took);
    return;
  } else if (!out && out.error().detail == "full") {
    return;
  } else {
    o.latency.observe(now, std::max(now - began, kFailureCost));
    health.answered(origin, false, now);
  }
  tell(origin, now, out ? std::string_view("it answers 5xx") : std::string_view(out.error().message));
}

void BalanceCore::failed_later(size_t origin, TimePoint now) {
  std::scoped_lock lock(mutex);
  origins[origin].latency.observe(now, kFailureCost);
  health.answered(origin, false, now);
  tell(origin, now, "its responses break off");
}

void BalanceCore::checked(size_t origin, bool ok, TimePoint now, std::string_view why) {
  std::scoped_lock lock(mutex);
  ++origins[origin].checks;
  origins[origin].checks_failed += !ok;
  health.checked(origin, ok, now);
  tell(origin, now, why);
}

void BalanceCore::count_retry(size_t origin) {
  std::scoped_lock lock(mutex);
  ++origins[origin].retries;
}

void BalanceCore::close() {
  closed = true;
  bell.notify_all();
  for (io::Stream* stream : checks)
    if (stream != nullptr) stream->close(true);
}

Duration BalanceCore::next_check(size_t origin) {
  const HealthPolicy& h = policy.health;
  const int64_t interval = h.interval.count(), tenth = interval / 10;
  const auto jitter = static_cast<int64_t>(parts.random.u64() % static_cast<uint64_t>(2 * tenth + 1)) - tenth;
  std::scoped_lock lock(mutex);
  return Duration((interval + jitter) / (health.in_doubt(origin) ? std::max(h.rise, h.fall) : 1));
}

std::optional<Duration> BalanceCore::hedge_after(size_t origin, TimePoint now) {
  if (!policy.retry.hedge || policy.origins.size() < 2) return std::nullopt;
  std::scoped_lock lock(mutex);
  auto p95 = origins[origin].window.percentile(now, kHedgePart);
  if (!p95) return std::nullopt;
  return std::max(*p95, policy.retry.hedge_min);
}

void BalanceCore::tell(size_t origin, TimePoint now, std::string_view why) {
  const OriginState state = health.state(origin, now);
  if (state == origins[origin].told) return;
  origins[origin].told = state;
  if (state == OriginState::usable)
    log::info("edge.origin.usable", {{"origin", policy.origins[origin].url}});
  else
    log::warn("edge.origin.avoided",
              {{"origin", policy.origins[origin].url}, {"state", to_string(state)}, {"reason", why}});
}

}  // namespace archipel::edge
