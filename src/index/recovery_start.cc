#include "base/log.h"
#include "index/recovery_run.h"

namespace archipel::index {
namespace {

constexpr uint64_t kVoidedEpochs = 8;  // numbers passed over when an operator says that an epoch never was
constexpr int kLiars = 1;              // f of protocol §2
constexpr uint64_t kEpochsAheadMax = 1u << 20;  // claims above one another: more is no accident

// "No later epoch": the absences of a claim (or of an open that was claimed) that prove it was never on w islands. `attested`: the operator
// vouches for the freshness, and no liar is reckoned with.
bool none_later(const Counts& c, erasure::Code code, bool attested) {
  const int need = code.n - code.w() + 1;
  return c.absent >= need && (attested || c.absent >= need + kLiars || c.absent + c.lost == code.n);
}

}  // namespace

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
}  // namespace archipel::index
