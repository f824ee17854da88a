// TLS over real sockets, with OpenSSL's own client on threads of their own.
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
#include <functional>
#include <thread>
#include <vector>

#include "io/sync.h"
#include "io/tls_records.h"

namespace archipel::io {
namespace {

// --- certificates and a client ------------------------------------------------------------------------------------------

struct Pem {
  std::string chain, key;
};

std::string text_of(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

// Self-signed, for `name`, valid from `from_s` to `to_s` seconds from now. `rsa_bits` 0: P-256.
Pem make_pem(const std::string& name, unsigned rsa_bits = 0, long from_s = -3600, long to_s = 86'400) {
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

TlsIdentity identity(const std::string& name, const Pem& pem) {
  return {{name}, pem.chain, pem.key, name + ".pem", name + ".key"};
}

// A blocking TCP connection to "127.0.0.1:PORT".
int connect_plain(const std::string& address) {
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
  const char* suites = nullptr;  // of TLS 1.3
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
    ssl_ = SSL_new(context_);
    if (!options.server_name.empty()) SSL_set_tlsext_host_name(ssl_, options.server_name.c_str());
    if (!options.alpn.empty()) {
      std::string wire = std::string(1, static_cast<char>(options.alpn.size())) + options.alpn;
      SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(wire.data()),
                          static_cast<unsigned>(wire.size()));
    }
    if (options.resume != nullptr) SSL_set_session(ssl_, options.resume);
    SSL_set_fd(ssl_, fd_);
    ok_ = SSL_connect(ssl_) == 1;
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
    return text.empty() ||
           SSL_write(ssl_, text.data(), static_cast<int>(text.size())) == static_cast<int>(text.size());
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
      int n = SSL_read(ssl_, piece.data(), static_cast<int>(std::min(piece.size(), size - all.size())));
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
  int fd_;
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  bool ok_ = false;
};

// --- the server -----------------------------------------------------------------------------------------------------------

Deadline in(Duration d) {
  return Loop::current()->now() + d;
}
constexpr Duration kLong = std::chrono::seconds(60);

const Pem& first_pem() {
  static const Pem pem = make_pem("first.example");
  return pem;
}

std::string pattern(size_t size, size_t seed = 0) {
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

Task<void> accept_all(Rig& rig, Serve serve, TaskScope& scope) {
  for (;;) {
    Result<std::unique_ptr<Stream>> stream = co_await rig.listener->accept();
    if (!stream) co_return;
    scope.spawn(serve(std::move(*stream)));
  }
}

Task<void> serve_while(Rig& rig, Serve serve, const std::function<void(Rig&)>& client) {
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

void with_server(Serve serve, const std::function<void(Rig&)>& client,
                 const std::vector<TlsIdentity>& identities = {identity("first.example", first_pem())}) {
  Rig rig;
  Result<UnixMs> used = rig.context->use(identities);
  ASSERT_TRUE(used.has_value()) << used.error().message;
  run_blocking([&] { return serve_while(rig, serve, client); });
}

// Sends back what it reads until the end, and then ends.
Task<void> echo(std::unique_ptr<Stream> stream) {
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

TEST(Tls, CarriesBytesBothWaysInBothVersions) {
  with_server(echo, [](Rig& rig) {
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      TlsClient client(rig.address, {.version = version});
      ASSERT_TRUE(client.ok());
      EXPECT_EQ(client.alpn(), "http/1.1");
      for (size_t size : {1, 2, 3, 100, 16'383, 16'384, 16'385, 33'000, 70'001, 300'000}) {
        std::string text = pattern(size, size);
        std::thread sender([&] { EXPECT_TRUE(client.send(text)); });
        sender.join();
        EXPECT_TRUE(client.read(size) == text) << client.protocol() << " " << size;
      }
      SSL_shutdown(client.ssl());
      bool said_goodbye = false;
      EXPECT_EQ(client.read(1, &said_goodbye), "");
      EXPECT_TRUE(said_goodbye);
    }
  });
}

TEST(Tls, SpeaksNothingOlderThan12AndOnlyHttp1) {
  with_server(echo, [](Rig& rig) {
    EXPECT_FALSE(TlsClient(rig.address, {.version = TLS1_VERSION}).ok());
    EXPECT_FALSE(TlsClient(rig.address, {.version = TLS1_1_VERSION}).ok());
    EXPECT_FALSE(TlsClient(rig.address, {.alpn = "h2"}).ok());
    TlsClient without(rig.address, {.alpn = ""});
    EXPECT_TRUE(without.ok());
    EXPECT_EQ(without.protocol(), "TLSv1.3");
  });
}

TEST(Tls, ShowsTheCertificateOfTheNameAsked) {
  std::vector<TlsIdentity> identities;
  for (const char* name : {"first.example", "*.wild.example", "deep.wild.example"})
    identities.push_back(identity(name, make_pem(name)));
  identities.push_back(identity("rsa.example", make_pem("rsa.example", 2048)));
  with_server(
      echo,
      [](Rig& rig) {
        auto shown = [&](const std::string& name, int version = 0) {
          TlsClient client(rig.address, {.version = version, .server_name = name});
          return client.ok() ? client.shown() : "refused";
        };
        EXPECT_EQ(shown(""), "first.example");
        EXPECT_EQ(shown("127.0.0.1"), "first.example");
        EXPECT_EQ(shown("unknown.example"), "first.example");
        EXPECT_EQ(shown("bucket.WILD.example"), "*.wild.example");
        EXPECT_EQ(shown("deep.wild.example"), "deep.wild.example");
        EXPECT_EQ(shown("two.labels.wild.example"), "first.example");
        EXPECT_EQ(shown("wild.example"), "first.example");
        EXPECT_EQ(shown("rsa.example"), "rsa.example");
        EXPECT_EQ(shown("rsa.example", TLS1_2_VERSION), "rsa.example");
      },
      identities);
}

// What a listener must survive; afterwards it serves as before.
TEST(Tls, RefusesWhatIsNoHandshakeAndGoesOn) {
  with_server(echo, [](Rig& rig) {
    auto say = [&](std::string_view text) {
      int fd = connect_plain(rig.address);
      ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
      ::shutdown(fd, SHUT_WR);
      std::string heard;
      char buffer[4096];
      for (ssize_t n; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
        heard.append(buffer, static_cast<size_t>(n));
      ::close(fd);
      return heard;
    };
    std::string answer = say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
    size_t head = answer.find("\r\n\r\n");
    ASSERT_NE(head, std::string::npos);
    EXPECT_NE(answer.find("content-length: " + std::to_string(answer.size() - head - 4)), std::string::npos);
    EXPECT_TRUE(
        say("PUT /bucket/key HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").starts_with("HTTP/1.1 400 "));
    for (std::string garbage :
         {std::string(""), std::string("\x16"), std::string("\x16\x03\x01\x02\x00\x01\x00", 7),
          pattern(100'000), std::string(100'000, '\x16'),
          std::string("\x16\x03\x01\xff\xff", 5) + std::string(70'000, '\1'),
          std::string("\x80\x2e\x01\x03\x01", 5) + std::string(44, '\2')}) {
      std::string heard = say(garbage);
      EXPECT_LT(heard.size(), 100u);  // an alert at most
    }
    TlsClient client(rig.address);
    ASSERT_TRUE(client.ok());
    EXPECT_TRUE(client.send("hello"));
    EXPECT_EQ(client.read(5), "hello");
  });
}

TEST(Tls, ABrokenRecordEndsTheConnectionWithAnError) {
  struct Body {
    static Task<void> serve(std::unique_ptr<Stream> stream) {
      uint8_t buffer[100];
      Result<size_t> good = co_await stream->read(buffer, in(kLong));
      EXPECT_TRUE(good.has_value());
      Result<size_t> bad = co_await stream->read(buffer, in(kLong));
      EXPECT_FALSE(bad.has_value());
      if (!bad) EXPECT_EQ(bad.error().code, Code::io);
      Result<size_t> again = co_await stream->read(buffer, in(kLong));
      EXPECT_FALSE(again.has_value());
      std::vector<ByteView> parts = {as_bytes("late")};
      Result<void> written = co_await stream->write(parts, in(kLong));
      EXPECT_FALSE(written.has_value());
    }
  };
  with_server(&Body::serve, [](Rig& rig) {
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      TlsClient client(rig.address, {.version = version});
      ASSERT_TRUE(client.ok());
      EXPECT_TRUE(client.send("good"));
      std::string forged = std::string("\x17\x03\x03\x00\x30", 5) + pattern(48);
      ::send(SSL_get_fd(client.ssl()), forged.data(), forged.size(), MSG_NOSIGNAL);
      EXPECT_EQ(client.read(1), "");
    }
  });
}

TEST(Tls, TellsAnEndFromACut) {
  struct Body {
    static Task<void> serve(std::unique_ptr<Stream> stream) {
      uint8_t buffer[100];
      Result<size_t> got = co_await stream->read(buffer, in(kLong));
      EXPECT_TRUE(got.has_value());
      if (!got) co_return;
      const bool cut = buffer[0] == 'c';
      got = co_await stream->read(buffer, in(kLong));
      EXPECT_EQ(got.has_value(), !cut);
      if (got) EXPECT_EQ(*got, 0u);
      if (!got) EXPECT_EQ(got.error().code, Code::io);
    }
  };
  with_server(&Body::serve, [](Rig& rig) {
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      TlsClient cut(rig.address, {.version = version}), ended(rig.address, {.version = version});
      ASSERT_TRUE(cut.ok() && ended.ok());
      EXPECT_TRUE(cut.send("cut") && ended.send("end"));
      cut.drop();
      SSL_shutdown(ended.ssl());
      bool said_goodbye = false;
      EXPECT_EQ(ended.read(1, &said_goodbye), "");
      EXPECT_TRUE(said_goodbye);  // the stream said so when it went
    }
  });
}

// A handshake that does not go on waits by itself: for its own deadline only.
TEST(Tls, AHandshakeHasADeadlineAndHoldsUpNobody) {
  static std::atomic<int> timeouts = 0;
  struct Body {
    static Task<void> serve(std::unique_ptr<Stream> stream) {
      std::vector<uint8_t> buffer(100);
      Result<size_t> got = co_await stream->read(buffer, in(std::chrono::milliseconds(300)));
      if (!got && got.error().code == Code::timeout) ++timeouts;
      if (!got) co_return;
      std::vector<ByteView> parts = {ByteView(buffer).first(*got)};
      Result<void> written = co_await stream->write(parts, in(kLong));
      EXPECT_TRUE(written.has_value());
    }
  };
  timeouts = 0;
  with_server(&Body::serve, [](Rig& rig) {
    std::vector<int> stalled;
    for (int i = 0; i < 20; ++i) {
      stalled.push_back(connect_plain(rig.address));
      if (i % 2 == 0) ::send(stalled.back(), "\x16\x03\x01\x02\x00\x01", 6, MSG_NOSIGNAL);
    }
    TlsClient client(rig.address);
    ASSERT_TRUE(client.ok());
    EXPECT_TRUE(client.send("hello"));
    EXPECT_EQ(client.read(5), "hello");
    for (int fd : stalled) {
      char byte;
      while (::recv(fd, &byte, 1, 0) > 0) {
      }
      ::close(fd);
    }
  });
  EXPECT_EQ(timeouts, 20);
}

TEST(Tls, ClosingEndsWhateverWaits) {
  struct Body {
    static Task<void> wait_for_cancel(Stream& stream, bool reading) {
      uint8_t buffer[10];
      Result<void> outcome;
      if (reading) {
        Result<size_t> got = co_await stream.read(buffer, in(kLong));
        if (!got) outcome = fail(got.error());
      } else {
        outcome = co_await stream.wait_readable(in(kLong));
      }
      EXPECT_FALSE(outcome.has_value());
      if (!outcome) EXPECT_EQ(outcome.error().code, Code::cancelled);
    }
    static Task<void> write_until_cancel(Stream& stream) {
      std::string much = pattern(64 << 20);
      std::vector<ByteView> parts = {as_bytes(much)};
      Result<void> written = co_await stream.write(parts, in(kLong));
      EXPECT_FALSE(written.has_value());
      if (!written) EXPECT_EQ(written.error().code, Code::cancelled);
    }
    // The first byte says how far it goes before it is closed.
    static Task<void> serve(std::unique_ptr<Stream> stream) {
      uint8_t what = 0;
      Result<size_t> got = co_await stream->read({&what, 1}, in(kLong));
      EXPECT_TRUE(got.has_value());
      TaskScope scope;
      scope.spawn(wait_for_cancel(*stream, what == 'r'));
      if (what == 'w') scope.spawn(write_until_cancel(*stream));
      co_await sleep_until(in(std::chrono::milliseconds(20)));
      EXPECT_GE(scope.active(), 1u);
      stream->close(what == 'x');
      if (what != 'w') stream.reset();
      co_await scope.join();
    }
  };
  with_server(&Body::serve, [](Rig& rig) {
    for (char what : {'i', 'r', 'w', 'x'}) {
      TlsClient client(rig.address);
      ASSERT_TRUE(client.ok());
      EXPECT_TRUE(client.send(std::string(1, what)));
      bool said_goodbye = false;
      client.read(SIZE_MAX, &said_goodbye);
      EXPECT_EQ(said_goodbye, what == 'i' || what == 'r') << what;
    }
  });
}

// Both directions at once, with key updates from the client in between.
TEST(Tls, ReadsAndWritesAtTheSameTime) {
  struct Body {
    static Task<void> send_much(Stream& stream) {
      for (size_t i = 0; i < 200; ++i) {
        std::string text = pattern(20'000, i);
        std::vector<ByteView> parts = {as_bytes(text)};
        Result<void> written = co_await stream.write(parts, in(kLong));
        EXPECT_TRUE(written.has_value());
      }
    }
    static Task<void> serve(std::unique_ptr<Stream> stream) {
      TaskScope scope;
      std::string all;
      std::vector<uint8_t> buffer(10'000);
      scope.spawn(send_much(*stream));  // before anything was read: it does the handshake
      while (all.size() < 200 * 20'000) {
        Result<size_t> got = co_await stream->read(buffer, in(kLong));
        EXPECT_TRUE(got.has_value()) << got.error().describe();
        if (!got) break;
        all.append(reinterpret_cast<char*>(buffer.data()), *got);
      }
      co_await scope.join();
      std::string expected;
      for (size_t i = 0; i < 200; ++i) expected += pattern(20'000, 7 * i);
      EXPECT_TRUE(all == expected);
    }
  };
  with_server(&Body::serve, [](Rig& rig) {
    TlsClient client(rig.address);
    ASSERT_TRUE(client.ok());
    for (size_t i = 0; i < 200; ++i) {
      if (i % 10 == 3) SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED);
      EXPECT_TRUE(client.send(pattern(20'000, 7 * i)));
      EXPECT_TRUE(client.read(20'000) == pattern(20'000, i));
    }
    // To the end: who closes with answers to its key updates unread resets the connection.
    client.read(1);
  });
}

// The contract of Stream, whatever the sizes: bytes arrive whole, in order, once, however both sides cut them.
TEST(Tls, KeepsBytesInOrderHoweverTheyAreCut) {
  with_server(echo, [](Rig& rig) {
    EXPECT_TRUE(rc::check("what an echo sends back is what was sent", [&rig] {
      const auto cuts = *rc::gen::container<std::vector<size_t>>(
          rc::gen::weightedOneOf<size_t>({{4, rc::gen::inRange<size_t>(1, 300)},
                                          {2, rc::gen::inRange<size_t>(16'300, 16'500)},
                                          {1, rc::gen::inRange<size_t>(60'000, 90'000)}}));
      const bool older = *rc::gen::arbitrary<bool>();
      const bool updates = *rc::gen::arbitrary<bool>();
      TlsClient client(rig.address, {.version = older ? TLS1_2_VERSION : TLS1_3_VERSION});
      RC_ASSERT(client.ok());
      std::string sent;
      for (size_t i = 0; i < cuts.size(); ++i) {
        if (updates && !older && i % 3 == 1) SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED);
        std::string piece = pattern(cuts[i], sent.size());
        RC_ASSERT(client.send(piece));
        sent += piece;
        // The other side holds 70,000 bytes at most before it sends them back: nobody waits for ever.
        RC_ASSERT(client.read(piece.size()) == piece);
      }
      SSL_shutdown(client.ssl());
      bool said_goodbye = false;
      RC_ASSERT(client.read(1, &said_goodbye).empty());
      RC_ASSERT(said_goodbye);
    }));
  });
}

// Like echo(), by what can be done at once, and waiting for the rest only.
Task<void> echo_at_once(std::unique_ptr<Stream> stream) {
  std::vector<uint8_t> buffer(70'000);
  for (;;) {
    Result<void> readable = co_await stream->wait_readable(in(kLong));
    if (!readable) co_return;
    std::optional<Result<size_t>> now = stream->try_read(buffer);
    if (!now) continue;
    if (!*now) co_return;
    if (**now == 0) break;
    const ByteView all = ByteView(buffer).first(**now);
    std::vector<ByteView> parts = {{}, all.first(1), all.subspan(1)};
    const size_t taken = stream->try_write_parts(parts);
    EXPECT_LE(taken, all.size());
    if (taken == all.size()) continue;
    std::vector<ByteView> rest = {{}, all.subspan(taken)};
    Result<void> written = co_await stream->write(rest, in(kLong));
    if (!written) co_return;
  }
  stream->shutdown_write();
}

TEST(Tls, WhatIsWrittenAtOnceComesWholeAndInOrder) {
  with_server(echo_at_once, [](Rig& rig) {
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      TlsClient client(rig.address, {.version = version});
      ASSERT_TRUE(client.ok());
      for (size_t size : {1u, 2u, 1000u, 16'384u, 16'385u, 69'999u}) {
        EXPECT_TRUE(client.send(pattern(size, size)));
        EXPECT_TRUE(client.read(size) == pattern(size, size)) << size;
      }
    }
  });
}

constexpr size_t kMuch = 12u << 20;  // more than the buffers of both sockets

// Offers kMuch bytes in pieces of all sizes, and waits with what is left of each.
Task<void> send_much_at_once(std::unique_ptr<Stream> stream) {
  std::array<uint8_t, 16> word;
  Result<size_t> asked = co_await stream->read(word, in(kLong));
  EXPECT_TRUE(asked.has_value());
  const std::string all = pattern(kMuch);
  size_t waits = 0;
  for (size_t at = 0, size = 1; at < all.size(); at += size, size = size * 3 % 300'007) {
    size = std::min(size, all.size() - at);
    const ByteView piece = as_bytes(all).subspan(at, size);
    const size_t taken = stream->try_write(piece);
    if (taken == size) continue;
    ++waits;
    std::array<ByteView, 1> rest = {piece.subspan(taken)};
    Result<void> written = co_await stream->write(rest, in(kLong));
    EXPECT_TRUE(written.has_value()) << written.error().describe();
    if (!written) co_return;
  }
  EXPECT_GT(waits, 0u);
  stream->shutdown_write();
}

TEST(Tls, ASlowReaderGetsEveryByteOnceInOrder) {
  with_server(send_much_at_once, [](Rig& rig) {
    TlsClient client(rig.address);
    ASSERT_TRUE(client.ok());
    ASSERT_TRUE(client.send("go"));
    bool said_goodbye = false;
    std::string all;
    for (size_t piece = 1; all.size() < kMuch; piece = piece * 7 % 70'001)
      all += client.read(std::min(piece, kMuch - all.size()));
    EXPECT_TRUE(all == pattern(kMuch));
    EXPECT_EQ(client.read(1, &said_goodbye), "");
    EXPECT_TRUE(said_goodbye);
  });
}

TEST(Tls, HalfARecordIsNothingToBeRead) {
  struct Body {
    static Task<void> serve(std::unique_ptr<Stream> stream) {
      std::array<uint8_t, 100> buffer;
      Result<size_t> first = co_await stream->read(buffer, in(kLong));
      EXPECT_EQ(first.value_or(0), 5u);
      std::array<ByteView, 1> parts = {as_bytes("more")};
      Result<void> written = co_await stream->write(parts, in(kLong));
      EXPECT_TRUE(written.has_value());
      // The half comes, and is looked at; then there is nothing until the other half is here.
      Result<void> half = co_await stream->wait_readable(in(kLong));
      EXPECT_TRUE(half.has_value());
      EXPECT_FALSE(stream->try_read(buffer).has_value());
      Result<void> nothing = co_await stream->wait_readable(in(std::chrono::milliseconds(30)));
      EXPECT_FALSE(nothing.has_value());
      if (!nothing) EXPECT_EQ(nothing.error().code, Code::timeout);
      written = co_await stream->write(parts, in(kLong));
      EXPECT_TRUE(written.has_value());
      Result<size_t> rest = co_await stream->read(buffer, in(kLong));
      EXPECT_EQ(rest.value_or(0), 11u);
    }
  };
  with_server(&Body::serve, [](Rig& rig) {
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      for (size_t cut : {1u, 5u, 20u}) {
        TlsClient client(rig.address, {.version = version});
        ASSERT_TRUE(client.ok());
        ASSERT_TRUE(client.send("first"));
        EXPECT_EQ(client.read(4), "more");
        const std::string record = client.seal("hello world");
        ASSERT_TRUE(client.send_raw(record.substr(0, cut)));
        EXPECT_EQ(client.read(4), "more");
        ASSERT_TRUE(client.send_raw(record.substr(cut)));
        client.read(1);
      }
    }
  });
}

TEST(Tls, SpeaksAllSuitesAlsoInResumedSessionsAndWithNewKeys) {
  with_server(echo, [](Rig& rig) {
    for (const char* suite :
         {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
      SSL_SESSION* session = nullptr;
      for (int round = 0; round < 3; ++round) {
        TlsClient client(rig.address, {.resume = session, .suites = suite});
        ASSERT_TRUE(client.ok()) << suite;
        EXPECT_STREQ(SSL_get_cipher(client.ssl()), suite);
        EXPECT_EQ(SSL_session_reused(client.ssl()), round > 0);
        for (size_t size : {1u, 5000u, 60'000u}) {
          EXPECT_TRUE(client.send(pattern(size)));
          EXPECT_TRUE(client.read(size) == pattern(size)) << suite << " " << size;
          if (size < 60'000) SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED);
        }
        SSL_SESSION_free(session);
        session = SSL_get1_session(client.ssl());
        SSL_shutdown(client.ssl());
        bool said_goodbye = false;
        EXPECT_EQ(client.read(1, &said_goodbye), "");
        EXPECT_TRUE(said_goodbye);
      }
      SSL_SESSION_free(session);
    }
  });
}

TEST(Tls, AFloodOfKeyUpdatesEndsTheConnection) {
  with_server(echo, [](Rig& rig) {
    TlsClient client(rig.address, {.version = TLS1_3_VERSION});
    ASSERT_TRUE(client.ok());
    EXPECT_TRUE(client.send("x"));
    EXPECT_EQ(client.read(1), "x");
    for (int i = 0; i <= TlsRecords::kIdleRecordsMax; ++i) {
      EXPECT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
      EXPECT_EQ(SSL_do_handshake(client.ssl()), 1);
    }
    ERR_clear_error();
    bool said_goodbye = false;
    EXPECT_EQ(client.read(1, &said_goodbye), "");
    EXPECT_FALSE(said_goodbye);
  });
}

TEST(Tls, DoesNotRenegotiate) {
  with_server(echo, [](Rig& rig) {
    TlsClient client(rig.address, {.version = TLS1_2_VERSION});
    ASSERT_TRUE(client.ok());
    SSL_renegotiate(client.ssl());
    EXPECT_NE(SSL_do_handshake(client.ssl()), 1);
    ERR_clear_error();
    TlsClient other(rig.address);
    EXPECT_TRUE(other.ok());
  });
}

TEST(Tls, ResumesSessionsAlsoWithNewCertificates) {
  with_server(echo, [](Rig& rig) {
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      TlsClient first(rig.address, {.version = version});
      ASSERT_TRUE(first.ok());
      EXPECT_TRUE(first.send("x"));
      EXPECT_EQ(first.read(1), "x");  // with it came the ticket
      SSL_SESSION* session = SSL_get1_session(first.ssl());
      Result<UnixMs> used = rig.context->use({identity("second.example", make_pem("second.example"))});
      EXPECT_TRUE(used.has_value());
      TlsClient second(rig.address, {.version = version, .resume = session});
      ASSERT_TRUE(second.ok());
      EXPECT_EQ(SSL_session_reused(second.ssl()), 1);
      EXPECT_TRUE(second.send("y"));
      EXPECT_EQ(second.read(1), "y");
      TlsClient third(rig.address, {.version = version});
      EXPECT_EQ(third.shown(), "second.example");
      EXPECT_TRUE(first.send("z"));
      EXPECT_EQ(first.read(1), "z");
      SSL_SESSION_free(session);
    }
  });
}

TEST(TlsContext, KeepsWhatItHasWhenTheNewIsBad) {
  with_server(echo, [](Rig& rig) {
    const Pem good = make_pem("other.example"), expired = make_pem("old.example", 0, -7200, -3600);
    const Pem weak = make_pem("weak.example", 512);
    auto refusal = [&](std::vector<TlsIdentity> identities) {
      Result<UnixMs> used = rig.context->use(identities);
      return used ? "accepted" : used.error().message;
    };
    auto has = [](const std::string& text, std::string_view part) {
      return text.find(part) != std::string::npos;
    };
    EXPECT_TRUE(has(refusal({}), "[[tls]]"));
    EXPECT_TRUE(has(refusal({{{"x"}, "", good.key, "x.pem", "x.key"}}), "x.pem holds no certificate"));
    EXPECT_TRUE(
        has(refusal({{{"x"}, good.chain, "nonsense", "x.pem", "x.key"}}), "x.key holds no private key"));
    EXPECT_TRUE(has(refusal({{{"x"}, good.chain, first_pem().key, "x.pem", "x.key"}}), "is not the key of"));
    EXPECT_TRUE(has(refusal({{{"x"},
                              good.chain + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                              good.key,
                              "x.pem",
                              "x.key"}}),
                    "behind the first"));
    EXPECT_TRUE(has(refusal({identity("old.example", expired)}), "expired"));
    EXPECT_TRUE(has(refusal({identity("weak.example", weak)}), "cannot be served"));
    EXPECT_TRUE(has(refusal({identity("other.example", good), identity("old.example", expired)}), "expired"));
    EXPECT_EQ(TlsClient(rig.address).shown(), "first.example");
    EXPECT_EQ(refusal({identity("other.example", good)}), "accepted");
    EXPECT_EQ(TlsClient(rig.address).shown(), "other.example");
  });
}

// Clients come and go while the certificates change under them: none is turned away.
TEST(TlsContext, ChangesUnderLoadWithoutDroppingAnybody) {
  with_server(echo, [](Rig& rig) {
    const Pem pems[2] = {make_pem("a.example"), make_pem("b.example")};
    std::atomic<bool> over = false;
    std::atomic<int> good = 0, bad = 0;
    std::vector<std::thread> threads;
    for (int number = 0; number < 3; ++number)
      threads.emplace_back([&] {
        for (int i = 0; i < 40; ++i) {
          TlsClient client(rig.address, {.server_name = "a.example"});
          bool fine = client.ok() && client.send("ping") && client.read(4) == "ping";
          ++(fine ? good : bad);
        }
      });
    std::thread changer([&] {
      for (size_t i = 0; !over; ++i) {
        Result<UnixMs> used = rig.context->use({identity("a.example", pems[i % 2])});
        EXPECT_TRUE(used.has_value());
      }
    });
    for (std::thread& thread : threads) thread.join();
    over = true;
    changer.join();
    EXPECT_EQ(good, 120);
    EXPECT_EQ(bad, 0);
  });
}

}  // namespace
}  // namespace archipel::io
