#include "http/date.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace archipel::http {
namespace {

constexpr UnixMs kExample = 784'111'777'000;  // the example of RFC 9110 §5.6.7
constexpr UnixMs kNow = 1'767'323'045'678;    // 2026-01-02T03:04:05.678Z

TEST(HttpDate, AllThreeFormsOfTheRfcExample) {
  EXPECT_EQ(format_http_date(kExample + 999), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", kNow), kExample);
  EXPECT_EQ(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", kNow), kExample);
  EXPECT_EQ(parse_http_date("Sun Nov  6 08:49:37 1994", kNow), kExample);
}

TEST(HttpDate, TwoDigitYearsTurnAtFiftyYearsAhead) {
  EXPECT_EQ(format_http_date(*parse_http_date("Sunday, 06-Nov-76 08:49:37 GMT", kNow)),
            "Fri, 06 Nov 2076 08:49:37 GMT");
  EXPECT_EQ(format_http_date(*parse_http_date("Sunday, 06-Nov-77 08:49:37 GMT", kNow)),
            "Sun, 06 Nov 1977 08:49:37 GMT");
}

TEST(HttpDate, RefusesOtherSpellings) {
  for (const char* bad :
       {"", "Sun", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ", "Xun, 06 Nov 1994 08:49:37 GMT", "Sun Nov 06 08:49:37 94  ",
        "Sun, +6 Nov 1994 08:49:37 GMT"})
    EXPECT_FALSE(parse_http_date(bad, kNow)) << bad;
}

TEST(IsoDate, KnownAnswers) {
  EXPECT_EQ(format_iso_basic(kNow), "20260102T030405Z");
  EXPECT_EQ(format_iso_extended(kNow), "2026-01-02T03:04:05.678Z");
  EXPECT_EQ(parse_iso_basic("20260102T030405Z"), kNow - 678);
  EXPECT_EQ(parse_iso_extended("2026-01-02T03:04:05Z"), kNow - 678);
  EXPECT_EQ(parse_iso_extended("2026-01-02T03:04:05.6789Z"), kNow);
  EXPECT_EQ(format_iso_extended(-1), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(format_iso_extended(INT64_MAX), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(format_iso_extended(INT64_MIN), "0000-01-01T00:00:00.000Z");
}

TEST(IsoDate, RefusesOtherSpellings) {
  for (const char* bad :
       {"", "20260102T030405", "20261302T030405Z", "20260230T030405Z", "2026-01-02T03:04:05Z",
        "20260102T030405Z ", "20260102t030405z", "202601 2T030405Z"})
    EXPECT_FALSE(parse_iso_basic(bad)) << bad;
  for (const char* bad : {"2026-01-02T03:04:05.Z", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05.1234567890Z",
                          "2026-01-02T03:04:05+00:00"})
    EXPECT_FALSE(parse_iso_extended(bad)) << bad;
}

RC_GTEST_PROP(Date, RoundTrips, ()) {
  auto ms = *rc::gen::inRange<int64_t>(-62'167'219'200'000, 253'402'300'800'000);
  int64_t whole = ms - ((ms % 1000) + 1000) % 1000;
  RC_ASSERT(parse_iso_extended(format_iso_extended(ms)) == ms);
  RC_ASSERT(parse_iso_basic(format_iso_basic(ms)) == whole);
  RC_ASSERT(parse_http_date(format_http_date(ms), 0) == whole);
}

}  // namespace
}  // namespace archipel::http
