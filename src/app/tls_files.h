// TlsFiles: the certificates that the configuration names, read at the start, on SIGHUP, and whenever their files change.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/config.h"
#include "base/clock.h"
#include "base/result.h"
#include "io/sync.h"
#include "io/tls.h"
#include "io/workers.h"

namespace archipel::app {

inline constexpr Duration kTlsCheckInterval = std::chrono::seconds(5);  // between two looks at the files
inline constexpr Duration kTlsExpiryWarning = std::chrono::hours(14 * 24);

// Lives on one loop; what it reads is read on a worker. A new pair that is bad, or half there, leaves the old one in place and is logged once.
class TlsFiles {
 public:
  // All must outlive it.
  TlsFiles(io::TlsContext& context, io::Workers& workers, Clock& clock);
  ~TlsFiles();

  // Reads them all and hands them to the context. Blocks on files: for the start. Errors begin with the place of the table in the configuration:
  // not_found, invalid (also: a key that others may read), limit.
  Result<void> load(std::vector<TlsConfig> tables);
  // Whether load() would find them good. Blocks; any thread.
  static Result<void> check(const std::vector<TlsConfig>& tables);
  // Looks at the files every kTlsCheckInterval, on this loop.
  void start();
  // Other tables, or the same: looked at now. Loop thread.
  void reload(std::vector<TlsConfig> tables);
  io::Task<void> close();

 private:
  static io::Task<void> watch(TlsFiles* self);
  io::Task<void> look();

  io::TlsContext& context_;
  io::Workers& workers_;
  Clock& clock_;
  std::vector<TlsConfig> tables_;
  std::string seen_;  // what the files looked like when they were last read
  bool closing_ = false;
  io::Event changed_;
  io::TaskScope scope_;
};

}  // namespace archipel::app
