// Identities: what `archipel account|user|role` asks of the store, in the gateway or offline.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "store/store.h"

namespace archipel::app {

inline constexpr size_t kIdentityFormBytesMax =
    128u << 10;  // of a request to the gateway: a role's documents, percent-encoded

// One operation and its arguments: "op" is "account add", "user key remove", …; "json" is "1" for JSON lines, else lines for people.
using IdentityFields = std::map<std::string, std::string>;

// Does it and returns the lines to print. Any loop. Errors: invalid (an unknown operation, a bad argument), not_found, exists, limit, what the
// store says; each a sentence for the person who typed the command.
io::Task<Result<std::vector<std::string>>> run_identity_operation(store::Store& store, Random& random,
                                                                  Clock& clock, IdentityFields fields);

}  // namespace archipel::app
