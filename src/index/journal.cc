#include "index/journal.h"

#include <algorithm>

#include "base/log.h"
#include "index/opener.h"
#include "index/snapshot_loader.h"
#include "island/marker.h"

namespace archipel::index {
namespace {

constexpr uint64_t kExtentsAtOpen = 64;  // extent ids that an epoch-open reserves
constexpr Duration kMarkerWriteDeadline = std::chrono::seconds(30);
constexpr size_t kBatchBytesLimit = 4u << 20;  // protocol §2: a DELETE never waits for more

Result<void> check_options(const JournalOptions& options, const extent::Placement& placement) {
  RETURN_IF_ERROR(erasure::check_code(options.code));
  if (placement.islands.size() != static_cast<size_t>(options.code.n)) {
    return fail(Code::invalid, "the code needs " + std::to_string(options.code.n) + " islands and " +
                                   std::to_string(placement.islands.size()) + " are configured");
  }
  if (options.ack.w < options.code.w() || options.ack.w > options.code.n) {
    return fail(Code::invalid, "a write needs between " + std::to_string(options.code.w()) + " and " +
                                   std::to_string(options.code.n) + " confirmations, not " +
                                   std::to_string(options.ack.w));
  }
  if (options.in_flight_max < 1 || options.in_flight_max > kInFlightMax) {
    return fail(Code::invalid,
                "between 1 and 8 commits may be in flight, not " + std::to_string(options.in_flight_max));
  }
  if (options.batch_bytes_max < 1 || options.batch_bytes_max > kBatchBytesLimit) {
    return fail(Code::invalid,
                "a batch may hold up to 4 MiB, not " + std::to_string(options.batch_bytes_max) + " bytes");
  }
  return {};
}

io::Task<Result<CommitterParts>> reopen_epoch(JournalOptions options, const crypto::Keyring& keys,
                                              extent::Placement placement, extent::Fanout& fanout,
                                              io::Workers& workers, io::Loop& home, Random& random,
                                              Clock& clock, Kv& kv, const bool& stop,
                                              std::shared_ptr<bool> was_open,
                                              std::shared_ptr<LeaseKeeper> lease);

}  // namespace

Result<bool> Opener::open_dir() {
  ASSIGN_OR_RETURN(lock_, options_.files->lock());
  ASSIGN_OR_RETURN(head_, HeadFile::open(*options_.files, keys_));
  ASSIGN_OR_RETURN(const bool copy, LeaseKeeper::is_copy(*options_.files));
  if (copy) RETURN_IF_ERROR(head_->found_in_a_copy());
  ASSIGN_OR_RETURN(view_, ViewDir::open(*options_.files, "index", options_.open_view));
  Result<std::optional<Applied>> applied = read_applied(*view_->kv().snapshot());
  return !applied || *applied;
}

io::Task<Result<bool>> Opener::must_create(bool view_holds) {
  const bool begun = head_->found() && head_->found()->position.epoch == 0;
  const bool no_trace = !head_->found() && !view_holds && count(Seen::present) == 0;
  if (!begun && !(no_trace && options_.create)) co_return false;
  if (count(Seen::silent) > 0) {
    co_return fail(Code::unavailable, "a new realm is only made when every island answers; unreachable: " +
                                          list(Seen::silent) + " (" + reasons(Seen::silent) + ")");
  }
  if (!begun) co_return true;
  ChainReader reader = make_reader();
  Poll poll = co_await reader.poll({BlobKind::open, 1, 0, {}});
  co_return poll.any() == nullptr;
}

io::Task<Result<void>> Opener::create() {
  // Says that what is found half-made at the next start is ours to finish.
  Result<void> begun = co_await workers_.run([this] { return head_->write({}, false, true); });
  if (!begun) co_return fail(begun.error());
  CO_RETURN_IF_ERROR(co_await write_markers(IslandReport::State::joined));
  Result<void> reset = co_await workers_.run([this] { return view_->reset(); });
  if (!reset) co_return fail(reset.error());
  EpochOpen open;
  open.epoch = 1;
  open.roster = next_roster(nullptr);
  CO_RETURN_IF_ERROR(co_await lease_->take(1, reached_));
  CO_RETURN_IF_ERROR(co_await put(seal_claim(keys_, 1), {}, Buffer()));
  co_return co_await open_epoch(std::move(open), {});
}

// Islands without a marker get one with a fresh incarnation. They are then present, and blank. A new realm needs them all; of one that goes
// on, an island that cannot be joined stays lost.
io::Task<Result<void>> Opener::write_markers(IslandReport::State joined_as) {
  for (size_t i = 0; i < seen_.size(); ++i) {
    const bool wanted = joined_as == IslandReport::State::joined || joins(i);
    if (seen_[i].state != Seen::lost || seen_[i].refused || !wanted) continue;
    island::Island& island = *placement_.islands[i];
    const island::Incarnation incarnation = random_.bytes<16>();
    const std::string marker = island::encode_marker(keys_, island.id(), incarnation);
    Result<void> written = co_await island.write_marker(as_bytes(marker), home_.now() + kMarkerWriteDeadline);
    const bool anew = joined_as == IslandReport::State::rejoined;
    if (!written) {
      const std::string reason = "island " + island.id() + " cannot be joined: " + written.error().message;
      if (!anew) co_return fail(Code::unavailable, reason);
      log::error("island.not_rejoined", {{"island", island.id()}, {"reason", reason}});
      seen_[i].reason = reports_[i].reason = reason;
      continue;
    }
    log::info(anew ? "island.rejoined" : "island.joined", {{"island", island.id()}});
    seen_[i].state = Seen::present;
    seen_[i].incarnation = incarnation;
    reports_[i].state = joined_as;
    reports_[i].reason = anew ? "it had no marker and is empty now: what it held is repair debt" : "";
  }
  co_return {};
}

// `current`: the roster before, null for a new realm. Fills in which shards are reached.
std::vector<RosterEntry> Opener::next_roster(const EpochOpen* current) const {
  std::vector<RosterEntry> roster;
  for (size_t i = 0; i < seen_.size(); ++i) {
    RosterEntry entry;
    entry.island = placement_.islands[i]->id();
    if (seen_[i].state == Seen::present) {
      entry.incarnation = seen_[i].incarnation;
    } else if (seen_[i].state == Seen::lost || current == nullptr) {
      entry.state = RosterEntry::State::lost;
    } else {
      // Silent: it may come back any moment, as what it was. But what answers under a wrong marker may be another's place: its confirmations
      // count for nothing in this epoch.
      entry = current->roster[i];
      if (seen_[i].refused && entry.state == RosterEntry::State::counted)
        entry.state = RosterEntry::State::uncounted;
    }
    roster.push_back(std::move(entry));
  }
  return roster;
}

io::Task<Result<void>> Opener::put(Sealed sealed, const OpenBits& open, Buffer section) {
  if (stop_ != nullptr && *stop_)
    co_return fail(Code::unavailable, "the gateway is shutting down; the next start recovers");
  auto set = co_await workers_.run([this, &sealed, &open, &section] {
    return make_blob_set(keys_, *coder_, placement_, open, std::move(sealed), section);
  });
  if (!set) co_return fail(set.error());
  Targets targets = Targets::of(placement_, reached_);
  Result<uint32_t> mask =
      co_await put_until_confirmed(fanout_, home_, std::move(*set), std::move(targets), options_.ack);
  if (!mask) co_return fail(mask.error());
  co_return {};
}

// `before`: changes of the view that may be shown once the epoch is open.
io::Task<Result<void>> Opener::open_epoch(EpochOpen open, std::vector<Mutation> before) {
  open.bits = random_.bytes<8>();
  open.code = options_.code;
  open.w = options_.ack.w;
  open.opened_ms = clock_.unix_ms();
  open.extent_range = kExtentsAtOpen;
  open.attempt_seed = random_.bytes<32>();
  Header header;
  header.kind = BlobKind::open;
  header.epoch = open.epoch;
  header.salt = random_.bytes<32>();
  Sealed sealed = seal(keys_, header, as_bytes(encode_open(open)));
  open_hash_ = sealed.hash;
  open_ = std::move(open);
  CO_RETURN_IF_ERROR(co_await put(std::move(sealed), {}, Buffer()));
  lease_->epoch_opened();
  std::ranges::move(mutations_of(open_, open_hash_), std::back_inserter(before));
  Result<void> kept = co_await workers_.run([this, &before]() -> Result<void> {
    // The head first, as for commits. Synced, so that an older file that says "clean" cannot come back after this epoch has acknowledged
    // anything.
    RETURN_IF_ERROR(head_->write({open_.epoch, 0, open_hash_}, false, true));
    return view_->kv().write(before);
  });
  co_return kept;
}

// Islands that came back empty and hold everything again, as they are now. On a worker.
Result<uint32_t> Opener::rebuilt_shards() const {
  if (!options_.rebuilt) return 0;
  std::vector<island::Incarnation> now;
  for (const IslandSeen& seen : seen_)
    now.push_back(seen.state == Seen::present ? seen.incarnation : island::Incarnation{});
  return options_.rebuilt(*view_->kv().snapshot(), now);
}

// Wipes add up: an epoch whose shards are left on fewer than k islands can be read no more, and rejoining what is missing would say that
// nothing is wrong.
Result<void> Opener::refuse_if_unreadable(const EpochOpen& current, uint64_t tail_seq) const {
  ASSIGN_OR_RETURN(std::vector<EpochOpen> opens, read_opens(*view_->kv().snapshot()));
  ASSIGN_OR_RETURN(const uint32_t rebuilt, rebuilt_shards());
  for (const EpochHeld& epoch : epochs_held(std::move(opens), current, tail_seq)) {
    int left = 0;
    std::string missing;
    for (size_t i = 0; i < seen_.size(); ++i) {
      const RosterEntry& then = epoch.open.roster[i];
      const bool counted = then.state == RosterEntry::State::counted;
      const bool holds = seen_[i].incarnation == then.incarnation ? counted : (rebuilt >> i & 1) != 0;
      if (seen_[i].state == Seen::present && holds) {
        ++left;
        continue;
      }
      if (!counted) continue;
      missing += (missing.empty() ? "" : ", ") + then.island +
                 (seen_[i].state == Seen::present ? " (wiped, and rejoined empty)"
                  : seen_[i].state == Seen::lost  ? " (lost: no marker)"
                                                  : " (unreachable)");
    }
    if (left >= options_.code.k) continue;
    return fail(Code::unavailable, "what was written in epoch " + std::to_string(epoch.open.epoch) + " (" +
                                       std::to_string(epoch.commits) + " commits) is left on " +
                                       std::to_string(left) + " islands, and " +
                                       std::to_string(options_.code.k) +
                                       " are needed to read it; the islands that held it too: " + missing +
                                       ". Bring them back with what they held. Nothing was written");
  }
  return {};
}

io::Task<Result<void>> Opener::load(Opener* self, const SnapshotManifest& manifest, Kv& kv) {
  Result<SnapshotLoaded> loaded =
      co_await load_snapshot(self->keys_, self->placement_, self->workers_, self->home_, manifest, kv);
  if (!loaded) co_return fail(loaded.error());
  co_return {};
}

// What happened, as far as the islands that answer tell; brings the view up to what is proven. Writes to no island.
io::Task<Result<void>> Opener::read_chain(Recovered& out) {
  ChainReader reader = make_reader();
  RecoveryInput input{reader,         *view_,         placement_,        workers_,
                      head_->found(), options_.ack.w, options_.attested, options_.gone};
  if (input.head && input.head->position.epoch == 0) input.head.reset();
  if (!in_use_) {
    SlotsSeen slots = co_await read_head_slots(keys_, placement_, seen_, workers_, home_);
    slot_ = std::move(slots.best);
  }
  if (slot_) input.slot = &*slot_;
  input.load_snapshot = [this](const SnapshotManifest& manifest, Kv& kv) { return load(this, manifest, kv); };
  Result<Recovered> recovered = co_await recover(input);
  // Where not even the beginning is known, the view that DIR has is left as it was: what it shows was acknowledged.
  if (!recovered && recovered.error().code != Code::undetermined) co_return fail(recovered.error());
  if (recovered) {
    replayed_ = recovered->replayed;
    const uint64_t epoch = recovered->current.open.epoch;
    findings_.tail = {epoch, recovered->tail_seq};
    findings_.tail_hash = recovered->tail_hash;
    findings_.claims = recovered->claims;
    for (const Recovered::Commit& commit : recovered->complete)
      findings_.completed.push_back({epoch, commit.sealed.header.seq});
    if (recovered->voided) findings_.voided = CommitPosition{epoch, *recovered->voided};
    snapshot_ = recovered->snapshot;
    if (!in_use_) {
      Result<void> readable = co_await workers_.run(
          [this, &recovered] { return refuse_if_unreadable(recovered->current.open, recovered->tail_seq); });
      if (!readable) co_return fail(readable.error());
    }
  }
  presentable_ = co_await workers_.run([this] {
    Result<std::optional<Applied>> applied = read_applied(*view_->kv().snapshot());
    return applied && *applied;
  });
  if (!recovered) co_return fail(recovered.error());
  if (recovered->undecided) {
    undecided_ = std::move(recovered->undecided);
    // That too few answer to write is the shorter story, and usually the reason for the other.
    CO_RETURN_IF_ERROR(refuse_if_too_few(options_.code.k, options_.ack.w));
    co_return fail(undecided_->error);
  }
  out = std::move(*recovered);
  co_return {};
}

io::Task<Result<void>> Opener::continue_chain() {
  CO_RETURN_IF_ERROR(refuse_if_too_few(options_.code.k, 0));
  // First: another gateway that goes on would make whatever is read here old.
  CO_RETURN_IF_ERROR(co_await lease_->exclude_others(present_shards(), stop_ != nullptr, stop_));
  Recovered recovered;
  CO_RETURN_IF_ERROR(co_await read_chain(recovered));
  CO_RETURN_IF_ERROR(refuse_if_too_few(options_.code.k, options_.ack.w));
  const EpochOpen& current = recovered.current.open;

  // Everything is decided: from here on islands are written to.
  for (size_t i = 0; i < seen_.size(); ++i) {
    if (seen_[i].state != Seen::present || seen_[i].incarnation == current.roster[i].incarnation) continue;
    reports_[i] = {placement_.islands[i]->id(), IslandReport::State::rejoined,
                   "it was rejoined empty: what it held is repair debt", false};
  }
  CO_RETURN_IF_ERROR(co_await write_markers(IslandReport::State::rejoined));
  if (count(Seen::present) < options_.ack.w) {
    co_return fail(Code::unavailable, "only " + std::to_string(count(Seen::present)) +
                                          " islands can take part, and " + std::to_string(options_.ack.w) +
                                          " are needed to write; lost: " + list(Seen::lost) + " (" +
                                          reasons(Seen::lost) + ")");
  }
  EpochOpen open;
  open.epoch = recovered.next_epoch;
  open.parent_epoch = current.epoch;
  open.parent_seq = recovered.tail_seq;
  open.parent_hash = recovered.tail_hash;
  open.roster = next_roster(&current);
  reached_ = present_shards();
  CO_RETURN_IF_ERROR(co_await lease_->take(open.epoch, reached_));

  std::vector<uint64_t> claims = recovered.claims;  // numbers have no gaps
  claims.push_back(open.epoch);
  for (uint64_t number : claims) {
    CO_RETURN_IF_ERROR(co_await put(seal_claim(keys_, number), {}, Buffer()));
  }
  const OpenBits bits = current.bits;
  if (recovered.complete_open) {
    CO_RETURN_IF_ERROR(co_await put(std::move(recovered.current.sealed), {}, Buffer()));
  }
  for (Recovered::Commit& commit : recovered.complete) {
    CO_RETURN_IF_ERROR(co_await put(std::move(commit.sealed), bits, std::move(commit.section)));
  }
  in_debt_ = std::move(recovered.in_debt);
  co_return co_await open_epoch(std::move(open), std::move(recovered.unproven));
}

CommitterParts Opener::hand_over() {
  uint32_t counted = 0;
  for (size_t i = 0; i < open_.roster.size(); ++i) {
    if (open_.roster[i].state == RosterEntry::State::counted) counted |= 1u << i;
  }
  log::info("journal.open", {{"epoch", open_.epoch}, {"replayed", replayed_}, {"snapshot", snapshot_}});
  return CommitterParts{.options = options_,
                        .keys = keys_,
                        .placement = placement_,
                        .counted = counted,
                        .fanout = fanout_,
                        .workers = workers_,
                        .home = home_,
                        .random = random_,
                        .clock = clock_,
                        .kv = view_->kv(),
                        .head = std::move(head_),
                        .open = open_,
                        .open_hash = open_hash_,
                        .unreported = std::make_shared<std::vector<Record::Confirmed>>(std::move(in_debt_)),
                        .on_failed = {}};
}

io::Task<Result<void>> Opener::decide(bool view_holds) {
  seen_ = co_await read_markers(keys_, placement_, home_);
  for (size_t i = 0; i < seen_.size(); ++i) {
    IslandReport report{placement_.islands[i]->id(), IslandReport::State::ok, seen_[i].reason,
                        seen_[i].refused};
    if (seen_[i].state == Seen::lost) report.state = IslandReport::State::lost;
    if (seen_[i].state == Seen::silent) report.state = IslandReport::State::unreachable;
    reports_.push_back(std::move(report));
  }
  CO_RETURN_IF_ERROR(hear_operator());
  Result<bool> fresh = co_await must_create(view_holds);
  if (!fresh) co_return fail(fresh.error());
  if (*fresh) {
    reached_ = (1u << options_.code.n) - 1;
    co_return co_await create();
  }
  for (const IslandReport& report : reports_) {
    if (report.state != IslandReport::State::ok)
      log::warn("island.missing", {{"island", report.id}, {"reason", report.reason}});
  }
  co_return co_await continue_chain();
}

io::Task<Result<Journal>> Opener::run() {
  CO_RETURN_IF_ERROR(check_options(options_, placement_));
  coder_ = std::make_unique<erasure::Coder>(options_.code);
  Result<bool> view_holds = co_await workers_.run([this] { return open_dir(); });
  if (!view_holds) co_return fail(view_holds.error());
  lease_ = std::make_shared<LeaseKeeper>(options_.lease, keys_, placement_, options_.code, options_.ack.w,
                                         options_.files, workers_, home_, random_, clock_);
  Result<void> decided = co_await lease_->begin();
  if (decided) decided = co_await decide(*view_holds);
  if (!decided && !presentable_) {
    // A start that was refused leaves the view as it found it.
    Result<void> restored = co_await workers_.run([this] { return view_->restore_old(); });
    if (!restored) log::error("journal.index_not_restored", {{"reason", restored.error().message}});
    co_return fail(decided.error());
  }
  co_await workers_.run([this] {
    view_->discard_old();
    return true;
  });
  auto was_open = std::make_shared<bool>(decided.has_value());
  Reopen reopen = [options = options_, &keys = keys_, placement = placement_, &fanout = fanout_,
                   &workers = workers_, &home = home_, &random = random_, &clock = clock_, was_open,
                   lease = lease_](Kv& kv, const bool& stop, std::vector<std::string> rejoin) {
    JournalOptions again = options;
    again.rejoin = std::move(rejoin);
    return reopen_epoch(std::move(again), keys, placement, fanout, workers, home, random, clock, kv, stop,
                        was_open, lease);
  };
  Journal journal;
  if (decided) {
    journal.committer = make_reopening_committer(hand_over(), {std::move(lock_), lease_}, std::move(reopen));
  } else {
    log::warn("journal.read_only", {{"reason", decided.error().message}});
    journal.committer = make_closed_committer({workers_, home_, view_->kv(), decided.error()},
                                              {std::move(lock_), lease_}, std::move(reopen));
  }
  journal.kv = view_->take();
  journal.lease = lease_;
  journal.islands = std::move(reports_);
  journal.epoch = open_.epoch;
  journal.replayed = replayed_;
  journal.undecided = std::move(undecided_);
  journal.findings = std::move(findings_);
  journal.snapshot = snapshot_;
  journal.progress = options_.progress;
  journal.slot = std::move(slot_);
  co_return journal;
}

io::Task<Result<CommitterParts>> Opener::run_again(Kv& kv, const bool& stop, bool was_open,
                                                   std::shared_ptr<LeaseKeeper> lease) {
  lease_ = std::move(lease);
  coder_ = std::make_unique<erasure::Coder>(options_.code);
  options_.create = false;
  view_ = ViewDir::in_use(kv);
  if (was_open) {
    options_.gone.clear();
    // What vanished while we run may be back in a moment, as what it was: only a start rejoins it empty. What an operator said was said of the
    // state that the start found.
    options_.rejoin_wiped = false;
    options_.attested = {};
    in_use_ = true;
  }
  stop_ = &stop;
  Result<std::unique_ptr<HeadFile>> head =
      co_await workers_.run([this] { return HeadFile::open(*options_.files, keys_); });
  if (!head) co_return fail(head.error());
  head_ = std::move(*head);
  Result<void> decided = co_await decide(true);
  if (!decided) co_return fail(decided.error());
  co_return hand_over();
}

namespace {

io::Task<Result<CommitterParts>> reopen_epoch(JournalOptions options, const crypto::Keyring& keys,
                                              extent::Placement placement, extent::Fanout& fanout,
                                              io::Workers& workers, io::Loop& home, Random& random,
                                              Clock& clock, Kv& kv, const bool& stop,
                                              std::shared_ptr<bool> was_open,
                                              std::shared_ptr<LeaseKeeper> lease) {
  Opener opener(std::move(options), keys, placement, fanout, workers, home, random, clock);
  Result<CommitterParts> parts = co_await opener.run_again(kv, stop, *was_open, std::move(lease));
  if (parts) *was_open = true;
  co_return parts;
}

}  // namespace

io::Task<Result<Journal>> open_journal(JournalOptions options, const crypto::Keyring& keys,
                                       const extent::Placement& placement, extent::Fanout& fanout,
                                       io::Workers& workers, io::Loop& home, Random& random, Clock& clock) {
  io::Loop* caller = io::Loop::current();
  CHECK(caller != nullptr);
  co_await io::resume_on(home);
  options.progress = std::make_shared<Progress>();
  Opener opener(std::move(options), keys, placement, fanout, workers, home, random, clock);
  Result<Journal> journal = co_await opener.run();
  co_await io::resume_on(*caller);
  co_return journal;
}

}  // namespace archipel::index
