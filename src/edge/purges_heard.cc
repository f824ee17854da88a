#include "edge/purges_heard.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace archipel::edge {
namespace {

template <class T>
bool read_number(std::string_view text, T& out, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

PurgesHeard::Sender& PurgesHeard::sender_locked(const std::string& name, uint64_t id, TimePoint now) {
  auto at = senders_.find(id);
  if (at == senders_.end()) {
    // It was started anew: what it had to tell before is over.
    std::erase_if(senders_, [&](const auto& one) {
      if (one.second.name == name) lags_.erase(one.first);
      return one.second.name == name;
    });
    if (senders_.size() >= kSendersMax)
      senders_.erase(std::ranges::min_element(senders_, {}, [](const auto& one) { return one.second.at; }));
    at = senders_.try_emplace(id).first;
    at->second.name = name;
  }
  at->second.at = now;
  return at->second;
}

PurgesHeard::Verdict PurgesHeard::begin(const Batch& batch, TimePoint now) {
  std::lock_guard lock(mutex_);
  Sender& sender = sender_locked(batch.name, batch.id, now);
  Verdict out;
  if (batch.first > sender.announced + 1) {
    if (!batch.lost) return out;
    out.drop = true;
    sender.announced = batch.first - 1;
  }
  out.apply = true;
  const uint64_t end = batch.first + batch.count;  // one past
  out.skip = std::min(batch.count, sender.announced + 1 - batch.first);
  sender.announced = std::max(sender.announced, end - 1);
  return out;
}

void PurgesHeard::applied(uint64_t id, uint64_t number) {
  std::lock_guard lock(mutex_);
  auto at = senders_.find(id);
  if (at == senders_.end()) return;
  at->second.applied = std::max(at->second.applied, number);
  lags_.erase(id);
}

uint64_t PurgesHeard::heard(uint64_t id) const {
  std::lock_guard lock(mutex_);
  auto at = senders_.find(id);
  return at == senders_.end() ? 0 : at->second.applied;
}

std::string PurgesHeard::need(uint64_t latest, TimePoint now) const {
  std::string out;
  auto add = [&out](uint64_t id, uint64_t number) {
    out += fmt::format("{}{:016x}={}", out.empty() ? "" : ", ", id, number);
  };
  if (latest != 0) add(own_, latest);
  std::lock_guard lock(mutex_);
  for (const auto& [id, sender] : senders_)
    if (sender.announced != 0 && sender.at + kSilentMax > now) add(id, sender.announced);
  return out;
}

bool PurgesHeard::fulfils(std::string_view need, uint64_t latest, TimePoint now,
                          std::vector<Missed>& missed) {
  if (need.empty()) return true;
  bool all = true;
  std::lock_guard lock(mutex_);
  for (size_t count = 0; !need.empty() && count <= kSendersMax; ++count) {
    std::string_view one = need.substr(0, need.find(','));
    need.remove_prefix(std::min(need.size(), one.size() + 1));
    while (one.starts_with(' ')) one.remove_prefix(1);
    const size_t equals = one.find('=');
    Missed wanted;
    if (equals == std::string_view::npos || !read_number(one.substr(0, equals), wanted.id, 16) ||
        !read_number(one.substr(equals + 1), wanted.number, 10))
      continue;
    auto at = senders_.find(wanted.id);
    const uint64_t known = wanted.id == own_ ? latest : at == senders_.end() ? 0 : at->second.applied;
    if (known >= wanted.number) continue;
    all = false;
    if (lags_.size() >= kSendersMax && !lags_.contains(wanted.id))
      lags_.erase(std::ranges::min_element(lags_, {}, [](const auto& lag) { return lag.second.since; }));
    auto [lag, fresh] = lags_.try_emplace(wanted.id);
    if (fresh) lag->second.since = now;
    if (now - lag->second.since > kLagMax && !std::exchange(lag->second.told, true)) missed.push_back(wanted);
  }
  return all;
}

void PurgesHeard::adopt(const Missed& missed, TimePoint now) {
  std::lock_guard lock(mutex_);
  auto at = senders_.find(missed.id);
  Sender& sender =
      at != senders_.end() ? at->second : sender_locked(fmt::format("{:016x}", missed.id), missed.id, now);
  sender.announced = std::max(sender.announced, missed.number);
  sender.applied = std::max(sender.applied, missed.number);
  lags_.erase(missed.id);
}

}  // namespace archipel::edge
