// A listener, a stream that it accepted, and a plain blocking client at the other end. For tests of src/io only.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "io/stream.h"
#include "io/sync.h"

namespace archipel::io {

inline Deadline in(Duration d) {
  return Loop::current()->now() + d;
}

// A plain blocking client.
class Client {
 public:
  explicit Client(const std::string& address, int receive_buffer = 0) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::atoi(address.substr(address.rfind(':') + 1).c_str())));
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  Client(const Client&) = delete;
  ~Client() { close(); }
  bool connected() const { return connected_; }
  bool send(std::string_view text) {
    while (!text.empty()) {
      ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  // Everything until EOF; `reset` tells whether it ended by RST instead.
  std::string read_all(bool* reset = nullptr) {
    std::string all;
    std::vector<char> buffer(1 << 16);
    for (;;) {
      ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (reset != nullptr) *reset = n < 0 && errno == ECONNRESET;
      if (n <= 0) return all;
      all.append(buffer.data(), static_cast<size_t>(n));
    }
  }
  void end_writing() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
  bool connected_ = false;
};

inline std::string pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

inline std::unique_ptr<Listener> listen_here() {
  auto listener = tcp_network().listen(*Loop::current(), "127.0.0.1:0", false);
  EXPECT_TRUE(listener.has_value());
  return std::move(*listener);
}

struct Pair {
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Client> client;
  std::unique_ptr<Stream> stream;
};

inline Task<Pair> connect_pair(int client_receive_buffer = 0) {
  Pair pair;
  pair.listener = listen_here();
  // The kernel completes the handshake before accept().
  pair.client = std::make_unique<Client>(pair.listener->address(), client_receive_buffer);
  EXPECT_TRUE(pair.client->connected());
  auto stream = co_await pair.listener->accept();
  EXPECT_TRUE(stream.has_value());
  pair.stream = std::move(*stream);
  co_return pair;
}

inline Task<std::string> read_to_end(Stream& stream) {
  std::string all;
  std::vector<uint8_t> buffer(100'000);
  for (;;) {
    auto got = co_await stream.read(buffer, in(std::chrono::seconds(60)));
    EXPECT_TRUE(got.has_value());
    if (!got || *got == 0) co_return all;
    all.append(reinterpret_cast<char*>(buffer.data()), *got);
  }
}

}  // namespace archipel::io
