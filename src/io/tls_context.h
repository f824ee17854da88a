// The real TlsContext. Internal to src/io: OpenSSL's types appear here, by name, and in tls*.cc.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "io/tls.h"

struct ssl_st;
struct ssl_ctx_st;
struct x509_st;
struct evp_pkey_st;
struct stack_st_X509;

namespace archipel::io {

struct OpensslFree {
  void operator()(ssl_st* ssl) const;
  void operator()(ssl_ctx_st* context) const;
  void operator()(x509_st* certificate) const;
  void operator()(evp_pkey_st* key) const;
  void operator()(stack_st_X509* chain) const;  // and what is in it
};
using SslPtr = std::unique_ptr<ssl_st, OpensslFree>;

// Certificates, ready to be shown. Immutable.
struct Identities {
  struct One {
    std::vector<std::string> hosts;
    std::unique_ptr<x509_st, OpensslFree> leaf;
    std::unique_ptr<stack_st_X509, OpensslFree> chain;
    std::unique_ptr<evp_pkey_st, OpensslFree> key;
    std::string ocsp;               // DER
    UnixMs ocsp_until = INT64_MAX;  // its nextUpdate
  };
  std::vector<One> all;  // never empty

  // For the name a client asked for; nullptr: it named nobody.
  const One& find(const char* name) const;
};

// Keys of session tickets (RFC 5077 §4's recommended form). A ticket opens under the newest key and the one before it.
class TicketKeys {
 public:
  static constexpr Duration kRotation = std::chrono::hours(4);
  struct Key {
    std::array<uint8_t, 16> name{};
    std::array<uint8_t, 32> aes{}, mac{};
    TimePoint since{};
  };
  TicketKeys(Random& random, Clock& clock);
  ~TicketKeys();
  Key newest();
  // False if it is not known, or no longer. `renew`: the ticket should be replaced.
  bool find(const uint8_t name[16], Key& key, bool& renew);

 private:
  void rotate();
  Random& random_;
  Clock& clock_;
  std::mutex mutex_;
  Key keys_[2];  // newest first
};

class OpensslContext final : public TlsContext {
 public:
  OpensslContext(Random& random, Clock& clock);
  Result<UnixMs> use(const std::vector<TlsIdentity>& identities) override;

  // A server's session without BIO.
  SslPtr new_session(bool offers_h2 = false);
  Random& random() { return random_; }
  Clock& clock() { return clock_; }
  TicketKeys& tickets() { return tickets_; }
  std::shared_ptr<const Identities> identities() const;

 private:
  Result<Identities::One> parse(const TlsIdentity& identity);

  Random& random_;
  Clock& clock_;
  TicketKeys tickets_;
  std::unique_ptr<ssl_ctx_st, OpensslFree> context_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Identities> identities_;
};

// What servers and clients of ours have in common: versions, ciphers, groups, modes.
void set_tls_defaults(ssl_ctx_st* context);

// The newest reason on OpenSSL's queue of this thread, which is emptied: "wrong version number". "" if there is none.
std::string take_openssl_reason();

}  // namespace archipel::io
