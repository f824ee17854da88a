#include "island/marker.h"

#include "crypto/hash.h"

namespace archipel::island {
namespace {

constexpr std::string_view kMagic = "archipel-marker\n";
constexpr uint16_t kVersion = 1;
constexpr size_t kMacBytes = 32;

crypto::Digest32 mac_of(const crypto::Keyring& keys, const std::string& island_id, ByteView body) {
  return crypto::hmac_sha256(keys.subkey("marker/" + island_id).view(), body);
}

// The other island's id is hostile text: only a harmless one is repeated in a message.
bool printable(std::string_view id) {
  for (char c : id) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                 c == '_' || c == '.';
    if (!plain) return false;
  }
  return !id.empty();
}

}  // namespace

std::string encode_marker(const crypto::Keyring& keys, const std::string& island_id,
                          const Incarnation& incarnation) {
  CHECK(!island_id.empty() && island_id.size() <= kIslandIdBytesMax);
  std::string out;
  Writer(out)
      .raw(kMagic)
      .u16(kVersion)
      .raw(ByteView(keys.realm()))
      .raw(ByteView(incarnation))
      .u8(static_cast<uint8_t>(island_id.size()))
      .raw(island_id);
  crypto::Digest32 mac = mac_of(keys, island_id, as_bytes(out));
  Writer(out).raw(ByteView(mac));
  return out;
}

Result<Incarnation> verify_marker(const crypto::Keyring& keys, const std::string& island_id, ByteView bytes) {
  std::string subject = "island " + island_id + ": ";
  if (bytes.empty()) return fail(Code::not_found, subject + "no marker");
  auto malformed = [&] { return fail(Code::corrupt, subject + "its marker file is not a marker of ours"); };
  if (bytes.size() > kMarkerBytesMax) return malformed();

  Reader in(bytes);
  if (as_text(in.raw(kMagic.size())) != kMagic) return malformed();
  uint16_t version = in.u16();
  if (!in.ok()) return malformed();
  if (version != kVersion) {
    return fail(Code::unsupported, subject + "marker version " + std::to_string(version) +
                                       " is not known here; use a newer archipel");
  }
  crypto::RealmId realm;
  Incarnation incarnation;
  in.fixed(realm);
  in.fixed(incarnation);
  std::string_view id = as_text(in.raw(in.u8()));
  ByteView mac = in.raw(kMacBytes);
  if (!in.done()) return malformed();

  // Realm and id are compared before the MAC so that the message helps; nothing is believed before the MAC.
  if (realm != keys.realm()) {
    return fail(Code::precondition,
                subject + "marker of another realm; this place belongs to a different keyring");
  }
  if (id != island_id) {
    std::string other = printable(id) ? std::string(id) : std::string("another name");
    return fail(Code::precondition,
                subject + "marker of island " + other + "; check that the places are not swapped");
  }
  crypto::Digest32 expected = mac_of(keys, island_id, bytes.first(bytes.size() - kMacBytes));
  if (!crypto::constant_time_equal(mac, ByteView(expected))) {
    return fail(Code::corrupt, subject + "marker fails its MAC");
  }
  return incarnation;
}

}  // namespace archipel::island
