#include "edge/health.h"

#include <algorithm>
#include <cmath>

namespace archipel::edge {

std::string_view to_string(OriginState state) {
  switch (state) {
    case OriginState::usable:
      return "usable";
    case OriginState::ejected:
      return "ejected";
    case OriginState::unhealthy:
      return "unhealthy";
  }
  return "";
}

HealthBook::HealthBook(const HealthPolicy& policy, Duration slow_start, size_t origins)
    : policy_(policy), slow_start_(slow_start), origins_(origins) {}

void HealthBook::checked(size_t origin, bool ok, TimePoint now) {
  Origin& o = origins_[origin];
  if (!o.checked) {
    o.checked = true;
    o.checks_ok = ok;
    return;
  }
  if (ok == o.checks_ok) {
    o.checks_in_row = 0;
    return;
  }
  if (++o.checks_in_row < (ok ? policy_.rise : policy_.fall)) return;
  o.checks_ok = ok;
  o.checks_in_row = 0;
  o.failures_in_row = 0;
  if (ok) o.usable_since = std::max(now, o.ejected_until);
}

void HealthBook::answered(size_t origin, bool ok, TimePoint now) {
  Origin& o = origins_[origin];
  ++o.span_all;
  o.span_ok += ok;
  if (ok) {
    o.failures_in_row = 0;
  } else if (++o.failures_in_row >= policy_.failures && policy_.failures > 0 && !ejected(o, now)) {
    // If there is no room for it among the ejected, it stays on the brink and goes with the next failure.
    if (eject(o, now)) o.failures_in_row = 0;
  }
  if (now >= span_began_ + kOutlierSpan) compare(now);
}

void HealthBook::joined(size_t origin, TimePoint now) {
  origins_[origin].usable_since = now;
}

void HealthBook::adopt(size_t origin, const HealthBook& other, size_t other_origin) {
  origins_[origin] = other.origins_[other_origin];
}

bool HealthBook::eject(Origin& o, TimePoint now) {
  const auto out = std::ranges::count_if(origins_, [&](const Origin& other) { return ejected(other, now); });
  if (static_cast<double>(out + 1) > policy_.ejected_max * static_cast<double>(origins_.size())) return false;
  // Each full ejection_max without trouble takes one step of the severity back.
  while (o.severity > 0 && now >= o.forgiven_at) {
    --o.severity;
    o.forgiven_at += policy_.ejection_max;
  }
  ++o.severity;
  ++o.ejections;
  const Duration span = std::min(policy_.ejection * o.severity, policy_.ejection_max);
  o.ejected_until = o.usable_since = now + span;
  o.forgiven_at = o.ejected_until + policy_.ejection_max;
  return true;
}

void HealthBook::compare(TimePoint now) {
  struct Rate {
    Origin* origin;
    double rate;
  };
  std::vector<Rate> rates;
  for (Origin& o : origins_) {
    if (o.span_all >= kOutlierRequestsMin && !ejected(o, now))
      rates.push_back({&o, static_cast<double>(o.span_ok) / o.span_all});
    o.span_ok = o.span_all = 0;
  }
  span_began_ = now;
  if (!policy_.outliers || rates.size() < kOutlierOriginsMin) return;
  // Each against all the others: its own failures must not widen the deviation that would show it.
  double sum = 0, squares = 0;
  for (const Rate& r : rates) {
    sum += r.rate;
    squares += r.rate * r.rate;
  }
  const double others = static_cast<double>(rates.size() - 1);
  std::ranges::sort(rates, {}, &Rate::rate);  // the worst first, since not all may go
  for (const Rate& r : rates) {
    const double mean = (sum - r.rate) / others;
    const double variance = std::max(0.0, (squares - r.rate * r.rate) / others - mean * mean);
    const double gap = std::max(kOutlierFactor * std::sqrt(variance), kOutlierGapMin);
    if (r.rate < mean - gap) eject(*r.origin, now);
  }
}

OriginState HealthBook::state(size_t origin, TimePoint now) const {
  const Origin& o = origins_[origin];
  if (!o.checks_ok) return OriginState::unhealthy;
  return ejected(o, now) ? OriginState::ejected : OriginState::usable;
}

bool HealthBook::panic(TimePoint now) const {
  size_t usable = 0;
  for (size_t i = 0; i < origins_.size(); ++i) usable += state(i, now) == OriginState::usable;
  return static_cast<double>(usable) <= policy_.panic * static_cast<double>(origins_.size());
}

double HealthBook::ramp(size_t origin, TimePoint now) const {
  const Origin& o = origins_[origin];
  if (slow_start_ <= Duration{0} || o.usable_since == TimePoint{}) return 1;
  if (now <= o.usable_since) return kRampMin;
  const double part =
      static_cast<double>((now - o.usable_since).count()) / static_cast<double>(slow_start_.count());
  return std::clamp(part, kRampMin, 1.0);
}

}  // namespace archipel::edge
