#include "edge/purges_heard.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace archipel::edge {
namespace {

// FNV-1a: the same after a restart.
uint64_t hash_of(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

template <class T>
bool read_number(std::string_view text, T& out, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

void PurgesHeard::set_own(uint64_t id, std::vector<EarlierStart> was) {
  std::lock_guard lock(mutex_);
  own_ = id;
  own_was_ = std::move(was);
}

void PurgesHeard::restore(const std::vector<HeardMark>& marks, TimePoint now) {
  std::lock_guard lock(mutex_);
  for (const HeardMark& mark : marks) {
    make_room_locked();
    senders_[mark.id] = {mark.edge, mark.number, mark.number, {}, now};
  }
}

std::vector<HeardMark> PurgesHeard::marks() const {
  std::lock_guard lock(mutex_);
  std::vector<HeardMark> out;
  for (const auto& [id, sender] : senders_)
    if (sender.applied != 0) out.push_back({id, sender.edge, sender.applied});
  return out;
}

void PurgesHeard::make_room_locked() {
  if (senders_.size() >= kSendersMax)
    senders_.erase(std::ranges::min_element(senders_, {}, [](const auto& one) { return one.second.at; }));
}

uint64_t PurgesHeard::covered_locked(uint64_t id) const {
  uint64_t out = 0;
  for (const auto& [later, sender] : senders_)
    for (const EarlierStart& was : sender.was)
      if (was.id == id && sender.applied >= was.at) out = std::max(out, was.until);
  return out;
}

PurgesHeard::Sender& PurgesHeard::sender_locked(const Batch& batch, TimePoint now) {
  auto at = senders_.find(batch.id);
  if (at == senders_.end()) {
    uint64_t known = covered_locked(batch.id);
    for (const EarlierStart& was : batch.was)
      if (auto before = senders_.find(was.id); before != senders_.end())
        known = std::max(known, std::min(before->second.applied, was.same));
    // It was started anew: what it had to tell before is over, but for what it goes on with. (One that hands over to its successor speaks beside it.)
    auto names = [](const std::vector<EarlierStart>& was, uint64_t id) {
      return std::ranges::any_of(was, [id](const EarlierStart& one) { return one.id == id; });
    };
    const uint64_t edge = hash_of(batch.name);
    std::erase_if(senders_, [&](const auto& one) {
      const bool over =
          one.second.edge == edge && !names(batch.was, one.first) && !names(one.second.was, batch.id);
      if (over) lags_.erase(one.first);
      return over;
    });
    make_room_locked();
    at = senders_.try_emplace(batch.id).first;
    at->second.edge = edge;
    at->second.announced = at->second.applied = known;
  }
  at->second.was = batch.was;
  at->second.at = now;
  return at->second;
}

PurgesHeard::Verdict PurgesHeard::begin(const Batch& batch, TimePoint now) {
  std::lock_guard lock(mutex_);
  Sender& sender = sender_locked(batch, now);
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
  std::lock_guard lock(mutex_);
  if (latest != 0) add(own_, latest);
  for (const auto& [id, sender] : senders_)
    if (sender.announced != 0 && sender.at + kSilentMax > now && covered_locked(id) < sender.announced)
      add(id, sender.announced);
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
    uint64_t known = wanted.id == own_ ? latest : at == senders_.end() ? 0 : at->second.applied;
    if (known < wanted.number) known = std::max(known, covered_locked(wanted.id));
    for (const EarlierStart& was : own_was_)
      if (was.id == wanted.id && latest >= was.at) known = std::max(known, was.until);
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
  Batch unknown;
  unknown.name = fmt::format("{:016x}", missed.id);
  unknown.id = missed.id;
  Sender& sender = at != senders_.end() ? at->second : sender_locked(unknown, now);
  sender.announced = std::max(sender.announced, missed.number);
  sender.applied = std::max(sender.applied, missed.number);
  lags_.erase(missed.id);
}

}  // namespace archipel::edge
