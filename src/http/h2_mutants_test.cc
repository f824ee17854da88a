// Any bytes on an HTTP/2 connection: no crash, no handler left behind, and whoever keeps to the protocol on another connection is served.
#include <gtest/gtest.h>

#include "base/random.h"
#include "http/h2_test_util.h"

namespace archipel::http {
namespace {

using namespace testing;  // NOLINT: the test's own helpers

// Reads the body or not, answers in one of several ways, by the request's target.
io::Task<void> anything(Exchange& e, Desk& d) {
  ++d.calls;
  const std::string& target = e.request().target;
  if (target != "/unread") {
    Buffer buffer(1000);
    for (;;) {
      auto got = co_await e.read_body(buffer.span());
      if (!got) co_return;
      if (*got == 0) break;
    }
  }
  static const std::string large(300'000, 'l');
  const std::array<ByteView, 2> parts = {as_bytes(large), as_bytes("end")};
  if (target == "/silent") co_return;
  if (target == "/stored") {
    auto sent = co_await e.respond_stored({}, parts);
    if (!sent) co_return;
  } else if (target == "/stream") {
    Response response;
    auto started = co_await e.start(std::move(response), std::nullopt);
    if (!started) co_return;
    for (int i = 0; i < 5; ++i) {
      auto written = co_await e.write(as_bytes(large).first(20'000));
      if (!written) co_return;
    }
    if (e.request().method == "GET") {
      auto finished = co_await e.finish();
      if (!finished) co_return;
    }
  } else {
    Response response;
    auto sent = co_await e.respond(std::move(response), "small");
    if (!sent) co_return;
  }
}

std::string plausible_frame(Random& random, uint32_t& next_stream) {
  static const char* const kTargets[] = {"/", "/unread", "/silent", "/stored", "/stream"};
  const auto dice = [&random](uint64_t sides) { return random.u64() % sides; };
  const auto stream = static_cast<uint32_t>(dice(next_stream + 4));
  switch (dice(12)) {
    case 0:
    case 1:
    case 2: {
      const auto id = next_stream;
      next_stream += 2;
      return headers_frame(id, request_fields(dice(2) == 0 ? "GET" : "POST", kTargets[dice(5)]),
                           dice(2) == 0 ? kEndHeaders | kEndStream : kEndHeaders);
    }
    case 3:
      return frame(kData, static_cast<uint8_t>(dice(2)), stream, std::string(dice(20'000), 'd'));
    case 4:
      return frame(kRst, 0, stream, number(dice(14), 4));
    case 5:
      return frame(kSettings, 0, 0, number(dice(8), 2) + number(dice(1u << 20), 4));
    case 6:
      return frame(kWindow, 0, dice(2) == 0 ? 0 : stream, number(dice(100'000), 4));
    case 7:
      return frame(kPing, static_cast<uint8_t>(dice(2)), 0, "12345678");
    case 8:
      return frame(kHeaders, static_cast<uint8_t>(dice(256)), stream, hpack(request_fields()));
    case 9:
      return frame(kContinuation, static_cast<uint8_t>(dice(256)), stream, hpack({{"x", "y"}}));
    case 10:
      return frame(static_cast<uint8_t>(dice(256)), static_cast<uint8_t>(dice(256)), stream,
                   std::string(dice(40), static_cast<char>(dice(256))));
    default:
      return frame(kSettings, kAck, 0, "");
  }
}

TEST(Http2Mutants, SurvivesAnythingAndServesOthers) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    std::unique_ptr<Random> random = seeded_random(seed);
    Limits limits;
    limits.body_timeout = std::chrono::seconds(5);
    Harness h(anything, limits, plain_page, kH2);
    H2Client good(h);
    Client bad = h.connect(1 + random->u64() % 5000);
    if (random->u64() % 3 == 0) bad.from_server->capacity = random->u64() % 100'000;
    std::string bytes = std::string(kH2Preface) + frame(kSettings, 0, 0, "");
    uint32_t next_stream = 1;
    for (uint64_t i = random->u64() % 60; i > 0; --i) bytes += plausible_frame(*random, next_stream);
    for (uint64_t i = random->u64() % 4; i > 0; --i)
      bytes[24 + random->u64() % (bytes.size() - 24)] = static_cast<char>(random->u64());
    while (!bytes.empty()) {
      const size_t step = std::min<size_t>(bytes.size(), 1 + random->u64() % 20'000);
      bad.send(bytes.substr(0, step));
      bytes.erase(0, step);
      h.loop.settle();
      if (random->u64() % 2 == 0) bad.take();
      if (random->u64() % 8 == 0) h.loop.advance(std::chrono::seconds(random->u64() % 4));
    }
    if (random->u64() % 2 == 0)
      bad.reset();
    else
      bad.end();
    h.loop.settle();
    ASSERT_EQ(good.ask(1, request_fields("GET", "/")).body, "small") << "seed " << seed;
    // The harness checks at its end that every handler has returned.
  }
}

}  // namespace
}  // namespace archipel::http
