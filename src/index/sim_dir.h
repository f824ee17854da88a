// DIR on a simulated disk, and the view in it: what a crash of the process keeps, and what a crash of the machine takes. For tests only.
//
// SimDisk lives for a whole history; every gateway process on it gets files() of its own, which reach nothing any more once `*alive` is false.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "index/dir.h"
#include "index/kv.h"
#include "io/sim/sim_loop.h"

namespace archipel::index {

class SimDisk {
 public:
  explicit SimDisk(uint64_t seed) : dice_(seed) {}
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  std::shared_ptr<DirFiles> files(std::shared_ptr<const bool> alive);
  // For JournalOptions::open_view, with a path that files().path_of() gave.
  std::function<Result<std::unique_ptr<Kv>>(const std::string& path)> open_view(
      std::shared_ptr<const bool> alive);

  // The process is gone: what it wrote stays, its lock does not.
  void process_died() { locked_ = false; }
  // The machine is gone: of what was not synced, each file keeps a beginning of its writes (the last may be torn), and so does the view.
  void machine_died();
  void lose_view() { views_.clear(); }
  void lose_all();
  // Views cannot be opened from now on, and have to be begun anew.
  void damage_views();
  // A copy of DIR as it is now, made while a process runs; and DIR as that copy has it, in a directory of its own if `elsewhere`.
  void make_copy();
  bool has_copy() const { return copy_.has_value(); }
  void restore_copy(bool elsewhere);

  uint64_t writes() const { return writes_; }  // of files and views, by living processes
  // Runs before a write number `number` takes effect: the place to pull a plug. A write of a process that dies there has no effect.
  std::function<void(uint64_t number)> before_write;

 private:
  friend class SimFiles;
  friend class SimInPlace;
  friend class SimKv;

  struct File {
    std::string bytes;
    std::vector<std::string> unsynced;  // states before each write since the last sync, oldest first
  };
  struct View {
    std::vector<std::vector<Mutation>> log;  // all that was ever written
    size_t synced = 0;
    bool damaged = false;
  };
  bool begin_write(const bool& alive);  // false: it has no effect
  static std::string name_of(const std::string& path);

  io::Dice dice_;
  std::map<std::string, File> files_;
  std::map<std::string, std::shared_ptr<View>> views_;
  struct Copy {
    std::map<std::string, File> files;
    std::map<std::string, View> views;
  };
  std::optional<Copy> copy_;
  uint64_t boot_ = 1, directory_ = 1, writes_ = 0;
  bool locked_ = false;
};

}  // namespace archipel::index
