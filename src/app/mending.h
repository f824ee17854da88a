// Mending: the gateway's part in scrub and repair: what readers and writers tell the scrubber, its place in the gateway's life, and
// `archipel scrub`.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "app/admin.h"
#include "app/config.h"
#include "index/journal.h"
#include "store/scrubber.h"

namespace archipel::app {

class Mending {
 public:
  // `placement` as configured. Before the journal is opened: from then on debts are noted.
  explicit Mending(const extent::Placement& placement);

  const std::shared_ptr<extent::RepairTable>& table() const { return table_; }
  const std::shared_ptr<store::RepairLedger>& ledger() const { return ledger_; }
  // For JournalOptions::on_debt.
  std::function<void(uint64_t, uint64_t, uint32_t)> on_debt(Clock& clock) const;
  // For SnapshotKeeperParts::adopted.
  std::function<void(const index::SnapshotManifest&)> on_snapshot() const;
  // Reads what the view knows of earlier repairs; again whenever the view moved behind the store. Any loop.
  io::Task<Result<void>> load(const index::Kv& kv, io::Workers& workers);

  struct Parts {
    const Config& config;
    const crypto::Keyring& keys;
    index::Journal& journal;
    std::shared_ptr<const extent::Placement> placement;
    io::Workers& workers;
    io::Loop& home;
    Clock& clock;
    store::SnapshotHooks snapshots;
    std::function<bool()> busy;
  };
  void make(Parts parts);
  void start() { scrubber_->start(); }
  io::Task<void> close();

  // POST /scrub?repair=0|1: lines {"event":"progress",…} and at last {"event":"done",…}.
  void add_routes(Admin& admin);

  // One pass; `on_line` gets what the route answers. False from it ends the pass.
  using OnLine = std::function<io::Task<bool>(std::string line)>;
  io::Task<Result<void>> scrub(bool repair, OnLine on_line);

 private:
  static io::Task<void> answer(Mending* self, AdminReply& reply);

  std::shared_ptr<extent::RepairTable> table_ = std::make_shared<extent::RepairTable>();
  std::shared_ptr<store::RepairLedger> ledger_;
  std::unique_ptr<erasure::Coder> coder_;
  std::unique_ptr<store::Scrubber> scrubber_;
};

// `archipel scrub`: through the gateway that runs on config.dir, or without one under the lock. Progress on stderr if it is a terminal and not
// `json`; lines on stdout with `json`, or if stdout is no terminal. Returns the exit code: 0 all is whole; 1 something could not be checked or
// repaired (said, with the islands' names), or the scrub could not run.
int scrub_command(const Config& config, bool repair, bool json);

}  // namespace archipel::app
