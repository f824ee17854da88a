// TLS towards servers: whom we believe, what we ask for, and sessions that are taken up again.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <list>
#include <unordered_map>

#include "io/tls.h"
#include "io/tls_link.h"

namespace archipel::io {
namespace {

constexpr size_t kAlpnBytesMax = 64;
constexpr int kChainMax = 10;  // certificates between the server's and the authority's

struct FreeMore {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using SessionPtr = std::unique_ptr<SSL_SESSION, FreeMore>;

bool is_address(const std::string& name) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(name.c_str());
  ERR_clear_error();
  const bool is = address != nullptr;
  ASN1_OCTET_STRING_free(address);
  return is;
}

// Keeps the first objection, with the certificate that it is about.
int note_distrust(int believed, X509_STORE_CTX* context) {
  if (believed == 1) return 1;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Link& link = link_of(ssl);
  if (!link.distrust.empty()) return 0;
  const int depth = X509_STORE_CTX_get_error_depth(context);
  char subject[256] = "without a subject";
  if (X509* certificate = X509_STORE_CTX_get_current_cert(context))
    X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof subject);
  link.distrust = "the " + std::string(depth == 0 ? "certificate" : "authority's certificate") + " of " +
                  link.name + " at " + link.inner->peer() + " (" + subject +
                  ") is not believed: " + X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
  return 0;
}

int keep_session(SSL* ssl, SSL_SESSION* session);

class OpensslTrust final : public TlsTrust {
 public:
  OpensslTrust() : context(SSL_CTX_new(TLS_client_method())) {
    CHECK(context != nullptr);
    set_tls_defaults(context.get());
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, note_distrust);
    SSL_CTX_set_verify_depth(context.get(), kChainMax);
    // Sessions are kept per name by the connector.
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context.get(), keep_session);
  }
  const std::unique_ptr<SSL_CTX, OpensslFree> context;
};

// The streams of one connector.
struct Connecting final : Shared {
  Connecting(Loop& l, std::shared_ptr<OpensslTrust> t) : Shared(l), trust(std::move(t)) {}
  bool client() const override { return true; }

  SslPtr new_session(const Link& link) override {
    SslPtr ssl(SSL_new(trust->context.get()));
    CHECK(ssl != nullptr);
    SSL_set_connect_state(ssl.get());
    if (is_address(link.name)) {
      CHECK(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), link.name.c_str()) == 1);
    } else {
      SSL_set_hostflags(ssl.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      CHECK(SSL_set1_host(ssl.get(), link.name.c_str()) == 1);
      CHECK(SSL_set_tlsext_host_name(ssl.get(), link.name.c_str()) == 1);
    }
    if (!link.alpn.empty())
      CHECK(SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(link.alpn.data()),
                                static_cast<unsigned>(link.alpn.size())) == 0);
    // A session is used once: whoever watches cannot tell by it that two connections are one client's (RFC 8446 appendix C.4).
    if (auto found = sessions.find(link.name); found != sessions.end()) {
      if (!found->second.empty()) {
        SSL_set_session(ssl.get(), found->second.back().get());
        found->second.pop_back();
      }
      if (found->second.empty()) sessions.erase(found);
    }
    return ssl;
  }

  const std::shared_ptr<OpensslTrust> trust;
  std::unordered_map<std::string, std::vector<SessionPtr>> sessions;
};

constexpr size_t kSessionsPerName = 4;

int keep_session(SSL* ssl, SSL_SESSION* session) {
  auto& shared = static_cast<Connecting&>(*link_of(ssl).shared);
  const std::string& name = link_of(ssl).name;
  if (!shared.sessions.contains(name) && shared.sessions.size() >= kTlsSessionsMax) return 0;
  auto& kept = shared.sessions[name];
  if (kept.size() >= kSessionsPerName) kept.erase(kept.begin());
  kept.emplace_back(session);  // with the reference that came with the call
  return 1;
}

Result<std::string> to_wire(const std::vector<std::string>& alpn) {
  std::string wire;
  for (const std::string& protocol : alpn) {
    if (protocol.empty() || wire.size() + protocol.size() + 1 > kAlpnBytesMax)
      return fail(Code::invalid, "too many protocols, or one without a name, were to be offered in TLS");
    wire.push_back(static_cast<char>(protocol.size()));
    wire += protocol;
  }
  return wire;
}

bool is_host_name(const std::string& name) {
  if (name.empty() || name.size() > 253) return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
}

class OpensslConnector final : public TlsConnector {
 public:
  OpensslConnector(Loop& loop, std::shared_ptr<OpensslTrust> trust)
      : shared_(std::make_shared<Connecting>(loop, std::move(trust))) {}

  Task<Result<std::unique_ptr<Stream>>> connect(std::unique_ptr<Stream> inner, std::string name,
                                                std::vector<std::string> alpn, Deadline deadline) override {
    if (!is_address(name) && !is_host_name(name))
      co_return fail(Code::invalid, "'" + name + "' cannot be the name of a TLS server");
    CO_ASSIGN_OR_RETURN(std::string offers, to_wire(alpn));
    auto link = std::make_shared<Link>(shared_, std::move(inner), std::move(name), std::move(offers));
    std::unique_ptr<Stream> stream = make_tls_stream(link);
    CO_RETURN_IF_ERROR(co_await tls_handshake(link, deadline));
    co_return std::move(stream);
  }

 private:
  const std::shared_ptr<Connecting> shared_;
};

}  // namespace

Result<std::shared_ptr<TlsTrust>> make_tls_trust(const std::string& ca_pem, const std::string& ca_from) {
  ERR_clear_error();
  auto trust = std::make_shared<OpensslTrust>();
  if (ca_pem.empty()) {
    if (SSL_CTX_set_default_verify_paths(trust->context.get()) != 1)
      return fail(Code::invalid, "the system's certificates of authorities cannot be read (" +
                                     take_openssl_reason() +
                                     "); install ca-certificates, or name a file of your own");
    return trust;
  }
  std::unique_ptr<BIO, FreeMore> reader(
      BIO_new_mem_buf(ca_pem.data(), static_cast<int>(std::min<size_t>(ca_pem.size(), INT32_MAX))));
  CHECK(reader != nullptr);
  X509_STORE* store = SSL_CTX_get_cert_store(trust->context.get());
  int count = 0;
  while (X509* certificate = PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr)) {
    std::unique_ptr<X509, OpensslFree> owner(certificate);
    if (X509_STORE_add_cert(store, certificate) == 1) ++count;
  }
  ERR_clear_error();
  if (count == 0) return fail(Code::invalid, ca_from + " holds no certificate in PEM form");
  return trust;
}

std::unique_ptr<TlsConnector> make_tls_connector(Loop& loop, std::shared_ptr<TlsTrust> trust) {
  auto own = std::dynamic_pointer_cast<OpensslTrust>(std::move(trust));
  CHECK(own != nullptr);
  return std::make_unique<OpensslConnector>(loop, std::move(own));
}

}  // namespace archipel::io
