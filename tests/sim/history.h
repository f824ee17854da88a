// Runs one plan and judges it.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "sim/plan.h"

namespace archipel::sim {

// Counts of one or many histories. Plain numbers only: it is shared between processes.
struct Stats {
  uint64_t histories = 0, violations = 0;
  std::array<std::array<uint64_t, 4>, kOpKinds>
      ops{};  // by kind: done, refused, unknown or unavailable, ended by a crash
  std::array<uint64_t, island::kFaults> faults{};  // really happened
  std::array<uint64_t, island::kFaults> histories_with{};
  std::array<uint64_t, 3> crashes{};  // of the process, by where the plug was pulled
  uint64_t machine_crashes = 0, clean_restarts = 0, crashes_in_start = 0;
  uint64_t views_lost = 0, views_damaged = 0, dirs_lost = 0, dirs_set_back = 0;
  uint64_t starts = 0, starts_refused = 0, settled_by_honesty = 0, settled_by_wipe = 0;
  uint64_t read_only = 0;  // starts that could not decide at once
  uint64_t doomed_deleted = 0, orphans_deleted = 0, commits_deleted = 0, deleted_twice = 0;
  uint64_t snapshots = 0, starts_from_snapshots = 0, streams_moved = 0, streams_left_behind = 0;
  uint64_t shards_repaired = 0, second_losses = 0;
  uint64_t placed_extents = 0,
           other_extents = 0;  // that audits saw: of the second placement class, of the journal's
  uint64_t epochs = 0, wrong_answers = 0, wrong_cells_named = 0, lies_named = 0;
  uint64_t events_checked = 0, registers_unchecked = 0, turns = 0, virtual_ms = 0;

  void add(const Stats& other);
};

struct Outcome {
  std::vector<std::string> violations;  // none: good
  bool left_in_the_middle =
      false;  // tasks are left that nobody ends: the process is good for a report and _Exit
  Stats stats;
};

// `trace`: every operation, happening and log event goes to stdout. Not from within a loop.
Outcome run_history(const Plan& plan, bool trace);

}  // namespace archipel::sim
