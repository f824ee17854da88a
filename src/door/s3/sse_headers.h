// Server-side encryption as requests ask for it: SSE-S3, and SSE-C with the customer's own key.
//
// Every object is sealed whatever its request asked; these headers say what is answered, and with SSE-C that the object opens with the
// customer's key only. AWS refuses SSE-C over plain HTTP; this door takes it, since it may stand behind a proxy that ends TLS: whoever sends
// keys over an open network gives them away. SSE-KMS is NotImplemented: there is no key service to name. A key is never logged and lives as long as its
// request. Source: S3 user guide, "Using server-side encryption with customer-provided keys".
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "http/message.h"
#include "store/store.h"

namespace archipel::door::s3 {

// The three headers of SSE-C under `prefix` ("x-amz-" or "x-amz-copy-source-"). Null if none of them is there. Errors: InvalidArgument (one is missing, another
// algorithm, a key that is not 32 bytes, an MD5 that is not the key's).
Result<std::shared_ptr<const store::CustomerKey>> read_customer_key(const http::Headers& headers,
                                                                    std::string_view prefix = "x-amz-");

struct AskedEncryption {
  store::Encryption encryption;
  std::shared_ptr<const store::CustomerKey> customer_key;  // with SSE-C
};
// What a write asks for; Kind::none if it does not say. Errors: as read_customer_key(); InvalidArgument (an unknown algorithm, SSE-C together with
// another, KMS headers without aws:kms); NotImplemented (aws:kms).
Result<AskedEncryption> read_encryption(const http::Headers& headers);

// Says how an object is encrypted; `key` is the one the request gave.
void add_encryption(const store::Encryption& encryption, const store::CustomerKey* key, http::Headers& out);

}  // namespace archipel::door::s3
