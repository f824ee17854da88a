// make_seeds DIRECTORY: writes the seeds of our own formats to DIRECTORY/<fuzzer>/<name>.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "seeds.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_seeds DIRECTORY, for example: make_seeds fuzz/corpus\n");
    return 2;
  }
  for (const auto& [where, bytes] : archipel::fuzz::seeds()) {
    std::filesystem::path directory = std::filesystem::path(argv[1]) / where.first;
    std::filesystem::create_directories(directory);
    std::ofstream(directory / where.second, std::ios::binary) << bytes;
  }
  return 0;
}
