// archipel_sim: histories of a whole realm in virtual time, from seeds, judged by an oracle. A failure prints one seed, which repeats it.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <atomic>
#include <cstdio>
#include <cstring>

#include "base/clock.h"
#include "sim/history.h"
#include "sim/shrink.h"

namespace archipel::sim {
namespace {

struct Options {
  uint64_t first = 1, last = 100;
  size_t ops = 200;
  int jobs = 1;
  uint64_t failures_max = 1;
  double seconds = 0;  // 0: until all seeds are done
  bool trace = false, shrink = true;
};

// What the jobs share with their parent.
struct Job {
  Stats stats;
  uint64_t next = 0;  // the seed that is being run, or will be
};
struct Shared {
  std::atomic<uint64_t> failures;
  Job jobs[64];
};

double elapsed(TimePoint since) {
  return std::chrono::duration<double>(system_clock().now() - since).count();
}

void report(const Options& options, uint64_t seed, const Outcome& outcome) {
  std::string text = fmt::format("\nVIOLATION with seed {}\n", seed);
  for (const std::string& violation : outcome.violations) text += "  " + violation + "\n";
  text += fmt::format("  again: archipel_sim --seed {} --ops {} --trace\n", seed, options.ops);
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

// Every `jobs`-th seed, until the end or too many failures. Exits.
[[noreturn]] void work(const Options& options, Shared& shared, int number, TimePoint started) {
  Job& job = shared.jobs[number];
  const auto step = static_cast<uint64_t>(options.jobs);
  while (job.next <= options.last && shared.failures.load() < options.failures_max) {
    if (options.seconds > 0 && elapsed(started) > options.seconds) break;
    const uint64_t seed = job.next;
    Outcome outcome = run_history(make_plan(seed, options.ops), false);
    job.stats.add(outcome.stats);
    job.next = seed + step;
    if (outcome.violations.empty()) continue;
    ++shared.failures;
    report(options, seed, outcome);
    if (options.shrink) print_shrunk(make_plan(seed, options.ops));
    // Tasks may be left in the middle: this process has had its day.
    std::_Exit(2);
  }
  std::_Exit(0);
}

// Of all jobs, which have ended.
double processor_seconds() {
  rusage used{};
  getrusage(RUSAGE_CHILDREN, &used);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

void print_table(const Stats& s, double seconds) {
  fmt::print("\n{} histories in {:.1f} s: {:.0f} per minute of a core; {} violations\n", s.histories, seconds,
             static_cast<double>(s.histories) * 60 / processor_seconds(), s.violations);
  if (s.histories == 0) return;
  fmt::print(
      "per history: {:.0f} turns, {:.0f} s of virtual time, {:.0f} events judged ({} registers in all given "
      "up)\n",
      static_cast<double>(s.turns) / static_cast<double>(s.histories),
      static_cast<double>(s.virtual_ms) / 1000 / static_cast<double>(s.histories),
      static_cast<double>(s.events_checked) / static_cast<double>(s.histories), s.registers_unchecked);
  fmt::print("\n{:<15}{:>12}{:>12}{:>12}{:>12}\n", "operation", "done", "refused", "unavailable", "crashed");
  for (size_t i = 0; i < kOpKinds; ++i)
    fmt::print("{:<15}{:>12}{:>12}{:>12}{:>12}\n", to_string(static_cast<Op::Kind>(i)), s.ops[i][0],
               s.ops[i][1], s.ops[i][2], s.ops[i][3]);
  fmt::print("\n{:<15}{:>12}{:>12}\n", "fault", "happened", "histories");
  for (size_t i = 0; i < island::kFaults; ++i)
    fmt::print("{:<15}{:>12}{:>12}\n", island::to_string(static_cast<island::Fault>(i)), s.faults[i],
               s.histories_with[i]);
  fmt::print(
      "\nplugs pulled: {} at a turn, {} at a disk write, {} at a blob; {} of them of the machine, {} during "
      "a start; {} clean restarts\n",
      s.crashes[0], s.crashes[1], s.crashes[2], s.machine_crashes, s.crashes_in_start, s.clean_restarts);
  fmt::print(
      "starts: {}, of them {} refused; {} epochs; index lost {} times, damaged {} times, DIR lost {} times, "
      "set back {} times\n",
      s.starts, s.starts_refused, s.epochs, s.views_lost, s.views_damaged, s.dirs_lost, s.dirs_set_back);
  fmt::print(
      "read-only starts: {}; collected: {} doomed extents, {} orphans, {} commit blobs, {} of them twice\n",
      s.read_only, s.doomed_deleted, s.orphans_deleted, s.commits_deleted, s.deleted_twice);
  fmt::print(
      "snapshots written: {}, starts from one: {}; compaction moved {} streams, {} changed meanwhile\n",
      s.snapshots, s.starts_from_snapshots, s.streams_moved, s.streams_left_behind);
  fmt::print("extents that audits saw: {} of the second placement class, {} of the journal's\n",
             s.placed_extents, s.other_extents);
  fmt::print("asked for at the end: {} shards repaired, then another island lost in {} histories\n",
             s.shards_repaired, s.second_losses);
  fmt::print("undecided until the liar spoke true: {}, until it was declared lost: {}\n",
             s.settled_by_honesty, s.settled_by_wipe);
  fmt::print("wrong answers told: {}, islands named for it: {} times\n", s.wrong_answers, s.lies_named);
}

int run_many(const Options& options) {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  auto* shared = new (memory) Shared{};
  const TimePoint started = system_clock().now();
  std::map<pid_t, int> running;
  auto spawn = [&](int number) {
    std::fflush(stdout);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) work(options, *shared, number, started);
    running[pid] = number;
  };
  for (int i = 0; i < options.jobs; ++i) {
    shared->jobs[i].next = options.first + static_cast<uint64_t>(i);
    spawn(i);
  }
  while (!running.empty()) {
    int status = 0;
    const pid_t pid = wait(&status);
    if (pid < 0) break;
    const int number = running[pid];
    running.erase(pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    Job& job = shared->jobs[number];
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 2) {
      ++shared->failures;
      ++job.stats.violations;
      fmt::print("\nCRASH with seed {}\n  again: archipel_sim --seed {} --ops {} --trace\n", job.next,
                 job.next, options.ops);
      job.next += static_cast<uint64_t>(options.jobs);
    }
    if (shared->failures < options.failures_max) spawn(number);
  }
  Stats sum;
  for (int i = 0; i < options.jobs; ++i) sum.add(shared->jobs[i].stats);
  print_table(sum, elapsed(started));
  return shared->failures == 0 ? 0 : 1;
}

int run_one(const Options& options, uint64_t seed) {
  Plan plan = make_plan(seed, options.ops);
  if (options.trace) {
    fmt::print("n={} k={} in_flight={} clients={} liar={} lies_at_end={} rejoin_wiped={}\n", plan.code.n,
               plan.code.k, plan.in_flight, plan.clients, plan.liar, plan.lies_at_end, plan.rejoin_wiped);
    fmt::print("{}\n", describe(plan.placed));
    for (const Happening& h : plan.happenings) fmt::print("{}\n", describe(h));
  }
  Outcome outcome = run_history(plan, options.trace);
  if (outcome.violations.empty()) {
    fmt::print("seed {}: no violation\n", seed);
    return 0;
  }
  report(options, seed, outcome);
  if (options.shrink && !options.trace) print_shrunk(plan);
  std::fflush(stdout);
  std::_Exit(1);
}

}  // namespace
}  // namespace archipel::sim

int main(int argc, char** argv) {
  using namespace archipel::sim;
  Options options;
  std::string seeds = "1..100";
  std::optional<uint64_t> seed;
  bool no_shrink = false;
  CLI::App app("Runs histories of a whole realm in virtual time and judges what clients were told.");
  app.add_option("--seeds", seeds, "FIRST..LAST");
  app.add_option("--seed", seed, "one seed, run in this process");
  app.add_option("--ops", options.ops, "operations of a history");
  app.add_option("--jobs", options.jobs, "processes")->check(CLI::Range(1, 64));
  app.add_option("--failures", options.failures_max, "stop after so many");
  app.add_option("--seconds", options.seconds, "stop after so long");
  app.add_flag("--trace", options.trace, "with --seed: print every step and log event");
  app.add_flag("--no-shrink", no_shrink, "do not look for a smaller program that fails too");
  CLI11_PARSE(app, argc, argv);
  options.shrink = !no_shrink;
  if (seed) return run_one(options, *seed);
  const size_t dots = seeds.find("..");
  options.first = std::strtoull(seeds.c_str(), nullptr, 10);
  options.last =
      dots == std::string::npos ? options.first : std::strtoull(seeds.c_str() + dots + 2, nullptr, 10);
  return run_many(options);
}
