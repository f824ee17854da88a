#include "edge/balance_config.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "base/text_file.h"
#include "edge/config.h"
#include "edge/site_config.h"
#include "http/h1_parser.h"

namespace archipel::edge {
namespace {

using Kind = TomlValue::Kind;
constexpr Duration kMillisecond = std::chrono::milliseconds(1);
constexpr Duration kTimeMax = std::chrono::hours(24);
constexpr size_t kTokenBytesMin = 16, kTokenBytesMax = 4096;

Result<void> real(TomlTable& t, std::string_view key, double& out, double min, double max) {
  const TomlValue* value = t.take(key);
  if (value == nullptr) return {};
  const double number = value->is(Kind::integer) ? static_cast<double>(value->integer)
                        : value->is(Kind::real)  ? value->real
                                                 : min - 1;
  if (!(number >= min && number <= max))
    return t.error(*value, fmt::format("`{}` must be a number from {} to {}", key, min, max));
  out = number;
  return {};
}

Result<void> weights(TomlTable& t, OriginPolicy& policy) {
  const TomlValue* value = t.take("weights");
  if (value == nullptr) return {};
  if (!value->is(Kind::array) || value->items.size() != policy.origins.size())
    return t.error(*value, fmt::format("`weights` must be a list of {} numbers, one for each origin",
                                       policy.origins.size()));
  for (const TomlValue& item : value->items) {
    const double number = item.is(Kind::integer) ? static_cast<double>(item.integer)
                          : item.is(Kind::real)  ? item.real
                                                 : 0;
    if (!(number >= 0.001 && number <= 1000)) return t.error(item, "a weight is a number from 0.001 to 1000");
    policy.balance.weights.push_back(number);
  }
  return {};
}

Result<std::vector<OriginAddress>> edges(TomlTable& t, std::string_view key) {
  std::vector<std::string> urls;
  RETURN_IF_ERROR(t.texts(key, urls, kOriginsMax));
  std::vector<OriginAddress> out;
  for (const std::string& url : urls) {
    auto address = parse_origin(url);
    if (!address) return t.error(*t.take(key), address.error().message);
    out.push_back(std::move(*address));
  }
  return out;
}

}  // namespace

Result<void> load_balance(TomlTable& t, OriginPolicy& policy) {
  BalancePolicy& b = policy.balance;
  std::string algorithm = "ewma";
  RETURN_IF_ERROR(t.text("algorithm", algorithm));
  if (algorithm == "ewma")
    b.algorithm = Algorithm::ewma;
  else if (algorithm == "round-robin")
    b.algorithm = Algorithm::round_robin;
  else if (algorithm == "least-requests")
    b.algorithm = Algorithm::least_requests;
  else if (algorithm == "hash")
    b.algorithm = Algorithm::hash;
  else
    return t.error(*t.take("algorithm"),
                   "`algorithm` must be one of: ewma, round-robin, least-requests, hash");
  RETURN_IF_ERROR(weights(t, policy));
  RETURN_IF_ERROR(real(t, "hash_bound", b.hash_bound, 1, 100));
  RETURN_IF_ERROR(take_duration(t, "decay", b.decay, kMillisecond, kTimeMax));
  RETURN_IF_ERROR(take_duration(t, "slow_start", b.slow_start, Duration{0}, kTimeMax));
  RETURN_IF_ERROR(t.number("requests", b.requests_max, 1, 1'000'000));
  RETURN_IF_ERROR(t.number("queue", b.queue_max, 0, 1'000'000));
  RETURN_IF_ERROR(take_duration(t, "queue_timeout", b.queue_timeout, Duration{0}, kTimeMax));
  return take_duration(t, "whole_timeout", b.whole_timeout, Duration{0}, kTimeMax);
}

Result<void> load_health(TomlTable& t, OriginPolicy& policy) {
  HealthPolicy& h = policy.health;
  RETURN_IF_ERROR(t.text("path", h.path));
  if (!h.path.empty() && (!h.path.starts_with('/') || !http::is_target(h.path)))
    return t.error(*t.take("path"), "`path` must be a path such as \"/health\"");
  RETURN_IF_ERROR(t.text("method", h.method));
  if (h.method != "GET" && h.method != "HEAD" && h.method != "OPTIONS")
    return t.error(*t.take("method"), "`method` must be GET, HEAD or OPTIONS");
  RETURN_IF_ERROR(t.text("host", h.host));
  if (!http::is_field_value(h.host)) return t.error(*t.take("host"), "`host` must be a host name");
  RETURN_IF_ERROR(t.number("status_min", h.status_min, 200, 599));
  RETURN_IF_ERROR(t.number("status_max", h.status_max, h.status_min, 599));
  RETURN_IF_ERROR(take_duration(t, "interval", h.interval, std::chrono::milliseconds(100), kTimeMax));
  RETURN_IF_ERROR(take_duration(t, "timeout", h.timeout, kMillisecond, kTimeMax));
  RETURN_IF_ERROR(t.number("rise", h.rise, 1, 100));
  RETURN_IF_ERROR(t.number("fall", h.fall, 1, 100));
  RETURN_IF_ERROR(t.number("failures", h.failures, 0, 1'000'000));
  RETURN_IF_ERROR(take_duration(t, "ejection", h.ejection, kMillisecond, kTimeMax));
  RETURN_IF_ERROR(take_duration(t, "ejection_max", h.ejection_max, h.ejection, kTimeMax));
  RETURN_IF_ERROR(real(t, "ejected_max", h.ejected_max, 0, 1));
  RETURN_IF_ERROR(t.truth("outliers", h.outliers));
  return real(t, "panic", h.panic, 0, 1);
}

Result<void> load_retry(TomlTable& t, OriginPolicy& policy) {
  RetryPolicy& r = policy.retry;
  RETURN_IF_ERROR(t.number("tries", r.tries, 1, 10));
  RETURN_IF_ERROR(real(t, "budget", r.budget, 0, 1));
  RETURN_IF_ERROR(real(t, "budget_min", r.budget_min, 0, 1e6));
  RETURN_IF_ERROR(take_duration(t, "try_timeout", r.try_timeout, Duration{0}, kTimeMax));
  if (const TomlValue* value = t.take("statuses"); value != nullptr) {
    if (!value->is(Kind::array) || value->items.size() > kListMax)
      return t.error(*value, "`statuses` must be a list such as [502, 503, 504]");
    r.statuses.clear();
    for (const TomlValue& item : value->items) {
      if (!item.is(Kind::integer) || item.integer < 400 || item.integer > 599)
        return t.error(item, "a status to ask again for is a whole number from 400 to 599");
      r.statuses.push_back(static_cast<int>(item.integer));
    }
  }
  RETURN_IF_ERROR(t.truth("hedge", r.hedge));
  RETURN_IF_ERROR(real(t, "hedge_budget", r.hedge_budget, 0, 1));
  return take_duration(t, "hedge_min", r.hedge_min, kMillisecond, kTimeMax);
}

Result<void> load_peers(TomlTable& t, const std::string& base, PeerPolicy& policy) {
  RETURN_IF_ERROR(t.text("self", policy.self));
  ASSIGN_OR_RETURN(policy.list, edges(t, "list"));
  ASSIGN_OR_RETURN(policy.shield, edges(t, "shield"));
  ASSIGN_OR_RETURN(policy.purge, edges(t, "purge"));
  RETURN_IF_ERROR(t.text("log", policy.log_dir));
  if (!policy.log_dir.empty())
    policy.log_dir = (std::filesystem::path(base) / policy.log_dir).lexically_normal().string();
  if (!policy.list.empty() || !policy.self.empty()) {
    auto self = parse_origin(policy.self);
    if (!self)
      return t.error("[peers] `self` must be how the others reach this edge: " + self.error().message);
    policy.self = self->url;
  }
  // So that one text can be given to all edges.
  std::erase_if(policy.list, [&](const OriginAddress& a) { return a.url == policy.self; });
  if (std::ranges::any_of(policy.shield, [&](const OriginAddress& a) { return a.url == policy.self; }))
    policy.shield.clear();
  RETURN_IF_ERROR(take_duration(t, "interval", policy.interval, std::chrono::milliseconds(100), kTimeMax));
  RETURN_IF_ERROR(t.number("hot_requests", policy.hot_requests, 1, 1'000'000));
  RETURN_IF_ERROR(take_duration(t, "hot_time", policy.hot_time, Duration{0}, kTimeMax));
  std::string name;
  RETURN_IF_ERROR(t.text("token_file", name, true));
  const std::string path = (std::filesystem::path(base) / name).lexically_normal().string();
  struct stat info{};
  if (stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IRGRP | S_IROTH)) != 0)
    return t.error(*t.take("token_file"),
                   fmt::format("the token {0} may be read by others; run: chmod 600 {0}", path));
  auto token = read_text_file(path, "file", kTokenBytesMax);
  if (!token) return t.error(*t.take("token_file"), token.error().message);
  token->erase(token->find_last_not_of(" \t\r\n") + 1);
  if (token->size() < kTokenBytesMin || !http::is_token(*token))
    return t.error(*t.take("token_file"),
                   fmt::format("the token in {0} is shorter than {1} letters and digits; "
                               "make one with: openssl rand -hex 32 > {0}",
                               path, kTokenBytesMin));
  policy.token = std::move(*token);
  return {};
}

}  // namespace archipel::edge
