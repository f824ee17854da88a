#include "edge/balance.h"

#include <algorithm>

#include "edge/balance_core.h"

namespace archipel::edge {
namespace {

using FetchResult = Result<std::unique_ptr<Fetch>>;
using CoreRef = std::shared_ptr<BalanceCore>;
using RequestRef = std::shared_ptr<const FetchRequest>;

// A response under way that holds its place at the origin until it is read, or given up.
class PlacedFetch final : public Fetch {
 public:
  PlacedFetch(std::unique_ptr<Fetch> inner, Place place)
      : inner_(std::move(inner)), place_(std::move(place)) {}
  int status() const override { return inner_->status(); }
  const http::Headers& headers() const override { return inner_->headers(); }
  std::optional<uint64_t> length() const override { return inner_->length(); }
  UnixMs requested() const override { return inner_->requested(); }
  UnixMs received() const override { return inner_->received(); }
  std::string_view origin() const override { return inner_->origin(); }
  bool over() const override { return inner_->over(); }
  std::unique_ptr<io::Stream> take_stream() override { return inner_->take_stream(); }
  io::Task<Result<size_t>> read(MutableBytes out) override {
    auto got = co_await inner_->read(out);
    if (!got && got.error().code != Code::cancelled && place_)
      place_->core().failed_later(place_->origin(), io::Loop::current()->now());
    if (!got || *got == 0 || inner_->over()) place_.reset();
    co_return got;
  }

 private:
  std::unique_ptr<Fetch> inner_;
  std::optional<Place> place_;
};

// One or two tries at the same request. Whoever has a response first wins; the other is given up.
struct Race {
  explicit Race(RequestRef r) : request(std::move(r)) {
    for (size_t i = 0; i < 2; ++i) sides[i].race = this;
  }
  struct Side final : InterimSink {
    Race* race = nullptr;
    Attempt attempt;
    std::optional<FetchResult> out;
    std::optional<size_t> origin;
    // Its origin is at work on the answer, and the client hears of it: no other can take over from here.
    io::Task<void> interim(int status, const http::Headers& headers) override {
      if (!race->settle(this)) co_return;
      co_await race->request->interim->interim(status, headers);
    }
  };
  // False: the other has won.
  bool settle(Side* side) {
    if (winner == nullptr) {
      winner = side;
      for (Side& other : sides)
        if (&other != side && other.origin) other.attempt.cancel();
    }
    return winner == side;
  }

  const RequestRef request;
  Side sides[2];
  Side* winner = nullptr;
  int running = 0;
  io::Event changed;
};

io::Task<FetchResult> try_once(CoreRef core, const FetchRequest& request, Place place, Deadline deadline,
                               Attempt& attempt) {
  const size_t origin = place.origin();
  std::shared_ptr<OriginPool> pool = core->pools_here()[origin];
  const TimePoint began = io::Loop::current()->now();
  auto out = co_await pool->fetch(request, deadline, attempt);
  core->judge(origin, out, attempt, began, io::Loop::current()->now());
  if (out) *out = std::make_unique<PlacedFetch>(std::move(*out), std::move(place));
  co_return out;
}

io::Task<void> run_side(CoreRef core, std::shared_ptr<Race> race, size_t index, Place place,
                        Deadline deadline) {
  Race::Side& side = race->sides[index];
  auto out = co_await try_once(core, *race->request, std::move(place), deadline, side.attempt);
  --race->running;
  // A response that nobody waits for any more goes with its connection.
  if (race->winner == nullptr || race->winner == &side) side.out.emplace(std::move(out));
  race->changed.notify_all();
}

bool is_hedgeable(const FetchRequest& request) {
  return (request.method == "GET" || request.method == "HEAD") && request.body == nullptr &&
         request.upgrade.empty();
}

bool asks_for_retry(const BalanceCore& core, int status) {
  // Where there is nobody else to ask, what the only origin says is the answer.
  if (core.policy.origins.size() < 2) return false;
  return std::ranges::find(core.policy.retry.statuses, status) != core.policy.retry.statuses.end();
}

struct Outcome {
  FetchResult out;
  bool may_retry = false;
  OriginSet tried = 0;
};

// The side to go on with: one with a good response; when nobody is under way any more, one with any.
Race::Side* decide(const BalanceCore& core, Race& race) {
  Race::Side* some = nullptr;
  for (Race::Side& side : race.sides) {
    if (!side.out || (race.winner != nullptr && race.winner != &side)) continue;
    const bool answered = side.out->has_value();
    if (answered && !asks_for_retry(core, (**side.out)->status())) return &side;
    if (some == nullptr || answered) some = &side;
  }
  const bool decided = race.winner != nullptr && race.winner == some;
  return race.running == 0 || decided ? some : nullptr;
}

void hedge(const CoreRef& core, const std::shared_ptr<Race>& race, OriginSet tried, Deadline deadline) {
  const TimePoint now = io::Loop::current()->now();
  auto origin = core->place(now, tried, race->request->hash_key, true);
  if (!origin) return;
  Place place(core, *origin);
  {
    std::scoped_lock lock(core->mutex);
    if (!core->hedges.take(now)) {
      ++core->hedges_denied;
      return;
    }
    ++core->origins[*origin].hedges;
  }
  race->sides[1].origin = *origin;
  ++race->running;
  core->parts.background.here().spawn(run_side(core, race, 1, std::move(place), deadline));
}

io::Task<Outcome> try_hedged(CoreRef core, RequestRef request, Place place, OriginSet tried,
                             Deadline deadline, Deadline whole, Duration after) {
  const TimePoint hedge_at = io::Loop::current()->now() + after;
  auto race = std::make_shared<Race>(request);
  for (Race::Side& side : race->sides) {
    if (request->interim != nullptr) side.attempt.interim = &side;
    side.attempt.whole = whole;
  }
  race->sides[0].origin = place.origin();
  tried |= OriginSet{1} << place.origin();
  race->running = 1;
  core->parts.background.here().spawn(run_side(core, race, 0, std::move(place), deadline));
  bool hedged = false;
  Race::Side* side = decide(*core, *race);
  while (side == nullptr) {
    const Deadline until = hedged ? kNoDeadline : hedge_at;
    const bool told = co_await race->changed.wait(until);
    if (!told && race->winner == nullptr) hedge(core, race, tried, deadline);
    hedged = hedged || !told;
    side = decide(*core, *race);
  }
  if (race->sides[1].origin) tried |= OriginSet{1} << *race->sides[1].origin;
  race->settle(side);
  co_return Outcome{std::move(*side->out), side->attempt.may_retry, tried};
}

io::Task<Outcome> try_plain(CoreRef core, RequestRef request, Place place, OriginSet tried, Deadline deadline,
                            Deadline whole) {
  Attempt attempt;
  attempt.whole = whole;
  attempt.interim = request->interim;
  tried |= OriginSet{1} << place.origin();
  auto out = co_await try_once(core, *request, std::move(place), deadline, attempt);
  co_return Outcome{std::move(out), attempt.may_retry, tried};
}

std::unexpected<Error> refuse(BalanceCore& core, std::string why) {
  std::scoped_lock lock(core.mutex);
  ++core.refused;
  return fail(Code::unavailable, std::move(why));
}

// Waits in the queue if every origin that could be asked is full.
io::Task<Result<Place>> admit(CoreRef core, RequestRef request, OriginSet tried, Deadline deadline) {
  io::Loop& loop = *io::Loop::current();
  const Deadline patience = std::min(deadline, loop.now() + core->policy.balance.queue_timeout);
  std::shared_ptr<PlaceWaiter> waiter;
  for (;;) {
    auto origin = core->place(loop.now(), tried, request->hash_key, false);
    if (origin) co_return Place(core, *origin);
    const bool first = waiter == nullptr;
    if (first) waiter = std::make_shared<PlaceWaiter>(loop);
    waiter->woken = false;
    bool crowded = false;
    {
      std::scoped_lock lock(core->mutex);
      crowded = first && static_cast<int>(core->queue.size()) >= core->policy.balance.queue_max;
      // Who waited before and found the place taken again stands at the head.
      if (!crowded && first) core->queue.push_back(waiter);
      if (!crowded && !first) core->queue.push_front(waiter);
    }
    if (crowded) co_return refuse(*core, "all origins are at their limit, and so is the queue for them");
    bool in_time = true;
    while (!waiter->woken && in_time) in_time = co_await waiter->event.wait(patience);
    if (waiter->woken) continue;
    size_t removed = 0;
    {
      std::scoped_lock lock(core->mutex);
      removed = std::erase(core->queue, waiter);
    }
    // Not there any more: the place that came free is on its way to us. It is passed on.
    if (removed == 0) core->wake_next();
    co_return refuse(*core, "all origins are at their limit, and none came free in time");
  }
}

// True if the budget has one more request for a retry.
bool take_retry(BalanceCore& core, TimePoint now) {
  std::scoped_lock lock(core.mutex);
  if (core.retries.take(now)) return true;
  ++core.retries_denied;
  return false;
}

void count_request(BalanceCore& core, TimePoint now) {
  std::scoped_lock lock(core.mutex);
  core.retries.request(now);
  core.hedges.request(now);
}

io::Task<FetchResult> fetch_from(CoreRef core, RequestRef request, Deadline deadline) {
  io::Loop& loop = *io::Loop::current();
  const RetryPolicy& retry = core->policy.retry;
  count_request(*core, loop.now());
  Deadline whole = kNoDeadline;
  if (core->policy.balance.whole_timeout > Duration{0})
    whole = loop.now() + core->policy.balance.whole_timeout;
  deadline = std::min(deadline, whole);
  const bool hedgeable = is_hedgeable(*request);
  OriginSet tried = 0;
  FetchResult best = fail(Code::unavailable, "there is no origin");  // what is passed on if no better comes
  for (int n = 1;; ++n) {
    auto place = co_await admit(core, request, tried, deadline);
    if (!place && n == 1) co_return fail(place.error());
    if (!place) co_return best;
    if (n > 1) core->count_retry(place->origin());
    const bool last = n >= retry.tries;
    Deadline until = deadline;
    if (retry.try_timeout > Duration{0} && !last) until = std::min(until, loop.now() + retry.try_timeout);
    std::optional<Duration> after;
    if (hedgeable) after = core->hedge_after(place->origin(), loop.now());
    std::optional<Outcome> outcome;
    if (after) {
      auto hedged = co_await try_hedged(core, request, std::move(*place), tried, until, whole, *after);
      outcome.emplace(std::move(hedged));
    } else {
      auto plain = co_await try_plain(core, request, std::move(*place), tried, until, whole);
      outcome.emplace(std::move(plain));
    }
    tried = outcome->tried;
    const bool answered = outcome->out.has_value();
    const bool final = answered && !asks_for_retry(*core, (*outcome->out)->status());
    // A response, even a bad one, says more than none.
    if (answered || !best) best = std::move(outcome->out);
    if (final || last || !outcome->may_retry || loop.now() >= deadline) co_return best;
    if (!take_retry(*core, loop.now())) co_return best;
  }
}

}  // namespace

Balancer::Balancer(OriginPolicy policy, BalanceParts parts, const Balancer* before)
    : core_(std::make_shared<BalanceCore>(std::move(policy), std::move(parts), before)) {
  if (core_->policy.health.path.empty()) return;
  // Weak, here and below: what is posted to a loop that never runs must not be what keeps its connections.
  core_->parts.loops.front()->post([weak = std::weak_ptr(core_)] {
    std::shared_ptr<BalanceCore> core = weak.lock();
    if (core == nullptr || core->closed) return;
    for (size_t i = 0; i < core->origins.size(); ++i)
      core->parts.background.here().spawn(watch_origin(core, i));
  });
}

Balancer::~Balancer() {
  for (size_t i = 0; i < core_->loops.size(); ++i)
    core_->loops[i].loop->post([weak = std::weak_ptr(core_), i] {
      std::shared_ptr<BalanceCore> core = weak.lock();
      if (core == nullptr) return;
      if (i == 0) core->close();
      for (const auto& pool : core->loops[i].pools) pool->close_idle();
    });
}

const OriginPolicy& Balancer::policy() const {
  return core_->policy;
}

const OriginStats& Balancer::stats(size_t origin) const {
  return *core_->stats[origin];
}

io::Task<FetchResult> Balancer::fetch(FetchRequest request, Deadline deadline) {
  CoreRef core = core_;  // this object may go meanwhile
  auto out = co_await fetch_from(std::move(core), std::make_shared<const FetchRequest>(std::move(request)),
                                 deadline);
  co_return out;
}

std::vector<Candidate> Balancer::usable() const {
  const BalanceCore& core = *core_;
  const TimePoint now = io::Loop::current()->now();
  std::scoped_lock lock(core.mutex);
  std::vector<Candidate> out;
  for (size_t i = 0; i < core.origins.size(); ++i)
    if (core.health.state(i, now) == OriginState::usable)
      out.push_back({i, core.origins[i].weight, core.origins[i].in_flight, 0});
  return out;
}

BalanceReport Balancer::report() const {
  const BalanceCore& core = *core_;
  const TimePoint now = core.parts.clock.now();
  std::scoped_lock lock(core.mutex);
  BalanceReport out;
  for (size_t i = 0; i < core.origins.size(); ++i) {
    const BalanceCore::Origin& o = core.origins[i];
    OriginReport one;
    one.url = core.policy.origins[i].url;
    one.state = core.health.state(i, now);
    one.share = core.health.ramp(i, now);
    one.in_flight = o.in_flight;
    one.latency_seconds = o.latency.value(now) / 1e9;
    one.ejections = core.health.ejections(i);
    one.checks = o.checks;
    one.checks_failed = o.checks_failed;
    one.retries = o.retries;
    one.hedges = o.hedges;
    out.origins.push_back(std::move(one));
  }
  out.waiting = static_cast<int>(core.queue.size());
  out.refused = core.refused;
  out.retries_denied = core.retries_denied;
  out.hedges_denied = core.hedges_denied;
  out.panic = core.health.panic(now);
  return out;
}

}  // namespace archipel::edge
