#include "store/wrap.h"

#include <bitset>

#include "crypto/hash.h"
#include "store/directory.h"
#include "store/keys.h"

namespace archipel::store {
namespace {

constexpr uint8_t kPurposeObject = 1;
constexpr uint8_t kPurposePart = 2;
constexpr uint8_t kPurposeObjectOfCustomer = 3;
constexpr uint8_t kPurposePartOfCustomer = 4;

constexpr std::string_view kCustomerLabel = "archipel/1 customer key";
constexpr std::string_view kCustomerWrapLabel = "archipel/1 customer wrap";

uint8_t purpose_of(const KeyScope& scope) {
  if (scope.customer) return scope.of_upload ? kPurposePartOfCustomer : kPurposeObjectOfCustomer;
  return scope.of_upload ? kPurposePart : kPurposeObject;
}

// The key that wraps: the tenant's, or with SSE-C one that takes the customer's as well.
crypto::Secret32 wrapping_key(const crypto::Secret32& kek, const Slice& slice, const KeyScope& scope) {
  if (!scope.customer) return kek.clone();
  crypto::Secret32 theirs = crypto::hkdf_sha256_key(scope.customer->key.view(),
                                                    ByteView(slice.stream.data_id), as_bytes(kCustomerLabel));
  return crypto::hkdf_sha256_key(kek.view(), theirs.view(), as_bytes(kCustomerWrapLabel));
}

std::string associated_data(const Slice& slice, const KeyScope& scope) {
  std::string ad;
  Writer(ad)
      .u8(purpose_of(scope))
      .bytes(scope.tenant)
      .bytes(scope.bucket)
      .raw(ByteView(scope.version))
      .u32(scope.part)
      .raw(ByteView(slice.stream.data_id))
      .u32(slice.kek_generation)
      .u16(slice.stream.suite);
  return ad;
}

}  // namespace

void wrap_into(Slice& slice, const crypto::Keyring& keys, int kek_slot, const KeyScope& scope,
               const crypto::Secret32& data_key, Random& random) {
  slice.kek_slot = static_cast<uint32_t>(kek_slot);
  slice.kek_generation = kKekGeneration;
  std::string ad = associated_data(slice, scope);
  slice.wrapped_key = crypto::wrap_key(wrapping_key(keys.kek(kek_slot), slice, scope), data_key,
                                       slice.stream.salt, as_bytes(ad), random);
}

Result<crypto::Secret32> unwrap(const Slice& slice, const crypto::Keyring& keys, const KeyScope& scope) {
  std::string ad = associated_data(slice, scope);
  return crypto::unwrap_key(wrapping_key(keys.kek(static_cast<int>(slice.kek_slot)), slice, scope),
                            slice.wrapped_key, slice.stream.salt, as_bytes(ad));
}

Result<void> ensure_kek_slot(const index::View& view, std::string_view tenant,
                             std::vector<index::Mutation>& out) {
  std::string key = kek_key(tenant, kKekGeneration);
  ASSIGN_OR_RETURN(std::optional<std::string> known, view.get(key));
  if (known) return {};
  std::bitset<crypto::kKekSlots> taken;
  Result<void> outcome;
  RETURN_IF_ERROR(view.scan(kKekPrefix, after_prefix(std::string(kKekPrefix)),
                            [&](std::string_view, std::string_view value) {
                              Result<uint64_t> slot = decode_count(value);
                              if (!slot)
                                outcome = fail(slot.error());
                              else if (*slot < taken.size())
                                taken.set(*slot);
                              return outcome.has_value();
                            }));
  RETURN_IF_ERROR(outcome);
  for (size_t slot = 0; slot < taken.size(); ++slot) {
    if (taken[slot]) continue;
    out.push_back({std::move(key), encode_count(slot)});
    return {};
  }
  return fail(
      Code::limit,
      "all 256 key slots of the keyring are taken by tenants; this realm holds no further bucket owner",
      "InvalidRequest");
}

}  // namespace archipel::store
