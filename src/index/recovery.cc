#include "index/recovery.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "base/log.h"

namespace archipel::index {
namespace {

constexpr int kReplayWindow = 16;         // commits read at once
constexpr size_t kApplyBytes = 4u << 20;  // written to the view at once
constexpr uint64_t kVoidedEpochs = 8;     // numbers passed over when an operator says that an epoch never was
constexpr int kLiars = 1;                 // f of protocol §2
constexpr uint64_t kEpochsAheadMax = 1u << 20;  // claims above one another: more is no accident

std::string place(uint64_t epoch, uint64_t seq) {
  return "commit " + std::to_string(epoch) + "." + std::to_string(seq);
}

// "No later epoch": the absences of a claim (or of an open that was claimed) that prove it was never on w islands. `attested`: the operator
// vouches for the freshness, and no liar is reckoned with.
bool none_later(const Counts& c, erasure::Code code, bool attested) {
  const int need = code.n - code.w() + 1;
  return c.absent >= need && (attested || c.absent >= need + kLiars || c.absent + c.lost == code.n);
}

// Without an exact head, a commit is void if it cannot have had w confirmations, and fewer than k shards can still turn up.
bool is_void(const Counts& c, erasure::Code code) {
  const int m = c.members;
  return c.absent >= std::max(1, m - code.w() + 1) && c.absent + c.lost >= m - code.k + 1;
}

size_t bytes_of(const std::vector<Mutation>& mutations) {
  size_t bytes = 0;
  for (const Mutation& m : mutations) bytes += m.key.size() + (m.value ? m.value->size() : 0);
  return bytes;
}

struct FoundCommit {
  uint64_t seq = 0;
  OpenedBlob blob;
  Record record;
};

class Recovery {
 public:
  explicit Recovery(RecoveryInput input) : in_(input), code_(in_.reader.code()) {}
  io::Task<Result<Recovered>> run();

 private:
  io::Task<Result<void>> decide();
  io::Task<bool> start_from_snapshot();
  io::Task<Result<void>> try_snapshot(const SnapshotManifest& manifest);
  bool snapshot_after(const Applied& position) const;
  bool truncated_after(const Applied& position) const;
  std::unexpected<Error> with_snapshot_trouble(Error error) const;
  io::Task<Result<void>> find_highest_open();
  io::Task<Result<void>> walk_back();
  io::Task<Result<void>> choose_start();
  io::Task<Result<bool>> index_is_on_the_chain(const Applied& applied, size_t* at);
  Result<void> check_head_against_ancestry() const;
  io::Task<Result<void>> replay_closed(const KnownOpen& open, uint64_t tail_seq, const Digest32& tail_hash);
  io::Task<Result<void>> replay_last();
  io::Task<Result<void>> probe_behind(uint64_t gap, uint64_t from);
  void learn(uint64_t seq, const Record& told);
  io::Task<Result<bool>> judge(FoundCommit& found);
  uint32_t holders_or_emptied(const Poll& poll) const;
  io::Task<void> look_for_debt();
  io::Task<Result<void>> judge_gap(uint64_t gap);
  Result<void> check_at_least(uint64_t epoch, uint64_t seq, const Digest32& hash);
  io::Task<Result<void>> refuse_below_at_least();
  bool is_voided(uint64_t epoch, uint64_t seq) const;
  void undecided(uint64_t epoch, uint64_t seq, std::string message);

  Result<void> check_roster(const EpochOpen& last) const;
  Result<KnownOpen> known(const OpenedBlob& blob) const;
  Result<FoundCommit> link(uint64_t epoch, uint64_t seq, OpenedBlob blob);
  io::Task<Result<void>> apply(std::vector<Mutation> mutations);
  io::Task<Result<void>> apply_commit(const OpenBits& open, FoundCommit& found, bool proven);
  io::Task<Result<void>> flush();
  ChainReader::Name commit_name(uint64_t seq) const {
    return {BlobKind::commit, path_.back().open.epoch, seq, path_.back().open.bits};
  }

  RecoveryInput in_;
  erasure::Code code_;
  Recovered out_;

  std::deque<KnownOpen> path_;    // ancestry of the highest open, oldest first, as far back as needed
  std::optional<Applied> index_;  // what the view holds, if it is used
  size_t start_ = 0;              // replay starts in path_[start_] ...
  uint64_t seq_ = 0;              // ... after this commit; moves on as commits are linked
  Digest32 hash_{};
  std::vector<Mutation> batch_;
  size_t batch_bytes_ = 0;
  std::string snapshot_trouble_;  // why the snapshots could not be used
  bool from_the_beginning_ = false;

  // Of the last epoch:
  bool exact_ = false;
  bool at_least_met_ = false;
  std::map<uint64_t, uint32_t> judged_;  // who holds the commits of the last epoch that were judged
  uint64_t proven_ = 0;                  // commits up to here are known to have been acknowledged
};

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

Result<KnownOpen> Recovery::known(const OpenedBlob& blob) const {
  KnownOpen out;
  ASSIGN_OR_RETURN(out.open, decode_open(blob.plain));
  out.sealed = {blob.sealed.header, Buffer::copy_of(blob.sealed.bytes), blob.sealed.hash};
  if (out.open.epoch != blob.sealed.header.epoch)
    return fail(Code::corrupt, "an epoch-open names another epoch than its blob");
  if (out.open.code != code_) {
    return fail(Code::invalid, "the journal was written with code n=" + std::to_string(out.open.code.n) +
                                   " k=" + std::to_string(out.open.code.k) +
                                   ", the configuration says otherwise; set it back");
  }
  return out;
}

// The seats of the last roster are the configuration's; earlier ones may have had other islands in them.
Result<void> Recovery::check_roster(const EpochOpen& last) const {
  for (size_t i = 0; i < last.roster.size(); ++i) {
    const std::string& seated = last.roster[i].island;
    const std::string& configured = in_.placement.islands[i]->id();
    if (seated == configured) continue;
    if (std::ranges::any_of(in_.gone,
                            [&](const Gone& g) { return g.id == seated && g.replacement == configured; }))
      continue;
    return fail(Code::invalid, "the journal has island " + seated + " where the configuration has " +
                                   configured + "; list the islands in the journal's order, or, if " +
                                   seated + " is gone for good, run recover --gone " + seated + "=" +
                                   configured);
  }
  return {};
}

// Upwards over computed names from an epoch that must exist: claim e+1, open e+1, ... until a claim is absent.
io::Task<Result<void>> Recovery::find_highest_open() {
  uint64_t number = in_.head ? in_.head->position.epoch : 1;
  if (in_.slot != nullptr) number = std::max(number, in_.slot->position.epoch);
  Poll open = co_await in_.reader.poll({BlobKind::open, number, 0, {}});
  if (open.any() == nullptr) {
    // It was on w islands: if all answer and none has it, they were set back.
    const bool all_absent =
        std::ranges::all_of(open.heard, [](const Heard& h) { return h.answer == Heard::Answer::absent; });
    if (in_.head && all_absent) {
      co_return fail(Code::corrupt,
                     "rollback: epoch " + std::to_string(number) +
                         " was opened and no island has its opening; they were set back to an "
                         "older state, or the head is of another journal. Nothing was written");
    }
    co_return fail(Code::undetermined,
                   "the opening of epoch " + std::to_string(number) +
                       " is on none of the islands that answer; islands that could settle it: " +
                       in_.reader.unheard(open));
  }
  std::vector<std::pair<uint64_t, Poll>>
      claimed;  // numbers claimed above the highest open, with the answers about their opens
  const uint64_t first = number;
  for (;; ++number) {
    if (open.any() != nullptr) {
      if (open.forked()) {
        co_return fail(Code::corrupt, "fork: there are two different openings of epoch " +
                                          std::to_string(number) +
                                          "; two gateways wrote to one realm. Stop both and ask for help");
      }
      CO_ASSIGN_OR_RETURN(KnownOpen found, known(*open.any()));
      path_.clear();
      path_.push_back(std::move(found));
      out_.complete_open = open.holders() < in_.w;
      claimed.clear();
    } else {
      claimed.emplace_back(number, std::move(open));
    }
    const uint64_t next = number + 1;
    if (next - first > kEpochsAheadMax)
      co_return fail(Code::limit, "there are too many epochs to look through");
    open = co_await in_.reader.poll({BlobKind::open, next, 0, {}});
    Poll claim = co_await in_.reader.poll({BlobKind::claim, next, 0, {}});
    if (open.any() != nullptr || claim.any() != nullptr) continue;
    if (is_voided(next, 0)) {
      // Its number and a few more are passed over, so that none is used twice if it turns up all the same.
      for (uint64_t passed = next; passed < next + kVoidedEpochs; ++passed) out_.claims.push_back(passed);
      number += kVoidedEpochs;
      break;
    }
    if (none_later(in_.reader.count(claim, path_.back().open, false), code_,
                   in_.attested.at_least.has_value()))
      break;
    undecided(next, 0,
              "whether epoch " + std::to_string(next) +
                  " was begun cannot be told; islands that could settle it: " + in_.reader.unheard(claim));
    break;
  }
  for (const auto& [claim, poll] : claimed) {
    if (!is_voided(claim, 0) && !none_later(in_.reader.count(poll, path_.back().open, false), code_,
                                            in_.attested.at_least.has_value())) {
      undecided(claim, 0,
                "epoch " + std::to_string(claim) +
                    " was claimed, and whether it was opened cannot be told; islands that could settle it: " +
                    in_.reader.unheard(poll));
    }
    out_.claims.push_back(claim);
  }
  CO_RETURN_IF_ERROR(check_roster(path_.back().open));
  std::ranges::sort(out_.claims);
  out_.next_epoch = number + 1;
  co_return {};
}

// Finds the opens of the ancestors down to where replay starts and the head lies.
io::Task<Result<void>> Recovery::walk_back() {
  uint64_t lowest = index_ ? index_->epoch : 0;
  if (in_.head) lowest = std::min(lowest, in_.head->position.epoch);
  while (path_.front().open.parent_epoch != 0 && path_.front().open.epoch > lowest) {
    const uint64_t parent = path_.front().open.parent_epoch;
    std::optional<OpenedBlob> blob = co_await in_.reader.find({BlobKind::open, parent, 0, {}});
    if (!blob) {
      co_return fail(Code::unavailable,
                     "the opening of epoch " + std::to_string(parent) +
                         " is on none of the islands that answer; bring back those that are unreachable");
    }
    CO_ASSIGN_OR_RETURN(KnownOpen found, known(*blob));
    path_.push_front(std::move(found));
  }
  co_return {};
}

// Where the view stands, if it stands on this chain.
io::Task<Result<bool>> Recovery::index_is_on_the_chain(const Applied& applied, size_t* at) {
  auto epoch = std::ranges::find_if(path_, [&](const KnownOpen& o) { return o.open.epoch == applied.epoch; });
  if (epoch == path_.end() || epoch->open.bits != applied.open) co_return false;
  *at = static_cast<size_t>(epoch - path_.begin());
  if (epoch + 1 != path_.end() && applied.seq > (epoch + 1)->open.parent_seq) co_return false;
  if (applied.seq == 0) co_return applied.hash == epoch->hash();
  Poll poll = co_await in_.reader.poll({BlobKind::commit, applied.epoch, applied.seq, applied.open});
  if (poll.any() != nullptr) co_return poll.any()->sealed.hash == applied.hash;
  // Silence says nothing against the view: only absence does.
  if (is_void(in_.reader.count(poll, epoch->open, true), code_)) co_return false;
  co_return fail(Code::unavailable,
                 place(applied.epoch, applied.seq) +
                     ", up to which the index goes, is on none of the islands that answer; it can be on: " +
                     in_.reader.unheard(poll) + ". Nothing was written");
}

io::Task<Result<void>> Recovery::choose_start() {
  Result<std::optional<Applied>> applied =
      co_await in_.workers.run([this] { return read_applied(*in_.view.kv().snapshot()); });
  if (applied) index_ = *applied;
  CO_RETURN_IF_ERROR(co_await walk_back());
  if (index_) {
    Result<bool> good = co_await index_is_on_the_chain(*index_, &start_);
    if (!good && !snapshot_after(*index_)) co_return fail(good.error());
    if (good && *good && !truncated_after(*index_)) {
      seq_ = index_->seq;
      hash_ = index_->hash;
      co_return {};
    }
  }
  if (index_ || !applied) {
    log::warn(
        "journal.index_rebuilt",
        {{"reason", applied ? "it is not a state of this journal, or an old one" : applied.error().message}});
    Result<void> reset = co_await in_.workers.run([this] { return in_.view.reset(); });
    if (!reset) co_return fail(reset.error());
  }
  const bool loaded = co_await start_from_snapshot();
  if (loaded) co_return {};
  from_the_beginning_ = true;
  index_.reset();
  start_ = 0;
  co_return co_await walk_back();
}

bool Recovery::snapshot_after(const Applied& position) const {
  if (in_.slot == nullptr || in_.slot->snapshots.empty()) return false;
  const Applied& newest = in_.slot->snapshots.front().position;
  return std::tie(newest.epoch, newest.seq) > std::tie(position.epoch, position.seq);
}

// The journal from there on may be gone: what lies below the older of two kept snapshots can have been deleted. So it is after a crash of the
// machine that cost the view much, or where DIR is an old copy.
bool Recovery::truncated_after(const Applied& position) const {
  if (in_.slot == nullptr || in_.slot->snapshots.size() < 2) return false;
  const Applied& older = in_.slot->snapshots.back().position;
  return std::tie(older.epoch, older.seq) > std::tie(position.epoch, position.seq);
}

// True: the view is as of a snapshot, and replay goes on from there.
io::Task<bool> Recovery::start_from_snapshot() {
  if (in_.slot == nullptr) co_return false;
  for (const SnapshotManifest& manifest : in_.slot->snapshots) {
    Result<void> tried = co_await try_snapshot(manifest);
    if (tried) {
      seq_ = index_->seq;
      hash_ = index_->hash;
      out_.snapshot = manifest.number;
      co_return true;
    }
    log::error("journal.snapshot_not_used",
               {{"snapshot", manifest.number}, {"reason", tried.error().message}});
    snapshot_trouble_ += (snapshot_trouble_.empty() ? "" : "; ") + tried.error().message;
  }
  co_return false;
}

io::Task<Result<void>> Recovery::try_snapshot(const SnapshotManifest& manifest) {
  index_ = manifest.position;
  CO_RETURN_IF_ERROR(co_await walk_back());
  Result<bool> good = co_await index_is_on_the_chain(*index_, &start_);
  if (!good) co_return fail(good.error());
  if (!*good) {
    co_return fail(Code::corrupt, "snapshot " + std::to_string(manifest.number) + " is as of " +
                                      place(index_->epoch, index_->seq) + ", which is not in this journal");
  }
  Result<void> loaded = co_await in_.load_snapshot(manifest, in_.view.kv());
  if (loaded) co_return {};
  Result<void> reset = co_await in_.workers.run([this] { return in_.view.reset(); });
  if (!reset) co_return fail(reset.error());
  co_return loaded;
}

// A replay from the beginning that fails may be one that should not have been needed.
std::unexpected<Error> Recovery::with_snapshot_trouble(Error error) const {
  if (!from_the_beginning_) return fail(std::move(error));
  if (in_.slot == nullptr) {
    error.message +=
        "; no island showed a head slot, so the journal was read from its beginning, which may have been "
        "deleted";
  } else if (!snapshot_trouble_.empty()) {
    error = {
        Code::unavailable,
        "no snapshot of the index can be read: " + snapshot_trouble_ +
            ". Nor can the journal be read from its beginning, which may have been deleted: " + error.message,
        {}};
  }
  return fail(std::move(error));
}

// The head says what was acknowledged: a chain that does not contain it was rolled back.
Result<void> Recovery::check_head_against_ancestry() const {
  if (!in_.head) return {};
  const HeadPosition& head = in_.head->position;
  const std::string rollback =
      "; the islands were set back to an older state, or the head is of another journal. Nothing was written";
  auto epoch = std::ranges::find_if(path_, [&](const KnownOpen& o) { return o.open.epoch == head.epoch; });
  if (epoch == path_.end()) {
    return fail(Code::corrupt, "rollback: epoch " + std::to_string(head.epoch) +
                                   " was acknowledged, and the journal went on without it" + rollback);
  }
  if (head.seq == 0 && epoch->hash() != head.hash)
    return fail(Code::corrupt, "rollback: epoch " + std::to_string(head.epoch) + " differs" + rollback);
  if (epoch + 1 == path_.end()) return {};
  const EpochOpen& child = (epoch + 1)->open;
  if (child.parent_seq < head.seq || (child.parent_seq == head.seq && child.parent_hash != head.hash)) {
    return fail(Code::corrupt, "rollback: " + place(head.epoch, head.seq) +
                                   " was acknowledged, and the journal went on without it" + rollback);
  }
  return {};
}

// The commit is the next of the chain, or the chain is broken.
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

}  // namespace

io::Task<Result<Recovered>> recover(RecoveryInput input) {
  Recovery recovery(input);
  Result<Recovered> recovered = co_await recovery.run();
  co_return recovered;
}

}  // namespace archipel::index
