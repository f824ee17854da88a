#include "index/head_slots.h"

#include <algorithm>
#include <tuple>

#include "base/log.h"
#include "crypto/aead.h"
#include "island/health.h"

namespace archipel::index {
namespace {

constexpr std::string_view kSealInfo = "archipel/1 head slot";
constexpr uint16_t kSlotVersion = 1;
constexpr size_t kSaltBytes = 32;
constexpr size_t kPadding =
    512;  // lengths are rounded up: how many islands and chunks there are is nobody's business
constexpr size_t kIslandIdBytesMax = 64;
constexpr size_t kManifestBytesMax = kSlotBytesMax / 2;
constexpr Duration kReadDeadline = std::chrono::seconds(20);
constexpr uint64_t kBehindMax = 2;  // writes that an island may have missed before it is named

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Code::corrupt, "a head slot is damaged: " + std::string(what));
}

crypto::Aead cipher(const crypto::Keyring& keys, ByteView salt) {
  return crypto::Aead(crypto::hkdf_sha256_key(keys.subkey("head").view(), salt, as_bytes(kSealInfo)));
}
std::string additional_data(const crypto::Keyring& keys, const std::string& name) {
  std::string ad;
  Writer(ad).raw(ByteView(keys.realm())).bytes(name);
  return ad;
}

std::string encode(const HeadSlot& slot) {
  std::string out;
  Writer w(out);
  w.u16(kSlotVersion).u64(slot.number);
  w.u64(slot.position.epoch)
      .raw(ByteView(slot.position.open))
      .u64(slot.position.seq)
      .raw(ByteView(slot.position.hash));
  w.u64(static_cast<uint64_t>(slot.written_ms)).u64(slot.journal_bytes);
  w.u8(static_cast<uint8_t>(slot.code.n))
      .u8(static_cast<uint8_t>(slot.code.k))
      .u8(static_cast<uint8_t>(slot.w));
  w.u8(static_cast<uint8_t>(slot.roster.size()));
  for (const RosterEntry& entry : slot.roster)
    w.u8(static_cast<uint8_t>(entry.state)).raw(ByteView(entry.incarnation)).bytes(entry.island);
  w.u8(static_cast<uint8_t>(slot.snapshots.size()));
  for (const SnapshotManifest& manifest : slot.snapshots) w.bytes(encode_manifest(manifest));
  return out;
}

Result<HeadSlot> decode(ByteView plain) {
  Reader r(plain);
  const uint16_t version = r.u16();
  if (version != kSlotVersion) {
    return fail(Code::unsupported, "a head slot has format version " + std::to_string(version) +
                                       ", which this program does not know; use the program that wrote it");
  }
  HeadSlot slot;
  slot.number = r.u64();
  slot.position.epoch = r.u64();
  r.fixed(slot.position.open);
  slot.position.seq = r.u64();
  r.fixed(slot.position.hash);
  slot.written_ms = static_cast<UnixMs>(r.u64());
  slot.journal_bytes = r.u64();
  slot.code.n = r.u8();
  slot.code.k = r.u8();
  slot.w = r.u8();
  const size_t islands = r.u8();
  if (islands > kRosterMax) return damaged("its roster is too long");
  for (size_t i = 0; i < islands && r.ok(); ++i) {
    RosterEntry entry;
    const uint8_t state = r.u8();
    if (state > 2) return damaged("an island of its roster is in an unknown state");
    entry.state = static_cast<RosterEntry::State>(state);
    r.fixed(entry.incarnation);
    entry.island = r.bytes(kIslandIdBytesMax);
    slot.roster.push_back(std::move(entry));
  }
  const size_t snapshots = r.u8();
  if (snapshots > kSnapshotsKept) return damaged("it names too many snapshots");
  for (size_t i = 0; i < snapshots && r.ok(); ++i) {
    const std::string_view manifest = r.bytes(kManifestBytesMax);
    if (!r.ok()) break;
    ASSIGN_OR_RETURN(SnapshotManifest one, decode_manifest(as_bytes(manifest)));
    slot.snapshots.push_back(std::move(one));
  }
  const ByteView padding = r.raw(r.remaining());
  if (!r.ok()) return damaged("it is cut short");
  if (std::ranges::any_of(padding, [](uint8_t b) { return b != 0; }))
    return damaged("its padding is not zero");
  return slot;
}

// One of an island's two slots, as it answered.
struct Answer {
  std::optional<HeadSlot> slot;
  std::string wrong;  // why what came is no slot
};

io::Task<void> read_one(const crypto::Keyring* keys, island::Island* island, int slot, io::Workers* workers,
                        Deadline deadline, Answer* out) {
  const std::string name = extent::head_slot_name(*keys, island->id(), slot);
  Result<Buffer> bytes = co_await island->get(name, 0, kSlotBytesMax + 1, deadline);
  if (!bytes) co_return;
  Result<HeadSlot> opened =
      co_await workers->run([keys, &name, &bytes] { return open_head_slot(*keys, name, *bytes); });
  if (opened) {
    out->slot = std::move(*opened);
  } else {
    out->wrong = opened.error().message;
  }
}

io::Task<void> write_one(island::Island* island, std::string name, const std::string* bytes,
                         Deadline deadline, bool* confirmed) {
  Result<void> written = co_await island->overwrite(std::move(name), as_bytes(*bytes), deadline);
  *confirmed = written.has_value();
  if (!written)
    log::warn("island.head_slot_not_written",
              {{"island", island->id()}, {"reason", written.error().message}});
}

}  // namespace

bool HeadSlot::newer_than(const HeadSlot& other) const {
  return std::tie(position.epoch, position.seq, number) >
         std::tie(other.position.epoch, other.position.seq, other.number);
}

Result<std::string> seal_head_slot(const crypto::Keyring& keys, Random& random, const std::string& name,
                                   const HeadSlot& slot) {
  std::string plain = encode(slot);
  plain.resize((plain.size() + kPadding - 1) / kPadding * kPadding, '\0');
  if (plain.size() + kSaltBytes + crypto::kTagBytes > kSlotBytesMax)
    return fail(Code::limit, "the snapshots have too many chunks to be named in a head slot");
  const auto salt = random.bytes<kSaltBytes>();
  const std::string ad = additional_data(keys, name);
  std::string out(kSaltBytes + plain.size() + crypto::kTagBytes, '\0');
  std::ranges::copy(as_text(salt), out.begin());
  MutableBytes sealed(reinterpret_cast<uint8_t*>(out.data()) + kSaltBytes, out.size() - kSaltBytes);
  cipher(keys, salt).seal(crypto::Nonce{}, as_bytes(ad), as_bytes(plain), sealed);
  return out;
}

Result<HeadSlot> open_head_slot(const crypto::Keyring& keys, const std::string& name, ByteView bytes) {
  if (bytes.size() < kSaltBytes + crypto::kTagBytes) return damaged("it is cut short");
  if (bytes.size() > kSlotBytesMax) return damaged("it is longer than the limit");
  const ByteView sealed = bytes.subspan(kSaltBytes);
  const std::string ad = additional_data(keys, name);
  Buffer plain(sealed.size() - crypto::kTagBytes);
  const bool good =
      cipher(keys, bytes.first(kSaltBytes)).open(crypto::Nonce{}, as_bytes(ad), sealed, plain.span());
  if (!good) return damaged("its seal does not hold");
  return decode(plain);
}

io::Task<SlotsSeen> read_head_slots(const crypto::Keyring& keys, const extent::Placement& placement,
                                    const std::vector<IslandSeen>& seen, io::Workers& workers,
                                    io::Loop& home) {
  std::vector<std::array<Answer, extent::kHeadSlots>> answers(placement.islands.size());
  io::TaskScope scope;
  const Deadline deadline = home.now() + kReadDeadline;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (seen[i].state != IslandSeen::State::present) continue;
    for (int slot = 0; slot < extent::kHeadSlots; ++slot) {
      scope.spawn(read_one(&keys, placement.islands[i].get(), slot, &workers, deadline,
                           &answers[i][static_cast<size_t>(slot)]));
    }
  }
  co_await scope.join();

  SlotsSeen out;
  std::vector<uint64_t> newest(answers.size(), 0);  // number, by island
  for (size_t i = 0; i < answers.size(); ++i) {
    const std::string& id = placement.islands[i]->id();
    for (Answer& answer : answers[i]) {
      if (!answer.wrong.empty()) {
        placement.islands[i]->health().count_wrong_cells(1);
        log::error("island.head_slot_wrong", {{"island", id}, {"reason", answer.wrong}});
        if (out.wrong.empty() || out.wrong.back() != id) out.wrong.push_back(id);
      }
      if (!answer.slot) continue;
      newest[i] = std::max(newest[i], answer.slot->number);
      if (!out.best || answer.slot->newer_than(*out.best)) out.best = std::move(answer.slot);
    }
  }
  for (size_t i = 0; out.best && i < answers.size(); ++i) {
    if (seen[i].state != IslandSeen::State::present || newest[i] + kBehindMax >= out.best->number) continue;
    out.old.push_back(placement.islands[i]->id());
    log::warn("island.head_slot_old", {{"island", out.old.back()},
                                       {"number", newest[i]},
                                       {"newest", out.best->number},
                                       {"consequence", "none: others have a newer one"}});
  }
  co_return out;
}

io::Task<uint32_t> write_head_slot(const crypto::Keyring& keys, const extent::Placement& placement,
                                   const HeadSlot& slot, io::Workers& workers, io::Loop& home, Random& random,
                                   Deadline deadline) {
  const size_t n = placement.islands.size();
  std::vector<std::string> names, bytes;
  for (const auto& island : placement.islands)
    names.push_back(extent::head_slot_name(keys, island->id(), slot.slot()));
  Result<void> sealed = co_await workers.run([&]() -> Result<void> {
    for (const std::string& name : names) {
      ASSIGN_OR_RETURN(std::string one, seal_head_slot(keys, random, name, slot));
      bytes.push_back(std::move(one));
    }
    return {};
  });
  if (!sealed) {
    log::error("journal.head_slot_not_sealed", {{"reason", sealed.error().message}});
    co_return 0;
  }
  CHECK(io::Loop::current() == &home);
  const auto confirmed = std::make_unique<bool[]>(n);
  io::TaskScope scope;
  for (size_t i = 0; i < n; ++i)
    scope.spawn(write_one(placement.islands[i].get(), names[i], &bytes[i], deadline, &confirmed[i]));
  co_await scope.join();
  uint32_t mask = 0;
  for (size_t i = 0; i < n; ++i) mask |= (confirmed[i] ? 1u : 0u) << i;
  co_return mask;
}

}  // namespace archipel::index
