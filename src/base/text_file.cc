#include "base/text_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>

namespace archipel {

static std::string size_text(size_t bytes) {
  constexpr size_t kMiB = 1u << 20;
  return bytes % kMiB == 0 ? fmt::format("{} MiB", bytes / kMiB) : fmt::format("{} bytes", bytes);
}

Result<std::string> read_text_file(const std::string& path, std::string_view what, size_t bytes_max) {
  const std::string unreadable = fmt::format("the {} {} cannot be read", what, path);
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return fail_errno(errno, unreadable);
  if (!S_ISREG(info.st_mode))
    return fail(Code::invalid, fmt::format("the {} {} is not a regular file", what, path));
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail_errno(errno, unreadable);
  std::string text(bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return fail(Code::io, unreadable);
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > bytes_max)
    return fail(Code::limit, fmt::format("the {} {} is larger than {}", what, path, size_text(bytes_max)));
  return text;
}

}  // namespace archipel
