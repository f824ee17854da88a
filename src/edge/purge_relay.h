// PurgeRelay: what is purged on one edge is purged on the others: those of [peers] list, shield and purge.
//
//   this edge                                                      another
//   tell(): a record gets the next number, joins the log
//   one task per edge: POST /.archipel/purges {first, records} ->  take(): what is new takes effect, then {"heard": NUMBER}
//   told(): who has it already
//
// An edge that does not answer is asked again, more and more slowly, and hears what it missed when it is back; if the log does not reach back so far, it is
// told to let go all that it has stored. After kUnreachableAfter it counts as unreachable, and nobody waits for it. Meanwhile the others refuse its
// answers, and it theirs (purges_heard.h): what was purged does not come back through an edge that did not hear of it. What an edge was told is not told on.
//
// Each edge is spoken to every kBeat, so that one that was started anew hears again what it may have missed. With a directory (keep_in()) what was not told yet
// outlives this process, however it ends (told_log.h); without one it is lost, and the order's answer says who had it. How far the others were heard is kept
// with the purges themselves (Parts::keep_heard).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "edge/origins.h"
#include "edge/peer_policy.h"
#include "edge/purge_order.h"
#include "edge/purges_heard.h"
#include "edge/told_log.h"
#include "io/sync.h"

namespace archipel::edge {

inline constexpr std::string_view kPurgesPath = "/.archipel/purges";

class PurgeRelay {
 public:
  static constexpr size_t kLogRecordsMax = ToldLog::kRecordsMax;
  static constexpr size_t kBatchRecordsMax = 1024, kBatchBytesMax = 512u << 10;
  static constexpr size_t kTakenBytesMax = 1u << 20;
  static constexpr Duration kBeat = std::chrono::seconds(5);
  static constexpr Duration kAnswerMax = std::chrono::seconds(10);
  static constexpr Duration kPauseMin = std::chrono::milliseconds(100), kPauseMax = std::chrono::seconds(5);
  static constexpr Duration kUnreachableAfter = std::chrono::seconds(10);
  static constexpr Duration kCloseMax = std::chrono::seconds(2);  // for telling the last of it
  // Until another process has let the directory go.
  static constexpr Duration kAttachInterval = std::chrono::milliseconds(100);

  using Purging = std::vector<io::Task<Result<void>>>;
  struct Parts {
    io::Loop& home;
    Connector& connector;
    Clock& clock;
    Random& random;
    // Begins what an order means here: it is in effect when the call returns, and durable when the tasks have ended. Home loop.
    std::function<Result<Purging>(const PurgeOrder&)> purge;
    std::function<Purging()> purge_all;
    // What was heard before the start, and is in effect still; and where to keep it: behind all that was purged before. Null: nowhere.
    std::vector<HeardMark> heard = {};
    std::function<void(std::vector<HeardMark>)> keep_heard = nullptr;
    io::Workers* workers = nullptr;  // for keep_in(), kept()
  };
  explicit PurgeRelay(Parts parts);
  ~PurgeRelay();

  // Home loop, or before it runs: whom to tell from now on. Edges that stay are not told twice.
  void use(const PeerPolicy& policy);
  // What is told is kept in this directory from now on; if another process has it, as soon as that lets it go. Blocks; home loop, or before it runs. A directory
  // that cannot be used is logged: then it is kept in memory alone.
  void keep_in(std::shared_ptr<DiskFiles> files);
  bool keeps() const { return keeps_; }  // home loop: whether it was asked to
  // Lets the directory go, for a successor. Blocks; any thread.
  void release() { log_.release(); }
  void start();  // home loop
  // Any thread. Before the purge takes effect here. Its number; 0: there is nobody to tell.
  uint64_t tell(const PurgeOrder& order);
  // Until no end of this process can keep the others from hearing of it. io, unavailable: one might.
  io::Task<Result<void>> kept(uint64_t number);

  enum class State : uint8_t { purged, pending, unreachable };
  struct Told {
    std::string edge;
    State state = State::pending;
  };
  // Waits until all who can be reached have heard of it. Home loop.
  io::Task<std::vector<Told>> told(uint64_t number, Deadline until);

  // What another edge tells; returns the answer. Home loop. invalid.
  io::Task<Result<std::string>> take(std::string body);
  // Any thread; a request to another edge carries the one, and is answered from the cache only if the other is true.
  std::string need() const;
  bool fulfils(std::string_view need);

  std::string metrics_text() const;  // home loop
  io::Task<void> close();            // home loop; nobody tells any more

 private:
  struct Target;
  static io::Task<void> serve(PurgeRelay* self, std::shared_ptr<Target> target);
  io::Task<Result<uint64_t>> say(Target& target);
  std::string batch_for(const Target& target) const;
  void failed(Target& target, const Error& error);
  static io::Task<void> attach_often(PurgeRelay* self, std::shared_ptr<DiskFiles> files);
  void take_log_over(const Result<void>& attached, const std::string& where);
  void keep_heard();
  void wake();
  void drop_missed(PurgesHeard::Missed missed);
  static io::Task<void> finish(PurgeRelay* self, Purging purging);

  Parts parts_;
  PurgesHeard heard_;
  ToldLog log_;  // of orders as JSON
  std::atomic<bool> anybody_{false}, waking_{false};

  // Home loop.
  std::vector<std::shared_ptr<Target>> targets_;
  std::string name_, token_;
  std::shared_ptr<DiskFiles> awaited_;  // another process has it, as far as is known
  std::vector<HeardMark> kept_heard_;
  int purging_ = 0;  // what others told, on its way to the disk
  bool running_ = false, closing_ = false, keeps_ = false;
  Deadline close_at_{};
  io::Event changed_, acknowledged_;
  io::TaskScope scope_;
  int64_t taken_ = 0, dropped_ = 0, refused_ = 0;
};

std::string_view to_string(PurgeRelay::State state);

}  // namespace archipel::edge
