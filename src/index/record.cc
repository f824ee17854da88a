#include "index/record.h"

#include <algorithm>
#include <bit>

#include "crypto/aead.h"
#include "crypto/prf.h"

namespace archipel::index {
namespace {

constexpr std::string_view kMagic = "AJ1\n";
constexpr std::string_view kRecordInfo = "archipel/1 record";
constexpr std::string_view kMaskInfo = "archipel/1 commit header";
constexpr std::string_view kAttemptLabel = "archipel/1 attempt";
constexpr std::string_view kClaimInfo = "archipel/1 claim";
constexpr size_t kIslandIdBytesMax = 64;
constexpr size_t kKeyBytesMax = 64u << 10;

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Code::corrupt, "a journal blob is damaged: " + std::string(what));
}

crypto::Aead record_cipher(const crypto::Keyring& keys, const Salt& salt) {
  return crypto::Aead(crypto::hkdf_sha256_key(keys.subkey("index").view(), salt, as_bytes(kRecordInfo)));
}

std::string additional_data(const crypto::Keyring& keys, const HeaderBytes& header) {
  std::string ad;
  Writer(ad).raw(ByteView(keys.realm())).raw(ByteView(header));
  return ad;
}

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](uint8_t b) { return b == 0; });
}

Result<void> check_section(const extent::Geometry& section) {
  if (section.length == 0) return {};
  if (section.length > kSectionBytesMax) return damaged("its section is longer than the limit");
  return extent::check_geometry(section);
}

}  // namespace

HeaderBytes encode_header(const Header& header) {
  std::string out;
  Writer w(out);
  w.raw(kMagic).u16(kFormatVersion).u8(static_cast<uint8_t>(header.kind)).u8(0);
  w.u64(header.epoch).u64(header.seq).raw(ByteView(header.salt)).u32(header.record_bytes);
  w.u8(static_cast<uint8_t>(header.section.code.n)).u8(static_cast<uint8_t>(header.section.code.k));
  w.u8(erasure::kMatrixCauchy1).u8(0).u32(header.section.cell_bytes).u64(header.section.length);
  w.raw(ByteView(header.attempt));
  CHECK(out.size() <= kHeaderBytes);
  HeaderBytes bytes{};
  std::ranges::copy(as_bytes(out), bytes.begin());
  return bytes;
}

Result<Header> decode_header(ByteView bytes) {
  if (bytes.size() != kHeaderBytes) return damaged("its header is cut short");
  Reader r(bytes);
  if (as_text(r.raw(kMagic.size())) != kMagic) return damaged("its header is not one");
  uint16_t version = r.u16();
  if (version != kFormatVersion) {
    return fail(Code::unsupported, "a journal blob has format version " + std::to_string(version) +
                                       ", which this program does not know; use the program that wrote it");
  }
  Header header;
  uint8_t kind = r.u8();
  if (kind < 1 || kind > 3 || r.u8() != 0) return damaged("its kind is unknown");
  header.kind = static_cast<BlobKind>(kind);
  header.epoch = r.u64();
  header.seq = r.u64();
  r.fixed(header.salt);
  header.record_bytes = r.u32();
  header.section.code.n = r.u8();
  header.section.code.k = r.u8();
  if (r.u8() != erasure::kMatrixCauchy1 || r.u8() != 0) return damaged("its matrix is unknown");
  header.section.cell_bytes = r.u32();
  header.section.length = r.u64();
  r.fixed(header.attempt);
  if (!all_zero(r.raw(r.remaining())) || !r.ok()) return damaged("its header has bytes that should be zero");
  if (header.record_bytes < crypto::kTagBytes || header.record_bytes > kRecordBytesMax) {
    return damaged("its record's length is out of bounds");
  }
  RETURN_IF_ERROR(check_section(header.section));
  return header;
}

void mask_header(const crypto::Keyring& keys, const std::string& island_id, const std::string& name,
                 HeaderBytes& header) {
  std::string info;
  Writer(info).raw(kMaskInfo).bytes(name);
  HeaderBytes stream;
  crypto::hkdf_sha256(keys.subkey("names/" + island_id).view(), {}, as_bytes(info), stream);
  for (size_t i = 0; i < header.size(); ++i) header[i] ^= stream[i];
}

std::string encode_record(const Record& record, size_t pad_to) {
  std::string out;
  Writer w(out);
  w.raw(ByteView(record.prev_hash))
      .u64(record.epoch)
      .u64(record.seq)
      .u64(static_cast<uint64_t>(record.commit_ms));
  w.raw(ByteView(record.section_digest));
  w.varint(record.confirmed.size());
  for (const Record::Confirmed& c : record.confirmed) w.varint(c.epoch).varint(c.seq).u32(c.mask);
  w.varint(record.mutations.size());
  for (const Mutation& m : record.mutations) {
    w.u8(m.value ? 1 : 0).bytes(m.key);
    if (m.value) w.bytes(*m.value);
  }
  if (out.size() < pad_to) out.resize(pad_to, '\0');
  return out;
}

Result<Record> decode_record(ByteView plain) {
  Reader r(plain);
  Record record;
  r.fixed(record.prev_hash);
  record.epoch = r.u64();
  record.seq = r.u64();
  record.commit_ms = static_cast<UnixMs>(r.u64());
  r.fixed(record.section_digest);
  uint64_t masks = r.varint();
  if (masks > kMasksMax) return damaged("it tells of too many confirmed commits");
  for (uint64_t i = 0; i < masks && r.ok(); ++i) {
    Record::Confirmed c;
    c.epoch = r.varint();
    c.seq = r.varint();
    c.mask = r.u32();
    record.confirmed.push_back(c);
  }
  uint64_t count = r.varint();
  if (count > r.remaining()) return damaged("it has more mutations than bytes");
  for (uint64_t i = 0; i < count && r.ok(); ++i) {
    uint8_t kind = r.u8();
    if (kind > 1) return damaged("a mutation is of an unknown kind");
    Mutation m;
    m.key = r.bytes(kKeyBytesMax);
    if (kind == 1) m.value = std::string(r.bytes());
    record.mutations.push_back(std::move(m));
  }
  if (!r.ok()) return damaged("its record is cut short");
  if (!all_zero(r.raw(r.remaining()))) return damaged("its padding is not zero");
  return record;
}

extent::Attempt attempt_of(const AttemptSeed& seed, const extent::ExtentId& id) {
  std::string message;
  Writer(message).raw(kAttemptLabel).u64(id.epoch).u64(id.counter);
  Digest32 digest = crypto::hmac_sha256(seed, as_bytes(message));
  extent::Attempt attempt;
  std::copy_n(digest.begin(), attempt.size(), attempt.begin());
  return attempt;
}

std::string encode_open(const EpochOpen& open) {
  std::string out;
  Writer w(out);
  w.u64(open.epoch)
      .raw(ByteView(open.bits))
      .u64(open.parent_epoch)
      .u64(open.parent_seq)
      .raw(ByteView(open.parent_hash));
  w.u8(static_cast<uint8_t>(open.code.n))
      .u8(static_cast<uint8_t>(open.code.k))
      .u8(static_cast<uint8_t>(open.w));
  w.u64(static_cast<uint64_t>(open.opened_ms)).u64(open.extent_range).raw(ByteView(open.attempt_seed));
  w.u8(static_cast<uint8_t>(open.roster.size()));
  for (const RosterEntry& entry : open.roster) {
    w.u8(static_cast<uint8_t>(entry.state)).raw(ByteView(entry.incarnation)).bytes(entry.island);
  }
  return out;
}

Result<EpochOpen> decode_open(ByteView plain) {
  Reader r(plain);
  EpochOpen open;
  open.epoch = r.u64();
  r.fixed(open.bits);
  open.parent_epoch = r.u64();
  open.parent_seq = r.u64();
  r.fixed(open.parent_hash);
  open.code.n = r.u8();
  open.code.k = r.u8();
  open.w = r.u8();
  open.opened_ms = static_cast<UnixMs>(r.u64());
  open.extent_range = r.u64();
  r.fixed(open.attempt_seed);
  size_t size = r.u8();
  if (size > kRosterMax) return damaged("its roster is too long");
  for (size_t i = 0; i < size && r.ok(); ++i) {
    RosterEntry entry;
    uint8_t state = r.u8();
    if (state > 2) return damaged("an island of its roster is in an unknown state");
    entry.state = static_cast<RosterEntry::State>(state);
    r.fixed(entry.incarnation);
    entry.island = r.bytes(kIslandIdBytesMax);
    open.roster.push_back(std::move(entry));
  }
  if (!r.done()) return damaged("its epoch-open has a wrong length");
  RETURN_IF_ERROR(erasure::check_code(open.code));
  if (open.roster.size() != static_cast<size_t>(open.code.n))
    return damaged("its roster does not fit its code");
  if (open.epoch == 0 || open.parent_epoch >= open.epoch) return damaged("its epoch numbers do not rise");
  return open;
}

Sealed seal(const crypto::Keyring& keys, Header header, ByteView plain) {
  CHECK(plain.size() + crypto::kTagBytes <= kRecordBytesMax);
  Sealed out;
  header.record_bytes = static_cast<uint32_t>(plain.size() + crypto::kTagBytes);
  out.header = header;
  out.bytes = Buffer(header.record_bytes);
  out.hash = crypto::blake2b_256(plain);
  std::string ad = additional_data(keys, encode_header(header));
  record_cipher(keys, header.salt).seal(crypto::Nonce{}, as_bytes(ad), plain, out.bytes.span());
  return out;
}

Sealed seal_claim(const crypto::Keyring& keys, uint64_t epoch) {
  Header header;
  header.kind = BlobKind::claim;
  header.epoch = epoch;
  std::string plain;
  Writer(plain).raw(kClaimInfo).u64(epoch);
  // The salt depends on the number alone, so that one key only ever seals these bytes.
  header.salt = crypto::hmac_sha256(keys.subkey("index").view(), as_bytes(plain));
  return seal(keys, header, as_bytes(plain));
}

HeaderBytes masked_header(const crypto::Keyring& keys, const std::string& island_id, const std::string& name,
                          const Header& header) {
  HeaderBytes bytes = encode_header(header);
  mask_header(keys, island_id, name, bytes);
  return bytes;
}

Result<Header> peek_header(const crypto::Keyring& keys, const std::string& island_id, const std::string& name,
                           ByteView blob) {
  if (blob.size() < kHeaderBytes) return damaged("it is shorter than a header");
  HeaderBytes bytes;
  std::memcpy(bytes.data(), blob.data(), kHeaderBytes);
  mask_header(keys, island_id, name, bytes);
  return decode_header(bytes);
}

Result<OpenedBlob> open_blob(const crypto::Keyring& keys, const std::string& island_id,
                             const std::string& name, BlobKind kind, uint64_t epoch, uint64_t seq,
                             ByteView blob) {
  if (blob.size() < kHeaderBytes) return damaged("it is shorter than a header");
  HeaderBytes bytes;
  std::memcpy(bytes.data(), blob.data(), kHeaderBytes);
  mask_header(keys, island_id, name, bytes);
  ASSIGN_OR_RETURN(Header header, decode_header(bytes));
  if (header.kind != kind || header.epoch != epoch || header.seq != seq)
    return damaged("it is another blob than its name says");
  if (blob.size() - kHeaderBytes < header.record_bytes) return damaged("its record is cut short");
  ByteView sealed = blob.subspan(kHeaderBytes, header.record_bytes);
  OpenedBlob out;
  out.plain = Buffer(sealed.size() - crypto::kTagBytes);
  std::string ad = additional_data(keys, bytes);
  bool good = record_cipher(keys, header.salt).open(crypto::Nonce{}, as_bytes(ad), sealed, out.plain.span());
  if (!good) return damaged("its seal does not hold");
  out.sealed = {header, Buffer::copy_of(sealed), crypto::blake2b_256(out.plain)};
  out.cells_at = kHeaderBytes + header.record_bytes;
  return out;
}

// --- the index's own keys ---

namespace {
std::string numbered_key(std::string_view prefix, std::initializer_list<uint64_t> numbers) {
  std::string key(prefix);
  for (uint64_t number : numbers) Writer(key).u64(number);
  return key;
}

Mutation applied_mutation(const Applied& applied) {
  std::string value;
  Writer(value).u64(applied.epoch).u64(applied.seq).raw(ByteView(applied.hash)).raw(ByteView(applied.open));
  return {std::string(kAppliedKey), std::move(value)};
}
}  // namespace

Result<std::optional<Applied>> read_applied(const Snapshot& snapshot) {
  ASSIGN_OR_RETURN(std::optional<std::string> value, snapshot.get(kAppliedKey));
  if (!value) return std::nullopt;
  ASSIGN_OR_RETURN(Applied applied, decode_applied(*value));
  return applied;
}

Result<Applied> decode_applied(std::string_view value) {
  Applied applied;
  Reader r(value);
  applied.epoch = r.u64();
  applied.seq = r.u64();
  r.fixed(applied.hash);
  r.fixed(applied.open);
  if (!r.done()) return fail(Code::corrupt, "the index does not say which commit it holds");
  return applied;
}

Mutation reserve_extents(uint64_t epoch, uint64_t end) {
  std::string value;
  Writer(value).u64(end);
  return {numbered_key("m/extent_range/", {epoch}), std::move(value)};
}

Result<uint64_t> reserved_extents(const Snapshot& snapshot, uint64_t epoch) {
  ASSIGN_OR_RETURN(std::optional<std::string> value, snapshot.get(reserve_extents(epoch, 0).key));
  if (!value) return uint64_t{0};
  Reader r(*value);
  uint64_t end = r.u64();
  if (!r.done()) return fail(Code::corrupt, "the index does not say which extents an epoch reserved");
  return end;
}

std::vector<Mutation> mutations_of(const Record& record, const Digest32& hash, const OpenBits& open, int n) {
  std::vector<Mutation> out = record.mutations;
  for (const Record::Confirmed& c : record.confirmed) {
    if (c.mask == (1u << n) - 1) continue;
    std::string value;
    Writer(value).u32(c.mask).u64(static_cast<uint64_t>(record.commit_ms));
    out.push_back({numbered_key("m/debt/", {c.epoch, c.seq}), std::move(value)});
  }
  out.push_back(applied_mutation({record.epoch, record.seq, hash, open}));
  return out;
}

std::vector<Mutation> mutations_of(const EpochOpen& open, const Digest32& hash) {
  std::vector<Mutation> out;
  out.push_back({numbered_key("m/open/", {open.epoch}), encode_open(open)});
  out.push_back(reserve_extents(open.epoch, open.extent_range));
  out.push_back(applied_mutation({open.epoch, 0, hash, open.bits}));
  return out;
}

Mutation settle_debt(uint64_t epoch, uint64_t seq) {
  return {numbered_key("m/debt/", {epoch, seq}), std::nullopt};
}

bool settles_debt(const Mutation& mutation) {
  return !mutation.value && mutation.key.starts_with("m/debt/");
}

Result<void> scan_debts(const Snapshot& snapshot,
                        const std::function<void(const Record::Confirmed&, UnixMs)>& visit) {
  auto give = [&](std::string_view key, std::string_view value, std::string*) {
    Reader place(key.substr(std::string_view("m/debt/").size()));
    Reader told(value);
    Record::Confirmed commit;
    commit.epoch = place.u64();
    commit.seq = place.u64();
    commit.mask = told.u32();
    const auto told_ms = static_cast<UnixMs>(told.u64());
    visit(commit, told_ms);
    return true;
  };
  return snapshot.scan("m/debt/", "m/debt0", give);
}

}  // namespace archipel::index
