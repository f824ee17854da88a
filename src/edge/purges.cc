#include "edge/purges.h"

#include <algorithm>
#include <mutex>

#include "edge/cache.h"

namespace archipel::edge {
namespace {

std::string_view primary_of(std::string_view key) {
  return key.substr(0, key.find('\0'));
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace

std::string_view origin_of(std::string_view key_text) {
  std::string_view rest = key_text.substr(std::min(key_text.size(), key_text.find('\n')));
  if (rest.empty()) return {};
  rest.remove_prefix(1);
  size_t host = rest.find("://");
  if (host == std::string_view::npos) return {};
  return rest.substr(0, rest.find('/', host + 3));
}

Purge heard_line(const HeardMark& mark, bool over) {
  return {mark.number, PurgeScope::heard, over, 0, {mark.id, mark.edge}};
}

Key PurgeBook::name_of(PurgeScope scope, std::string_view scope_text, std::string_view text) const {
  std::string whole;
  whole.reserve(scope_text.size() + text.size() + 12);
  Writer(whole).u8(static_cast<uint8_t>(scope)).bytes(scope_text).raw(text);
  return hash_key(secret_, whole);
}

Purge PurgeBook::add(PurgeScope scope, std::string_view scope_text, std::string_view text, bool soft) {
  Purge purge;
  purge.scope = scope;
  purge.soft = soft;
  std::string lowered;
  if (scope == PurgeScope::tag) {
    lowered = lower(text);
    text = lowered;
  }
  std::unique_lock lock(mutex_);
  if (scope == PurgeScope::prefix) {
    auto known = prefix_lengths_.upper_bound(static_cast<uint32_t>(text.size()));
    const bool same = known != prefix_lengths_.begin() && std::prev(known)->first == text.size();
    if (!same && prefix_lengths_.size() >= kPrefixLengthsMax)
      text = text.substr(0, known == prefix_lengths_.begin() ? 0 : std::prev(known)->first);
    purge.prefix_bytes = static_cast<uint32_t>(text.size());
  }
  purge.what = name_of(scope, scope_text, text);
  purge.number = latest_.load(std::memory_order_relaxed) + 1;
  if (records_.size() >= purges_max_ && !records_.contains(purge.what)) forget_half();
  apply(purge);
  latest_.store(purge.number, std::memory_order_release);
  return purge;
}

void PurgeBook::apply(const Purge& purge) {
  auto [at, fresh] = records_.try_emplace(purge.what);
  Record& record = at->second;
  if (fresh) {
    record.scope = purge.scope;
    record.prefix_bytes = purge.prefix_bytes;
    ++of_scope_[static_cast<size_t>(purge.scope)];
    if (purge.scope == PurgeScope::prefix) ++prefix_lengths_[purge.prefix_bytes];
  }
  uint64_t& mark = purge.soft ? record.marks.soft : record.marks.hard;
  mark = std::max(mark, purge.number);
}

void PurgeBook::collect(const Key& name, Marks& all) const {
  auto found = records_.find(name);
  if (found == records_.end()) return;
  all.hard = std::max(all.hard, found->second.marks.hard);
  all.soft = std::max(all.soft, found->second.marks.soft);
}

Verdict PurgeBook::judge(const Entry& entry, uint64_t since) const {
  const std::string_view primary = primary_of(entry.key);
  std::shared_lock lock(mutex_);
  Marks all = forgotten_;
  auto has = [this](PurgeScope scope) { return of_scope_[static_cast<size_t>(scope)] > 0; };
  if (has(PurgeScope::key)) collect(name_of(PurgeScope::key, {}, primary), all);
  if (has(PurgeScope::site)) collect(name_of(PurgeScope::site, {}, entry.site), all);
  if (has(PurgeScope::tag))
    for (const std::string& tag : entry.tags) collect(name_of(PurgeScope::tag, entry.site, tag), all);
  if (has(PurgeScope::group) && !entry.groups.empty()) {
    const std::string_view origin = origin_of(primary);
    for (const std::string& group : entry.groups) collect(name_of(PurgeScope::group, origin, group), all);
  }
  if (has(PurgeScope::prefix))
    for (const auto& [length, count] : prefix_lengths_)
      if (length <= primary.size()) collect(name_of(PurgeScope::prefix, {}, primary.substr(0, length)), all);
  if (all.hard > since) return Verdict::hard;
  return all.soft > since ? Verdict::soft : Verdict::clean;
}

void PurgeBook::forget_locked(uint64_t number) {
  auto forgets = [number](uint64_t& mark, uint64_t& forgotten) {
    if (mark == 0 || mark > number) return;
    forgotten = std::max(forgotten, mark);
    mark = 0;
  };
  for (auto at = records_.begin(); at != records_.end();) {
    Record& record = at->second;
    forgets(record.marks.hard, forgotten_.hard);
    forgets(record.marks.soft, forgotten_.soft);
    if (record.marks.hard != 0 || record.marks.soft != 0) {
      ++at;
      continue;
    }
    --of_scope_[static_cast<size_t>(record.scope)];
    if (record.scope == PurgeScope::prefix) {
      auto length = prefix_lengths_.find(record.prefix_bytes);
      if (--length->second == 0) prefix_lengths_.erase(length);
    }
    at = records_.erase(at);
  }
}

void PurgeBook::forget_half() {
  std::vector<uint64_t> numbers;
  numbers.reserve(records_.size());
  for (const auto& [name, record] : records_)
    numbers.push_back(std::max(record.marks.hard, record.marks.soft));
  auto middle = numbers.begin() + static_cast<ptrdiff_t>(numbers.size() / 2);
  std::ranges::nth_element(numbers, middle);
  forget_locked(*middle);
}

void PurgeBook::forget_until(uint64_t number) {
  std::unique_lock lock(mutex_);
  forget_locked(number);
}

void PurgeBook::forget_all_until(uint64_t number) {
  std::unique_lock lock(mutex_);
  forgotten_.hard = std::max(forgotten_.hard, number);
  latest_.store(std::max(latest_.load(), number), std::memory_order_release);
}

size_t PurgeBook::size() const {
  std::shared_lock lock(mutex_);
  return records_.size();
}

PurgeBook::Snapshot PurgeBook::snapshot() const {
  std::shared_lock lock(mutex_);
  Snapshot out{latest(), forgotten_.hard, forgotten_.soft, {}, {}};
  for (const auto& [id, mark] : heard_) out.heard.push_back(mark);
  out.purges.reserve(records_.size());
  for (const auto& [name, record] : records_)
    for (bool soft : {false, true}) {
      const uint64_t number = soft ? record.marks.soft : record.marks.hard;
      if (number != 0) out.purges.push_back({number, record.scope, soft, record.prefix_bytes, name});
    }
  std::ranges::sort(out.purges, {}, &Purge::number);
  return out;
}

void PurgeBook::restore(const Snapshot& snapshot) {
  std::unique_lock lock(mutex_);
  forgotten_.hard = std::max(forgotten_.hard, snapshot.forgotten_hard);
  forgotten_.soft = std::max(forgotten_.soft, snapshot.forgotten_soft);
  uint64_t latest = std::max(latest_.load(), snapshot.latest);
  for (const Purge& purge : snapshot.purges) {
    if (records_.size() >= purges_max_ && !records_.contains(purge.what)) forget_half();
    apply(purge);
    latest = std::max(latest, purge.number);
  }
  latest_.store(latest, std::memory_order_release);
  for (const HeardMark& mark : snapshot.heard) {
    HeardMark& mine = heard_.try_emplace(mark.id, mark).first->second;
    mine.number = std::max(mine.number, mark.number);
  }
}

std::vector<Purge> PurgeBook::set_heard(const std::vector<HeardMark>& heard) {
  std::vector<Purge> changes;
  std::map<uint64_t, HeardMark> fresh;
  for (const HeardMark& mark : heard) fresh.emplace(mark.id, mark);
  std::unique_lock lock(mutex_);
  for (const auto& [id, mark] : heard_)
    if (!fresh.contains(id)) changes.push_back(heard_line(mark, true));
  for (const auto& [id, mark] : fresh)
    if (auto known = heard_.find(id); known == heard_.end() || known->second != mark)
      changes.push_back(heard_line(mark, false));
  heard_ = std::move(fresh);
  return changes;
}

std::vector<HeardMark> PurgeBook::heard() const {
  std::shared_lock lock(mutex_);
  std::vector<HeardMark> out;
  for (const auto& [id, mark] : heard_) out.push_back(mark);
  return out;
}

void PurgeBook::repeat(const Purge& purge) {
  std::unique_lock lock(mutex_);
  Purge again = purge;
  again.number = latest_.load(std::memory_order_relaxed) + 1;
  if (records_.size() >= purges_max_ && !records_.contains(again.what)) forget_half();
  apply(again);
  latest_.store(again.number, std::memory_order_release);
}

void PurgeBook::raise_latest(uint64_t number) {
  std::unique_lock lock(mutex_);
  latest_.store(std::max(latest_.load(), number), std::memory_order_release);
}

}  // namespace archipel::edge
