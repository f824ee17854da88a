// cells_only: scrub and repair in a process that holds the `cells` sub-key (32 bytes) and a list of work items, and nothing else. It links no
// keyring and no decryption: CMakeLists.txt beside this file has the linker's word for it.
//
//   cells_only KEY LIST DIR…        verifies; one line per shard that is not good, then "items N faults N"
//   cells_only --repair KEY LIST DIR…   and rebuilds; "repaired" lines say which shard lies where now
//
// KEY: a file of 32 bytes. LIST: work items (extent/work_item.h), each after its length as varint. DIR…: directory islands in the order of the roster.
#include <bit>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "extent/repair.h"
#include "island/dir.h"

namespace archipel {
namespace {

class NoLimit final : public extent::Pace {
 public:
  io::Task<void> spend(uint64_t) override { co_return; }
  bool stopping() const override { return false; }
};

std::string read_file(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

Result<std::vector<std::shared_ptr<const extent::WorkItem>>> decode_list(const std::string& bytes) {
  std::vector<std::shared_ptr<const extent::WorkItem>> items;
  Reader reader(bytes);
  while (!reader.done()) {
    std::string_view one = reader.bytes(1u << 20);
    if (!reader.ok()) return fail(Code::corrupt, "the work list is cut");
    ASSIGN_OR_RETURN(extent::WorkItem item, extent::decode_work_item(as_bytes(one)));
    items.push_back(std::make_shared<extent::WorkItem>(std::move(item)));
  }
  return items;
}

struct Run {
  const extent::CellKeys& keys;
  std::shared_ptr<const extent::Placement> placement;
  io::Workers& workers;
  bool repair = false;
  int faults = 0, unrepaired = 0;
};

io::Task<void> one_item(Run* run, std::shared_ptr<const extent::WorkItem> item, extent::Pace* pace) {
  const extent::CellWork work{run->keys, run->placement, run->workers, *pace};
  extent::Verdict verdict = co_await extent::scrub(work, item);
  for (size_t i = 0; i < verdict.shards.size(); ++i) {
    const extent::ShardVerdict& shard = verdict.shards[i];
    if (shard.state == extent::ShardState::good) continue;
    ++run->faults;
    std::printf("%s shard %zu %s\n", item->describe().c_str(), i,
                std::string(to_string(shard.state)).c_str());
  }
  if (!run->repair || verdict.broken() == 0) co_return;
  Result<extent::Rebuilt> rebuilt = co_await extent::rebuild(work, item, verdict, verdict.broken());
  if (!rebuilt) {
    ++run->unrepaired;
    std::printf("%s unrepaired %s\n", item->describe().c_str(), rebuilt.error().message.c_str());
    co_return;
  }
  extent::PutBack put = co_await extent::put_back(work, item, verdict, std::move(*rebuilt));
  for (size_t i = 0; i < verdict.shards.size(); ++i) {
    if ((put.repaired >> i & 1) == 0) continue;
    std::printf("%s repaired %zu %s\n", item->describe().c_str(), i,
                (put.moved >> i & 1) != 0 ? "moved" : "in place");
  }
  if (!put.failed.empty()) ++run->unrepaired;
}

io::Task<int> all_items(Run* run, std::vector<std::shared_ptr<const extent::WorkItem>> items) {
  NoLimit pace;
  for (const auto& item : items) co_await one_item(run, item, &pace);
  std::printf("items %zu faults %d unrepaired %d\n", items.size(), run->faults, run->unrepaired);
  co_return run->unrepaired == 0 && (run->repair || run->faults == 0) ? 0 : 1;
}

int work(std::vector<const char*> arguments) {
  const bool repair = !arguments.empty() && std::string_view(arguments.front()) == "--repair";
  if (repair) arguments.erase(arguments.begin());
  const std::string key = arguments.size() > 2 ? read_file(arguments[0]) : "";
  if (key.size() != 32) {
    std::fprintf(stderr, "usage: cells_only [--repair] KEY LIST DIR...\n");
    return 2;
  }
  auto items = decode_list(read_file(arguments[1]));
  if (!items) {
    std::fprintf(stderr, "cells_only: %s\n", items.error().message.c_str());
    return 1;
  }
  auto placement = std::make_shared<extent::Placement>();
  for (size_t i = 2; i < arguments.size(); ++i)
    placement->islands.push_back(island::make_dir_island("island-" + std::to_string(i - 2), arguments[i]));
  for (const auto& item : *items) {
    const uint32_t homes = item->ref.homes.mask(item->n());
    if (placement->islands.size() >= static_cast<size_t>(std::bit_width(homes))) continue;
    std::fprintf(stderr, "cells_only: the list is for more islands\n");
    return 1;
  }
  const extent::CellKeys keys{crypto::Secret32(as_bytes(key))};
  auto workers = io::make_workers(2);
  Run run{keys, placement, *workers, repair};
  return io::run_blocking([&] { return all_items(&run, *items); });
}

}  // namespace
}  // namespace archipel

int main(int argc, char** argv) {
  return archipel::work({argv + 1, argv + argc});
}
