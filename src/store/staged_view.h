// StagedView: a view with the changes on top that one build() has made so far, so that several changes of one key see each other.
// SnapshotView: a snapshot read through the same interface.
#pragma once

#include <map>

#include "index/committer.h"

namespace archipel::store {

class StagedView final : public index::View {
 public:
  // `base` outlives it.
  explicit StagedView(const index::View& base) : base_(base) {}

  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<void> scan(std::string_view from, std::string_view to,
                    const std::function<bool(std::string_view, std::string_view)>& visit) const override;

  void set(std::string key, std::string value) { staged_.insert_or_assign(std::move(key), std::move(value)); }
  void erase(std::string key) { staged_.insert_or_assign(std::move(key), std::nullopt); }
  // Appends the last change of every key; nothing is staged any more.
  void take(std::vector<index::Mutation>& out);

 private:
  const index::View& base_;
  std::map<std::string, std::optional<std::string>, std::less<>> staged_;
};

class SnapshotView final : public index::View {
 public:
  // `snapshot` outlives it. Blocks; on a worker.
  explicit SnapshotView(const index::Snapshot& snapshot) : snapshot_(snapshot) {}
  Result<std::optional<std::string>> get(std::string_view key) const override { return snapshot_.get(key); }
  Result<void> scan(std::string_view from, std::string_view to,
                    const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    return snapshot_.scan(from, to, [&](std::string_view key, std::string_view value, std::string*) {
      return visit(key, value);
    });
  }

 private:
  const index::Snapshot& snapshot_;
};

}  // namespace archipel::store
