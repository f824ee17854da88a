// The data path on one core: sealing, coding and tagging an extent, against the speed of its own primitives.
//
// Everything is timed in one run, by this thread's CPU time, in rounds that visit each subject once (so that a slow spell of the machine
// hits all alike), and reported as medians. The roofline of a pipeline is 1 / sum(bytes ratio / rate): what it would reach if it did nothing but
// its primitives on cells that lie in the cache. Rates are per byte of plaintext unless a line says otherwise. Prints; asserts nothing about speed.
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "crypto/aead.h"
#include "crypto/checksum.h"
#include "crypto/hash.h"
#include "crypto/stream.h"
#include "erasure/coder.h"
#include "extent/builder.h"
#include "extent/decode.h"
#include "extent/extent.h"

namespace archipel {
namespace {

constexpr size_t kExtentPlain = 8u << 20;
constexpr size_t kPlain = extent::kSegmentPlain, kSealed = extent::kSegmentSealed;
constexpr size_t kSegments = kExtentPlain / kPlain;
constexpr erasure::Code kCode{6, 3};
constexpr size_t kSmallCalls = 500, kSmallObject = 4096;
constexpr int kWarmUpRounds = 3;

// CPU time of this thread, in seconds.
double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// The whole run stays on the core it started on.
void stay_on_this_core() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(sched_getcpu(), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) fmt::print("(not pinned to a core)\n");
}

struct Subject {
  std::string name;
  size_t bytes;  // that one call of `run` processes
  std::function<void()> run;
  std::function<void()> before = {};  // not timed
  std::vector<double> seconds = {};

  double median_seconds() const {
    std::vector<double> sorted = seconds;
    std::ranges::sort(sorted);
    return sorted[sorted.size() / 2];
  }
  double bytes_per_second() const { return static_cast<double>(bytes) / median_seconds(); }
};

// What the pipelines need, made once: nothing here is inside a measurement.
struct Bench {
  Random& random = system_random();
  std::unique_ptr<crypto::Keyring> keys = crypto::Keyring::generate(random);
  erasure::Coder coder{kCode};
  Buffer plain{kExtentPlain};
  Buffer opened{kExtentPlain};
  std::vector<std::string> names;
  uint64_t counter = 0;

  crypto::StreamInfo info;
  crypto::Secret32 data_key;
  extent::CodedExtent coded;  // of `plain`, for the opening pipelines

  Bench() {
    random.fill(plain.span());
    for (int i = 0; i < kCode.n; ++i) names.push_back(std::string(40, static_cast<char>('a' + i)));
    keys->subkey("cells/default");
    seal_extent();
  }

  extent::ExtentRef next_ref() {
    extent::ExtentRef ref;
    ref.id = {1, ++counter};
    random.fill(ref.attempt);
    ref.geometry = {.code = kCode, .cell_bytes = kSealed, .length = kSegments * kSealed};
    return ref;
  }

  // The PUT path: segments are sealed into their places among the shards, stripes coded and tagged as they fill.
  void seal_extent() {
    crypto::StreamSealer sealer(random);
    extent::ExtentBuilder builder(*keys, coder, next_ref());
    for (size_t i = 0; i < kSegments; ++i) {
      MutableBytes cell = builder.next_cell();
      sealer.seal(i, i + 1 == kSegments, plain.view().subspan(i * kPlain, kPlain), cell);
      builder.commit(cell.size());
    }
    coded = builder.finish(names);
    info = sealer.info(kExtentPlain);
    data_key = sealer.data_key().clone();
  }

  // The same through encode_extent: sealed bytes first lie in one piece and are then copied to their places.
  void seal_then_encode() {
    crypto::StreamSealer sealer(random);
    Buffer sealed(kSegments * kSealed);
    for (size_t i = 0; i < kSegments; ++i)
      sealer.seal(i, i + 1 == kSegments, plain.view().subspan(i * kPlain, kPlain),
                  sealed.span().subspan(i * kSealed, kSealed));
    auto encoded = extent::encode_extent(*keys, coder, next_ref(), sealed, names);
    CHECK(encoded.has_value());
  }

  // The GET path of a healthy extent: sealed segments lie at their systematic places; their own GCM tags are all that is checked.
  void open_extent() {
    auto opener = crypto::StreamOpener::create(info, data_key);
    CHECK(opener.has_value());
    extent::CellRun runs[3];
    for (int shard = 0; shard < kCode.k; ++shard) runs[shard] = {shard, 0, coded.ref.geometry.stripes() - 1};
    for (size_t i = 0; i < kSegments; ++i) {
      size_t shard = i % 3;
      ByteView cells = coded.shards[shard].subspan(extent::run_offset(coded.ref, runs[shard]));
      ByteView sealed = extent::cell_payload(coded.ref.geometry, runs[shard], cells, i / 3);
      CHECK((*opener)->open(i, sealed, opened.span().subspan(i * kPlain, kPlain)).has_value());
    }
  }

  // The GET path with the islands of shards 0 and 1 gone: k other shards are verified by tag, cells rebuilt, segments opened.
  void open_extent_degraded() {
    std::vector<std::optional<ByteView>> cells(static_cast<size_t>(kCode.n));
    for (int shard = 2; shard < 2 + kCode.k; ++shard)
      cells[static_cast<size_t>(shard)] =
          coded.shards[static_cast<size_t>(shard)].subspan(extent::first_cell_offset(coded.ref));
    auto sealed = extent::decode_extent(*keys, coder, coded.ref, cells);
    CHECK(sealed.has_value());
    auto opener = crypto::StreamOpener::create(info, data_key);
    CHECK(opener.has_value());
    for (size_t i = 0; i < kSegments; ++i)
      CHECK((*opener)
                ->open(i, sealed->view().subspan(i * kSealed, kSealed),
                       opened.span().subspan(i * kPlain, kPlain))
                .has_value());
  }
};

// The primitives on cells that stay in the cache.
struct Primitives {
  Random& random = system_random();
  crypto::Aead aead{crypto::Secret32(ByteView(random.bytes<32>()))};
  crypto::Gmac gmac{crypto::Secret32(ByteView(random.bytes<32>()))};
  erasure::Coder coder{kCode};
  Buffer plain{kPlain}, sealed{kSealed};
  std::vector<Buffer> cells;
  uint64_t counter = 0;
  unsigned sink = 0;

  crypto::Secret32 small_key{ByteView(random.bytes<32>())}, small_data_key;
  Buffer small_sealed{kSmallObject + 16}, small_opened{kSmallObject};
  crypto::StreamInfo small_info;

  Primitives() {
    random.fill(plain.span());
    for (int i = 0; i < kCode.n; ++i) {
      cells.emplace_back(kSealed);
      random.fill(cells.back().span());
    }
    aead.seal(crypto::Nonce{}, {}, plain, sealed.span());
  }

  crypto::Nonce next_nonce() {
    crypto::Nonce nonce{};
    ++counter;
    std::memcpy(nonce.data(), &counter, sizeof counter);
    return nonce;
  }
  void seal() {
    for (size_t i = 0; i < kSegments; ++i) aead.seal(next_nonce(), {}, plain, cells[i % 3].span());
  }
  void open() {
    for (size_t i = 0; i < kSegments; ++i) CHECK(aead.open(crypto::Nonce{}, {}, sealed, plain.span()));
  }
  void code() {
    std::vector<const uint8_t*> data = {cells[0].data(), cells[1].data(), cells[2].data()};
    std::vector<uint8_t*> parity = {cells[3].data(), cells[4].data(), cells[5].data()};
    for (size_t stripe = 0; stripe < kSegments / 3; ++stripe) coder.encode(data, parity, kSealed);
  }
  void rebuild_two() {
    std::vector<const uint8_t*> data = {cells[2].data(), cells[3].data(), cells[4].data()};
    std::vector<uint8_t*> out = {cells[0].data(), cells[1].data()};
    const int have[] = {2, 3, 4}, wanted[] = {0, 1};
    for (size_t stripe = 0; stripe < kSegments / 3; ++stripe)
      coder.reconstruct(have, data, wanted, out, kSealed);
  }
  void tag() {
    for (size_t i = 0; i < kSegments; ++i) sink += gmac.tag(next_nonce(), cells[i % 6])[0];
  }
  void copy() {
    for (size_t i = 0; i < kSegments; ++i) {
      std::memcpy(cells[i % 6].data(), plain.data(), kPlain);
      asm volatile("" : : "r"(cells[i % 6].data()) : "memory");
    }
  }
  void small_hmac() {
    for (size_t i = 0; i < kSmallCalls; ++i)
      sink += crypto::hmac_sha256(small_key.view(), plain.view().first(64))[0];
  }
  void small_hkdf() {
    for (size_t i = 0; i < kSmallCalls; ++i)
      sink += crypto::hkdf_sha256_key(small_key.view(), plain.view().first(32), as_bytes("archipel/1 bench"))
                  .view()[0];
  }
  void small_wrap() {
    ByteView salt = plain.view().first(32), ad = plain.view().first(100);
    for (size_t i = 0; i < kSmallCalls; ++i)
      CHECK(crypto::unwrap_key(small_key, crypto::wrap_key(small_key, small_key, salt, ad, random), salt, ad)
                .has_value());
  }
  void small_seal() {
    for (size_t i = 0; i < kSmallCalls; ++i) {
      crypto::StreamSealer sealer(random);
      sealer.seal(0, true, plain.view().first(kSmallObject), small_sealed.span());
      small_info = sealer.info(kSmallObject);
      small_data_key = sealer.data_key().clone();
    }
  }
  void small_open() {
    for (size_t i = 0; i < kSmallCalls; ++i) {
      auto opener = crypto::StreamOpener::create(small_info, small_data_key);
      CHECK(opener && (*opener)->open(0, small_sealed, small_opened.span()).has_value());
    }
  }
  template <class Digest>
  void digest() {
    Digest d;
    for (size_t i = 0; i < kSegments; ++i) d.update(plain);
    sink += d.finish()[0];
  }
  template <class Crc>
  void checksum() {
    Crc crc;
    for (size_t i = 0; i < kSegments; ++i) crc.update(plain);
    sink += static_cast<unsigned>(crc.value());
  }
};

struct Part {
  const Subject* subject;
  double ratio;  // bytes the primitive handles for one byte of plaintext
};

void report_pipeline(const Subject& pipeline, std::initializer_list<Part> parts) {
  double seconds_per_byte = 0;
  for (const Part& part : parts) seconds_per_byte += part.ratio / part.subject->bytes_per_second();
  double roofline = 1 / seconds_per_byte, reached = pipeline.bytes_per_second();
  fmt::print("\n{}\n  roofline {:.2f} GB/s, reached {:.2f} GB/s: {:.0f} %\n", pipeline.name, roofline * 1e-9,
             reached * 1e-9, 100 * reached / roofline);
  double left = 1;
  for (const Part& part : parts) {
    double share = part.ratio / part.subject->bytes_per_second() * reached;
    left -= share;
    fmt::print("  {:5.1f} %  {} x {:.2f}\n", 100 * share, part.subject->name, part.ratio);
  }
  fmt::print("  {:5.1f} %  memory beyond the cache, page faults, bookkeeping\n", 100 * left);
}

int run(int rounds) {
  stay_on_this_core();
  Bench bench;
  Primitives prim;
  constexpr size_t coded_bytes = kSegments / 3 * 3 * kSealed;
  std::vector<Subject> all;
  all.reserve(32);
  auto add = [&](std::string name, size_t bytes, std::function<void()> body) {
    all.push_back({std::move(name), bytes, std::move(body)});
    return &all.back();
  };
  Subject* seal = add("AES-256-GCM seal", kExtentPlain, [&] { prim.seal(); });
  Subject* open = add("AES-256-GCM open", kExtentPlain, [&] { prim.open(); });
  Subject* code = add("Reed-Solomon (6,3) code", coded_bytes, [&] { prim.code(); });
  Subject* rebuild = add("Reed-Solomon (6,3) rebuild 2", coded_bytes, [&] { prim.rebuild_two(); });
  Subject* tag = add("GMAC", kSegments * kSealed, [&] { prim.tag(); });
  Subject* copy = add("copy in cache", kExtentPlain, [&] { prim.copy(); });
  add("MD5", kExtentPlain, [&] { prim.digest<crypto::Md5>(); });
  add("SHA-1", kExtentPlain, [&] { prim.digest<crypto::Sha1>(); });
  add("SHA-256", kExtentPlain, [&] { prim.digest<crypto::Sha256>(); });
  add("CRC-32", kExtentPlain, [&] { prim.checksum<crypto::Crc32>(); });
  add("CRC-32C", kExtentPlain, [&] { prim.checksum<crypto::Crc32c>(); });
  add("CRC-64/NVME", kExtentPlain, [&] { prim.checksum<crypto::Crc64Nvme>(); });
  size_t primitives = all.size();
  // What a small object pays per call, whatever its size.
  add("HMAC-SHA256 of 64 bytes", kSmallCalls, [&] { prim.small_hmac(); });
  add("HKDF-SHA256, one key", kSmallCalls, [&] { prim.small_hkdf(); });
  add("key wrap and unwrap", kSmallCalls, [&] { prim.small_wrap(); });
  add("stream of 4 KiB sealed", kSmallCalls, [&] { prim.small_seal(); });
  add("stream of 4 KiB opened", kSmallCalls, [&] { prim.small_open(); });
  size_t small = all.size();
  Subject* put =
      add("PUT: seal, code and tag an 8 MiB extent in place", kExtentPlain, [&] { bench.seal_extent(); });
  Subject* put_fresh =
      add("PUT: the same into memory fresh from the system", kExtentPlain, [&] { bench.seal_extent(); });
  put_fresh->before = [&] {
    bench.coded = {};
    Buffer everything(
        256u
        << 20);  // never touched; more than base/page_stock.h keeps, so that giving it back empties the stock
  };
  Subject* put_copy =
      add("PUT: seal into one piece, then encode_extent", kExtentPlain, [&] { bench.seal_then_encode(); });
  Subject* get = add("GET: open a healthy extent", kExtentPlain, [&] { bench.open_extent(); });
  Subject* degraded =
      add("GET: two of three data islands gone", kExtentPlain, [&] { bench.open_extent_degraded(); });

  for (int round = -kWarmUpRounds; round < rounds; ++round)
    for (Subject& subject : all) {
      if (subject.before) subject.before();
      double start = cpu_seconds();
      subject.run();
      double spent = cpu_seconds() - start;
      if (round >= 0) subject.seconds.push_back(spent);
    }
  CHECK(std::ranges::equal(bench.opened.view(), bench.plain.view()));

  fmt::print("One core, thread CPU time, medians of {} interleaved rounds.\n\n", rounds);
  for (size_t i = 0; i < primitives; ++i)
    fmt::print("  {:<30} {:6.2f} GB/s\n", all[i].name, all[i].bytes_per_second() * 1e-9);
  fmt::print("\n");
  for (size_t i = primitives; i < small; ++i)
    fmt::print("  {:<30} {:6.2f} us\n", all[i].name, all[i].median_seconds() / kSmallCalls * 1e6);
  // All stored bytes are tagged: n/k of the sealed ones.
  const double sealed = double{kSealed} / double{kPlain};
  const double stored = static_cast<double>(bench.coded.ref.geometry.stripes()) * 3 +
                        static_cast<double>(bench.coded.ref.geometry.cells());
  const double tagged = stored / static_cast<double>(kSegments) * sealed;
  report_pipeline(*put, {{seal, 1}, {code, sealed}, {tag, tagged}});
  report_pipeline(*put_fresh, {{seal, 1}, {code, sealed}, {tag, tagged}});
  report_pipeline(*put_copy, {{seal, 1}, {code, sealed}, {tag, tagged}, {copy, sealed}});
  report_pipeline(*get, {{open, 1}});
  report_pipeline(*degraded, {{open, 1}, {rebuild, sealed}, {tag, sealed}, {copy, sealed}});
  return prim.sink == 0xdeadbeef ? 1 : 0;  // keeps the digests' results alive
}

}  // namespace
}  // namespace archipel

int main(int argc, char** argv) {
  int rounds = argc > 1 ? std::atoi(argv[1]) : 25;
  return archipel::run(std::clamp(rounds, 1, 1000));
}
