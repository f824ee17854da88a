// The scrubber's rooms: passes on demand (scrubber.cc), what is known to be missing (scrub_mending.cc), the patrol (scrub_patrol.cc). Private to
// them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "store/scrub_pace.h"
#include "store/scrubber.h"

namespace archipel::store {

inline constexpr size_t kScrubAtOnce = 4;        // targets under way at a time, in each task
inline constexpr size_t kScrubPageTargets = 64;  // read from the view at a time

struct ScrubMeters {
  metrics::Counter items{"archipel_scrub_items_total", "Extents and journal blobs looked at by scrub"};
  metrics::Counter missing{"archipel_scrub_missing_shards_total", "Shards that scrub found missing"};
  metrics::Counter wrong{"archipel_scrub_wrong_shards_total", "Shards that scrub found wrong"};
  metrics::Counter passes{"archipel_scrub_passes_total", "Passes over everything that came to their end"};
  metrics::Gauge last_pass{"archipel_scrub_last_pass_timestamp_seconds",
                           "When the last pass of the patrol ended; 0: none has"};
  metrics::Gauge unrepaired{"archipel_scrub_unrepaired_items",
                            "Items that the last pass could not bring into order"};
};
// One set for the process.
ScrubMeters& scrub_meters();

inline ScrubPosition after(const ScrubTarget& target) {
  return {static_cast<uint8_t>(target.kind), target.epoch, target.number + 1};
}

class ScrubberImpl final : public Scrubber {
 public:
  explicit ScrubberImpl(ScrubberParts parts)
      : options_(std::move(parts.options)),
        p_(parts.repair),
        files_(std::move(parts.files)),
        repairer_(std::move(parts.repair)),
        mend_pace_(p_.home, options_.mend_bytes_per_second, options_.busy, options_.yield),
        patrol_pace_(p_.home, options_.patrol_bytes_per_second, options_.busy, options_.yield),
        pass_pace_(p_.home, 0, options_.busy, options_.yield),
        quiet_until_(p_.placement->islands.size()) {}

  void start() override {
    scope_.spawn(mend(this));
    if (options_.patrol_bytes_per_second > 0) scope_.spawn(patrol(this));
  }

  io::Task<void> close() override {
    closing_ = true;
    mend_pace_.stop();
    patrol_pace_.stop();
    pass_pace_.stop();
    changed_.notify_all();
    co_await scope_.join();
    while (passes_ > 0) co_await changed_.wait();
  }

  io::Task<Result<ScrubReport>> pass(bool repair, OnProgress on_progress) override {
    ++passes_;
    while (passing_ && !closing_) co_await changed_.wait();
    Result<ScrubReport> report = fail(Code::cancelled, "the gateway is shutting down");
    if (!closing_) {
      passing_ = true;
      report = co_await pass_now(repair, on_progress);
      passing_ = false;
    }
    --passes_;
    changed_.notify_all();
    co_return report;
  }

 private:
  using Targets = std::vector<ScrubTarget>;
  // A pass of the patrol: where it is, and when it began. 0: it is not under way, and began then.
  struct Place {
    bool under_way = false;
    ScrubPosition next;
    UnixMs began_ms = 0;
  };
  // Of an island that came back empty: how far its rebuilding is.
  struct Rebuild {
    JoinedLate who;
    ScrubPosition next;
    bool changed = false;  // since it was kept
    std::optional<ScrubPosition>
        left;  // the first that could not be put there, though it may be later: the walk goes back to it
    TimePoint began{}, rests_until{};  // of the walk

    ScrubPosition safe() const { return left.value_or(next); }  // everything before is there
  };

  static io::Task<void> mend(ScrubberImpl* self);
  static io::Task<void> patrol(ScrubberImpl* self);

  io::Task<bool> look_at_suspects();
  io::Task<bool> repay_debts();
  io::Task<bool> rebuild_empty();
  io::Task<void> find_empty();
  io::Task<void> keep_rebuild(Rebuild rebuild, bool done);
  io::Task<Result<ScrubReport>> pass_now(bool repair, OnProgress& on_progress);
  io::Task<Result<Targets>> page(ScrubPosition from, size_t max);
  io::Task<std::vector<Repairer::Outcome>> process_all(const std::vector<Repairer::Work>& works,
                                                       ScrubPace& pace);
  void note_refused(uint32_t refused);
  uint32_t willing() const;
  ScrubReport empty_report() const;
  static void add(ScrubReport& report, const ScrubTarget& target, const Repairer::Outcome& outcome);
  static std::string encode_place(const Place& place);
  static Place decode_place(const std::optional<std::string>& bytes);
  io::Task<void> keep_place(Place place);
  io::Task<void> sleep(Duration duration);

  const ScrubberOptions options_;
  RepairParts p_;
  std::shared_ptr<index::DirFiles> files_;
  Repairer repairer_;
  ScrubPace mend_pace_, patrol_pace_, pass_pace_;
  std::vector<TimePoint> quiet_until_;  // by island
  ExtentKey debt_cursor_;
  TimePoint debts_again_{};
  std::vector<Rebuild> empty_;
  uint64_t epoch_seen_ = 0;
  TimePoint rebuild_kept_{}, drop_at_{};
  bool closing_ = false, passing_ = false;
  int passes_ = 0;
  io::Event changed_;
  io::TaskScope scope_;
};

}  // namespace archipel::store
