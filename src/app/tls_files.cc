#include "app/tls_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "app/private_file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"

namespace archipel::app {
namespace {

constexpr size_t kPemBytesMax = 256u << 10;
constexpr size_t kOcspBytesMax = 64u << 10;

// An OCSP response to be stapled lies beside the certificate, or does not.
std::string ocsp_path(const TlsConfig& table) {
  return table.cert + ".ocsp";
}

// Changes when a file does, or when it comes or goes.
std::string fingerprint(const std::vector<TlsConfig>& tables) {
  std::string text;
  for (const TlsConfig& table : tables) {
    for (const std::string& host : table.hosts) text += host + ' ';
    for (const std::string& path : {table.cert, table.key, ocsp_path(table)}) {
      struct stat info{};
      if (stat(path.c_str(), &info) != 0)
        text += fmt::format("{} -\n", path);
      else
        text += fmt::format("{} {} {} {} {}.{:09} {:o}\n", path, info.st_dev, info.st_ino, info.st_size,
                            info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_mode);
    }
  }
  return text;
}

Result<io::TlsIdentity> read_identity(const TlsConfig& table) {
  io::TlsIdentity identity{table.hosts, {}, {}, table.cert, table.key};
  struct stat info{};
  if (stat(table.key.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0)
    return fail(Code::invalid,
                fmt::format("the private key {0} may be read by everybody; run: chmod 600 {0}", table.key));
  ASSIGN_OR_RETURN(identity.chain_pem, read_small_file(table.cert, kPemBytesMax, false));
  ASSIGN_OR_RETURN(identity.key_pem, read_small_file(table.key, kPemBytesMax, false));
  Result<std::string> ocsp = read_small_file(ocsp_path(table), kOcspBytesMax, false);
  if (!ocsp && ocsp.error().code != Code::not_found) return fail(ocsp.error());
  if (ocsp) identity.ocsp_der = std::move(*ocsp);
  identity.ocsp_from = ocsp_path(table);
  return identity;
}

// A worker's job, and the start's.
Result<UnixMs> read_and_use(io::TlsContext& context, const std::vector<TlsConfig>& tables) {
  std::vector<io::TlsIdentity> identities;
  for (const TlsConfig& table : tables) {
    Result<io::TlsIdentity> identity = read_identity(table);
    if (!identity) return fail(identity.error().code, table.where + ": " + identity.error().message);
    identities.push_back(std::move(*identity));
  }
  return context.use(identities);
}

metrics::Gauge first_expiry{"archipel_tls_certificate_expiry_timestamp_seconds",
                            "When the first of the certificates expires, in Unix time; 0: there is none"};

void tell_expiry(UnixMs first_end, UnixMs now) {
  first_expiry.set(first_end / 1000);
  if (first_end - now > std::chrono::duration_cast<std::chrono::milliseconds>(kTlsExpiryWarning).count())
    return;
  log::warn("tls.certificate_expires", {{"hours", (first_end - now) / 3'600'000}});
}

}  // namespace

TlsFiles::TlsFiles(io::TlsContext& context, io::Workers& workers, Clock& clock)
    : context_(context), workers_(workers), clock_(clock) {}

TlsFiles::~TlsFiles() = default;

Result<void> TlsFiles::load(std::vector<TlsConfig> tables) {
  tables_ = std::move(tables);
  seen_ = fingerprint(tables_);
  ASSIGN_OR_RETURN(UnixMs first_end, read_and_use(context_, tables_));
  tell_expiry(first_end, clock_.unix_ms());
  return {};
}

Result<void> TlsFiles::check(const std::vector<TlsConfig>& tables) {
  if (tables.empty()) return {};
  const std::shared_ptr<io::TlsContext> scratch = io::make_tls_context(system_random(), system_clock());
  ASSIGN_OR_RETURN([[maybe_unused]] const UnixMs first_end, read_and_use(*scratch, tables));
  return {};
}

void TlsFiles::start() {
  scope_.spawn(watch(this));
}

void TlsFiles::reload(std::vector<TlsConfig> tables) {
  tables_ = std::move(tables);
  seen_.clear();  // also what did not change is read again: an operator says so
  changed_.notify_all();
}

io::Task<void> TlsFiles::close() {
  closing_ = true;
  changed_.notify_all();
  co_await scope_.join();
}

io::Task<void> TlsFiles::watch(TlsFiles* self) {
  while (!self->closing_) {
    co_await self->changed_.wait(io::Loop::current()->now() + kTlsCheckInterval);
    if (!self->closing_) co_await self->look();
  }
}

io::Task<void> TlsFiles::look() {
  struct Look {
    std::string seen;
    std::optional<Result<UnixMs>> used;  // absent: nothing changed
  };
  // The tables may be replaced meanwhile.
  auto job = [this, tables = tables_, seen = seen_] {
    Look look{fingerprint(tables), std::nullopt};
    if (look.seen != seen) look.used = read_and_use(context_, tables);
    return look;
  };
  Look look = co_await workers_.run(std::move(job));
  if (!look.used) co_return;
  seen_ = std::move(look.seen);
  if (!*look.used) {
    log::error("tls.certificates_refused",
               {{"reason", look.used->error().message}, {"kept", "the ones before"}});
    co_return;
  }
  log::info("tls.certificates_loaded");
  tell_expiry(**look.used, clock_.unix_ms());
}

}  // namespace archipel::app
