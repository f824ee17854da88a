#include "http/h1_writer.h"

#include <gtest/gtest.h>

namespace archipel::http {
namespace {

constexpr std::string_view kDate = "Sun, 06 Nov 1994 08:49:37 GMT";

TEST(ResponseWriter, WritesOursAndTheHandlersFields) {
  Response r;
  r.status = 206;
  r.headers.add("etag", "\"x\"");
  r.headers.add("content-length", "999");
  r.headers.add("transfer-encoding", "gzip");
  r.headers.add("date", "yesterday");
  r.headers.add("connection", "close");
  std::string out;
  ASSERT_TRUE(write_response_head(out, r, {Framing::length, 12}, {1, true, kDate}));
  EXPECT_EQ(out,
            "HTTP/1.1 206 Partial Content\r\netag: \"x\"\r\ndate: Sun, 06 Nov 1994 08:49:37 "
            "GMT\r\ncontent-length: 12\r\n\r\n");
}

TEST(ResponseWriter, SaysHowTheBodyEndsAndWhetherTheConnectionDoes) {
  auto head = [](Framing framing, int minor, bool keep) {
    std::string out;
    EXPECT_TRUE(write_response_head(out, Response{}, {framing, 0}, {minor, keep, kDate}));
    return out.substr(out.find("GMT") + 3);
  };
  EXPECT_EQ(head(Framing::none, 1, true), "\r\n\r\n");
  EXPECT_EQ(head(Framing::chunked, 1, true), "\r\ntransfer-encoding: chunked\r\n\r\n");
  EXPECT_EQ(head(Framing::until_close, 0, false), "\r\nconnection: close\r\n\r\n");
  EXPECT_EQ(head(Framing::length, 0, true), "\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n");
}

TEST(ResponseWriter, RefusesWhatWouldSplitTheResponse) {
  for (std::string value : {std::string("a\r\nset-cookie: x"), std::string("a\nb"), std::string("a\rb"),
                            std::string("a\0b", 3)}) {
    Response r;
    r.headers.add("content-disposition", value);
    std::string out = "before";
    EXPECT_FALSE(write_response_head(out, r, {}, {1, true, kDate}));
    EXPECT_EQ(out, "before");
  }
  for (const char* name : {"", "a b", "a:", "a\r\n"}) {
    Response r;
    r.headers.add(name, "v");
    std::string out;
    EXPECT_FALSE(write_response_head(out, r, {}, {1, true, kDate})) << name;
  }
  for (int status : {-1, 0, 100, 199, 600, 99999}) {
    Response r;
    r.status = status;
    std::string out;
    EXPECT_FALSE(write_response_head(out, r, {}, {1, true, kDate})) << status;
  }
}

}  // namespace
}  // namespace archipel::http
