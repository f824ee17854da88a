#include "base/bytes.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace archipel {
namespace {

TEST(Base64, KnownAnswersOfRfc4648) {
  EXPECT_EQ(base64(as_bytes("")), "");
  EXPECT_EQ(base64(as_bytes("f")), "Zg==");
  EXPECT_EQ(base64(as_bytes("fo")), "Zm8=");
  EXPECT_EQ(base64(as_bytes("foobar")), "Zm9vYmFy");
}

TEST(Base64, RefusesWhatIsNotCanonical) {
  for (const char* bad : {"Zg=", "Zh==", "Zm9=", "Z===", "Zg==Zg==", "Zm 8", "====", "Z\ng="})
    EXPECT_FALSE(unbase64(bad)) << bad;
}

RC_GTEST_PROP(Encodings, RoundTrip, (const std::string& in)) {
  RC_ASSERT(*unbase64(base64(as_bytes(in))) == in);
  RC_ASSERT(*unhex(hex(as_bytes(in))) == in);
}

RC_GTEST_PROP(Codec, ReaderMirrorsWriter, (uint64_t a, uint32_t b, uint16_t c, const std::string& s)) {
  std::string out;
  Writer(out).varint(a).u32(b).bytes(s).u16(c).u64(a).u8(7);
  Reader r(out);
  RC_ASSERT(r.varint() == a);
  RC_ASSERT(r.u32() == b);
  RC_ASSERT(r.bytes() == s);
  RC_ASSERT(r.u16() == c);
  RC_ASSERT(r.u64() == a);
  RC_ASSERT(r.u8() == 7);
  RC_ASSERT(r.done());
}

TEST(Reader, EveryTruncationIsNoticed) {
  std::string out;
  Writer(out).varint(300).bytes("hello").u64(1);
  for (size_t cut = 0; cut < out.size(); ++cut) {
    Reader r(std::string_view(out).substr(0, cut));
    r.varint();
    r.bytes();
    r.u64();
    EXPECT_FALSE(r.ok()) << cut;
  }
}

TEST(Reader, RefusesOverlongVarints) {
  Reader zero(std::string_view("\x80\x00", 2));
  zero.varint();
  EXPECT_FALSE(zero.ok());
  Reader wide(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10));
  wide.varint();
  EXPECT_FALSE(wide.ok());
}

}  // namespace
}  // namespace archipel
