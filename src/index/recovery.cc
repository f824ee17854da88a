#include "index/recovery.h"

#include "index/recovery_run.h"

namespace archipel::index {

io::Task<Result<Recovered>> Recovery::run() {
  Result<void> decided = co_await decide();
  if (!decided) co_return with_snapshot_trouble(decided.error());
  co_return std::move(out_);
}

io::Task<Result<void>> Recovery::decide() {
  CO_RETURN_IF_ERROR(co_await find_highest_open());
  CO_RETURN_IF_ERROR(co_await choose_start());
  CO_RETURN_IF_ERROR(check_head_against_ancestry());
  for (size_t i = start_; i < path_.size(); ++i) {
    const KnownOpen& epoch = path_[i];
    if (seq_ == 0 && (i > start_ || !index_)) {
      hash_ = epoch.hash();
      std::vector<Mutation> opening = mutations_of(epoch.open, epoch.hash());
      if (i + 1 == path_.size()) {
        out_.unproven = std::move(opening);  // until a commit or the head proves that the epoch was served
      } else {
        CO_RETURN_IF_ERROR(co_await apply(std::move(opening)));
      }
    }
    if (i + 1 == path_.size()) break;
    const EpochOpen& child = path_[i + 1].open;
    CO_RETURN_IF_ERROR(co_await replay_closed(epoch, child.parent_seq, child.parent_hash));
    seq_ = 0;
  }
  CO_RETURN_IF_ERROR(co_await replay_last());
  CO_RETURN_IF_ERROR(co_await refuse_below_at_least());
  CO_RETURN_IF_ERROR(co_await flush());
  out_.tail_seq = seq_;
  out_.tail_hash = hash_;
  if (!out_.undecided) co_await look_for_debt();
  out_.current = std::move(path_.back());
  co_return {};
}

io::Task<Result<Recovered>> recover(RecoveryInput input) {
  Recovery recovery(input);
  Result<Recovered> recovered = co_await recovery.run();
  co_return recovered;
}

}  // namespace archipel::index
