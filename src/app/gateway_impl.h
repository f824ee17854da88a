// Gateway: the objects of a gateway's process and the order in which they live. Private to src/app.
//
// gateway.cc: a process from start to end, signals, reloads. gateway_open.cc: what is made of a configuration. gateway_serve.cc: ports and requests.
// gateway_commands.cc: what commands ask of a running gateway.
#pragma once

#include <atomic>
#include <thread>
#include "app/admin.h"
#include "app/gateway.h"
#include "app/guard.h"
#include "app/identities.h"
#include "app/inner_edge.h"
#include "app/islands.h"
#include "app/json.h"
#include "app/mending.h"
#include "app/own_port.h"
#include "app/placements.h"
#include "app/ports.h"
#include "app/private_file.h"
#include "app/tls_files.h"
#include "base/log.h"
#include "base/metrics.h"
#include "crypto/keyring.h"
#include "door/s3/access_log.h"
#include "door/s3/door.h"
#include "door/s3/settings.h"
#include "door/site/site.h"
#include "extent/extent.h"
#include "http/server.h"
#include "index/journal.h"
#include "index/snapshot_keeper.h"
#include "io/signals.h"
#include "io/sync.h"
#include "io/workers.h"
#include "island/health.h"
#include "store/collector.h"
#include "store/compaction.h"
#include "store/give_up.h"
#include "store/lifecycle.h"
#include "store/repair_records.h"
#include "store/snapshot_hooks.h"
#include "store/store.h"

namespace archipel::app {

class Gateway {
 public:
  Gateway(GatewayOptions options, const std::function<void(const Ready&)>& on_ready)
      : options_(std::move(options)), on_ready_(on_ready) {}

  Result<void> run();

 private:
  // One event loop with its thread; loop 0 runs on the main thread.
  struct Core {
    std::unique_ptr<io::Loop> loop;
    std::thread thread;
  };

  // Policies that a configuration's placements were made of.
  struct Placed {
    std::shared_ptr<const store::Placements> placements;
    std::vector<exposure::Solution> solutions;
  };

  io::Task<void> live();
  void leave();
  void leave_half_open();
  io::Task<Result<void>> open();
  void make_collection(const std::shared_ptr<store::Pins>& pins, const extent::AckRule& ack,
                       Duration truncation_delay);
  io::Task<Result<void>> ensure_account();
  static io::Task<void> refresh(Gateway* self);
  static io::Task<void> write_account_later(Gateway* self);
  void add_routes();
  static io::Task<void> snapshot_now(Gateway* self, AdminReply& reply);
  static io::Task<void> identity(Gateway* self, AdminReply& reply);
  static io::Task<void> tell_islands(Gateway* self, AdminReply& reply);
  static io::Task<void> rejoin(Gateway* self, AdminReply& reply);
  Result<void> listen();
  Result<void> listen_for_sites(const http::Limits& limits);
  Result<void> listen_for_edge();
  io::Task<void> open_edge();
  static io::Task<void> handle(Gateway* gateway, http::Exchange& exchange);
  static io::Task<void> handle_site(Gateway* gateway, http::Exchange& exchange);
  static io::Task<void> handle_admin(Gateway* gateway, http::Exchange& exchange);
  void on_signal(int signal);
  static io::Task<void> reload(Gateway* self);
  Result<Placed> place(const Config& config) const;
  void tell_placements(const Placed& placed) const;

  const Config& config() const { return options_.config; }
  io::Loop& home() { return *cores_.front().loop; }

  GatewayOptions options_;
  const std::function<void(const Ready&)>& on_ready_;
  Ready ready_;
  Result<void> outcome_;

  std::unique_ptr<crypto::Keyring> keys_;
  std::vector<Core> cores_;
  std::unique_ptr<io::Workers> workers_;
  std::unique_ptr<Guard> guard_;
  std::shared_ptr<const extent::Placement> placement_;
  extent::AckRule ack_;
  std::unique_ptr<extent::Fanout> fanout_;
  std::unique_ptr<extent::ExtentReader> reader_;
  index::Journal journal_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Mending> mending_;
  std::unique_ptr<store::Collector> collector_;
  std::unique_ptr<index::SnapshotKeeper> snapshots_;
  std::unique_ptr<store::Compactor> compactor_;
  std::unique_ptr<store::Lifecycle> lifecycle_;
  std::shared_ptr<door::s3::AccessLog> access_log_;
  std::unique_ptr<door::s3::Door> door_;
  std::unique_ptr<door::site::Site> site_;  // with [website] http or https
  std::unique_ptr<InnerEdge> edge_;         // with [edge]
  std::unique_ptr<io::SignalWatch> signals_;
  std::shared_ptr<io::TlsContext> tls_;  // with [listen] https
  std::unique_ptr<TlsFiles> tls_files_;
  std::unique_ptr<Admin> commands_;
  std::unique_ptr<Ports> ports_;

  std::atomic<int> requests_{0};      // of clients, under way on all loops
  std::atomic<bool> serving_{false};  // /readyz
  bool stop_ = false;                 // home loop only
  bool opened_ = false;               // home loop only: open() is over
  bool reload_wanted_ = false;        // home loop only: told to while it could not
  io::TaskScope reloads_;             // one at a time
  bool account_pending_ = false;      // home loop only
  io::Event changed_;                 // stop_ changed; home loop only
};

}  // namespace archipel::app
