// Lane: the few threads of one island, for calls that may never come back (a dead mount). Internal to src/island.
//
// Nothing that hangs in a lane holds up anything else: the caller gets `timeout` at its deadline, and the call stays behind on its thread
// with what it owns. A lane whose threads all hang refuses at once, with `unavailable`, until one of them comes back.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "io/workers.h"

namespace archipel::island {

struct LaneLimits {
  int threads = 4;                                    // a put blocks one for two syncs
  size_t under_way_max = 1024;                        // calls that wait or run, those left behind included
  Duration hangs_after = std::chrono::seconds(10);    // a call that runs for longer counts as hanging
  Duration close_patience = std::chrono::seconds(2);  // the destructor waits so long for calls left behind
};

class Lane {
 public:
  Lane(std::string island_id, LaneLimits limits);
  // CHECK in Task: nobody waits for a call any more. Threads that still hang are left to the end of the process.
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // co_await lane.run(deadline, function): runs it on a thread of the lane and resumes on the calling loop with its Result, or with timeout
  // at the deadline, or with unavailable at once. `function` must own all it touches: it may outlive its caller, the lane and the loop.
  template <class F>
  auto run(Deadline deadline, F function) {
    return Call<F>{*this, std::make_shared<TypedJob<F>>(std::move(function), deadline)};
  }

 private:
  enum class Phase { waiting, running, finished, left };

  struct Job {
    explicit Job(Deadline d) : deadline(d) {}
    virtual ~Job() = default;
    virtual void work() = 0;

    const Deadline deadline;
    Phase phase = Phase::waiting;  // under the state's mutex
    TimePoint started{};           // likewise
    // Of the calling loop:
    io::Loop* home = nullptr;
    std::coroutine_handle<> self;
    io::Loop::TimerId timer = 0;
    std::optional<Error> failure;  // why `work` is not what the caller gets
  };

  template <class F>
  struct TypedJob : Job {
    TypedJob(F f, Deadline d) : Job(d), function(std::move(f)) {}
    void work() override { result.emplace(function()); }
    F function;
    std::optional<std::invoke_result_t<F&>> result;
  };

  template <class F>
  struct Call {
    Lane& lane;
    std::shared_ptr<TypedJob<F>> job;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> self) { return lane.submit(job, self); }
    std::invoke_result_t<F&> await_resume() {
      if (job->timer != 0) job->home->cancel(std::exchange(job->timer, 0));
      if (job->failure) return std::unexpected(std::move(*job->failure));
      return std::move(*job->result);
    }
  };

  // What the threads share with the lane, and keep if it goes before them.
  struct State {
    State(std::string island_id, LaneLimits l) : id(std::move(island_id)), limits(l) {}
    std::optional<Error> refuse(TimePoint now) const;  // with the mutex held
    void perform(const std::shared_ptr<Job>& job);
    void give_up(const std::shared_ptr<Job>& job);

    const std::string id;
    const LaneLimits limits;
    std::mutex mutex;
    std::condition_variable idle;  // under_way == 0
    size_t under_way = 0;
    std::vector<const Job*> running;  // at most one per thread
  };

  // False if the call was refused: its failure is set.
  bool submit(std::shared_ptr<Job> job, std::coroutine_handle<> self);

  std::shared_ptr<State> state_;
  std::unique_ptr<io::Workers> threads_;
};

}  // namespace archipel::island
