// Overlay: the view that preconditions read while earlier commits are still under way.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "index/committer.h"

namespace archipel::index {

// The mutations of one commit, by key: the last one of a key wins. No value = deleted.
using Layer = std::map<std::string, std::optional<std::string>, std::less<>>;

// A snapshot with layers on top, the newest last. Layers below the newest are immutable and shared; the newest belongs to the batch that is
// being built. That a layer has been applied meanwhile, and the snapshot holds it too, does no harm.
class LayeredView final : public View {
 public:
  LayeredView(std::shared_ptr<const Snapshot> snapshot, std::vector<std::shared_ptr<const Layer>> below)
      : snapshot_(std::move(snapshot)), below_(std::move(below)) {}

  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<void> scan(std::string_view from, std::string_view to,
                    const std::function<bool(std::string_view, std::string_view)>& visit) const override;

  // Later reads see these.
  void add(const std::vector<Mutation>& mutations);
  Layer take() { return std::move(own_); }

 private:
  std::shared_ptr<const Snapshot> snapshot_;
  std::vector<std::shared_ptr<const Layer>> below_;
  Layer own_;
};

}  // namespace archipel::index
