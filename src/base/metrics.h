// Metrics: counters and gauges in Prometheus text exposition format 0.0.4.
//
// A metric is a namespace-scope or member object that registers itself for its lifetime:
//
//   metrics::Counter puts{"archipel_s3_requests_total", "S3 requests by operation", {{"operation", "PutObject"}}};
//   puts.add();
//
// Names carry their unit ("_bytes", "_seconds_total"). Updates are relaxed atomics: any thread, a few nanoseconds.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace archipel::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Metric {
 public:
  Metric(const Metric&) = delete;
  Metric& operator=(const Metric&) = delete;
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 protected:
  Metric(const char* type, std::string name, std::string help, Labels labels);
  ~Metric();
  std::atomic<int64_t> value_{0};

 private:
  friend std::string expose();
  const char* type_;
  std::string name_, help_, labels_;
};

class Counter : public Metric {
 public:
  explicit Counter(std::string name, std::string help, Labels labels = {})
      : Metric("counter", std::move(name), std::move(help), std::move(labels)) {}
  void add(int64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
};

class Gauge : public Metric {
 public:
  explicit Gauge(std::string name, std::string help, Labels labels = {})
      : Metric("gauge", std::move(name), std::move(help), std::move(labels)) {}
  void set(int64_t v) { value_.store(v, std::memory_order_relaxed); }
  void add(int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
};

// All living metrics, grouped by name, sorted. Cost: linear in their number, takes the registry lock.
std::string expose();

}  // namespace archipel::metrics
