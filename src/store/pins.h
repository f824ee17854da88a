// Pins: what this process still needs of extents that the view may give up at any moment. Readers pin the extents of the version they
// send; uploads pin the epoch their extents' ids come from.
//
// A reader pins in two steps, since it learns which extents it needs from a view that goes on: begin_read() before it looks, hold() when it
// knows. Whoever wants to delete an extent that the view of some moment calls doomed takes a ticket() after that moment, waits until every
// earlier reader has made up its mind (looking_before), and then asks which extents are held. Later readers see a view in which nothing
// refers to the extent. Thread-safe; a pin costs two short locks.
#pragma once

#include <array>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "store/registry.h"

namespace archipel::store {

class Pins {
 public:
  Pins() = default;
  Pins(const Pins&) = delete;
  Pins& operator=(const Pins&) = delete;
  ~Pins();  // CHECK: nothing is pinned

 private:
  struct Read {
    uint64_t ticket = 0;
    bool looking = true;
    std::vector<ExtentKey> held;
    std::optional<PartSetId> set;
  };

 public:
  // Lasts until destroyed; on any thread.
  class Reader {
   public:
    Reader() = default;
    Reader(Reader&& o) noexcept : pins_(std::exchange(o.pins_, nullptr)), at_(o.at_) {}
    Reader& operator=(Reader&& o) noexcept;
    ~Reader() { release(); }
    // These are needed, and no others. Once. A part set is kept whole: its parts are there when the reader comes to them.
    void hold(std::vector<ExtentKey> extents, std::optional<PartSetId> set = std::nullopt);

   private:
    friend class Pins;
    Reader(Pins* pins, std::list<Read>::iterator at) : pins_(pins), at_(at) {}
    void release();
    Pins* pins_ = nullptr;
    std::list<Read>::iterator at_;
  };
  class Writer {
   public:
    Writer() = default;
    Writer(Writer&& o) noexcept : pins_(std::exchange(o.pins_, nullptr)), epoch_(o.epoch_) {}
    Writer& operator=(Writer&& o) noexcept;
    ~Writer() { release(); }

   private:
    friend class Pins;
    Writer(Pins* pins, uint64_t epoch) : pins_(pins), epoch_(epoch) {}
    void release();
    Pins* pins_ = nullptr;
    uint64_t epoch_ = 0;
  };

  Reader begin_read();
  // `epoch`: that of the journal before the first extent is allocated. Kept until the commit has been answered.
  Writer begin_write(uint64_t epoch);

  // Readers that begin from now on have this ticket or a later one.
  uint64_t ticket() const;
  // Some reader that began before `ticket` does not know yet what it needs.
  bool looking_before(uint64_t ticket) const;
  std::set<ExtentKey> held() const;
  std::set<PartSetId> held_sets() const;
  // The lowest epoch that an open upload has ids of; nothing if none is open.
  std::optional<uint64_t> oldest_writer() const;

 private:
  mutable std::mutex mutex_;
  uint64_t next_ticket_ = 1;
  std::list<Read> reads_;  // by ticket
  std::multiset<uint64_t> writers_;
};

}  // namespace archipel::store
