#include "base/json.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace archipel {
namespace {

TEST(JsonWriter, NestsAndSeparates) {
  JsonWriter json;
  json.begin_object().key("a").begin_array().number(1).begin_array().end_array().null().end_array();
  json.key("b").begin_object().end_object().key("c").boolean(true).end_object();
  EXPECT_EQ(json.str(), R"({"a":[1,[],null],"b":{},"c":true})");
}

TEST(JsonWriter, QuotesWhatWouldBreakOut) {
  JsonWriter json;
  json.text("a\"\\\n\xff\xc3\xa9");
  EXPECT_EQ(json.str(), "\"a\\\"\\\\\\u000a\\ufffd\xc3\xa9\"");
}

TEST(JsonWriter, NumbersComeBackAsTheyWere) {
  JsonWriter json;
  json.begin_array().number(0.09).number(int64_t{-7}).number(std::numeric_limits<uint64_t>::max());
  json.number(std::numeric_limits<double>::infinity()).number(9000.0).end_array();
  EXPECT_EQ(json.str(), "[0.09,-7,18446744073709551615,null,9000]");
}

TEST(JsonWriter, ListsOfTexts) {
  const std::vector<std::string> none, two = {"CN", "FR"};
  JsonWriter json;
  json.begin_array().texts(none).texts(two).end_array();
  EXPECT_EQ(json.str(), R"([[],["CN","FR"]])");
}

TEST(JsonWriter, MisuseEndsTheProcess) {
  EXPECT_DEATH(JsonWriter().begin_object().number(1), "keyed_");
  EXPECT_DEATH(JsonWriter().begin_array().end_object(), "open_");
}

}  // namespace
}  // namespace archipel
