#include "store/repairer.h"

#include <algorithm>
#include <bit>

#include "base/log.h"

namespace archipel::store {
namespace {

using extent::ShardState;

constexpr size_t kSettledMax =
    100'000;  // commits remembered until their m/debt records go; others go after the next start
constexpr size_t kTidyPerCommitMax = 256;
constexpr uint64_t kToldWithin = 1000;  // commits, of the same epoch or from the start of a later one
constexpr size_t kDroppedAtOnceMax = 4096;
// An island that turns every shard wrong must not make numbers, commits and, in the end, DELETEs without bound: from here on in place.
constexpr uint32_t kRepairNumberMax = 15;

// Missing where it is known, good elsewhere: rebuild() verifies what it uses in any case.
extent::Verdict presume(const extent::WorkItem& item, uint32_t missing) {
  extent::Verdict verdict;
  const uint64_t stripes = item.ref.geometry.stripes();
  for (int i = 0; i < item.n(); ++i) {
    extent::ShardVerdict& shard = verdict.shards.emplace_back();
    const bool there = (missing >> i & 1) == 0;
    shard.state = there ? ShardState::good : ShardState::missing;
    shard.prefix_good = there;
    if (there) shard.good_cells.assign(stripes, true);
  }
  return verdict;
}

// What a repair changed about one extent. Applying it twice, or two of them in either order, comes to the same.
struct Change {
  extent::ExtentRef ref;
  uint32_t repaired = 0, moved = 0;
  extent::RepairException
      found;  // what held when the extent was read: what was moved has the repair number after
  UnixMs now_ms = 0;
  bool registered = true;  // a snapshot's chunk is in no registry

  extent::RepairException apply(extent::RepairException to) const {
    if (to.confirmed != 0 || moved != 0) to.confirmed |= repaired;
    for (int shard = 0; shard < ref.geometry.code.n; ++shard) {
      if ((moved >> shard & 1) == 0) continue;
      const auto i = static_cast<size_t>(shard);
      to.repairs.resize(std::max(to.repairs.size(), i + 1));
      to.repairs[i] = std::max(to.repairs[i], found.repair(shard) + 1);
    }
    return to;
  }
};

// An extent that nobody wants any more takes no exception: precondition. A doomed one does, so that collection finds every name.
Result<void> build_exception(const Change& change, const index::View& view,
                             std::vector<index::Mutation>& out) {
  const ExtentKey key = key_of(change.ref);
  ASSIGN_OR_RETURN(std::optional<std::string> live, view.get(live_key(key)));
  ASSIGN_OR_RETURN(std::optional<std::string> doomed, view.get(doomed_key(key)));
  if (change.registered && !live && !doomed)
    return fail(Code::precondition, "the extent was deleted meanwhile");
  ASSIGN_OR_RETURN(std::optional<std::string> before, view.get(exception_key(key)));
  ExceptionRecord record{0, {change.ref.confirmed, {}}};
  if (before) {
    ASSIGN_OR_RETURN(record, decode_exception(*before));
  }
  record.now = change.apply(std::move(record.now));
  if (record.now.confirmed == change.ref.all_shards())
    record.since_ms = 0;
  else if (record.since_ms == 0)
    record.since_ms = change.now_ms;
  out.push_back({exception_key(key), encode(record)});
  return {};
}

Repairer::Outcome nothing_to_do() {
  Repairer::Outcome outcome;
  outcome.gone = true;
  return outcome;
}

}  // namespace

struct Repairer::Job {
  Work work;
  extent::Pace& pace;
  extent::RepairException where = {};  // the names that `item` has
  std::shared_ptr<const extent::WorkItem> item = {};
  extent::Verdict verdict = {};
  Outcome outcome = {};
};

Repairer::Repairer(RepairParts parts)
    : p_(std::move(parts)),
      journal_(p_.keys, p_.coder, *p_.placement, p_.workers, p_.home),
      cell_keys_(p_.keys) {}

io::Task<Result<void>> Repairer::make_item(Job* job) {
  const ScrubTarget& target = job->work.target;
  if (target.journal()) {
    auto blob = co_await journal_.item(target.name());
    if (!blob) co_return fail(blob.error());
    job->item = std::move(*blob);
    co_return Result<void>{};
  }
  auto item = std::make_shared<extent::WorkItem>();
  item->ref = target.ref;
  if (std::bit_width(item->ref.homes.mask(item->n())) > p_.placement->islands.size())
    co_return fail(Code::corrupt, target.describe() + " lies on islands that there are not");
  job->where = p_.table->of(target.ref);
  // A snapshot is loaded where there is no view, and so no exception: its chunks stay under the names that they were written under.
  const bool stays = target.kind == ScrubTarget::Kind::snapshot;
  for (int shard = 0; shard < item->n(); ++shard) {
    const std::string& id = p_.placement->islands[static_cast<size_t>(target.ref.home(shard))]->id();
    const uint32_t now = stays ? 0 : job->where.repair(shard);
    item->names.push_back(extent::shard_name(p_.keys, id, target.ref, shard, now));
    item->next_names.push_back(extent::shard_name(
        p_.keys, id, target.ref, shard, stays ? 0 : std::min(now + 1, std::max(now, kRepairNumberMax))));
  }
  CO_RETURN_IF_ERROR(extent::check_work_item(*item));
  job->item = std::move(item);
  co_return Result<void>{};
}

island::Island& Repairer::home_of(const Job& job, int shard) const {
  return *p_.placement->islands[static_cast<size_t>(job.work.target.home(shard))];
}

io::Task<Result<bool>> Repairer::wanted(const ScrubTarget& target) {
  auto look = [this, &target] { return still_wanted(p_.view(), target); };
  Result<bool> wanted = co_await p_.workers.run(look);
  co_return wanted;
}

io::Task<Repairer::Outcome> Repairer::process(Work work, extent::Pace& pace) {
  const ScrubPosition at = work.target.position();
  // Whoever is at it may look at less than this caller wants: a wait, not a skip.
  while (busy_.contains(at)) co_await idle_.wait();
  busy_.insert(at);
  Outcome outcome = co_await process_alone(std::move(work), pace);
  busy_.erase(at);
  idle_.notify_all();
  co_return outcome;
}

io::Task<Repairer::Outcome> Repairer::process_alone(Work work, extent::Pace& pace) {
  Job job{std::move(work), pace};
  const ScrubTarget& target = job.work.target;
  Result<void> item = co_await make_item(&job);
  const uint32_t missing = target.shards_of(job.work.presumed_missing);
  if (job.work.presumed_missing != 0 && missing == 0) co_return nothing_to_do();
  if (item) {
    const extent::CellWork cells{cell_keys_, p_.placement, p_.workers, pace};
    if (missing != 0)
      job.verdict = presume(*job.item, missing);
    else
      job.verdict = co_await extent::scrub(cells, job.item);
    if (job.verdict.broken() != 0 && job.work.repair)
      co_await repair(&job);
    else if (job.verdict.broken() != 0)
      job.outcome.failed = extent::describe_faults(*p_.placement, job.item->ref, job.verdict);
  } else {
    job.outcome.failed = item.error().message;
  }
  if (pace.stopping()) {
    job.outcome.gone = true;
    co_return std::move(job.outcome);
  }
  job.outcome.bytes_read += job.verdict.bytes_read;
  if (!job.verdict.shards.empty()) job.outcome.states.resize(p_.placement->islands.size());
  for (size_t i = 0; i < job.verdict.shards.size(); ++i)
    job.outcome.states[static_cast<size_t>(target.home(static_cast<int>(i)))] = job.verdict.shards[i].state;
  const bool troubled = !item || !job.verdict.all_good();
  if (!troubled) co_return std::move(job.outcome);
  // What is troubled may be so because it is being deleted.
  Result<bool> needed = co_await wanted(target);
  if (needed && !*needed) {
    job.outcome = nothing_to_do();
    p_.ledger->forget(target.key());
    co_return std::move(job.outcome);
  }
  settle(job);
  co_return std::move(job.outcome);
}

// Whatever is left undone is said in the outcome.
io::Task<void> Repairer::repair(Job* job) {
  const ScrubTarget& target = job->work.target;
  const extent::CellWork cells{cell_keys_, p_.placement, p_.workers, job->pace};
  auto rebuilt = co_await extent::rebuild(cells, job->item, job->verdict, job->verdict.broken());
  if (!rebuilt && job->work.presumed_missing != 0) {
    // More is wrong than was known: look at everything, and say so.
    job->verdict = co_await extent::scrub(cells, job->item);
    rebuilt = co_await extent::rebuild(cells, job->item, job->verdict, job->verdict.broken());
  }
  if (!rebuilt) {
    job->outcome.failed = rebuilt.error().message;
    co_return;
  }
  Result<bool> needed = co_await wanted(target);
  if (!needed || !*needed) {
    if (!needed) job->outcome.failed = needed.error().message;
    co_return;
  }
  if (!p_.committer.open()) {
    job->outcome.failed = "nothing is repaired while the journal is closed: " + p_.committer.closed_because();
    co_return;
  }
  extent::PutBack put = co_await extent::put_back(cells, job->item, job->verdict, std::move(*rebuilt));
  job->outcome.failed = put.failed;
  job->outcome.refused = put.failed.empty() ? 0 : target.islands_of(job->verdict.broken() & ~put.repaired);
  Result<void> recorded = co_await record(job, put.repaired, put.moved);
  if (!recorded) {
    job->outcome.failed = recorded.error().message;
    // Nobody will ever ask for what was moved: an extent that is gone must not leave a shard behind.
    if (recorded.error().code == Code::precondition) co_await take_back(job, put.moved);
    co_return;
  }
  job->outcome.repaired = target.islands_of(put.repaired);
  // The wrong bytes under the old names. If this fails, collection finds them with the extent's end.
  for (int shard = 0; shard < job->item->n(); ++shard) {
    if ((put.moved >> shard & 1) == 0) continue;
    const auto i = static_cast<size_t>(shard);
    Deadline deadline = p_.home.now() + extent::kPutBackDeadline;
    [[maybe_unused]] Result<void> removed =
        co_await home_of(*job, shard).remove(job->item->names[i], deadline);
  }
}

io::Task<void> Repairer::take_back(const Job* job, uint32_t moved) {
  for (int shard = 0; shard < job->item->n(); ++shard) {
    if ((moved >> shard & 1) == 0) continue;
    const auto i = static_cast<size_t>(shard);
    Deadline deadline = p_.home.now() + extent::kPutBackDeadline;
    [[maybe_unused]] Result<void> removed =
        co_await home_of(*job, shard).remove(job->item->next_names[i], deadline);
  }
}

// Journals what changed about where the target's shards lie, then tells the readers.
io::Task<Result<void>> Repairer::record(const Job* job, uint32_t repaired, uint32_t moved) {
  const ScrubTarget& target = job->work.target;
  if (repaired == 0 || target.journal()) co_return Result<void>{};
  const Change change{target.ref, repaired,           moved,
                      job->where, p_.clock.unix_ms(), target.kind != ScrubTarget::Kind::snapshot};
  if (change.apply(job->where) == job->where) co_return Result<void>{};
  index::Intent intent;
  intent.build = [change](const index::View& view, const std::vector<index::SmallLocation>&,
                          std::vector<index::Mutation>& out) { return build_exception(change, view, out); };
  auto committed = co_await p_.committer.commit(std::move(intent));
  if (!committed) co_return fail(committed.error());
  p_.table->set(target.ref.kind, target.ref.id, change.apply(p_.table->of(target.ref)));
  co_return Result<void>{};
}

// Enters into the ledger what is missing still, and strikes out what is not.
void Repairer::settle(const Job& job) {
  const ScrubTarget& target = job.work.target;
  const uint32_t good = target.islands_of(job.verdict.good());
  const uint32_t missing = target.islands_of(job.verdict.broken()) & ~job.outcome.repaired;
  if (missing != 0 && job.outcome.failed.empty() && job.work.repair)
    log::warn("scrub.left", {{"what", target.describe()}});
  if (target.kind == ScrubTarget::Kind::claim || target.kind == ScrubTarget::Kind::open) return;
  p_.ledger->settle(target.key(), job.outcome.repaired | good);
  p_.ledger->owe(target.key(), missing, p_.clock.unix_ms());
  if (target.kind != ScrubTarget::Kind::commit || job.item == nullptr) return;
  const bool whole = (job.outcome.repaired | good) == p_.ledger->all();
  if (whole && settled_.size() < kSettledMax) settled_.push_back({target.epoch, target.number});
}

io::Task<void> Repairer::drop_exceptions() {
  auto look = [this]() -> Result<std::vector<ExtentKey>> {
    const TargetView at = p_.view();
    std::set<ExtentKey> chunks;
    if (at.snapshots.extents) {
      ASSIGN_OR_RETURN(std::vector<extent::ExtentRef> refs, at.snapshots.extents(*at.view));
      for (const extent::ExtentRef& ref : refs) chunks.insert(key_of(ref));
    }
    std::vector<ExtentKey> all, orphans;
    auto add = [&](const ExtentKey& key, const ExceptionRecord&) { all.push_back(key); };
    RETURN_IF_ERROR(scan_exceptions(*at.view, add));
    for (const ExtentKey& key : all) {
      ASSIGN_OR_RETURN(std::optional<std::string> live, at.view->get(live_key(key)));
      ASSIGN_OR_RETURN(std::optional<std::string> doomed, at.view->get(doomed_key(key)));
      if (!live && !doomed && !chunks.contains(key) && orphans.size() < kDroppedAtOnceMax)
        orphans.push_back(key);
    }
    return orphans;
  };
  Result<std::vector<ExtentKey>> orphans = co_await p_.workers.run(look);
  if (!orphans || orphans->empty()) co_return;
  index::Intent intent;
  intent.build = [orphans = *orphans](const index::View&, const std::vector<index::SmallLocation>&,
                                      std::vector<index::Mutation>& out) {
    // Ids are never used again: what had no record has none now.
    for (const ExtentKey& key : orphans) out.push_back({exception_key(key), std::nullopt});
    return Result<void>{};
  };
  auto committed = co_await p_.committer.commit(std::move(intent));
  if (!committed) co_return;
  for (const ExtentKey& key : *orphans) {
    p_.table->erase(key.kind, key.id);
    p_.ledger->forget(key);
  }
}

void Repairer::forget(const index::CommitPosition& commit) {
  p_.ledger->forget({extent::ExtentRef::Kind::section, {commit.epoch, commit.seq}});
  if (settled_.size() < kSettledMax) settled_.push_back(commit);
}

io::Task<void> Repairer::tidy() {
  const size_t count = std::min(settled_.size(), kTidyPerCommitMax);
  if (count == 0) co_return;
  const std::vector<index::CommitPosition> some(settled_.begin(),
                                                settled_.begin() + static_cast<ptrdiff_t>(count));
  settled_.erase(settled_.begin(), settled_.begin() + static_cast<ptrdiff_t>(count));
  auto look = [this, &some]() -> Result<std::vector<bool>> {
    std::vector<bool> told;
    auto snapshot = p_.kv.snapshot();
    for (const index::CommitPosition& at : some) {
      ASSIGN_OR_RETURN(std::optional<std::string> debt,
                       snapshot->get(index::settle_debt(at.epoch, at.seq).key));
      told.push_back(debt.has_value());
    }
    return told;
  };
  Result<std::vector<bool>> told = co_await p_.workers.run(look);
  if (!told) co_return;
  const index::CommitPosition now = p_.committer.applied();
  std::vector<index::CommitPosition> ends;
  for (size_t i = 0; i < count; ++i) {
    // A commit's mask is told by a record after it: a key that is not there yet may come for a while.
    const bool may_come = now < index::CommitPosition{some[i].epoch + 1, kToldWithin} &&
                          (now.epoch > some[i].epoch || now.seq < some[i].seq + kToldWithin);
    if ((*told)[i])
      ends.push_back(some[i]);
    else if (may_come)
      settled_.push_back(some[i]);
  }
  if (ends.empty()) co_return;
  index::Intent intent;
  intent.build = [ends](const index::View&, const std::vector<index::SmallLocation>&,
                        std::vector<index::Mutation>& out) {
    for (const index::CommitPosition& at : ends) out.push_back(index::settle_debt(at.epoch, at.seq));
    return Result<void>{};
  };
  auto committed = co_await p_.committer.commit(std::move(intent));
  if (!committed) settled_.insert(settled_.end(), ends.begin(), ends.end());
}

}  // namespace archipel::store
