// Time, threads and chance of a simulated world: one loop on which everything runs, a clock and workers on it. Same seed, same run.
//
// A world is single-threaded: several gateways, islands and clients share one SimLoop, and nothing in it may touch another thread, the system's
// time or its randomness. Virtual time stands still while there is anything to do and then jumps to the next timer. For tests only.
#pragma once

#include <deque>
#include <vector>

#include "base/random.h"
#include "io/loop.h"
#include "io/workers.h"

namespace archipel::io {

// A fast generator for a simulation's choices. Not for keys.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t u64() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // 0 … below - 1; below >= 1.
  uint64_t pick(uint64_t below) { return u64() % below; }
  // True `parts` times of `of`.
  bool chance(uint64_t parts, uint64_t of) { return pick(of) < parts; }
  Duration between(Duration least, Duration most) {
    return least + Duration(static_cast<int64_t>(pick(static_cast<uint64_t>((most - least).count()) + 1)));
  }
  // Dice of their own, for a part of the world whose choices must not shift those of the others.
  Dice fork() { return Dice(u64()); }

 private:
  uint64_t state_;
};

class SimLoop final : public Loop {
 public:
  // `timer_jitter_max`: timers fire late by up to so much, as they do.
  explicit SimLoop(uint64_t seed, Duration timer_jitter_max = Duration(0));
  ~SimLoop() override;
  SimLoop(const SimLoop&) = delete;
  SimLoop& operator=(const SimLoop&) = delete;

  TimePoint now() override { return now_; }
  // One after the other; but timers that are due meanwhile come in between, at random. What is posted after stop() waits for the next run().
  void post(Callback callback) override;
  TimerId run_at(TimePoint when, Callback callback) override;
  bool cancel(TimerId id) override;

  // Why run() came back.
  enum class End {
    stopped,
    stalled,  // nothing to do and no timer set: whoever still waits, waits for ever. A bug.
    turns,    // turns_max() passed: it goes in circles, or the limit is too low
  };
  void run() override;
  void stop() override { stopped_ = true; }
  End end() const { return end_; }

  uint64_t turns() const { return turns_; }  // callbacks run so far: the steps of a history
  void set_turns_max(uint64_t turns) { turns_max_ = turns; }
  // Called before every turn from the one numbered `turn` on, until it returns false: the place to pull a plug. It must not block.
  void at_turn(uint64_t turn, std::move_only_function<bool()> hook);

 private:
  struct Timer {
    TimePoint when;
    TimerId id;
    bool operator>(const Timer& o) const { return when != o.when ? when > o.when : id > o.id; }
  };
  struct Slot {
    TimerId id = 0;  // 0: free
    Callback callback;
  };
  bool drop_dead_top();  // true if a live timer is left
  void fire_top();

  Dice dice_;
  const Duration jitter_;
  TimePoint now_{std::chrono::hours(1)};  // no TimePoint{} here: zeros are what a forgotten member has
  std::deque<Callback> ready_;
  std::vector<Timer> heap_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  uint64_t next_serial_ = 1;
  uint64_t turns_ = 0, turns_max_ = UINT64_MAX;
  uint64_t hook_turn_ = UINT64_MAX;
  std::move_only_function<bool()> hook_;
  bool stopped_ = false;
  End end_ = End::stopped;
};

// The clock of one simulated machine. Its wall-clock may be set wrong, and step.
class SimClock final : public Clock {
 public:
  explicit SimClock(SimLoop& loop, UnixMs start_ms = 1'700'000'000'000) : loop_(loop), offset_ms_(start_ms) {}
  TimePoint now() override { return loop_.now(); }
  UnixMs unix_ms() override {
    return offset_ms_ +
           std::chrono::duration_cast<std::chrono::milliseconds>(loop_.now().time_since_epoch()).count();
  }
  void step(UnixMs by_ms) { offset_ms_ += by_ms; }

 private:
  SimLoop& loop_;
  UnixMs offset_ms_;
};

// Jobs run on the loop, each after a delay of its own: those submitted later may be done earlier, as in a pool of threads.
class SimWorkers final : public Workers {
 public:
  SimWorkers(SimLoop& loop, uint64_t seed) : loop_(loop), dice_(seed) {}
  ~SimWorkers() override { CHECK(waiting_ == 0); }
  void submit(Callback job) override;

 private:
  SimLoop& loop_;
  Dice dice_;
  size_t waiting_ = 0;
};

// Runs `task_function()` on `loop` until its task finishes, and returns its value; nullopt if the world stalled or went in circles (loop.end()
// says which). Tasks are then left in the middle and cannot be destroyed: the process is good for a report and _Exit.
template <class F>
auto run_sim(SimLoop& loop, F task_function) {
  using TaskType = std::invoke_result_t<F&>;
  using Value = decltype(std::declval<TaskType&>().take());
  static_assert(!std::is_void_v<Value>, "return something");
  struct Runner {
    static Task<void> watch(F& function, std::optional<Value>& out, Loop& l) {
      TaskType task = function();
      Value value = co_await std::move(task);
      out.emplace(std::move(value));
      l.stop();
    }
  };
  std::optional<Value> out;
  auto watcher = std::make_unique<std::optional<Task<void>>>();
  loop.post([&] { watcher->emplace(Runner::watch(task_function, out, loop)); });
  loop.run();
  if (!out) static_cast<void>(watcher.release());
  return out;
}

}  // namespace archipel::io
