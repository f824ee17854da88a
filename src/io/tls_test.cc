// TLS over real sockets: handshakes, certificates, sessions, ends.
#include "io/tls.h"

#include "io/tls_test_util.h"

namespace archipel::io {
namespace {

using namespace testing;

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
  static std::atomic<int> timeouts = 0, served = 0;
  struct Body {
    static Task<void> serve(std::unique_ptr<Stream> stream) {
      std::vector<uint8_t> buffer(100);
      // The last is the one that goes on, however long that takes it.
      const Duration patience = ++served > 20 ? Duration(kLong) : std::chrono::milliseconds(300);
      Result<size_t> got = co_await stream->read(buffer, in(patience));
      if (!got && got.error().code == Code::timeout) ++timeouts;
      if (!got) co_return;
      std::vector<ByteView> parts = {ByteView(buffer).first(*got)};
      Result<void> written = co_await stream->write(parts, in(kLong));
      EXPECT_TRUE(written.has_value());
    }
  };
  timeouts = served = 0;
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
