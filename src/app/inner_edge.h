// InnerEdge: the edge inside a gateway ([edge] in archipel.toml): caches the gateway's own websites, and whatever else its sites name as origins.
//
// The websites are asked in this process (edge/local_upstream.h). What is stored of them is tagged with its bucket, and every commit that changes a bucket lets
// it be validated, or forgotten, before the change is acknowledged: who has written reads what was written.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "app/edge_ports.h"
#include "app/origin_connector.h"
#include "edge/config.h"
#include "edge/node.h"
#include "index/kv.h"
#include "io/workers.h"

namespace archipel::app {

class InnerEdge {
 public:
  struct Parts {
    std::vector<io::Loop*> loops;  // home first
    io::Workers& workers;
    http::Handler websites;  // the site door
    std::string domain;      // of websites: NAME.DOMAIN is bucket NAME
    std::function<void()> stop;
  };
  InnerEdge(edge::Config config, Parts parts);
  ~InnerEdge();

  void open_cache();  // blocks on the disk tier; before anything else
  Result<EdgeAddresses> listen(Ports& ports, std::shared_ptr<io::TlsContext> tls);  // home loop
  void start();  // home loop: requests come
  void drain() { node_ready(false); }
  // Home loop. A configuration that is not good changes nothing.
  Result<void> reload(edge::Config config);
  // These mutations are in the view from now on. Any thread.
  void changed(const std::vector<index::Mutation>& mutations);
  // The view is another one from now on. Any thread.
  void changed_altogether();
  io::Task<void> close();  // home loop; after its ports have ended, before the site door goes

 private:
  void node_ready(bool ready) {
    if (node_ != nullptr) node_->set_ready(ready);
  }
  edge::Config config_;
  Parts parts_;
  std::unique_ptr<OriginConnector> connector_;
  std::shared_ptr<edge::Cache> cache_;
  std::unique_ptr<edge::Node> node_;
  std::atomic<edge::Node*> told_{nullptr};  // node_, while it may be told of changes
};

// The buckets that these mutations change, each once: first those whose objects alone change, then those whose configuration does, or that come or go.
struct ChangedBuckets {
  std::vector<std::string> objects, whole;
};
ChangedBuckets changed_buckets(const std::vector<index::Mutation>& mutations);

}  // namespace archipel::app
