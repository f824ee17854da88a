// Lifecycle rules: when objects expire, noncurrent versions go, markers without versions behind them are cleared, and unfinished uploads are
// aborted. Values and pure functions: the engine (lifecycle.h) acts on them, a door reads them from a document.
//
// Source: the S3 user guide, "Lifecycle configuration elements". Ages are counted from the last modification; of a noncurrent version from
// the moment its successor was made. A rule acts once its days have passed and the next midnight UTC has come.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace archipel::store {

inline constexpr size_t kLifecycleRulesMax = 1000;  // S3 limit

// How long a day is. Anything but the default is for tests: then nothing waits for a midnight either.
struct LifecycleDay {
  UnixMs ms = 24 * 3600 * 1000;
  // The moment `days` after `since`.
  UnixMs after(UnixMs since, int64_t days) const;
};

// Everything given must hold. Tags and sizes are of objects: with any of them a delete marker or an upload never fits.
struct LifecycleFilter {
  std::string prefix;
  std::map<std::string, std::string> tags;
  std::optional<uint64_t> larger_than, smaller_than;  // bytes, both exclusive

  bool for_objects_only() const { return !tags.empty() || larger_than || smaller_than; }
};

struct LifecycleRule {
  std::string id;
  bool enabled = false;
  LifecycleFilter filter;
  // Expiration of the current version: one of the three at most.
  std::optional<int64_t> days;
  std::optional<UnixMs> date;
  bool expired_marker = false;  // delete markers with nothing behind them
  // Noncurrent versions, of which the newest `newer_noncurrent` stay.
  std::optional<int64_t> noncurrent_days;
  int64_t newer_noncurrent = 0;
  std::optional<int64_t> abort_days;  // unfinished uploads
  // How the filter was written, which nothing but giving it back asks: <Prefix> in the rule itself, as older clients do; in an <And>; with a
  // prefix, be it empty.
  bool older_form = false, and_form = false, prefix_given = false;
};
using LifecycleRules = std::vector<LifecycleRule>;

// A version as the rules see it.
struct LifecycleSubject {
  std::string_view key;
  uint64_t size = 0;
  UnixMs modified_ms = 0;
  bool marker = false;
  const std::map<std::string, std::string>* tags =
      nullptr;  // null: not known; rules with tags then never fit
};

bool fits(const LifecycleFilter& filter, const LifecycleSubject& subject);

// When the current version expires and by which rule; nullptr: never. Not for markers.
struct Expiry {
  UnixMs at_ms = 0;
  const LifecycleRule* rule = nullptr;
};
Expiry expiry_of(const LifecycleRules& rules, const LifecycleSubject& current, LifecycleDay day);

// Is a version due that has been noncurrent since `since_ms`, with `newer` noncurrent versions of its key above it?
bool noncurrent_due(const LifecycleRules& rules, const LifecycleSubject& version, UnixMs since_ms,
                    uint64_t newer, UnixMs now, LifecycleDay day);
// Is a delete marker due that is all there is of its key? Also by the days of an expiration, as in S3.
bool lone_marker_due(const LifecycleRules& rules, const LifecycleSubject& marker, UnixMs now,
                     LifecycleDay day);
// Is an unfinished upload due?
bool upload_due(const LifecycleRules& rules, std::string_view key, UnixMs initiated_ms, UnixMs now,
                LifecycleDay day);

// The prefixes under which anything can be due, none of them a prefix of another; {""}: everywhere.
std::vector<std::string> prefixes_of(const LifecycleRules& rules);

}  // namespace archipel::store
