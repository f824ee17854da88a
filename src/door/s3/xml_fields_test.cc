#include "door/s3/xml_fields.h"

#include <gtest/gtest.h>

namespace archipel::door::s3 {
namespace {

template <class T>
std::string code_of(const Result<T>& r) {
  return r ? "ok" : r.error().detail;
}

TEST(XmlFields, TakesWhatIsAskedFor) {
  auto root = parse_xml("<R><T> x </T><N> -42 </N><B>TRUE</B><L>1</L><L>2</L></R>", "R");
  ASSERT_TRUE(root.has_value());
  XmlFields fields(*root);
  EXPECT_EQ(fields.text("T"), " x ");
  EXPECT_EQ(fields.integer("N"), -42);
  EXPECT_EQ(fields.boolean("B"), true);
  EXPECT_EQ(fields.all("L").size(), 2u);
  EXPECT_EQ(fields.text("Absent"), std::nullopt);
  EXPECT_EQ(code_of(fields.finish()), "ok");
}

// Each row: a document, and the one thing asked of it that must fail.
TEST(XmlFields, RefusesWhatDoesNotFit) {
  auto finish = [](const std::string& xml, auto ask) {
    auto root = parse_xml(xml, "R");
    EXPECT_TRUE(root.has_value()) << xml;
    XmlFields fields(*root);
    ask(fields);
    return code_of(fields.finish());
  };
  auto text = [](XmlFields& f) { (void)f.text("A"); };
  auto need = [](XmlFields& f) { (void)f.need_text("A"); };
  auto integer = [](XmlFields& f) { (void)f.integer("A"); };
  auto boolean = [](XmlFields& f) { (void)f.boolean("A"); };
  EXPECT_EQ(finish("<R><A/></R>", text), "ok");
  EXPECT_EQ(finish("<R><A/><A/></R>", text), "MalformedXML");
  EXPECT_EQ(finish("<R><A><B/></A></R>", text), "MalformedXML");
  EXPECT_EQ(finish("<R><A/><C/></R>", text), "MalformedXML");
  EXPECT_EQ(finish("<R>x</R>", text), "MalformedXML");
  EXPECT_EQ(finish("<R/>", need), "MalformedXML");
  for (std::string bad : {"", "1.0", "x", "9223372036854775808", "1 2", "+1"})
    EXPECT_EQ(finish("<R><A>" + bad + "</A></R>", integer), "MalformedXML") << bad;
  EXPECT_EQ(finish("<R><A>yes</A></R>", boolean), "MalformedXML");
}

}  // namespace
}  // namespace archipel::door::s3
