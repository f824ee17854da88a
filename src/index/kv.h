// Kv: the ordered key-value view that the journal can always rebuild. RocksDB in production, an ordered map in tests and simulation.
//
// Calls block: worker pool only, but for try_get(). Keys sort by raw bytes. Thread-safe; one writer at a time (the committer).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace archipel::index {

// One change of the view: put when `value` is set, else delete.
struct Mutation {
  std::string key;
  std::optional<std::string> value;
};

// An immutable state of the view, as of one applied commit.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
  // Calls visit(key, value) for keys in [from, to) in order until it returns false; `to` empty = no end. seek-skipping: a visitor that
  // sets `*seek_to` (a key greater than the current one) makes the scan continue there.
  using Visitor = std::function<bool(std::string_view key, std::string_view value, std::string* seek_to)>;
  virtual Result<void> scan(std::string_view from, std::string_view to, const Visitor& visit) const = 0;
};

// Fills an empty view with a snapshot's entries, faster than write() would.
class BulkLoad {
 public:
  virtual ~BulkLoad() = default;
  // A run of entries (key, value), in rising order of their keys, that lies apart from every other run. Several threads at once.
  using Run = std::span<const std::pair<std::string_view, std::string_view>>;
  virtual Result<void> add(Run run) = 0;
  // Shows every run at once, or after an error none. Call it last, once; without it nothing was loaded.
  virtual Result<void> finish() = 0;
};

class Kv {
 public:
  virtual ~Kv() = default;
  virtual std::shared_ptr<const Snapshot> snapshot() const = 0;
  // The newest applied value of one key, if it can be told without waiting for a disk; nullopt = ask a snapshot, on a worker. Never blocks:
  // any thread, event loops too.
  using Found = std::optional<std::string>;
  virtual std::optional<Result<Found>> try_get(std::string_view key) const;
  // Atomic: all mutations or none.
  virtual Result<void> write(const std::vector<Mutation>& mutations) = 0;
  // Of an empty view, with no other writer meanwhile; the Kv outlives it. By default it collects everything for one write().
  virtual Result<std::unique_ptr<BulkLoad>> bulk_load();
};

// `path` is a directory, made if absent with mode 0700. WAL on, not synced: the journal is the truth.
Result<std::unique_ptr<Kv>> open_rocks_kv(const std::string& path);
std::unique_ptr<Kv> make_map_kv();

}  // namespace archipel::index
