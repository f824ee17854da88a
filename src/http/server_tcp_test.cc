// The server over real TCP: what only a kernel can show.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <future>
#include <thread>

#include "http/server.h"

namespace archipel::http {
namespace {

io::Task<void> echo(Exchange& e) {
  std::string body;
  Buffer buffer(256 << 10);
  for (;;) {
    auto got = co_await e.read_body(buffer.span());
    if (!got) co_return;
    if (*got == 0) break;
    body += as_text(buffer.view().first(*got));
  }
  Response response;
  auto sent = co_await e.respond(std::move(response), std::move(body));
  EXPECT_TRUE(sent);
}

io::Task<void> deny(Exchange& e) {
  Response response;
  response.status = 403;
  auto sent = co_await e.respond(std::move(response), "denied");
  EXPECT_TRUE(sent);
}

io::Task<void> fall_short(Exchange& e) {
  Response response;
  auto started = co_await e.start(std::move(response), 100);
  EXPECT_TRUE(started);
  auto written = co_await e.write(as_bytes("only this"));
  EXPECT_TRUE(written);
}

// A server on a thread of its own, drained and joined at the end.
class RunningServer {
 public:
  explicit RunningServer(io::Task<void> (*function)(Exchange&), Limits limits = {}) {
    std::promise<std::pair<Server*, uint16_t>> ready;
    auto when_ready = ready.get_future();
    thread_ =
        std::thread([function, limits, ready = std::move(ready)]() mutable { run(function, limits, ready); });
    std::tie(server_, port_) = when_ready.get();
  }
  ~RunningServer() {
    server_->drain();
    thread_.join();
  }
  uint16_t port() const { return port_; }

 private:
  static void run(Handler handler, Limits limits, std::promise<std::pair<Server*, uint16_t>>& ready) {
    auto loop = io::make_loop();
    auto listener = io::tcp_network().listen(*loop, "127.0.0.1:0", false);
    CHECK(listener.has_value());
    auto server = make_server(*loop, std::move(handler), limits);
    std::string address = (*listener)->address();
    auto port = static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    std::optional<io::Task<void>> serving;
    loop->post([&] { serving.emplace(serve(*server, **listener, *loop)); });
    ready.set_value({server.get(), port});
    loop->run();
    CHECK(serving->done());
  }
  static io::Task<void> serve(Server& server, io::Listener& listener, io::Loop& loop) {
    co_await server.serve(listener);
    loop.stop();
  }

  std::thread thread_;
  Server* server_ = nullptr;
  uint16_t port_ = 0;
};

class BlockingClient {
 public:
  explicit BlockingClient(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  ~BlockingClient() { ::close(fd_); }
  BlockingClient(const BlockingClient&) = delete;

  // How much could be sent.
  size_t send(std::string_view bytes) {
    size_t sent = 0;
    while (sent < bytes.size()) {
      ssize_t n = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += static_cast<size_t>(n);
    }
    return sent;
  }
  // Reads `size` bytes, or to the end; errno of the end is kept.
  std::string read(size_t size = SIZE_MAX) {
    std::string out;
    char buffer[65536];
    while (out.size() < size) {
      ssize_t n = ::recv(fd_, buffer, std::min(sizeof buffer, size - out.size()), 0);
      last_error_ = n < 0 ? errno : 0;
      if (n <= 0) break;
      out.append(buffer, static_cast<size_t>(n));
    }
    return out;
  }
  std::string read_response() {
    std::string head;
    while (!head.ends_with("\r\n\r\n")) {
      std::string byte = read(1);
      if (byte.empty()) return head;
      head += byte;
    }
    size_t at = head.find("content-length: ");
    return head + read(std::stoul(head.substr(at + 16)));
  }
  int last_error() const { return last_error_; }

 private:
  int fd_;
  int last_error_ = 0;
};

std::string put(size_t length) {
  return "PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

TEST(ServerOverTcp, EchoesBigAndSmallBodiesOnOneConnection) {
  RunningServer server(echo);
  BlockingClient client(server.port());
  std::string big(8 << 20, '\0');
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 2654435761u >> 24);
  for (size_t size : {size_t{0}, size_t{1}, size_t{70000}, big.size(), size_t{5}}) {
    std::string body = big.substr(0, size);
    EXPECT_EQ(client.send(put(size) + body), put(size).size() + size);
    std::string got = client.read_response();
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_TRUE(got.ends_with("\r\n\r\n" + body));
  }
}

TEST(ServerOverTcp, AClientStillSendingSeesTheRefusal) {
  RunningServer server(deny);
  BlockingClient client(server.port());
  std::string body(8 << 20, 'x');
  client.send(put(1 << 30) + body);
  std::string got = client.read();
  EXPECT_TRUE(got.starts_with("HTTP/1.1 403 ")) << got;
  EXPECT_TRUE(got.ends_with("denied"));
  EXPECT_EQ(client.last_error(), 0);
}

TEST(ServerOverTcp, ASlowHeadIsAnsweredWith408) {
  Limits limits;
  limits.header_timeout = std::chrono::milliseconds(30);
  RunningServer server(echo, limits);
  BlockingClient client(server.port());
  client.send("GET / HT");
  EXPECT_TRUE(client.read().starts_with("HTTP/1.1 408 "));
}

TEST(ServerOverTcp, AShortBodyEndsInAReset) {
  RunningServer server(fall_short);
  BlockingClient client(server.port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  client.read();
  EXPECT_EQ(client.last_error(), ECONNRESET);
}

TEST(ServerOverTcp, DrainClosesIdleConnectionsAndReturns) {
  std::optional<BlockingClient> client;
  {
    RunningServer server(echo);
    client.emplace(server.port());
    client->send(put(2) + "ab");
    client->read_response();
  }
  EXPECT_EQ(client->read(), "");
  EXPECT_EQ(client->last_error(), 0);
}

}  // namespace
}  // namespace archipel::http
