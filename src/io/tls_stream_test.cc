// Records between a server's stream and OpenSSL's client: pieces, slow readers, new keys.
#include "io/tls.h"

#include "io/tls_test_util.h"

namespace archipel::io {
namespace {

using namespace testing;

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
  // Until then the socket may be full, or the connection's share of a turn used up, and a goodbye is not waited for.
  Result<size_t> thanked = co_await stream->read(word, in(kLong));
  EXPECT_TRUE(thanked.has_value());
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
    ASSERT_TRUE(client.send("ok"));
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

TEST(Tls, KeepsToTheRecordsThatAClientHasRoomFor) {
  with_server(echo, [](Rig& rig) {
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      TlsClient client(rig.address, {.version = version, .fragment = TLSEXT_max_fragment_length_512});
      ASSERT_TRUE(client.ok());
      size_t longest = 0;
      SSL_set_msg_callback_arg(client.ssl(), &longest);
      SSL_set_msg_callback(client.ssl(), [](int ours, int, int type, const void* bytes, size_t, SSL*,
                                            void* to) {
        const auto* header = static_cast<const uint8_t*>(bytes);
        if (ours == 0 && type == SSL3_RT_HEADER)
          *static_cast<size_t*>(to) = std::max(*static_cast<size_t*>(to), size_t{header[3]} << 8 | header[4]);
      });
      EXPECT_TRUE(client.send(pattern(30'000)));
      EXPECT_TRUE(client.read(30'000) == pattern(30'000));
      EXPECT_GE(longest, 512u);
      EXPECT_LE(longest, 512u + 64);
    }
  });
}

// Says of each turn of the connection what it brought: "n" nothing, "p" a part, "d" bytes; until "end".
Task<void> tell_what_came(std::unique_ptr<Stream> stream) {
  std::array<uint8_t, 100> buffer;
  for (std::string got; got != "end";) {
    Result<void> readable = co_await stream->wait_readable(in(kLong));
    if (!readable) co_return;
    auto now = stream->try_read(buffer);
    if (now && (!*now || **now == 0)) co_return;
    if (now) got = as_text(ByteView(buffer).first(**now));
    const std::string_view word = now ? "d" : stream->holds_part() ? "p" : "n";
    std::array<ByteView, 1> parts = {as_bytes(word)};
    Result<void> told = co_await stream->write(parts, in(kLong));
    if (!told) co_return;
  }
}

TEST(Tls, AKeyUpdateIsNothingForTheReaderAndHalfARecordIsAPart) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION})
    with_server(tell_what_came, [version](Rig& rig) {
      TlsClient client(rig.address, {.version = version});
      ASSERT_TRUE(client.ok());
      EXPECT_TRUE(client.send("x"));
      EXPECT_EQ(client.read(1), "d");
      for (int i = 0; version == TLS1_3_VERSION && i < 3; ++i) {
        EXPECT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
        EXPECT_EQ(SSL_do_handshake(client.ssl()), 1);
        EXPECT_EQ(client.read(1), "n");
      }
      const std::string record = client.seal("end");
      EXPECT_TRUE(client.send_raw(record.substr(0, 9)));
      EXPECT_EQ(client.read(1), "p");
      EXPECT_TRUE(client.send_raw(record.substr(9)));
      EXPECT_EQ(client.read(1), "d");
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

}  // namespace
}  // namespace archipel::io
