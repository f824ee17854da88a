// Any bytes behind the preface of an HTTP/2 connection: no crash, every handler ends, and what the server says is a row of whole frames.
#include "http/h2_frame.h"
#include "http/pipe_stream_test_util.h"
#include "http/server.h"

namespace archipel::http {
namespace {

// Reads the body, and answers with what was asked for: by the length of the target in several ways.
io::Task<void> answer(Exchange& e) {
  Buffer buffer(700);
  const size_t way = e.request().target.size() % 4;
  while (way != 0) {
    auto got = co_await e.read_body(buffer.span());
    if (!got) co_return;
    if (*got == 0) break;
  }
  static const std::string text(40'000, 't');
  const std::array<ByteView, 2> parts = {as_bytes(text), as_bytes("end")};
  if (way == 1) {
    auto sent = co_await e.respond_stored({}, parts);
    co_return;
  }
  if (way == 2) {
    auto hinted = co_await e.interim(103, {});
    if (!hinted) co_return;
  }
  auto started = co_await e.start({}, std::nullopt);
  if (!started) co_return;
  auto written = co_await e.write(parts[0]);
  if (!written) co_return;
  if (way == 3) co_return;  // never whole
  auto finished = co_await e.finish();
}

void check_frames(std::string_view said) {
  H2FrameReader reader;
  ByteView in = as_bytes(said);
  size_t expected = 0;
  for (;;) {
    const auto step = reader.next(in);
    if (step == H2FrameReader::Step::more) break;
    if (step == H2FrameReader::Step::begin) {
      CHECK(reader.header().length <= kH2FrameBytesMax && reader.header().type <= H2Frame::continuation);
      expected += kH2FrameHeaderBytes + reader.header().length;
    }
  }
  CHECK(expected >= said.size());
}

void serve(std::string_view bytes, size_t read_max, size_t step) {
  testing::ManualLoop loop;
  testing::FakeClock clock;
  testing::PipeListener listener;
  std::unique_ptr<Server> server =
      make_server(loop, answer, {}, clock, plain_page, ServerOptions{.h2_in_clear = true});
  io::Task<void> serving = server->serve(listener);
  testing::Client client = listener.connect(read_max);
  client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  std::string said;
  while (!bytes.empty()) {
    client.send(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    loop.settle();
    said += client.take();
  }
  client.end();
  loop.settle();
  server->drain();
  loop.advance(std::chrono::hours(1));
  said += client.take();
  CHECK(serving.done());
  check_frames(said);
}

}  // namespace
}  // namespace archipel::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input = archipel::as_text({data, size});
  archipel::http::serve(input, SIZE_MAX, SIZE_MAX);
  if (size > 0 && size < 2000) archipel::http::serve(input, 1 + data[0] % 40, 1 + data[size / 2]);
  return 0;
}
