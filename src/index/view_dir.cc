#include "index/view_dir.h"

#include <utility>

#include "base/log.h"

namespace archipel::index {

Result<std::unique_ptr<ViewDir>> ViewDir::open(DirFiles& files, std::string name, OpenKv open_kv) {
  std::unique_ptr<ViewDir> out(new ViewDir(&files, std::move(name), std::move(open_kv)));
  RETURN_IF_ERROR(out->restore_old());
  Result<std::unique_ptr<Kv>> kv = out->open_kv_(files.path_of(out->name_));
  if (!kv && kv.error().code == Code::corrupt) {
    log::warn("journal.index_rebuilt", {{"reason", kv.error().message}});
    RETURN_IF_ERROR(out->reset());
    return out;
  }
  if (!kv) return fail(kv.error());
  out->owned_ = std::move(*kv);
  out->kv_ = out->owned_.get();
  return out;
}

std::unique_ptr<ViewDir> ViewDir::in_use(Kv& kv) {
  std::unique_ptr<ViewDir> out(new ViewDir(nullptr, {}, {}));
  out->kv_ = &kv;
  return out;
}

Result<void> ViewDir::reset() {
  if (files_ == nullptr)
    return fail(Code::unavailable, "the view in index/ has to be rebuilt: restart the gateway");
  owned_.reset();
  ASSIGN_OR_RETURN(bool kept, files_->exists(old_name()));
  ASSIGN_OR_RETURN(bool there, files_->exists(name_));
  if (kept) {
    RETURN_IF_ERROR(files_->remove_all(name_));  // begun anew before: the one aside is the one to keep
  } else if (there) {
    RETURN_IF_ERROR(files_->rename(name_, old_name()));
  }
  ASSIGN_OR_RETURN(owned_, open_kv_(files_->path_of(name_)));
  kv_ = owned_.get();
  return {};
}

// Ends with the view closed: for a start that is over, or has not opened it yet.
Result<void> ViewDir::restore_old() {
  if (files_ == nullptr) return {};
  ASSIGN_OR_RETURN(bool kept, files_->exists(old_name()));
  if (!kept) return {};
  owned_.reset();
  kv_ = nullptr;
  RETURN_IF_ERROR(files_->remove_all(name_));
  return files_->rename(old_name(), name_);
}

void ViewDir::discard_old() {
  if (files_ == nullptr) return;
  Result<void> done = files_->remove_all(old_name());
  if (!done) log::warn("journal.old_index_not_deleted", {{"reason", done.error().message}});
}

}  // namespace archipel::index
