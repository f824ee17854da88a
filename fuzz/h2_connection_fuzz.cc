// Any bytes on an HTTP/2 connection. Properties: what the server sends is HTTP/2, each stream's frames in an order that RFC 9113 §5.1 allows and header blocks
// that decode; when the client is gone no handler is left behind and no stream is open.
#include <array>
#include <map>

#include "fuzz_support.h"
#include "http/h2_frame.h"
#include "http/hpack_decoder.h"
#include "http/pipe_stream_test_util.h"
#include "http/server.h"

using namespace archipel;
using namespace archipel::http;
using namespace archipel::http::testing;

namespace {

// Reads the body or not, and answers in one of several ways, by the request's target.
io::Task<void> handle(Exchange& e) {
  const std::string& target = e.request().target;
  const char how = target.back();
  if (how == 'i') {
    Headers hints;
    hints.add("link", "</style.css>");
    auto told = co_await e.interim(103, std::move(hints));
    if (!told) co_return;
  }
  if (how != 'u') {
    Buffer buffer(1000);
    for (;;) {
      auto got = co_await e.read_body(buffer.span());
      if (!got) co_return;
      if (*got == 0) break;
    }
  }
  static const std::string large(200'000, 'l');
  const std::array<ByteView, 2> parts = {as_bytes(large), as_bytes("end")};
  if (how == 'n') co_return;  // the server's own answer
  if (how == 's') {
    auto sent = co_await e.respond_stored({}, parts);
    if (!sent) co_return;
  } else if (how == 'w') {
    Response response;
    response.headers.add("x-long", large.substr(0, 20'000));
    auto started = co_await e.start(std::move(response), std::nullopt);
    if (!started) co_return;
    for (int i = 0; i < 3; ++i) {
      auto written = co_await e.write(as_bytes(large).first(20'000));
      if (!written) co_return;
    }
    if (e.request().method != "GET") co_return;  // breaks off
    auto finished = co_await e.finish();
    if (!finished) co_return;
  } else {
    Response response;
    auto sent = co_await e.respond(std::move(response), "small");
    if (!sent) co_return;
  }
}

// What the client hears.
class Listener {
 public:
  void hear(std::string_view bytes) {
    ByteView in = as_bytes(bytes);
    for (;;) {
      const H2FrameReader::Step step = reader_.next(in);
      if (step == H2FrameReader::Step::more) return;
      if (step == H2FrameReader::Step::begin) MUST(reader_.header().length <= kH2FrameBytesMax);
      if (step == H2FrameReader::Step::frame) take(reader_.header(), reader_.payload());
    }
  }

 private:
  struct Stream {
    bool head = false, ended = false, reset = false;
  };
  static void first_field(void* to, std::string_view name, std::string_view value, uint8_t& /*note*/) {
    auto& status = *static_cast<std::string*>(to);
    if (!status.empty()) return;
    MUST(name == ":status" && value.size() == 3);
    status = value;
  }

  void take(const H2FrameHeader& h, ByteView payload) {
    MUST(block_stream_ == 0 || (h.type == H2Frame::continuation && h.stream == block_stream_));
    Stream& stream = streams_[h.stream];
    switch (h.type) {
      case H2Frame::headers:
        MUST(h.stream % 2 == 1 && !stream.head && !stream.ended && !stream.reset);
        stream.ended = h.has(kH2EndStream);
        block_.assign(as_text(payload));
        return h.has(kH2EndHeaders) ? block(stream) : void(block_stream_ = h.stream);
      case H2Frame::continuation:
        MUST(block_stream_ == h.stream && h.stream != 0);
        block_.append(as_text(payload));
        if (!h.has(kH2EndHeaders)) return;
        block_stream_ = 0;
        return block(stream);
      case H2Frame::data:
        MUST(h.stream != 0 && stream.head && !stream.ended && !stream.reset);
        stream.ended = h.has(kH2EndStream);
        return;
      case H2Frame::rst_stream:
        MUST(h.stream != 0 && payload.size() == 4 && !stream.reset);
        stream.reset = true;
        return;
      case H2Frame::window_update:
        MUST(payload.size() == 4 && read_u32(payload.data()) > 0 && !stream.reset);
        return;
      case H2Frame::settings:
        MUST(h.stream == 0 && payload.size() % 6 == 0 && (!h.has(kH2Ack) || payload.empty()));
        return;
      case H2Frame::ping:
        MUST(h.stream == 0 && payload.size() == 8);
        return;
      case H2Frame::goaway:
        MUST(h.stream == 0 && payload.size() == 8);
        return;
      default:
        MUST(false);
    }
  }
  void block(Stream& stream) {
    std::string status;
    MUST(decoder_.decode(as_bytes(block_), first_field, &status));
    MUST(!status.empty());
    if (status[0] == '1')
      MUST(!stream.ended);
    else
      stream.head = true;
  }

  H2FrameReader reader_;
  HpackDecoder decoder_;
  std::map<uint32_t, Stream> streams_;
  uint32_t block_stream_ = 0;
  std::string block_;
};

}  // namespace

// The first two bytes: how much comes at once, how much of the answers the wire takes, how often they are read; then what is said behind the preface.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > (16u << 10)) return 0;
  static constexpr size_t kPieces[] = {1, 7, 40, 300, 5000, SIZE_MAX, SIZE_MAX, SIZE_MAX};
  static constexpr size_t kRooms[] = {0, 500, 20'000, SIZE_MAX};
  const uint8_t how = data[0], when = data[1];
  std::string said(as_text(ByteView(data + 2, size - 2)));
  if (how % 2 == 0) said.insert(0, std::string_view("\0\0\0\4\0\0\0\0\0", 9));
  said.insert(0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

  ManualLoop loop;
  FakeClock clock;
  PipeListener listener;
  int running = 0;
  Limits limits;
  limits.body_timeout = std::chrono::seconds(5);
  auto counted = [](Exchange& e, int& count) -> io::Task<void> {
    ++count;
    io::Task<void> handling = handle(e);
    co_await std::move(handling);
    --count;
  };
  auto server = make_server(loop, [&](Exchange& e) { return counted(e, running); }, limits, clock, plain_page,
                            {.h2_in_clear = true});
  io::Task<void> serving = server->serve(listener);
  Listener heard;
  Client client = listener.connect();
  client.from_server->capacity = kRooms[how / 2 % 4];
  loop.settle();
  const size_t piece = kPieces[how / 8 % 8];
  for (size_t at = 0, turn = 0; at < said.size(); at += std::min(piece, said.size() - at), ++turn) {
    client.send(std::string_view(said).substr(at, piece));
    loop.settle();
    if (turn % 8 == 0 || when % 2 == 0) heard.hear(client.take());
    if (when % 4 >= 2 && turn % 16 == 0) loop.advance(std::chrono::seconds(when / 16));
    if (when / 4 % 4 == 3 && turn == when / 16u) server->drain();
  }
  for (int i = 0; i < 20; ++i) {
    loop.settle();
    heard.hear(client.take());
  }
  if (when / 4 % 2 == 0)
    client.end();
  else
    client.reset();
  loop.advance(std::chrono::seconds(30));
  heard.hear(client.take());
  MUST(running == 0);
  server->drain();
  loop.advance(std::chrono::hours(1));
  MUST(serving.done());
  return 0;
}
