// Stored responses of HTTP/2 that are sent at once, without a task: the same bytes in the same order as those that wait.
#include <gtest/gtest.h>

#include "http/h2_test_util.h"
#include "http/h2_writer.h"
#include "http/now.h"

namespace archipel::http {
namespace {

using namespace testing;  // NOLINT: the test's own helpers

constexpr std::string_view kDate = "Mon, 07 Nov 1994 08:49:37 GMT";

// A response that is made for each request: "/STATUS/SIZE".
struct Made {
  explicit Made(const Request& request) {
    std::sscanf(request.target.c_str(), "/%d/%zu", &stored.status, &size);
    body.assign(size, 'n');
    headers.add("content-type", "text/plain");
    headers.add("date", std::string(kDate));
    CHECK(write_stored_h2_head(head, stored.status, headers));
    stored.headers = &headers;
    stored.extra = extra;
    stored.date = kDate;
    stored.length = size;
    stored.h2_own = write_stored_h2_own(head, stored.status, kDate, size);
    stored.h2_head = head;
  }
  size_t size = 0;
  Headers headers;
  std::string head, body;
  std::array<FieldView, 2> extra = {{{"age", "7"}, {"cache-status", "x; hit"}}};
  StoredResponse stored;
};

io::Task<void> later(Exchange& e, Desk& d) {
  ++d.calls;
  const Made made(e.request());
  const std::array<ByteView, 1> parts = {as_bytes(made.body)};
  auto sent = co_await e.respond_stored(made.stored, parts);
  d.responded_ok = sent.has_value();
}

struct Now : Harness {
  Now() : Harness(later, {}, plain_page, kH2) {
    answer_now_with(*server, [this](NowExchange& e, std::optional<io::Task<void>>&) {
      const Made made(e.request());
      const bool whole = e.respond_stored_now(made.stored, as_bytes(made.body)) == NowExchange::Now::whole;
      EXPECT_EQ(e.responded(), whole) << "no means that nothing has happened";
      at_once_ += whole;
      return whole;
    });
  }
  size_t at_once() const { return at_once_; }

 private:
  size_t at_once_ = 0;
};

void expect_whole(const H2Answer& answer, size_t size) {
  EXPECT_EQ(answer.get(":status"), "200");
  EXPECT_EQ(answer.get("content-type"), "text/plain");
  EXPECT_EQ(answer.get("date"), kDate);
  EXPECT_EQ(answer.get("content-length"), std::to_string(size));
  EXPECT_EQ(answer.get("age"), "7");
  EXPECT_EQ(answer.get("cache-status"), "x; hit");
  EXPECT_EQ(answer.fields.size(), 6u);
  EXPECT_EQ(answer.body, std::string(size, 'n'));
  EXPECT_TRUE(answer.ended);
}

TEST(Http2Now, EachGetsItsWholeAnswer) {
  Now h;
  H2Client c(h);
  uint32_t id = 1;
  for (size_t size : {0u, 1u, 1000u, 16'384u, 16'385u, 40'000u}) {
    c.say(frame(kWindow, 0, 0, number(65'535, 4)));
    expect_whole(c.ask(id, request_fields("GET", "/200/" + std::to_string(size))), size);
    id += 2;
  }
  EXPECT_EQ(h.at_once(), 6u);
}

TEST(Http2Now, HeadHasNoBody) {
  Now h;
  H2Client c(h);
  const H2Answer answer = c.ask(1, request_fields("HEAD", "/200/1000"));
  EXPECT_EQ(answer.get("content-length"), "1000");
  EXPECT_TRUE(answer.body.empty());
  EXPECT_TRUE(answer.ended);
  EXPECT_EQ(h.at_once(), 1u);
}

TEST(Http2Now, AnswersOfABatchLeaveTogether) {
  Now h;
  H2Client c(h);
  const int before = c.wire().trace->writes;
  std::string batch;
  for (uint32_t id = 1; id <= 61; id += 2)
    batch += headers_frame(id, request_fields("GET", "/200/" + std::to_string(1000 + id)));
  c.say(batch);
  for (uint32_t id = 1; id <= 61; id += 2) expect_whole(c.answers[id], 1000 + id);
  EXPECT_EQ(h.at_once(), 31u);
  EXPECT_EQ(c.wire().trace->writes - before, 1);
}

TEST(Http2Now, MoreThanTheBufferHoldsGoesAllTheSame) {
  Now h;
  H2Client c(h);
  std::string batch = frame(kWindow, 0, 0, number(1u << 30, 4));
  for (uint32_t id = 1; id <= 41; id += 2) batch += headers_frame(id, request_fields("GET", "/200/15000"));
  c.say(batch);
  for (uint32_t id = 1; id <= 41; id += 2) expect_whole(c.answers[id], 15'000);
  EXPECT_EQ(h.at_once(), 21u);
}

TEST(Http2Now, NotPastAWindow) {
  for (bool of_stream : {false, true}) {
    Now h;
    H2Client c(h);
    if (of_stream)
      c.say(frame(kSettings, 0, 0, number(4, 2) + number(999, 4)));
    else
      c.ask(1, request_fields("GET", "/200/64600"));
    const size_t before = h.at_once();
    H2Answer answer = c.ask(3, request_fields("GET", "/200/1000"));
    EXPECT_EQ(h.at_once(), before);
    EXPECT_LT(answer.body.size(), 1000u);
    EXPECT_FALSE(answer.ended);
    c.say(frame(kWindow, 0, of_stream ? 3 : 0, number(65, 4)));
    expect_whole(c.answers[3], 1000);
  }
}

TEST(Http2Now, NotBeforeThoseWhoseTurnItIs) {
  Now h;
  H2Client c(h);
  c.wire().from_server->capacity = 1;
  c.say(frame(kSettings, 0, 0, number(4, 2) + number(1u << 30, 4)) +
        frame(kWindow, 0, 0, number(1u << 30, 4)) +
        headers_frame(1, request_fields("GET", "/200/300000", {{"priority", "u=0"}})));
  c.say(headers_frame(3, request_fields("GET", "/200/1000", {{"priority", "u=7"}})));
  EXPECT_EQ(h.at_once(), 0u);
  c.wire().from_server->capacity = SIZE_MAX;
  c.converse();
  expect_whole(c.answers[1], 300'000);
  expect_whole(c.answers[3], 1000);
}

TEST(Http2Now, WhatDecidesAboutItsLengthIsLeftToTheUsualWay) {
  Now h;
  H2Client c(h);
  const H2Answer answer = c.ask(1, request_fields("GET", "/204/0"));
  EXPECT_EQ(h.at_once(), 0u);
  EXPECT_EQ(answer.get(":status"), "204");
  EXPECT_EQ(answer.get("content-length"), "");
  EXPECT_EQ(answer.get("date"), kDate);
  EXPECT_TRUE(answer.ended);
}

TEST(Http2Now, ARequestWithABodyIsForItsHandler) {
  Now h;
  H2Client c(h);
  c.say(headers_frame(1, request_fields("POST", "/200/10"), kEndHeaders) + frame(kData, kEndStream, 1, "x"));
  expect_whole(c.answers[1], 10);
  EXPECT_EQ(h.at_once(), 0u);
  EXPECT_EQ(h.desk.calls, 1);
}

TEST(Http2Now, AConnectionHoldsNothingBehindIt) {
  Now h;
  H2Client c(h);
  for (uint32_t id = 1; id < 2001; id += 2) expect_whole(c.ask(id, request_fields("GET", "/200/10")), 10);
  EXPECT_EQ(h.at_once(), 1000u);
  h.server->drain();
  c.converse();
  EXPECT_TRUE(h.serving->done()) << "nothing is under way";
}

}  // namespace
}  // namespace archipel::http
