// Setup: the files a realm starts from: archipel.toml, keyring, passphrase, the token that permits a new realm.
#pragma once

#include <string>

#include "app/config.h"
#include "base/random.h"

namespace archipel::app {

struct InitResult {
  std::vector<std::string> written;  // paths, in order
};

// `archipel init --config FILE`: writes a commented FILE, a keyring, its passphrase (random, unless `passphrase` is given: then no file)
// and the owner's credentials beside it. Overwrites nothing: if any of them exists, nothing is written (exists).
Result<InitResult> init_realm(const std::string& config_file, const std::string& passphrase, Random& random);

// The demo's DIR: on first use writes archipel.toml with the six illustrative islands and a keyring under the passphrase in
// keyring.passphrase (if there is none, the well-known "archipel-demo"); later only puts back what can be put back safely (an island's
// empty directory, archipel.toml). Returns the config. A missing keyring beside islands that hold data is an error: nothing can open them without it.
Result<Config> prepare_demo(const std::string& dir, Random& random);

// From [keyring] passphrase_file or the environment variable ARCHIPEL_PASSPHRASE.
Result<std::string> read_passphrase(const Config& config);

struct Credentials {
  std::string access_key, secret_key;
};
Credentials generate_credentials(Random& random);
// aws_access_key_id and aws_secret_access_key of the [default] profile.
Result<Credentials> read_credentials(const std::string& path);
// Access key: 3..128 of A-Z a-z 0-9 . _ -; secret: 8..128 printable ASCII without spaces.
Result<void> check_credentials(const Credentials& credentials);

// The token DIR/new-realm, left by init and a fresh demo and removed once the realm exists: without it no start ever makes a new realm
// where islands merely look empty.
std::string new_realm_token(const Config& config);

}  // namespace archipel::app
