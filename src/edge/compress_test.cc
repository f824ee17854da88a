#include "edge/compress.h"

#include <brotli/decode.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <map>

#include "edge/coding.h"
#include "http/pipe_stream_test_util.h"

namespace archipel::edge {
namespace {

std::string decode(std::string_view coding, const std::string& text) {
  std::string out(4u << 20, '\0');
  size_t size = out.size();
  if (coding == "br") {
    EXPECT_EQ(BrotliDecoderDecompress(text.size(), reinterpret_cast<const uint8_t*>(text.data()), &size,
                                      reinterpret_cast<uint8_t*>(out.data())),
              BROTLI_DECODER_RESULT_SUCCESS);
  } else if (coding == "zstd") {
    size = ZSTD_decompress(out.data(), out.size(), text.data(), text.size());
    EXPECT_FALSE(ZSTD_isError(size));
  } else {
    z_stream stream{};
    EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
    size = stream.total_out;
    inflateEnd(&stream);
  }
  out.resize(size);
  return out;
}

struct Answer {
  int status = 200;
  http::Headers headers;
  std::string body;
  bool breaks = false;
};

class FakeFetch final : public Fetch {
 public:
  explicit FakeFetch(Answer answer) : answer_(std::move(answer)) {}
  int status() const override { return answer_.status; }
  const http::Headers& headers() const override { return answer_.headers; }
  std::optional<uint64_t> length() const override { return answer_.body.size(); }
  UnixMs requested() const override { return 0; }
  UnixMs received() const override { return 0; }
  io::Task<Result<size_t>> read(MutableBytes out) override {
    size_t n = std::min({out.size(), size_t{1000}, answer_.body.size() - at_});
    if (n == 0 && answer_.breaks) co_return fail(Code::io, "broken off");
    std::copy_n(answer_.body.data() + at_, n, out.data());
    at_ += n;
    co_return n;
  }
  std::unique_ptr<io::Stream> take_stream() override { return nullptr; }
  std::string_view origin() const override { return "fake"; }

 private:
  Answer answer_;
  size_t at_ = 0;
};

class FakeUpstream final : public Upstream {
 public:
  std::map<std::string, Answer> answers;
  std::vector<std::string> asked;
  io::Task<Result<std::unique_ptr<Fetch>>> fetch(FetchRequest request, Deadline) override {
    asked.push_back(request.target);
    auto found = answers.find(request.target);
    Answer answer = found == answers.end() ? Answer{404, {}, "no"} : found->second;
    co_return std::make_unique<FakeFetch>(std::move(answer));
  }
};

struct Got {
  int status = 0;
  http::Headers headers;
  std::string body;
  bool whole = false;
};

struct World {
  http::testing::ManualLoop loop;
  std::shared_ptr<FakeUpstream> inner = std::make_shared<FakeUpstream>();
  CompressPolicy policy{true, {"text/*", "application/json"}, 100, false};

  Got fetch(std::string target, std::initializer_list<std::pair<const char*, const char*>> fields,
            std::string method = "GET") {
    FetchRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    for (auto [name, value] : fields) request.headers.add(name, value);
    Got got;
    auto task = run(compressing(inner, policy), std::move(request), &got);
    loop.settle();
    EXPECT_TRUE(task.done());
    return got;
  }
  static io::Task<void> run(std::shared_ptr<Upstream> upstream, FetchRequest request, Got* got) {
    auto fetch = co_await upstream->fetch(std::move(request), kNoDeadline);
    got->status = (*fetch)->status();
    got->headers = (*fetch)->headers();
    Buffer buffer(777);
    for (;;) {
      auto n = co_await (*fetch)->read(buffer.span());
      if (!n) co_return;
      if (*n == 0) break;
      got->body += as_text(buffer.view().first(*n));
    }
    got->whole = true;
  }
  Answer page(const char* type = "text/html; charset=utf-8") {
    Answer answer;
    answer.headers.add("content-type", type);
    answer.headers.add("etag", "\"v1\"");
    answer.headers.add("content-length", "300000");
    answer.headers.add("accept-ranges", "bytes");
    for (int i = 0; answer.body.size() < 300'000; ++i)
      answer.body += "line " + std::to_string(i * 7919) + "\n";
    return answer;
  }
};

TEST(Compress, EachCodingGivesTheSameBytesBack) {
  World world;
  world.inner->answers["/a"] = world.page();
  for (const char* coding : {"br", "zstd", "gzip"}) {
    Got got = world.fetch("/a", {{"accept-encoding", coding}});
    EXPECT_EQ(got.headers.get("content-encoding"), coding);
    EXPECT_EQ(got.headers.get("etag"), "W/\"v1\"");
    EXPECT_EQ(got.headers.get("vary"), "accept-encoding");
    EXPECT_FALSE(got.headers.find("content-length"));
    EXPECT_FALSE(got.headers.find("accept-ranges"));
    EXPECT_LT(got.body.size(), world.inner->answers["/a"].body.size() / 2);
    EXPECT_TRUE(decode(coding, got.body) == world.inner->answers["/a"].body) << coding;
  }
}

TEST(Compress, NeverTwiceNorWhatShouldStay) {
  World world;
  auto plain = [&](Answer answer, std::initializer_list<std::pair<const char*, const char*>> fields) {
    world.inner->answers["/a"] = answer;
    Got got = world.fetch("/a", fields);
    return got.body == answer.body &&
           got.headers.get("content-encoding") == answer.headers.get("content-encoding");
  };
  Answer coded = world.page();
  coded.headers.set("content-encoding", "gzip");
  EXPECT_TRUE(plain(coded, {{"accept-encoding", "br"}}));
  Answer fixed = world.page();
  fixed.headers.set("cache-control", "public, no-transform");
  EXPECT_TRUE(plain(fixed, {{"accept-encoding", "br"}}));
  EXPECT_TRUE(plain(world.page("image/png"), {{"accept-encoding", "br"}}));
  EXPECT_TRUE(plain(world.page("text/event-stream"), {{"accept-encoding", "br"}}));
  EXPECT_TRUE(plain(world.page(), {}));
  EXPECT_TRUE(plain(world.page(), {{"accept-encoding", "br"}, {"range", "bytes=0-1"}}));
  Answer brief = world.page();
  brief.body = "short";
  EXPECT_TRUE(plain(brief, {{"accept-encoding", "br"}}));
  Answer missing = world.page();
  missing.status = 404;
  EXPECT_TRUE(plain(missing, {{"accept-encoding", "br"}}));
}

TEST(Compress, AnswersOfACompressibleTypeAlwaysVary) {
  World world;
  world.inner->answers["/a"] = world.page();
  EXPECT_EQ(world.fetch("/a", {}).headers.get("vary"), "accept-encoding");
  world.inner->answers["/a"].headers.set("vary", "Accept-Encoding, Cookie");
  Got got = world.fetch("/a", {{"accept-encoding", "br"}});
  EXPECT_EQ(got.headers.count("vary"), 1u);
}

TEST(Compress, HeadSaysWhatGetWould) {
  World world;
  world.inner->answers["/a"] = world.page();
  world.inner->answers["/a"].body = "";
  Got got = world.fetch("/a", {{"accept-encoding", "br"}}, "HEAD");
  EXPECT_EQ(got.headers.get("content-encoding"), "br");
  EXPECT_FALSE(got.headers.find("content-length"));
  EXPECT_EQ(got.body, "");
}

TEST(Compress, ValidationKeepsTheWeakTag) {
  World world;
  Answer same{304, {}, ""};
  same.headers.add("etag", "\"v1\"");
  world.inner->answers["/a"] = same;
  EXPECT_EQ(world.fetch("/a", {{"accept-encoding", "br"}, {"if-none-match", "W/\"v1\""}}).headers.get("etag"),
            "W/\"v1\"");
  EXPECT_EQ(world.fetch("/a", {{"if-none-match", "\"v1\""}}).headers.get("etag"), "\"v1\"");
}

TEST(Compress, ABodyCutShortNeverLooksWhole) {
  World world;
  world.inner->answers["/a"] = world.page();
  world.inner->answers["/a"].breaks = true;
  EXPECT_FALSE(world.fetch("/a", {{"accept-encoding", "gzip"}}).whole);
}

TEST(Compress, PrecompressedFilesAreAskedForFirst) {
  World world;
  world.policy.precompressed = true;
  world.inner->answers["/a.css.br?v=1"] = Answer{200, {}, "brotli bytes"};
  world.inner->answers["/a.css.br?v=1"].headers.add("content-type", "application/octet-stream");
  world.inner->answers["/a.css?v=1"] = world.page("text/css");
  Got got = world.fetch("/a.css?v=1", {{"accept-encoding", "br"}});
  EXPECT_EQ(got.body, "brotli bytes");
  EXPECT_EQ(got.headers.get("content-type"), "text/css");
  EXPECT_EQ(got.headers.get("content-encoding"), "br");
  EXPECT_EQ(got.headers.get("vary"), "accept-encoding");
  // Not there: compressed here.
  Got made = world.fetch("/a.css?v=1", {{"accept-encoding", "zstd"}});
  EXPECT_EQ(made.headers.get("content-encoding"), "zstd");
  EXPECT_EQ(world.inner->asked, (std::vector<std::string>{"/a.css.br?v=1", "/a.css.zst?v=1", "/a.css?v=1"}));
}

}  // namespace
}  // namespace archipel::edge
