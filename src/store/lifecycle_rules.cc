#include "store/lifecycle_rules.h"

#include <algorithm>

namespace archipel::store {

static constexpr UnixMs kRealDayMs = 24 * 3600 * 1000;

UnixMs LifecycleDay::after(UnixMs since, int64_t days) const {
  // Rules have at most 2^31 days; a clock that is off must not overflow.
  UnixMs span = days > INT64_MAX / 4 / ms ? INT64_MAX / 4 : days * ms;
  UnixMs at = std::clamp<UnixMs>(since, 0, INT64_MAX / 4) + span;
  if (ms != kRealDayMs) return at;
  return (at + kRealDayMs - 1) / kRealDayMs * kRealDayMs;
}

bool fits(const LifecycleFilter& filter, const LifecycleSubject& subject) {
  if (!subject.key.starts_with(filter.prefix)) return false;
  if (subject.marker && filter.for_objects_only()) return false;
  if (filter.larger_than && subject.size <= *filter.larger_than) return false;
  if (filter.smaller_than && subject.size >= *filter.smaller_than) return false;
  if (filter.tags.empty()) return true;
  if (subject.tags == nullptr) return false;
  return std::ranges::all_of(filter.tags, [&](const auto& tag) {
    auto found = subject.tags->find(tag.first);
    return found != subject.tags->end() && found->second == tag.second;
  });
}

Expiry expiry_of(const LifecycleRules& rules, const LifecycleSubject& current, LifecycleDay day) {
  Expiry first;
  for (const LifecycleRule& rule : rules) {
    if (!rule.enabled || (!rule.days && !rule.date) || !fits(rule.filter, current)) continue;
    UnixMs at = rule.date ? *rule.date : day.after(current.modified_ms, *rule.days);
    if (first.rule == nullptr || at < first.at_ms) first = {at, &rule};
  }
  return first;
}

bool noncurrent_due(const LifecycleRules& rules, const LifecycleSubject& version, UnixMs since_ms,
                    uint64_t newer, UnixMs now, LifecycleDay day) {
  return std::ranges::any_of(rules, [&](const LifecycleRule& rule) {
    return rule.enabled && rule.noncurrent_days && newer >= static_cast<uint64_t>(rule.newer_noncurrent) &&
           day.after(since_ms, *rule.noncurrent_days) <= now && fits(rule.filter, version);
  });
}

bool lone_marker_due(const LifecycleRules& rules, const LifecycleSubject& marker, UnixMs now,
                     LifecycleDay day) {
  return std::ranges::any_of(rules, [&](const LifecycleRule& rule) {
    if (!rule.enabled || !fits(rule.filter, marker)) return false;
    if (rule.expired_marker) return true;
    if (rule.date) return *rule.date <= now;
    return rule.days && day.after(marker.modified_ms, *rule.days) <= now;
  });
}

bool upload_due(const LifecycleRules& rules, std::string_view key, UnixMs initiated_ms, UnixMs now,
                LifecycleDay day) {
  return std::ranges::any_of(rules, [&](const LifecycleRule& rule) {
    return rule.enabled && rule.abort_days && !rule.filter.for_objects_only() &&
           key.starts_with(rule.filter.prefix) && day.after(initiated_ms, *rule.abort_days) <= now;
  });
}

std::vector<std::string> prefixes_of(const LifecycleRules& rules) {
  std::vector<std::string> all;
  for (const LifecycleRule& rule : rules)
    if (rule.enabled) all.push_back(rule.filter.prefix);
  std::ranges::sort(all);
  std::vector<std::string> out;
  for (std::string& prefix : all)
    if (out.empty() || !prefix.starts_with(out.back())) out.push_back(std::move(prefix));
  return out;
}

}  // namespace archipel::store
