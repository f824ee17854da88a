#include "door/s3/document_budget.h"

namespace archipel::door::s3 {

DocumentBudget::DocumentBudget(size_t bytes_max)
    : bytes_max_(bytes_max),
      gauge_("archipel_s3_document_bytes", "Memory held by XML documents being read or sent") {}

std::optional<DocumentBudget::Ticket> DocumentBudget::try_acquire(size_t bytes) {
  size_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > bytes_max_ - used) return std::nullopt;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  gauge_.add(static_cast<int64_t>(bytes));
  return Ticket(*this, bytes);
}

void DocumentBudget::release(size_t bytes) {
  used_.fetch_sub(bytes, std::memory_order_relaxed);
  gauge_.add(-static_cast<int64_t>(bytes));
}

}  // namespace archipel::door::s3
