#include "base/log.h"
#include "index/recovery_run.h"

namespace archipel::index {
namespace {

constexpr int kReplayWindow = 16;         // commits read at once
constexpr size_t kApplyBytes = 4u << 20;  // written to the view at once

size_t bytes_of(const std::vector<Mutation>& mutations) {
  size_t bytes = 0;
  for (const Mutation& m : mutations) bytes += m.key.size() + (m.value ? m.value->size() : 0);
  return bytes;
}

}  // namespace

Result<FoundCommit> Recovery::link(uint64_t epoch, uint64_t seq, OpenedBlob blob) {
  FoundCommit found;
  found.seq = seq;
  ASSIGN_OR_RETURN(found.record, decode_record(blob.plain));
  if (found.record.epoch != epoch || found.record.seq != seq || found.record.prev_hash != hash_) {
    return fail(Code::corrupt, "fork: " + place(epoch, seq) + " does not continue the chain before it");
  }
  hash_ = blob.sealed.hash;
  seq_ = seq;
  found.blob = std::move(blob);
  if (in_.head && in_.head->position.epoch == epoch && in_.head->position.seq == seq &&
      in_.head->position.hash != hash_) {
    return fail(Code::corrupt, "rollback: " + place(epoch, seq) + " is not the one that was acknowledged");
  }
  RETURN_IF_ERROR(check_at_least(epoch, seq, hash_));
  return found;
}

bool Recovery::is_voided(uint64_t epoch, uint64_t seq) const {
  const std::optional<CommitPosition>& from = in_.attested.void_from;
  return from && from->epoch == epoch && from->seq <= seq && (from->seq == 0) == (seq == 0);
}

// The first question that stays open is the one to answer.
void Recovery::undecided(uint64_t epoch, uint64_t seq, std::string message) {
  if (out_.undecided) return;
  out_.undecided.emplace();
  out_.undecided->what = {epoch, seq};
  out_.undecided->error = {Code::undetermined, std::move(message), {}};
}

// On the way: the commit that the operator named, if this is it.
Result<void> Recovery::check_at_least(uint64_t epoch, uint64_t seq, const Digest32& hash) {
  const auto& least = in_.attested.at_least;
  const uint64_t wanted = least && least->epoch != 0 ? least->epoch : path_.back().open.epoch;
  if (!least || epoch != wanted || seq != least->seq) return {};
  at_least_met_ = hex(hash).starts_with(least->hash);
  if (at_least_met_) return {};
  return fail(Code::corrupt, "rollback: " + place(epoch, seq) + " has the hash " + hex(hash) + " and not " +
                                 least->hash + ". Nothing was written");
}

// At the end: the journal goes at least as far as the operator said, and what lies before the view's own position is looked at too.
io::Task<Result<void>> Recovery::refuse_below_at_least() {
  const auto& least = in_.attested.at_least;
  if (!least || at_least_met_) co_return {};
  const uint64_t last = path_.back().open.epoch, wanted = least->epoch != 0 ? least->epoch : last;
  uint64_t commits = wanted == last ? seq_ : least->seq;
  for (size_t i = 1; i < path_.size(); ++i) {
    if (path_[i].open.parent_epoch == wanted) commits = path_[i].open.parent_seq;
  }
  if (wanted > last || commits < least->seq) {
    co_return fail(Code::corrupt,
                   "rollback: the journal goes to " + place(last, seq_) + ", and " +
                       place(wanted, least->seq) +
                       " was acknowledged; the islands that answer are behind. Nothing was written");
  }
  std::optional<OpenedBlob> found = co_await in_.reader.find({BlobKind::open, wanted, 0, {}});
  if (found && least->seq > 0) {
    CO_ASSIGN_OR_RETURN(EpochOpen open, decode_open(found->plain));
    found = co_await in_.reader.find({BlobKind::commit, wanted, least->seq, open.bits});
  }
  if (!found) {
    co_return fail(Code::undetermined,
                   place(wanted, least->seq) +
                       " is on none of the islands that answer, so that --at-least cannot be "
                       "checked; name a later commit");
  }
  if (hex(found->sealed.hash).starts_with(least->hash)) co_return {};
  co_return fail(Code::corrupt, "rollback: " + place(wanted, least->seq) + " has the hash " +
                                    hex(found->sealed.hash) + " and not " + least->hash +
                                    ". Nothing was written");
}

io::Task<Result<void>> Recovery::apply(std::vector<Mutation> mutations) {
  batch_bytes_ += bytes_of(mutations);
  std::ranges::move(mutations, std::back_inserter(batch_));
  if (batch_bytes_ < kApplyBytes) co_return {};
  co_return co_await flush();
}

io::Task<Result<void>> Recovery::flush() {
  if (batch_.empty()) co_return {};
  Result<void> written = co_await in_.workers.run([this] { return in_.view.kv().write(batch_); });
  batch_.clear();
  batch_bytes_ = 0;
  co_return written;
}

io::Task<Result<void>> Recovery::apply_commit(const OpenBits& open, FoundCommit& found, bool proven) {
  ++out_.replayed;
  std::vector<Mutation> mutations = mutations_of(found.record, found.blob.sealed.hash, open, code_.n);
  found.record.mutations.clear();
  if (!proven) {
    std::ranges::move(mutations, std::back_inserter(out_.unproven));
    co_return {};
  }
  if (!out_.unproven.empty()) CO_RETURN_IF_ERROR(co_await apply(std::exchange(out_.unproven, {})));
  co_return co_await apply(std::move(mutations));
}

// An epoch whose tail its child names: one valid copy of each commit is enough.
io::Task<Result<void>> Recovery::replay_closed(const KnownOpen& open, uint64_t tail_seq,
                                               const Digest32& tail_hash) {
  const uint64_t epoch = open.open.epoch;
  while (seq_ < tail_seq) {
    const uint64_t first = seq_ + 1;
    const int count = static_cast<int>(std::min<uint64_t>(kReplayWindow, tail_seq - seq_));
    std::vector<std::optional<OpenedBlob>> window =
        co_await in_.reader.find_window({BlobKind::commit, epoch, first, open.open.bits}, count);
    for (size_t i = 0; i < window.size(); ++i) {
      if (!window[i]) {
        Poll poll = co_await in_.reader.poll({BlobKind::commit, epoch, first + i, open.open.bits});
        co_return fail(Code::unavailable,
                       place(epoch, first + i) +
                           " was acknowledged and is on none of the islands that answer; it can be on: " +
                           in_.reader.unheard(poll));
      }
      CO_ASSIGN_OR_RETURN(FoundCommit found, link(epoch, first + i, std::move(*window[i])));
      CO_RETURN_IF_ERROR(co_await apply_commit(open.open.bits, found, true));
    }
  }
  if (hash_ != tail_hash)
    co_return fail(Code::corrupt,
                   "fork: epoch " + std::to_string(epoch) + " does not end as the next epoch says");
  co_return {};
}

// A commit is sent when those more than the window before it were acknowledged, and tells of others that were.
void Recovery::learn(uint64_t seq, const Record& told) {
  if (seq > kInFlightMax) proven_ = std::max(proven_, seq - kInFlightMax);
  for (const Record::Confirmed& c : told.confirmed) {
    if (c.epoch == path_.back().open.epoch && c.seq < seq) proven_ = std::max(proven_, c.seq);
  }
}

// Commits were in flight beside the first that is missing: those behind it, up to the window, that were not looked for yet (`from` on) can
// tell that it was acknowledged.
io::Task<Result<void>> Recovery::probe_behind(uint64_t gap, uint64_t from) {
  const uint64_t end = gap + kInFlightMax;
  if (from >= end) co_return {};
  std::vector<std::optional<OpenedBlob>> window =
      co_await in_.reader.find_window(commit_name(from), static_cast<int>(end - from));
  for (size_t i = 0; i < window.size(); ++i) {
    if (!window[i]) continue;
    CO_ASSIGN_OR_RETURN(Record told, decode_record(window[i]->plain));
    learn(from + i, told);
  }
  co_return {};
}

// The epoch whose tail is to be decided.
io::Task<Result<void>> Recovery::replay_last() {
  const EpochOpen& open = path_.back().open;
  const bool own = in_.head && in_.head->position.epoch == open.epoch;
  exact_ = own && in_.head->exact;
  // The view too holds only what was acknowledged, or what a served epoch was built on.
  proven_ = std::max(own ? in_.head->position.seq : 0, seq_);
  // So does a slot: it is written after the commit that it names was acknowledged.
  if (in_.slot != nullptr && in_.slot->position.epoch == open.epoch && in_.slot->position.open == open.bits)
    proven_ = std::max(proven_, in_.slot->position.seq);

  std::deque<FoundCommit> recent;  // the last few in a row
  uint64_t gap = 0;                // the first that is found nowhere
  while (gap == 0) {
    const uint64_t first = seq_ + 1;
    std::vector<std::optional<OpenedBlob>> window =
        co_await in_.reader.find_window(commit_name(first), kReplayWindow);
    for (size_t i = 0; i < window.size(); ++i) {
      if (!window[i]) {
        if (gap == 0) gap = first + i;
        continue;
      }
      const uint64_t seq = first + i;
      Record told;
      if (gap == 0) {
        CO_ASSIGN_OR_RETURN(FoundCommit found, link(open.epoch, seq, std::move(*window[i])));
        told.confirmed = found.record.confirmed;
        recent.push_back(std::move(found));
      } else {
        CO_ASSIGN_OR_RETURN(told, decode_record(window[i]->plain));
      }
      learn(seq, told);
    }
    if (gap != 0) CO_RETURN_IF_ERROR(co_await probe_behind(gap, first + kReplayWindow));
    while (recent.size() > kInFlightMax && recent.front().seq <= proven_) {
      CO_RETURN_IF_ERROR(co_await apply_commit(open.bits, recent.front(), true));
      recent.pop_front();
    }
  }
  // An exact head says all that was acknowledged. Where anything tells of more, it is an older copy that was put back, and settles nothing.
  if (exact_ && proven_ > in_.head->position.seq) {
    exact_ = false;
    log::warn("journal.head_old", {{"head", place(open.epoch, in_.head->position.seq)},
                                   {"acknowledged", place(open.epoch, proven_)},
                                   {"consequence", "recovering from the islands alone"}});
  }
  if (in_.attested.adopt && in_.attested.adopt->epoch == open.epoch)
    proven_ = std::max(proven_, in_.attested.adopt->seq);
  for (FoundCommit& found : recent) {
    if (out_.undecided && found.seq > proven_) {
      // Whatever is decided about later epochs, this much is proven.
      seq_ = found.seq - 1;
      hash_ = found.record.prev_hash;
      co_return {};
    }
    Result<bool> adopted = co_await judge(found);
    if (!adopted) co_return fail(adopted.error());
    if (!*adopted) {
      // It is void, and with it every later commit of this epoch; or it cannot be told, and nothing is built on it.
      if (!out_.undecided) out_.voided = found.seq;
      seq_ = found.seq - 1;
      hash_ = found.record.prev_hash;
      co_return {};
    }
    CO_RETURN_IF_ERROR(co_await apply_commit(open.bits, found, found.seq <= proven_));
  }
  co_return co_await judge_gap(gap);
}

// True: adopted; false: void, or undecided.
io::Task<Result<bool>> Recovery::judge(FoundCommit& found) {
  Poll poll = co_await in_.reader.poll(commit_name(found.seq));
  const EpochOpen& open = path_.back().open;
  if (poll.any() != nullptr && (poll.forked() || poll.any()->sealed.hash != found.blob.sealed.hash)) {
    co_return fail(Code::corrupt, "fork: there are two different copies of " + place(open.epoch, found.seq));
  }
  if (poll.any() != nullptr) judged_[found.seq] = holders_or_emptied(poll);
  const int holders = poll.holders();
  const bool readable = holders >= code_.k && poll.section;
  // One that is proven is copied on as far as it is known: with its section if that can be had, which k shards always give.
  if ((readable || found.seq <= proven_) && poll.section && holders < in_.w) {
    out_.complete.push_back(
        {{found.blob.sealed.header, Buffer::copy_of(found.blob.sealed.bytes), found.blob.sealed.hash},
         std::move(*poll.section)});
  }
  if (readable || found.seq <= proven_) co_return true;
  if (is_voided(open.epoch, found.seq) || exact_ || is_void(in_.reader.count(poll, open, true), code_))
    co_return false;
  undecided(open.epoch, found.seq,
            "whether " + place(open.epoch, found.seq) + " happened cannot be told: " +
                std::to_string(holders) + " of at least " + std::to_string(code_.k) +
                " shards were found; islands that could settle it: " + in_.reader.unheard(poll));
  out_.undecided->holders = holders;
  out_.undecided->commit_ms = found.record.commit_ms;
  out_.undecided->mutations = std::move(found.record.mutations);
  co_return false;
}

// Who holds a commit that was asked for everywhere. One that lost everything, or came back empty since, is filled again as a whole: it owes
// nothing for this one.
uint32_t Recovery::holders_or_emptied(const Poll& poll) const {
  const EpochOpen& open = path_.back().open;
  uint32_t mask = 0;
  for (size_t i = 0; i < poll.heard.size(); ++i) {
    const IslandSeen& seen = in_.reader.seen()[i];
    const bool emptied =
        seen.state == IslandSeen::State::lost ||
        (seen.state == IslandSeen::State::present && seen.incarnation != open.roster[i].incarnation);
    if (emptied || poll.heard[i].answer == Heard::Answer::found) mask |= 1u << i;
  }
  return mask;
}

// The masks of the last commits may never have been told by a later record. An island that is silent now may hold them: repair will see.
// Those that were judged have been asked for already.
io::Task<void> Recovery::look_for_debt() {
  const uint64_t first = seq_ > kInFlightMax ? seq_ - kInFlightMax + 1 : 1;
  for (uint64_t seq = first; seq <= seq_; ++seq) {
    auto judged = judged_.find(seq);
    if (judged == judged_.end()) {
      Poll poll = co_await in_.reader.poll(commit_name(seq));
      if (poll.any() == nullptr) continue;  // truncated
      judged = judged_.emplace(seq, holders_or_emptied(poll)).first;
    }
    const uint32_t mask = judged->second;
    if (mask != (1u << code_.n) - 1) out_.in_debt.push_back({path_.back().open.epoch, seq, mask});
  }
}

io::Task<Result<void>> Recovery::judge_gap(uint64_t gap) {
  const EpochOpen& open = path_.back().open;
  if ((exact_ || is_voided(open.epoch, gap) || out_.undecided) && gap > proven_) co_return {};
  Poll poll = co_await in_.reader.poll(commit_name(gap));
  const bool gone = is_void(in_.reader.count(poll, open, true), code_);
  if (gap <= proven_ && gone) {
    co_return fail(Code::corrupt, "rollback: " + place(open.epoch, gap) +
                                      " was acknowledged and the islands do not have it; they were set back "
                                      "to an older state. Nothing was written");
  }
  if (gap > proven_ && gone) co_return {};
  undecided(open.epoch, gap,
            "whether " + place(open.epoch, gap) +
                " happened cannot be told; islands that could settle it: " + in_.reader.unheard(poll));
  co_return {};
}

}  // namespace archipel::index
