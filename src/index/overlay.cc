#include "index/overlay.h"

namespace archipel::index {

Result<std::optional<std::string>> LayeredView::get(std::string_view key) const {
  if (auto found = own_.find(key); found != own_.end()) return found->second;
  for (size_t i = below_.size(); i-- > 0;) {
    if (auto found = below_[i]->find(key); found != below_[i]->end()) return found->second;
  }
  return snapshot_->get(key);
}

Result<void> LayeredView::scan(std::string_view from, std::string_view to,
                               const std::function<bool(std::string_view, std::string_view)>& visit) const {
  // The part of the layers in the range, merged first: it is small, a few commits' worth.
  std::map<std::string_view, const std::optional<std::string>*> changed;
  auto merge = [&](const Layer& layer) {
    for (auto at = layer.lower_bound(from); at != layer.end() && (to.empty() || at->first < to); ++at) {
      changed[at->first] = &at->second;
    }
  };
  for (const auto& layer : below_) merge(*layer);
  merge(own_);

  auto next = changed.begin();
  bool stopped = false;
  // Visits what was changed before `key`, or all of it at the end.
  auto visit_changed_before = [&](std::optional<std::string_view> key) {
    for (; !stopped && next != changed.end() && (!key || next->first < *key); ++next) {
      if (*next->second && !visit(next->first, **next->second)) stopped = true;
    }
  };
  auto on_stored = [&](std::string_view key, std::string_view value, std::string*) {
    visit_changed_before(key);
    if (stopped) return false;
    if (next != changed.end() && next->first == key) {
      const std::optional<std::string>& newer = *next->second;
      ++next;
      if (newer && !visit(key, *newer)) stopped = true;
    } else if (!visit(key, value)) {
      stopped = true;
    }
    return !stopped;
  };
  RETURN_IF_ERROR(snapshot_->scan(from, to, on_stored));
  visit_changed_before(std::nullopt);
  return {};
}

void LayeredView::add(const std::vector<Mutation>& mutations) {
  for (const Mutation& mutation : mutations) own_[mutation.key] = mutation.value;
}

}  // namespace archipel::index
