#include "store/background.h"

#include <vector>

namespace archipel::store {

io::Task<void> Background::counted(io::Task<void> task, Room* room) {
  co_await std::move(task);
  room->active.fetch_sub(1);
}

void Background::spawn(io::Task<void> task) {
  Room* room;
  {
    std::lock_guard lock(mutex_);
    std::unique_ptr<Room>& slot = rooms_[io::Loop::current()];
    if (!slot) slot = std::make_unique<Room>();
    room = slot.get();
  }
  room->active.fetch_add(1);
  room->scope.spawn(counted(std::move(task), room));
}

io::Task<void> Background::drain() {
  io::Loop& home = *io::Loop::current();
  std::vector<std::pair<io::Loop*, Room*>> busy;
  {
    std::lock_guard lock(mutex_);
    for (auto& [loop, room] : rooms_)
      if (room->active.load() > 0) busy.emplace_back(loop, room.get());
  }
  for (auto [loop, room] : busy) {
    co_await io::resume_on(*loop);
    co_await room->scope.join();
  }
  co_await io::resume_on(home);
}

}  // namespace archipel::store
