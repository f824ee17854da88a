// HTTP/2 as nghttp2's client speaks it, which checks every frame and header block of ours by rules of its own.
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "base/random.h"
#include "http/h2_test_util.h"
#include "http/h2_writer.h"
#include "http/hpack_decoder.h"
#include "http/hpack_encoder.h"
#include "http/hpack_table.h"
#include "http/huffman.h"

namespace archipel::http {
namespace {

using namespace testing;  // NOLINT: the test's own helpers

struct PeerAnswer {
  Fields fields;
  std::string body;
  std::optional<uint32_t> closed;  // its error
};

class Peer {
 public:
  Peer(Harness& harness, const std::vector<nghttp2_settings_entry>& settings)
      : harness_(harness), wire_(harness.connect()) {
    nghttp2_session_callbacks* callbacks = nullptr;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* f, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void* user) {
          of(user).answers[f->hd.stream_id].fields.emplace_back(as_text({name, name_size}),
                                                                as_text({value, value_size}));
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks, [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* user) {
          of(user).answers[id].body += as_text({data, size});
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, int32_t id, uint32_t error, void* user) {
          of(user).answers[id].closed = error;
          return 0;
        });
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame*, int error, void* user) {
          of(user).wrong += std::string(nghttp2_strerror(error)) + "\n";
          return 0;
        });
    CHECK(nghttp2_session_client_new(&session_, callbacks, this) == 0);
    nghttp2_session_callbacks_del(callbacks);
    CHECK(nghttp2_submit_settings(session_, 0, settings.data(), settings.size()) == 0);
  }
  Peer(const Peer&) = delete;
  ~Peer() { nghttp2_session_del(session_); }

  int32_t ask(std::string method, std::string path, std::string body = "") {
    Fields fields = request_fields(method, path);
    std::vector<nghttp2_nv> list;
    for (auto& [name, value] : fields)
      list.push_back({reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()),
                      name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
    nghttp2_data_provider provider{};
    bodies_.push_back(std::make_unique<std::string>(std::move(body)));
    provider.source.ptr = bodies_.back().get();
    provider.read_callback = [](nghttp2_session*, int32_t, uint8_t* to, size_t most, uint32_t* flags,
                                nghttp2_data_source* source, void*) -> ssize_t {
      auto& rest = *static_cast<std::string*>(source->ptr);
      const size_t size = std::min(most, rest.size());
      std::copy_n(rest.begin(), size, to);
      rest.erase(0, size);
      if (rest.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
      return static_cast<ssize_t>(size);
    };
    const int32_t id = nghttp2_submit_request(session_, nullptr, list.data(), list.size(),
                                              bodies_.back()->empty() ? nullptr : &provider, nullptr);
    CHECK(id > 0);
    return id;
  }
  // Until neither side has anything to say.
  void talk() {
    for (int round = 0; round < 100'000; ++round) {
      const uint8_t* bytes = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
      ASSERT_GE(size, 0);
      if (size > 0) wire_.send(as_text({bytes, static_cast<size_t>(size)}));
      harness_.loop.settle();
      const std::string heard = wire_.take();
      if (size == 0 && heard.empty()) return;
      const ssize_t taken =
          nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(heard.data()), heard.size());
      ASSERT_EQ(taken, static_cast<ssize_t>(heard.size())) << nghttp2_strerror(static_cast<int>(taken));
    }
    FAIL() << "they talk without end";
  }
  Client& wire() { return wire_; }

  std::map<int32_t, PeerAnswer> answers;
  std::string wrong;

 private:
  static Peer& of(void* user) { return *static_cast<Peer*>(user); }
  Harness& harness_;
  Client wire_;
  nghttp2_session* session_ = nullptr;
  std::vector<std::unique_ptr<std::string>> bodies_;
};

TEST(Http2Peer, AgreesOnManyRequestsOfAllSizes) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    std::unique_ptr<Random> random = seeded_random(seed);
    const auto dice = [&random](uint64_t sides) { return random->u64() % sides; };
    Harness h(echo, {}, plain_page, kH2);
    h.desk.read_bytes = 1 + dice(50'000);
    Peer peer(h, {{NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, static_cast<uint32_t>(dice(2) * 4096)},
                  {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(100 + dice(200'000))}});
    peer.wire().from_server->capacity = 1000 + dice(100'000);
    std::map<int32_t, std::string> expected;
    for (int i = 0; i < 40; ++i) {
      // What one handler reads does not mix with another's: bodies come one request at a time.
      std::string body(dice(3) == 0 ? dice(300'000) : 0, 'b');
      const std::string path = "/" + std::to_string(i);
      std::string text = "PUT " + path + " " + std::to_string(body.size()) + ":" + body;
      expected[peer.ask("PUT", path, std::move(body))] = std::move(text);
      peer.talk();
    }
    EXPECT_EQ(peer.wrong, "") << seed;
    for (const auto& [id, text] : expected) {
      EXPECT_TRUE(peer.answers[id].body == text) << "seed " << seed << ", stream " << id;
      EXPECT_EQ(peer.answers[id].closed, NGHTTP2_NO_ERROR);
    }
  }
}

TEST(Http2Peer, ManyStreamsAtOnceOverASlowWire) {
  Harness h(letters, {}, plain_page, kH2);
  Peer peer(h, {{NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0}});
  peer.wire().from_server->capacity = 5000;
  std::map<int32_t, size_t> expected;
  for (size_t i = 0; i < 300; ++i) {
    const size_t size = i * i * 7 % 150'000;
    expected[peer.ask("GET", "/l/" + std::to_string(size))] = size;
  }
  peer.talk();
  EXPECT_EQ(peer.wrong, "");
  for (const auto& [id, size] : expected) {
    EXPECT_EQ(peer.answers[id].body, std::string(size, 'l')) << id;
    EXPECT_EQ(peer.answers[id].closed, NGHTTP2_NO_ERROR) << id;
  }
}

// "/SIZE": a field of that size.
io::Task<void> wide(Exchange& e, Desk& d) {
  ++d.calls;
  for (int i = 0; i < 3; ++i) {
    Headers link;
    link.add("link", std::string(3000, 'i'));
    auto hinted = co_await e.interim(103, std::move(link));
    EXPECT_TRUE(hinted);
  }
  Response response;
  response.headers.add("x-wide",
                       std::string(static_cast<size_t>(std::atoi(e.request().target.c_str() + 1)), 'w'));
  auto sent = co_await e.respond(std::move(response), "body");
  d.responded_ok = sent.has_value();
}

TEST(Http2Peer, HeadsLargerThanAFrameAreContinued) {
  for (size_t size : {size_t{10}, size_t{16'300}, size_t{16'384}, size_t{20'000}, size_t{36'000}}) {
    for (size_t capacity : {size_t{100}, SIZE_MAX}) {
      Harness h(wide, {}, plain_page, kH2);
      Peer peer(h, {});
      peer.wire().from_server->capacity = capacity;
      const int32_t id = peer.ask("GET", "/" + std::to_string(size));
      peer.talk();
      EXPECT_EQ(peer.wrong, "");
      EXPECT_EQ(peer.answers[id].body, "body") << size;
      const Fields& fields = peer.answers[id].fields;
      EXPECT_TRUE(std::ranges::count(
                      fields, std::pair<std::string, std::string>("x-wide", std::string(size, 'w'))) == 1)
          << size;
      EXPECT_EQ(std::ranges::count(fields, std::pair<std::string, std::string>(":status", "103")), 3);
    }
  }
  Harness h(wide, {}, plain_page, kH2);
  Peer peer(h, {});
  const int32_t id = peer.ask("GET", "/100000");
  peer.talk();
  EXPECT_FALSE(h.desk.responded_ok);
  const Fields& fields = peer.answers[id].fields;
  EXPECT_EQ(std::ranges::count(fields, std::pair<std::string, std::string>(":status", "500")), 1)
      << "a head that nobody has to take is refused, not cut";
}

// --- HPACK (RFC 7541) --------------------------------------------------------------------------------------------------------------

bool inflate_with(nghttp2_hd_inflater* inflater, const std::string& block, Fields& out) {
  ByteView in = as_bytes(block);
  for (;;) {
    nghttp2_nv field;
    int flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(inflater, &field, &flags, in.data(), in.size(), 1);
    if (used < 0) return false;
    in = in.subspan(static_cast<size_t>(used));
    if (flags & NGHTTP2_HD_INFLATE_EMIT)
      out.emplace_back(as_text({field.name, field.namelen}), as_text({field.value, field.valuelen}));
    if (flags & NGHTTP2_HD_INFLATE_FINAL) return nghttp2_hd_inflate_end_headers(inflater) == 0;
  }
}

Fields inflate(const std::string& block) {
  nghttp2_hd_inflater* inflater = nullptr;
  CHECK(nghttp2_hd_inflate_new(&inflater) == 0);
  Fields out;
  ByteView in = as_bytes(block);
  for (;;) {
    nghttp2_nv field;
    int flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(inflater, &field, &flags, in.data(), in.size(), 1);
    EXPECT_GE(used, 0);
    if (used < 0) break;
    in = in.subspan(static_cast<size_t>(used));
    if (flags & NGHTTP2_HD_INFLATE_EMIT) {
      out.emplace_back(as_text({field.name, field.namelen}), as_text({field.value, field.valuelen}));
      const bool hidden = (field.flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0;
      EXPECT_EQ(hidden, out.back().first == "set-cookie") << "no proxy indexes cookies";
    }
    if (flags & NGHTTP2_HD_INFLATE_FINAL) break;
  }
  nghttp2_hd_inflate_del(inflater);
  return out;
}

TEST(HpackWriter, WritesWhatAnotherReads) {
  Headers headers;
  Fields expected = {{":status", "203"}};
  const auto add = [&](std::string name, std::string value) {
    headers.add(name, value);
    expected.emplace_back(std::move(name), std::move(value));
  };
  add("set-cookie", "a=b");
  add("x-unknown", "");
  for (size_t size : {1, 126, 127, 128, 254, 255, 256, 16'383, 16'510, 16'511, 40'000})
    add("x-" + std::string(size, 'n'), std::string(size, 'v'));
  for (size_t index = 15; index <= 61; ++index) {
    // What the other says a static index means.
    const std::string name =
        inflate(hpack_int(index, 4, index == 55 ? 0x10 : 0) + std::string("\x01v"))[0].first;
    EXPECT_EQ(hpack_static_name(name), index) << name;
    if (!is_h2_own(name)) add(name, "v" + std::to_string(index));
  }
  headers.add("connection", "close");  // not HTTP/2's
  std::string block = "\x20";
  ASSERT_TRUE(write_stored_h2_head(block, 203, headers));
  EXPECT_EQ(inflate(block), expected);
  for (int status : {200, 204, 206, 304, 400, 404, 500, 201, 418, 599}) {
    block.clear();
    ASSERT_TRUE(write_stored_h2_head(block, status, {}));
    EXPECT_EQ(inflate(block), (Fields{{":status", std::to_string(status)}}));
  }
  for (const char* name : {"", "agf", ":path", "x", "access-control-allow-origins", "www-authenticatf"})
    EXPECT_EQ(hpack_static_name(name), 0u) << name;
}

void collect(void* to, std::string_view name, std::string_view value, uint8_t& /*note*/) {
  static_cast<Fields*>(to)->emplace_back(name, value);
}

// Blocks that nghttp2 makes, with its table, Huffman codes and changes of the table's size.
TEST(HpackDecoder, ReadsWhatAnotherWrites) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::unique_ptr<Random> random = seeded_random(seed);
    const auto dice = [&random](uint64_t sides) { return random->u64() % sides; };
    nghttp2_hd_deflater* deflater = nullptr;
    ASSERT_EQ(nghttp2_hd_deflate_new(&deflater, kHpackTableBytes), 0);
    HpackDecoder decoder;
    for (int block = 0; block < 30; ++block) {
      if (dice(5) == 0) nghttp2_hd_deflate_change_table_size(deflater, dice(kHpackTableBytes + 1));
      Fields fields;
      for (uint64_t i = dice(12); i > 0; --i) {
        const uint64_t index = dice(80);
        std::string name = index < 61 ? std::string(kHpackStatic[index].name) : "x-" + std::to_string(index);
        std::string value = dice(3) == 0 ? "v" + std::to_string(dice(10)) : "";
        for (uint64_t more = dice(6) == 0 ? dice(3000) : dice(20); more > 0 && value.size() != 2; --more)
          value += static_cast<char>(dice(4) == 0 ? dice(256) : 'a' + dice(26));
        fields.emplace_back(std::move(name), std::move(value));
      }
      std::vector<nghttp2_nv> list;
      for (auto& [name, value] : fields)
        list.push_back({reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()),
                        name.size(), value.size(),
                        dice(4) == 0 ? uint8_t{NGHTTP2_NV_FLAG_NO_INDEX} : uint8_t{NGHTTP2_NV_FLAG_NONE}});
      Buffer out(nghttp2_hd_deflate_bound(deflater, list.data(), list.size()));
      const ssize_t size = nghttp2_hd_deflate_hd(deflater, out.data(), out.size(), list.data(), list.size());
      ASSERT_GE(size, 0);
      Fields decoded;
      ASSERT_TRUE(decoder.decode(out.view().first(static_cast<size_t>(size)), collect, &decoded)) << seed;
      ASSERT_EQ(decoded, fields) << seed;
    }
    nghttp2_hd_deflate_del(deflater);
  }
}

// Bytes that nobody wrote: both say the same of each, as long as the first of them is content.
TEST(HpackDecoder, RefusesWhatAnotherRefuses) {
  int refused = 0, read = 0;
  for (uint64_t seed = 1; seed <= 20'000; ++seed) {
    std::unique_ptr<Random> random = seeded_random(seed);
    nghttp2_hd_inflater* inflater = nullptr;
    ASSERT_EQ(nghttp2_hd_inflate_new(&inflater), 0);
    HpackDecoder decoder;
    for (int round = 0; round < 8; ++round) {
      static constexpr uint8_t kLikely[] = {0x82, 0x84, 0xbe, 0xbf, 0x40, 0x41, 0x00, 0x01, 0x02, 0x03, 0x10,
                                            0x20, 0x3f, 0xe1, 0x1f, 0x81, 0x83, 0x7f, 0x0f, 0xff, 0x61, 0x05};
      std::string block;
      for (uint64_t i = 1 + random->u64() % 12; i > 0; --i) {
        const uint64_t dice = random->u64();
        block += static_cast<char>(dice % 4 == 0 ? dice >> 8 : kLikely[(dice >> 8) % sizeof kLikely]);
      }
      Fields theirs, ours;
      const bool they = inflate_with(inflater, block, theirs);
      const bool we = decoder.decode(as_bytes(block), collect, &ours);
      ASSERT_EQ(we, they) << "seed " << seed << " round " << round << ": " << hex(as_bytes(block));
      if (!we) {
        ++refused;
        break;
      }
      ++read;
      ASSERT_EQ(ours, theirs) << "seed " << seed << ": " << hex(as_bytes(block));
    }
    nghttp2_hd_inflate_del(inflater);
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(read, 500);
}

TEST(Huffman, CodesEveryByteAsAnotherReads) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += std::string(static_cast<size_t>(1 + c % 3), static_cast<char>(c));
  std::string encoded(huffman_size(all), '\0');
  uint8_t* end = huffman_encode(all, reinterpret_cast<uint8_t*>(encoded.data()));
  ASSERT_EQ(end, reinterpret_cast<uint8_t*>(encoded.data() + encoded.size()));
  EXPECT_EQ(inflate(hpack_int(21, 4, 0) + hpack_int(encoded.size(), 7, 0x80) + encoded)[0].second, all);
  std::string decoded(huffman_decoded_max(encoded.size()), '\0');
  const char* stop = huffman_decode(encoded, decoded.data());
  ASSERT_NE(stop, nullptr);
  EXPECT_EQ(decoded.substr(0, static_cast<size_t>(stop - decoded.data())), all);
}

TEST(HpackWriter, RefusesWhatCannotGoOnTheWire) {
  std::string out = "before";
  for (const auto& [name, value] :
       Fields{{"Upper", "v"}, {"a b", "v"}, {"", "v"}, {":x", "v"}, {"x", "a\r\nb"}}) {
    Headers headers;
    headers.add(name, value);
    EXPECT_FALSE(write_stored_h2_head(out, 200, headers)) << name;
  }
  EXPECT_FALSE(write_stored_h2_head(out, 199, {}));
  EXPECT_FALSE(write_stored_h2_head(out, 600, {}));
  EXPECT_EQ(out, "before");
}

}  // namespace
}  // namespace archipel::http
