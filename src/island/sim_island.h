// A hostile island in a simulated world. SimPlace is what lies at the provider and how it misbehaves; SimIsland is that place seen through a
// network by one gateway process. For tests only.
//
// Every request and every reply travels for a while of virtual time, can overtake others, and can be lost; a request that was sent is carried out
// even if its sender has given up, and half the time if it has died meanwhile. Faults are rates that are switched on and off, or events; each is counted when it really
// did something, for coverage reports. A place without faults obeys the contract of Island.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "io/sim/sim_loop.h"
#include "island/island.h"

namespace archipel::island {

enum class Fault : uint8_t {
  // The network: of both directions.
  delay,         // takes up to seconds
  lose_request,  // never arrives
  lose_reply,    // done, and nobody hears of it
  reorder,       // overtaken by what was sent long after it
  partition,     // everything is lost while it lasts
  // An honest place in trouble.
  down,        // refuses everything
  throttle,    // asks to slow down
  slow_disk,   // carries requests out late
  no_space,    // refuses blobs
  io_error,    // fails, having done nothing
  torn_write,  // fails, and a part of the blob is there under its name
  // Lies and broken promises.
  lost_fsync,  // what was confirmed while this was on is gone after the next power_cut()
  forget,      // confirms, and keeps nothing
  bit_rot,     // stored bytes change: rot()
  flip,        // a get's answer has a flipped bit
  truncate,    // … is cut short
  foreign,     // … is of another blob
  stale,       // … is as it was a while ago: absent, or an earlier state of an overwritable blob
  hide,        // a blob that is there is said not to be; a listing leaves some out
  invent,      // a listing has names that are not there
  wipe,        // blobs and marker are gone: wipe()
  roll_back,   // everything is as it was at remember(): roll_back()
};
inline constexpr size_t kFaults = 22;
std::string_view to_string(Fault fault);
// From lost_fsync on: what at most f islands of a realm may do without the others' help.
inline bool is_lie(Fault fault) {
  return fault >= Fault::lost_fsync;
}

// Lives for a whole history; gateways come and go.
class SimPlace {
 public:
  SimPlace(io::SimLoop& loop, std::string id, uint64_t seed);
  SimPlace(const SimPlace&) = delete;
  SimPlace& operator=(const SimPlace&) = delete;

  const std::string& id() const { return id_; }

  // --- faults ---
  // From now on this happens to so many of a thousand operations; 0 ends it.
  void set(Fault fault, uint32_t per_mille);
  uint32_t rate(Fault fault) const { return rates_[static_cast<size_t>(fault)]; }
  void heal();        // all rates become 0, but for those of lies
  void stop_lying();  // those of lies
  void wipe();
  void remember();        // what roll_back() goes back to
  void roll_back();       // nothing, if nothing was remembered
  void power_cut();       // forgets what lost_fsync made forgettable
  void rot(size_t bits);  // flips so many bits of what is stored, anywhere

  // How often each fault did something.
  using Counts = std::array<uint64_t, kFaults>;
  const Counts& counts() const { return counts_; }
  uint64_t count(Fault fault) const { return counts_[static_cast<size_t>(fault)]; }
  // Answers of get() that carried bytes which are not the blob's.
  uint64_t wrong_answers() const { return wrong_answers_; }

  // --- what is stored ---
  std::map<BlobName, std::string>& blobs() { return blobs_; }
  std::optional<std::string>& marker() { return marker_; }
  uint64_t bytes() const;
  // Runs after a blob was stored, before anybody hears of it: the place to pull a plug.
  std::function<void(const BlobName& name)> after_put;

 private:
  friend class SimIsland;
  bool happens(Fault fault);  // rolls the dice, and counts
  void count_one(Fault fault) { ++counts_[static_cast<size_t>(fault)]; }
  Duration travel();
  Result<void> admit();
  std::unexpected<Error> error(Code code, std::string_view what) const;
  Result<void> put(const BlobName& name, std::string bytes);
  Result<void> overwrite(const BlobName& name, std::string bytes);
  Result<Buffer> get(const BlobName& name, uint64_t offset, uint64_t length);
  Result<uint64_t> size(const BlobName& name);
  Result<void> remove(const BlobName& name);
  Result<std::vector<BlobName>> list();
  Result<Buffer> read_marker();
  Result<void> write_marker(std::string bytes);
  Result<const std::string*> find(const BlobName& name);
  Buffer answer(const std::string& bytes, uint64_t offset, uint64_t length);
  void settle(const BlobName& name);

  io::SimLoop& loop_;
  const std::string id_;
  io::Dice dice_;
  Duration round_trip_half_;
  std::array<uint32_t, kFaults> rates_{};
  Counts counts_{};
  uint64_t wrong_answers_ = 0;
  std::map<BlobName, std::string> blobs_;
  std::optional<std::string> marker_;
  std::map<BlobName, std::string> before_;   // overwritable blobs: the state before the last
  std::map<BlobName, TimePoint> stored_at_;  // while `stale` is on: when
  std::vector<BlobName> forgettable_;        // confirmed while lost_fsync was on
  struct Memory {
    std::map<BlobName, std::string> blobs;
    std::optional<std::string> marker;
  };
  std::optional<Memory> memory_;
};

// What one gateway process has of a place. Once `*alive` is false it reaches nothing any more.
class SimIsland final : public Island {
 public:
  SimIsland(std::shared_ptr<SimPlace> place, std::shared_ptr<const bool> alive)
      : place_(std::move(place)), alive_(std::move(alive)) {}

  const std::string& id() const override { return place_->id(); }
  SimPlace& place() { return *place_; }
  io::Task<Result<void>> put(BlobName name, std::span<const ByteView> parts, Deadline deadline) override;
  io::Task<Result<void>> overwrite(BlobName name, ByteView bytes, Deadline deadline) override;
  io::Task<Result<Buffer>> get(BlobName name, uint64_t offset, uint64_t length, Deadline deadline) override;
  io::Task<Result<uint64_t>> size(BlobName name, Deadline deadline) override;
  io::Task<Result<void>> remove(BlobName name, Deadline deadline) override;
  io::Task<Result<std::vector<BlobName>>> list(Deadline deadline) override;
  io::Task<Result<Buffer>> read_marker(Deadline deadline) override;
  io::Task<Result<void>> write_marker(ByteView bytes, Deadline deadline) override;

 private:
  // One request under way: what the caller waits for and what the reply finds.
  template <class T>
  struct Call {
    std::optional<Result<T>> answer;
    std::coroutine_handle<> caller;  // null: has given up, or not begun to wait
    io::Loop::TimerId timer = 0;
  };
  template <class T>
  struct Waiting;
  template <class T, class Work>
  io::Task<Result<T>> call(Work work, Deadline deadline);
  template <class T, class Work>
  static void send(std::shared_ptr<SimPlace> place, std::shared_ptr<const bool> alive,
                   std::shared_ptr<Call<T>> call, Work work);
  template <class T, class Work>
  static void carry_out(std::shared_ptr<SimPlace> place, std::shared_ptr<Call<T>> call, Work work);
  template <class T>
  static void reply(SimPlace& place, std::shared_ptr<Call<T>> call, Result<T> result);

  std::shared_ptr<SimPlace> place_;
  std::shared_ptr<const bool> alive_;
};

}  // namespace archipel::island
