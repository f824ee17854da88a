// Attacks on HTTP/2, each by its name, and the error cases of RFC 9113 §5-§6 and RFC 7541.
#include <gtest/gtest.h>

#include "http/h2_test_util.h"

namespace archipel::http {
namespace {

using namespace testing;  // NOLINT: the test's own helpers

constexpr int kFlood = 100'000;

io::Task<void> wait_for_go(Exchange& e, Desk& d) {
  ++d.calls;
  while (!d.open) co_await d.go.wait();
  co_await answer(e, d, 200, "late");
}

// Sends what `next` makes until the server has had enough of it, at most kFlood times; how often that was.
template <class Next>
int flood(H2Client& c, Next next) {
  for (int i = 0; i < kFlood; ++i) {
    c.say(next(i));
    if (c.wire().ended() || c.goaway) return i;
  }
  return kFlood;
}

TEST(Http2Attack, RapidReset) {
  Harness h(wait_for_go, {}, plain_page, kH2);
  H2Client c(h);
  int sent = flood(c, [](int i) {
    auto id = static_cast<uint32_t>(2 * i + 1);
    return headers_frame(id, request_fields()) + frame(kRst, 0, id, number(kCancel, 4));
  });
  EXPECT_LT(sent, 1000);
  EXPECT_EQ(c.goaway, kEnhanceYourCalm);
  EXPECT_LE(h.desk.calls, static_cast<int>(kH2HandlersMax))
      << "work for streams that are gone is bounded, too";
}

// The whole attack in one piece, as it comes from the network.
TEST(Http2Attack, RapidResetInOneBatchStartsNoHandler) {
  Harness h(wait_for_go, {}, plain_page, kH2);
  H2Client c(h);
  std::string all;
  for (uint32_t id = 1; id < 20'000; id += 2)
    all += headers_frame(id, request_fields()) + frame(kRst, 0, id, number(kCancel, 4));
  c.say(all);
  EXPECT_EQ(c.goaway, kEnhanceYourCalm);
  EXPECT_LE(h.desk.calls, 2);
}

// CVE-2025-8671: the client makes the server reset.
TEST(Http2Attack, MadeYouReset) {
  for (int how = 0; how < 3; ++how) {
    Harness h(wait_for_go, {}, plain_page, kH2);
    H2Client c(h);
    int sent = flood(c, [how](int i) {
      auto id = static_cast<uint32_t>(2 * i + 1);
      std::string head = headers_frame(id, request_fields("POST"), kEndHeaders | (how == 2 ? kEndStream : 0));
      if (how == 0) return head + frame(kWindow, 0, id, number(0, 4));
      if (how == 1) return head + frame(kWindow, 0, id, number(0x7fffffff, 4));
      return head + frame(kData, 0, id, "after the end");
    });
    EXPECT_LT(sent, 1200) << how;
    EXPECT_TRUE(c.goaway == kEnhanceYourCalm || c.wire().ended() || c.goaway == kStreamClosed) << how;
    EXPECT_LE(h.desk.calls, static_cast<int>(kH2HandlersMax)) << how;
  }
}

TEST(Http2Attack, ContinuationFlood) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  c.say(frame(kHeaders, 0, 1, hpack(request_fields())));
  int sent = flood(c, [](int i) {
    return frame(kContinuation, 0, 1, hpack({{"x" + std::to_string(i), std::string(1000, 'x')}}));
  });
  EXPECT_LT(sent, 100);
  EXPECT_EQ(h.desk.calls, 0);
  EXPECT_TRUE(c.wire().ended());
}

TEST(Http2Attack, EmptyContinuationFlood) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  c.say(frame(kHeaders, 0, 1, hpack(request_fields())));
  int sent = flood(c, [](int) { return frame(kContinuation, 0, 1, ""); });
  EXPECT_LT(sent, 10'000);
  EXPECT_EQ(h.desk.calls, 0);
}

TEST(Http2Attack, SettingsFlood) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  EXPECT_LT(flood(c, [](int) { return frame(kSettings, 0, 0, number(4, 2) + number(65'535, 4)); }), 2000);
  EXPECT_EQ(c.goaway, kEnhanceYourCalm);
}

TEST(Http2Attack, PingFlood) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  EXPECT_LT(flood(c, [](int) { return frame(kPing, 0, 0, "12345678"); }), 2000);
  EXPECT_EQ(c.goaway, kEnhanceYourCalm);
}

// A client that asks for answers and does not read them: they do not pile up.
TEST(Http2Attack, PingFloodWithoutReading) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  c.wire().from_server->capacity = 1000;
  c.wire().send(std::string(2000, '\0').replace(0, 0, frame(kPing, 0, 0, "12345678")).substr(0, 17));
  for (int i = 0; i < 5000 && !c.wire().ended(); ++i) {
    c.wire().send(frame(kPing, 0, 0, "12345678"));
    h.loop.settle();
  }
  EXPECT_LE(c.wire().from_server->bytes.size(), 1000u);
  h.loop.advance(std::chrono::minutes(3));
  EXPECT_TRUE(c.wire().was_reset() || c.wire().ended());
}

TEST(Http2Attack, EmptyDataFlood) {
  Harness h(wait_for_go, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("POST"), kEndHeaders));
  EXPECT_LT(flood(c, [](int) { return frame(kData, 0, 1, ""); }), 2000);
  EXPECT_EQ(c.goaway, kEnhanceYourCalm);
}

TEST(Http2Attack, PriorityAndUnknownFramesFlood) {
  for (uint8_t type : {uint8_t{kPriority}, uint8_t{kWindow}, uint8_t{0xab}}) {
    Harness h(echo, {}, plain_page, kH2);
    H2Client c(h);
    const std::string payload = type == kPriority ? number(0, 4) + "\x10" : number(1, 4);
    const uint32_t id = type == kPriority ? 1 : 0;
    EXPECT_LT(flood(c, [&](int) { return frame(type, 0, id, payload); }), 2000) << int{type};
    EXPECT_EQ(c.goaway, kEnhanceYourCalm);
  }
}

// A field of 4 KiB in the table, named 16,000 times by one byte each: 64 MiB of header list in 20 KiB.
TEST(Http2Attack, HpackBomb) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  std::string block = hpack(request_fields());
  block += std::string(1, '\x40') + hpack_int(1, 7, 0) + "x" + hpack_int(4000, 7, 0) + std::string(4000, 'v');
  c.say(frame(kHeaders, kEndHeaders | kEndStream, 1, block));
  EXPECT_EQ(c.answers[1].get(":status"), "200");
  for (uint32_t id = 3; id < 43; id += 2) {
    c.say(
        frame(kHeaders, kEndHeaders | kEndStream, id, hpack(request_fields()) + std::string(16'000, '\xbe')));
    ASSERT_EQ(c.answers[id].get(":status"), "431") << id;
  }
  EXPECT_EQ(h.desk.calls, 1);
}

io::Task<void> send_large(Exchange& e, Desk& d) {
  ++d.calls;
  static const std::string large(4 << 20, 'l');
  std::array<ByteView, 1> parts = {as_bytes(large)};
  auto sent = co_await e.respond_stored({}, parts);
  d.responded_ok = sent.has_value();
  if (!sent) d.error = sent.error();
}

// Slow read: the window stays shut.
TEST(Http2Attack, ZeroWindow) {
  Harness h(send_large, {}, plain_page, kH2);
  H2Client c(h);
  c.say(frame(kSettings, 0, 0, number(4, 2) + number(0, 4)));
  for (uint32_t id = 1; id < 2 * kH2StreamsMax; id += 2) c.say(headers_frame(id, request_fields()));
  EXPECT_EQ(h.desk.calls, static_cast<int>(kH2StreamsMax));
  EXPECT_LT(c.bytes_heard, 100'000u);
  h.loop.advance(std::chrono::seconds(61));
  ASSERT_TRUE(h.desk.error);
  EXPECT_EQ(h.desk.error->code, Code::timeout);
  c.hear();
  EXPECT_EQ(c.answers[1].reset, kCancel);
}

// Heads of 40 KiB by a dozen bytes each, held by windows that stay shut (CVE-2026-49975): those of all connections together are bounded, each has its share, and
// what was refused is served as soon as there is room.
TEST(Http2Attack, BombsHeldByZeroWindows) {
  Harness h(send_large, Limits{.connections_max = 100}, plain_page, kH2);
  std::vector<std::unique_ptr<H2Client>> clients;
  const size_t at_most = H2Memory::kBudgetBytesMin / (40u << 10), bombs = at_most / kH2StreamsMax + 3;
  size_t refused = 0;
  for (size_t i = 0; i < bombs; ++i) {
    clients.push_back(std::make_unique<H2Client>(h));
    H2Client& c = *clients.back();
    std::string block = hpack(request_fields());
    block +=
        std::string(1, '\x40') + hpack_int(1, 7, 0) + "x" + hpack_int(4000, 7, 0) + std::string(4000, 'v');
    std::string all = frame(kSettings, 0, 0, number(4, 2) + number(0, 4)) +
                      frame(kHeaders, kEndHeaders | kEndStream, 1, block);
    for (uint32_t id = 3; id < 2 * kH2StreamsMax; id += 2)
      all += frame(kHeaders, kEndHeaders | kEndStream, id, hpack(request_fields()) + std::string(10, '\xbe'));
    c.say(all);
    EXPECT_EQ(c.answers[1].get(":status"), "200");
    EXPECT_EQ(c.answers[3].get(":status"), "200") << "no less than a connection of HTTP/1.1 may hold";
    for (const auto& [id, answer] : c.answers) refused += answer.reset == kRefusedStream;
  }
  EXPECT_GT(refused, 0u);
  EXPECT_LE(static_cast<size_t>(h.desk.calls), at_most + 2 * bombs);
  h.loop.advance(std::chrono::seconds(61));  // the handlers have given up
  for (uint32_t i = 0; i < 100; ++i) {
    const uint32_t id = 2 * (kH2StreamsMax + i) + 1;
    clients.back()->say(headers_frame(id, request_fields()));
    EXPECT_EQ(clients.back()->answers[id].get(":status"), "200");
  }
}

// … or is opened a byte a second.
TEST(Http2Attack, WindowDribble) {
  Harness h(send_large, {}, plain_page, kH2);
  H2Client c(h);
  c.say(frame(kSettings, 0, 0, number(4, 2) + number(0, 4)) + headers_frame(1, request_fields()));
  for (int second = 0; second < 70 && !h.desk.error; ++second) {
    h.loop.advance(std::chrono::seconds(1));
    c.say(frame(kWindow, 0, 1, number(1, 4)));
  }
  ASSERT_TRUE(h.desk.error);
  EXPECT_EQ(h.desk.error->code, Code::timeout);
}

// The client reads nothing at all: what is held for it is bounded, and it is given up.
TEST(Http2Attack, SlowReadOfTheConnection) {
  Harness h(send_large, {}, plain_page, kH2);
  H2Client c(h);
  c.wire().from_server->capacity = 10'000;
  c.say(frame(kSettings, 0, 0, number(4, 2) + number(1u << 30, 4)) +
        frame(kWindow, 0, 0, number(1u << 30, 4)));
  for (uint32_t id = 1; id < 20; id += 2) c.wire().send(headers_frame(id, request_fields()));
  h.loop.settle();
  EXPECT_LE(c.wire().from_server->bytes.size(), 10'000u);
  h.loop.advance(std::chrono::seconds(130));
  EXPECT_TRUE(c.wire().ended());
  EXPECT_FALSE(h.desk.responded_ok);
}

TEST(Http2Attack, StreamsThatNeverSendTheirBody) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  for (uint32_t id = 1; id < 2 * kH2StreamsMax; id += 2)
    c.say(headers_frame(id, request_fields("POST"), kEndHeaders));
  EXPECT_EQ(h.desk.calls, static_cast<int>(kH2StreamsMax));
  h.loop.advance(std::chrono::seconds(61));
  c.hear();
  EXPECT_EQ(c.answers[1].get(":status"), "408");
  EXPECT_EQ(c.ask(1001, request_fields()).body, "GET /k 0:");
}

TEST(Http2Attack, MoreStreamsThanAreAllowed) {
  for (bool knew : {false, true}) {
    Harness h(echo, {}, plain_page, kH2);
    H2Client c(h, false);
    c.acknowledges = knew;
    c.say(std::string(kH2Preface) + frame(kSettings, 0, 0, ""));
    for (uint32_t id = 1; id < 1000; id += 2) c.say(headers_frame(id, request_fields("POST"), kEndHeaders));
    EXPECT_EQ(h.desk.calls, static_cast<int>(kH2StreamsMax));
    if (knew)
      EXPECT_EQ(c.goaway, kProtocolError);
    else
      EXPECT_EQ(c.answers[301].reset, kRefusedStream);
  }
}

TEST(Http2Attack, AHeadThatNeverEnds) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  c.say(frame(kHeaders, 0, 1, hpack(request_fields())));
  for (int i = 0; i < 40 && !c.wire().ended(); ++i) {
    h.loop.advance(std::chrono::seconds(1));
    c.wire().send(frame(kContinuation, 0, 1, ""));
    h.loop.settle();
  }
  EXPECT_TRUE(c.wire().ended());
  EXPECT_EQ(h.desk.calls, 0);
}

TEST(Http2Attack, AClientThatNeverGreets) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h, false);
  c.say(kH2Preface);
  h.loop.advance(std::chrono::seconds(40));
  EXPECT_TRUE(c.wire().ended());
}

TEST(Http2Attack, BodiesNobodyReadsStayWithinTheWindow) {
  Harness h(wait_for_go, {}, plain_page, kH2);
  H2Client c(h);
  uint32_t id = 1;
  size_t sent = 0;
  for (; id < 200 && !c.goaway; id += 2) {
    c.say(headers_frame(id, request_fields("POST"), kEndHeaders));
    for (int i = 0; i < 16 && !c.goaway; ++i) {
      c.say(frame(kData, 0, id, std::string(16'384, 'x')));
      sent += 16'384;
    }
  }
  EXPECT_TRUE(c.wire().ended());
  EXPECT_EQ(c.goaway, kFlowControlError);
  EXPECT_LE(sent, size_t{kH2ConnectionWindow} + 2 * 16'384);
}

// --- RFC 9113 §5, §6 and RFC 7541, case by case -----------------------------------------------------------------------------------

struct Case {
  const char* what;
  std::string bytes;
  std::optional<uint32_t> connection_error;  // GOAWAY
  std::optional<uint32_t> stream_error;      // RST_STREAM of stream 1
};

TEST(Http2Conformance, ErrorsAreWhatTheStandardSays) {
  const std::string get = headers_frame(1, request_fields());
  const std::string post = headers_frame(1, request_fields("POST"), kEndHeaders);
  const std::string block = hpack(request_fields());
  auto settings = [](uint32_t id, uint32_t value) {
    return frame(kSettings, 0, 0, number(id, 2) + number(value, 4));
  };
  const std::vector<Case> cases = {
      {"§4.2 a frame larger than SETTINGS_MAX_FRAME_SIZE",
       post + frame(kData, 0, 1, std::string(16'385, 'x')),
       kFrameSizeError,
       {}},
      {"§4.2 a header block larger than that",
       frame(kHeaders, kEndHeaders, 1, std::string(16'385, 'x')),
       kFrameSizeError,
       {}},
      {"§4.3 a header block that does not decode",
       frame(kHeaders, kEndHeaders | kEndStream, 1, "\xff\xff\xff\xff\xff\xff\xff\xff"),
       kCompressionError,
       {}},
      {"§4.3 another frame within a header block",
       frame(kHeaders, 0, 1, block) + frame(kPing, 0, 0, "12345678"),
       kProtocolError,
       {}},
      {"§4.3 another stream's CONTINUATION",
       frame(kHeaders, 0, 1, block) + frame(kContinuation, kEndHeaders, 3, ""),
       kProtocolError,
       {}},
      {"§5.1 DATA on an idle stream", frame(kData, 0, 1, "x"), kProtocolError, {}},
      {"§5.1 RST_STREAM on an idle stream", frame(kRst, 0, 1, number(kCancel, 4)), kProtocolError, {}},
      {"§5.1 WINDOW_UPDATE on an idle stream", frame(kWindow, 0, 1, number(1, 4)), kProtocolError, {}},
      {"§5.1 CONTINUATION on an idle stream",
       frame(kContinuation, kEndHeaders, 1, block),
       kProtocolError,
       {}},
      {"§5.1.1 an even stream", headers_frame(2, request_fields()), kProtocolError, {}},
      {"§5.1.1 a stream before one that was opened",
       headers_frame(5, request_fields()) + headers_frame(3, request_fields()),
       kProtocolError,
       {}},
      {"§6.1 DATA on stream 0", frame(kData, 0, 0, "x"), kProtocolError, {}},
      {"§6.1 more padding than frame", post + frame(kData, kPadded, 1, "\x05xx"), kProtocolError, {}},
      {"§6.2 HEADERS on stream 0", frame(kHeaders, kEndHeaders, 0, block), kProtocolError, {}},
      {"§6.2 more padding than frame",
       frame(kHeaders, kEndHeaders | kPadded, 1, "\xff" + block),
       kProtocolError,
       {}},
      {"§6.3 PRIORITY of another length", post + frame(kPriority, 0, 1, "1234"), {}, kFrameSizeError},
      {"§6.3 PRIORITY on stream 0", frame(kPriority, 0, 0, "12345"), kProtocolError, {}},
      {"§6.4 RST_STREAM on stream 0", frame(kRst, 0, 0, number(kCancel, 4)), kProtocolError, {}},
      {"§6.4 RST_STREAM of another length", post + frame(kRst, 0, 1, "123"), kFrameSizeError, {}},
      {"§6.5 SETTINGS acknowledged with content", frame(kSettings, kAck, 0, "123456"), kFrameSizeError, {}},
      {"§6.5 SETTINGS on a stream", frame(kSettings, 0, 1, ""), kProtocolError, {}},
      {"§6.5 SETTINGS of another length", frame(kSettings, 0, 0, "12345"), kFrameSizeError, {}},
      {"§6.5.2 ENABLE_PUSH neither 0 nor 1", settings(2, 2), kProtocolError, {}},
      {"§6.5.2 INITIAL_WINDOW_SIZE too large", settings(4, 0x80000000), kFlowControlError, {}},
      {"§6.5.2 MAX_FRAME_SIZE too small", settings(5, 16'383), kProtocolError, {}},
      {"§6.5.2 MAX_FRAME_SIZE too large", settings(5, 1u << 24), kProtocolError, {}},
      {"§6.6 PUSH_PROMISE from a client",
       post + frame(kPush, kEndHeaders, 1, number(2, 4) + block),
       kProtocolError,
       {}},
      {"§6.7 PING on a stream", frame(kPing, 0, 1, "12345678"), kProtocolError, {}},
      {"§6.7 PING of another length", frame(kPing, 0, 0, "123"), kFrameSizeError, {}},
      {"§6.8 GOAWAY on a stream", frame(kGoaway, 0, 1, number(0, 8)), kProtocolError, {}},
      {"§6.9 WINDOW_UPDATE of 0 for the connection", frame(kWindow, 0, 0, number(0, 4)), kProtocolError, {}},
      {"§6.9 WINDOW_UPDATE of 0 for a stream", post + frame(kWindow, 0, 1, number(0, 4)), {}, kProtocolError},
      {"§6.9 WINDOW_UPDATE of another length", frame(kWindow, 0, 0, "123"), kFrameSizeError, {}},
      {"§6.9.1 the connection's window past 2^31-1",
       frame(kWindow, 0, 0, number(0x7fffffff, 4)),
       kFlowControlError,
       {}},
      {"§6.9.1 a stream's window past 2^31-1",
       post + frame(kWindow, 0, 1, number(0x7fffffff, 4)),
       {},
       kFlowControlError},
      {"§6.10 CONTINUATION without HEADERS",
       post + frame(kContinuation, kEndHeaders, 1, block),
       kProtocolError,
       {}},
      {"§8.1 a second HEADERS without END_STREAM",
       post + headers_frame(1, {{"x", "y"}}, kEndHeaders),
       {},
       kProtocolError},
      {"§8.1 a pseudo-field in trailers", post + headers_frame(1, {{":method", "GET"}}), {}, kProtocolError},
      {"7541 §2.3.3 an index that is not there",
       frame(kHeaders, kEndHeaders | kEndStream, 1, "\xc6"),
       kCompressionError,
       {}},
      {"7541 §4.2 a table larger than allowed",
       frame(kHeaders, kEndHeaders | kEndStream, 1, std::string("\x3f\xe2\x1f", 3) + block),
       kCompressionError,
       {}},
      {"7541 §4.2 a table size behind fields",
       frame(kHeaders, kEndHeaders | kEndStream, 1, block + "\x20"),
       kCompressionError,
       {}},
      {"7541 §5.2 padding longer than 7 bits",
       frame(kHeaders, kEndHeaders | kEndStream, 1, block + std::string("\x00\x01x\x82\x1f\xff", 6)),
       kCompressionError,
       {}},
      {"7541 §5.2 EOS in a string",
       frame(kHeaders, kEndHeaders | kEndStream, 1, block + std::string("\x00\x01x\x84\xff\xff\xff\xff", 8)),
       kCompressionError,
       {}},
      {"7541 §6.1 index 0", frame(kHeaders, kEndHeaders | kEndStream, 1, "\x80"), kCompressionError, {}},
  };
  for (const Case& one : cases) {
    Harness h(wait_for_go, {}, plain_page, kH2);
    H2Client c(h);
    c.say(one.bytes);
    if (one.connection_error) {
      EXPECT_EQ(c.goaway, one.connection_error) << one.what;
      EXPECT_TRUE(c.wire().ended()) << one.what;
    }
    if (one.stream_error) {
      // §5.4: an error of a stream may be treated as one of the connection.
      EXPECT_TRUE(c.answers[1].reset == one.stream_error || c.goaway == one.stream_error) << one.what;
    }
  }
}

TEST(Http2Conformance, WhatIsAllowedIsServed) {
  const std::string block = hpack(request_fields());
  const std::vector<std::pair<const char*, std::string>> cases = {
      {"§4.1 an unknown frame", frame(0xab, 0xff, 0, "whatever") + headers_frame(1, request_fields())},
      {"§4.1 unknown flags", frame(kHeaders, kEndHeaders | kEndStream | 0x42, 1, block)},
      {"§4.1 the reserved bit", frame(kHeaders, kEndHeaders | kEndStream, 0x80000001u, block)},
      {"§4.3 a head in pieces", frame(kHeaders, kEndStream, 1, block.substr(0, 3)) +
                                    frame(kContinuation, 0, 1, block.substr(3, 5)) +
                                    frame(kContinuation, kEndHeaders, 1, block.substr(8))},
      {"§5.3 priorities are read and ignored",
       frame(kPriority, 0, 1, number(0, 4) + "\x10") +
           frame(kHeaders, kEndHeaders | kEndStream | kHasPriority, 1, number(0, 4) + "\x10" + block)},
      {"§6.2 padding", frame(kHeaders, kEndHeaders | kEndStream | kPadded, 1, "\x05" + block + "12345")},
      {"§6.5.2 an unknown setting",
       frame(kSettings, 0, 0, number(0xabcd, 2) + number(7, 4)) + headers_frame(1, request_fields())},
      {"§6.5.2 a table of size 0",
       frame(kSettings, 0, 0, number(1, 2) + number(0, 4)) + headers_frame(1, request_fields())},
      {"§8.1 trailers after a body", headers_frame(1, request_fields("POST"), kEndHeaders) +
                                         frame(kData, 0, 1, "x") + headers_frame(1, {{"t", "v"}})},
      {"§8.2 te: trailers", headers_frame(1, request_fields("GET", "/", {{"te", "trailers"}}))},
      {"7541 a Huffman-coded value",
       frame(kHeaders, kEndHeaders | kEndStream, 1,
             std::string("\x82\x87\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", 17))},
  };
  for (const auto& [what, bytes] : cases) {
    Harness h(echo, {}, plain_page, kH2);
    H2Client c(h);
    c.say(bytes);
    EXPECT_EQ(c.answers[1].get(":status"), "200") << what;
    EXPECT_FALSE(c.goaway) << what;
  }
}

TEST(Http2Conformance, KeepsTheClientsWindows) {
  Harness h(send_large, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields()));
  EXPECT_EQ(c.answers[1].body.size(), 65'535u);
  c.say(frame(kWindow, 0, 1, number(100'000, 4)));
  EXPECT_EQ(c.answers[1].body.size(), 65'535u) << "the connection's window counts, too";
  c.say(frame(kWindow, 0, 0, number(50'000, 4)));
  EXPECT_EQ(c.answers[1].body.size(), 115'535u);
  // A window that a later SETTINGS makes negative.
  c.say(frame(kSettings, 0, 0, number(4, 2) + number(1, 4)));
  c.say(frame(kWindow, 0, 0, number(50'000'000, 4)));
  const size_t before = c.answers[1].body.size();
  c.say(frame(kWindow, 0, 1, number(10, 4)));
  EXPECT_EQ(c.answers[1].body.size(), before);
  c.say(frame(kWindow, 0, 1, number(50'000'000, 4)));
  EXPECT_EQ(c.answers[1].body.size(), size_t{4} << 20);
  EXPECT_TRUE(c.answers[1].ended);
}

TEST(Http2Guard, ForgivesWithTimeAndForWhatIsSent) {
  H2Guard guard(TimePoint{});
  TimePoint now{};
  for (int64_t i = 0; i < H2Guard::kResetsBurst; ++i) EXPECT_TRUE(guard.reset(now));
  EXPECT_FALSE(guard.reset(now));
  now += std::chrono::seconds(2);
  EXPECT_TRUE(guard.reset(now));
  int64_t noise = 0;
  while (guard.noise(now)) ++noise;
  EXPECT_EQ(noise, H2Guard::kNoiseBurst);
  guard.data_sent();
  guard.data_sent();
  EXPECT_TRUE(guard.noise(now));
}

}  // namespace
}  // namespace archipel::http
