// A usual hit: what handle() does for it, without a coroutine. Whatever is not usual about a request, its site or its client is left to handle().
#include "edge/gate.h"
#include "edge/key.h"
#include "edge/node_internal.h"
#include "edge/serve_internal.h"
#include "edge/usual.h"

namespace archipel::edge {

http::AnswerNow Node::answerer(size_t loop) {
  return [this, core = cores_[loop].get()](http::NowExchange& exchange, std::optional<io::Task<void>>& rest) {
    return answer_now(*core, exchange, rest);
  };
}

// Nothing of the core's is held: until this returns nothing else happens on its loop.
bool Node::answer_now(Core& core, http::NowExchange& exchange, std::optional<io::Task<void>>& rest) {
  const http::Request& request = exchange.request();
  if (request.method != "GET" && request.method != "HEAD") return false;
  const Usual usual = look_for_usual(request.headers);
  const Snapshot& snapshot = *core.snapshot;
  const ProxyPolicy& proxy = *snapshot.proxy;
  if (!usual.plain || (usual.forwarded && !proxy.trust.empty())) return false;
  if (!proxy.peer_token.empty() && request.target == kPeerPath) return false;
  if (usual.looped && times_in_loop(request.headers, proxy.loop_name) >= kHopsMax) return false;
  const std::shared_ptr<const PolicySite>* found = snapshot.sites.find(usual.host);
  if (found == nullptr || !lets_pass((*found)->policy(), request)) return false;
  const PolicySite& site = **found;

  Account account;
  const bool logged = access_log_->on();
  if (logged) {
    account.began = parts_.clock.now();
    account.began_ms = parts_.clock.unix_ms();
  }
  const std::string primary = primary_key(site.name(), request, site.cache().key);
  std::shared_ptr<void> kept;
  const http::NowExchange::Now now =
      static_cast<FrontImpl&>(*core.front).serve_now(exchange, site, primary, account.served, kept);
  if (now == http::NowExchange::Now::no) return false;
  account.site = site.name();
  account.stats = site.stats().get();
  account.served_as(account.served.how);
  if (logged) account.client = client_of(request, proxy.trust).value_or(IpAddress{}).text();
  if (now == http::NowExchange::Now::whole)
    tell(core, request, account);
  else
    rest.emplace(finish_now(this, &core, exchange, core.snapshot,
                            std::make_unique<Account>(std::move(account)), std::move(kept)));
  return true;
}

// The client does not take it all at once. `snapshot` holds the site that the account speaks of.
io::Task<void> Node::finish_now(Node* node, Core* core, http::NowExchange& exchange,
                                [[maybe_unused]] std::shared_ptr<const Snapshot> snapshot,
                                std::unique_ptr<Account> account,
                                [[maybe_unused]] std::shared_ptr<void> kept) {
  auto sent = co_await exchange.finish_stored();
  account->served.complete = sent.has_value();
  if (!sent) account->served.body_bytes = 0;
  node->tell(*core, exchange.request(), *account);
}

}  // namespace archipel::edge
