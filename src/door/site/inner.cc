#include "door/site/inner.h"

#include <algorithm>
#include <array>

#include "door/s3/xml.h"
#include "http/uri.h"

namespace archipel::door::site {
namespace {

constexpr std::string_view kRedirectHeader = "x-amz-website-redirect-location";

// What a visitor may say to the S3 door: what browsers send and policies may ask for. Nothing that signs, and nothing of S3's own.
constexpr std::array<std::string_view, 5> kCarried = {
    "origin", "access-control-request-method", "access-control-request-headers", "referer", "user-agent"};
constexpr std::array<std::string_view, 6> kConditions = {
    "range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"};

std::string code_of(int status, std::string_view body) {
  if (auto document = s3::parse_xml(body, "Error"); document) {
    for (const s3::XmlElement& child : document->children)
      if (child.name == "Code") return child.text;
  }
  switch (status) {  // HEAD: the status is all there is
    case 403:
      return "AccessDenied";
    case 404:
      return "NoSuchKey";
    case 405:
      return "MethodNotAllowed";
    case 412:
      return "PreconditionFailed";
    case 416:
      return "InvalidRange";
    case 503:
      return "ServiceUnavailable";
    default:
      return status < 500 ? "InvalidRequest" : "InternalError";
  }
}

}  // namespace

Inner::Inner(http::Exchange& outer, Purpose purpose, const std::string& bucket, const std::string& key,
             int status)
    : outer_(outer), purpose_(purpose), as_status_(status) {
  const http::Request& theirs = outer.request();
  request_.method = purpose == Purpose::probe ? "HEAD" : theirs.method;
  request_.target = '/' + bucket + '/' + http::uri_encode(key, http::Slash::keep);
  request_.minor_version = theirs.minor_version;
  request_.peer = theirs.peer;
  request_.secure = theirs.secure;
  request_.headers.add("host", "localhost");  // path style
  for (const auto& [name, value] : theirs.headers) {
    bool carried = std::ranges::find(kCarried, name) != kCarried.end();
    bool condition =
        purpose == Purpose::document && std::ranges::find(kConditions, name) != kConditions.end();
    if (carried || condition) request_.headers.add(name, value);
  }
}

// True: it goes on to the visitor.
bool Inner::take(http::Response& response, std::string_view body) {
  responded_ = true;
  status_ = response.status;
  bool good = status_ < 300 || status_ == 304;
  if (!good) {
    code_ = code_of(status_, body);
    range_ = response.headers.get("content-range");
    return false;
  }
  if (purpose_ == Purpose::probe) return false;
  if (purpose_ == Purpose::document && request_.method != "OPTIONS") {
    moved_ = response.headers.get(kRedirectHeader);
    if (!moved_.empty()) return false;
  }
  http::Headers shown;
  for (const auto& [name, value] : response.headers)
    if (name != kRedirectHeader) shown.add(name, value);
  response.headers = std::move(shown);
  if (purpose_ == Purpose::error) response.status = as_status_;
  passed_ = true;
  return true;
}

io::Task<Result<size_t>> Inner::read_body(MutableBytes) {
  co_return size_t{0};
}

io::Task<Result<void>> Inner::respond(http::Response response, std::string body) {
  if (!take(response, body)) co_return Result<void>{};
  auto sent = co_await outer_.respond(std::move(response), std::move(body));
  co_return sent;
}

io::Task<Result<void>> Inner::start(http::Response response, std::optional<uint64_t> length) {
  // Nothing of a body that the visitor does not get is worth reading.
  if (!take(response, {}))
    co_return fail(Code::cancelled, "the object is not sent: it moves its visitors elsewhere");
  auto started = co_await outer_.start(std::move(response), length);
  co_return started;
}

io::Task<Result<void>> Inner::write(ByteView bytes) {
  auto written = co_await outer_.write(bytes);
  co_return written;
}

io::Task<Result<void>> Inner::finish() {
  auto finished = co_await outer_.finish();
  co_return finished;
}

}  // namespace archipel::door::site
