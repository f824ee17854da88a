#include "store/give_up.h"

namespace archipel::store {
namespace {

Result<void> build_give_up(const std::vector<extent::ExtentRef>& extents, UnixMs now_ms,
                           const index::View& view, std::vector<index::Mutation>& out) {
  for (const extent::ExtentRef& ref : extents) {
    ASSIGN_OR_RETURN(std::optional<std::string> live, view.get(live_key(key_of(ref))));
    std::string doomed = doomed_key(key_of(ref));
    ASSIGN_OR_RETURN(std::optional<std::string> before, view.get(doomed));
    if (!live && !before) out.push_back({std::move(doomed), encode(doomed_now(ref, now_ms))});
  }
  return {};
}

}  // namespace

io::Task<void> give_up(index::Committer& committer, Clock& clock, std::vector<extent::ExtentRef> extents) {
  index::Intent intent;
  intent.build = [extents = std::move(extents), now_ms = clock.unix_ms()](
                     const index::View& view, const std::vector<index::SmallLocation>&,
                     std::vector<index::Mutation>& out) { return build_give_up(extents, now_ms, view, out); };
  [[maybe_unused]] Result<index::CommitPosition> done = co_await committer.commit(std::move(intent));
}

}  // namespace archipel::store
