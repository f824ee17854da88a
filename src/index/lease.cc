#include "index/lease.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "base/metrics.h"
#include "crypto/hash.h"
#include "extent/names.h"

namespace archipel::index {
namespace {

constexpr std::string_view kMagic = "archipel/1 lease";
constexpr std::string_view kMaskLabel = "archipel/1 lease mask";
constexpr size_t kNonceBytes = 16, kMacBytes = 32, kBodyBytes = kLeaseBytes - kNonceBytes;
constexpr std::string_view kInstancesFile = "instances";
constexpr std::string_view kInstancesMagic = "archipel-instances 1\n";
constexpr size_t kInstancesKept =
    8;  // starts in a row that may fail before one of them has written its lease
constexpr size_t kIdentityBytesMax = 256;
constexpr int kLiars = 1;  // f of protocol §2

metrics::Gauge& held_gauge() {
  static auto* gauge =
      new metrics::Gauge("archipel_journal_lease_held", "1 while this gateway's lease is valid");
  return *gauge;
}
metrics::Counter& renewal_counter(bool good) {
  static auto* done = new metrics::Counter("archipel_journal_lease_renewals_total",
                                           "Renewals of the lease by outcome", {{"outcome", "ok"}});
  static auto* failed = new metrics::Counter("archipel_journal_lease_renewals_total",
                                             "Renewals of the lease by outcome", {{"outcome", "failed"}});
  return good ? *done : *failed;
}

// XORs the body with a mask that depends on the island and the nonce.
void mask(const crypto::Keyring& keys, const std::string& island_id, std::string& bytes) {
  std::array<uint8_t, kBodyBytes> pad{};
  const ByteView nonce = as_bytes(bytes).first(kNonceBytes);
  crypto::hkdf_sha256(keys.subkey("names/" + island_id).view(), nonce, as_bytes(kMaskLabel), pad);
  for (size_t i = 0; i < kBodyBytes; ++i)
    bytes[kNonceBytes + i] = static_cast<char>(static_cast<uint8_t>(bytes[kNonceBytes + i]) ^ pad[i]);
}

crypto::Digest32 mac_of(const crypto::Keyring& keys, const std::string& island_id, ByteView body) {
  return crypto::hmac_sha256(keys.subkey("head").view(), {as_bytes(island_id), body});
}

std::string seconds(Duration d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(d).count()) + " s";
}

}  // namespace

std::string encode_lease(const crypto::Keyring& keys, const std::string& island_id, const Lease& lease,
                         Random& random) {
  std::string body;
  Writer w(body);
  w.raw(kMagic).raw(ByteView(keys.realm())).u64(lease.epoch).raw(ByteView(lease.instance)).u64(lease.counter);
  w.u8(lease.released ? 1 : 0);
  body.resize(kBodyBytes - kMacBytes, '\0');
  const crypto::Digest32 mac = mac_of(keys, island_id, as_bytes(body));
  w.raw(ByteView(mac));
  const auto nonce = random.bytes<kNonceBytes>();
  std::string out(as_text(nonce));
  out += body;
  mask(keys, island_id, out);
  return out;
}

Result<Lease> decode_lease(const crypto::Keyring& keys, const std::string& island_id, ByteView bytes) {
  const std::string bad =
      "island " + island_id + ": what lies in the lease's place is no lease of this realm";
  if (bytes.size() != kLeaseBytes) return fail(Code::corrupt, bad);
  std::string plain(as_text(bytes));
  mask(keys, island_id, plain);
  const ByteView body = as_bytes(plain).subspan(kNonceBytes, kBodyBytes - kMacBytes);
  if (!crypto::constant_time_equal(mac_of(keys, island_id, body), as_bytes(plain).last(kMacBytes)))
    return fail(Code::corrupt, bad);
  Reader r(body);
  if (as_text(r.raw(kMagic.size())) != kMagic)
    return fail(Code::unsupported,
                "island " + island_id + ": its lease was written by another version of this program");
  crypto::RealmId realm{};
  Lease lease;
  r.fixed(realm);
  lease.epoch = r.u64();
  r.fixed(lease.instance);
  lease.counter = r.u64();
  lease.released = r.u8() == 1;
  if (!r.ok() || realm != keys.realm()) return fail(Code::corrupt, bad);
  return lease;
}

void LeaseGate::hold_until(TimePoint until) {
  write_until_.store(until.time_since_epoch().count(), std::memory_order_release);
  read_until(until);
}
void LeaseGate::read_until(TimePoint until) {
  const int64_t at = until.time_since_epoch().count();
  if (at > read_until_.load(std::memory_order_acquire)) read_until_.store(at, std::memory_order_release);
}
void LeaseGate::stop() {
  write_until_.store(0, std::memory_order_release);
  read_until_.store(0, std::memory_order_release);
}

LeaseKeeper::LeaseKeeper(LeaseOptions options, const crypto::Keyring& keys, extent::Placement placement,
                         erasure::Code code, int w, std::shared_ptr<DirFiles> files, io::Workers& workers,
                         io::Loop& home, Random& random, Clock& clock)
    : options_(options),
      keys_(keys),
      placement_(std::move(placement)),
      code_(code),
      w_(w),
      files_(std::move(files)),
      workers_(workers),
      home_(home),
      random_(random),
      clock_(clock),
      gate_([this] { return time(); }) {}

LeaseKeeper::~LeaseKeeper() {
  CHECK(scope_.active() == 0);
}

void LeaseKeeper::note(Leases& known, const Lease& seen) {
  auto [at, added] = known.try_emplace(seen.instance, seen);
  if (!added && at->second.counter < seen.counter) at->second = seen;
}

bool LeaseKeeper::is_known(const Leases& known, const Lease& seen) {
  auto at = known.find(seen.instance);
  return at != known.end() && seen.counter <= at->second.counter;
}

std::optional<Lease> LeaseKeeper::rival(const Round& round, uint64_t epoch) const {
  for (const auto& [instance, lease] : round.foreign) {
    if (!lease.released && lease.epoch >= epoch && !is_cleared(lease)) return lease;
  }
  return std::nullopt;
}

bool LeaseKeeper::is_ours(const Instance& instance) const {
  return std::ranges::find(ours_, instance) != ours_.end();
}

// instances: magic, what tells this directory from a copy of it, the last instances; written before the new one is used.
Result<LeaseKeeper::Recorded> LeaseKeeper::read_instances(DirFiles& files) {
  Recorded out;
  ASSIGN_OR_RETURN(std::optional<std::string> text, files.read(std::string(kInstancesFile)));
  if (!text || !text->starts_with(kInstancesMagic)) return out;
  Reader r(as_bytes(*text).subspan(kInstancesMagic.size()));
  const size_t length = r.u16();
  out.made_in = length <= kIdentityBytesMax ? std::string(as_text(r.raw(length))) : "";
  while (r.ok() && r.remaining() >= sizeof(Instance) && out.instances.size() < kInstancesKept) {
    Instance instance{};
    r.fixed(instance);
    out.instances.push_back(instance);
  }
  if (!r.ok()) return Recorded{};
  return out;
}

Result<bool> LeaseKeeper::is_copy(DirFiles& files) {
  ASSIGN_OR_RETURN(Recorded recorded, read_instances(files));
  const std::string boot = " " + files.boot_id();
  return recorded.made_in.ends_with(boot) && recorded.made_in != files.identity() + boot;
}

Result<void> LeaseKeeper::record_instance() {
  // Under another boot of the machine, as in a copy, the lock proves nothing about those that held it.
  const std::string identity = files_->identity() + " " + files_->boot_id();
  ASSIGN_OR_RETURN(Recorded recorded, read_instances(*files_));
  ours_.clear();
  if (recorded.made_in == identity) ours_ = std::move(recorded.instances);
  if (ours_.size() == kInstancesKept) ours_.erase(ours_.begin());
  ours_.push_back(random_.bytes<16>());
  std::string out(kInstancesMagic);
  Writer w(out);
  w.u16(static_cast<uint16_t>(identity.size())).raw(identity);
  for (const Instance& instance : ours_) w.raw(ByteView(instance));
  return files_->write_atomically(std::string(kInstancesFile), as_bytes(out));
}

io::Task<Result<void>> LeaseKeeper::begin() {
  Result<void> recorded = co_await workers_.run([this] { return record_instance(); });
  co_return recorded;
}

io::Task<void> LeaseKeeper::visit(LeaseKeeper* self, size_t shard, const Lease* write, MayReplace may_replace,
                                  Visit* out) {
  island::Island& island = *self->placement_.islands[shard];
  const std::string name = extent::lease_name(self->keys_, island.id());
  const Deadline deadline = self->home_.now() + self->options_.deadline;
  Result<Buffer> bytes = co_await island.get(name, 0, kLeaseBytes + 1, deadline);
  if (bytes) {
    // Somebody's rubbish proves nothing, and may be overwritten.
    Result<Lease> lease = decode_lease(self->keys_, island.id(), *bytes);
    if (lease) out->seen = *lease;
    out->answered = lease.has_value();
  } else {
    out->answered = bytes.error().code == Code::not_found;
  }
  if (write == nullptr) co_return;
  const std::optional<Lease>& seen = out->seen;
  if (seen && !self->is_ours(seen->instance) && !seen->released && !(self->*may_replace)(*seen)) co_return;
  const std::string text = encode_lease(self->keys_, island.id(), *write, self->random_);
  Result<void> done = co_await island.overwrite(name, as_bytes(text), deadline);
  out->written = done.has_value();
}

io::Task<LeaseKeeper::Round> LeaseKeeper::visit_all(uint32_t shards, std::optional<Lease> write,
                                                    MayReplace may_replace) {
  std::vector<Visit> all(placement_.islands.size());
  io::TaskScope scope;
  for (size_t i = 0; i < all.size(); ++i) {
    if ((shards >> i & 1) != 0) scope.spawn(visit(this, i, write ? &*write : nullptr, may_replace, &all[i]));
  }
  co_await scope.join();
  Round round;
  for (const Visit& one : all) {
    round.answered += one.answered ? 1 : 0;
    round.written += one.written ? 1 : 0;
    if (one.seen && !is_ours(one.seen->instance)) note(round.foreign, *one.seen);
  }
  co_return round;
}

io::Task<Result<void>> LeaseKeeper::exclude_others(uint32_t shards, bool once, const bool* stop) {
  for (;;) {
    const TimePoint began = time();
    Round round = co_await visit_all(shards, std::nullopt, nullptr);
    if (round.answered < code_.k) {
      co_return fail(Code::unavailable, "only " + std::to_string(round.answered) +
                                            " islands say whether another gateway is running, and " +
                                            std::to_string(code_.k) + " are needed");
    }
    std::vector<Lease> unclear;
    for (const auto& [instance, lease] : round.foreign) {
      if (!lease.released && !is_cleared(lease)) unclear.push_back(lease);
    }
    if (unclear.empty() || options_.old_gateway_is_dead) {
      watched_.clear();
      for (const auto& [instance, lease] : round.foreign) note(cleared_, lease);
      gate_.read_until(began + options_.valid_for);
      co_return {};
    }
    const uint64_t epoch = std::ranges::max(unclear, {}, &Lease::epoch).epoch;
    // A watch begins and ends with a reading that whoever writes cannot have missed.
    if (round.answered < code_.n - w_ + 1 + kLiars) {
      co_return fail(
          Code::unavailable,
          "another gateway held this realm, and too few islands answer to be sure that it is gone; "
          "bring back more, or say --old-gateway-is-dead. Nothing was written");
    }
    // Another instance may be one that begins, or was left on an island that had not answered: it too must be quiet for the whole watch.
    bool changed = false, renewed = false;
    for (const Lease& lease : unclear) {
      if (is_known(watched_, lease)) continue;
      changed = true;
      renewed = renewed || watched_.contains(lease.instance);
      note(watched_, lease);
    }
    if (changed) {
      watched_since_ = time();
      if (renewed && !once) {
        co_return fail(
            Code::exists,
            "another gateway, on another directory, holds this realm and has just renewed its lease "
            "(epoch " +
                std::to_string(epoch) + "); stop it first. Nothing was written");
      }
      if (!once) log::warn("lease.watching", {{"epoch", epoch}, {"for", seconds(options_.watch)}});
    }
    const Duration quiet = time() - watched_since_;
    if (quiet >= options_.watch) {
      log::warn("lease.taken_over", {{"epoch", epoch}, {"quiet", seconds(quiet)}});
      for (const auto& [instance, lease] : round.foreign) note(cleared_, lease);
      for (const auto& [instance, lease] : watched_) note(cleared_, lease);
      watched_.clear();
      gate_.read_until(began + options_.valid_for);
      co_return {};
    }
    if (once) {
      co_return fail(Code::exists, "another gateway, on another directory, has taken this realm (epoch " +
                                       std::to_string(epoch) + ")");
    }
    if (stop != nullptr && *stop) co_return fail(Code::cancelled, "the gateway is shutting down");
    co_await stop_.wait(home_.now() + options_.watch_every);
    if (closing_) co_return fail(Code::cancelled, "the gateway is shutting down");
  }
}

io::Task<Result<void>> LeaseKeeper::take(uint64_t epoch, uint32_t shards) {
  const TimePoint began = time();
  epoch_ = epoch;
  shards_ = shards;
  Lease lease{epoch, ours_.back(), ++counter_, false};
  Round round = co_await visit_all(shards, lease, &LeaseKeeper::is_cleared);
  // Released or not: who held the realm since the chain was read has acknowledged what was not seen. (Of a new realm nothing was read.)
  for (const auto& [instance, seen] : round.foreign) {
    if (is_cleared(seen) || (epoch == 1 && seen.released)) continue;
    co_return fail(Code::exists,
                   "another gateway, on another directory, has taken this realm meanwhile (epoch " +
                       std::to_string(seen.epoch) + ")");
  }
  if (round.written < w_) {
    co_return fail(Code::unavailable, "the lease of this gateway could be written to " +
                                          std::to_string(round.written) + " islands, and " +
                                          std::to_string(w_) + " are needed");
  }
  round = co_await visit_all(shards, std::nullopt, nullptr);
  if (rival(round, epoch)) {
    co_return fail(
        Code::exists,
        "another gateway, on another directory, is taking this realm at the same time; stop one of them");
  }
  held_ = true;
  held_gauge().set(1);
  gate_.hold_until(began + options_.valid_for);
  co_return {};
}

void LeaseKeeper::start(std::function<void(const Error&)> on_stale) {
  CHECK(!running_);
  running_ = true;
  on_stale_ = std::move(on_stale);
  scope_.spawn(run(this));
}

void LeaseKeeper::let_go() {
  held_ = false;
  held_gauge().set(0);
}

void LeaseKeeper::lose(Error reason) {
  log::error("lease.lost", {{"epoch", epoch_}, {"reason", reason.message}});
  gate_.stop();
  let_go();
  if (on_stale_) on_stale_(reason);
}

io::Task<void> LeaseKeeper::run(LeaseKeeper* self) {
  TimePoint next = self->home_.now() + self->options_.renew_every;
  while (!self->closing_) {
    co_await self->stop_.wait(next);
    if (self->closing_) break;
    next = self->home_.now() + self->options_.renew_every;
    if (self->held_)
      co_await self->renew();
    else
      co_await self->look();
  }
}

io::Task<void> LeaseKeeper::renew() {
  const TimePoint began = time();
  // A process that was stopped, or a machine that slept: what it held may be another's by now, and the islands' answer is too late.
  const bool stale = !gate_.may_write();
  const uint64_t epoch = epoch_;
  Lease lease{epoch_, ours_.back(), ++counter_, false};
  std::optional<Lease> write;
  if (!stale) write = lease;
  Round round = co_await visit_all(shards_, write, &LeaseKeeper::may_renew_over);
  if (!held_ || epoch_ != epoch || closing_) co_return;
  const std::optional<Lease> taken = rival(round, epoch);
  const bool renewed = !stale && !taken && round.written >= w_ && round.answered >= w_;
  renewal_counter(renewed).add();
  if (renewed) {
    gate_.hold_until(began + options_.valid_for);
  } else if (taken) {
    lose({Code::unavailable,
          "another gateway, on another directory, has taken this realm (epoch " +
              std::to_string(taken->epoch) + ")",
          {}});
  } else if (stale || !gate_.may_write_for(options_.renew_every)) {
    // Stale before the next renewal could make it good: known now, not at the next commit.
    lose({Code::unavailable,
          "the lease of this gateway was not renewed within " + seconds(options_.valid_for) + ": only " +
              std::to_string(round.written) + " islands took it, and " + std::to_string(w_) + " are needed",
          {}});
  }
}

// Not held: the journal is closed. Reading goes on while enough islands answer and none shows another holder.
io::Task<void> LeaseKeeper::look() {
  const uint32_t all = (1u << placement_.islands.size()) - 1;
  [[maybe_unused]] Result<void> alone = co_await exclude_others(all, true, nullptr);
}

io::Task<void> LeaseKeeper::close() {
  closing_ = true;
  stop_.notify_all();
  co_await scope_.join();
  if (!held_) co_return;
  Lease lease{epoch_, ours_.back(), ++counter_, true};
  Round round = co_await visit_all(shards_, lease, &LeaseKeeper::may_renew_over);
  if (round.written < w_)
    log::warn("lease.not_released",
              {{"islands", round.written},
               {"consequence", "a gateway on another directory watches for a minute before it begins"}});
  gate_.stop();
  let_go();
}

}  // namespace archipel::index
