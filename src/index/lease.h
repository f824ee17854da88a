// Lease: one writer at a time (protocol §2, "One writer"). An overwritable blob on each island says which gateway holds the realm; it is
// renewed every 10 s, and worth 30 s from the start of the renewal that reached w islands, by the holder's own monotonic clock.
//
// A gateway whose lease is stale acknowledges, applies and serves nothing. Another one, on another DIR, watches for 60 s that nobody renews
// before it begins. It is no lock: the rules of epochs keep the journal right whoever writes; the lease keeps two gateways from *answering* at
// one time. docs/formats/journal.md has the bytes.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "crypto/keyring.h"
#include "extent/extent.h"
#include "index/dir.h"
#include "io/sync.h"
#include "io/workers.h"

namespace archipel::index {

using Instance = std::array<uint8_t, 16>;  // one run of a gateway; random

struct Lease {
  uint64_t epoch = 0;  // that the holder opened, or is about to
  Instance instance{};
  uint64_t counter = 0;  // grows with each renewal
  bool released = false;
  auto operator<=>(const Lease&) const = default;
};
inline constexpr size_t kLeaseBytes = 144;
// As it lies on the island `island_id`: authenticated, and masked with a fresh nonce, so that two renewals have nothing in common.
std::string encode_lease(const crypto::Keyring& keys, const std::string& island_id, const Lease& lease,
                         Random& random);
// corrupt: not a lease of this realm on that island; unsupported: of a later version.
Result<Lease> decode_lease(const crypto::Keyring& keys, const std::string& island_id, ByteView bytes);

struct LeaseOptions {
  Duration renew_every = std::chrono::seconds(10);
  Duration valid_for = std::chrono::seconds(30);
  Duration watch = std::chrono::seconds(60);       // without a renewal: then its holder is gone
  Duration watch_every = std::chrono::seconds(2);  // looks at it meanwhile
  Duration deadline = std::chrono::seconds(5);     // of one read or write at an island
  bool old_gateway_is_dead = false;                // an operator says so: no watching
  // Time that goes on while the machine sleeps (CLOCK_BOOTTIME): a lease runs out then too. Thread-safe. Empty: the clock's, which may stop.
  std::function<TimePoint()> time = {};
};

// Until when this process may act; read at every commit and every GET. Thread-safe, a few nanoseconds.
class LeaseGate {
 public:
  explicit LeaseGate(std::function<TimePoint()> time) : time_(std::move(time)) {}

  bool may_write() const { return time_() < load(write_until_); }
  // A valid lease; or a journal that is read-only, while at least k islands answer and none of them shows another holder.
  bool may_read() const { return time_() < load(read_until_); }
  bool may_write_for(Duration more) const { return time_() + more < load(write_until_); }

  void hold_until(TimePoint until);  // both
  void read_until(TimePoint until);  // reading alone
  void stop();                       // both end now

 private:
  static TimePoint load(const std::atomic<int64_t>& at) {
    return TimePoint(Duration(at.load(std::memory_order_acquire)));
  }
  const std::function<TimePoint()> time_;
  std::atomic<int64_t> write_until_{0}, read_until_{0};
};

// Takes, renews and releases. On the home loop, where all calls are made. The references must outlive it.
class LeaseKeeper {
 public:
  LeaseKeeper(LeaseOptions options, const crypto::Keyring& keys, extent::Placement placement,
              erasure::Code code, int w, std::shared_ptr<DirFiles> files, io::Workers& workers,
              io::Loop& home, Random& random, Clock& clock);
  ~LeaseKeeper();

  const LeaseGate& gate() const { return gate_; }

  // First. Makes a new instance and records it in DIR, together with the last ones that this very directory had: who took DIR's lock knows
  // that those are dead. A copy of the directory is not it.
  io::Task<Result<void>> begin();

  // Whether `files` are a copy of the directory that the last start used, as far as that can be told: within one start of the machine. Before
  // begin(), which makes this directory the last. On a worker.
  static Result<bool> is_copy(DirFiles& files);

  // Is there another holder? Reads the leases of `shards` (a mask), and watches if there is one that was not released. exists: it was renewed
  // meanwhile, or (with `once`: only look, and remember for the next time) the watch is not over yet; unavailable: too few islands answer to
  // tell. `stop`: gives up early. Success allows reading for as long as a lease is worth.
  io::Task<Result<void>> exclude_others(uint32_t shards, bool once, const bool* stop);

  // After exclude_others(), and nobody may have taken it since. Writes the lease for `epoch` to `shards`, needs w of them, and looks again: of two that begin at the same time at
  // most one goes on. unavailable, exists.
  io::Task<Result<void>> take(uint64_t epoch, uint32_t shards);

  // From now on the lease is renewed, or, while it is not held, looked at, so that reading may go on. `on_stale` is called, on the home loop, once
  // for every take(), when the lease could not be renewed in time or another gateway has taken it: with the reason. Once.
  void start(std::function<void(const Error&)> on_stale);
  // The epoch of the last take() is open on w islands: whoever takes the realm from now on opens a later one, so that an unreleased lease of an
  // earlier epoch was left behind.
  void epoch_opened() { opened_epoch_ = epoch_; }
  // The journal is closed: nothing is renewed until the next take().
  void let_go();
  // Stops renewing and, if the lease is held, writes that it is released.
  io::Task<void> close();

 private:
  // The newest of each. Two instances' counters have nothing to do with each other: leases are compared with earlier ones of the same instance.
  using Leases = std::map<Instance, Lease>;
  struct Round {
    int answered = 0, written = 0;
    Leases foreign;  // neither ours nor of an earlier run on this DIR
  };
  static io::Task<void> run(LeaseKeeper* self);
  using MayReplace = bool (LeaseKeeper::*)(const Lease& seen) const;
  static void note(Leases& known, const Lease& seen);
  static bool is_known(const Leases& known, const Lease& seen);  // that one, or an older one of its instance
  // Its holder is gone: it was quiet for long enough, or its epoch is.
  bool is_cleared(const Lease& seen) const { return is_known(cleared_, seen) || seen.epoch < opened_epoch_; }
  bool may_renew_over(const Lease& seen) const { return seen.epoch < epoch_ || is_cleared(seen); }
  // Whoever holds, or is taking, the realm for `epoch` or a later one, if any.
  std::optional<Lease> rival(const Round& round, uint64_t epoch) const;
  TimePoint time() const { return options_.time ? options_.time() : clock_.now(); }
  // What one island says, and whether it took `write`.
  struct Visit {
    std::optional<Lease> seen;
    bool answered = false, written = false;
  };
  static io::Task<void> visit(LeaseKeeper* self, size_t shard, const Lease* write, MayReplace may_replace,
                              Visit* out);
  // Nothing is written over another's lease that `may_replace` does not allow.
  io::Task<Round> visit_all(uint32_t shards, std::optional<Lease> write, MayReplace may_replace);
  io::Task<void> renew();
  io::Task<void> look();
  void lose(Error reason);
  bool is_ours(const Instance& instance) const;
  // DIR/instances; empty if there is none, or it is damaged.
  struct Recorded {
    std::string made_in;
    std::vector<Instance> instances;
  };
  static Result<Recorded> read_instances(DirFiles& files);
  Result<void> record_instance();  // on a worker

  const LeaseOptions options_;
  const crypto::Keyring& keys_;
  const extent::Placement placement_;
  const erasure::Code code_;
  const int w_;
  const std::shared_ptr<DirFiles> files_;
  io::Workers& workers_;
  io::Loop& home_;
  Random& random_;
  Clock& clock_;
  LeaseGate gate_;

  std::vector<Instance> ours_;  // of this DIR, newest last: the last is this process
  uint64_t epoch_ = 0, counter_ = 0;
  uint64_t opened_epoch_ = 0;
  uint32_t shards_ = 0;
  bool held_ = false, closing_ = false, running_ = false;
  std::function<void(const Error&)> on_stale_;
  Leases watched_;  // foreign and not released; none of them has changed since:
  TimePoint watched_since_{};
  Leases cleared_;  // all foreign ones that were seen when exclude_others() succeeded: their holders are gone
  io::Event stop_;
  io::TaskScope scope_;
};

}  // namespace archipel::index
