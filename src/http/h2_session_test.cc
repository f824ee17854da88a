// What RFC 9113 asks of a server beyond single frames: the states of streams, what is still on its way when one ends, windows, priorities, GOAWAY.
#include <gtest/gtest.h>

#include "http/h2_test_util.h"

namespace archipel::http {
namespace {

using namespace testing;  // NOLINT: the test's own helpers

std::string setting(uint16_t id, uint32_t value) {
  return number(id, 2) + number(value, 4);
}

io::Task<void> answer_then_read(Exchange& e, Desk& d) {
  ++d.calls;
  co_await answer(e, d, 200, "early");
  while (!d.open) co_await d.go.wait();
  [[maybe_unused]] bool read = co_await read_all(e, d);
}

io::Task<void> wait_then_echo(Exchange& e, Desk& d) {
  while (!d.open) co_await d.go.wait();
  co_await echo(e, d);
}

// --- states of streams (§5.1) ------------------------------------------------------------------------------------------------------

TEST(Http2Streams, TheFirstFrameIsSettings) {
  for (const std::string& first : {frame(kPing, 0, 0, "12345678"), frame(kSettings, kAck, 0, ""),
                                   headers_frame(1, request_fields()), frame(0xab, 0, 0, "x")}) {
    Harness h(echo, {}, plain_page, kH2);
    H2Client c(h, false);
    c.say(std::string(kH2Preface) + first);
    EXPECT_EQ(c.goaway, kProtocolError);
    EXPECT_TRUE(c.wire().ended());
    EXPECT_EQ(h.desk.calls, 0);
  }
}

TEST(Http2Streams, WhatComesForAStreamThatIsOver) {
  struct Over {
    const char* what;
    std::string bytes;
    std::optional<uint32_t> goaway;
  };
  for (const Over& one : std::vector<Over>{{"DATA", frame(kData, 0, 1, "x"), kStreamClosed},
                                           {"HEADERS", headers_frame(1, request_fields()), kStreamClosed},
                                           {"RST_STREAM", frame(kRst, 0, 1, number(kCancel, 4)), {}},
                                           {"WINDOW_UPDATE", frame(kWindow, 0, 1, number(9, 4)), {}},
                                           {"WINDOW_UPDATE of 0", frame(kWindow, 0, 1, number(0, 4)), {}},
                                           {"PRIORITY", frame(kPriority, 0, 1, number(3, 4) + "\x10"), {}}}) {
    Harness h(echo, {}, plain_page, kH2);
    H2Client c(h);
    EXPECT_TRUE(c.ask(1, request_fields()).ended);
    c.say(one.bytes);
    EXPECT_EQ(c.goaway, one.goaway) << one.what;
    if (!one.goaway) EXPECT_EQ(c.ask(3, request_fields()).get(":status"), "200") << one.what;
  }
  // The same when it was the client that reset it.
  Harness h(wait_then_echo, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("POST"), kEndHeaders) + frame(kRst, 0, 1, number(kCancel, 4)));
  EXPECT_FALSE(c.goaway);
  c.say(frame(kData, kEndStream, 1, "x"));
  EXPECT_EQ(c.goaway, kStreamClosed);
}

TEST(Http2Streams, AfterItsEndAClientSendsNothing) {
  for (const std::string& more :
       {frame(kData, 0, 1, "x"), frame(kData, kEndStream, 1, ""), headers_frame(1, {{"t", "v"}})}) {
    Harness h(wait_then_echo, {}, plain_page, kH2);
    H2Client c(h);
    c.say(headers_frame(1, request_fields("POST")) + more);
    EXPECT_EQ(c.answers[1].reset, kStreamClosed);
    h.desk.open = true;
    EXPECT_EQ(c.ask(3, request_fields()).body, "GET /k 0:") << "others are served";
  }
}

TEST(Http2Streams, WhatWasSentBeforeAResetWasKnownDoesNoHarm) {
  Harness h(deny, {}, plain_page, kH2);
  H2Client c(h);
  // A field goes into the table with trailers that nobody wants, and is used behind them.
  const std::string indexed = std::string(1, '\x40') + hpack_int(3, 7, 0) + "x-t" + hpack_int(1, 7, 0) + "1";
  for (uint32_t id = 1; id < 200; id += 2) {
    c.say(headers_frame(id, request_fields("PUT"), kEndHeaders));
    ASSERT_EQ(c.answers[id].reset, kNoError);
    c.say(frame(kData, 0, id, std::string(16'000, 'x')) +
          frame(kHeaders, kEndHeaders | kEndStream, id, indexed) + frame(kRst, 0, id, number(kCancel, 4)));
    ASSERT_FALSE(c.goaway) << id;
  }
  c.say(frame(kHeaders, kEndHeaders | kEndStream, 1001, hpack(request_fields()) + "\xbe"));
  EXPECT_EQ(c.answers[1001].get(":status"), "403") << "the table is what the client thinks it is";
  EXPECT_GE(c.window[0], 1'600'000u) << "what was dropped is granted again";
}

TEST(Http2Streams, RefusedBlocksAreDecodedAllTheSame) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h, false);
  c.acknowledges = false;
  c.say(std::string(kH2Preface) + frame(kSettings, 0, 0, ""));
  for (uint32_t id = 1; id < 2 * kH2StreamsMax; id += 2)
    c.say(headers_frame(id, request_fields("POST"), kEndHeaders));
  const std::string indexed = std::string(1, '\x40') + hpack_int(3, 7, 0) + "x-t" + hpack_int(1, 7, 0) + "1";
  c.say(frame(kHeaders, kEndHeaders, 1001, hpack(request_fields("POST")) + indexed));
  EXPECT_EQ(c.answers[1001].reset, kRefusedStream);
  c.say(frame(kData, kEndStream, 1001, "on its way"));
  c.say(frame(kData, kEndStream, 1, ""));
  c.say(frame(kHeaders, kEndHeaders | kEndStream, 1003, hpack(request_fields()) + "\xbe"));
  EXPECT_EQ(c.answers[1003].get(":status"), "200");
}

TEST(Http2Streams, ALengthThatLiesInAHeadOrBeforeTrailers) {
  for (const std::string& bytes :
       {headers_frame(1, request_fields("POST", "/k", {{"content-length", "5"}})),
        headers_frame(1, request_fields("POST", "/k", {{"content-length", "5"}}), kEndHeaders) +
            frame(kData, 0, 1, "1234") + headers_frame(1, {{"t", "v"}})}) {
    Harness h(echo, {}, plain_page, kH2);
    H2Client c(h);
    c.say(bytes);
    EXPECT_EQ(c.answers[1].reset, kProtocolError);
    EXPECT_EQ(h.desk.calls, 0);
    EXPECT_EQ(c.ask(3, request_fields()).body, "GET /k 0:");
  }
}

TEST(Http2Streams, TrailersThatAreNoFields) {
  for (const Fields& trailers : std::vector<Fields>{{{"Upper", "v"}},
                                                    {{"a b", "v"}},
                                                    {{"", "v"}},
                                                    {{"t", "a\nb"}},
                                                    {{":path", "/"}},
                                                    {{"content-length", "1"}},
                                                    {{"transfer-encoding", "chunked"}}}) {
    Harness h(wait_then_echo, {}, plain_page, kH2);
    H2Client c(h);
    c.say(headers_frame(1, request_fields("POST"), kEndHeaders) + headers_frame(1, trailers));
    EXPECT_EQ(c.answers[1].reset, kProtocolError) << trailers[0].first;
  }
}

TEST(Http2Streams, ABodyThatIsWholeIsReadAfterTheAnswer) {
  Harness h(answer_then_read, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("POST"), kEndHeaders) + frame(kData, kEndStream, 1, "all of it"));
  EXPECT_EQ(c.answers[1].body, "early");
  EXPECT_TRUE(c.answers[1].ended);
  h.desk.open = true;
  h.desk.go.notify_all();
  h.loop.settle();
  EXPECT_EQ(h.desk.body, "all of it");
  EXPECT_FALSE(h.desk.error);
}

TEST(Http2Streams, ABodyThatIsCutIsNeverWhole) {
  Harness h(answer_then_read, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("POST"), kEndHeaders) + frame(kData, 0, 1, "a part"));
  c.say(frame(kRst, 0, 1, number(kCancel, 4)));
  h.desk.open = true;
  h.desk.go.notify_all();
  h.loop.settle();
  ASSERT_TRUE(h.desk.error);
  EXPECT_EQ(h.desk.error->code, Code::io);
}

// --- windows (§5.2, §6.9) ----------------------------------------------------------------------------------------------------------

TEST(Http2Windows, AStreamThatSendsPastItsWindowIsReset) {
  Harness h(wait_then_echo, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("POST"), kEndHeaders));
  for (uint32_t sent = 0; sent <= kH2StreamWindow; sent += 16'384) {
    EXPECT_FALSE(c.answers[1].reset);
    c.say(frame(kData, 0, 1, std::string(16'384, 'x')));
  }
  EXPECT_EQ(c.answers[1].reset, kFlowControlError);
  h.desk.open = true;
  EXPECT_EQ(c.ask(3, request_fields()).body, "GET /k 0:");
}

TEST(Http2Windows, PaddingCountsAndIsGrantedAgain) {
  Harness h(wait_then_echo, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("POST"), kEndHeaders));
  const std::string padded = std::string(1, '\xff') + "x" + std::string(255, '\0');
  for (int i = 0; i < 1500; ++i) c.say(frame(kData, kPadded, 1, padded));
  EXPECT_GE(c.window[1], 256u * 1500 - kH2StreamWindow / 2);
  EXPECT_LT(c.window[1], 257u * 1500) << "what nobody has read is not granted";
  h.desk.open = true;
  h.desk.go.notify_all();
  h.loop.settle();
  c.say(frame(kData, kEndStream, 1, ""));
  EXPECT_EQ(c.answers[1].body, "POST /k 1500:" + std::string(1500, 'x'));
}

TEST(Http2Windows, PaddingWithoutContentIsNoise) {
  Harness h(wait_then_echo, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("POST"), kEndHeaders));
  int sent = 0;
  while (!c.goaway && sent < 5000) c.say(frame(kData, kPadded, 1, std::string(1, '\x02') + "pp")), ++sent;
  EXPECT_LT(sent, 2000);
  EXPECT_EQ(c.goaway, kEnhanceYourCalm);
}

TEST(Http2Windows, SettingsCannotMakeAWindowTooLarge) {
  Harness h(letters, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("GET", "/a/1000000")));
  c.say(frame(kWindow, 0, 1, number(0x7fffffff - 65'535, 4)));
  EXPECT_FALSE(c.goaway);
  // 65,535 bytes were sent meanwhile: so much more is just allowed.
  c.say(frame(kSettings, 0, 0, setting(4, 2 * 65'535)));
  EXPECT_FALSE(c.goaway);
  c.say(frame(kSettings, 0, 0, setting(4, 2 * 65'535 + 1)));
  EXPECT_EQ(c.goaway, kFlowControlError);
}

TEST(Http2Windows, ALargerFirstWindowLetsWaitingStreamsGoOn) {
  Harness h(letters, {}, plain_page, kH2);
  H2Client c(h);
  c.say(frame(kSettings, 0, 0, setting(4, 10)) + headers_frame(1, request_fields("GET", "/a/5000")));
  EXPECT_EQ(c.answers[1].body.size(), 10u);
  c.say(frame(kSettings, 0, 0, setting(4, 6000)));
  EXPECT_EQ(c.answers[1].body.size(), 5000u);
  EXPECT_TRUE(c.answers[1].ended);
}

// --- who sends first -----------------------------------------------------------------------------------------------------------------

TEST(Http2Turns, StreamsOfOneUrgencyShareTheConnection) {
  Harness h(letters, {}, plain_page, kH2);
  H2Client c(h);
  c.say(frame(kSettings, 0, 0, setting(4, 1u << 30)));
  c.say(headers_frame(1, request_fields("GET", "/a/1000000")) +
        headers_frame(3, request_fields("GET", "/b/1000000")));
  const size_t before = c.answers[3].body.size();
  c.say(frame(kWindow, 0, 0, number(400'000, 4)));
  EXPECT_GE(c.answers[3].body.size(), before + 150'000);
  EXPECT_GE(c.answers[1].body.size(), 150'000u);
  EXPECT_EQ(c.answers[1].body.size() + c.answers[3].body.size(), 465'535u);
}

TEST(Http2Turns, UrgentStreamsComeFirst) {
  Harness h(letters, {}, plain_page, kH2);
  H2Client c(h);
  c.say(frame(kSettings, 0, 0, setting(4, 1u << 30)) +
        headers_frame(1, request_fields("GET", "/z/65535")));  // the connection's window
  c.say(headers_frame(3, request_fields("GET", "/a/300000", {{"priority", "u=5, i"}})) +
        headers_frame(5, request_fields("GET", "/b/300000")) +
        headers_frame(7, request_fields("GET", "/c/300000", {{"priority", "i, u=1"}})));
  c.say(frame(kWindow, 0, 0, number(300'000, 4)));
  EXPECT_EQ(c.answers[7].body.size(), 300'000u);
  EXPECT_EQ(c.answers[5].body.size() + c.answers[3].body.size(), 0u);
  // The client changes its mind.
  c.say(frame(16, 0, 0, number(3, 4) + "u=2") + frame(kWindow, 0, 0, number(300'000, 4)));
  EXPECT_EQ(c.answers[3].body.size(), 300'000u);
  EXPECT_EQ(c.answers[5].body.size(), 0u);
  c.say(frame(kWindow, 0, 0, number(300'000, 4)));
  EXPECT_EQ(c.answers[5].body.size(), 300'000u);
  EXPECT_FALSE(c.goaway);
}

TEST(Http2Turns, ReadsUrgencies) {
  EXPECT_EQ(read_urgency(""), 3);
  EXPECT_EQ(read_urgency("u=0"), 0);
  EXPECT_EQ(read_urgency("i,\tu=7;x"), 7);
  for (const char* unreadable : {"u=8", "u=-1", "u=12", "u", "xu=1", "U=1", "u=", ",,"})
    EXPECT_EQ(read_urgency(unreadable), 3) << unreadable;
}

// --- ends ----------------------------------------------------------------------------------------------------------------------------

TEST(Http2Ends, BehindOurGoawayNothingCountsButTheTable) {
  Harness h(wait_then_echo, {}, plain_page, kH2);
  H2Client c(h);
  c.say(headers_frame(1, request_fields("POST"), kEndHeaders));
  h.server->drain();
  c.converse();
  ASSERT_EQ(c.goaway, kNoError);
  const std::string indexed = std::string(1, '\x40') + hpack_int(3, 7, 0) + "x-t" + hpack_int(1, 7, 0) + "1";
  c.say(frame(kHeaders, kEndHeaders, 3, hpack(request_fields("POST")) + indexed) + frame(kData, 0, 3, "x") +
        frame(kWindow, 0, 3, number(1, 4)) + frame(kRst, 0, 3, number(kCancel, 4)));
  EXPECT_FALSE(c.answers[3].reset);
  c.say(frame(kData, 0, 1, "body") + frame(kHeaders, kEndHeaders | kEndStream, 1, "\xbe"));
  EXPECT_EQ(c.goaway, kNoError) << "trailers of the stream that goes on were decoded";
  h.desk.open = true;
  h.desk.go.notify_all();
  c.converse();
  EXPECT_EQ(c.answers[1].body, "POST /k 4:body");
  EXPECT_TRUE(c.wire().ended());
}

TEST(Http2Ends, AClientThatSaysGoawayGetsItsAnswers) {
  Harness h(wait_then_echo, {}, plain_page, kH2);
  H2Client idle(h);
  idle.say(frame(kGoaway, 0, 0, number(0, 8) + "bye"));
  EXPECT_TRUE(idle.wire().ended());
  H2Client busy(h);
  busy.say(headers_frame(1, request_fields()) + frame(kGoaway, 0, 0, number(0, 8)));
  EXPECT_FALSE(busy.wire().ended());
  h.desk.open = true;
  h.desk.go.notify_all();
  h.loop.settle();
  busy.hear();
  EXPECT_EQ(busy.answers[1].body, "GET /k 0:");
  EXPECT_TRUE(busy.wire().ended());
}

TEST(Http2Ends, SettingsWithoutEndAreTooMany) {
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  std::string all;
  for (size_t i = 0; i < kH2SettingsMax; ++i) all += setting(4, 65'535);
  c.say(frame(kSettings, 0, 0, all));
  EXPECT_FALSE(c.goaway);
  c.say(frame(kSettings, 0, 0, all + setting(4, 65'535)));
  EXPECT_EQ(c.goaway, kEnhanceYourCalm);
}

TEST(Http2Ends, FramesTooShortForWhatTheirFlagsSay) {
  for (const std::string& bytes :
       {frame(kHeaders, kEndHeaders | kPadded, 1, ""), frame(kHeaders, kEndHeaders | kHasPriority, 1, "1234"),
        headers_frame(1, request_fields("POST"), kEndHeaders) + frame(kData, kPadded, 1, ""),
        frame(kGoaway, 0, 0, "1234567"), frame(16, 0, 0, "123")}) {
    Harness h(wait_then_echo, {}, plain_page, kH2);
    H2Client c(h);
    c.say(bytes);
    EXPECT_EQ(c.goaway, kFrameSizeError);
  }
  Harness h(echo, {}, plain_page, kH2);
  H2Client c(h);
  c.say(frame(kSettings, 0, 0, setting(9, 2)));
  EXPECT_EQ(c.goaway, kProtocolError) << "RFC 9218 §2.1";
}

}  // namespace
}  // namespace archipel::http
