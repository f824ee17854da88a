// Active checks: each origin is asked for the configured path on a connection of its own, so that a pool of kept connections cannot hide that it takes
// no new ones.
#include "edge/balance_core.h"
#include "http/client.h"

namespace archipel::edge {
namespace {

constexpr size_t kPageBytesMax = 64u << 10;

// To the end of a short page: an end of the connection in the middle of it would fill the origin's log with errors.
io::Task<void> read_away(http::Client& client, Deadline deadline) {
  Buffer scratch(8u << 10);
  for (size_t all = 0; all < kPageBytesMax;) {
    auto got = co_await client.read_body(scratch.span(), deadline);
    if (!got || *got == 0) co_return;
    all += *got;
  }
}

io::Task<Result<void>> check_once(BalanceCore& core, size_t origin, Deadline deadline) {
  const OriginAddress& address = core.policy.origins[origin];
  const HealthPolicy& policy = core.policy.health;
  auto stream = co_await core.parts.connector.connect(address, core.policy, deadline);
  if (!stream) co_return fail(stream.error());
  io::Loop& loop = *io::Loop::current();
  core.checks[origin] = stream->get();
  std::unique_ptr<http::Client> client = http::make_client(loop, std::move(*stream), http::Limits{});
  http::Headers headers;
  std::string host = !policy.host.empty()               ? policy.host
                     : !core.policy.host_header.empty() ? core.policy.host_header
                                                        : address.authority();
  headers.add("host", std::move(host));
  headers.add("user-agent", "archipel-health");
  http::ClientRequest request;
  request.method = policy.method;
  request.target = policy.path;
  request.headers = &headers;
  Result<void> verdict;
  auto sent = co_await client->send(request, deadline);
  if (!sent) verdict = fail(sent.error());
  while (verdict) {
    auto head = co_await client->receive_head(deadline);
    if (!head) {
      verdict = fail(head.error());
    } else if (!head->interim()) {
      if (head->status < policy.status_min || head->status > policy.status_max)
        verdict = fail(Code::unavailable, "the check was answered with " + std::to_string(head->status));
      co_await read_away(*client, deadline);
      break;
    }
  }
  core.checks[origin] = nullptr;
  co_return verdict;
}

}  // namespace

io::Task<void> watch_origin(std::shared_ptr<BalanceCore> core, size_t origin) {
  io::Loop& loop = *io::Loop::current();
  while (!core->closed) {
    auto verdict = co_await check_once(*core, origin, loop.now() + core->policy.health.timeout);
    if (core->closed) break;
    core->checked(origin, verdict.has_value(), loop.now(), verdict ? "" : verdict.error().message);
    const Deadline next = loop.now() + core->next_check(origin);
    bool waiting = true;
    while (waiting && !core->closed) {
      const bool rang = co_await core->bell.wait(next);
      waiting = rang;
    }
  }
}

}  // namespace archipel::edge
