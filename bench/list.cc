// An S3 endpoint over a bucket of very many keys, for measuring LIST: the door, the HTTP server and the store of the gateway on one loop, islands in
// memory, the real RocksDB. The keys are written in large commits, all with the record of one small object, so that a million takes seconds.
//
//   bucket "wide": KEYS keys in PREFIXES prefixes: p0000/000000 …
//   bucket "deep": the same thousand prefixes of ten keys at depths 0, 2, 4 and 8: p0000/0, d/d/p0000/0, …
//
// Prints one JSON line when it serves and ends when its standard input does. bench/s3.py --list drives it.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "door/s3/door.h"
#include "http/server.h"
#include "index/journal.h"
#include "island/mem_island.h"
#include "store/keys.h"
#include "store/pins.h"
#include "store/store.h"

namespace archipel {
namespace {

constexpr int kWorkers = 4;
constexpr size_t kKeysPerCommit = 1000;
constexpr const char *kAccessKey = "AKIDBENCH", *kSecretKey = "secret-of-the-benchmark";

[[noreturn]] void die(const Error& error) {
  fmt::print(stderr, "bench_list: {}\n", error.describe());
  std::exit(1);
}

class Text final : public store::BodySource {
 public:
  io::Task<Result<size_t>> read(MutableBytes out) override {
    const size_t size = std::min(out.size(), left_);
    std::fill_n(out.begin(), size, uint8_t{'x'});
    left_ -= size;
    co_return size;
  }

 private:
  size_t left_ = 1000;
};

struct Cloud {
  explicit Cloud(std::string directory) : dir(std::move(directory)) {
    std::filesystem::create_directories(dir);
    auto all = std::make_shared<extent::Placement>();
    for (int i = 0; i < 6; ++i)
      all->islands.push_back(std::make_shared<island::MemIsland>("island-" + std::to_string(i)));
    placement = std::move(all);
    options.dir = dir;
    options.create = true;
    options.code = {6, 3};
  }

  const std::string dir;
  Random& random = system_random();
  std::unique_ptr<crypto::Keyring> keys = crypto::Keyring::generate(random);
  std::shared_ptr<const extent::Placement> placement;
  std::unique_ptr<io::Workers> workers = io::make_workers(kWorkers);
  std::unique_ptr<extent::Fanout> fanout = extent::make_fanout(*workers);
  index::JournalOptions options;
  index::Journal journal;
  std::unique_ptr<extent::ExtentReader> reader;
  std::unique_ptr<store::Store> store;
};

io::Task<void> open(Cloud& cloud) {
  auto journal =
      co_await index::open_journal(cloud.options, *cloud.keys, *cloud.placement, *cloud.fanout,
                                   *cloud.workers, *io::Loop::current(), cloud.random, system_clock());
  if (!journal) die(journal.error());
  cloud.journal = std::move(*journal);
  cloud.reader = extent::make_extent_reader(*cloud.keys, cloud.placement, *cloud.workers, {});
  store::StoreOptions options;
  options.pins = std::make_shared<store::Pins>();
  auto store = co_await store::open_store(options, *cloud.keys, *cloud.journal.kv, *cloud.journal.committer,
                                          *cloud.fanout, *cloud.reader, cloud.placement, cloud.options.code,
                                          cloud.options.ack, *cloud.workers, cloud.random, system_clock());
  if (!store) die(store.error());
  cloud.store = std::move(*store);
}

// The record that every key gets: that of an object of 1,000 bytes, put as clients put.
io::Task<std::string> make_record(Cloud& cloud) {
  store::Account account{};
  account.id = std::string(64, 'b');
  account.display_name = "bench";
  account.access_key = kAccessKey;
  account.secret_key = kSecretKey;
  Result<void> kept = co_await cloud.store->put_account(account);
  if (!kept) die(kept.error());
  for (const char* name : {"wide", "deep"}) {
    Result<void> made = co_await cloud.store->create_bucket(name, account.id);
    if (!made) die(made.error());
  }
  store::PutRequest request{};
  request.bucket = "wide";
  request.key = "zzz";
  request.length = 1000;
  Text text;
  auto put = co_await cloud.store->put(std::move(request), text);
  if (!put) die(put.error());
  auto record = cloud.journal.kv->snapshot()->get(store::object_key("wide", "zzz"));
  CHECK(record && *record);
  co_return **record;
}

io::Task<void> write_keys(Cloud& cloud, std::string bucket, std::vector<std::string> names,
                          std::string record) {
  for (size_t first = 0; first < names.size(); first += kKeysPerCommit) {
    index::Intent intent;
    intent.build = [&bucket, &names, &record, first](const index::View&,
                                                     const std::vector<index::SmallLocation>&,
                                                     std::vector<index::Mutation>& out) -> Result<void> {
      for (size_t i = first; i < std::min(first + kKeysPerCommit, names.size()); ++i)
        out.push_back({store::object_key(bucket, names[i]), record});
      return {};
    };
    auto done = co_await cloud.journal.committer->commit(std::move(intent));
    if (!done) die(done.error());
  }
}

io::Task<void> fill(Cloud& cloud, size_t keys, size_t prefixes) {
  std::string record = co_await make_record(cloud);
  std::vector<std::string> wide, deep;
  for (size_t i = 0; i < keys; ++i) wide.push_back(fmt::format("p{:04}/{:06}", i % prefixes, i / prefixes));
  for (size_t depth : {0, 2, 4, 8}) {
    std::string above;
    for (size_t i = 0; i < depth; ++i) above += "d/";
    for (size_t i = 0; i < 10'000; ++i) deep.push_back(fmt::format("{}p{:04}/{}", above, i % 1000, i / 1000));
  }
  co_await write_keys(cloud, "wide", std::move(wide), record);
  co_await write_keys(cloud, "deep", std::move(deep), record);
}

io::Task<int> run(std::string dir, size_t keys, size_t prefixes) {
  Cloud cloud(std::move(dir));
  co_await open(cloud);
  co_await fill(cloud, keys, prefixes);
  door::s3::Door door({}, *cloud.store, system_clock(), cloud.workers.get());
  auto listener = io::tcp_network().listen(*io::Loop::current(), "127.0.0.1:0", false);
  if (!listener) die(listener.error());
  auto server = http::make_server(*io::Loop::current(),
                                  [&door](http::Exchange& exchange) { return door.handle(exchange); });
  fmt::print(
      "{{\"event\":\"ready\",\"s3\":\"http://"
      "{}\",\"region\":\"archipel-1\",\"access_key\":\"{}\",\"secret_key\":\"{}\"}}\n",
      (*listener)->address(), kAccessKey, kSecretKey);
  std::fflush(stdout);
  std::thread waiter([&server] {
    char byte;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    server->drain();
  });
  co_await server->serve(**listener);
  waiter.join();
  co_await cloud.store->drain();
  co_await cloud.journal.committer->close();
  co_await cloud.fanout->drain();
  co_await cloud.reader->drain();
  cloud.store.reset();
  cloud.reader.reset();
  cloud.journal = index::Journal();
  co_return 0;
}

}  // namespace
}  // namespace archipel

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_list DIR [KEYS [PREFIXES]]     default: 1000000 1000\n");
    return 2;
  }
  auto number = [&](int i, long long otherwise) {
    const long long given = argc > i ? std::atoll(argv[i]) : 0;
    return static_cast<size_t>(given > 0 ? given : otherwise);
  };
  archipel::log::set_level(archipel::log::Level::warn);
  const size_t keys = number(2, 1'000'000), prefixes = number(3, 1000);
  std::string dir = argv[1];
  return archipel::io::run_blocking([&] { return archipel::run(dir, keys, prefixes); });
}
