#include "exposure/csv.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace archipel::exposure {
namespace {

std::string error_of(std::string_view text) {
  const auto csv = parse_csv(text, "f.csv");
  return csv ? "" : csv.error().message;
}

TEST(Csv, ReadsQuotesCommentsAndBothKindsOfLineEnds) {
  const auto csv = parse_csv("# about\r\na,\"b\"\r\n\r\n1,\"x, \"\"y\"\" #\"\n# more\n\"#\",é\n,", "f.csv");
  ASSERT_TRUE(csv.has_value()) << csv.error().message;
  EXPECT_EQ(csv->columns, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(csv->rows.size(), 3u);
  EXPECT_EQ(csv->rows[0].fields, (std::vector<std::string>{"1", "x, \"y\" #"}));
  EXPECT_EQ(csv->rows[0].line, 4u);
  EXPECT_EQ(csv->rows[1].fields, (std::vector<std::string>{"#", "é"}));
  EXPECT_EQ(csv->rows[1].line, 6u);
  EXPECT_EQ(csv->rows[2].fields, (std::vector<std::string>{"", ""}));
}

TEST(Csv, WhatIsWrongIsNamedWithItsLine) {
  EXPECT_TRUE(error_of("").starts_with("f.csv:1: the file is empty"));
  EXPECT_TRUE(error_of("# only\n\n").starts_with("f.csv:3: the file is empty"));
  EXPECT_TRUE(error_of("a,b\n1,2\n1\n").starts_with("f.csv:3: this row has 1 fields"));
  EXPECT_TRUE(error_of("a,b\n1,2,3\n").starts_with("f.csv:2: this row has 3 fields"));
  EXPECT_TRUE(error_of("a,a\n").starts_with("f.csv:1: the column a is named twice"));
  EXPECT_TRUE(error_of("a,\n").starts_with("f.csv:1: a column without a name"));
  EXPECT_TRUE(error_of("a\nx\"y\n").starts_with("f.csv:2: a quote inside a field"));
  EXPECT_TRUE(error_of("a\n\"x\"y\n").starts_with("f.csv:2: text after the quote"));
  EXPECT_TRUE(error_of("a\n\"x\n\n").starts_with("f.csv:2: a quote that is not closed"));
  EXPECT_TRUE(error_of("a\n\"x\ny\"\n").starts_with("f.csv:2: a field that goes over the end"));
  EXPECT_TRUE(error_of("a,b\n1, 2\n").starts_with("f.csv:2: blanks around"));
  EXPECT_TRUE(error_of("\xef\xbb\xbf"
                       "a\n")
                  .starts_with("f.csv:1: the file begins with a byte order mark"));
  EXPECT_TRUE(error_of("a\n\xc3(\n").starts_with("f.csv:2: bytes that are not UTF-8"));
  EXPECT_TRUE(error_of("a\n\xed\xa0\x80\n").starts_with("f.csv:2: bytes that are not UTF-8"));
  EXPECT_TRUE(error_of("a\nb\tc\n").starts_with("f.csv:2: a control character"));
  EXPECT_TRUE(error_of("a\rb\n").starts_with("f.csv:1: a carriage return"));
}

TEST(Csv, LimitsHold) {
  EXPECT_TRUE(
      error_of("a\n" + std::string(kCsvFieldMax + 1, 'x')).starts_with("f.csv:2: a field of more than"));
  EXPECT_TRUE(error_of(std::string(kCsvColumnsMax, ',')).starts_with("f.csv:1: a row of more than"));
  std::string rows = "a\n";
  for (size_t i = 0; i < kCsvRowsMax + 1; i++) rows += "x\n";
  EXPECT_TRUE(error_of(rows).contains("there are more than"));
  EXPECT_EQ(parse_csv(std::string(kCsvBytesMax + 1, 'x'), "f").error().code, archipel::Code::limit);
}

RC_GTEST_PROP(Csv, WhatIsWrittenInQuotesComesBack, ()) {
  const auto fields = *rc::gen::container<std::vector<std::string>>(
      3, rc::gen::container<std::string>(rc::gen::elementOf(std::string("abc,\"#;é"))));
  std::string text = "a,b,c\n";
  std::vector<std::string> clean;
  for (size_t i = 0; i < fields.size(); i++) {
    std::string field, quoted;
    for (const char c : fields[i])
      if (static_cast<unsigned char>(c) < 0x80) field += c;
    for (const char c : field) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    text += (i == 0 ? "\"" : ",\"") + quoted + "\"";
    clean.push_back(field);
  }
  const auto csv = parse_csv(text, "f.csv");
  RC_ASSERT(csv.has_value());
  RC_ASSERT(csv->rows.size() == 1u);
  RC_ASSERT(csv->rows[0].fields == clean);
}

RC_GTEST_PROP(Csv, AnyBytesGiveRowsOrALine, (const std::string& text)) {
  const auto csv = parse_csv(text, "f.csv");
  if (!csv) RC_ASSERT(csv.error().message.starts_with("f.csv:"));
}

}  // namespace
}  // namespace archipel::exposure
