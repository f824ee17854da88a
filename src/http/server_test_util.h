// A server in memory, and the handlers its tests share. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "http/pipe_stream_test_util.h"
#include "http/server.h"

namespace archipel::http::testing {

// What the handlers of a test share with it.
struct Desk {
  int calls = 0;
  std::string body;            // of the last request
  std::optional<Error> error;  // of read_body or of the response
  bool responded_ok = false;
  io::Event go;  // a handler that waits, waits for this
  bool open = false;
  size_t read_bytes = 64 << 10;
};

inline io::Task<bool> read_all(Exchange& e, Desk& d) {
  Buffer buffer(d.read_bytes);
  d.body.clear();
  for (;;) {
    auto got = co_await e.read_body(buffer.span());
    if (!got) {
      d.error = got.error();
      co_return false;
    }
    if (*got == 0) co_return true;
    d.body += as_text(buffer.view().first(*got));
  }
}

inline io::Task<void> answer(Exchange& e, Desk& d, int status, std::string body) {
  Response response;
  response.status = status;
  auto sent = co_await e.respond(std::move(response), std::move(body));
  d.responded_ok = sent.has_value();
  if (!sent) d.error = sent.error();
}

// Says what was asked, and returns the body: "PUT /k 5:hello".
inline io::Task<void> echo(Exchange& e, Desk& d) {
  ++d.calls;
  bool ok = co_await read_all(e, d);
  if (!ok) co_return;
  std::string text =
      e.request().method + " " + e.request().target + " " + std::to_string(d.body.size()) + ":" + d.body;
  co_await answer(e, d, 200, text);
}

inline io::Task<void> deny(Exchange& e, Desk& d) {
  ++d.calls;
  co_await answer(e, d, 403, "no");
}

struct Harness {
  using Function = io::Task<void> (*)(Exchange&, Desk&);

  explicit Harness(Function function, Limits limits = {}, MakePage page = plain_page,
                   ServerOptions options = {}) {
    server = make_server(
        loop, [this, function](Exchange& e) { return function(e, desk); }, limits, clock, std::move(page),
        options);
    serving.emplace(server->serve(listener));
  }
  ~Harness() {
    desk.open = true;
    desk.go.notify_all();
    server->drain();
    loop.advance(std::chrono::hours(1));
    CHECK(serving->done());
  }
  // Sends and returns what came back.
  std::string talk(Client& client, std::string_view bytes) {
    client.send(bytes);
    loop.settle();
    return client.take();
  }
  Client connect(size_t read_max = SIZE_MAX) {
    Client client = listener.connect(read_max);
    loop.settle();
    return client;
  }

  ManualLoop loop;
  FakeClock clock;
  PipeListener listener;
  Desk desk;
  std::unique_ptr<Server> server;
  std::optional<io::Task<void>> serving;
};

inline std::string ok(std::string_view body, std::string_view more = "") {
  return "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: " +
         std::to_string(body.size()) + "\r\n" + std::string(more) + "\r\n" + std::string(body);
}

inline constexpr std::string_view kGet = "GET /k HTTP/1.1\r\nHost: h\r\n\r\n";

inline std::string put(std::string_view headers, std::string_view body = "") {
  return "PUT /k HTTP/1.1\r\nHost: h\r\n" + std::string(headers) + "\r\n\r\n" + std::string(body);
}

inline io::Task<void> stream_by_path(Exchange& e, Desk& d) {
  // "/STATUS/LENGTH/WRITE" with LENGTH "-" for chunked; writes WRITE bytes by threes.
  ++d.calls;
  Response response;
  int status = 0;
  char length_text[16] = {};
  int write_bytes = 0;
  std::sscanf(e.request().target.c_str(), "/%d/%15[^/]/%d", &status, length_text, &write_bytes);
  response.status = status;
  std::optional<uint64_t> length;
  if (length_text[0] != '-') length = std::strtoull(length_text, nullptr, 10);
  auto started = co_await e.start(std::move(response), length);
  if (!started) d.error = started.error();
  if (!started) co_return;
  std::string data(static_cast<size_t>(write_bytes), 'd');
  std::string_view rest = data;
  while (!rest.empty()) {
    auto written = co_await e.write(as_bytes(rest.substr(0, 3)));
    if (!written) d.error = written.error();
    if (!written) co_return;
    rest.remove_prefix(std::min<size_t>(3, rest.size()));
  }
  auto finished = co_await e.finish();
  d.responded_ok = finished.has_value();
  if (!finished) d.error = finished.error();
}

inline std::string get(std::string_view target, std::string_view version = "1.1") {
  return "GET " + std::string(target) + " HTTP/" + std::string(version) + "\r\nHost: h\r\n\r\n";
}

}  // namespace archipel::http::testing
