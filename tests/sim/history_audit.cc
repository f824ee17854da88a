// The end: everything is looked at, mended, and looked at again.
#include "sim/history_impl.h"

namespace archipel::sim {
namespace {

constexpr int kOpenWaits = 150;   // of kStartPause, until a closed journal must be open again
constexpr int kScrubRounds = 12;  // of the scrubber, until everything must be whole

}  // namespace

// Everything is mended but for what the liar is: the gateway must come up and open its journal.
io::Task<bool> History::settle_down(std::string when) {
  for (int waits = 0; !current_ || !current_->open(); ++waits) {
    const std::string why = current_ ? current_->closed_because() : refusal_;
    if (waits == kOpenWaits / 3) {
      // A lie about the one copy that decides is no proof of anything: the protocol waits for the island to speak true.
      ++stats_.settled_by_honesty;
      note("the liar speaks true from now on");
      if (plan_.liar < 0)
        violation(when + ": with every island honest and well, the journal does not open: " + why);
      for (auto& place : world_.places) place->stop_lying();
    }
    if (waits == 2 * kOpenWaits / 3 && plan_.liar >= 0) {
      note("the liar is declared lost");
      ++stats_.settled_by_wipe;
      world_.places[static_cast<size_t>(plan_.liar)]->wipe();
    }
    if (waits >= kOpenWaits) {
      violation(when + ": the journal does not open although all islands but one are well: " + why);
      co_return false;
    }
    co_await io::sleep_until(world_.loop.now() + kStartPause);
  }
  co_return true;
}

io::Task<void> History::audit(std::string when) {
  bool ready = co_await settle_down(when);
  if (!ready) co_return;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    std::shared_ptr<Process> p = co_await running();
    Process::Use use(*p);
    co_await audit_bucket(p, bucket, when);
  }
  if (!current_ || !current_->open()) co_return;
  Process::Extents extents = current_->extents();
  stats_.placed_extents += extents.placed;
  stats_.other_extents += extents.elsewhere;
  for (std::string& stray : extents.strays) violation(when + ": " + stray);
}

io::Task<void> History::audit_bucket(std::shared_ptr<Process> p, size_t bucket, std::string when) {
  Op op{};
  op.number = static_cast<uint32_t>(plan_.ops.size());
  op.bucket = static_cast<uint8_t>(bucket);
  op.kind = Op::Kind::list;
  op.size = 1000;
  co_await list(op, p);
  op.kind = Op::Kind::get;
  for (size_t key = 0; key < kKeys; ++key) {
    op.key = static_cast<uint8_t>(key);
    const uint64_t unclear = stats_.ops[static_cast<size_t>(Op::Kind::get)][2];
    co_await get(op, p);
    if (stats_.ops[static_cast<size_t>(Op::Kind::get)][2] != unclear)
      violation(when + ": " + bucket_name(bucket) + "/" + key_name(key) +
                " cannot be read although all islands but one are well");
  }
  if (is_versioned(plan_.seed, bucket)) co_await audit_versions(p, bucket_name(bucket), when);
}

// Every version that is listed is some body that was put, whole; and what the bucket is said to keep is what it keeps.
io::Task<void> History::audit_versions(std::shared_ptr<Process> p, std::string name, std::string when) {
  store::ListVersionsRequest page{name, "", "", "", "", 7};
  store::Usage listed;
  for (bool more = true; more;) {
    Result<store::ListVersionsResult> got = co_await p->store().list_versions(page);
    if (!got || !p->alive()) co_return;
    for (const store::ListEntry& entry : got->entries) {
      ++listed.versions;
      listed.bytes += entry.info.size;
      if (entry.info.delete_marker) continue;
      store::Store::GetRequest request;
      request.what.bucket = name;
      request.what.key = entry.key;
      request.what.version = entry.info.version;
      Result<store::Store::Opened> opened = co_await p->store().get(std::move(request));
      std::string bytes;
      bool whole = opened.has_value();
      while (whole) {
        Result<Buffer> piece = co_await opened->reader->read();
        whole = piece.has_value();
        if (!whole || piece->empty()) break;
        bytes.append(as_text(*piece));
      }
      if (!p->alive()) co_return;
      const auto known = contents_.find(entry.info.etag);
      if (!whole || known == contents_.end() || known->second != bytes)
        violation(when + ": version " + entry.info.version + " of " + name + "/" + entry.key +
                  (whole ? " has bytes that nobody put" : " cannot be read"));
    }
    more = got->truncated;
    page.key_marker = got->next_key;
    page.version_marker = got->next_version;
  }
  Result<store::Usage> usage = co_await p->store().bucket_usage(name);
  if (!usage || !p->alive()) co_return;
  if (usage->bytes != listed.bytes || usage->versions != listed.versions)
    violation(fmt::format("{}: {} is said to keep {} bytes in {} versions, and keeps {} in {}", when, name,
                          usage->bytes, usage->versions, listed.bytes, listed.versions));
}

// Passes of the scrubber until one finds everything whole.
io::Task<bool> History::mend_everything() {
  std::string left;
  for (int round = 0; round < kScrubRounds; ++round) {
    std::shared_ptr<Process> process = co_await running();
    Process::Use use(*process);
    Result<store::ScrubReport> report = co_await process->scrub();
    if (report && report->whole()) co_return true;
    left = report ? (report->failures.empty() ? "?" : report->failures.front()) : report.error().message;
    note("not whole yet: " + left);
    co_await io::sleep_until(world_.loop.now() + kStartPause);
  }
  violation("all islands are well, and yet not everything can be mended: " + left);
  co_return false;
}

// With everything mended, what is promised holds anew: another island may be wiped, and DIR with it.
io::Task<void> History::lose_another() {
  for (auto& place : world_.places) place->stop_lying();
  for (auto& place : world_.places) {
    if (!place->marker()) co_return;  // lost for good, since wiped islands are not rejoined here
  }
  bool ready = co_await settle_down("before mending");
  if (!ready) co_return;
  bool whole = co_await mend_everything();
  if (!whole) co_return;
  ++stats_.second_losses;
  const size_t n = world_.places.size();
  const size_t other = (static_cast<size_t>(plan_.liar + 1) + world_.dice.pick(n - 1)) % n;
  note("--- everything is mended; " + world_.places[other]->id() + " is wiped");
  world_.places[other]->wipe();
  co_await audit("after mending and the loss of another island");
  if (!violations_.empty()) co_return;
  crash_now(Happening::Loss::dir);
  co_await audit("after mending and the loss of another island and DIR");
}

// The machine, at once.
void History::crash_now(Happening::Loss loss) {
  Happening last{};
  last.kind = Happening::Kind::crash;
  last.machine = true;
  last.loss = loss;
  disarm();
  armed_ = last;
  pull_plug();
}

}  // namespace archipel::sim
