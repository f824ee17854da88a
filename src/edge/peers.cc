#include "edge/peers.h"

#include <algorithm>

#include "crypto/hash.h"
#include "edge/purges_heard.h"
#include "http/h1_parser.h"

namespace archipel::edge {
namespace {

OriginPolicy pool_of(const std::vector<OriginAddress>& edges, const PeerPolicy& policy) {
  OriginPolicy out;
  out.origins = edges;
  out.connect_timeout = std::chrono::seconds(1);
  out.balance.algorithm = Algorithm::hash;
  out.balance.slow_start = Duration{0};
  out.health.path = kPeerPath;
  out.health.status_min = out.health.status_max = 204;
  out.health.interval = policy.interval;
  out.health.timeout = std::max<Duration>(policy.interval, std::chrono::milliseconds(500));
  out.health.rise = out.health.fall = 1;
  out.health.outliers = false;
  // An edge answers for its origins: a 5xx is theirs.
  out.health.failures = 0;
  out.retry.tries = 1;
  out.retry.statuses = {};
  out.retry.hedge = false;
  return out;
}

std::vector<std::string> names_of(const PeerPolicy& policy) {
  std::vector<std::string> out;
  for (const OriginAddress& edge : policy.list) out.push_back(edge.url);
  out.push_back(policy.self);
  return out;
}

template <class F>
void each_member(const http::Headers& headers, std::string_view field, F use) {
  for (const auto& [name, value] : headers) {
    if (name != field) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      std::string_view member = rest.substr(0, comma);
      rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
      while (member.starts_with(' ') || member.starts_with('\t')) member.remove_prefix(1);
      member = member.substr(0, member.find_first_of(" \t;"));
      if (!member.empty()) use(member);
    }
  }
}

}  // namespace

std::string loop_name(std::string_view token, const std::string& name) {
  if (token.empty()) return name;
  const crypto::Digest32 digest = crypto::sha256(as_bytes("archipel cdn-loop " + std::string(token)));
  return "archipel-" + hex(ByteView(digest).first(6));
}

int times_in_loop(const http::Headers& headers, std::string_view name) {
  int count = 0;
  each_member(headers, "cdn-loop", [&](std::string_view member) { count += member == name; });
  return count;
}

void add_to_loop(http::Headers& headers, std::string_view name) {
  std::string all;
  for (const auto& [field, value] : headers)
    if (field == "cdn-loop") all += (all.empty() ? "" : ", ") + value;
  headers.set("cdn-loop", (all.empty() ? "" : all + ", ") + std::string(name));
}

bool is_peer_token(std::string_view given, std::string_view token) {
  if (token.empty() || given.empty()) return false;
  // Equal lengths for the comparison, whatever was sent.
  const crypto::Digest32 a = crypto::sha256(as_bytes(given)), b = crypto::sha256(as_bytes(token));
  return crypto::constant_time_equal(a, b);
}

bool HotKeys::count(uint64_t key_hash, TimePoint now) {
  std::atomic<uint64_t>& place = places_[key_hash % kPlaces];
  const auto span = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count() / kSpanSeconds);
  uint64_t old = place.load(std::memory_order_relaxed), next = 0;
  do {
    // A key that was hot in the span before begins the next one half-way.
    const uint64_t age = (span & 0xffffffffu) - (old >> 32), seen = old & 0xffffffffu;
    const uint64_t kept = age == 0 ? seen : age == 1 && seen >= threshold_ ? threshold_ / 2 : 0;
    next = (span & 0xffffffffu) << 32 | std::min<uint64_t>(kept + 1, 0xffffffffu);
  } while (!place.compare_exchange_weak(old, next, std::memory_order_relaxed));
  return (next & 0xffffffffu) >= threshold_;
}

Peers::Peers(PeerPolicy policy, std::string name, BalanceParts parts, const Peers* before,
             std::function<std::string()> need)
    : policy_(std::move(policy)),
      name_(std::move(name)),
      need_(std::move(need)),
      nodes_(names_of(policy_)),
      hot_(policy_.hot_requests) {
  auto was = [before](std::unique_ptr<Balancer> Peers::* which) {
    return before == nullptr ? nullptr : (before->*which).get();
  };
  if (!policy_.list.empty())
    ring_ = std::make_unique<Balancer>(pool_of(policy_.list, policy_), parts, was(&Peers::ring_));
  if (!policy_.shield.empty())
    shield_ = std::make_unique<Balancer>(pool_of(policy_.shield, policy_), parts, was(&Peers::shield_));
}

bool Peers::is_own(std::string_view hash_key) {
  std::vector<Candidate> candidates = ring_->usable();
  candidates.push_back({policy_.list.size(), 1, own_in_flight_.load(std::memory_order_relaxed), 0});
  const size_t chosen = pick_bounded(nodes_, candidates, nodes_.hash(hash_key), 1.25);
  return candidates[chosen].origin == policy_.list.size();
}

FetchRequest Peers::for_peer(const FetchRequest& request) const {
  FetchRequest out = request;
  // The site is found there by what the client asked for, not by what the origin is called.
  std::string host(request.headers.get("x-forwarded-host"));
  if (!host.empty()) out.headers.set("host", std::move(host));
  out.headers.set(kPeerField, policy_.token);
  if (std::string need = need_ ? need_() : std::string(); !need.empty())
    out.headers.set(kPurgesField, std::move(need));
  return out;
}

// --- a site's ---------------------------------------------------------------------------------------------------------------

namespace {

// What another edge owns: kept here not at all, or for a short time.
class BorrowedFetch final : public MarkedFetch {
 public:
  // `token`: marks the response as edited by another edge (PolicySite::edit_response).
  BorrowedFetch(std::unique_ptr<Fetch> inner, const std::string& token, std::optional<Duration> keep)
      : MarkedFetch(std::move(inner), kPeerField, token), keep_(keep) {}
  std::optional<Duration> keep_max() const override { return keep_; }

 private:
  const std::optional<Duration> keep_;
};

struct Counted {
  explicit Counted(std::atomic<int>& c) : counter(c) { counter.fetch_add(1, std::memory_order_relaxed); }
  ~Counted() { counter.fetch_sub(1, std::memory_order_relaxed); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  std::atomic<int>& counter;
};

// It refuses to pass the request on: it does not know the site, it has not heard of all purges, or the request has gone round.
bool is_no_answer(int status) {
  return status == 421 || status == 508;
}

}  // namespace

class PeeredUpstream final : public Upstream {
 public:
  PeeredUpstream(std::shared_ptr<Peers> peers, std::shared_ptr<Upstream> inner)
      : peers_(std::move(peers)), inner_(std::move(inner)) {}

  io::Task<Result<std::unique_ptr<Fetch>>> fetch(FetchRequest request, Deadline deadline) override {
    Peers& peers = *peers_;
    const bool shared = !request.hash_key.empty() && request.body == nullptr && request.upgrade.empty() &&
                        (request.method == "GET" || request.method == "HEAD");
    // The last name in the list is ours, of this hop.
    const int hops = times_in_loop(request.headers, peers.name_) - 1;
    if (shared && hops <= 0 && peers.ring_ != nullptr && !peers.is_own(request.hash_key)) {
      const bool hot = peers.hot_.count(peers.nodes_.hash(request.hash_key), io::Loop::current()->now());
      const Duration keep = hot ? peers.policy_.hot_time : Duration{0};
      peers.stats_.asked.fetch_add(1, std::memory_order_relaxed);
      if (hot) peers.stats_.hot.fetch_add(1, std::memory_order_relaxed);
      auto out = co_await peers.ring_->fetch(peers.for_peer(request), deadline);
      if (out && !is_no_answer((*out)->status()))
        co_return std::make_unique<BorrowedFetch>(std::move(*out), peers.policy_.token, keep);
      peers.stats_.failed.fetch_add(1, std::memory_order_relaxed);
    }
    Counted counted(peers.own_in_flight_);
    if (shared && peers.shield_ != nullptr) {
      peers.stats_.shielded.fetch_add(1, std::memory_order_relaxed);
      auto out = co_await peers.shield_->fetch(peers.for_peer(request), deadline);
      if (out && !is_no_answer((*out)->status()))
        co_return std::make_unique<BorrowedFetch>(std::move(*out), peers.policy_.token, std::nullopt);
      peers.stats_.failed.fetch_add(1, std::memory_order_relaxed);
    }
    peers.stats_.own.fetch_add(1, std::memory_order_relaxed);
    auto out = co_await inner_->fetch(std::move(request), deadline);
    co_return out;
  }

 private:
  const std::shared_ptr<Peers> peers_;
  const std::shared_ptr<Upstream> inner_;
};

std::shared_ptr<Upstream> peered(std::shared_ptr<Peers> peers, std::shared_ptr<Upstream> inner) {
  if (peers == nullptr) return inner;
  return std::make_shared<PeeredUpstream>(std::move(peers), std::move(inner));
}

}  // namespace archipel::edge
