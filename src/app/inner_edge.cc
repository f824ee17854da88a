#include "app/inner_edge.h"

#include <algorithm>
#include <set>

#include "app/process.h"
#include "door/site/routes.h"
#include "edge/local_upstream.h"
#include "store/keys.h"

namespace archipel::app {
namespace {

std::string tag_of(std::string_view bucket) {
  return "archipel-bucket-" + std::string(bucket);
}

class Websites final : public edge::Upstream {
 public:
  Websites(std::shared_ptr<edge::Upstream> door, std::string domain)
      : door_(std::move(door)), domain_(std::move(domain)) {}
  io::Task<Result<std::unique_ptr<edge::Fetch>>> fetch(edge::FetchRequest request,
                                                       Deadline deadline) override {
    std::string tag = tag_of(door::site::bucket_of_host(request.headers.get("host"), domain_));
    auto fetched = co_await door_->fetch(std::move(request), deadline);
    if (!fetched) co_return fail(fetched.error());
    co_return std::make_unique<edge::MarkedFetch>(std::move(*fetched), "cache-tag", std::move(tag));
  }

 private:
  const std::shared_ptr<edge::Upstream> door_;
  const std::string domain_;
};

}  // namespace

ChangedBuckets changed_buckets(const std::vector<index::Mutation>& mutations) {
  std::set<std::string, std::less<>> objects, whole;
  for (const index::Mutation& mutation : mutations) {
    const std::string_view key = mutation.key;
    const std::string_view name = key.substr(std::min<size_t>(2, key.size()));
    if (key.starts_with(store::kObjectPrefix)) objects.emplace(name.substr(0, name.find('\0')));
    if (key.starts_with(store::kConfigPrefix)) whole.emplace(name.substr(0, name.find('\0')));
    if (key.starts_with(store::kBucketPrefix)) whole.emplace(name);
  }
  for (const std::string& bucket : whole) objects.erase(bucket);
  return {{objects.begin(), objects.end()}, {whole.begin(), whole.end()}};
}

InnerEdge::InnerEdge(edge::Config config, Parts parts)
    : config_(std::move(config)), parts_(std::move(parts)) {}

InnerEdge::~InnerEdge() {
  if (cache_ != nullptr) cache_->close();
}

void InnerEdge::open_cache() {
  cache_ = edge::make_cache(config_.cache, parts_.workers, system_clock(), system_random());
}

Result<EdgeAddresses> InnerEdge::listen(Ports& ports, std::shared_ptr<io::TlsContext> tls) {
  connector_ = std::make_unique<OriginConnector>(io::tcp_network(), parts_.workers, system_clock());
  auto local = [this](edge::Background& background) -> std::shared_ptr<edge::Upstream> {
    auto door = edge::local_upstream(parts_.websites, "local", background, system_clock());
    return std::make_shared<Websites>(std::move(door), parts_.domain);
  };
  node_ = std::make_unique<edge::Node>(edge::NodeParts{.loops = parts_.loops,
                                                       .cache = *cache_,
                                                       .secret = {system_random().bytes<16>()},
                                                       .connector = *connector_,
                                                       .workers = parts_.workers,
                                                       .clock = system_clock(),
                                                       .random = system_random(),
                                                       .drain = parts_.stop,
                                                       .process_metrics = process_metrics_text,
                                                       .local = local});
  RETURN_IF_ERROR(node_->apply(config_));
  told_ = node_.get();
  return listen_for_edge(ports, *node_, config_, std::move(tls));
}

void InnerEdge::start() {
  node_->start();
  node_->set_ready(true);
}

Result<void> InnerEdge::reload(edge::Config config) {
  RETURN_IF_ERROR(node_->apply(config));
  connector_->forget();
  config_ = std::move(config);
  return {};
}

void InnerEdge::changed(const std::vector<index::Mutation>& mutations) {
  edge::Node* node = told_.load(std::memory_order_acquire);
  if (node == nullptr) return;
  const ChangedBuckets buckets = changed_buckets(mutations);
  for (const std::string& bucket : buckets.objects) node->local_changed(tag_of(bucket), true);
  // Who may see it, and how, has changed: nothing of before may be shown, not even while the door fails.
  for (const std::string& bucket : buckets.whole) node->local_changed(tag_of(bucket), false);
}

void InnerEdge::changed_altogether() {
  edge::Node* node = told_.load(std::memory_order_acquire);
  if (node != nullptr) node->local_changed({}, false);
}

io::Task<void> InnerEdge::close() {
  // Commits go on a little: there is nothing left to be told to.
  told_ = nullptr;
  if (node_ != nullptr) co_await node_->close();
}

}  // namespace archipel::app
