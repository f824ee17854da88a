// Files that are part of the binary: see archipel_embed in cmake/module.cmake.
#pragma once

#include <string_view>

namespace archipel {

struct EmbeddedFile {
  std::string_view name;  // without directories
  std::string_view text;  // as it stood when the binary was built; lives as long as the program
};

}  // namespace archipel
