#include "extent/loop_scopes.h"

#include <vector>

namespace archipel::extent {

io::Task<void> LoopScopes::counted(PerLoop& loop, io::Task<void> task) {
  co_await std::move(task);
  loop.running.fetch_sub(1, std::memory_order_release);
}

void LoopScopes::spawn(io::Task<void> task) {
  if (task.done()) return;
  PerLoop* loop;
  {
    std::lock_guard lock(mutex_);
    auto& slot = loops_[io::Loop::current()];
    if (slot == nullptr) slot = std::make_unique<PerLoop>();
    loop = slot.get();
  }
  loop->running.fetch_add(1, std::memory_order_relaxed);
  loop->scope.spawn(counted(*loop, std::move(task)));
}

io::Task<void> LoopScopes::drain() {
  io::Loop* home = io::Loop::current();
  std::vector<std::pair<io::Loop*, PerLoop*>> busy;
  {
    std::lock_guard lock(mutex_);
    for (auto& [loop, state] : loops_) {
      // An idle loop may be gone already: it is not touched. Ours is joined in any case, to the very end of its tasks.
      if (state->running.load(std::memory_order_acquire) > 0 || loop == home)
        busy.emplace_back(loop, state.get());
    }
  }
  for (auto& [loop, state] : busy) {
    co_await io::resume_on(*loop);
    co_await state->scope.join();
  }
  co_await io::resume_on(*home);
}

}  // namespace archipel::extent
