#include "edge/key.h"

#include <gtest/gtest.h>

#include <set>

namespace archipel::edge {
namespace {

http::Request ask(std::string target, std::string host = "a.example", bool secure = false) {
  http::Request out;
  out.method = "GET";
  out.target = std::move(target);
  out.headers.add("host", std::move(host));
  out.secure = secure;
  return out;
}
std::string key_of(const http::Request& r, const KeyPolicy& policy = {}) {
  return primary_key("site", r, policy);
}
std::string variant(const std::string& name, std::vector<std::string> lines, bool sort = false) {
  http::Headers headers;
  for (std::string& line : lines) headers.add(name, std::move(line));
  return variant_key("p", {name}, headers, sort);
}

// A key that lacks the authority serves one tenant's page to another.
TEST(Key, CacheKeyHoldsTheAuthority) {
  EXPECT_NE(key_of(ask("/", "a.example")), key_of(ask("/", "b.example")));
  EXPECT_NE(key_of(ask("/", "a.example")), key_of(ask("/", "a.example:8080")));
  EXPECT_NE(key_of(ask("/")), key_of(ask("/", "a.example", true)));
  EXPECT_EQ(key_of(ask("/", "A.Example:80")), key_of(ask("/")));
  EXPECT_EQ(key_of(ask("/", "a.example:443", true)), key_of(ask("/", "a.example", true)));
  EXPECT_NE(primary_key("one", ask("/"), {}), primary_key("two", ask("/"), {}));
}

// Lines of a keyed field are not one value: the origin sees the difference.
TEST(Key, PoisoningByLinesOfAKeyedField) {
  const KeyPolicy keyed{.header_names = {"x-device"}};
  http::Request two = ask("/"), one = ask("/"), none = ask("/"), empty = ask("/");
  two.headers.add("x-device", "a");
  two.headers.add("x-device", "b");
  one.headers.add("x-device", "a:b");
  empty.headers.add("x-device", "");
  EXPECT_EQ((std::set<std::string>{key_of(two, keyed), key_of(one, keyed), key_of(none, keyed),
                                   key_of(empty, keyed)}
                 .size()),
            4u);
}

// Web cache deception: the delimiters that origins cut a path at are part of it here.
TEST(Key, DeceptionByPathDelimitersNeverJoinsTwoTargets) {
  std::set<std::string> keys;
  const std::vector<std::string> targets = {
      "/account",          "/account/",        "/account/x.css",   "/account;x.css", "/account%2fx.css",
      "/account%2Fx.css",  "/account%00x.css", "/account%3fx.css", "/account?x.css", "/account/..%2fx.css",
      "/account/../x.css", "/account//x.css",  "/ACCOUNT"};
  for (const std::string& target : targets) {
    keys.insert(key_of(ask(target)));
    EXPECT_EQ(keyed_target(target, {}), target);
  }
  EXPECT_EQ(keys.size(), targets.size());
}

TEST(Key, TheQueryIsCutForKeyAndOriginAlike) {
  KeyPolicy ignore{.ignored_names = {"utm_source"}, .sort_query = true};
  EXPECT_EQ(keyed_target("/p?b=2&utm_source=x&a=1&b=1", ignore), "/p?a=1&b=2&b=1");
  EXPECT_EQ(keyed_target("/p?utm_source=x", ignore), "/p");
  EXPECT_EQ(key_of(ask("/p?utm_source=x"), ignore), key_of(ask("/p"), ignore));
  KeyPolicy only{.whole_query = false, .query_names = {"id", "page"}};
  EXPECT_EQ(keyed_target("/p?page=2&x=1&id=7&id=8", only), "/p?id=7&id=8&page=2");
  EXPECT_NE(key_of(ask("/p?a=1")), key_of(ask("/p?a=2")));
}

TEST(Key, KeyedFieldsAndTheirAbsenceDiffer) {
  KeyPolicy policy{.header_names = {"x-device"}};
  auto with = [](std::string value) {
    auto r = ask("/");
    r.headers.add("x-device", std::move(value));
    return r;
  };
  EXPECT_NE(key_of(with("a"), policy), key_of(with("b"), policy));
  EXPECT_NE(key_of(with(""), policy), key_of(ask("/"), policy));
}

TEST(Key, TooLongIsNoKey) {
  EXPECT_EQ(key_of(ask("/" + std::string(kKeyBytesMax, 'a'))), "");
  EXPECT_EQ(variant("x", {std::string(kKeyBytesMax, 'a')}), "");
}

TEST(Vary, AcceptEncodingIsWhatWeServe) {
  EXPECT_EQ(normal_encodings("gzip, deflate, br"), "br, gzip");
  EXPECT_EQ(normal_encodings("br;q=1.0, GZIP;q=0.5, *;q=0"), "br, gzip");
  EXPECT_EQ(normal_encodings("gzip;q=0, *"), "br, zstd");
  EXPECT_EQ(normal_encodings("identity"), "");
  EXPECT_EQ(variant("accept-encoding", {"br,gzip,deflate"}),
            variant("accept-encoding", {"gzip;q=0.1", "br"}));
  EXPECT_EQ(variant("accept-encoding", {"identity"}), variant("accept-encoding", {}));
  EXPECT_NE(variant("accept-encoding", {"br"}), variant("accept-encoding", {"gzip"}));
}

TEST(Vary, AcceptLanguage) {
  EXPECT_EQ(variant("accept-language", {"en, de"}), variant("accept-language", {" eN ,   De"}));
  EXPECT_EQ(variant("accept-language", {"en;q=0.8, de"}), variant("accept-language", {"de, en;q=0.80"}));
  EXPECT_NE(variant("accept-language", {"en, de"}), variant("accept-language", {"de, en"}));
  EXPECT_EQ(variant("accept-language", {"en, de"}, true), variant("accept-language", {"de, en"}, true));
}

TEST(Vary, OtherFieldsLoseOnlyWhatMeansNothing) {
  EXPECT_EQ(variant("foo", {"1,2"}), variant("foo", {" 1, 2 "}));
  EXPECT_EQ(variant("foo", {"1, 2"}), variant("foo", {"1", "2"}));
  EXPECT_NE(variant("foo", {"1"}), variant("foo", {"2"}));
  EXPECT_NE(variant("foo", {""}), variant("foo", {}));
  EXPECT_NE(variant("cookie", {"a=1,2"}), variant("cookie", {"a=1, 2"}));
}

TEST(Vary, NamesOfAResponse) {
  http::Headers h;
  h.add("vary", "Foo, accept-encoding");
  h.add("vary", "bar,foo");
  EXPECT_EQ(vary_names(h), (std::vector<std::string>{"accept-encoding", "bar", "foo"}));
  h.add("vary", ", *");
  EXPECT_FALSE(vary_names(h));
  http::Headers coded;
  coded.add("content-encoding", "gzip");
  EXPECT_EQ(vary_names(coded), std::vector<std::string>{"accept-encoding"});
  http::Headers many;
  for (size_t i = 0; i <= kVaryNamesMax; i++) many.add("vary", "f" + std::to_string(i));
  EXPECT_FALSE(vary_names(many));
}

// Each length: where a string grows, some libraries' resize_and_overwrite() tells of more room than was asked for.
TEST(Key, AHostOfAnyLengthIsItselfAndNoMore) {
  for (size_t size = 1; size <= 100; ++size) {
    http::Request request;
    request.target = "/";
    request.headers.add("host", std::string(size, 'A'));
    EXPECT_EQ(keyed_host(request), std::string(size, 'a'));
    EXPECT_EQ(request_origin(request), "http://" + std::string(size, 'a'));
    EXPECT_EQ(primary_key("s", request, {}), "s\nhttp://" + std::string(size, 'a') + "/");
  }
}

}  // namespace
}  // namespace archipel::edge
