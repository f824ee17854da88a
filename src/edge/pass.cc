#include "edge/pass.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "edge/exchange_body.h"
#include "edge/hop.h"
#include "edge/node.h"
#include "io/sync.h"

namespace archipel::edge {
namespace {

constexpr size_t kChunkBytes = 64u << 10;
constexpr size_t kTunnelChunkBytes = 16u << 10;

class ExchangeInterim final : public InterimSink {
 public:
  explicit ExchangeInterim(http::Exchange& exchange) : exchange_(exchange) {}
  io::Task<void> interim(int status, const http::Headers& headers) override {
    [[maybe_unused]] auto sent = co_await exchange_.interim(status, headers);
  }

 private:
  http::Exchange& exchange_;
};

// One direction of a switched connection. Ends when `from` ends, which it passes on, or when either fails, which ends both.
io::Task<void> pump(io::Stream* from, io::Stream* to, TimePoint* last) {
  Buffer buffer(kTunnelChunkBytes);
  io::Loop& loop = *io::Loop::current();
  for (;;) {
    auto got = co_await from->read(buffer.span(), loop.now() + kTunnelIdleMax);
    // Silence in one direction is none while the other one speaks.
    if (!got && got.error().code == Code::timeout && *last + kTunnelIdleMax > loop.now()) continue;
    if (!got) break;
    *last = loop.now();
    if (*got == 0) {
      to->shutdown_write();
      co_return;
    }
    std::array<ByteView, 1> parts = {buffer.view().first(*got)};
    auto written = co_await to->write(parts, loop.now() + kTunnelIdleMax);
    if (!written) break;
    *last = loop.now();
  }
  from->close();
  to->close();
}

io::Task<void> tunnel(std::unique_ptr<io::Stream> client, std::unique_ptr<io::Stream> origin) {
  TimePoint last = io::Loop::current()->now();
  io::TaskScope scope;
  scope.spawn(pump(client.get(), origin.get(), &last));
  scope.spawn(pump(origin.get(), client.get(), &last));
  co_await scope.join();
}

// Streams the rest of a response. False: the origin broke off, and the client's connection is to be reset by not finishing.
io::Task<Result<void>> relay(http::Exchange& exchange, Fetch& fetch, Served& served) {
  Buffer buffer(kChunkBytes);
  for (;;) {
    auto got = co_await fetch.read(buffer.span());
    if (!got) co_return fail(got.error());
    if (*got == 0) break;
    served.origin_bytes += *got;
    auto written = co_await exchange.write(buffer.view().first(*got));
    if (!written) co_return written;
    served.body_bytes += *got;
  }
  auto finished = co_await exchange.finish();
  co_return finished;
}

int status_of(const Error& error) {
  switch (error.code) {
    case Code::unavailable:
    case Code::throttled:
      return 503;
    case Code::timeout:
      return 504;
    default:
      return 502;
  }
}

void add_request_fields(const http::Request& request, FetchRequest& out) {
  static constexpr std::string_view kNames[] = {"range",         "if-range",          "if-match",
                                                "if-none-match", "if-modified-since", "if-unmodified-since"};
  for (const auto& [name, value] : request.headers)
    if (std::ranges::find(kNames, name) != std::end(kNames)) out.headers.add(name, value);
}

// What the answer to HEAD says that GET would send.
std::optional<uint64_t> length_of_get(const http::Headers& headers) {
  std::string_view text = headers.get("content-length");
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

io::Task<Served> pass_with(http::Exchange& exchange, ExchangeBody& body,
                           std::shared_ptr<const PolicySite> site, std::string upgrade) {
  const http::Request& request = exchange.request();
  Served served;
  served.how = Served::How::pass;
  FetchRequest out = site->origin_request(request);
  add_request_fields(request, out);
  ExchangeInterim interim(exchange);
  body.attach_to(out);
  out.interim = &interim;
  out.upgrade = upgrade;
  auto fetched =
      co_await site->upstream().fetch(std::move(out), io::Loop::current()->now() + site->fetch_timeout());
  if (!fetched) {
    served.how = Served::How::refused;
    served.status = body.refusal().value_or(status_of(fetched.error()));
    http::Page page = Node::page(served.status, fetched.error().message);
    site->edit_response(request, served.status, page.response.headers);
    auto sent = co_await exchange.respond(std::move(page.response), std::move(page.body));
    served.complete = sent.has_value();
    co_return served;
  }
  std::unique_ptr<Fetch> fetch = std::move(*fetched);
  served.origin = fetch->origin();
  served.status = fetch->status();
  if (fetch->status() == 101) {
    http::Headers headers = fetch->headers();
    auto stream = co_await exchange.upgrade(std::move(headers));
    std::unique_ptr<io::Stream> origin = fetch->take_stream();
    if (stream && origin != nullptr) {
      co_await tunnel(std::move(*stream), std::move(origin));
      served.complete = true;
    }
    co_return served;
  }
  http::Response response;
  response.status = fetch->status();
  response.headers = fetch->headers();
  site->edit_response(request, response.status, response.headers);
  std::optional<uint64_t> length = fetch->length();
  if (request.method == "HEAD") length = length_of_get(response.headers);
  auto started = co_await exchange.start(std::move(response), length);
  if (!started) co_return served;
  auto relayed = co_await relay(exchange, *fetch, served);
  served.complete = relayed.has_value();
  co_return served;
}

}  // namespace

std::string_view passable_upgrade(const http::Request& request) {
  // Of other methods the cache has to know.
  if (request.method != "GET") return {};
  std::string_view protocol = upgrade_of(request.headers);
  if (protocol.empty()) return {};
  std::string name(protocol.substr(0, protocol.find('/')));
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  // Several protocols to choose from: the origin's choice could be one of those.
  if (protocol.find(',') != std::string_view::npos || name == "h2c" || name == "h2" || name == "http" ||
      name == "tls")
    return {};
  return protocol;
}

io::Task<Served> pass_through(http::Exchange& exchange, std::shared_ptr<const PolicySite> site,
                              std::string upgrade) {
  ExchangeBody body(exchange);
  auto served = co_await pass_with(exchange, body, std::move(site), std::move(upgrade));
  co_await body.sending.join();
  co_return served;
}

}  // namespace archipel::edge
