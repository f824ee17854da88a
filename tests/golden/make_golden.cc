// make_golden DIRECTORY: writes the golden files anew. For a new version of a format only: frozen files never change.
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "golden/samples.h"

int main(int argc, char** argv) {
  using namespace archipel;
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_golden DIRECTORY, for example: make_golden tests/golden/files\n");
    return 2;
  }
  const std::filesystem::path directory(argv[1]);
  std::filesystem::create_directories(directory);
  const std::string keyring = directory / "keyring";
  if (!std::filesystem::exists(keyring)) {
    std::unique_ptr<Random> random = seeded_random(1);
    Result<void> saved = crypto::Keyring::generate(*random)->save(keyring, golden::kPassphrase, *random);
    if (!saved) std::fprintf(stderr, "%s\n", saved.error().message.c_str());
  }
  ::chmod(keyring.c_str(), 0600);
  Result<std::unique_ptr<crypto::Keyring>> keys =
      crypto::Keyring::load(keyring, std::string(golden::kPassphrase));
  if (!keys) {
    std::fprintf(stderr, "%s\n", keys.error().message.c_str());
    return 1;
  }
  golden::Samples samples(std::move(*keys));
  samples.files["manifest.json"] = samples.manifest;
  for (const auto& [name, bytes] : samples.files) std::ofstream(directory / name, std::ios::binary) << bytes;
  return 0;
}
