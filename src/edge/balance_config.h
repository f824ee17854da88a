// How [site.balance], [site.health], [site.retry] and [peers] are read. Internal to config.
#pragma once

#include "base/result.h"
#include "base/toml.h"
#include "edge/peer_policy.h"
#include "edge/policy.h"

namespace archipel::edge {

// Without finish(). `policy` has its origins already.
Result<void> load_balance(TomlTable& table, OriginPolicy& policy);
Result<void> load_health(TomlTable& table, OriginPolicy& policy);
Result<void> load_retry(TomlTable& table, OriginPolicy& policy);
// `base`: what paths are relative to. Reads the token.
Result<void> load_peers(TomlTable& table, const std::string& base, PeerPolicy& policy);

}  // namespace archipel::edge
