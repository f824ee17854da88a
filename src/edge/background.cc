#include "edge/background.h"

#include <algorithm>
#include <optional>

namespace archipel::edge {
namespace {

io::Task<void> join(io::TaskScope* scope) {
  co_await scope->join();
}

}  // namespace

Background::Background(const std::vector<io::Loop*>& loops) {
  for (io::Loop* loop : loops) {
    loops_.push_back(std::make_unique<OfLoop>());
    loops_.back()->loop = loop;
  }
}

io::TaskScope& Background::here() {
  io::Loop* loop = io::Loop::current();
  auto mine = std::ranges::find_if(loops_, [loop](const auto& one) { return one->loop == loop; });
  CHECK(mine != loops_.end());
  return (*mine)->scope;
}

io::Task<void> Background::close() {
  io::Loop* home = io::Loop::current();
  for (auto& one : loops_) {
    co_await io::resume_on(*one->loop);
    io::Task<void> joined = join(&one->scope);
    co_await std::move(joined);
  }
  // What the last of them let go on other loops, by posting, has gone there when this has passed.
  for (auto& one : loops_) co_await io::resume_on(*one->loop);
  co_await io::resume_on(*home);
}

}  // namespace archipel::edge
