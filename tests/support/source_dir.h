// Where the sources lie, for tests that read files of the repository (corpora, golden files). Not __FILE__: compilers and caches may make
// that relative.
#pragma once

#include <filesystem>

namespace archipel::testing {

std::filesystem::path source_dir();

}  // namespace archipel::testing
