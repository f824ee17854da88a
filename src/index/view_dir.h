// ViewDir: the view's place in DIR, which a start may throw away and begin anew, or put back as it was.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "index/dir.h"
#include "index/kv.h"

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

}  // namespace archipel::index
