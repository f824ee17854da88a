#include "app/json.h"

#include <gtest/gtest.h>

namespace archipel::app {
namespace {

TEST(JsonObject, EscapesWhatJsonNeedsAndReplacesWhatIsNotUtf8) {
  EXPECT_EQ(JsonObject().text("a\"b", "x\n\\y").number("n", -3).str(), R"({"a\"b":"x\u000a\\y","n":-3})");
  EXPECT_EQ(JsonObject().text("é", "日本").str(), "{\"é\":\"日本\"}");
  for (std::string bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82", "\xf5\x80\x80\x80"})
    EXPECT_NE(JsonObject().text("k", bad).str().find("\\ufffd"), std::string::npos);
}

}  // namespace
}  // namespace archipel::app
