// Committer: turns intents into acknowledged commits, in order. One per realm.
//
// Many callers' intents share one commit (group commit): while commits are in flight the next batch fills. A record is built serially on
// a worker; its preconditions read the view plus the overlay of commits in flight; it is sealed, sent whole to every island with a shard of
// the batch's small bodies, and applied to the Kv strictly in order once w islands confirmed. Then the callers get their answer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "extent/extent.h"
#include "index/kv.h"

namespace archipel::index {

// What a precondition sees: the applied view, overlaid with every earlier commit (in flight) and every earlier intent of this batch.
class View {
 public:
  virtual ~View() = default;
  virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
  // As Snapshot::scan, without seek-skipping.
  virtual Result<void> scan(std::string_view from, std::string_view to,
                            const std::function<bool(std::string_view, std::string_view)>& visit) const = 0;
};

// Where a small body's sealed segments landed: `offset` within the section's bytes.
struct SmallLocation {
  extent::ExtentRef section;
  uint64_t offset = 0;
  uint64_t length = 0;
};

struct Intent {
  // Sealed segments of small bodies, each at most kSegmentSealed bytes; together at most 4 segments (limit). Kept until committed.
  std::vector<Buffer> small;
  // Called on a worker, in commit order, exactly when the record is built (possibly more than once before a commit is sent: it must
  // be a pure function of its arguments and its captures). Appends mutations, or refuses with an error that goes to the caller alone.
  // `locations[i]` is where small[i] will lie.
  std::function<Result<void>(const View& view, const std::vector<SmallLocation>& locations,
                             std::vector<Mutation>& out)>
      build;
  // The index's own: it may change keys under "m/".
  bool own = false;
};

struct CommitPosition {
  uint64_t epoch = 0, seq = 0;
  auto operator<=>(const CommitPosition&) const = default;
};

// What a data extent that is about to be written is called.
struct NewExtent {
  extent::ExtentId id;
  extent::Attempt attempt{};
};

class Committer {
 public:
  virtual ~Committer() = default;

  // Any loop; resumes there. Success: durable on >= w islands and visible in the Kv. Errors: what build() returned; unavailable when fewer
  // than w islands answer or the journal is closed (the outcome of a commit that was already sent is then unknown); limit when the queue is full.
  // A closed journal recovers and opens the next epoch by itself as soon as enough islands answer.
  virtual io::Task<Result<CommitPosition>> commit(Intent intent) = 0;

  // A fresh extent id out of a range the journal already holds (ranges are reserved ahead in the background), with the attempt that goes with
  // it. Its epoch is that of applied() at the time of the call, or a later one. Any loop.
  virtual io::Task<Result<NewExtent>> allocate_extent() = 0;

  // Stops taking intents, waits for what is in flight, marks DIR/head clean.
  virtual io::Task<void> close() = 0;

  virtual CommitPosition applied() const = 0;

  // False while the journal is closed: a commit missed its deadline, or it has not been possible to open it yet. A hint for health checks.
  // Any thread.
  virtual bool open() const { return true; }
  // Why it is closed, one sentence with the islands that would help; empty while it is open. Any thread.
  virtual std::string closed_because() const { return {}; }
  // False while what the view shows may be older than what another gateway has acknowledged: the lease of this one is stale. Nothing is served
  // then. Any thread.
  virtual bool may_read() const { return true; }
  // Closes the epoch in order, recovers, and opens the next with the islands `rejoin` in it, which have no marker and join empty. Writes wait
  // for a moment or are refused. Errors: why the epoch could not be opened; the journal is then closed, and goes on trying without them.
  virtual io::Task<Result<void>> reopen(std::vector<std::string> rejoin);
  // `hook` is awaited on the home loop whenever a recovery has changed the view behind a running store: before commits are taken again, or
  // when more became known while it is still closed. Set once, before the first commit; what it refers to must outlive close().
  virtual void on_view_changed(std::function<io::Task<void>()> hook) { hook_ = std::move(hook); }

 protected:
  std::function<io::Task<void>()> hook_;
};

inline io::Task<Result<void>> Committer::reopen(std::vector<std::string>) {
  co_return fail(Code::unsupported, "this journal has one epoch only");
}

}  // namespace archipel::index
