// TLS for servers: 1.3 and 1.2 over any Stream, certificates that change while it serves.
//
//   auto context = make_tls_context(random, clock);
//   auto used = context->use(identities);                       // from PEM texts; again whenever they change
//   auto listener = make_tls_listener(loop, std::move(tcp_listener), context);   // accept() yields Streams of plaintext
//
// Cost: an idle connection holds OpenSSL's session and no buffer; one that has said nothing yet, not even that. Handshakes run in
// the connection's own first read or wait, so a slow one never holds up accept().
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

// Streams of plaintext over the connections that `inner` accepts, all on `loop`. Their contract is Stream's; besides:
//  - the handshake happens in the first operation; its failure is that operation's error (io, timeout). A client that speaks HTTP without TLS
//    is told so.
//  - an end of the connection without TLS's own (close_notify) is an error: io, not 0.
//  - close() without reset and shutdown_write() say close_notify, as far as that is possible without waiting.
std::unique_ptr<Listener> make_tls_listener(Loop& loop, std::unique_ptr<Listener> inner,
                                            std::shared_ptr<TlsContext> context);

}  // namespace archipel::io
