#include "store/staged_view.h"

namespace archipel::store {

Result<std::optional<std::string>> StagedView::get(std::string_view key) const {
  if (auto found = staged_.find(key); found != staged_.end()) return found->second;
  return base_.get(key);
}

Result<void> StagedView::scan(std::string_view from, std::string_view to,
                              const std::function<bool(std::string_view, std::string_view)>& visit) const {
  auto next = staged_.lower_bound(from);
  const auto end = to.empty() ? staged_.end() : staged_.lower_bound(to);
  bool stopped = false;
  // Visits what was staged before `key`, or the rest of it.
  auto visit_staged_before = [&](std::optional<std::string_view> key) {
    for (; !stopped && next != end && (!key || next->first < *key); ++next)
      stopped = next->second && !visit(next->first, *next->second);
  };
  auto on_base = [&](std::string_view key, std::string_view value) {
    visit_staged_before(key);
    if (stopped) return false;
    if (next != end && next->first == key) {
      const std::optional<std::string>& newer = next->second;
      ++next;
      stopped = newer && !visit(key, *newer);
    } else {
      stopped = !visit(key, value);
    }
    return !stopped;
  };
  RETURN_IF_ERROR(base_.scan(from, to, on_base));
  visit_staged_before(std::nullopt);
  return {};
}

void StagedView::take(std::vector<index::Mutation>& out) {
  for (auto& [key, value] : staged_) out.push_back({key, std::move(value)});
  staged_.clear();
}

}  // namespace archipel::store
