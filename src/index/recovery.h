// Recovery: which commits happened, decided from whatever islands answer (protocol §2; the model is the authority where words leave room).
//
// Reads islands and writes only the view in DIR, and there only what is proven to have been acknowledged; what has to be written to islands is returned. Deciding the same twice, or after a crash in
// between, gives the same answer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "index/chain_reader.h"
#include "index/decision.h"
#include "index/dir.h"
#include "index/head_slots.h"

namespace archipel::index {

// The view in DIR/index, which can be thrown away and begun anew.
class ViewDir {
 public:
  // The view lies in `name` of `files`, which must outlive this. One that cannot be opened because it is damaged is begun anew. Blocks: on a worker.
  using OpenKv = std::function<Result<std::unique_ptr<Kv>>(const std::string& path)>;
  static Result<std::unique_ptr<ViewDir>> open(DirFiles& files, std::string name, OpenKv open_kv);
  // A view that others read meanwhile, which must outlive this: it can go forward and cannot be thrown away.
  static std::unique_ptr<ViewDir> in_use(Kv& kv);
  Kv& kv() { return *kv_; }
  std::unique_ptr<Kv> take() { return std::move(owned_); }
  // Begins anew, with the old view kept aside in `name`.old until it is known that this start stands: then discard_old(), else
  // restore_old(), which puts it back; open() does so too if the process died in between. Blocks. unavailable for a view in use.
  Result<void> reset();
  Result<void> restore_old();
  void discard_old();

 private:
  ViewDir(DirFiles* files, std::string name, OpenKv open_kv)
      : files_(files), name_(std::move(name)), open_kv_(std::move(open_kv)) {}
  std::string old_name() const { return name_ + ".old"; }
  DirFiles* files_;  // null: in use
  std::string name_;
  OpenKv open_kv_;
  std::unique_ptr<Kv> owned_;
  Kv* kv_ = nullptr;
};

struct KnownOpen {
  EpochOpen open;
  Sealed sealed;
  const Digest32& hash() const { return sealed.hash; }
};

struct Recovered {
  KnownOpen current;             // the highest epoch-open found: the new one builds on it
  std::vector<uint64_t> claims;  // numbers claimed above it, to be completed
  uint64_t next_epoch = 0;       // to claim and open
  bool complete_open = false;    // `current` was found on fewer than w islands
  uint64_t tail_seq = 0;         // the last commit of `current`'s epoch, 0 if it has none
  Digest32 tail_hash{};
  struct Commit {
    Sealed sealed;
    Buffer section;
  };
  std::vector<Commit> complete;  // adopted commits that were found on fewer than w islands
  // Changes of the view by what was adopted and is not proven to have been acknowledged: to be shown only when the new open is on w islands.
  std::vector<Mutation> unproven;
  uint64_t replayed = 0;
  std::optional<uint64_t> voided;  // of `current`'s epoch: found, and void
  // Set: the view holds what is proven, and nothing may be written to islands. The tail is then the last that is proven.
  std::optional<Undecided> undecided;
  uint64_t snapshot = 0;  // number of the one that was loaded, 0 = none
};

struct RecoveryInput {
  ChainReader& reader;
  ViewDir& view;
  const extent::Placement& placement;
  io::Workers& workers;
  std::optional<HeadFile::Contents> head;  // of an epoch > 0
  int w = 0;                               // confirmations that this gateway demands
  Attested attested = {};
  std::vector<Gone> gone = {};  // seats of the roster that the configuration has given to others
  // The best head slot, if one was found: where to look first, a position that was acknowledged, and snapshots to begin a view with.
  const HeadSlot* slot = nullptr;
  // Loads a snapshot into an empty view. Needed with a slot.
  std::function<io::Task<Result<void>>(const SnapshotManifest& manifest, Kv& kv)> load_snapshot = {};
};

// Errors: undetermined if not even an epoch to begin with is found, naming the islands that would settle it; corrupt for a rollback or a fork;
// unavailable if an acknowledged commit lies only on islands that do not answer; invalid if config and roster disagree; io of the view.
io::Task<Result<Recovered>> recover(RecoveryInput input);

}  // namespace archipel::index
