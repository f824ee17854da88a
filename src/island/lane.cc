#include "island/lane.h"

#include <algorithm>

#include "base/log.h"

namespace archipel::island {

Lane::Lane(std::string island_id, LaneLimits limits)
    : state_(std::make_shared<State>(std::move(island_id), limits)),
      threads_(io::make_workers(limits.threads)) {}

Lane::~Lane() {
  size_t left = 0;
  {
    std::unique_lock lock(state_->mutex);
    state_->idle.wait_for(lock, state_->limits.close_patience, [&] { return state_->under_way == 0; });
    left = state_->under_way;
  }
  if (left == 0) return;
  log::warn("island.calls_left_behind", {{"island", state_->id}, {"calls", left}});
  // Joining them could take for ever. What they touch is theirs: the state, and what each call owns.
  static_cast<void>(threads_.release());
}

std::optional<Error> Lane::State::refuse(TimePoint now) const {
  auto hanging = static_cast<size_t>(std::count_if(running.begin(), running.end(), [&](const Job* job) {
    return now - job->started >= limits.hangs_after;
  }));
  if (hanging >= static_cast<size_t>(limits.threads)) {
    return Error{Code::unavailable,
                 "island " + id + ": it hangs: " + std::to_string(hanging) +
                     " calls to its file system have not come back; check its mount",
                 {}};
  }
  if (under_way >= limits.under_way_max) {
    return Error{Code::unavailable,
                 "island " + id + ": " + std::to_string(under_way) + " operations are under way already",
                 {}};
  }
  return std::nullopt;
}

bool Lane::submit(std::shared_ptr<Job> job, std::coroutine_handle<> self) {
  io::Loop* home = io::Loop::current();
  CHECK(home != nullptr);
  job->home = home;
  job->self = self;
  if (home->now() >= job->deadline) {
    job->failure =
        Error{Code::timeout,
              "island " + state_->id + ": the deadline had passed before the operation could start",
              {}};
    return false;
  }
  {
    std::lock_guard lock(state_->mutex);
    job->failure = state_->refuse(home->now());
    if (job->failure) return false;
    ++state_->under_way;
  }
  if (job->deadline != kNoDeadline) {
    job->timer = home->run_at(job->deadline, [state = state_, job] {
      job->timer = 0;
      state->give_up(job);
    });
  }
  threads_->submit([state = state_, job] { state->perform(job); });
  return true;
}

// On a thread of the lane.
void Lane::State::perform(const std::shared_ptr<Job>& job) {
  {
    std::lock_guard lock(mutex);
    if (job->phase == Phase::left) return;  // nobody waits any more, and nothing was begun
    job->phase = Phase::running;
    job->started = system_clock().now();
    running.push_back(job.get());
  }
  job->work();
  bool wanted = false;
  {
    std::lock_guard lock(mutex);
    std::erase(running, job.get());
    wanted = job->phase != Phase::left;
    job->phase = Phase::finished;
    if (--under_way == 0) idle.notify_all();
  }
  // A loop that is not waited on any more may be gone.
  if (wanted) job->home->post([job] { job->self.resume(); });
}

// At the deadline, on the calling loop.
void Lane::State::give_up(const std::shared_ptr<Job>& job) {
  bool began = false;
  {
    std::lock_guard lock(mutex);
    if (job->phase == Phase::finished) return;  // its answer is on its way
    began = job->phase == Phase::running;
    job->phase = Phase::left;
    if (!began && --under_way == 0) idle.notify_all();
  }
  job->failure = Error{
      Code::timeout,
      "island " + id +
          (began ? ": no answer by the deadline" : ": the deadline passed before the operation could start"),
      {}};
  job->self.resume();
}

}  // namespace archipel::island
