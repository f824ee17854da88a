// A client of HTTP/2 that sends whatever frames the test writes, and reads the server's. Tests only.
#pragma once

#include <gtest/gtest.h>
#include <map>

#include "http/h2_connection.h"
#include "http/server_test_util.h"

namespace archipel::http::testing {

enum H2Type : uint8_t {
  kData,
  kHeaders,
  kPriority,
  kRst,
  kSettings,
  kPush,
  kPing,
  kGoaway,
  kWindow,
  kContinuation
};
enum H2Flag : uint8_t { kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8, kHasPriority = 0x20 };
enum H2Error : uint32_t {
  kNoError,
  kProtocolError,
  kInternalError,
  kFlowControlError,
  kSettingsTimeout,
  kStreamClosed,
  kFrameSizeError,
  kRefusedStream,
  kCancel,
  kCompressionError,
  kConnectError,
  kEnhanceYourCalm
};

using Fields = std::vector<std::pair<std::string, std::string>>;

inline std::string number(uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}

inline std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  return number(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) + number(stream, 4) +
         std::string(payload);
}

// HPACK integers and literals, never indexed, never Huffman-coded (RFC 7541 §5.1, §6.2.2).
inline std::string hpack_int(uint64_t value, int prefix_bits, uint8_t first) {
  const uint64_t max = (1u << prefix_bits) - 1;
  if (value < max) return std::string(1, static_cast<char>(first | value));
  std::string out(1, static_cast<char>(first | max));
  for (value -= max; value >= 128; value >>= 7) out.push_back(static_cast<char>(0x80 | (value & 0x7f)));
  out.push_back(static_cast<char>(value));
  return out;
}
inline std::string hpack_literal(std::string_view name, std::string_view value) {
  std::string out(1, '\0');
  out += hpack_int(name.size(), 7, 0);
  out += name;
  out += hpack_int(value.size(), 7, 0);
  return out + std::string(value);
}
inline std::string hpack(const Fields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) out += hpack_literal(name, value);
  return out;
}

inline Fields request_fields(std::string_view method = "GET", std::string_view path = "/k",
                             const Fields& more = {}) {
  Fields all = {{":method", std::string(method)},
                {":scheme", "https"},
                {":authority", "h"},
                {":path", std::string(path)}};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}
inline std::string headers_frame(uint32_t stream, const Fields& fields,
                                 uint8_t flags = kEndHeaders | kEndStream) {
  return frame(kHeaders, flags, stream, hpack(fields));
}

struct H2Answer {
  Fields fields;  // of the final head
  std::vector<Fields> interim;
  std::string body;
  bool ended = false;
  std::optional<uint32_t> reset;
  std::string get(std::string_view name) const {
    for (const auto& [n, v] : fields)
      if (n == name) return v;
    return "";
  }
};

// The far end of one connection; what the server sends is decoded as it comes.
class H2Client {
 public:
  explicit H2Client(Harness& harness, bool greet = true);
  H2Client(const H2Client&) = delete;
  ~H2Client();

  void say(std::string_view bytes) {
    wire_.send(bytes);
    harness_.loop.settle();
    hear();
  }
  void hear() {
    heard_ += wire_.take();
    bytes_heard += heard_.size();
    while (heard_.size() >= 9) {
      const size_t size = static_cast<size_t>(get(0, 3));
      if (heard_.size() < 9 + size) break;
      take(static_cast<uint8_t>(heard_[3]), static_cast<uint8_t>(heard_[4]), static_cast<uint32_t>(get(5, 4)),
           std::string_view(heard_).substr(9, size));
      heard_.erase(0, 9 + size);
    }
  }
  // Until neither side has anything to say to the other.
  void converse() {
    for (size_t before = SIZE_MAX; before != bytes_heard;) {
      before = bytes_heard;
      harness_.loop.settle();
      hear();
    }
    harness_.loop.settle();
  }
  H2Answer ask(uint32_t stream, const Fields& fields) {
    say(headers_frame(stream, fields));
    return answers[stream];
  }
  Client& wire() { return wire_; }

  std::map<uint32_t, H2Answer> answers;
  std::map<uint8_t, int> frames;  // how many of each type
  int acks = 0;
  std::optional<uint32_t> goaway;  // its error
  uint32_t goaway_last = 0;
  std::vector<uint32_t> goaways;  // the last stream that each names
  size_t bytes_heard = 0;
  bool acknowledges = true;             // SETTINGS and PING, as soon as they come
  std::vector<std::string> pings;       // of the server's own
  std::map<uint32_t, uint64_t> window;  // granted, by stream; 0: the connection

 private:
  uint64_t get(size_t at, size_t size) const {
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value = value << 8 | static_cast<uint8_t>(heard_[at + i]);
    return value;
  }
  static uint64_t read(std::string_view text, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value = value << 8 | static_cast<uint8_t>(text[i]);
    return value;
  }
  void take(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
    ++frames[type];
    H2Answer& answer = answers[stream];
    if (type == kHeaders) {
      ASSERT_TRUE(flags & kEndHeaders) << "this client knows no CONTINUATION";
      Fields fields = inflate(payload);
      if (!fields.empty() && fields[0].second.starts_with('1'))
        answer.interim.push_back(fields);
      else
        answer.fields = fields;
    }
    if (type == kData) answer.body += payload;
    if ((type == kHeaders || type == kData) && (flags & kEndStream)) answer.ended = true;
    if (type == kRst) answer.reset = static_cast<uint32_t>(read(payload, 4));
    if ((type == kSettings || type == kPing) && (flags & kAck)) ++acks;
    // As RFC 9113 §6.5.3 asks.
    if (type == kSettings && !(flags & kAck) && acknowledges) wire_.send(frame(kSettings, kAck, 0, ""));
    if (type == kPing && !(flags & kAck)) pings.emplace_back(payload);
    if (type == kPing && !(flags & kAck) && acknowledges) wire_.send(frame(kPing, kAck, 0, payload));
    if (type == kWindow) window[stream] += read(payload, 4);
    if (type == kGoaway) {
      goaway_last = static_cast<uint32_t>(read(payload, 4));
      goaway = static_cast<uint32_t>(read(payload.substr(4), 4));
      goaways.push_back(goaway_last);
    }
  }
  Fields inflate(std::string_view block);

  Harness& harness_;
  Client wire_;
  struct Inflater;
  std::unique_ptr<Inflater> inflater_;
  std::string heard_;
};

inline const ServerOptions kH2{.h2_in_clear = true};

// `size` bytes of the path's first letter: "/a/1000".
inline io::Task<void> letters(Exchange& e, Desk& d) {
  ++d.calls;
  const std::string& target = e.request().target;
  const std::string body(static_cast<size_t>(std::atoi(target.c_str() + 3)), target[1]);
  const std::array<ByteView, 1> parts = {as_bytes(body)};
  auto sent = co_await e.respond_stored({}, parts);
  d.responded_ok = sent.has_value();
}

}  // namespace archipel::http::testing
