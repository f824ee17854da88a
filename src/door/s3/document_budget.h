// DocumentBudget: what all the XML documents of one door may hold in memory together, those being read and those on their way out.
//
// A slow client keeps its document for as long as the body timeout lets it, and there may be thousands of such clients: what does not fit
// is refused at once (SlowDown), nobody waits. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <utility>

#include "base/metrics.h"

namespace archipel::door::s3 {

inline constexpr size_t kDocumentBytesInFlightMax = 64u << 20;  // of one door
inline constexpr size_t kDocumentBytesFree = 64u << 10;         // answers up to this are not counted

class DocumentBudget {
 public:
  explicit DocumentBudget(size_t bytes_max = kDocumentBytesInFlightMax);

  // A part of the budget, given back when it goes. Must not outlive the budget.
  class Ticket {
   public:
    Ticket(DocumentBudget& budget, size_t bytes) : budget_(&budget), bytes_(bytes) {}
    Ticket(Ticket&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Ticket() {
      if (budget_ != nullptr) budget_->release(bytes_);
    }

   private:
    DocumentBudget* budget_;
    size_t bytes_;
  };

  // nullopt if `bytes` do not fit now.
  std::optional<Ticket> try_acquire(size_t bytes);
  size_t bytes_used() const { return used_.load(std::memory_order_relaxed); }

 private:
  void release(size_t bytes);

  const size_t bytes_max_;
  std::atomic<size_t> used_{0};
  metrics::Gauge gauge_;
};

}  // namespace archipel::door::s3
