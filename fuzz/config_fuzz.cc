// archipel.toml. Properties: an error names the file and says something; what is accepted is within the limits that config.h promises.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "app/config.h"
#include "fuzz_support.h"

using namespace archipel;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string file =
      std::filesystem::temp_directory_path() / ("archipel-fuzz-" + std::to_string(getpid()) + ".toml");
  std::ofstream(file, std::ios::binary | std::ios::trunc) << as_text({data, size});
  Result<app::Config> config = app::load_config(file);
  std::filesystem::remove(file);
  if (!config) {
    MUST(config.error().message.find(file) != std::string::npos);
    return 0;
  }
  MUST(config->islands.size() == static_cast<size_t>(config->code.n));
  MUST(config->threads >= 0 && config->threads <= 64 && config->memory_budget_mib >= 64);
  MUST(config->connections_max >= 16 && config->connections_max <= 1'000'000);
  for (const app::IslandConfig& island : config->islands) MUST(!island.id.empty() && island.id.size() <= 63);
  return 0;
}
