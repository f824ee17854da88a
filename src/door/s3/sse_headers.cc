#include "door/s3/sse_headers.h"

#include "base/bytes.h"
#include "crypto/hash.h"
#include "door/s3/errors.h"

namespace archipel::door::s3 {

namespace {

constexpr std::string_view kSse = "server-side-encryption";
constexpr std::string_view kCustomer = "server-side-encryption-customer-";

const std::string* find(const http::Headers& headers, std::string_view prefix, std::string_view middle,
                        std::string_view end) {
  std::string name(prefix);
  name += middle;
  name += end;
  return headers.find(name);
}

}  // namespace

Result<std::shared_ptr<const store::CustomerKey>> read_customer_key(const http::Headers& headers,
                                                                    std::string_view prefix) {
  const std::string* algorithm = find(headers, prefix, kCustomer, "algorithm");
  const std::string* key = find(headers, prefix, kCustomer, "key");
  const std::string* md5 = find(headers, prefix, kCustomer, "key-md5");
  if (algorithm == nullptr && key == nullptr && md5 == nullptr)
    return std::shared_ptr<const store::CustomerKey>();
  if (algorithm == nullptr)
    return refuse(
        "InvalidArgument",
        "Requests specifying Server Side Encryption with Customer provided keys must provide a valid "
        "encryption algorithm.");
  if (*algorithm != "AES256")
    return refuse("InvalidEncryptionAlgorithmError",
                  "The encryption algorithm of a customer provided key must be AES256.");
  if (key == nullptr)
    return refuse("InvalidArgument",
                  "Requests specifying Server Side Encryption with Customer provided keys must provide an "
                  "appropriate secret key.");
  if (md5 == nullptr)
    return refuse(
        "InvalidArgument",
        "Requests specifying Server Side Encryption with Customer provided keys must provide the MD5 of "
        "the secret key.");
  auto raw = unbase64(*key);
  if (!raw || raw->size() != 32)
    return refuse("InvalidArgument", "The secret key was invalid for the specified algorithm.");
  crypto::Md5 hash;
  hash.update(as_bytes(*raw));
  auto out = std::make_shared<store::CustomerKey>();
  out->key = crypto::Secret32(as_bytes(*raw));
  crypto::secure_clear(raw->data(), raw->size());
  out->md5 = base64(hash.finish());
  if (out->md5 != *md5)
    return refuse("InvalidArgument",
                  "The calculated MD5 hash of the key did not match the hash that was provided.");
  return std::shared_ptr<const store::CustomerKey>(std::move(out));
}

Result<AskedEncryption> read_encryption(const http::Headers& headers) {
  AskedEncryption out;
  ASSIGN_OR_RETURN(out.customer_key, read_customer_key(headers));
  const std::string* algorithm = find(headers, "x-amz-", kSse, "");
  bool kms = find(headers, "x-amz-", kSse, "-aws-kms-key-id") != nullptr ||
             find(headers, "x-amz-", kSse, "-context") != nullptr ||
             find(headers, "x-amz-", kSse, "-bucket-key-enabled") != nullptr;
  if (out.customer_key && (algorithm != nullptr || kms))
    return refuse(
        "InvalidArgument",
        "Server Side Encryption with Customer provided key is incompatible with the encryption method "
        "specified");
  if (out.customer_key) {
    out.encryption = {store::Encryption::Kind::sse_c, out.customer_key->md5};
    return out;
  }
  if (algorithm == nullptr) {
    if (kms)
      return refuse(
          "InvalidArgument",
          "x-amz-server-side-encryption-aws-kms-* headers go with x-amz-server-side-encryption: aws:kms.");
    return out;
  }
  if (*algorithm == "aws:kms" || *algorithm == "aws:kms:dsse")
    return refuse("NotImplemented", "Server-side encryption with keys of a key service is not offered.");
  if (*algorithm != "AES256")
    return refuse("InvalidArgument", "The encryption method specified is not supported");
  if (kms)
    return refuse("InvalidArgument",
                  "Key service headers do not go with x-amz-server-side-encryption: AES256.");
  out.encryption.kind = store::Encryption::Kind::sse_s3;
  return out;
}

void add_encryption(const store::Encryption& encryption, const store::CustomerKey* key, http::Headers& out) {
  switch (encryption.kind) {
    case store::Encryption::Kind::none:
      return;
    case store::Encryption::Kind::sse_s3:
      out.add("x-amz-server-side-encryption", "AES256");
      return;
    case store::Encryption::Kind::sse_c:
      out.add("x-amz-server-side-encryption-customer-algorithm", "AES256");
      if (key != nullptr) out.add("x-amz-server-side-encryption-customer-key-md5", key->md5);
      return;
    case store::Encryption::Kind::sse_kms:
      out.add("x-amz-server-side-encryption", "aws:kms");
      if (!encryption.name.empty()) out.add("x-amz-server-side-encryption-aws-kms-key-id", encryption.name);
      return;
  }
}

}  // namespace archipel::door::s3
