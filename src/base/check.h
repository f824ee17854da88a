// CHECK: assertions that are always on. For bugs only: a failed CHECK prints where and why, and aborts the process.
// Never CHECK anything that comes from a client, a file, a network or an island: that is a Result.
#pragma once

namespace archipel {

[[noreturn]] void check_failed(const char* file, int line, const char* condition);

}  // namespace archipel

#define CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::archipel::check_failed(__FILE__, __LINE__, #condition))
