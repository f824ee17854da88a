// TLS 1.3 and 1.2 over any Stream: servers, whose certificates change while they serve, and clients, which believe only whom they know.
//
//   auto context = make_tls_context(random, clock);
//   auto used = context->use(identities);                       // from PEM texts; again whenever they change
//   auto listener = make_tls_listener(loop, std::move(tcp_listener), context);   // accept() yields Streams of plaintext
//
// Cost: an idle connection of a server holds two ciphers (TLS 1.3) or OpenSSL's session (TLS 1.2) and no buffer, but for the bytes of a record whose rest has not
// come; one that has said nothing yet, not even that. Handshakes run in the connection's own first read or wait, so a slow one never holds up accept().
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "io/stream.h"

namespace archipel::io {

// What a server shows for some names: a chain of certificates, the leaf first, and the leaf's key, which must not be encrypted.
struct TlsIdentity {
  // "s3.example.org", "*.s3.example.org" (one label in place of the star) or "*"; lower case. Clients that name nobody, or somebody else, are shown
  // the first identity.
  std::vector<std::string> hosts;
  std::string chain_pem, key_pem;
  std::string chain_from, key_from;  // where they were read, for messages
  // An OCSP response about the leaf (DER) to be stapled while it is valid; empty: none. An authority's own word, it is not judged here but for its form and time.
  std::string ocsp_der = {}, ocsp_from = {};
};

// What all TLS listeners of a process share: certificates, and the keys of session tickets, which change by themselves and never leave memory.
// Any thread.
class TlsContext {
 public:
  virtual ~TlsContext() = default;
  // Replaces all identities at once; connections that stand are not touched. Returns when the first of the leaves expires. invalid, with nothing
  // changed: no identity, a PEM text that is none, a key of another certificate, a certificate that is over, a key too weak to serve.
  virtual Result<UnixMs> use(const std::vector<TlsIdentity>& identities) = 0;
};
// `random` and `clock` must outlive it.
std::shared_ptr<TlsContext> make_tls_context(Random& random, Clock& clock);

inline constexpr Duration kTlsHandshakeTimeout =
    std::chrono::seconds(10);  // from the client's first byte to its last
inline constexpr int64_t kTlsHandshakesMax =
    512;  // under way on one listener; the next wait, within the same timeout

struct TlsListenerOptions {
  bool h2 = false;  // ALPN: h2 before http/1.1; else http/1.1 alone
};

// Streams of plaintext over the connections that `inner` accepts, all on `loop`. Their contract is Stream's; besides:
//  - the handshake happens in the first operation; its failure is that operation's error (io, timeout). A client that speaks HTTP without TLS
//    is told so.
//  - an end of the connection without TLS's own (close_notify) is an error: io, not 0.
//  - close() without reset and shutdown_write() say close_notify, as far as that is possible without waiting.
std::unique_ptr<Listener> make_tls_listener(Loop& loop, std::unique_ptr<Listener> inner,
                                            std::shared_ptr<TlsContext> context,
                                            const TlsListenerOptions& options = {});

// --- clients ---------------------------------------------------------------------------------------------------------------

// Whom clients believe: the certificates of authorities. Any thread.
class TlsTrust {
 public:
  virtual ~TlsTrust() = default;
};
// `ca_pem`: certificates in PEM form, read from `ca_from`; empty: those of the system. invalid: it holds none. Validity is judged by the machine's clock.
Result<std::shared_ptr<TlsTrust>> make_tls_trust(const std::string& ca_pem = {},
                                                 const std::string& ca_from = {});

// Makes clients' streams on one loop. Remembers sessions (at most kTlsSessionsMax names), so that the next handshake with a server is short.
class TlsConnector {
 public:
  virtual ~TlsConnector() = default;
  // Does the handshake over `inner`. The server has to prove that it is `name`, a host name (which is also sent to it, SNI) or an address. `alpn`: what to offer,
  // best first; Stream::protocol() is what it chose, empty if nothing. Errors: denied with detail "certificate" (which one is not believed, and why), io,
  // timeout, invalid (a name that cannot be one).
  virtual Task<Result<std::unique_ptr<Stream>>> connect(std::unique_ptr<Stream> inner, std::string name,
                                                        std::vector<std::string> alpn, Deadline deadline) = 0;
};
inline constexpr size_t kTlsSessionsMax = 1024;
std::unique_ptr<TlsConnector> make_tls_connector(Loop& loop, std::shared_ptr<TlsTrust> trust);

}  // namespace archipel::io
