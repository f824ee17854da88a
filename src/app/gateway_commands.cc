#include "app/gateway_impl.h"

#include <fmt/format.h>
#include <algorithm>

#include "base/log.h"

namespace archipel::app {
namespace {

constexpr Duration kMarkerDeadline = std::chrono::seconds(10);

io::Task<void> tell_metrics(AdminReply& reply) {
  std::string all = metrics::expose();
  if (all.ends_with('\n')) all.pop_back();
  [[maybe_unused]] Result<void> said = co_await reply.line(std::move(all));
}

}  // namespace

// Before a long maintenance, say: the next start then reads little of the journal.
io::Task<void> Gateway::snapshot_now(Gateway* self, AdminReply& reply) {
  Result<void> written = co_await self->snapshots_->snapshot_now();
  if (!written) {
    co_await reply.refuse(503, written.error().message);
    co_return;
  }
  [[maybe_unused]] auto sent = co_await reply.line("{\"event\":\"done\"}");
}

// What commands may ask of a running gateway (app/admin.h). Handlers run on the home loop.
void Gateway::add_routes() {
  commands_ = std::make_unique<Admin>(home());
  commands_->add("GET", "/metrics", tell_metrics);
  commands_->add("POST", "/snapshot", [this](AdminReply& reply) { return snapshot_now(this, reply); });
  mending_->add_routes(*commands_);
  commands_->add("POST", "/identity", [this](AdminReply& reply) { return identity(this, reply); });
  commands_->add("GET", "/islands", [this](AdminReply& reply) { return tell_islands(this, reply); });
  commands_->add("POST", "/island/rejoin", [this](AdminReply& reply) { return rejoin(this, reply); });
}

// `archipel account|user|role`.
io::Task<void> Gateway::identity(Gateway* self, AdminReply& reply) {
  auto fields = co_await reply.form(kIdentityFormBytesMax);
  Result<std::vector<std::string>> lines = fail(Code::invalid, "the request cannot be read");
  if (fields)
    lines =
        co_await run_identity_operation(*self->store_, system_random(), system_clock(), std::move(*fields));
  if (!lines) {
    const Code code = lines.error().code;
    // 404 would mean that there is no such route.
    const int status = code == Code::exists                                 ? 409
                       : code == Code::unavailable || code == Code::timeout ? 503
                                                                            : 400;
    co_await reply.refuse(status, lines.error().message);
    co_return;
  }
  for (std::string& line : *lines) {
    Result<void> said = co_await reply.line(std::move(line));
    if (!said) co_return;
  }
}

// How each island has been answering this gateway.
io::Task<void> Gateway::tell_islands(Gateway* self, AdminReply& reply) {
  for (const auto& island : self->placement_->islands) {
    island::Health& health = island->health();
    JsonObject line;
    line.text("event", "health")
        .text("id", island->id())
        .text("breaker", health.breaker_open() ? "open" : "closed");
    line.number("wrong_cells", static_cast<int64_t>(health.wrong_cells()));
    for (auto [name, op] : {std::pair("put_p95_us", island::Health::Op::put),
                            std::pair("get_p95_us", island::Health::Op::get)}) {
      if (std::optional<Duration> p95 = health.p95(op))
        line.number(name, std::chrono::duration_cast<std::chrono::microseconds>(*p95).count());
    }
    Result<void> said = co_await reply.line(line.str());
    if (!said) co_return;
  }
}

io::Task<void> Gateway::rejoin(Gateway* self, AdminReply& reply) {
  const std::string id = reply.query("id").value_or("");
  // Looked at before the epoch is closed for nothing.
  const auto& islands = self->placement_->islands;
  auto island = std::ranges::find_if(islands, [&](const auto& i) { return i->id() == id; });
  if (island == islands.end()) {
    co_await reply.refuse(
        409, fmt::format("this gateway has no island '{}'; was it started with another configuration?", id));
    co_return;
  }
  Result<Buffer> marker = co_await (*island)->read_marker(self->home().now() + kMarkerDeadline);
  if (marker || marker.error().code != Code::not_found) {
    const std::string why = marker ? "it has a marker" : marker.error().message;
    co_await reply.refuse(409, fmt::format("island {}: there is nothing to rejoin: {}", id, why));
    co_return;
  }
  std::vector<std::string> rejoining{id};
  Result<void> done = co_await self->journal_.committer->reopen(std::move(rejoining));
  if (!done) {
    const int status = done.error().code == Code::unavailable ? 503 : 409;
    co_await reply.refuse(status, done.error().message);
    co_return;
  }
  const index::CommitPosition now = self->journal_.committer->applied();
  JsonObject line;
  line.text("event", "rejoined").text("id", id).number("epoch", static_cast<int64_t>(now.epoch));
  [[maybe_unused]] Result<void> said = co_await reply.line(line.str());
}

}  // namespace archipel::app
