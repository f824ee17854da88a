// The raw client of the HTTP/2 tests: the part that needs nghttp2, and what the client itself rests on.
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "http/h2_test_util.h"

namespace archipel::http::testing {

struct H2Client::Inflater {
  Inflater() { CHECK(nghttp2_hd_inflate_new(&raw) == 0); }
  ~Inflater() { nghttp2_hd_inflate_del(raw); }
  nghttp2_hd_inflater* raw = nullptr;
};

H2Client::H2Client(Harness& harness, bool greet)
    : harness_(harness), wire_(harness.connect()), inflater_(std::make_unique<Inflater>()) {
  if (greet) say(std::string(kH2Preface) + frame(kSettings, 0, 0, ""));
}
H2Client::~H2Client() = default;

Fields H2Client::inflate(std::string_view block) {
  Fields out;
  const auto* in = reinterpret_cast<const uint8_t*>(block.data());
  size_t left = block.size();
  for (;;) {
    nghttp2_nv nv;
    int flags = 0;
    ssize_t used = nghttp2_hd_inflate_hd2(inflater_->raw, &nv, &flags, in, left, 1);
    EXPECT_GE(used, 0) << "the server's header block does not decode";
    if (used < 0) return out;
    in += used;
    left -= static_cast<size_t>(used);
    if (flags & NGHTTP2_HD_INFLATE_EMIT)
      out.emplace_back(std::string(reinterpret_cast<char*>(nv.name), nv.namelen),
                       std::string(reinterpret_cast<char*>(nv.value), nv.valuelen));
    if (flags & NGHTTP2_HD_INFLATE_FINAL) {
      nghttp2_hd_inflate_end_headers(inflater_->raw);
      return out;
    }
    if (left == 0 && !(flags & NGHTTP2_HD_INFLATE_EMIT)) return out;
  }
}

TEST(H2FrameReader, FindsEveryFrameWhateverTheSplit) {
  std::string input = frame(kData, kEndStream, 1, "hello") + frame(kPing, 0, 0, "12345678") +
                      frame(0xab, 3, 0x80000005u, "") + frame(0xac, 0, 0, std::string(300, 'u')) +
                      frame(kData, 0, 7, std::string(70'000, 'x')) + frame(kData, kEndStream, 7, "");
  for (size_t step : {size_t{1}, size_t{2}, size_t{8}, size_t{9}, size_t{10}, size_t{1000}, input.size()}) {
    H2FrameReader reader;
    std::vector<H2FrameHeader> found;
    std::vector<std::string> payloads;
    for (size_t at = 0; at < input.size(); at += step) {
      const std::string piece = input.substr(at, step);
      ByteView in = as_bytes(piece);
      for (;;) {
        const auto next = reader.next(in);
        if (next == H2FrameReader::Step::more) break;
        if (next == H2FrameReader::Step::begin) {
          found.push_back(reader.header());
          payloads.emplace_back();
          if (reader.header().type == H2Frame::data) reader.in_pieces();
          if (static_cast<uint8_t>(reader.header().type) == 0xac) reader.skip();
        } else {
          payloads.back() += as_text(reader.payload());
          EXPECT_EQ(reader.ended(), payloads.back().size() == reader.header().length);
        }
      }
      EXPECT_TRUE(in.empty());
    }
    ASSERT_EQ(found.size(), 6u) << step;
    EXPECT_EQ(found[0].type, H2Frame::data);
    EXPECT_TRUE(found[0].has(kEndStream));
    EXPECT_EQ(payloads[0], "hello");
    EXPECT_EQ(payloads[1], "12345678");
    EXPECT_EQ(found[2].stream, 5u) << "the reserved bit means nothing";
    EXPECT_EQ(payloads[3], "") << "skipped";
    EXPECT_EQ(payloads[4], std::string(70'000, 'x'));
    EXPECT_TRUE(found[5].has(kEndStream));
  }
}

}  // namespace archipel::http::testing
