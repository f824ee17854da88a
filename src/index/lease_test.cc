// The lease, in virtual time: two gateways on two directories and one set of islands.
#include "index/lease.h"

#include "extent/names.h"
#include "index/index_fixture.h"
#include "index/sim_dir.h"
#include "io/sim/sim_loop.h"
#include "island/sim_island.h"

namespace archipel::index {
namespace {

using std::chrono::seconds;

TEST(Lease, ComesBackAsItWasWrittenAndEveryFlippedBitIsRefused) {
  auto random = seeded_random(1);
  auto keys = crypto::Keyring::generate(*random);
  const Lease lease{7, random->bytes<16>(), 12345678901, true};
  const std::string bytes = encode_lease(*keys, "a", lease, *random);
  EXPECT_EQ(bytes.size(), kLeaseBytes);
  Result<Lease> back = decode_lease(*keys, "a", as_bytes(bytes));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, lease);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string bad = bytes;
    bad[bit / 8] = static_cast<char>(static_cast<uint8_t>(bad[bit / 8]) ^ (1u << bit % 8));
    EXPECT_FALSE(decode_lease(*keys, "a", as_bytes(bad)).has_value()) << bit;
  }
  EXPECT_FALSE(decode_lease(*keys, "b", as_bytes(bytes)).has_value());  // another island's
  EXPECT_FALSE(decode_lease(*keys, "a", as_bytes(bytes).first(kLeaseBytes - 1)).has_value());
  EXPECT_FALSE(decode_lease(*keys, "a", as_bytes(bytes + "x")).has_value());
}

TEST(Lease, TwoRenewalsHaveNothingInCommon) {
  auto random = seeded_random(2);
  auto keys = crypto::Keyring::generate(*random);
  Lease lease{7, random->bytes<16>(), 1, false};
  const std::string first = encode_lease(*keys, "a", lease, *random);
  ++lease.counter;
  const std::string second = encode_lease(*keys, "a", lease, *random);
  size_t equal = 0;
  for (size_t i = 0; i < first.size(); ++i) equal += first[i] == second[i] ? 1 : 0;
  EXPECT_LT(equal, 12u);
}

// A network that can be cut between one gateway and an island.
class Wire final : public island::Island {
 public:
  Wire(std::unique_ptr<island::Island> inner, const bool& cut) : inner_(std::move(inner)), cut_(cut) {}
  const std::string& id() const override { return inner_->id(); }
  io::Task<Result<void>> put(island::BlobName name, std::span<const ByteView> parts, Deadline d) override {
    if (cut_) co_return no();
    Result<void> out = co_await inner_->put(std::move(name), parts, d);
    co_return out;
  }
  io::Task<Result<void>> overwrite(island::BlobName name, ByteView bytes, Deadline d) override {
    if (cut_) co_return no();
    Result<void> out = co_await inner_->overwrite(std::move(name), bytes, d);
    co_return out;
  }
  io::Task<Result<Buffer>> get(island::BlobName name, uint64_t at, uint64_t length, Deadline d) override {
    if (cut_) co_return no();
    Result<Buffer> out = co_await inner_->get(std::move(name), at, length, d);
    co_return out;
  }
  io::Task<Result<uint64_t>> size(island::BlobName name, Deadline d) override {
    if (cut_) co_return no();
    Result<uint64_t> out = co_await inner_->size(std::move(name), d);
    co_return out;
  }
  io::Task<Result<void>> remove(island::BlobName name, Deadline d) override {
    if (cut_) co_return no();
    Result<void> out = co_await inner_->remove(std::move(name), d);
    co_return out;
  }
  io::Task<Result<std::vector<island::BlobName>>> list(Deadline) override { co_return no(); }
  io::Task<Result<Buffer>> read_marker(Deadline d) override {
    if (cut_) co_return no();
    Result<Buffer> out = co_await inner_->read_marker(d);
    co_return out;
  }
  io::Task<Result<void>> write_marker(ByteView bytes, Deadline d) override {
    if (cut_) co_return no();
    Result<void> out = co_await inner_->write_marker(bytes, d);
    co_return out;
  }

 private:
  static std::unexpected<Error> no() { return fail(Code::unavailable, "the network is cut"); }
  std::unique_ptr<island::Island> inner_;
  const bool& cut_;
};

struct Realm {
  Realm() {
    auto random = seeded_random(11);
    keys = crypto::Keyring::generate(*random);
    for (int i = 0; i < 6; ++i)
      places.push_back(std::make_shared<island::SimPlace>(loop, "island-" + std::to_string(i), 100 + i));
  }
  io::SimLoop loop{5};
  io::SimClock clock{loop};
  std::unique_ptr<crypto::Keyring> keys;
  std::vector<std::shared_ptr<island::SimPlace>> places;
};

// A gateway on a directory of its own.
struct Gateway {
  Gateway(Realm& r, uint64_t seed)
      : realm(r), disk(seed), random(seeded_random(seed)), workers(r.loop, seed) {
    options.dir = "sim:";
    options.create = true;
    options.code = {6, 3};
  }
  void connect() {
    alive = std::make_shared<bool>(true);
    options.files = disk.files(alive);
    options.open_view = disk.open_view(alive);
    placement.islands.clear();
    for (size_t i = 0; i < 6; ++i) {
      placement.islands.push_back(
          std::make_shared<Wire>(std::make_unique<island::SimIsland>(realm.places[i], alive), cut[i]));
    }
    fanout = extent::make_fanout(workers);
  }
  io::Task<bool> start() {
    connect();
    Result<Journal> opened = co_await open_journal(options, *realm.keys, placement, *fanout, workers,
                                                   realm.loop, *random, realm.clock);
    if (!opened) error = opened.error();
    if (opened) journal = std::move(*opened);
    co_return opened.has_value() && journal.committer->open();
  }
  io::Task<void> stop() {
    if (journal.committer) co_await journal.committer->close();
    co_await fanout->drain();
    journal = Journal();
  }
  // kill -9.
  io::Task<void> die() {
    *alive = false;
    disk.process_died();
    co_await stop();
  }
  io::Task<bool> put(std::string key, std::string value) {
    Result<CommitPosition> done =
        co_await journal.committer->commit(Rig::set(std::move(key), std::move(value)));
    co_return done.has_value();
  }
  bool holds(const std::string& key) const { return (*journal.kv->snapshot()->get(key)).has_value(); }
  void cut_off(bool now) { cut.fill(now); }

  Realm& realm;
  SimDisk disk;
  std::unique_ptr<Random> random;
  io::SimWorkers workers;
  JournalOptions options;
  std::array<bool, 6> cut{};
  std::shared_ptr<bool> alive;
  extent::Placement placement;
  std::unique_ptr<extent::Fanout> fanout;
  Journal journal;
  std::optional<Error> error;
};

io::Task<void> pass(Duration time) {
  co_await io::sleep_until(io::Loop::current()->now() + time);
}
TimePoint now() {
  return io::Loop::current()->now();
}

void in_a_realm(io::Task<void> (*scenario)(Gateway&, Gateway&)) {
  Realm realm;
  Gateway a(realm, 21), b(realm, 22);
  struct Runner {
    static io::Task<void> run(Realm* world, io::Task<void> (*body)(Gateway&, Gateway&), Gateway* a,
                              Gateway* b) {
      co_await body(*a, *b);
      a->cut_off(false);
      b->cut_off(false);
      if (a->journal.committer) co_await a->stop();
      if (b->journal.committer) co_await b->stop();
      world->loop.stop();
    }
  };
  std::optional<io::Task<void>> life;
  realm.loop.post([&] { life.emplace(Runner::run(&realm, scenario, &a, &b)); });
  realm.loop.run();
  EXPECT_EQ(realm.loop.end(), io::SimLoop::End::stopped);
}

io::Task<void> second_is_refused(Gateway& a, Gateway& b) {
  CO_ASSERT_TRUE(co_await a.start());
  CO_ASSERT_TRUE(co_await a.put("a", "1"));
  b.options.create = false;
  EXPECT_FALSE(co_await b.start());
  CO_ASSERT_TRUE(b.error.has_value());
  EXPECT_EQ(b.error->code, Code::exists);
  EXPECT_NE(b.error->message.find("another gateway"), std::string::npos) << b.error->message;
  CO_ASSERT_TRUE(co_await a.put("b", "2"));
  EXPECT_TRUE(a.journal.committer->may_read());
}
TEST(Lease, ASecondGatewayIsRefusedWhileTheFirstRenews) {
  in_a_realm(second_is_refused);
}

io::Task<void> after_a_kill(Gateway& a, Gateway& b) {
  CO_ASSERT_TRUE(co_await a.start());
  CO_ASSERT_TRUE(co_await a.put("a", "1"));
  co_await a.die();
  TimePoint began = now();
  CO_ASSERT_TRUE(co_await b.start());
  EXPECT_GE(now() - began, seconds(60));
  EXPECT_LT(now() - began, seconds(70));
  EXPECT_TRUE(b.holds("a"));
  CO_ASSERT_TRUE(co_await b.put("b", "2"));
  co_await b.stop();
  // Stopped in order, it said so: nobody waits.
  began = now();
  CO_ASSERT_TRUE(co_await a.start());
  EXPECT_LT(now() - began, seconds(5));
  EXPECT_TRUE(a.holds("b"));
}
TEST(Lease, AnotherDirectoryWaitsAMinuteAfterAKillAndNotAfterACleanStop) {
  in_a_realm(after_a_kill);
}

io::Task<void> same_directory(Gateway& a, Gateway& b) {
  for (int kill = 0; kill < 12; ++kill) {
    const TimePoint began = now();
    CO_ASSERT_TRUE(co_await a.start());
    EXPECT_LT(now() - began, seconds(5)) << kill;
    CO_ASSERT_TRUE(co_await a.put("k", std::to_string(kill)));
    co_await a.die();
  }
  b.options.lease.old_gateway_is_dead = true;
  const TimePoint began = now();
  CO_ASSERT_TRUE(co_await b.start());
  EXPECT_LT(now() - began, seconds(5));
}
TEST(Lease, TheSameDirectoryNeverWaitsNorAnOperatorWhoKnows) {
  in_a_realm(same_directory);
}

// The first is cut off from everything, the second takes over; then the first is back, as it was.
io::Task<void> back_from_the_dead(Gateway& a, Gateway& b) {
  CO_ASSERT_TRUE(co_await a.start());
  CO_ASSERT_TRUE(co_await a.put("a", "1"));
  a.cut_off(true);
  co_await pass(seconds(31));
  EXPECT_FALSE(a.journal.committer->may_read());
  EXPECT_FALSE(a.journal.committer->open());
  CO_ASSERT_TRUE(co_await b.start());
  CO_ASSERT_TRUE(co_await b.put("b", "2"));
  a.cut_off(false);
  for (int i = 0; i < 60; ++i) {
    EXPECT_FALSE(co_await a.put("stale", "x"));
    EXPECT_FALSE(a.journal.committer->may_read());
    co_await pass(seconds(3));
  }
  EXPECT_NE(a.journal.committer->closed_because().find("another gateway"), std::string::npos)
      << a.journal.committer->closed_because();
  CO_ASSERT_TRUE(co_await b.put("c", "3"));
  EXPECT_FALSE(b.holds("stale"));
  // The second ends: the first goes on where it stopped.
  co_await b.stop();
  co_await pass(seconds(30));
  EXPECT_TRUE(a.journal.committer->open());
  EXPECT_TRUE(a.journal.committer->may_read());
  EXPECT_TRUE(a.holds("c"));
  CO_ASSERT_TRUE(co_await a.put("d", "4"));
}
TEST(Lease, AGatewayThatComesBackAcknowledgesAndServesNothing) {
  in_a_realm(back_from_the_dead);
}

// Three islands gone: the lease cannot be renewed, and reading goes on all the same, since nobody else can be writing.
io::Task<void> too_few_for_the_lease(Gateway& a, Gateway& b) {
  CO_ASSERT_TRUE(co_await a.start());
  CO_ASSERT_TRUE(co_await a.put("a", "1"));
  for (size_t i : {0u, 1u, 2u}) a.cut[i] = true;
  size_t unread = 0;
  for (int i = 0; i < 300; ++i) {
    unread += a.journal.committer->may_read() ? 0 : 1;
    co_await pass(seconds(1));
  }
  EXPECT_LE(unread, 5u);
  EXPECT_FALSE(a.journal.committer->open());
  EXPECT_FALSE(co_await a.put("b", "2"));
  a.cut_off(false);
  co_await pass(seconds(20));
  EXPECT_TRUE(a.journal.committer->open());
  CO_ASSERT_TRUE(co_await a.put("b", "2"));
  static_cast<void>(b);
}
TEST(Lease, WithoutWIslandsReadingGoesOn) {
  in_a_realm(too_few_for_the_lease);
}

// Between the look of one start and its lease, another takes the realm, writes, and stops in order: what the first has read is old.
io::Task<void> came_and_went(Gateway& a, Gateway& b) {
  CO_ASSERT_TRUE(co_await a.start());
  co_await a.stop();
  b.connect();
  LeaseKeeper slow({}, *b.realm.keys, b.placement, b.options.code, 4, b.options.files, b.workers,
                   b.realm.loop, *b.random, b.realm.clock);
  CO_ASSERT_TRUE((co_await slow.begin()).has_value());
  CO_ASSERT_TRUE((co_await slow.exclude_others(0x3f, false, nullptr)).has_value());
  CO_ASSERT_TRUE(co_await a.start());
  CO_ASSERT_TRUE(co_await a.put("a", "1"));
  co_await a.stop();
  Result<void> taken = co_await slow.take(3, 0x3f);
  EXPECT_FALSE(taken.has_value());
  if (!taken) EXPECT_EQ(taken.error().code, Code::exists);
  // After another look it is free.
  CO_ASSERT_TRUE((co_await slow.exclude_others(0x3f, false, nullptr)).has_value());
  EXPECT_TRUE((co_await slow.take(3, 0x3f)).has_value());
  co_await slow.close();
}
TEST(Lease, IsNotTakenAfterSomebodyElseCameAndWent) {
  in_a_realm(came_and_went);
}

// A keeper alone, without a journal.
std::unique_ptr<LeaseKeeper> keeper_of(Gateway& gateway) {
  gateway.connect();
  return std::make_unique<LeaseKeeper>(LeaseOptions{}, *gateway.realm.keys, gateway.placement,
                                       gateway.options.code, 4, gateway.options.files, gateway.workers,
                                       gateway.realm.loop, *gateway.random, gateway.realm.clock);
}
constexpr uint32_t kAll = 0x3f;
// What a gateway that died left on one island.
io::Task<void> leave_behind(Gateway& writer, size_t island, Lease lease) {
  const auto& at = writer.placement.islands[island];
  const std::string bytes = encode_lease(*writer.realm.keys, at->id(), lease, *writer.random);
  Result<void> left = co_await at->overwrite(extent::lease_name(*writer.realm.keys, at->id()),
                                             as_bytes(bytes), now() + seconds(5));
  EXPECT_TRUE(left.has_value());
}
io::Task<std::optional<Lease>> lease_on(Gateway& reader, size_t island) {
  const auto& at = reader.placement.islands[island];
  Result<Buffer> bytes =
      co_await at->get(extent::lease_name(*reader.realm.keys, at->id()), 0, kLeaseBytes, now() + seconds(5));
  if (!bytes) co_return std::nullopt;
  Result<Lease> lease = decode_lease(*reader.realm.keys, at->id(), *bytes);
  if (!lease) co_return std::nullopt;
  co_return *lease;
}

// One that died after fifty tries left a lease with a high counter; the one that serves the same epoch has only begun to count.
io::Task<void> behind_a_leftover(Gateway& a, Gateway& b) {
  CO_ASSERT_TRUE(co_await a.start());
  co_await a.stop();
  auto serving = keeper_of(a), second = keeper_of(b);
  CO_ASSERT_TRUE((co_await serving->begin()).has_value());
  CO_ASSERT_TRUE((co_await second->begin()).has_value());
  co_await leave_behind(b, 5, {6, Instance{0xf}, 50, false});
  a.cut[5] = true;
  CO_ASSERT_TRUE((co_await serving->exclude_others(kAll, false, nullptr)).has_value());
  CO_ASSERT_TRUE((co_await serving->take(6, kAll)).has_value());
  bool lost = false;
  serving->start([&lost](const Error&) { lost = true; });
  Result<void> alone = co_await second->exclude_others(kAll, false, nullptr);
  EXPECT_FALSE(alone.has_value());
  if (!alone) EXPECT_EQ(alone.error().code, Code::exists);
  EXPECT_FALSE(lost);
  EXPECT_TRUE(serving->gate().may_write());
  co_await serving->close();
  co_await second->close();
}
TEST(Lease, OneThatRenewsIsSeenBehindANewerLeftover) {
  in_a_realm(behind_a_leftover);
}

// Two that died left theirs on different islands: both are written over, also on an island that is reached late.
io::Task<void> several_leftovers(Gateway& a, Gateway& b) {
  CO_ASSERT_TRUE(co_await a.start());
  co_await a.stop();
  auto next = keeper_of(a);
  b.connect();
  CO_ASSERT_TRUE((co_await next->begin()).has_value());
  for (size_t i : {0u, 1u, 2u}) co_await leave_behind(b, i, {6, Instance{0xf}, 50, false});
  for (size_t i : {3u, 4u, 5u}) co_await leave_behind(b, i, {6, Instance{0xe}, 3, false});
  const TimePoint began = now();
  CO_ASSERT_TRUE((co_await next->exclude_others(kAll, false, nullptr)).has_value());
  EXPECT_GE(now() - began, seconds(60));
  EXPECT_LT(now() - began, seconds(70));
  a.cut[0] = a.cut[5] = true;
  CO_ASSERT_TRUE((co_await next->take(6, kAll)).has_value());
  a.cut_off(false);
  bool lost = false;
  next->start([&lost](const Error&) { lost = true; });
  co_await pass(seconds(45));
  EXPECT_FALSE(lost);
  EXPECT_TRUE(next->gate().may_write());
  std::optional<Lease> first = co_await lease_on(b, 0);
  std::optional<Lease> last = co_await lease_on(b, 5);
  std::optional<Lease> other = co_await lease_on(b, 2);
  CO_ASSERT_TRUE(first && last && other);
  EXPECT_EQ(first->instance, other->instance);
  EXPECT_EQ(last->instance, other->instance);
  co_await next->close();
}
TEST(Lease, LeftoversOfSeveralAreTakenOver) {
  in_a_realm(several_leftovers);
}

// A try to take a later epoch that failed says nothing about who holds an earlier one; an epoch that was open does.
io::Task<void> failed_take(Gateway& a, Gateway& b) {
  CO_ASSERT_TRUE(co_await a.start());
  co_await a.stop();
  auto serving = keeper_of(a), failed = keeper_of(b);
  CO_ASSERT_TRUE((co_await serving->begin()).has_value());
  CO_ASSERT_TRUE((co_await failed->begin()).has_value());
  CO_ASSERT_TRUE((co_await failed->exclude_others(kAll, false, nullptr)).has_value());
  for (size_t i : {0u, 1u, 2u}) b.cut[i] = true;
  Result<void> taken = co_await failed->take(9, kAll);
  EXPECT_FALSE(taken.has_value());
  b.cut_off(false);
  CO_ASSERT_TRUE((co_await serving->exclude_others(kAll, false, nullptr)).has_value());
  CO_ASSERT_TRUE((co_await serving->take(6, kAll)).has_value());
  serving->start({});
  Result<void> alone = co_await failed->exclude_others(kAll, false, nullptr);
  EXPECT_FALSE(alone.has_value());
  if (!alone) EXPECT_EQ(alone.error().code, Code::exists);
  EXPECT_TRUE(serving->gate().may_write());
  co_await serving->close();

  CO_ASSERT_TRUE((co_await failed->exclude_others(kAll, false, nullptr)).has_value());
  CO_ASSERT_TRUE((co_await failed->take(10, kAll)).has_value());
  failed->epoch_opened();
  failed->let_go();
  co_await leave_behind(a, 5, {6, Instance{0xf}, 50, false});
  EXPECT_TRUE((co_await failed->exclude_others(kAll, true, nullptr)).has_value());
  co_await failed->close();
}
TEST(Lease, ATakeThatFailedEndsNobodysLease) {
  in_a_realm(failed_take);
}

// A commit that islands confirmed only when the lease was over is not acknowledged.
io::Task<void> put_into(Gateway* a, std::optional<bool>* out) {
  *out = co_await a->put("late", "1");
}
io::Task<void> confirmed_too_late(Gateway& a, Gateway& b) {
  a.options.ack.hard_deadline = seconds(300);
  CO_ASSERT_TRUE(co_await a.start());
  a.cut_off(true);
  std::optional<bool> acknowledged;
  io::TaskScope scope;
  scope.spawn(put_into(&a, &acknowledged));
  co_await pass(seconds(40));
  EXPECT_FALSE(acknowledged.has_value());
  // What snapshots and head slots ask.
  EXPECT_FALSE(a.journal.lease->gate().may_write());
  a.cut_off(false);
  co_await pass(seconds(60));
  co_await scope.join();
  EXPECT_EQ(acknowledged, false);
  static_cast<void>(b);
}
TEST(Lease, WhatIsConfirmedAfterTheLeaseIsNotAcknowledged) {
  in_a_realm(confirmed_too_late);
}

}  // namespace
}  // namespace archipel::index
