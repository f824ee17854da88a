// The raw client of the HTTP/2 tests: the part that needs nghttp2, and what the client itself rests on.
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "http/h2_frame_scan.h"
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

TEST(H2FrameScan, FindsEveryFrameWhateverTheSplit) {
  std::string input = "skipped" + frame(kData, kEndStream, 1, "hello") + frame(kPing, 0, 0, "12345678") +
                      frame(0xab, 3, 0x80000005u, "") + frame(kData, 0, 7, std::string(70'000, 'x'));
  for (size_t step : {size_t{1}, size_t{2}, size_t{8}, size_t{9}, size_t{10}, size_t{1000}, input.size()}) {
    H2FrameScan scan(7);
    std::vector<H2FrameHeader> found;
    for (size_t at = 0; at < input.size(); at += step)
      scan.scan(as_bytes(std::string_view(input).substr(at, step)),
                [&](const H2FrameHeader& h) { found.push_back(h); });
    ASSERT_EQ(found.size(), 4u) << step;
    EXPECT_EQ(found[0].type, kData);
    EXPECT_EQ(found[0].flags, kEndStream);
    EXPECT_EQ(found[0].length, 5u);
    EXPECT_EQ(found[0].end, 7u + 9 + 5);
    EXPECT_EQ(found[1].type, kPing);
    EXPECT_EQ(found[2].stream, 5u) << "the reserved bit means nothing";
    EXPECT_EQ(found[3].length, 70'000u);
    EXPECT_EQ(found[3].end, input.size());
    EXPECT_EQ(scan.received(), input.size());
  }
}

}  // namespace archipel::http::testing
