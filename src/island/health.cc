#include "island/health.h"

#include <algorithm>

#include "base/metrics.h"
#include "island/island.h"

namespace archipel::island {

// Percentiles are recomputed after this many new samples: often enough for a deadline, and cheap.
static constexpr size_t kResort = 8;

struct Health::Meters {
  struct PerOp {
    PerOp(const std::string& island, const char* op)
        : requests{"archipel_island_requests_total",
                   "Requests to an island",
                   {{"island", island}, {"op", op}}},
          errors{"archipel_island_errors_total",
                 "Failed requests to an island",
                 {{"island", island}, {"op", op}}},
          bytes{"archipel_island_bytes_total",
                "Payload bytes of successful requests",
                {{"island", island}, {"op", op}}},
          p95{"archipel_island_p95_microseconds",
              "95th percentile of recent successful requests",
              {{"island", island}, {"op", op}}} {}
    metrics::Counter requests, errors, bytes;
    metrics::Gauge p95;
  };
  explicit Meters(const std::string& island)
      : ops{PerOp{island, "put"}, PerOp{island, "get"}},
        breaker{"archipel_island_breaker_open", "1 while an island is not waited for", {{"island", island}}},
        wrong{"archipel_island_wrong_cells_total",
              "Cells an island returned that failed verification",
              {{"island", island}}} {}
  PerOp ops[2];
  metrics::Gauge breaker;
  metrics::Counter wrong;
};

Health::Health(const std::string& island_id) : meters_(std::make_unique<Meters>(island_id)) {}
Health::~Health() = default;

static bool is_failure(const Error* outcome) {
  return outcome != nullptr && outcome->code != Code::not_found && outcome->code != Code::exists &&
         outcome->code != Code::cancelled;
}

void Health::record(Op op, TimePoint now, Duration took, uint64_t bytes, const Error* outcome) {
  auto& meter = meters_->ops[static_cast<int>(op)];
  meter.requests.add();
  std::lock_guard lock(mutex_);
  if (is_failure(outcome)) {
    meter.errors.add();
    if (++failures_in_row_ >= kBreakerFailures) {
      retry_at_ = now + kBreakerPause;
      meters_->breaker.set(1);
    }
    return;
  }
  if (outcome != nullptr && outcome->code == Code::cancelled) return;
  failures_in_row_ = 0;
  overdue_in_row_[static_cast<size_t>(op)] = 0;
  meters_->breaker.set(open() ? 1 : 0);
  if (outcome != nullptr) return;
  meter.bytes.add(static_cast<int64_t>(bytes));
  add_sample(op, took);
}

void Health::overdue(Op op, TimePoint now) {
  std::lock_guard lock(mutex_);
  if (++overdue_in_row_[static_cast<size_t>(op)] < kBreakerFailures) return;
  retry_at_ = now + kBreakerPause;
  meters_->breaker.set(1);
}

bool Health::begin_put() {
  std::lock_guard lock(mutex_);
  if (open() && puts_under_way_ >= kPutsWhileOpen) return false;
  ++puts_under_way_;
  return true;
}

void Health::end_put() {
  std::lock_guard lock(mutex_);
  --puts_under_way_;
}

bool Health::open() const {
  return failures_in_row_ >= kBreakerFailures ||
         *std::max_element(overdue_in_row_.begin(), overdue_in_row_.end()) >= kBreakerFailures;
}

void Health::add_sample(Op op, Duration took) {
  Window& w = windows_[static_cast<size_t>(op)];
  w.micros[w.next] = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  w.next = (w.next + 1) % kHealthSamples;
  w.filled = std::min(w.filled + 1, kHealthSamples);
  if (w.filled < kHealthSamplesMin || (w.p95 >= 0 && ++w.since_sorted < kResort)) return;
  w.since_sorted = 0;
  std::array<int64_t, kHealthSamples> ranked = w.micros;
  auto at = [&](size_t index) { return ranked.begin() + static_cast<std::ptrdiff_t>(index); };
  auto p95 = at(w.filled * 95 / 100), p50 = at(w.filled / 2);
  std::nth_element(ranked.begin(), p95, at(w.filled));
  w.p95 = *p95;
  std::nth_element(ranked.begin(), p50, p95 + 1);
  w.p50 = *p50;
  meters_->ops[static_cast<int>(op)].p95.set(w.p95);
}

static std::optional<Duration> micros_or_none(int64_t micros) {
  if (micros < 0) return std::nullopt;
  return std::chrono::microseconds(micros);
}

std::optional<Duration> Health::p50(Op op) const {
  std::lock_guard lock(mutex_);
  return micros_or_none(windows_[static_cast<size_t>(op)].p50);
}

std::optional<Duration> Health::p95(Op op) const {
  std::lock_guard lock(mutex_);
  return micros_or_none(windows_[static_cast<size_t>(op)].p95);
}

bool Health::worth_waiting(TimePoint now) {
  std::lock_guard lock(mutex_);
  if (!open()) return true;
  if (now < retry_at_) return false;
  retry_at_ = now + kBreakerPause;  // half-open: this caller probes, the next ones after another pause
  return true;
}

bool Health::breaker_open() const {
  std::lock_guard lock(mutex_);
  return open();
}

void Health::count_wrong_cells(uint64_t cells) {
  meters_->wrong.add(static_cast<int64_t>(cells));
}
uint64_t Health::wrong_cells() const {
  return static_cast<uint64_t>(meters_->wrong.value());
}

Island::Island() = default;
Island::~Island() = default;

Health& Island::health() {
  std::call_once(health_made_, [this] { health_ = std::make_unique<Health>(id()); });
  return *health_;
}

}  // namespace archipel::island
