// TLS over real sockets, with OpenSSL's own client on threads of their own: what the tests of servers have in common.
#pragma once

#include "io/tls.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <rapidcheck.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <thread>
#include <vector>

#include "io/sync.h"
#include "io/tls_records.h"

namespace archipel::io::testing {

// --- certificates and a client ------------------------------------------------------------------------------------------

struct Pem {
  std::string chain, key;
};

inline std::string text_of(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

// Self-signed, for `name`, valid from `from_s` to `to_s` seconds from now. `rsa_bits` 0: P-256.
inline Pem make_pem(const std::string& name, unsigned rsa_bits = 0, long from_s = -3600, long to_s = 86'400) {
  EVP_PKEY* key =
      rsa_bits == 0 ? EVP_EC_gen("P-256") : EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{rsa_bits});
  CHECK(key != nullptr);
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate), to_s);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, subject);
  X509_set_pubkey(certificate, key);
  CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
  BIO* chain = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(chain, certificate);
  BIO* secret = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(secret, key, nullptr, nullptr, 0, nullptr, nullptr);
  Pem pem{text_of(chain), text_of(secret)};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return pem;
}

inline TlsIdentity identity(const std::string& name, const Pem& pem) {
  return {{name}, pem.chain, pem.key, name + ".pem", name + ".key"};
}

// A blocking TCP connection to "127.0.0.1:PORT".
inline int connect_plain(const std::string& address) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::atoi(address.substr(address.rfind(':') + 1).c_str())));
  inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  timeval limit{60, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  CHECK(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  return fd;
}

struct ClientOptions {
  int version = 0;  // both bounds; 0: whatever both can
  std::string server_name = {};
  std::string alpn = "http/1.1";  // "": offers none
  SSL_SESSION* resume = nullptr;
  const char* suites = nullptr;                            // of TLS 1.3
  uint8_t fragment = TLSEXT_max_fragment_length_DISABLED;  // what it asks for (RFC 6066 §4)
};

// Connects and shakes hands at once; see ok().
class TlsClient {
 public:
  explicit TlsClient(const std::string& address, const ClientOptions& options = {})
      : fd_(connect_plain(address)), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_security_level(context_, 0);  // this client would speak anything
    SSL_CTX_set_min_proto_version(context_, options.version == 0 ? TLS1_VERSION : options.version);
    SSL_CTX_set_max_proto_version(context_, options.version);
    if (options.suites != nullptr) SSL_CTX_set_ciphersuites(context_, options.suites);
    SSL_CTX_set_tlsext_max_fragment_length(context_, options.fragment);
    ssl_ = SSL_new(context_);
    if (!options.server_name.empty()) SSL_set_tlsext_host_name(ssl_, options.server_name.c_str());
    if (!options.alpn.empty()) {
      std::string wire = std::string(1, static_cast<char>(options.alpn.size())) + options.alpn;
      SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(wire.data()),
                          static_cast<unsigned>(wire.size()));
    }
    if (options.resume != nullptr) SSL_set_session(ssl_, options.resume);
    SSL_set_fd(ssl_, fd_);
    ok_ = patiently([&] { return SSL_connect(ssl_); }) == 1;
    ERR_clear_error();
  }
  TlsClient(const TlsClient&) = delete;
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    drop();
  }

  bool ok() const { return ok_; }
  SSL* ssl() { return ssl_; }
  bool send(std::string_view text) {
    return text.empty() || patiently([&] {
                             return SSL_write(ssl_, text.data(), static_cast<int>(text.size()));
                           }) == static_cast<int>(text.size());
  }
  // The records of `text`, sealed but not sent.
  std::string seal(std::string_view text) {
    BIO* memory = BIO_new(BIO_s_mem());
    BIO_up_ref(SSL_get_wbio(ssl_));
    BIO* socket = SSL_get_wbio(ssl_);
    SSL_set0_wbio(ssl_, memory);
    EXPECT_TRUE(send(text));
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory, &data);
    std::string records(data, static_cast<size_t>(size));
    SSL_set0_wbio(ssl_, socket);
    return records;
  }
  // As it is, outside of TLS.
  bool send_raw(std::string_view bytes) {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  // Until `size` bytes, or the end. `said_goodbye`: the end came with close_notify.
  std::string read(size_t size, bool* said_goodbye = nullptr) {
    std::string all;
    std::string piece(1 << 16, '\0');
    while (all.size() < size) {
      const int most = static_cast<int>(std::min(piece.size(), size - all.size()));
      int n = patiently([&] { return SSL_read(ssl_, piece.data(), most); });
      if (n <= 0) {
        if (said_goodbye != nullptr) *said_goodbye = SSL_get_error(ssl_, n) == SSL_ERROR_ZERO_RETURN;
        ERR_clear_error();
        break;
      }
      all.append(piece, 0, static_cast<size_t>(n));
    }
    return all;
  }
  // The common name of the server's certificate.
  std::string shown() const {
    X509* certificate = SSL_get0_peer_certificate(ssl_);
    if (certificate == nullptr) return "";
    char name[128] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    return name;
  }
  std::string protocol() const { return SSL_get_version(ssl_); }
  std::string alpn() const {
    const unsigned char* chosen = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &chosen, &size);
    return std::string(reinterpret_cast<const char*>(chosen), size);
  }
  // Closes the socket without a word in TLS.
  void drop() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  // A wait that has a limit is interrupted when the process is stopped and goes on (signal(7)).
  template <class F>
  static int patiently(F step) {
    int n = 0;
    do {
      errno = 0;
      n = step();
    } while (n <= 0 && errno == EINTR);
    return n;
  }

  int fd_;
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  bool ok_ = false;
};

// --- the server -----------------------------------------------------------------------------------------------------------

inline Deadline in(Duration d) {
  return Loop::current()->now() + d;
}
inline constexpr Duration kLong = std::chrono::seconds(60);

inline const Pem& first_pem() {
  static const Pem pem = make_pem("first.example");
  return pem;
}

inline std::string pattern(size_t size, size_t seed = 0) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i + seed) * 31 + i / 251);
  return text;
}

// A TLS listener on a loop of this thread, whose connections are served by `serve`, while `client` runs on another thread.
struct Rig {
  std::shared_ptr<TlsContext> context = make_tls_context(system_random(), system_clock());
  std::unique_ptr<Listener> listener;
  std::string address;
};
using Serve = Task<void> (*)(std::unique_ptr<Stream>);

inline Task<void> accept_all(Rig& rig, Serve serve, TaskScope& scope) {
  for (;;) {
    Result<std::unique_ptr<Stream>> stream = co_await rig.listener->accept();
    if (!stream) co_return;
    scope.spawn(serve(std::move(*stream)));
  }
}

inline Task<void> serve_while(Rig& rig, Serve serve, const std::function<void(Rig&)>& client) {
  auto tcp = tcp_network().listen(*Loop::current(), "127.0.0.1:0", false);
  CHECK(tcp.has_value());
  rig.listener = make_tls_listener(*Loop::current(), std::move(*tcp), rig.context);
  rig.address = rig.listener->address();
  Loop* home = Loop::current();
  TaskScope scope;
  std::thread thread([&rig, &client, home] {
    client(rig);
    home->post([&rig] { rig.listener->close(); });
  });
  co_await accept_all(rig, serve, scope);
  co_await scope.join();
  thread.join();
  rig.listener.reset();
}

inline void with_server(Serve serve, const std::function<void(Rig&)>& client,
                        const std::vector<TlsIdentity>& identities = {
                            identity("first.example", first_pem())}) {
  Rig rig;
  Result<UnixMs> used = rig.context->use(identities);
  ASSERT_TRUE(used.has_value()) << used.error().message;
  run_blocking([&] { return serve_while(rig, serve, client); });
}

// Sends back what it reads until the end, and then ends.
inline Task<void> echo(std::unique_ptr<Stream> stream) {
  std::vector<uint8_t> buffer(70'000);
  for (;;) {
    Result<void> readable = co_await stream->wait_readable(in(kLong));
    if (!readable) co_return;
    Result<size_t> got = co_await stream->read(buffer, in(kLong));
    if (!got) co_return;
    if (*got == 0) break;
    // As a server writes: a head, and a body behind it.
    std::vector<ByteView> parts = {
        ByteView(buffer).first(*got / 3), {}, ByteView(buffer).subspan(*got / 3, *got - *got / 3)};
    Result<void> written = co_await stream->write(parts, in(kLong));
    if (!written) co_return;
  }
  stream->shutdown_write();
}

}  // namespace archipel::io::testing
