#include "door/site/site.h"

#include "base/metrics.h"
#include "door/s3/errors.h"
#include "door/site/inner.h"
#include "door/site/page.h"
#include "door/site/routes.h"

namespace archipel::door::site {
namespace {

metrics::Counter& requests(int status) {
  static auto* counters = [] {
    auto* all = new std::array<std::unique_ptr<metrics::Counter>, 4>;
    static constexpr std::array<const char*, 4> kNames = {"2xx", "3xx", "4xx", "5xx"};
    for (size_t i = 0; i < all->size(); ++i)
      (*all)[i] = std::make_unique<metrics::Counter>("archipel_site_requests_total",
                                                     "Requests for pages of websites, by status class",
                                                     metrics::Labels{{"status", kNames[i]}});
    return all;
  }();
  return *(*counters)[status < 300 ? 0 : status < 400 ? 1 : status < 500 ? 2 : 3];
}

}  // namespace

// One request on its way.
struct Site::Visit {
  http::Exchange& exchange;
  const http::Request& request = exchange.request();
  std::string bucket = {}, key = {};  // key: as the path names it
  std::shared_ptr<const s3::BucketSettings> settings = nullptr;
  // What went wrong, once something has.
  int status = 0;
  std::string code = {}, range = {};

  Place place() const { return {request.headers.get("host"), request.secure}; }
  const s3::Website& website() const { return **settings->website; }
  void fail_with(std::string_view s3_code) {
    Error error = s3::make_error(s3_code);
    status = s3::s3_error_of(error).status;
    code = s3_code;
  }
};

Site::Site(Options options, store::Store& store, s3::Door& door)
    : options_(std::move(options)), store_(store), door_(door) {}

http::Page Site::page(int status, std::string_view why) {
  return error_page(status, {{"Message", std::string(why)}});
}

static io::Task<Result<void>> send(http::Exchange& exchange, http::Page page) {
  requests(page.response.status).add();
  auto sent = co_await exchange.respond(std::move(page.response), std::move(page.body));
  co_return sent;
}

static io::Task<Result<void>> send(http::Exchange& exchange, Redirect redirect) {
  auto sent = co_await send(exchange, redirect_page(redirect.status, redirect.location));
  co_return sent;
}

io::Task<void> Site::handle(http::Exchange& exchange) {
  Visit visit{.exchange = exchange};
  // Whoever was answered, or went away in the middle, needs nothing more.
  [[maybe_unused]] auto served = co_await serve(visit);
  if (exchange.responded()) co_return;
  if (visit.status == 0) visit.fail_with("InternalError");
  [[maybe_unused]] auto refused = co_await refuse(visit);
}

// Which site, and what its configuration says before any object is looked at. Without an answer, visit.status says why.
io::Task<Result<void>> Site::serve(Visit& visit) {
  const std::string& method = visit.request.method;
  if (method != "GET" && method != "HEAD" && method != "OPTIONS") {
    visit.fail_with("MethodNotAllowed");
    co_return Result<void>{};
  }
  visit.bucket = bucket_of_host(visit.request.headers.get("host"), options_.domain);
  auto bucket = co_await store_.head_bucket(visit.bucket);
  if (!bucket) {
    visit.fail_with(bucket.error().code == Code::unavailable ? "ServiceUnavailable" : "NoSuchBucket");
    co_return Result<void>{};
  }
  visit.settings = settings_.of(*bucket);
  if (!visit.settings->website || !*visit.settings->website) {
    visit.fail_with(visit.settings->website ? "NoSuchWebsiteConfiguration" : "InternalError");
    co_return Result<void>{};
  }
  const s3::Website& website = visit.website();
  if (website.redirect_all) {
    auto sent = co_await send(visit.exchange,
                              redirect_all(*website.redirect_all, visit.place(), visit.request.target));
    co_return sent;
  }
  auto key = visit.request.target.starts_with('/') ? key_of_path(visit.request.path()) : std::nullopt;
  if (!key) {
    visit.fail_with("InvalidURI");
    co_return Result<void>{};
  }
  visit.key = std::move(*key);
  if (auto redirect = route(website, visit.place(), visit.key, 0)) {
    auto sent = co_await send(visit.exchange, std::move(*redirect));
    co_return sent;
  }
  auto served = co_await serve_key(visit);
  co_return served;
}

io::Task<Result<void>> Site::serve_key(Visit& visit) {
  const std::string& index = visit.website().index;
  {
    Inner inner(visit.exchange, Inner::Purpose::document, visit.bucket, document_of(visit.key, index));
    co_await door_.handle(inner);
    if (inner.passed()) {
      requests(inner.status()).add();
      co_return Result<void>{};
    }
    if (!inner.location().empty()) {
      auto sent = co_await send(visit.exchange, Redirect{301, inner.location()});
      co_return sent;
    }
    visit.status = inner.status();
    visit.code = inner.code();
    visit.range = inner.range();
  }
  bool absent = visit.status == 404 || visit.status == 403;
  if (absent && !visit.key.empty() && !visit.key.ends_with('/')) {
    Inner probe(visit.exchange, Inner::Purpose::probe, visit.bucket, visit.key + '/' + index);
    co_await door_.handle(probe);
    if (probe.found()) {
      auto sent = co_await send(visit.exchange, to_directory(visit.request));
      co_return sent;
    }
  }
  if (auto redirect = route(visit.website(), visit.place(), visit.key, visit.status)) {
    auto sent = co_await send(visit.exchange, std::move(*redirect));
    co_return sent;
  }
  const std::string& custom = visit.website().error;
  bool theirs = visit.status >= 400 && visit.status < 500 && visit.status != 416;
  if (custom.empty() || !theirs || visit.request.method == "OPTIONS") co_return Result<void>{};
  Inner page(visit.exchange, Inner::Purpose::error, visit.bucket, custom, visit.status);
  co_await door_.handle(page);
  if (page.passed()) requests(visit.status).add();
  co_return Result<void>{};
}

io::Task<Result<void>> Site::refuse(Visit& visit) {
  Facts facts = {{"Code", visit.code}, {"Message", std::string(message_of(visit.code))}};
  if (visit.code == "NoSuchBucket" || visit.code == "NoSuchWebsiteConfiguration")
    facts.emplace_back("BucketName", visit.bucket);
  if (visit.code == "NoSuchKey") facts.emplace_back("Key", visit.key);
  bool custom = visit.settings && visit.settings->website && *visit.settings->website &&
                !visit.website().error.empty() && visit.status < 500;
  http::Page page = error_page(
      visit.status, facts,
      custom ? "The site's own error document cannot be shown either: " + visit.website().error : "");
  page.response.headers.add("x-amz-error-code", visit.code);
  page.response.headers.add("x-amz-error-message", std::string(message_of(visit.code)));
  if (visit.status == 405) page.response.headers.add("allow", "GET, HEAD, OPTIONS");
  if (visit.status == 503) page.response.headers.add("retry-after", "1");
  if (!visit.range.empty()) page.response.headers.add("content-range", visit.range);
  auto sent = co_await send(visit.exchange, std::move(page));
  co_return sent;
}

}  // namespace archipel::door::site
