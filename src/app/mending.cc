#include "app/mending.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/json.h"
#include "base/log.h"

namespace archipel::app {
namespace {

using store::ScrubReport;

std::string progress_line(const ScrubReport& report) {
  JsonObject line;
  line.text("event", "progress")
      .number("items", static_cast<int64_t>(report.items))
      .number("items_total", static_cast<int64_t>(report.items_total))
      .number("bytes_read", static_cast<int64_t>(report.bytes_read))
      .number("repaired_shards", static_cast<int64_t>(report.repaired()))
      .number("unrepaired_items", static_cast<int64_t>(report.unrepaired));
  return line.str();
}

std::string island_line(const ScrubReport::Island& island) {
  JsonObject line;
  line.text("event", "island")
      .text("id", island.id)
      .number("good", static_cast<int64_t>(island.good))
      .number("missing", static_cast<int64_t>(island.missing))
      .number("wrong", static_cast<int64_t>(island.wrong))
      .number("unreachable", static_cast<int64_t>(island.unreachable))
      .number("repaired", static_cast<int64_t>(island.repaired));
  return line.str();
}

// What every line of a pass's end says, in order.
std::vector<std::string> last_lines(const ScrubReport& report) {
  std::vector<std::string> lines;
  uint64_t unchecked = 0;
  for (const ScrubReport::Island& island : report.islands) {
    lines.push_back(island_line(island));
    unchecked += island.unreachable;
  }
  for (const std::string& failure : report.failures)
    lines.push_back(JsonObject().text("event", "unrepaired").text("reason", failure).str());
  JsonObject done;
  done.text("event", "done")
      .number("items", static_cast<int64_t>(report.items))
      .number("bytes_read", static_cast<int64_t>(report.bytes_read))
      .number("repaired_shards", static_cast<int64_t>(report.repaired()))
      .number("unrepaired_items", static_cast<int64_t>(report.unrepaired))
      .number("unchecked_shards", static_cast<int64_t>(unchecked))
      .text("unchecked_islands", fmt::format("{}", fmt::join(report.unchecked(), ", ")));
  lines.push_back(done.str());
  return lines;
}

io::Task<bool> tell_progress(const Mending::OnLine* on_line, const ScrubReport* report) {
  bool heard = co_await (*on_line)(progress_line(*report));
  co_return heard;
}

io::Task<bool> say(AdminReply* reply, std::string line) {
  Result<void> said = co_await reply->line(std::move(line));
  co_return said.has_value();
}

}  // namespace

Mending::Mending(const extent::Placement& placement) {
  std::vector<std::string> ids;
  for (const auto& island : placement.islands) ids.push_back(island->id());
  ledger_ = std::make_shared<store::RepairLedger>(ids);
}

std::function<void(uint64_t, uint64_t, uint32_t)> Mending::on_debt(Clock& clock) const {
  return [ledger = ledger_, &clock](uint64_t epoch, uint64_t seq, uint32_t mask) {
    ledger->owe({extent::ExtentRef::Kind::section, {epoch, seq}}, ledger->all() & ~mask, clock.unix_ms());
  };
}

std::function<void(const index::SnapshotManifest&)> Mending::on_snapshot() const {
  return [table = table_, ledger = ledger_](const index::SnapshotManifest& snapshot) {
    store::owe_snapshot(snapshot, *table, *ledger);
  };
}

io::Task<Result<void>> Mending::load(const index::Kv& kv, io::Workers& workers) {
  auto read = [this, &kv] { return store::load_repairs(*kv.snapshot(), *table_, *ledger_); };
  Result<void> loaded = co_await workers.run(read);
  co_return loaded;
}

void Mending::make(Parts parts) {
  coder_ = std::make_unique<erasure::Coder>(parts.config.code);
  store::ScrubberOptions options;
  options.busy = std::move(parts.busy);
  store::RepairParts repair{.keys = parts.keys,
                            .kv = *parts.journal.kv,
                            .committer = *parts.journal.committer,
                            .placement = std::move(parts.placement),
                            .coder = *coder_,
                            .workers = parts.workers,
                            .home = parts.home,
                            .clock = parts.clock,
                            .table = table_,
                            .ledger = ledger_,
                            .snapshots = std::move(parts.snapshots)};
  scrubber_ =
      store::make_scrubber({std::move(options), std::move(repair), index::open_dir_files(parts.config.dir)});
}

io::Task<void> Mending::close() {
  if (scrubber_) co_await scrubber_->close();
}

io::Task<Result<void>> Mending::scrub(bool repair, OnLine on_line) {
  store::Scrubber::OnProgress on_progress = [&on_line](const ScrubReport& report) {
    return tell_progress(&on_line, &report);
  };
  Result<ScrubReport> report = co_await scrubber_->pass(repair, std::move(on_progress));
  if (!report) co_return fail(report.error());
  const std::vector<std::string> lines = last_lines(*report);
  for (const std::string& line : lines) {
    bool heard = co_await on_line(line);
    if (!heard) break;
  }
  co_return Result<void>{};
}

void Mending::add_routes(Admin& admin) {
  admin.add("POST", "/scrub", [this](AdminReply& reply) { return answer(this, reply); });
}

io::Task<void> Mending::answer(Mending* self, AdminReply& reply) {
  const bool repair = reply.query("repair").value_or("1") != "0";
  OnLine on_line = [&reply](std::string line) { return say(&reply, std::move(line)); };
  Result<void> done = co_await self->scrub(repair, std::move(on_line));
  if (done) co_return;
  std::string line = JsonObject().text("event", "failed").text("reason", done.error().message).str();
  [[maybe_unused]] Result<void> said = co_await reply.line(std::move(line));
}

}  // namespace archipel::app
