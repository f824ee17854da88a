// Health: what an island's recent answers say about it: latency percentiles, errors, and a breaker.
//
// Fanout uses p95 of put for its soft deadline, ExtentReader p95 of get to decide when to hedge; neither
// waits for an island whose breaker is open, but both still try it. Thread-safe; a record costs a short lock.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace archipel::island {

inline constexpr size_t kHealthSamples = 256;   // per operation: the window of the percentiles
inline constexpr size_t kHealthSamplesMin = 8;  // fewer samples: no percentile yet
inline constexpr int kBreakerFailures = 5;      // consecutive failures that open the breaker
inline constexpr int kPutsWhileOpen = 2;        // under way at one time while the breaker is open
inline constexpr Duration kBreakerPause = std::chrono::seconds(5);  // until one request is waited for again

class Health {
 public:
  enum class Op { put = 0, get = 1 };

  explicit Health(const std::string& island_id);  // the id is the metrics' label
  ~Health();

  // An operation ended at `now` after `took`. `outcome` is nullptr for success. not_found, exists and
  // cancelled are answers of a healthy island (or none of its doing): they neither open the breaker nor count
  // as errors.
  void record(Op op, TimePoint now, Duration took, uint64_t bytes, const Error* outcome);

  // Somebody does not wait any longer for an operation that has not answered by `now`. Silences in a row open the breaker like failures, but only
  // an answer to an operation of the same kind ends them: what a mount still has in memory says nothing about its disk.
  void overdue(Op op, TimePoint now);

  // A put is about to be sent. False: it is not to be, since the breaker is open and kPutsWhileOpen are under way already. Each keeps its bytes in
  // memory, and those of other islands with them. After true, end_put().
  bool begin_put();
  void end_put();

  // Over the last kHealthSamples successes; nullopt while fewer than kHealthSamplesMin are known.
  std::optional<Duration> p50(Op op) const;
  std::optional<Duration> p95(Op op) const;

  // False while the breaker is open: do not wait for this island. After kBreakerPause it is half-open: one
  // caller per pause gets true, and a success closes it.
  bool worth_waiting(TimePoint now);
  bool breaker_open() const;

  // The island returned bytes that failed verification.
  void count_wrong_cells(uint64_t cells);
  uint64_t wrong_cells() const;

 private:
  struct Window {
    std::array<int64_t, kHealthSamples> micros{};
    size_t next = 0, filled = 0, since_sorted = 0;
    int64_t p50 = -1, p95 = -1;
  };
  struct Meters;
  void add_sample(Op op, Duration took);
  bool open() const;  // with the lock held

  mutable std::mutex mutex_;
  std::array<Window, 2> windows_;
  int failures_in_row_ = 0;
  std::array<int, 2> overdue_in_row_{};
  int puts_under_way_ = 0;
  TimePoint retry_at_{};
  std::unique_ptr<Meters> meters_;
};

}  // namespace archipel::island
