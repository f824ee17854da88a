// ReaderMemory: how many bytes of bodies are held for those who read them, beside what the tiers hold. One for the process; any thread.
//
// Two halves of one budget. Windows: what flights have fetched and their readers have not taken. Pins: slices that a write to a client is under way
// from; they stay in memory until it ends, whatever the tiers do, and count once, however many readers they have.
//
// What happens as it fills up: past half of its share, a flight goes in step with its fastest reader, so that the origin waits instead of this memory
// growing. When a share is used up, who holds it longest without moving is ended: flights whose readers have taken nothing for kStalledMin, writes that
// are under way for kSlowWrite; large responses that begin then pass by in small pieces, past the cache. Who waits for room waits kRoomPatience at most.
//
// Not counted, because it is small: kSmallBytes for each flight and each write.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>

#include "base/clock.h"
#include "edge/entry.h"
#include "http/server.h"

namespace archipel::edge {

inline constexpr uint64_t kReaderBytesDefault = 256u << 20;
inline constexpr size_t kSmallBytes = 16u << 10;
inline constexpr Duration kStalledMin = std::chrono::seconds(5);
inline constexpr Duration kSlowWrite = std::chrono::seconds(10);
inline constexpr Duration kRoomPatience = std::chrono::seconds(20);
inline constexpr Duration kRoomPause = std::chrono::milliseconds(250);  // between two looks for room

class ReaderMemory {
 public:
  explicit ReaderMemory(uint64_t bytes_max = kReaderBytesDefault) : max_(bytes_max) {}
  void set_max(uint64_t bytes) { max_.store(bytes, std::memory_order_relaxed); }

  // Windows. take(): false, with nothing taken, if there is no room. force(): for kSmallBytes at most.
  bool take(uint64_t bytes) { return add(windows_, bytes); }
  void force(uint64_t bytes) { windows_.fetch_add(bytes, std::memory_order_relaxed); }
  void give(uint64_t bytes) { windows_.fetch_sub(bytes, std::memory_order_relaxed); }
  bool pressed() const { return windows_.load(std::memory_order_relaxed) > share() / 2; }
  bool full() const { return windows_.load(std::memory_order_relaxed) + kSliceBytes > share(); }

  // Pins. False: there is no room.
  bool pin(const Slice& slice);
  void unpin(const Slice& slice);
  bool has_room_for_a_pin() const { return pins_.load(std::memory_order_relaxed) + kSliceBytes <= share(); }

  uint64_t bytes() const {
    return windows_.load(std::memory_order_relaxed) + pins_.load(std::memory_order_relaxed);
  }
  // Looking for somebody to end costs a look at all flights: true for one caller in kRoomPause.
  bool may_look(TimePoint now);

  std::atomic<uint64_t> ended = 0;  // flights and writes, because others needed the room

 private:
  uint64_t share() const { return max_.load(std::memory_order_relaxed) / 2; }
  bool add(std::atomic<uint64_t>& held, uint64_t bytes) const;

  std::atomic<uint64_t> max_, windows_ = 0, pins_ = 0;
  std::atomic<int64_t> next_look_ = 0;  // ns
};

// The writes under way from slices, of one loop; the oldest first.
class Pins {
 public:
  explicit Pins(ReaderMemory& memory) : memory_(memory) {}
  Pins(const Pins&) = delete;
  Pins& operator=(const Pins&) = delete;

  class Pin {
   public:
    Pin() = default;
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    ~Pin() { release(); }
    void release();

   private:
    friend class Pins;
    Pins* owner_ = nullptr;  // null: nothing is held
    SliceRef slice_;
    http::Exchange* exchange_ = nullptr;
    TimePoint since_{};
    std::list<Pin*>::iterator at_;
  };

  // A write of `exchange` from `slice` begins; what `pin` held before is released. False: there is no room, and nothing is held. Small slices are not counted.
  bool hold(Pin& pin, const SliceRef& slice, http::Exchange& exchange, TimePoint now);
  // Ends the writes that have been under way for kSlowWrite.
  void end_slow(TimePoint now);

 private:
  ReaderMemory& memory_;
  std::list<Pin*> pins_;
};

}  // namespace archipel::edge
