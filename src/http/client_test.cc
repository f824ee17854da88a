#include "http/client.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <filesystem>
#include <fstream>

#include "http/h1_properties_test_util.h"
#include "http/pipe_stream_test_util.h"
#include "support/source_dir.h"

namespace archipel::http {
namespace {

using testing::ManualLoop;
using Parts = std::vector<std::string>;

// A client of ours, and the server's end in the hands of the test.
struct Wire {
  explicit Wire(size_t read_max = SIZE_MAX, Limits limits = {}) {
    client = make_client(
        loop, std::make_unique<testing::PipeStream>(far.from_server, far.to_server, far.trace, read_max),
        limits);
    headers.add("host", "h");
  }
  Deadline soon() { return loop.now() + std::chrono::seconds(5); }
  void answer(std::string_view bytes) {
    far.from_server->bytes += bytes;
    far.from_server->changed.notify_all();
  }
  void hang_up() {
    far.from_server->ended = true;
    far.from_server->changed.notify_all();
  }
  std::string said() {
    std::string all = std::exchange(far.to_server->bytes, {});
    far.to_server->changed.notify_all();
    return all;
  }
  template <class T>
  T wait(io::Task<T> task) {
    loop.settle();
    if (!task.done()) loop.advance(std::chrono::seconds(10));
    CHECK(task.done());
    return task.take();
  }
  Result<void> send(std::string_view method = "GET", std::string_view target = "/",
                    std::optional<uint64_t> body = 0, std::string_view upgrade = "") {
    return wait(client->send({method, target, &headers, body, upgrade}, soon()));
  }
  Result<ResponseHead> head() { return wait(client->receive_head(soon())); }
  // The body to its end; nullopt: it broke.
  Result<std::string> body(size_t piece = 100) {
    std::string all;
    Buffer buffer(piece);
    for (;;) {
      auto got = wait(client->read_body(buffer.span(), soon()));
      if (!got) return fail(got.error());
      if (*got == 0) return all;
      all += as_text(buffer.view().first(*got));
    }
  }

  ManualLoop loop;
  testing::Client far;
  std::unique_ptr<Client> client;
  Headers headers;
};

TEST(Client, AsksAndReadsTheAnswer) {
  Wire w;
  ASSERT_TRUE(w.send("GET", "/a?b"));
  EXPECT_EQ(w.said(), "GET /a?b HTTP/1.1\r\nhost: h\r\n\r\n");
  w.answer("HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nX-Y: Z\r\n\r\nhello");
  auto head = w.head();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->headers.get("x-y"), "Z");
  EXPECT_EQ(head->content_length, 5u);
  EXPECT_FALSE(w.client->reusable());
  EXPECT_EQ(w.body(), "hello");
  EXPECT_TRUE(w.client->reusable());
  EXPECT_TRUE(w.client->still_open());
  ASSERT_TRUE(w.send("HEAD"));
  EXPECT_EQ(w.said(), "HEAD / HTTP/1.1\r\nhost: h\r\n\r\n");
  w.answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  head = w.head();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->headers.get("content-length"), "5");
  EXPECT_EQ(w.body(), "");
  EXPECT_TRUE(w.client->reusable());
}

TEST(Client, WritesItsOwnFramingAndNoOther) {
  Wire w;
  for (const char* name : {"connection", "content-length", "transfer-encoding", "keep-alive"})
    w.headers.add(name, "7");
  ASSERT_TRUE(w.send("POST", "/", 5));
  EXPECT_EQ(w.said(), "") << "the head leaves with the body";
  ASSERT_TRUE(w.wait(w.client->write(as_bytes("he"), w.soon())));
  ASSERT_TRUE(w.wait(w.client->write(as_bytes("llo"), w.soon())));
  ASSERT_TRUE(w.wait(w.client->finish(w.soon())));
  EXPECT_EQ(w.said(), "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello");
  w.answer("HTTP/1.1 204 No Content\r\n\r\n");
  ASSERT_TRUE(w.head());
  ASSERT_TRUE(w.client->reusable());
  ASSERT_TRUE(w.send("PUT", "/", std::nullopt));
  ASSERT_TRUE(w.wait(w.client->write(as_bytes("0123456789abcdef"), w.soon())));
  ASSERT_TRUE(w.wait(w.client->finish(w.soon())));
  EXPECT_EQ(
      w.said(),
      "PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
  w.answer("HTTP/1.1 204 No Content\r\n\r\n");
  ASSERT_TRUE(w.head());
  ASSERT_TRUE(w.send("POST", "/", 0));
  EXPECT_EQ(w.said(), "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
}

TEST(Client, SendsNothingThatWouldSplitTheRequest) {
  for (auto [method, target] : std::vector<std::pair<std::string, std::string>>{{"GET", "/ HTTP/1.1\r\nx: y"},
                                                                                {"GET", "/a b"},
                                                                                {"GET", ""},
                                                                                {"G T", "/"},
                                                                                {"", "/"},
                                                                                {"GET\r\n", "/"}}) {
    Wire w;
    auto sent = w.send(method, target);
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, Code::invalid);
    EXPECT_EQ(w.said(), "");
  }
  for (auto [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"x", "a\r\nb: c"}, {"x y", "a"}, {"x", std::string("a\0b", 3)}, {"", "a"}, {"x:", "a"}}) {
    Wire w;
    w.headers.add(name, value);
    EXPECT_FALSE(w.send());
    EXPECT_EQ(w.said(), "");
  }
}

TEST(Client, DoesNotGuessWhereABrokenAnswerEnds) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"bad_status_line", "HTTP/2 200 OK\r\n\r\n"},
      {"bad_status_line", "ICY 200 OK\r\n\r\n"},
      {"bad_status_line", "HTTP/1.1  200 OK\r\n\r\n"},
      {"bad_status_line", "HTTP/1.1 20 OK\r\n\r\n"},
      {"bad_status_line", "HTTP/1.1 099 OK\r\n\r\n"},
      {"bad_status_line", "HTTP/1.1 600 OK\r\n\r\n"},
      {"bad_status_line", "HTTP/1.1 2000 OK\r\n\r\n"},
      {"bad_status_line", "\r\nHTTP/1.1 200 OK\r\n\r\n"},
      {"bad_status_line", std::string("HTTP/1.1 200 O\0K\r\n\r\n", 20)},
      {"unsupported_version", "HTTP/1.2 200 OK\r\n\r\n"},
      {"bare_line_feed", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"},
      {"bare_line_feed", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n"},
      {"bare_line_feed", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"},
      {"folded_header", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"},
      {"bad_header_name", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"},
      {"bad_header_name", "HTTP/1.1 200 OK\r\nnothing\r\n\r\n"},
      {"bad_header_value", std::string("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", 27)},
      {"bad_header_value", "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n"},
      {"bad_content_length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"},
      {"bad_content_length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"},
      {"bad_content_length", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n"},
      {"bad_content_length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n"},
      {"bad_content_length", "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n"},
      {"bad_content_length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n"},
      {"body_too_large", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n"},
      {"length_conflict", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"bad_transfer_encoding", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"bad_transfer_encoding",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"unknown_transfer_encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
      {"unknown_transfer_encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n"},
      {"unknown_transfer_encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: GZip\r\n\r\n"},
      {"unknown_transfer_encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: a b\r\n\r\n"},
      {"headers_too_large", "HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n"},
      {"headers_too_large", "HTTP/1.1 200 " + std::string(20'000, 'x') + "\r\n\r\n"},
  };
  for (const auto& [reason, text] : cases) {
    Wire w;
    ASSERT_TRUE(w.send());
    w.answer(text);
    w.hang_up();
    auto head = w.head();
    ASSERT_FALSE(head) << text;
    EXPECT_EQ(head.error().detail, reason) << text.substr(0, 60);
    EXPECT_FALSE(w.client->reusable());
  }
}

struct Framed {
  std::string method, head, rest;
  Result<std::string> body;
  bool reusable;
};

// RFC 9112 §6.3, case by case.
TEST(Client, FindsTheEndOfEveryBody) {
  const std::string next = "HTTP/1.1 200 OK\r\n";
  const std::vector<Framed> cases = {
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ab", "ab", true},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", "2\r\nab\r\n0\r\n\r\n", "ab", true},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;x=y\r\na\r\n0\r\nx-t: 1\r\n\r\n",
       "a", true},
      {"GET", "HTTP/1.1 200 OK\r\n\r\n", "abc", "abc", false},
      {"GET", "HTTP/1.0 200 OK\r\n\r\n", "abc", "abc", false},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: abcdef\r\n\r\n", "abc" + next, "abc" + next, false},
      {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", "a", "a", false},
      {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", "a", "a", true},
      {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n", "a", "a", false},
      {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "", "", true},
      {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", "", "", false},
      {"GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "", "", false},
      {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "", "", true},
      {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", "", true},
      {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", "", "", true},
      // What nobody asked for is not taken for the next answer.
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ab" + next, "ab", false},
      {"GET", "HTTP/1.1 304 Not Modified\r\n\r\n", "x", "", false},
      {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ab", "", false},
      // Cut short.
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "ab", fail(Code::io, ""), false},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nab\r\n", fail(Code::io, ""),
       false},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nab\r\n0\r\n", fail(Code::io, ""),
       false},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2\nab\r\n0\r\n\r\n",
       fail(Code::invalid, ""), false},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nabc\r\n0\r\n\r\n",
       fail(Code::invalid, ""), false},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\ncontent-length: 1\r\n\r\n",
       fail(Code::invalid, ""), false},
  };
  for (const Framed& c : cases)
    for (size_t read_max : {size_t{1}, size_t{2}, size_t{7}, SIZE_MAX})
      for (size_t piece : {size_t{1}, size_t{3}, size_t{5000}}) {
        Wire w(read_max);
        ASSERT_TRUE(w.send(c.method));
        w.answer(c.head + c.rest);
        w.hang_up();
        auto head = w.head();
        ASSERT_TRUE(head) << c.head;
        auto body = w.body(piece);
        ASSERT_EQ(body.has_value(), c.body.has_value()) << c.head << c.rest;
        if (body) EXPECT_EQ(*body, *c.body) << c.head;
        if (!body) EXPECT_EQ(body.error().code, c.body.error().code) << c.head << c.rest;
        // Unread bytes behind the answer are found when the connection is looked at.
        EXPECT_EQ(w.client->reusable() && (c.reusable || w.client->still_open()), c.reusable)
            << c.head << read_max;
      }
}

TEST(Client, HandsOutInterimAnswersFirst) {
  Wire w(1);
  ASSERT_TRUE(w.send());
  w.answer(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  auto first = w.head();
  ASSERT_TRUE(first && first->interim());
  auto second = w.head();
  ASSERT_TRUE(second && second->interim());
  EXPECT_EQ(second->headers.get("link"), "</a>");
  auto last = w.head();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->status, 200);
  EXPECT_TRUE(w.client->reusable());
}

TEST(Client, EndsAFloodOfInterimAnswers) {
  Wire w;
  ASSERT_TRUE(w.send());
  for (int i = 0; i <= kInterimMax; ++i) w.answer("HTTP/1.1 102 Processing\r\n\r\n");
  for (int i = 0; i < kInterimMax; ++i) ASSERT_TRUE(w.head());
  auto over = w.head();
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, Code::limit);
}

TEST(Client, SaysWhenAKeptConnectionWasClosedUnused) {
  Wire w;
  ASSERT_TRUE(w.send());
  w.answer("HTTP/1.1 204 No Content\r\n\r\n");
  ASSERT_TRUE(w.head());
  ASSERT_TRUE(w.send());
  w.hang_up();
  auto head = w.head();
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code, Code::io);
  EXPECT_EQ(head.error().detail, "unused");
}

TEST(Client, DoesNotCallAFirstOrABegunAnswerUnused) {
  Wire fresh;
  ASSERT_TRUE(fresh.send());
  fresh.hang_up();
  auto head = fresh.head();
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().detail, "");
}

TEST(Client, DoesNotCallABegunAnswerUnused) {
  Wire w;
  ASSERT_TRUE(w.send());
  w.answer("HTTP/1.1 204 No Content\r\n\r\n");
  ASSERT_TRUE(w.head());
  ASSERT_TRUE(w.send());
  w.answer("H");
  w.hang_up();
  auto head = w.head();
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().detail, "");
}

TEST(Client, NoticesWhatHappensToAKeptConnection) {
  for (bool hang_up : {false, true}) {
    Wire w;
    EXPECT_TRUE(w.client->still_open());
    ASSERT_TRUE(w.send());
    w.answer("HTTP/1.1 204 No Content\r\n\r\n");
    ASSERT_TRUE(w.head());
    EXPECT_TRUE(w.client->still_open());
    if (hang_up)
      w.hang_up();
    else
      w.answer("HTTP/1.1 408 Request Timeout\r\n\r\n");
    EXPECT_FALSE(w.client->still_open());
    EXPECT_FALSE(w.client->reusable());
  }
}

TEST(Client, StopsWritingWhenTheServerHasAnswered) {
  Wire w;
  ASSERT_TRUE(w.send("PUT", "/", 100));
  ASSERT_TRUE(w.wait(w.client->write(as_bytes("0123456789"), w.soon())));
  w.answer("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
  auto written = w.wait(w.client->write(as_bytes("0123456789"), w.soon()));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().detail, "early");
  auto head = w.head();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 413);
  EXPECT_EQ(w.body(), "no");
  EXPECT_FALSE(w.client->reusable());
}

TEST(Client, LeavesHttpOnlyWhenItAskedTo) {
  {
    Wire w;
    ASSERT_TRUE(w.send());
    w.answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
    auto head = w.head();
    ASSERT_FALSE(head);
    EXPECT_EQ(head.error().code, Code::invalid);
  }
  Wire w;
  ASSERT_TRUE(w.send("GET", "/", 0, "echo"));
  EXPECT_EQ(w.said(), "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
  w.answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\nahead");
  auto head = w.head();
  ASSERT_TRUE(head);
  ASSERT_EQ(head->status, 101);
  auto stream = w.client->take_stream();
  w.answer(" and more");
  Buffer buffer(5);
  auto got = w.wait(stream->read(buffer.span(), w.soon()));
  ASSERT_TRUE(got);
  EXPECT_EQ(as_text(buffer.view().first(*got)), "ahead");
}

TEST(Client, GivesUpAtItsDeadline) {
  Wire w;
  ASSERT_TRUE(w.send());
  w.answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n");
  auto head = w.head();
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code, Code::timeout);
}

TEST(Client, HoldsNoBufferBetweenAnswers) {
  Wire w;
  ASSERT_TRUE(w.send());
  w.answer("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
  ASSERT_TRUE(w.head());
  std::string large(300'000, 'l');
  w.answer(large);
  auto body = w.body(64 << 10);
  ASSERT_TRUE(body);
  EXPECT_EQ(*body, large);
  EXPECT_GE(w.far.trace->largest_read, size_t{64} << 10)
      << "large bodies go straight into the caller's memory";
}

// --- any bytes -------------------------------------------------------------------------------------------------------------

RC_GTEST_PROP(ResponseParserProperty, HoldsForMutantsOfRealAnswers, ()) {
  std::string text =
      *rc::gen::element<std::string>("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                                     "HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\n\r\n",
                                     "HTTP/1.1 304\r\nETag: \"x\"\r\nX: \t y \r\n\r\n");
  int changes = *rc::gen::inRange(0, 4);
  for (int i = 0; i < changes; ++i) {
    size_t at = *rc::gen::inRange<size_t>(0, text.size());
    char c = *rc::gen::element('\r', '\n', ' ', ':', '\t', '\0', '1', 'a', '\x80', ',');
    if (*rc::gen::arbitrary<bool>())
      text[at] = c;
    else
      text.insert(at, 1, c);
  }
  for (bool to_head : {false, true}) testing::check_response(text, Limits{}, to_head, text.size());
}

TEST(FuzzCorpus, ResponseSeedsHoldTheProperties) {
  int count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(archipel::testing::source_dir() / "fuzz/corpus/h1_response")) {
    std::ifstream in(entry.path(), std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    for (bool to_head : {false, true}) testing::check_response(text, Limits{}, to_head, text.size());
    ++count;
  }
  EXPECT_GT(count, 10);
}

}  // namespace
}  // namespace archipel::http
