// Scrub and repair of extents on six directory islands, against the rates of their primitives: reading the files and GMAC for scrub; reading,
// GMAC and coding for repair. Everything lies in the page cache.
//
// Rates are stored bytes per second of the process's CPU time, all threads together; rounds visit every subject once, medians are reported. Prints;
// asserts nothing about speed.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "extent/decode.h"
#include "extent/repair.h"
#include "island/dir.h"

namespace archipel::extent {
namespace {

constexpr size_t kExtents = 6, kRounds = 7;
constexpr uint64_t kLength = 128ull * kSegmentSealed;  // 8 MiB of plaintext
const erasure::Code kCode{6, 3};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class NoLimit final : public Pace {
 public:
  io::Task<void> spend(uint64_t) override { co_return; }
  bool stopping() const override { return false; }
};

struct Bench {
  std::string dir;
  std::unique_ptr<Random> random = seeded_random(1);
  std::unique_ptr<crypto::Keyring> keyring = crypto::Keyring::generate(*random);
  CellKeys keys{*keyring};
  erasure::Coder coder{kCode};
  std::shared_ptr<const Placement> placement;
  std::unique_ptr<io::Workers> workers = io::make_workers(2);
  std::vector<std::shared_ptr<const WorkItem>> items;
  std::vector<std::vector<std::string>> files;  // of items[i], by shard
  uint64_t stored = 0;                          // bytes of all shards
  NoLimit pace;

  CellWork work() { return {keys, placement, *workers, pace}; }
};

void fill(Bench& bench) {
  auto placement = std::make_shared<Placement>();
  const Deadline deadline = system_clock().now() + std::chrono::minutes(5);
  for (int i = 0; i < kCode.n; ++i) {
    const std::string path = bench.dir + "/" + std::to_string(i);
    std::filesystem::create_directories(path);
    placement->islands.push_back(island::make_dir_island("island-" + std::to_string(i), path));
    io::run_blocking([&] { return placement->islands.back()->write_marker(as_bytes("marker"), deadline); });
  }
  bench.placement = placement;
  Buffer sealed(kLength);
  bench.random->fill(sealed.span());
  for (size_t e = 0; e < kExtents; ++e) {
    auto item = std::make_shared<WorkItem>();
    item->ref.id = {1, e + 1};
    item->ref.attempt = bench.random->bytes<16>();
    item->ref.geometry = {kCode, kSegmentSealed, kLength};
    for (int i = 0; i < kCode.n; ++i) {
      const std::string& id = placement->islands[static_cast<size_t>(i)]->id();
      item->names.push_back(shard_name(*bench.keyring, id, item->ref, i));
      item->next_names.push_back(shard_name(*bench.keyring, id, item->ref, i, 1));
    }
    auto coded = encode_extent(bench.keys, bench.coder, item->ref, sealed, item->names);
    CHECK(coded.has_value());
    std::vector<std::string> files;
    for (size_t i = 0; i < item->names.size(); ++i) {
      const std::vector<ByteView> parts = {coded->shards[i]};
      auto put =
          io::run_blocking([&] { return placement->islands[i]->put(item->names[i], parts, deadline); });
      CHECK(put.has_value());
      bench.stored += coded->shards[i].size();
      for (const auto& entry :
           std::filesystem::recursive_directory_iterator(bench.dir + "/" + std::to_string(i)))
        if (entry.path().filename().string().contains(item->names[i].substr(4)))
          files.push_back(entry.path());
    }
    CHECK(files.size() == item->names.size());
    bench.files.push_back(std::move(files));
    bench.items.push_back(std::move(item));
  }
}

// Reads one shard as scrub does, in chunks; hands each to `use`.
void read_file(const std::string& path, Buffer& chunk, const std::function<void(ByteView)>& use) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  while (ssize_t got = read(fd, chunk.data(), chunk.size())) {
    CHECK(got > 0);
    use(chunk.view().first(static_cast<size_t>(got)));
  }
  close(fd);
}

// GMAC over what was read, cell by cell.
void tag_all(CellTagger& tagger, ByteView bytes) {
  for (size_t at = 0; at < bytes.size(); at += kSegmentSealed)
    tagger.tag(0, at, bytes.subspan(at, std::min<size_t>(kSegmentSealed, bytes.size() - at)));
}

void primitive_scrub(Bench& bench) {
  Buffer chunk(kScrubChunkBytes);
  for (size_t e = 0; e < kExtents; ++e) {
    CellTagger tagger(bench.keys, bench.items[e]->ref);
    for (const std::string& file : bench.files[e])
      read_file(file, chunk, [&](ByteView bytes) { tag_all(tagger, bytes); });
  }
}

void real_scrub(Bench& bench) {
  for (const auto& item : bench.items) {
    Verdict verdict = io::run_blocking([&] { return scrub(bench.work(), item); });
    CHECK(verdict.all_good());
  }
}

// Reads and tags k shards, codes and tags `lost` of them.
void primitive_repair(Bench& bench, int lost) {
  Buffer chunk(kScrubChunkBytes);
  std::vector<Buffer> cells;
  for (int i = 0; i < kCode.k + lost; ++i) cells.emplace_back(kSegmentSealed);
  std::vector<int> have, wanted;
  std::vector<const uint8_t*> in;
  std::vector<uint8_t*> out;
  for (int i = 0; i < kCode.k; ++i)
    have.push_back(kCode.n - kCode.k + i), in.push_back(cells[static_cast<size_t>(i)].data());
  for (int i = 0; i < lost; ++i)
    wanted.push_back(i), out.push_back(cells[static_cast<size_t>(kCode.k + i)].data());
  for (size_t e = 0; e < kExtents; ++e) {
    CellTagger tagger(bench.keys, bench.items[e]->ref);
    for (int i = kCode.n - kCode.k; i < kCode.n; ++i)
      read_file(bench.files[e][static_cast<size_t>(i)], chunk,
                [&](ByteView bytes) { tag_all(tagger, bytes); });
    for (uint64_t stripe = 0; stripe < bench.items[e]->ref.geometry.stripes(); ++stripe) {
      bench.coder.reconstruct(have, in, wanted, out, kSegmentSealed);
      for (uint8_t* cell : out) tagger.tag(0, stripe, ByteView(cell, kSegmentSealed));
    }
  }
}

void real_repair(Bench& bench, int lost) {
  for (const auto& item : bench.items) {
    Verdict verdict;
    for (int i = 0; i < kCode.n; ++i) {
      ShardVerdict& shard = verdict.shards.emplace_back();
      shard.state = i < lost ? ShardState::missing : ShardState::good;
      shard.prefix_good = i >= lost;
      if (i >= lost) shard.good_cells.assign(item->ref.geometry.stripes(), true);
    }
    auto rebuilt = io::run_blocking([&] { return rebuild(bench.work(), item, verdict, verdict.broken()); });
    CHECK(rebuilt.has_value() && rebuilt->shards.size() == static_cast<size_t>(lost));
  }
}

struct Subject {
  std::string name;
  double bytes;
  std::function<void()> run;
  std::vector<double> seconds = {};
  double rate() {
    std::ranges::sort(seconds);
    return bytes / seconds[seconds.size() / 2] / 1e6;
  }
};

int run_bench() {
  Bench bench;
  const char* tmp = std::getenv("TMPDIR");
  bench.dir =
      std::string(tmp == nullptr ? "/tmp" : tmp) + "/archipel-bench-scrub-" + std::to_string(getpid());
  fill(bench);
  const auto stored = static_cast<double>(bench.stored);
  std::vector<Subject> subjects = {
      {"scrub: read + GMAC alone", stored, [&] { primitive_scrub(bench); }},
      {"scrub", stored, [&] { real_scrub(bench); }},
  };
  for (int lost : {1, 3}) {
    const double rebuilt = stored / kCode.n * lost;
    const std::string what = "repair of " + std::to_string(lost) + " shard" + (lost > 1 ? "s" : "");
    subjects.push_back(
        {what + ": read + GMAC + coding alone", rebuilt, [&bench, lost] { primitive_repair(bench, lost); }});
    subjects.push_back({what, rebuilt, [&bench, lost] { real_repair(bench, lost); }});
  }
  for (size_t round = 0; round <= kRounds; ++round) {
    for (Subject& subject : subjects) {
      const double before = cpu_seconds();
      subject.run();
      if (round > 0) subject.seconds.push_back(cpu_seconds() - before);  // the first warms up
    }
  }
  for (size_t i = 0; i < subjects.size(); i += 2) {
    const double alone = subjects[i].rate(), real = subjects[i + 1].rate();
    fmt::print("{:<48} {:8.0f} MB/CPU-s\n{:<48} {:8.0f} MB/CPU-s  {:3.0f} % of its primitives\n",
               subjects[i].name, alone, subjects[i + 1].name, real, 100 * real / alone);
  }
  std::filesystem::remove_all(bench.dir);
  return 0;
}

}  // namespace
}  // namespace archipel::extent

int main() {
  return archipel::extent::run_bench();
}
