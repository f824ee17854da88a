// Flights: fetches under way that several requests wait for, on any loop; and which keys are not worth waiting for (hit-for-miss).
//
// A Flight has one owner, who asks the origin, and any number of readers. It is `asking` until the response's head is there. Then it is either
// landed: what readers want is in the store, or comes in as the owner's pump fills one slice after the other (`streaming`, then `done`); or it is
// `released`: the response is for one client only, and everybody else asks for himself, at once; or `failed`. Of a body under way the last
// kWindowSlices slices are kept here; older ones are in the cache, if they may be stored.
#pragma once

#include <array>
#include <atomic>
#include <coroutine>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "edge/cache.h"
#include "edge/entry.h"
#include "edge/reader_memory.h"
#include "io/loop.h"

namespace archipel::edge {

inline constexpr size_t kWindowSlices = 4;
inline constexpr size_t kFlightShards = 16;
inline constexpr size_t kHitForMissMax = 4096;  // keys remembered per shard; the oldest goes first
inline constexpr size_t kFirstRoomBytes = 16u
                                          << 10;  // of a slice whose length is not known; grows as it fills
inline constexpr uint64_t kWholeBody = UINT64_MAX;

class Flight {
 public:
  enum class Phase { asking, streaming, done, released, failed };

  // `memory`: what its window is counted in; null: it is not.
  Flight(uint64_t stamp, uint32_t first_index, std::shared_ptr<ReaderMemory> memory = nullptr)
      : stamp_(stamp), memory_(std::move(memory)), first_index_(first_index) {}
  ~Flight();
  Flight(const Flight&) = delete;
  Flight& operator=(const Flight&) = delete;

  // --- owner ---
  // The head: readers go on. `first_index`: the slice that the body begins with.
  void stream(EntryRef entry, uint32_t first_index);
  // What they want is in the store.
  void land(EntryRef entry);
  void release();
  void fail(Error error, int status = 0);
  // Room for the next bytes of the body (empty: there is no memory for it now); then how many came. commit() seals a slice when it is full and returns it.
  MutableBytes room(std::optional<uint64_t> left);
  SliceRef commit(size_t size, uint64_t entry_id);
  // The last slice, if it holds anything; the body is complete. `entry`: with its length.
  SliceRef seal(uint64_t entry_id);
  void finish(EntryRef entry);
  // May the pump go on? It does not run further ahead of those who read than they want; with no readers it ends unless little is left. What cannot be
  // had again (not stored, or only whole: `again` is false) must be in the window when the fastest reader comes for it.
  enum class Pace { go, wait, abandon };
  struct Going {
    std::optional<uint64_t> left;
    bool stored = true, again = true;
  };
  Pace pace(const Going& going);
  // The pump waits for memory: what it holds may be taken away.
  void starve(bool waits);
  // Others need the memory. If the pump waits, and no reader has taken anything for kStalledMin, nor waits for more: gives up what it holds, and fails.
  // Returns how many bytes that was.
  uint64_t shed(TimePoint now);
  TimePoint moved() const;

  // --- readers ---
  Phase phase() const;
  EntryRef entry() const;
  Error error() const;
  int failed_status() const;  // of the origin's response, if that was the failure
  uint64_t stamp() const { return stamp_; }
  // A reader of the body up to `end` (kWholeBody). False: too late, it was given up.
  bool enter(uint64_t end);
  void leave();
  // Bytes at `offset` of the whole body.
  struct Piece {
    enum class Kind { bytes, end, later, gone, failed };
    Kind kind = Kind::failed;
    std::shared_ptr<const Slice> hold;
    ByteView bytes;
  };
  Piece read(uint64_t offset);

  // co_await flight.head(), flight.beyond(offset), flight.paced(going): resumes on the calling loop, in a later turn.
  struct Wait {
    enum class For { head, bytes, pace };
    Flight& flight;
    For what;
    uint64_t offset = 0;
    Going going = {};
    bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> self);
    void await_resume() const {}
  };
  Wait head() { return {*this, Wait::For::head}; }
  Wait beyond(uint64_t offset) { return {*this, Wait::For::bytes, offset}; }
  Wait paced(const Going& going) { return {*this, Wait::For::pace, 0, going}; }

 private:
  struct Waiter {
    io::Loop* loop;
    std::coroutine_handle<> handle;
    Wait::For what;
  };
  bool settled(const Wait& wait) const;  // with the lock
  Pace pace_locked(const Going& going) const;
  uint64_t available() const;
  void trim();  // the window, and what it is counted as
  void wake(std::unique_lock<std::mutex>& lock);

  const uint64_t stamp_;
  const std::shared_ptr<ReaderMemory> memory_;
  mutable std::mutex mutex_;
  Phase phase_ = Phase::asking;
  EntryRef entry_;
  Error error_;
  int failed_status_ = 0;
  uint32_t first_index_;
  std::deque<SliceRef> sealed_;  // the last ones
  uint32_t sealed_count_ = 0;    // all of them
  std::shared_ptr<Slice> filling_;
  size_t filled_ = 0;
  size_t readers_ = 0;
  uint64_t wanted_ = 0;   // the furthest end that a reader wants
  uint64_t fastest_ = 0;  // the furthest offset that was read
  bool abandoned_ = false;
  uint64_t counted_ = 0;                   // bytes, in memory_
  bool refetchable_ = false;               // what leaves the window can be had again, slice by slice
  bool paused_ = false, starved_ = false;  // the pump waits: for readers, for memory
  TimePoint moved_{};                      // when a reader took something last
  std::vector<Waiter> waiters_;
};
using FlightRef = std::shared_ptr<Flight>;

// The flights of one node. Any thread.
class Flights {
 public:
  explicit Flights(std::shared_ptr<ReaderMemory> memory = nullptr) : memory_(std::move(memory)) {}
  struct Joined {
    FlightRef flight;
    bool owner = false;
  };
  // The flight of `key`, or a new one that the caller owns. One that began before `stamp` (a purge came between) is not joined but replaced.
  Joined join(const Key& key, uint64_t stamp);
  FlightRef find(const Key& key);
  // Nobody else shall join. Only if `flight` is still the one of `key`.
  void forget(const Key& key, const FlightRef& flight);

  // By the id of the entry whose body comes in.
  void enlist(uint64_t entry_id, FlightRef flight);
  void delist(uint64_t entry_id, const FlightRef& flight);
  FlightRef by_entry(uint64_t entry_id);

  // Ends flights that nobody moves, the longest stalled first, until so many bytes are free. Cost: a look at each flight.
  void shed(uint64_t bytes, TimePoint now);

  void mark_hit_for_miss(const Key& key, TimePoint until);
  bool is_hit_for_miss(const Key& key, TimePoint now);
  void clear_hit_for_miss(const Key& key);

  uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  uint64_t marks() const;

 private:
  struct KeyHash {
    size_t operator()(const Key& key) const { return static_cast<size_t>(key.low); }
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<Key, FlightRef, KeyHash> flights;
    std::unordered_map<uint64_t, FlightRef> bodies;
    std::unordered_map<Key, TimePoint, KeyHash> marks;
    std::deque<Key> mark_order;
  };
  Shard& shard(const Key& key) { return shards_[key.high % kFlightShards]; }
  Shard& shard(uint64_t id) { return shards_[id % kFlightShards]; }

  const std::shared_ptr<ReaderMemory> memory_;
  std::array<Shard, kFlightShards> shards_;
  std::atomic<uint64_t> count_{0};
};

}  // namespace archipel::edge
