// A whole cloud for attackers: the real journal, extents and store on six islands in memory, whose bytes lie open, under virtual time. One
// thread, one seed: the same attack goes the same way every time.
//
// What is attacked is the code that serves: nothing here stands in for it but islands, DIR, loop, clock and randomness, which it is given.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "index/journal.h"
#include "io/sim/sim_loop.h"
#include "island/mem_island.h"
#include "store/scrubber.h"
#include "store/store.h"

namespace archipel::adversary {

using Blobs = std::map<island::BlobName, std::string>;
inline constexpr int kIslands = 6, kNeeded = 3, kConfirm = 4;  // n, k, w
inline const std::string kOwner(64, 'a');
inline const std::string kBucket = "harbour";

// In coroutines, where gtest's ASSERT_ macros (which return) do not work.
#define CO_ASSERT(...)                            \
  do {                                            \
    if (!static_cast<bool>(__VA_ARGS__)) {        \
      ADD_FAILURE() << "not true: " #__VA_ARGS__; \
      co_return false;                            \
    }                                             \
  } while (false)

// Bytes that repeat nowhere near.
std::string pattern(size_t size, uint64_t seed);

// DIR in memory: files as they lie there, and views. Survives the gateways that use it.
class MemDir {
 public:
  std::map<std::string, std::string> files;
  std::map<std::string, std::shared_ptr<index::Kv>> views;  // by path

  std::shared_ptr<index::DirFiles> open();
  std::function<Result<std::unique_ptr<index::Kv>>(const std::string&)> open_view();
  void lose_view() { views.clear(); }
  void lose_all() {
    views.clear();
    files.clear();
  }
};

// A island that writes down what it was asked.
class SpyIsland final : public island::MemIsland {
 public:
  using MemIsland::MemIsland;
  struct Seen {
    std::string what;
    island::BlobName name;
    uint64_t bytes = 0;
  };
  std::vector<Seen> seen;

  io::Task<Result<void>> put(island::BlobName name, std::span<const ByteView> parts,
                             Deadline deadline) override;
  io::Task<Result<void>> overwrite(island::BlobName name, ByteView bytes, Deadline deadline) override;
};

class Cloud {
 public:
  // Every cloud of the process has keys of its own unless it is given a seed.
  Cloud();
  explicit Cloud(uint64_t seed);
  ~Cloud();

  // Runs `attack(*this)` to its end in virtual time. A world that stalls is a failure.
  void run(io::Task<bool> (*attack)(Cloud&));

  // --- the gateway ---
  io::Task<Result<void>> start();
  io::Task<bool> stop();  // always true
  io::Task<Result<void>> restart(bool forget_view);
  io::Task<bool> settle();  // until answers that nobody waits for any more have been looked at
  store::Store& store() { return *store_; }
  index::Journal& journal() { return journal_; }
  // One pass of scrub over everything, with or without repair.
  io::Task<Result<store::ScrubReport>> scrub(bool repair);
  // A snapshot of the view and its head slots, now.
  io::Task<Result<void>> snapshot();

  io::Task<Result<void>> put(std::string key, std::string body);
  io::Task<Result<std::string>> get(std::string key, std::optional<store::Store::Range> range = std::nullopt);
  io::Task<Result<uint64_t>> head(std::string key);
  io::Task<Result<std::vector<std::string>>> list();
  // A bucket and three small and two large objects, remembered in `model`. Large ones have two extents.
  io::Task<bool> populate(uint64_t seed = 7);

  // --- verdicts ---
  struct Verdict {
    size_t right = 0, refused = 0, wrong = 0;
    std::vector<std::string> complaints;  // of what was wrong, and of errors that are not named ones
    std::vector<std::string> errors;      // messages of what was refused
    bool clean() const { return wrong == 0 && complaints.empty(); }
  };
  // Every object of the model: whole, a range, a suffix, HEAD; and the listing.
  io::Task<Verdict> read_everything();

  // What a start came to.
  struct Outcome {
    enum class State { refused, read_only, serving } state = State::refused;
    bool newest = false;  // what it shows is all that was acknowledged
    Verdict verdict;      // of the moment that it shows
    Error why;            // if it does not serve
    bool serves_all() const { return state == State::serving && newest && verdict.refused == 0; }
  };
  // Starts, and reads everything. Expects that a refusal is a named error, and that what is shown is one moment of the past, whole.
  io::Task<Outcome> start_and_look(std::string what);

  // --- what lies where ---
  struct Stored {
    std::vector<Blobs> blobs;
    std::vector<std::optional<std::string>> markers;
    std::map<std::string, std::string> files;
    std::map<std::string, std::map<std::string, std::string>> views;
  };
  Stored save() const;
  // The gateway must be stopped if it is to see DIR as it was.
  void restore(const Stored& stored);
  void restore_islands(const Stored& stored);
  uint64_t blamed(int island) const;  // wrong bytes attributed to it so far
  static bool named_error(const Error& error);

  io::SimLoop loop;
  io::SimClock clock;
  std::unique_ptr<Random> random;
  std::unique_ptr<crypto::Keyring> keys;
  std::vector<std::shared_ptr<SpyIsland>> islands;
  std::shared_ptr<const extent::Placement> placement;
  MemDir dir;
  index::JournalOptions journal_options;
  store::StoreOptions store_options;
  std::map<std::string, std::string> model;  // what was acknowledged: key -> body
  std::vector<std::map<std::string, std::string>> moments{
      {}};  // the model after every acknowledged put, the oldest first

 private:
  std::unique_ptr<io::SimWorkers> workers_;
  std::unique_ptr<extent::Fanout> fanout_;
  index::Journal journal_;
  std::shared_ptr<extent::RepairTable> repairs_;
  std::shared_ptr<store::RepairLedger> ledger_;
  std::unique_ptr<extent::ExtentReader> reader_;
  std::unique_ptr<store::Store> store_;
};

}  // namespace archipel::adversary
