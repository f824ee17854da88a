#include "edge/node.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <unordered_map>

#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/text_file.h"
#include "edge/disk_files.h"
#include "edge/exchange_view.h"
#include "edge/gate.h"
#include "edge/node_internal.h"
#include "edge/pass.h"
#include "edge/site_config.h"
#include "io/sync.h"

namespace archipel::edge {
namespace {

constexpr size_t kTokenBytesMin = 16, kTokenBytesMax = 4096;

metrics::Counter unknown_hosts{"archipel_edge_unknown_hosts_total", "Requests for hosts that no site has"};

std::string version_of(const http::Request& request) {
  return request.major_version == 1 ? fmt::format("HTTP/1.{}", request.minor_version)
                                    : fmt::format("HTTP/{}", request.major_version);
}

// The sites until now, by name: what is known of one outlives its changes. Views: of `old`.
using Before = std::unordered_map<std::string_view, const PolicySite*>;
Before by_name(const Snapshot* old) {
  Before out;
  if (old == nullptr) return out;
  for (const auto& site : old->sites.all()) out.emplace(site->name(), site.get());
  return out;
}

bool needs_client(const SitePolicy& policy) {
  return policy.geo.used() || policy.limit.rate > 0;
}

// Counts a request that is not safe (RFC 9110 §9.2.1), for as long as it lasts.
class Changing {
 public:
  Changing(std::string_view method, std::atomic<int>& count)
      : count_(method == "GET" || method == "HEAD" || method == "OPTIONS" ? nullptr : &count) {
    if (count_ != nullptr) count_->fetch_add(1);
  }
  ~Changing() {
    if (count_ != nullptr) count_->fetch_sub(1);
  }
  Changing(const Changing&) = delete;
  Changing& operator=(const Changing&) = delete;

 private:
  std::atomic<int>* const count_;
};

// Answers without asking anybody.
io::Task<void> answer_here(http::Exchange& exchange, http::Response response, std::string body,
                           Served& served) {
  served.how = Served::How::refused;
  served.status = response.status;
  served.body_bytes = body.size();
  auto sent = co_await exchange.respond(std::move(response), std::move(body));
  served.complete = sent.has_value();
}

}  // namespace

Node::Node(NodeParts parts)
    : parts_(std::move(parts)),
      background_(parts_.loops),
      relay_({.home = *parts_.loops.front(),
              .connector = parts_.connector,
              .clock = parts_.clock,
              .random = parts_.random,
              .purge = [this](const PurgeOrder& order) { return begin_purge(order); },
              .purge_all = [this] { return begin_purge_all(); },
              .heard = parts_.cache.heard(),
              .keep_heard = [this](std::vector<HeardMark> heard) { parts_.cache.keep_heard(heard); },
              .workers = &parts_.workers}),
      shared_(make_shared_state(parts_.cache, parts_.clock, parts_.random,
                                [this](const PurgeOrder& order) { relay_.tell(order); })) {
  for (size_t i = 0; i < parts_.loops.size(); ++i) {
    auto core = std::make_unique<Core>();
    core->index = i;
    core->loop = parts_.loops[i];
    core->front = make_front(*core->loop, shared_);
    cores_.push_back(std::move(core));
  }
}

Node::~Node() = default;

http::Page Node::page(int status, std::string_view why) {
  http::Page page;
  page.response.status = status;
  page.response.headers.add("content-type", "text/plain; charset=utf-8");
  // A request's own mistake must not be what others get.
  page.response.headers.add("cache-control", "no-store");
  page.body = fmt::format("{}: {}\n", status, why);
  return page;
}

Result<void> Node::read_token(const std::string& path) {
  if (path.empty()) {
    token_.clear();
    return {};
  }
  struct stat info{};
  if (stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IRGRP | S_IROTH)) != 0)
    return fail(Code::invalid, fmt::format("the token {0} may be read by others; run: chmod 600 {0}", path));
  ASSIGN_OR_RETURN(std::string token, read_text_file(path, "file", kTokenBytesMax));
  token.erase(token.find_last_not_of(" \t\r\n") + 1);
  if (token.size() < kTokenBytesMin)
    return fail(
        Code::invalid,
        fmt::format("the token in {} is shorter than {} characters; make one with: openssl rand -hex 32 > {}",
                    path, kTokenBytesMin, path));
  token_ = std::move(token);
  return {};
}

Result<void> Node::apply(const Config& config) {
  auto fresh = std::make_shared<Snapshot>();
  fresh->proxy = std::make_shared<ProxyPolicy>(
      ProxyPolicy{config.name, config.trust, loop_name(config.peers.token, config.name), config.peers.token});
  const BalanceParts balancing{parts_.loops, parts_.connector, parts_.clock, parts_.random, background_};
  if (newest_ != nullptr && newest_->peers != nullptr && newest_->peers->policy() == config.peers)
    fresh->peers = newest_->peers;
  else if (config.peers.used())
    fresh->peers = std::make_shared<Peers>(config.peers, fresh->proxy->loop_name, balancing,
                                           newest_ == nullptr ? nullptr : newest_->peers.get(),
                                           [this] { return relay_.need(); });
  if (!config.geo_database.empty()) {
    ASSIGN_OR_RETURN(fresh->geo, open_geo(config.geo_database));
  }
  const Before sites_before = by_name(newest_.get());
  for (const SitePolicy& policy : config.sites) {
    const auto found = sites_before.find(policy.name);
    const PolicySite* before = found == sites_before.end() ? nullptr : found->second;
    // What its upstream was made from is the same: its connections are kept.
    std::shared_ptr<Upstream> upstream;
    if (before != nullptr && before->policy().origin == policy.origin) upstream = before->shared_upstream();
    if (upstream == nullptr && policy.origin.local) {
      if (parts_.local == nullptr)
        return fail(Code::invalid, "site '" + policy.name + "': nothing local is here");
      upstream = parts_.local(background_);
    }
    if (upstream == nullptr)
      upstream =
          // What it knows about its origins outlives a change of their list.
          std::make_shared<Balancer>(
              policy.origin, balancing,
              before == nullptr ? nullptr : dynamic_cast<const Balancer*>(before->shared_upstream().get()));
    fresh->sites.add(std::make_shared<PolicySite>(
        policy, fresh->proxy, std::move(upstream),
        before == nullptr ? std::make_shared<SiteStats>() : before->stats(), fresh->peers));
  }
  // What can fail comes first.
  if (access_log_ == nullptr) {
    auto log = std::make_unique<AccessLog>(config.access, cores_.size(), parts_.workers);
    RETURN_IF_ERROR(log->open());
    RETURN_IF_ERROR(read_token(config.admin_token_file));
    access_log_ = std::move(log);
    rates_ = std::make_unique<Rates>(static_cast<size_t>(config.rate_clients_max), parts_.random);
  } else {
    RETURN_IF_ERROR(read_token(config.admin_token_file));
    RETURN_IF_ERROR(access_log_->reopen(config.access));
  }
  if (config.peers.somebody() && !config.peers.log_dir.empty() && !relay_.keeps()) keep_what_is_told(config);
  relay_.use(config.peers);
  set_reader_memory(*shared_, config.reader_bytes);
  {
    std::lock_guard lock(local_mutex_);
    local_sites_.clear();
    for (const SitePolicy& policy : config.sites)
      if (policy.origin.local) local_sites_.push_back(policy.name);
  }
  newest_ = fresh;
  for (auto& core : cores_) {
    if (core->snapshot == nullptr)
      core->snapshot = newest_;  // before its loop runs
    else
      core->loop->post([core = core.get(), fresh = newest_] { core->snapshot = fresh; });
  }
  return {};
}

void Node::keep_what_is_told(const Config& config) {
  auto files = open_disk_files(config.peers.log_dir);
  if (files)
    relay_.keep_in(std::move(*files));
  else
    log::error("edge.purges.log_unused",
               {{"where", config.peers.log_dir}, {"reason", files.error().message}});
}

http::Handler Node::handler(size_t loop) {
  return [this, core = cores_[loop].get()](http::Exchange& exchange) {
    // What a trusted proxy says of TLS counts for everything: the key, https_only, the origin.
    const http::Request& request = exchange.request();
    const std::vector<AddressRange>& trust = core->snapshot->proxy->trust;
    if (!trust.empty() && is_trusted(request, trust)) {
      const std::string_view proto = request.headers.get("x-forwarded-proto");
      if ((proto == "https" || proto == "http") && (proto == "https") != request.secure)
        return handle_behind(this, core, exchange, proto == "https");
    }
    return handle(this, core, exchange);
  };
}

http::Handler Node::admin_handler() {
  return [this](http::Exchange& exchange) { return handle_admin(this, exchange); };
}

void Node::start() {
  access_log_->start();
  relay_.start();
}

void Node::tell(Core& core, const http::Request& request, const Account& account) {
  const Served& served = account.served;
  if (account.stats != nullptr) {
    SiteStats& mine = *account.stats;
    mine.requests[account.how_index].fetch_add(1, std::memory_order_relaxed);
    mine.client_bytes.fetch_add(served.body_bytes, std::memory_order_relaxed);
    if (served.origin_bytes > 0) mine.origin_bytes.fetch_add(served.origin_bytes, std::memory_order_relaxed);
    if (served.body_bytes > served.origin_bytes)
      mine.saved_bytes.fetch_add(served.body_bytes - served.origin_bytes, std::memory_order_relaxed);
  }
  if (!access_log_->on()) return;
  const std::string version = version_of(request);
  AccessRecord record;
  record.at_ms = account.began_ms;
  record.client = account.client.empty() ? std::string_view(request.peer) : std::string_view(account.client);
  record.site = account.site;
  record.method = request.method;
  record.host = request.headers.get("host");
  record.target = request.target;
  record.version = version;
  record.referer = request.headers.get("referer");
  record.user_agent = request.headers.get("user-agent");
  record.how = account.how;
  record.origin = served.origin;
  record.status = served.status;
  record.body_bytes = served.body_bytes;
  record.origin_bytes = served.origin_bytes;
  record.duration_us =
      std::chrono::duration_cast<std::chrono::microseconds>(parts_.clock.now() - account.began).count();
  record.secure = request.secure;
  record.complete = served.complete;
  access_log_->append(core.index, record);
}

// No coroutine of its own: a hit has enough of them.
io::Task<Served> Node::serve(Core& core, http::Exchange& exchange, std::shared_ptr<const PolicySite> site) {
  const http::Request& request = exchange.request();
  std::string_view upgrade = passable_upgrade(request);
  if (!upgrade.empty()) return pass_through(exchange, std::move(site), std::string(upgrade));
  std::string primary;
  if (site->cache().enabled) primary = primary_key(site->name(), request, site->cache().key);
  return core.front->serve(exchange, std::move(site), std::move(primary));
}

io::Task<void> Node::handle(Node* node, Core* core, http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  Account account;
  const bool logged = node->access_log_->on();
  account.began = logged ? node->parts_.clock.now() : core->loop->now();
  if (logged) account.began_ms = node->parts_.clock.unix_ms();
  // Held: a reload may replace it while this request is under way.
  const std::shared_ptr<const Snapshot> snapshot = core->snapshot;
  if (request.target == kPeerPath && !snapshot->proxy->peer_token.empty()) {
    const bool ready = node->ready_;
    http::Page answer = page(ready ? 204 : 503, "this edge is draining");
    if (ready) answer.body.clear();
    co_await answer_here(exchange, std::move(answer.response), std::move(answer.body), account.served);
    co_return;
  }
  const bool from_edge = is_peer_token(request.headers.get(kPeerField), snapshot->proxy->peer_token);
  if (from_edge && request.target == kPurgesPath) {
    co_await take_purges(node, exchange);
    co_return;
  }
  const std::shared_ptr<const PolicySite>* found = snapshot->sites.find(request.headers.get("host"));
  // TRACE would show a script what the edge adds to a request; CONNECT would make the edge a proxy to anywhere.
  const bool refused = request.method == "TRACE" || request.method == "CONNECT";
  const bool loops = times_in_loop(request.headers, snapshot->proxy->loop_name) >= kHopsMax;
  if (found == nullptr || refused || loops) {
    if (found == nullptr && !refused) unknown_hosts.add();
    http::Page answer = refused ? page(405, "this method is not passed on")
                        : loops ? page(508, "the request goes round between edges")
                                : page(421, "no site here has this host name");
    if (refused) answer.response.headers.add("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    account.how = refused ? "method" : loops ? "loop" : "host";
    co_await answer_here(exchange, std::move(answer.response), std::move(answer.body), account.served);
    node->tell(*core, request, account);
    co_return;
  }
  const std::shared_ptr<const PolicySite> site = *found;
  const Changing changing(request.method, node->changing_);
  const SitePolicy& policy = site->policy();
  account.site = policy.name;
  account.stats = site->stats().get();
  GateContext context;
  if (needs_client(policy) || logged) {
    context.client = client_of(request, snapshot->proxy->trust).value_or(IpAddress{});
    account.client = context.client.text();
  }
  context.geo = snapshot->geo.get();
  context.rates = node->rates_.get();
  context.now = account.began;
  if (!policy.signed_.paths.empty()) context.unix_ms = node->parts_.clock.unix_ms();
  if (from_edge && !node->relay_.fulfils(request.headers.get(kPurgesField))) {
    // What is stored here may be what the asker must not be given any more: it asks elsewhere.
    http::Page answer = page(421, "this edge has not heard yet of all that was purged");
    account.how = "purges";
    co_await answer_here(exchange, std::move(answer.response), std::move(answer.body), account.served);
    node->tell(*core, request, account);
    co_return;
  }
  if (from_edge) {
    // The edge that the client asked has decided on the request already.
    auto view =
        std::make_unique<ExchangeView>(exchange, std::nullopt, std::vector<HeaderEdit>{}, std::nullopt);
    view->set_secure(request.headers.get("x-forwarded-proto") == "https");
    co_await handle_view(node, core, std::move(view), site, account);
    co_return;
  }
  Decision decision = decide(policy, request, exchange.body_length(), context);
  if (decision.answer) {
    account.how = decision.reason;
    site->edit_response(request, decision.answer->status, decision.answer->headers);
    co_await answer_here(exchange, std::move(*decision.answer), std::move(decision.body), account.served);
    node->tell(*core, request, account);
    co_return;
  }
  const bool bounded = policy.limit.body_bytes_max && !exchange.body_length();
  if (!decision.target && decision.set_headers.empty() && !bounded) {
    auto served = co_await node->serve(*core, exchange, site);
    account.take(std::move(served));
    node->tell(*core, request, account);
    co_return;
  }
  auto view =
      std::make_unique<ExchangeView>(exchange, std::move(decision.target), decision.set_headers,
                                     bounded ? policy.limit.body_bytes_max : std::optional<uint64_t>());
  co_await handle_view(node, core, std::move(view), site, account);
}

// A request that is served as another than the client's. Apart from handle(), whose frame is made for every request: it is to stay below what malloc
// has at hand at once.
io::Task<void> Node::handle_view(Node* node, Core* core, std::unique_ptr<ExchangeView> view,
                                 std::shared_ptr<const PolicySite> site, Account& account) {
  auto served = co_await node->serve(*core, *view, std::move(site));
  account.take(std::move(served));
  node->tell(*core, view->request(), account);
}

io::Task<void> Node::handle_behind(Node* node, Core* core, http::Exchange& exchange, bool secure) {
  ExchangeView view(exchange, std::nullopt, {}, std::nullopt);
  view.set_secure(secure);
  co_await handle(node, core, view);
}

io::Task<void> Node::close() {
  io::Loop* home = io::Loop::current();
  for (auto& core : cores_) {
    if (core->front == nullptr) continue;
    co_await io::resume_on(*core->loop);
    io::Task<void> closed = core->front->close();
    co_await std::move(closed);
    core->front.reset();
  }
  co_await io::resume_on(*home);
  co_await relay_.close();
  // Nobody serves any more: the last references to the sites go, checks end, and what is idle is closed.
  for (auto& core : cores_) core->snapshot.reset();
  newest_.reset();
  co_await background_.close();
  if (access_log_) co_await access_log_->close();
}

}  // namespace archipel::edge
