// TLS clients against our own server over real sockets: whom they believe, what they remember, what both sides agree on.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <thread>

#include "base/metrics.h"
#include "io/sync.h"
#include "io/tls.h"

namespace archipel::io {
namespace {

constexpr Duration kLong = std::chrono::seconds(60);
Deadline in(Duration d) {
  return Loop::current()->now() + d;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

// A certificate and its key; `issuer` null: it signs itself, as an authority does.
struct Made {
  X509* certificate = X509_new();
  EVP_PKEY* key = EVP_EC_gen("P-256");
  Made(const std::string& name, const std::string& alternatives, const Made* issuer, long to_s = 86'400) {
    X509_set_version(certificate, 2);
    static long serial = 1;
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
    X509_gmtime_adj(X509_getm_notAfter(certificate), to_s);
    X509_NAME* subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(certificate,
                         X509_get_subject_name(issuer == nullptr ? certificate : issuer->certificate));
    X509_set_pubkey(certificate, key);
    extend(NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (!alternatives.empty()) extend(NID_subject_alt_name, alternatives.c_str());
    CHECK(X509_sign(certificate, issuer == nullptr ? key : issuer->key, EVP_sha256()) > 0);
  }
  Made(const Made&) = delete;
  ~Made() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  void extend(int nid, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    CHECK(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  std::string pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate);
    return text_of(bio);
  }
  TlsIdentity identity() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    return {{"*"}, pem(), text_of(bio), "chain.pem", "key.pem", {}, {}};
  }
};

const Made& authority() {
  static const Made made("Test Authority", "", nullptr);
  return made;
}

Task<void> echo(std::unique_ptr<Stream> stream) {
  std::vector<uint8_t> buffer(70'000);
  for (;;) {
    Result<size_t> got = co_await stream->read(buffer, in(kLong));
    if (!got) co_return;
    if (*got == 0) co_return;
    std::array<ByteView, 1> parts = {ByteView(buffer).first(*got)};
    Result<void> written = co_await stream->write(parts, in(kLong));
    if (!written) co_return;
  }
}

struct Rig {
  std::shared_ptr<TlsContext> context = make_tls_context(system_random(), system_clock());
  std::unique_ptr<Listener> listener;
  TaskScope scope;
  std::unique_ptr<TlsConnector> connector;
};

Task<void> accept_all(Rig& rig) {
  for (;;) {
    Result<std::unique_ptr<Stream>> stream = co_await rig.listener->accept();
    if (!stream) co_return;
    rig.scope.spawn(echo(std::move(*stream)));
  }
}

using Visit = Task<void> (*)(Rig&);
Task<void> run(Rig& rig, Visit visit, bool h2) {
  auto tcp = tcp_network().listen(*Loop::current(), "127.0.0.1:0", false);
  CHECK(tcp.has_value());
  rig.listener = make_tls_listener(*Loop::current(), std::move(*tcp), rig.context, {.h2 = h2});
  rig.connector.reset();
  auto trust = make_tls_trust(authority().pem(), "ca.pem");
  CHECK(trust.has_value());
  rig.connector = make_tls_connector(*Loop::current(), *trust);
  rig.scope.spawn(accept_all(rig));
  co_await visit(rig);
  rig.listener->close();
  co_await rig.scope.join();
  rig.connector.reset();
  rig.listener.reset();
}

void with_server(const TlsIdentity& identity, Visit visit, bool h2 = false) {
  Rig rig;
  Result<UnixMs> used = rig.context->use({identity});
  ASSERT_TRUE(used.has_value()) << used.error().message;
  run_blocking([&] { return run(rig, visit, h2); });
}

Task<Result<std::unique_ptr<Stream>>> dial(Rig& rig, std::string name, std::vector<std::string> alpn = {}) {
  auto tcp = co_await tcp_network().connect(*Loop::current(), rig.listener->address(), in(kLong));
  CHECK(tcp.has_value());
  auto stream = co_await rig.connector->connect(std::move(*tcp), std::move(name), std::move(alpn), in(kLong));
  co_return std::move(stream);
}

Task<std::string> say(Stream& stream, std::string text) {
  std::array<ByteView, 1> parts = {as_bytes(text)};
  Result<void> written = co_await stream.write(parts, in(kLong));
  EXPECT_TRUE(written.has_value());
  std::string all;
  Buffer buffer(70'000);
  while (all.size() < text.size()) {
    Result<size_t> got = co_await stream.read(buffer.span(), in(kLong));
    EXPECT_TRUE(got.has_value());
    if (!got || *got == 0) break;
    all += as_text(buffer.view().first(*got));
  }
  co_return all;
}

Task<void> believe(Rig& rig) {
  for (std::string name : {"origin.example", "www.wild.example", "127.0.0.1"}) {
    auto stream = co_await dial(rig, name);
    EXPECT_TRUE(stream.has_value()) << (stream ? "" : stream.error().describe());
    if (!stream) continue;
    EXPECT_TRUE((*stream)->secure());
    std::string heard = co_await say(**stream, std::string(200'000, 'x'));
    EXPECT_EQ(heard.size(), 200'000u);
  }
  for (std::string name : {"other.example", "two.labels.wild.example", "wild.example", "127.0.0.2"}) {
    auto stream = co_await dial(rig, name);
    EXPECT_FALSE(stream.has_value()) << name;
    if (stream) continue;
    EXPECT_EQ(stream.error().code, Code::denied);
    EXPECT_EQ(stream.error().detail, "certificate");
    EXPECT_NE(stream.error().message.find(name), std::string::npos) << stream.error().message;
    EXPECT_NE(stream.error().message.find("mismatch"), std::string::npos) << stream.error().message;
  }
  for (std::string name : {"", "a b", "a/b"}) {
    auto stream = co_await dial(rig, name);
    EXPECT_FALSE(stream.has_value());
    if (!stream) EXPECT_EQ(stream.error().code, Code::invalid);
  }
}

TEST(TlsClient, BelievesWhoProvesTheName) {
  Made leaf("origin", "DNS:origin.example,DNS:*.wild.example,IP:127.0.0.1", &authority());
  with_server(leaf.identity(), believe);
}

Task<void> expect_distrust(Rig& rig) {
  auto stream = co_await dial(rig, "origin.example");
  EXPECT_FALSE(stream.has_value());
  if (stream) co_return;
  EXPECT_EQ(stream.error().code, Code::denied);
  EXPECT_NE(stream.error().message.find("origin"), std::string::npos) << stream.error().message;
}

TEST(TlsClient, DoesNotBelieveStrangers) {
  Made itself("origin", "DNS:origin.example", nullptr);
  with_server(itself.identity(), expect_distrust);
  Made other("Test Authority", "", nullptr);  // of the same name, with another key
  Made leaf("origin", "DNS:origin.example", &other);
  with_server(leaf.identity(), expect_distrust);
}

TEST(TlsClient, DoesNotBelieveALeafThatPlaysAuthority) {
  Made leaf("leaf", "DNS:leaf.example", &authority());
  Made forged("origin", "DNS:origin.example", &leaf);
  TlsIdentity identity = forged.identity();
  identity.chain_pem += leaf.pem();
  with_server(identity, expect_distrust);
}

Task<void> agree(Rig& rig) {
  auto both = co_await dial(rig, "origin.example", {"h2", "http/1.1"});
  EXPECT_TRUE(both.has_value());
  if (both) EXPECT_EQ((*both)->protocol(), "h2");
  auto one = co_await dial(rig, "origin.example", {"http/1.1"});
  EXPECT_TRUE(one.has_value());
  if (one) EXPECT_EQ((*one)->protocol(), "http/1.1");
  auto none = co_await dial(rig, "origin.example");
  EXPECT_TRUE(none.has_value());
  if (none) EXPECT_EQ((*none)->protocol(), "");
}

TEST(TlsClient, AgreesOnAProtocol) {
  Made leaf("origin", "DNS:origin.example", &authority());
  with_server(leaf.identity(), agree, true);
}

double resumptions() {
  const std::string all = metrics::expose();
  const std::string name = "\narchipel_tls_resumptions_total ";
  size_t at = all.find(name);
  return at == std::string::npos ? 0 : std::atof(all.c_str() + at + name.size());
}

Task<void> come_back(Rig& rig) {
  const double before = resumptions();
  for (int i = 0; i < 3; ++i) {
    auto stream = co_await dial(rig, "origin.example");
    EXPECT_TRUE(stream.has_value());
    if (!stream) co_return;
    std::string heard = co_await say(**stream, "hello");
    EXPECT_EQ(heard, "hello");
  }
  EXPECT_EQ(resumptions() - before, 2);
  // A session proves nothing about another name.
  auto other = co_await dial(rig, "other.example");
  EXPECT_FALSE(other.has_value());
}

TEST(TlsClient, TakesUpSessionsAgain) {
  Made leaf("origin", "DNS:origin.example", &authority());
  with_server(leaf.identity(), come_back);
}

Task<void> try_reading(Rig& rig) {
  auto stream = co_await dial(rig, "origin.example");
  EXPECT_TRUE(stream.has_value());
  if (!stream) co_return;
  std::string heard = co_await say(**stream, "hello");  // tickets were read with it
  Buffer buffer(100);
  auto nothing = (*stream)->try_read(buffer.span());
  EXPECT_FALSE(nothing.has_value()) << "an open connection with nothing to read";
  std::array<ByteView, 1> parts = {as_bytes("again")};
  Result<void> written = co_await (*stream)->write(parts, in(kLong));
  EXPECT_TRUE(written.has_value());
  Result<void> ready = co_await (*stream)->wait_readable(in(kLong));
  EXPECT_TRUE(ready.has_value());
  auto something = (*stream)->try_read(buffer.span());
  EXPECT_TRUE(something && *something && **something == 5);
  (*stream)->shutdown_write();
  Result<void> end = co_await (*stream)->wait_readable(in(kLong));
  EXPECT_TRUE(end.has_value());
  auto ended = (*stream)->try_read(buffer.span());
  EXPECT_TRUE(ended && *ended && **ended == 0);
}

TEST(TlsClient, ReadsWithoutWaitingWhatIsThere) {
  Made leaf("origin", "DNS:origin.example", &authority());
  with_server(leaf.identity(), try_reading);
}

TEST(TlsTrust, SaysWhatIsNoCertificate) {
  auto trust = make_tls_trust("nothing of the kind", "/etc/ca.pem");
  ASSERT_FALSE(trust);
  EXPECT_EQ(trust.error().code, Code::invalid);
  EXPECT_NE(trust.error().message.find("/etc/ca.pem"), std::string::npos);
  EXPECT_TRUE(make_tls_trust());
}

// --- OCSP --------------------------------------------------------------------------------------------------------------------

// The authority's word on `leaf`, good until `to_s` from now.
std::string make_ocsp(const Made& leaf, long to_s) {
  OCSP_BASICRESP* basic = OCSP_BASICRESP_new();
  OCSP_CERTID* id = OCSP_cert_to_id(EVP_sha1(), leaf.certificate, authority().certificate);
  ASN1_TIME* from = X509_gmtime_adj(nullptr, -3600);
  ASN1_TIME* to = X509_gmtime_adj(nullptr, to_s);
  OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, nullptr, from, to);
  OCSP_basic_sign(basic, authority().certificate, authority().key, EVP_sha256(), nullptr, OCSP_NOCERTS);
  OCSP_RESPONSE* response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
  unsigned char* der = nullptr;
  int size = i2d_OCSP_RESPONSE(response, &der);
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  OCSP_RESPONSE_free(response);
  OCSP_BASICRESP_free(basic);
  OCSP_CERTID_free(id);
  ASN1_TIME_free(from);
  ASN1_TIME_free(to);
  return out;
}

TEST(TlsOcsp, WhatIsNoResponseIsRefusedWithItsFile) {
  Made leaf("origin", "DNS:origin.example", &authority());
  TlsIdentity identity = leaf.identity();
  identity.ocsp_from = "leaf.ocsp";
  for (std::string bad : {std::string("garbage"), std::string("\x30\x03\x0a\x01\x06", 5)}) {
    identity.ocsp_der = bad;
    auto used = make_tls_context(system_random(), system_clock())->use({identity});
    ASSERT_FALSE(used);
    EXPECT_EQ(used.error().code, Code::invalid);
    EXPECT_NE(used.error().message.find("leaf.ocsp"), std::string::npos) << used.error().message;
  }
  identity.ocsp_der = make_ocsp(leaf, 3600);
  EXPECT_TRUE(make_tls_context(system_random(), system_clock())->use({identity}));
}

// What a client of OpenSSL's own is stapled.
std::string stapled_by(const TlsIdentity& identity) {
  auto context = make_tls_context(system_random(), system_clock());
  CHECK(context->use({identity}).has_value());
  std::string stapled;
  auto visit = [&](const std::string& address) {
    SSL_CTX* own = SSL_CTX_new(TLS_client_method());
    BIO* wire = BIO_new_connect(address.c_str());
    CHECK(BIO_do_connect(wire) == 1);
    SSL* ssl = SSL_new(own);
    SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
    SSL_set_bio(ssl, wire, wire);
    EXPECT_EQ(SSL_connect(ssl), 1);
    unsigned char* response = nullptr;
    long size = SSL_get_tlsext_status_ocsp_resp(ssl, &response);
    if (size > 0) stapled.assign(reinterpret_cast<char*>(response), static_cast<size_t>(size));
    SSL_free(ssl);
    SSL_CTX_free(own);
  };
  struct Serve {
    static Task<void> one(Listener& listener) {
      Result<std::unique_ptr<Stream>> stream = co_await listener.accept();
      CHECK(stream.has_value());
      co_await echo(std::move(*stream));
    }
    static Task<void> run(std::shared_ptr<TlsContext>& context, decltype(visit)& visit) {
      auto tcp = tcp_network().listen(*Loop::current(), "127.0.0.1:0", false);
      CHECK(tcp.has_value());
      auto listener = make_tls_listener(*Loop::current(), std::move(*tcp), context);
      std::thread client([&] { visit(listener->address()); });
      co_await one(*listener);
      client.join();
    }
  };
  run_blocking([&] { return Serve::run(context, visit); });
  return stapled;
}

TEST(TlsOcsp, IsStapledWhileItHolds) {
  Made leaf("origin", "DNS:origin.example", &authority());
  TlsIdentity identity = leaf.identity();
  EXPECT_EQ(stapled_by(identity), "");
  identity.ocsp_der = make_ocsp(leaf, 3600);
  EXPECT_EQ(stapled_by(identity), identity.ocsp_der);
  identity.ocsp_der = make_ocsp(leaf, -60);
  EXPECT_EQ(stapled_by(identity), "") << "an old word is worse than none";
}

}  // namespace
}  // namespace archipel::io
