#include "io/tls_context.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>

#include "io/tls_link.h"

namespace archipel::io {
namespace {

// Forward secrecy and AEAD only; AES-128 first, as it is the cheapest where there is hardware for it. A client that puts ChaCha20 first has none.
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kCiphers13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr uint8_t kAlpn[] = "\x02h2\x08http/1.1";
constexpr unsigned kAlpnOfH2 = 3;  // bytes of it
constexpr long kTicketSeconds =
    std::chrono::duration_cast<std::chrono::seconds>(TicketKeys::kRotation).count();
constexpr size_t kCertificatesMax = 16;  // in one chain

OpensslContext& of(SSL* ssl) {
  return *static_cast<OpensslContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

int choose_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                    unsigned in_size, void*) {
  unsigned char* chosen = nullptr;
  const unsigned skipped = SSL_get_app_data(ssl) != nullptr ? 0 : kAlpnOfH2;
  int found =
      SSL_select_next_proto(&chosen, out_size, kAlpn + skipped, sizeof kAlpn - 1 - skipped, in, in_size);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int note_name(SSL*, int*, void*) {
  return SSL_TLSEXT_ERR_OK;  // any name is served; which certificate, is decided by show_certificate
}

int show_certificate(SSL* ssl, void*) {
  std::shared_ptr<const Identities> identities = of(ssl).identities();
  if (!identities) return 0;
  const Identities::One& one = identities->find(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
  return SSL_use_cert_and_key(ssl, one.leaf.get(), one.key.get(), one.chain.get(), 1);
}

// A client asked for the authority's word on our certificate.
int staple(SSL* ssl, void*) {
  std::shared_ptr<const Identities> identities = of(ssl).identities();
  if (!identities) return SSL_TLSEXT_ERR_NOACK;
  const Identities::One& one = identities->find(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
  if (one.ocsp.empty() || one.ocsp_until <= of(ssl).clock().unix_ms()) return SSL_TLSEXT_ERR_NOACK;
  void* copy = OPENSSL_memdup(one.ocsp.data(), one.ocsp.size());  // OpenSSL takes it
  if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(ssl, static_cast<unsigned char*>(copy), static_cast<long>(one.ocsp.size()));
  return SSL_TLSEXT_ERR_OK;
}

int seal_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                int sealing) {
  OpensslContext& context = of(ssl);
  TicketKeys::Key key;
  bool renew = false;
  if (sealing != 0) {
    key = context.tickets().newest();
    std::memcpy(name, key.name.data(), key.name.size());
    context.random().fill({iv, 16});
  } else if (!context.tickets().find(name, key, renew)) {
    return 0;  // a full handshake, then
  }
  char digest[] = "SHA256";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  bool ready = EVP_MAC_CTX_set_params(mac, parameters) == 1 &&
               EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.aes.data(), iv, sealing) == 1;
  OPENSSL_cleanse(&key, sizeof key);
  if (!ready) return -1;
  return renew ? 2 : 1;
}

// Without it OpenSSL asks for a passphrase on the terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using BioPtr = std::unique_ptr<BIO, FreeBio>;
BioPtr reader_of(const std::string& text) {
  BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(std::min<size_t>(text.size(), INT32_MAX))));
  CHECK(bio != nullptr);
  return bio;
}

bool matches(std::string_view pattern, std::string_view name) {
  if (!pattern.starts_with("*.")) return pattern == name;
  size_t dot = name.find('.');
  return dot != std::string_view::npos && dot > 0 && name.substr(dot) == pattern.substr(1);
}

UnixMs to_ms(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return static_cast<UnixMs>(timegm(&parts)) * 1000;
}

UnixMs end_of(const X509* leaf) {
  return to_ms(X509_get0_notAfter(leaf));
}

struct FreeOcsp {
  void operator()(OCSP_RESPONSE* response) const { OCSP_RESPONSE_free(response); }
  void operator()(OCSP_BASICRESP* response) const { OCSP_BASICRESP_free(response); }
};

// Until when the response may be stapled.
Result<UnixMs> end_of_staple(const TlsIdentity& identity) {
  auto bad = [&](const char* why) {
    ERR_clear_error();
    return fail(Code::invalid, identity.ocsp_from + " " + why +
                                   "; fetch it anew, for instance with `openssl ocsp -respout`");
  };
  const auto* at = reinterpret_cast<const unsigned char*>(identity.ocsp_der.data());
  std::unique_ptr<OCSP_RESPONSE, FreeOcsp> response(
      d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(identity.ocsp_der.size())));
  if (!response) return bad("is no OCSP response in DER form");
  if (OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
    return bad("is an OCSP responder's refusal");
  std::unique_ptr<OCSP_BASICRESP, FreeOcsp> basic(OCSP_response_get1_basic(response.get()));
  if (!basic || OCSP_resp_count(basic.get()) == 0) return bad("is an OCSP response about nothing");
  ASN1_GENERALIZEDTIME* next = nullptr;
  OCSP_single_get0_status(OCSP_resp_get0(basic.get(), 0), nullptr, nullptr, nullptr, &next);
  return next == nullptr ? INT64_MAX : to_ms(next);
}

}  // namespace

void OpensslFree::operator()(SSL* ssl) const {
  SSL_free(ssl);
}
void OpensslFree::operator()(SSL_CTX* context) const {
  SSL_CTX_free(context);
}
void OpensslFree::operator()(X509* certificate) const {
  X509_free(certificate);
}
void OpensslFree::operator()(EVP_PKEY* key) const {
  EVP_PKEY_free(key);
}
void OpensslFree::operator()(STACK_OF(X509) * chain) const {
  sk_X509_pop_free(chain, X509_free);
}

std::string take_openssl_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  std::string text = reason == nullptr ? "" : reason;
  ERR_clear_error();
  return text;
}

const Identities::One& Identities::find(const char* name) const {
  if (name == nullptr) return all.front();
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (lower.ends_with('.')) lower.pop_back();
  for (bool wildcards : {false, true})
    for (const One& one : all)
      for (const std::string& host : one.hosts)
        if (host.starts_with("*.") == wildcards && matches(host, lower)) return one;
  for (const One& one : all)
    if (std::ranges::find(one.hosts, "*") != one.hosts.end()) return one;
  return all.front();
}

// --- ticket keys -------------------------------------------------------------------------------------------------------

TicketKeys::TicketKeys(Random& random, Clock& clock) : random_(random), clock_(clock) {
  rotate();
  keys_[1] = keys_[0];
}

TicketKeys::~TicketKeys() {
  OPENSSL_cleanse(keys_, sizeof keys_);
}

void TicketKeys::rotate() {
  keys_[1] = keys_[0];
  random_.fill(keys_[0].name);
  random_.fill(keys_[0].aes);
  random_.fill(keys_[0].mac);
  keys_[0].since = clock_.now();
}

TicketKeys::Key TicketKeys::newest() {
  std::lock_guard lock(mutex_);
  if (clock_.now() - keys_[0].since >= kRotation) rotate();
  return keys_[0];
}

bool TicketKeys::find(const uint8_t name[16], Key& key, bool& renew) {
  std::lock_guard lock(mutex_);
  for (int i = 0; i < 2; ++i) {
    if (std::memcmp(name, keys_[i].name.data(), 16) != 0) continue;
    if (clock_.now() - keys_[i].since >= 2 * kRotation) return false;
    key = keys_[i];
    renew = i > 0;
    return true;
  }
  return false;
}

// --- the context -------------------------------------------------------------------------------------------------------

std::shared_ptr<TlsContext> make_tls_context(Random& random, Clock& clock) {
  return std::make_shared<OpensslContext>(random, clock);
}

void set_tls_defaults(SSL_CTX* c) {
  CHECK(SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1);
  CHECK(SSL_CTX_set_cipher_list(c, kCiphers12) == 1);
  CHECK(SSL_CTX_set_ciphersuites(c, kCiphers13) == 1);
  CHECK(SSL_CTX_set1_groups_list(c, kGroups) == 1);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // An idle connection keeps no record buffers.
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
}

OpensslContext::OpensslContext(Random& random, Clock& clock)
    : random_(random), clock_(clock), tickets_(random, clock), context_(SSL_CTX_new(TLS_server_method())) {
  SSL_CTX* c = context_.get();
  CHECK(c != nullptr);
  SSL_CTX_set_app_data(c, this);
  set_tls_defaults(c);
  SSL_CTX_set_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Sessions live in their tickets alone.
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  static const unsigned char kName[] = "archipel";
  CHECK(SSL_CTX_set_session_id_context(c, kName, sizeof kName - 1) == 1);
  SSL_CTX_set_timeout(c, kTicketSeconds);
  CHECK(SSL_CTX_set_num_tickets(c, 1) == 1);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(c, seal_ticket);
  SSL_CTX_set_tlsext_servername_callback(c, note_name);
  SSL_CTX_set_cert_cb(c, show_certificate, nullptr);
  SSL_CTX_set_alpn_select_cb(c, choose_protocol, nullptr);
  SSL_CTX_set_tlsext_status_cb(c, staple);
  SSL_CTX_set_keylog_callback(c, keep_traffic_secret);
}

SslPtr OpensslContext::new_session(bool offers_h2) {
  SslPtr ssl(SSL_new(context_.get()));
  CHECK(ssl != nullptr);
  if (offers_h2) SSL_set_app_data(ssl.get(), this);  // what choose_protocol looks at
  SSL_set_accept_state(ssl.get());
  return ssl;
}

std::shared_ptr<const Identities> OpensslContext::identities() const {
  std::lock_guard lock(mutex_);
  return identities_;
}

Result<Identities::One> OpensslContext::parse(const TlsIdentity& identity) {
  Identities::One one;
  one.hosts = identity.hosts;
  BioPtr chain = reader_of(identity.chain_pem);
  one.leaf.reset(PEM_read_bio_X509(chain.get(), nullptr, no_passphrase, nullptr));
  if (!one.leaf)
    return fail(Code::invalid, identity.chain_from + " holds no certificate in PEM form (" +
                                   take_openssl_reason() + "); it should begin with the server's own");
  one.chain.reset(sk_X509_new_null());
  CHECK(one.chain != nullptr);
  while (X509* next = PEM_read_bio_X509(chain.get(), nullptr, no_passphrase, nullptr)) {
    sk_X509_push(one.chain.get(), next);
    if (static_cast<size_t>(sk_X509_num(one.chain.get())) >= kCertificatesMax)
      return fail(Code::limit, identity.chain_from + " holds more than " + std::to_string(kCertificatesMax) +
                                   " certificates");
  }
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
    return fail(Code::invalid, identity.chain_from + " holds a broken certificate behind the first (" +
                                   take_openssl_reason() + ")");
  ERR_clear_error();

  BioPtr key = reader_of(identity.key_pem);
  one.key.reset(PEM_read_bio_PrivateKey(key.get(), nullptr, no_passphrase, nullptr));
  if (!one.key)
    return fail(Code::invalid, identity.key_from +
                                   " holds no private key in PEM form without a passphrase (" +
                                   take_openssl_reason() + ")");
  if (X509_check_private_key(one.leaf.get(), one.key.get()) != 1) {
    ERR_clear_error();
    return fail(Code::invalid, "the key in " + identity.key_from + " is not the key of the certificate in " +
                                   identity.chain_from);
  }
  if (end_of(one.leaf.get()) <= clock_.unix_ms())
    return fail(Code::invalid, "the certificate in " + identity.chain_from + " has expired; renew it");
  if (!identity.ocsp_der.empty()) {
    ASSIGN_OR_RETURN(one.ocsp_until, end_of_staple(identity));
    one.ocsp = identity.ocsp_der;
  }
  // What OpenSSL would refuse in a handshake is refused here.
  SslPtr probe = new_session();
  if (SSL_use_cert_and_key(probe.get(), one.leaf.get(), one.key.get(), one.chain.get(), 1) != 1)
    return fail(Code::invalid, identity.chain_from + " cannot be served (" + take_openssl_reason() + ")");
  return one;
}

Result<UnixMs> OpensslContext::use(const std::vector<TlsIdentity>& identities) {
  if (identities.empty()) return fail(Code::invalid, "TLS needs a certificate: add a [[tls]] table");
  ERR_clear_error();
  auto fresh = std::make_shared<Identities>();
  UnixMs first_end = INT64_MAX;
  for (const TlsIdentity& identity : identities) {
    ASSIGN_OR_RETURN(Identities::One one, parse(identity));
    first_end = std::min(first_end, end_of(one.leaf.get()));
    fresh->all.push_back(std::move(one));
  }
  std::lock_guard lock(mutex_);
  identities_ = std::move(fresh);
  return first_end;
}

}  // namespace archipel::io
