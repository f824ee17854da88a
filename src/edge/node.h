// Node: an edge as it runs: which site a request is for, what its policy says, who answers, and the account of it all.
//
//   Node node(parts);                                   // on the home loop, or before loops run
//   node.apply(config);                                 // again at each reload; a bad one changes nothing
//   make_server(loop, node.handler(i), limits, …);      // one per loop, and answer_now_with(server, node.answerer(i))
//   make_server(home, node.admin_handler(), …);
//   … drain the servers …; co_await node.close();
//
// Requests under way go on with the sites they began with. What has not changed between two configurations keeps its connections to origins.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "edge/access_log.h"
#include "edge/balance.h"
#include "edge/config.h"
#include "edge/geo.h"
#include "edge/peers.h"
#include "edge/purge_relay.h"
#include "edge/rates.h"
#include "edge/serve.h"
#include "edge/site.h"
#include "http/now.h"
#include "io/workers.h"

namespace archipel::edge {

struct NodeParts {
  std::vector<io::Loop*> loops;  // home first
  Cache& cache;
  HashSecret secret;
  Connector& connector;
  io::Workers& workers;
  Clock& clock;
  Random& random;
  std::function<void()> drain;  // POST /drain asks for it; home loop
  // Of the process, for /metrics; null: none.
  std::function<std::string()> process_metrics = nullptr;
  // The upstream of sites whose origin is local; null: there can be none.
  std::function<std::shared_ptr<Upstream>(Background&)> local = nullptr;
};

// What a configuration becomes. Immutable; each loop holds the newest.
struct Snapshot {
  SiteTable sites;
  std::shared_ptr<const ProxyPolicy> proxy;
  std::shared_ptr<const Geo> geo;
  std::shared_ptr<Peers> peers;  // null: this edge is alone
};

class ExchangeView;

class Node {
 public:
  explicit Node(NodeParts parts);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Builds what the configuration describes, and serves by it from then on. Blocks on files (countries, token, log). Home loop, or before loops run.
  Result<void> apply(const Config& config);

  // The access log's file anew, as it was configured: for who rotates it. Blocks. Home loop.
  Result<void> reopen_log() { return access_log_->reopen(); }

  http::Handler handler(size_t loop);
  // Usual hits, before the handler is asked. Without it they are as right and cost more.
  http::AnswerNow answerer(size_t loop);
  http::Handler admin_handler();
  // An error page in the edge's own words.
  static http::Page page(int status, std::string_view why);

  // What local sites give out with this tag (empty: all) has changed. In effect when it returns. Any thread.
  void local_changed(const std::string& tag, bool soft);
  void start();  // home loop: the access log begins, and other edges are spoken to
  void set_ready(bool ready) { ready_ = ready; }
  // Requests under way that may invalidate what is stored. Any thread.
  int changing() const { return changing_.load(std::memory_order_acquire); }
  // What other edges have yet to hear is a successor's to keep. Blocks; any thread.
  void release_purges() { relay_.release(); }
  io::Task<void> close();  // home loop; after the servers have ended

 private:
  struct Core;
  struct Account;
  // node_hit.cc
  bool answer_now(Core& core, http::NowExchange& exchange, std::optional<io::Task<void>>& rest);
  static io::Task<void> finish_now(Node* node, Core* core, http::NowExchange& exchange,
                                   std::shared_ptr<const Snapshot> snapshot, std::unique_ptr<Account> account,
                                   std::shared_ptr<void> kept);
  static io::Task<void> handle(Node* node, Core* core, http::Exchange& exchange);
  static io::Task<void> handle_behind(Node* node, Core* core, http::Exchange& exchange, bool secure);
  static io::Task<void> handle_view(Node* node, Core* core, std::unique_ptr<ExchangeView> view,
                                    std::shared_ptr<const PolicySite> site, Account& account);
  io::Task<Served> serve(Core& core, http::Exchange& exchange, std::shared_ptr<const PolicySite> site);
  void tell(Core& core, const http::Request& request, const Account& account);
  void keep_what_is_told(const Config& config);
  Result<void> read_token(const std::string& path);

  // node_purge.cc
  Result<PurgeRelay::Purging> begin_purge(const PurgeOrder& order);
  PurgeRelay::Purging begin_purge_all();
  static io::Task<Result<std::string>> purge(Node* node, http::Exchange& exchange);
  static io::Task<void> take_purges(Node* node, http::Exchange& exchange);

  // node_admin.cc
  static io::Task<void> handle_admin(Node* node, http::Exchange& exchange);
  bool is_authorised(const http::Request& request) const;
  std::string sites_json() const;
  std::string metrics_text() const;

  NodeParts parts_;
  Background background_;
  std::unique_ptr<Rates> rates_;
  std::unique_ptr<AccessLog> access_log_;
  PurgeRelay relay_;
  std::shared_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Core>> cores_;
  std::shared_ptr<const Snapshot> newest_;  // home loop
  std::mutex local_mutex_;
  std::vector<std::string> local_sites_;
  std::string token_;  // of the admin interface; empty: none
  std::atomic<bool> ready_ = false;
  std::atomic<int> changing_ = 0;
};

}  // namespace archipel::edge
