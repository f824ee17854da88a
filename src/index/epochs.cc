#include "index/epochs.h"

#include <algorithm>
#include <optional>

namespace archipel::index {

Result<std::vector<EpochOpen>> read_opens(const Snapshot& snapshot) {
  std::vector<EpochOpen> opens;
  std::optional<Error> bad;
  auto add = [&](std::string_view, std::string_view value, std::string*) {
    Result<EpochOpen> open = decode_open(as_bytes(value));
    if (!open) {
      bad = open.error();
      return false;
    }
    opens.push_back(std::move(*open));
    return true;
  };
  RETURN_IF_ERROR(snapshot.scan("m/open/", "m/open0", add));
  if (bad) return fail(*bad);
  return opens;
}

std::vector<EpochHeld> epochs_held(std::vector<EpochOpen> opens, const EpochOpen& last, uint64_t tail_seq) {
  std::vector<EpochHeld> held;
  if (tail_seq > 0) held.push_back({last, tail_seq});
  uint64_t wanted = last.parent_epoch, commits = last.parent_seq;
  for (size_t i = opens.size(); i-- > 0;) {
    if (opens[i].epoch != wanted) continue;
    wanted = opens[i].parent_epoch;
    const uint64_t before = opens[i].parent_seq;
    if (commits > 0) held.push_back({std::move(opens[i]), commits});
    commits = before;
  }
  std::ranges::reverse(held);
  return held;
}

}  // namespace archipel::index
