// What a hit costs below the cache: a server that answers every request with one stored response, of SIZE bytes. Prints, once a second while it is asked, requests per
// CPU-second and allocations per request; the load comes from outside:
//   bench_http_hits 8080 1024 10 & wrk -c 32 -t 1 -d 8 http://127.0.0.1:8080/
//   bench_http_hits 8443 1024 10 cert.pem key.pem & h2load -c 32 -m 32 -t 1 -D 8 https://127.0.0.1:8443/
// With IDLE as the last argument it instead tells the memory that idle connections take: connect as many as you like.
#include <malloc.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <new>

#include "http/h1_writer.h"
#include "http/server.h"
#include "io/tls.h"

namespace {
std::atomic<uint64_t> allocations = 0;
}
void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(size)) return p;
  std::abort();
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, size_t) noexcept {
  std::free(p);
}

using namespace archipel;

namespace {

struct Stored {
  http::Headers headers;
  std::string head, body;
};
Stored stored;
uint64_t requests = 0;

io::Task<void> hit(http::Exchange& exchange) {
  ++requests;
  const std::array<http::FieldView, 2> extra = {http::FieldView{"age", "7"},
                                                http::FieldView{"cache-status", "archipel; hit; ttl=53"}};
  http::StoredResponse response;
  response.headers = &stored.headers;
  response.h1_head = stored.head;
  response.extra = extra;
  const std::array<ByteView, 1> parts = {as_bytes(stored.body)};
  auto sent = co_await exchange.respond_stored(response, parts);
  if (!sent) co_return;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

io::Task<void> report(io::Loop& loop, int seconds, bool idle) {
  for (int i = 0; i < seconds; ++i) {
    const double cpu = cpu_seconds();
    const uint64_t before = requests, allocated = allocations;
    co_await io::sleep_until(loop.now() + std::chrono::seconds(1));
    const auto count = static_cast<double>(requests - before);
    if (idle) std::printf("in use: %zu bytes\n", static_cast<size_t>(mallinfo2().uordblks));
    if (count > 0)
      std::printf("%.0f requests, %.0f per CPU-second, %.2f allocations each\n", count,
                  count / (cpu_seconds() - cpu), static_cast<double>(allocations - allocated) / count);
    std::fflush(stdout);
  }
  loop.stop();
}

std::string slurp(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) {
    std::fprintf(stderr, "usage: bench_http_hits PORT SIZE SECONDS [CERT KEY] [IDLE]\n");
    return 2;
  }
  stored.body.assign(std::strtoull(arguments[2], nullptr, 10), 'x');
  for (auto [name, value] : {std::pair{"content-type", "text/html; charset=utf-8"},
                             {"last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"},
                             {"etag", "\"5f8c1a2b-400\""},
                             {"cache-control", "public, max-age=60"}})
    stored.headers.add(name, value);
  CHECK(http::write_stored_head(stored.head, 200, stored.headers));

  auto loop = io::make_loop();
  auto listener = io::tcp_network().listen(*loop, std::string("127.0.0.1:") + arguments[1], false);
  CHECK(listener.has_value());
  std::shared_ptr<io::TlsContext> context;
  if (count >= 6) {
    context = io::make_tls_context(system_random(), system_clock());
    auto used = context->use({{{"*"}, slurp(arguments[4]), slurp(arguments[5]), arguments[4], arguments[5]}});
    CHECK(used.has_value());
    *listener = io::make_tls_listener(*loop, std::move(*listener), context, {.h2 = true});
  }
  http::Limits limits;
  limits.connections_max = 200'000;
  auto server = http::make_server(*loop, hit, limits, system_clock(), http::plain_page, {.h2 = true});
  std::optional<io::Task<void>> serving, reporting;
  loop->post([&] {
    serving.emplace(server->serve(**listener));
    reporting.emplace(report(*loop, std::atoi(arguments[3]), count == 5 || count == 7));
  });
  loop->run();
  std::fflush(stdout);
  std::_Exit(0);  // connections may still stand
}
