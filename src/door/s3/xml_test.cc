#include "door/s3/xml.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "door/s3/target.h"

namespace archipel::door::s3 {
namespace {

std::string error_of(const Result<DeleteDocument>& r) {
  return r ? "" : r.error().detail;
}

TEST(XmlWriter, EscapesWhatAParserWouldChange) {
  XmlWriter xml("Root", {});
  xml.element("Key", std::string_view("a&b<c>\"d'\r\n\t\x01\x1f\x7f\xc3\xa9"));
  EXPECT_EQ(xml.take(),
            "<?xml version=\"1.0\" "
            "encoding=\"UTF-8\"?>\n<Root><Key>a&amp;b&lt;c&gt;&quot;d'&#xd;&#xa;&#x9;&#x1;&#x1f;\x7f\xc3\xa9"
            "</Key></Root>");
}

// Keys written by the writer come back from the parser: what a client that escapes like us can delete.
Result<DeleteDocument> read_delete(std::string_view xml) {
  return parse_delete(xml, 1'700'000'000'000);
}
std::vector<std::string> keys_of(const DeleteDocument& document) {
  std::vector<std::string> out;
  for (const store::DeleteItem& item : document.items) out.push_back(item.key);
  return out;
}

RC_GTEST_PROP(XmlWriter, KeysSurviveWritingAndParsing, ()) {
  std::string key;
  for (uint32_t c : *rc::gen::nonEmpty(
           rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange<uint32_t>(0x20, 0x800)))) {
    if (c >= 0x80) {
      key += static_cast<char>(0xc0 | c >> 6);
      key += static_cast<char>(0x80 | (c & 0x3f));
    } else {
      key += static_cast<char>(c);
    }
  }
  XmlWriter xml("Delete");
  xml.open("Object").element("Key", key).close().element("Quiet", true);
  auto parsed = read_delete(xml.take());
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(keys_of(*parsed) == std::vector<std::string>{key});
  RC_ASSERT(parsed->quiet);
}

TEST(ParseDelete, TakesWhatClientsSend) {
  auto parsed = read_delete(
      "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete "
      "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n"
      "  <Object><Key> spaced </Key></Object><!-- <&bogus; "
      "--><Object><Key>a&#x20;&amp;&#233;</Key><VersionId>null</VersionId></Object>"
      "<Object><Key><![CDATA[<&x;>]]></Key></Object></Delete>");
  ASSERT_TRUE(parsed) << parsed.error().describe();
  EXPECT_EQ(keys_of(*parsed), (std::vector<std::string>{" spaced ", "a &\xc3\xa9", "<&x;>"}));
  EXPECT_FALSE(parsed->quiet);
}

TEST(ParseDelete, TakesAPrefixBlanksAndEveryCharacterOfXml) {
  auto parsed = read_delete(
      "\n<s3:Delete xmlns:s3=\"http://s3.amazonaws.com/doc/2006-03-01/\"><s3:Quiet> true\n</s3:Quiet>"
      "<s3:Object><s3:Key>a&#9;&#xA;&#13;&#xfffd;&#x10ffff;\xf4\x8f\xbf\xbf</s3:Key></s3:Object></"
      "s3:Delete>\n ");
  ASSERT_TRUE(parsed) << parsed.error().describe();
  EXPECT_EQ(keys_of(*parsed),
            (std::vector<std::string>{"a\t\n\r\xef\xbf\xbd\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf"}));
  EXPECT_TRUE(parsed->quiet);
}

TEST(ParseDelete, RefusesTheRest) {
  auto with = [](std::string inner) { return "<Delete>" + std::move(inner) + "</Delete>"; };
  const std::string malformed[] = {
      "",
      "hello",
      "<Delete>",
      "<Delete/>",
      "<Other/>",
      "<Delete></Delete><Delete/>",
      with("<Object></Object>"),
      with("<Object><Key></Key></Object>"),
      with("<Object><Key>a</Key><Key>b</Key></Object>"),
      with("<Object><Key>a<b/></Key></Object>"),
      with("<Thing/>"),
      with("<Object><Key>a</Key><What/></Object>"),
      with("<Object><Key>a</Key></Object><Quiet>maybe</Quiet>"),
      with("<Object><Key>a&#0;b</Key></Object>"),  // would otherwise delete "a"
      with("<Object><Key>a&#x0;b</Key></Object>"),
      with("<Object><Key>a&unknown;b</Key></Object>"),
      with("<Object><Key>a&b</Key></Object>"),
      with("<Object><Key>a&#xd800;</Key></Object>"),
      with("<Object><Key>a&#xfffe;</Key></Object>"),
      with("<Object><Key>a&#65535;</Key></Object>"),
      with("<Object><Key>a&#1;</Key></Object>"),  // cannot be in an answer that parsers read
      with("<Object><Key>a&#x1f;</Key></Object>"),
      with("<Object><Key>a\x01</Key></Object>"),
      with("<Object><Key><![CDATA[a\x1f]]></Key></Object>"),
      with("<Object><Key>a\xef\xbf\xbe</Key></Object>"),
      with("<Object><Key>a\xef\xbf\xbf</Key></Object>"),
      "text" + with("<Object><Key>a</Key></Object>"),
      with("<Object><Key>a</Key></Object>") + "text",
      with("<Object><Key>a</Key></Object>") + "<![CDATA[ ]]>",
      "<x:Delete><x:Object><x:Key>a</x:Key></x:Object></x:Delete>",  // an unbound prefix
      "<x:Delete xmlns:x=\"u\"><x:Object><Key>a</Key></x:Object></x:Delete>",
      "<Delete xmlns:y=\"v\"><Object><y:Key>a</y:Key></Object></Delete>",
      with("<Object><Key>\xff</Key></Object>"),
      with(std::string("<Object><Key>a\0b</Key></Object>", 31)),
      "<!DOCTYPE d [<!ENTITY x \"y\">]><Delete><Object><Key>&x;</Key></Object></Delete>",
      "<!DOCTYPE Delete><Delete><Object><Key>a</Key></Object></Delete>",
  };
  for (const std::string& xml : malformed) EXPECT_EQ(error_of(read_delete(xml)), "MalformedXML") << xml;
}

TEST(ParseDelete, ReadsVersionsAndConditions) {
  auto parsed = read_delete(
      "<Delete><Object><Key>a</Key><VersionId>null</VersionId></Object><Object><Key>a</Key><ETag>\"e\"</ETag>"
      "<LastModifiedTime>Sun, 06 Nov 1994 08:49:37 GMT</LastModifiedTime><Size>7</Size></Object></Delete>");
  ASSERT_TRUE(parsed) << parsed.error().describe();
  ASSERT_EQ(parsed->items.size(), 2u);
  EXPECT_EQ(parsed->items[0].version, "null");
  EXPECT_FALSE(parsed->items[1].version);
  EXPECT_EQ(parsed->items[1].conditions.if_match, std::vector<std::string>{"e"});
  EXPECT_EQ(parsed->items[1].if_modified_ms, 784'111'777'000);
  EXPECT_EQ(parsed->items[1].if_size, 7u);
  EXPECT_EQ(error_of(read_delete("<Delete><Object><Key>a</Key><Size>x</Size></Object></Delete>")),
            "MalformedXML");
}

TEST(ParseDelete, ThousandKeysAndNotOneMore) {
  auto document = [](size_t n) {
    std::string xml = "<Delete>";
    for (size_t i = 0; i < n; ++i)
      xml += "<Object><Key>" + std::string(1000, 'k') + std::to_string(i) + "</Key></Object>";
    return xml + "</Delete>";
  };
  auto full = read_delete(document(kDeleteKeysMax));
  ASSERT_TRUE(full);
  EXPECT_EQ(full->items.size(), kDeleteKeysMax);
  EXPECT_LT(document(kDeleteKeysMax).size(), kDeleteDocumentBytesMax);
  EXPECT_EQ(error_of(read_delete(document(kDeleteKeysMax + 1))), "MalformedXML");
}

TEST(ParseDelete, DeepNestingIsRefusedWithoutRecursion) {
  std::string xml = "<Delete>";
  for (int i = 0; i < 300'000; ++i) xml += "<a>";
  for (int i = 0; i < 300'000; ++i) xml += "</a>";
  EXPECT_EQ(error_of(read_delete(xml + "</Delete>")), "MalformedXML");
}

TEST(Xml, ReadsASmallDocumentAsATree) {
  auto tree = parse_xml(
      "<s:Tagging xmlns:s='urn:x' xmlns:i='urn:i'><s:TagSet><s:Tag i:type='T'><s:Key> a&amp;b "
      "</s:Key><s:Value/>"
      "</s:Tag><!-- note --></s:TagSet> </s:Tagging>",
      "Tagging");
  ASSERT_TRUE(tree.has_value());
  const XmlElement* set = tree->child("TagSet");
  ASSERT_NE(set, nullptr);
  ASSERT_EQ(set->children.size(), 1u);
  const XmlElement& tag = set->children[0];
  EXPECT_EQ(tag.attribute("type"), "T");
  EXPECT_EQ(tag.child("Key")->text, " a&b ");
  EXPECT_EQ(tag.value("Key"), "a&b");
  EXPECT_EQ(tag.value("Value"), "");
  EXPECT_TRUE(tag.has_only({"Key", "Value"}));
  EXPECT_FALSE(tag.has_only({"Key"}));
}

TEST(Xml, TellsAChildThatMayRepeatFromOneThatMayNot) {
  auto tree = parse_xml("<R><A/><A/><B/></R>", "R");
  ASSERT_TRUE(tree.has_value());
  EXPECT_TRUE(tree->has_only({"A*", "B"}));
  EXPECT_FALSE(tree->has_only({"A", "B"}));
}

TEST(Xml, RefusesTreesThatAreTooDeepTooLargeOrMixed) {
  std::string deep, many = "<R>";
  for (size_t i = 0; i < kXmlDepthMax; ++i) deep = "<R>" + deep + "</R>";
  EXPECT_TRUE(parse_xml(deep, "R").has_value());
  EXPECT_FALSE(parse_xml("<R>" + deep + "</R>", "R").has_value());
  for (size_t i = 0; i < kXmlElementsMax; ++i) many += "<A/>";
  EXPECT_FALSE(parse_xml(many + "</R>", "R").has_value());
  EXPECT_FALSE(parse_xml("<R>text<A/></R>", "R").has_value());
  EXPECT_FALSE(parse_xml("<!DOCTYPE R [<!ENTITY x 'y'>]><R>&x;</R>", "R").has_value());
  EXPECT_FALSE(parse_xml("<Other/>", "R").has_value());
}

}  // namespace
}  // namespace archipel::door::s3
