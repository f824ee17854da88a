// Multipart uploads as a client sees them, over a real store.
#include <gtest/gtest.h>

#include "door/s3/testing/real_world.h"
#include "io/sync.h"

namespace archipel::door::s3::testing {
namespace {

struct SentPart {
  int number;
  std::string etag;
};

std::string complete_document(const std::vector<SentPart>& parts) {
  std::string out = "<CompleteMultipartUpload>";
  for (const SentPart& part : parts)
    out += "<Part><PartNumber>" + std::to_string(part.number) + "</PartNumber><ETag>" + part.etag +
           "</ETag></Part>";
  return out + "</CompleteMultipartUpload>";
}

// An upload of /bucket/key under way.
struct Multipart {
  RealWorld& world;
  std::string id;
  std::vector<SentPart> parts{};

  std::string target(int number = 0) const {
    std::string part = number > 0 ? "partNumber=" + std::to_string(number) + "&" : "";
    return "/bucket/key?" + part + "uploadId=" + id;
  }
  io::Task<void> begin() {
    Answer a = co_await world.send("PUT", "/bucket");
    a = co_await world.send("POST", "/bucket/key?uploads");
    EXPECT_EQ(a.status, 200) << a.body;
    id = a.element("UploadId");
  }
  io::Task<void> part(int number, std::string body) {
    Answer a = co_await world.send("PUT", target(number), std::move(body));
    EXPECT_EQ(a.status, 200) << a.body;
    parts.push_back({number, std::string(a.headers.get("etag"))});
  }
  io::Task<Answer> complete(std::vector<SentPart> named) {
    Answer a = co_await world.send("POST", target(), complete_document(named));
    co_return a;
  }
};

const std::string kLarge(5u << 20, 'a');

TEST(MultipartOperations, PartsBecomeAnObjectAndCompleteMayBeRepeated) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    Multipart upload{world, {}};
    co_await upload.begin();
    co_await upload.part(2, "tail");
    co_await upload.part(1, kLarge);
    Answer a = co_await world.send("GET", upload.target());
    EXPECT_EQ(a.elements("PartNumber"), (std::vector<std::string>{"1", "2"}));
    a = co_await world.send("GET", "/bucket?uploads");
    EXPECT_EQ(a.element("UploadId"), upload.id);
    a = co_await world.send("GET", "/bucket/key");
    EXPECT_EQ(a.code(), "NoSuchKey") << "not before it is complete";
    const std::vector<SentPart> named{upload.parts[1], upload.parts[0]};
    a = co_await upload.complete(named);
    EXPECT_EQ(a.status, 200) << a.body;
    EXPECT_TRUE(a.element("ETag").ends_with("-2&quot;")) << a.element("ETag");
    EXPECT_EQ(a.element("Location"), "http://127.0.0.1:9000/bucket/key");
    const std::string first = a.body;
    a = co_await upload.complete(named);
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.body, first) << "a repeated Complete is answered like the first";
    a = co_await world.send("GET", "/bucket/key");
    EXPECT_EQ(a.body, kLarge + "tail");
    a = co_await world.send("GET", "/bucket/key?partNumber=2");
    EXPECT_EQ(a.status, 206);
    EXPECT_EQ(a.body, "tail");
    EXPECT_EQ(a.headers.get("x-amz-mp-parts-count"), "2");
  });
}

TEST(MultipartOperations, CompleteRefusesWhatWasNotUploadedAsItSays) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    Multipart upload{world, {}};
    co_await upload.begin();
    co_await upload.part(1, "short");
    co_await upload.part(2, "last");
    const SentPart one = upload.parts[0], two = upload.parts[1];
    struct {
      std::vector<SentPart> named;
      const char* code;
    } cases[] = {
        {{one, two}, "EntityTooSmall"},   {{two, one}, "InvalidPartOrder"}, {{one, one}, "InvalidPartOrder"},
        {{{1, two.etag}}, "InvalidPart"}, {{{3, one.etag}}, "InvalidPart"}, {{}, "MalformedXML"},
    };
    for (const auto& c : cases) {
      Answer a = co_await upload.complete(c.named);
      EXPECT_EQ(a.code(), c.code);
      EXPECT_EQ(a.status, 400) << c.code;
    }
    Answer a = co_await upload.complete({two});
    EXPECT_EQ(a.status, 200) << "one part may be short: it is the last";
    a = co_await world.send("GET", "/bucket/key");
    EXPECT_EQ(a.body, "last");
  });
}

TEST(MultipartOperations, AbortLeavesNothing) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    Multipart upload{world, {}};
    co_await upload.begin();
    co_await upload.part(1, "gone");
    Answer a = co_await world.send_as(&world.other, "DELETE", upload.target());
    EXPECT_EQ(a.code(), "AccessDenied");
    a = co_await world.send("DELETE", upload.target());
    EXPECT_EQ(a.status, 204);
    for (const char* method : {"GET", "DELETE"}) {
      a = co_await world.send(method, upload.target());
      EXPECT_EQ(a.code(), "NoSuchUpload") << method;
    }
    a = co_await world.send("PUT", upload.target(1), "late");
    EXPECT_EQ(a.code(), "NoSuchUpload");
    a = co_await upload.complete(upload.parts);
    EXPECT_EQ(a.code(), "NoSuchUpload");
    a = co_await world.send("GET", "/bucket?uploads");
    EXPECT_EQ(a.element("UploadId"), "");
  });
}

TEST(MultipartOperations, NumbersAndNamesOutOfBoundsAreRefused) {
  with_world(+[](RealWorld& world) -> io::Task<void> {
    Multipart upload{world, {}};
    co_await upload.begin();
    for (const char* number : {"0", "10001", "-1", "x", "18446744073709551617"}) {
      Answer a = co_await world.send(
          "PUT", "/bucket/key?partNumber=" + std::string(number) + "&uploadId=" + upload.id, "x");
      EXPECT_EQ(a.code(), "InvalidArgument") << number;
    }
    for (const char* id : {"", "nonsense", "00000000000000000000000000000000"}) {
      Answer a = co_await world.send("PUT", "/bucket/key?partNumber=1&uploadId=" + std::string(id), "x");
      EXPECT_EQ(a.code(), "NoSuchUpload") << id;
    }
    Answer a = co_await world.send("PUT", "/bucket/other?partNumber=1&uploadId=" + upload.id, "x");
    EXPECT_EQ(a.code(), "NoSuchUpload") << "an upload belongs to its key";
  });
}

}  // namespace
}  // namespace archipel::door::s3::testing
