// What is purged: for operators, and for other edges.
#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "edge/node.h"
#include "edge/purges.h"

namespace archipel::edge {
namespace {

constexpr size_t kOrderBytesMax = 64u << 10;
constexpr Duration kToldMax = std::chrono::seconds(2);  // an order's answer waits so long for other edges

// What one order means to the cache.
struct Step {
  PurgeScope scope = PurgeScope::key;
  std::string within, text;
};

struct Located {
  http::Request request;
  const std::shared_ptr<const PolicySite>* site;
};
// The request that a URL stands for, and whose it is.
Result<Located> locate(const SiteTable& sites, std::string_view url) {
  auto bad = [&](std::string_view why) { return fail(Code::invalid, fmt::format("'{}' {}", url, why)); };
  Located out{};
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    out.request.secure = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad("is no URL: it begins with http:// or https://");
  }
  size_t slash = rest.find('/');
  std::string_view host = rest.substr(0, slash);
  if (host.empty() || host.find_first_of("?#@ ") != std::string_view::npos) return bad("has no host");
  out.request.method = "GET";
  out.request.target = slash == std::string_view::npos ? "/" : std::string(rest.substr(slash));
  out.request.headers.add("host", std::string(host));
  out.site = sites.find(host);
  if (out.site == nullptr) return bad("belongs to no site here");
  return out;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// The page of a URL, or all that begins so: over http and https alike, for who purges a page means the page.
Result<std::vector<Step>> steps_of_url(const SiteTable& sites, const PurgeOrder& order) {
  const bool whole = !order.url.empty();
  ASSIGN_OR_RETURN(Located located, locate(sites, whole ? order.url : order.prefix));
  const PolicySite& site = **located.site;
  std::vector<Step> out;
  for (bool secure : {false, true}) {
    located.request.secure = secure;
    std::string key = primary_key(site.name(), located.request, site.cache().key);
    if (key.empty()) return fail(Code::invalid, "the URL is longer than any that is stored");
    out.push_back({whole ? PurgeScope::key : PurgeScope::prefix, {}, std::move(key)});
  }
  return out;
}

// An operator hears of a site that is not here; another edge means it for those who have it, and what is stored of it from a time when it was here goes.
Result<std::vector<Step>> steps_of(const SiteTable& sites, const PurgeOrder& order, bool from_edge) {
  if (!order.key.empty()) return std::vector<Step>{{PurgeScope::key, {}, order.key}};
  if (!order.group.empty()) return std::vector<Step>{{PurgeScope::group, order.origin, order.group}};
  const bool known =
      std::ranges::any_of(sites.all(), [&](const auto& site) { return site->name() == order.site; });
  if (!order.site.empty() && !known && !from_edge)
    return fail(Code::not_found,
                fmt::format("there is no site '{}' here; GET /sites lists them", order.site));
  if (order.tag.empty() && !order.site.empty()) return std::vector<Step>{{PurgeScope::site, {}, order.site}};
  if (order.tag.empty()) return steps_of_url(sites, order);
  std::vector<Step> out;
  if (!order.site.empty() && !known) out.push_back({PurgeScope::tag, order.site, lower_case(order.tag)});
  for (const auto& site : sites.all())
    if (order.site.empty() || site->name() == order.site)
      out.push_back({PurgeScope::tag, site->name(), lower_case(order.tag)});
  return out;
}

io::Task<Result<void>> begin(Cache& cache, Step step, bool soft) {
  switch (step.scope) {
    case PurgeScope::key:
      return cache.purge_key(std::move(step.text), soft);
    case PurgeScope::prefix:
      return cache.purge_prefix(std::move(step.text), soft);
    case PurgeScope::tag:
      return cache.purge_tag(std::move(step.within), std::move(step.text), soft);
    case PurgeScope::group:
      return cache.purge_group(std::move(step.within), std::move(step.text));
    case PurgeScope::site:
    case PurgeScope::heard:  // no step
      break;
  }
  return cache.purge_site(std::move(step.text), soft);
}

PurgeRelay::Purging begin_all(Cache& cache, std::vector<Step> steps, bool soft) {
  PurgeRelay::Purging out;
  for (Step& step : steps) out.push_back(begin(cache, std::move(step), soft));
  return out;
}

std::string_view kind_of(const PurgeOrder& order) {
  return !order.tag.empty() ? "tag" : !order.site.empty() ? "site" : !order.url.empty() ? "url" : "prefix";
}

std::string answer_of(const PurgeOrder& order, bool durable, const std::vector<PurgeRelay::Told>& told) {
  JsonWriter out;
  out.begin_object().key("event").text("purged").key("kind").text(kind_of(order));
  out.key("soft").boolean(order.soft).key("durable").boolean(durable);
  if (!told.empty()) {
    out.key("edges").begin_array();
    for (const PurgeRelay::Told& one : told)
      out.begin_object().key("edge").text(one.edge).key("state").text(to_string(one.state)).end_object();
    out.end_array();
  }
  return out.end_object().str();
}

io::Task<Result<std::string>> read_all(http::Exchange& exchange, size_t bytes_max) {
  std::string body;
  Buffer buffer(16u << 10);
  for (;;) {
    auto got = co_await exchange.read_body(buffer.span());
    if (!got) co_return fail(got.error());
    if (*got == 0) co_return body;
    body += as_text(buffer.view().first(*got));
    if (body.size() > bytes_max)
      co_return fail(Code::limit, fmt::format("the order is larger than {} KiB", bytes_max >> 10));
  }
}

}  // namespace

Result<PurgeRelay::Purging> Node::begin_purge(const PurgeOrder& order) {
  ASSIGN_OR_RETURN(std::vector<Step> steps, steps_of(newest_->sites, order, true));
  return begin_all(parts_.cache, std::move(steps), order.soft);
}

// All texts begin with nothing.
PurgeRelay::Purging Node::begin_purge_all() {
  return begin_all(parts_.cache, {{PurgeScope::prefix, {}, {}}}, false);
}

void Node::local_changed(const std::string& tag, bool soft) {
  std::lock_guard lock(local_mutex_);
  for (const std::string& site : local_sites_) {
    PurgeOrder order;
    order.tag = tag;
    order.site = site;
    order.soft = soft;
    relay_.tell(order);
    parts_.cache.invalidate_all(site, tag, soft);
  }
}

// An operator's order: here, and on all other edges.
io::Task<Result<std::string>> Node::purge(Node* node, http::Exchange& exchange) {
  auto json = co_await read_all(exchange, kOrderBytesMax);
  if (!json) co_return fail(json.error());
  CO_ASSIGN_OR_RETURN(const PurgeOrder order, parse_purge_order(*json, false));
  CO_ASSIGN_OR_RETURN(std::vector<Step> steps, steps_of(node->newest_->sites, order, false));
  // Told first: who asks another edge from now on says that it must know.
  const uint64_t number = node->relay_.tell(order);
  PurgeRelay::Purging purging = begin_all(node->parts_.cache, std::move(steps), order.soft);
  bool durable = true;
  for (auto& task : purging) {
    auto done = co_await std::move(task);
    durable = durable && done.has_value();
  }
  log::info("edge.purged", {{"kind", kind_of(order)}, {"soft", order.soft ? "true" : "false"}});
  std::vector<PurgeRelay::Told> told;
  if (number != 0) {
    auto kept = co_await node->relay_.kept(number);
    told = co_await node->relay_.told(number, io::Loop::current()->now() + kToldMax);
    // Who has it needs nobody to remember it.
    auto has_it = [](const PurgeRelay::Told& one) { return one.state == PurgeRelay::State::purged; };
    durable = durable && (kept.has_value() || std::ranges::all_of(told, has_it));
  }
  co_return answer_of(order, durable, told);
}

// What another edge tells. Orders are carried out on the home loop.
io::Task<void> Node::take_purges(Node* node, http::Exchange& exchange) {
  io::Loop* loop = io::Loop::current();
  auto body = co_await read_all(exchange, PurgeRelay::kTakenBytesMax);
  http::Page answer;
  if (exchange.request().method != "POST" || !body) {
    answer = page(400, body ? "send POST" : body.error().message);
  } else {
    co_await io::resume_on(*node->parts_.loops.front());
    io::Task<Result<std::string>> taking = node->relay_.take(std::move(*body));
    auto heard = co_await std::move(taking);
    co_await io::resume_on(*loop);
    answer =
        heard ? page(200, "") : page(heard.error().code == Code::invalid ? 400 : 503, heard.error().message);
    if (heard) answer.body = *heard + "\n";
  }
  [[maybe_unused]] auto sent = co_await exchange.respond(std::move(answer.response), std::move(answer.body));
}

}  // namespace archipel::edge
