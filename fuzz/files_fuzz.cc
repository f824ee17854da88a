// Files and markers that somebody may have changed: an island's marker, the keyring, the lease. First byte: which of them.
//
// Properties: no marker but the right one is believed, and its error never repeats hostile bytes; a keyring's cost outside the limits is
// refused before it is paid for.
#include "crypto/keyring_file.h"
#include "fuzz_support.h"
#include "index/lease.h"
#include "island/marker.h"

using namespace archipel;

namespace {

void marker(ByteView in) {
  auto check = [](ByteView bytes, const std::string& right) {
    Result<island::Incarnation> verified = island::verify_marker(fuzz::keys(), fuzz::kIsland, bytes);
    MUST(verified.has_value() == (as_text(bytes) == right));
    if (verified) return;
    for (char c : verified.error().message) MUST(c >= 0x20 && c < 0x7f);
  };
  island::Incarnation incarnation;
  incarnation.fill(5);
  std::string right = island::encode_marker(fuzz::keys(), fuzz::kIsland, incarnation);
  check(in, right);
  // XORed onto the right one, so that mutations get past the magic.
  std::string changed = right;
  for (size_t i = 0; i < in.size() && i < changed.size(); ++i)
    changed[i] = static_cast<char>(changed[i] ^ static_cast<char>(in[i]));
  if (in.size() > right.size()) changed.append(as_text(in).substr(right.size()));
  check(as_bytes(changed), right);
}

void keyring(ByteView in) {
  constexpr size_t kPassesAt = 12, kMemoryAt = 16;
  std::string file(as_text(in));
  if (file.size() >= crypto::kKeyringHeaderBytes) {
    Reader cost(std::string_view(file).substr(kPassesAt));
    uint32_t passes = cost.u32(), memory = cost.u32();
    // What is within the limits would take a second or a gigabyte to be refused.
    bool allowed = passes >= crypto::kPassesMin && passes <= crypto::kPassesMax &&
                   memory >= crypto::kMemoryKibMin && memory <= crypto::kMemoryKibMax;
    if (allowed) file[kMemoryAt] = static_cast<char>(0xff);
  }
  crypto::KeyringSecrets secrets;
  Result<void> decoded = crypto::decode_keyring(as_bytes(file), "passphrase", secrets);
  MUST(!decoded);
}

// The writer's lease: XORed onto a right one, so that mutations get behind the mask.
void lease(ByteView in) {
  index::Lease held;
  held.epoch = 7;
  held.counter = 3;
  static const std::unique_ptr<Random> random = seeded_random(19);
  std::string bytes = index::encode_lease(fuzz::keys(), fuzz::kIsland, held, *random);
  MUST(bytes.size() == index::kLeaseBytes);
  Result<index::Lease> right = index::decode_lease(fuzz::keys(), fuzz::kIsland, as_bytes(bytes));
  MUST(right && *right == held);
  MUST(!index::decode_lease(fuzz::keys(), "ovh-gravelines", as_bytes(bytes)));
  MUST(!index::decode_lease(fuzz::keys(), fuzz::kIsland, in));
  bool changed = false;
  for (size_t i = 0; i < in.size() && i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(bytes[i] ^ static_cast<char>(in[i]));
    changed = changed || in[i] != 0;
  }
  if (changed) MUST(!index::decode_lease(fuzz::keys(), fuzz::kIsland, as_bytes(bytes)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  ByteView in(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      marker(in);
      break;
    case 1:
      keyring(in);
      break;
    default:
      lease(in);
  }
  return 0;
}
