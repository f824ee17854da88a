#include "door/s3/door.h"

#include "base/log.h"
#include "door/s3/access_log.h"
#include "door/s3/bucket_handlers.h"
#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/presign.h"
#include "door/s3/sts.h"
#include "door/s3/xml.h"

namespace archipel::door::s3 {

// A body sent with a request that takes none is read and checked, up to this size.
static constexpr size_t kUselessBodyBytesMax = 64u << 10;

Counters::Counters()
    : received("archipel_s3_received_bytes_total", "Bytes of object data received in PUTs"),
      sent("archipel_s3_sent_bytes_total", "Bytes of response bodies sent") {
  static constexpr std::array<const char*, kClasses> kNames = {"2xx", "3xx", "4xx", "5xx"};
  for (size_t op = 0; op < kOperations; ++op)
    for (size_t c = 0; c < kClasses; ++c)
      requests_[op * kClasses + c] = std::make_unique<metrics::Counter>(
          "archipel_s3_requests_total", "S3 requests by operation and status class",
          metrics::Labels{{"operation", std::string(to_string(static_cast<Operation>(op)))},
                          {"status", kNames[c]}});
}

void Counters::count(Operation operation, int status) {
  size_t status_class = status < 300 ? 0 : status < 400 ? 1 : status < 500 ? 2 : 3;
  requests_[static_cast<size_t>(operation) * kClasses + status_class]->add();
}

Door::State::State(Options options_in, store::Store& store_in, Clock& clock_in, io::Workers* workers_in,
                   Random& random_in)
    : options(std::move(options_in)),
      store(store_in),
      clock(clock_in),
      workers(workers_in),
      random(random_in),
      authenticator(
          [this](const std::string& key) { return store.find_account(key); }, clock,
          {.sigv2 = options.sigv2,
           .open_session = [this](std::string_view token,
                                  const std::string& key) { return store.open_session(token, key); }}),
      host_id(base64(random.bytes<24>())),
      token_key(random.bytes<32>()) {}

Door::Door(Options options, store::Store& store, Clock& clock, io::Workers* workers, Random& random)
    : state_(std::make_unique<State>(std::move(options), store, clock, workers, random)) {}

Door::~Door() = default;

// A request without a body must not claim one.
static io::Task<Result<void>> check_no_body(Call& call) {
  if (call.exchange.body_length() == 0 && call.plan.mode == PayloadMode::hashed) {
    if (call.identity.payload_hash != kEmptySha256) co_return refuse("XAmzContentSHA256Mismatch");
    co_return Result<void>{};
  }
  if (call.exchange.body_length() == 0) co_return Result<void>{};
  auto text = co_await read_request_document(call, kUselessBodyBytesMax, "InvalidRequest");
  if (!text) co_return std::unexpected(std::move(text).error());
  co_return Result<void>{};
}

// Everything up to the operation. Nothing of the body has been read before the caller is known and the request is one we offer.
static io::Task<Result<void>> serve(Call& call) {
  if (call.request.target == "*") co_return refuse("MethodNotAllowed");  // OPTIONS of the server as a whole
  CO_ASSIGN_OR_RETURN(call.target, parse_target(call.request, call.door.options.virtual_host_base));
  if (call.request.method == "OPTIONS") {
    CO_ASSIGN_OR_RETURN(call.operation, route(call.request, call.target));
    auto answered = co_await preflight(call);
    co_return answered;
  }
  co_await note_cors(call);
  if (is_sts(call.request, call.target)) {
    auto served = co_await serve_sts(call);
    co_return served;
  }
  // The signature is over the request as it was sent; what follows sees it without what signed it.
  const std::string signed_bucket = call.target.virtual_hosted ? call.target.bucket : std::string();
  CO_ASSIGN_OR_RETURN(call.identity, call.door.authenticator.authenticate(call.exchange.request(),
                                                                          call.target.query, signed_bucket));
  if (call.identity.method == Identity::Method::query) strip_signature(call.target.query);
  CO_ASSIGN_OR_RETURN(Operation operation, route(call.request, call.target));
  CO_RETURN_IF_ERROR(check_allowed(operation, call.request, call.target));
  call.operation = operation;  // only now: `GET ?acl` is no ListObjects, in the metrics either
  CO_ASSIGN_OR_RETURN(call.plan,
                      plan_body(call.request, call.exchange.body_length(), call.identity.payload_hash,
                                call.operation != Operation::complete_multipart_upload));
  auto admitted = co_await admit(call);
  if (!admitted) co_return admitted;
  const OperationRow& row = row_of(call.operation);
  if (!row.takes_body) {
    auto none = co_await check_no_body(call);
    if (!none) co_return none;
  }
  auto done = co_await row.handler(call);
  co_return done;
}

// One line a request. Object names appear as a keyed token only: equal names give equal tokens, for the life of this process.
static void record(Call& call, const Result<void>& outcome, TimePoint began) {
  call.door.counters.count(call.operation, call.status == 0 ? 500 : call.status);
  call.door.counters.received.add(static_cast<int64_t>(call.bytes_in));
  call.door.counters.sent.add(static_cast<int64_t>(call.bytes_out));
  std::string_view code = outcome ? std::string_view(call.error_code) : s3_error_of(outcome.error()).code;
  // Our own failures, not the client's: a 5xx but 501 and SlowDown (that is a limit at work), or an answer cut off by anything but the client going away.
  bool ours = (call.status >= 500 && call.status != 501 && code != "SlowDown") || call.status < 300;
  if (!outcome && (outcome.error().code == Code::io || outcome.error().code == Code::cancelled) &&
      call.status < 300)
    ours = false;
  if (!outcome && ours)
    log::warn("s3.failed", {{"request", call.request_id},
                            {"operation", to_string(call.operation)},
                            {"error", outcome.error().describe()}});
  std::string name = call.target.bucket + '/' + call.target.key;
  auto token = crypto::hmac_sha256(call.door.token_key, as_bytes(name));
  auto elapsed = std::chrono::duration_cast<std::chrono::microseconds>(call.door.clock.now() - began);
  log::debug("s3.request", {{"request", call.request_id},
                            {"operation", to_string(call.operation)},
                            {"status", call.status},
                            {"code", code},
                            {"object", hex(ByteView(token).first(8))},
                            {"bytes_in", call.bytes_in},
                            {"bytes_out", call.bytes_out},
                            {"duration_us", elapsed.count()},
                            {"peer", call.request.peer}});
}

static std::string make_request_id(Random& random) {
  std::string id = hex(random.bytes<8>());
  for (char& c : id)
    if (c >= 'a') c = static_cast<char>(c - 32);
  return id;
}

// Codes for what HTTP refuses before it is an S3 request; the status stays HTTP's.
static std::string_view code_of_http(int status) {
  switch (status) {
    case 408:
      return "RequestTimeout";
    case 413:
      return "EntityTooLarge";
    case 414:
    case 431:
      return "RequestHeaderSectionTooLarge";
    case 417:
      return "PreconditionFailed";
    case 501:
      return "NotImplemented";
    case 505:
      return "HttpVersionNotSupported";
    default:
      return status < 500 ? "InvalidRequest" : "InternalError";
  }
}

http::Page Door::page(int status, std::string_view why) {
  std::string id = make_request_id(state_->random);
  http::Page page;
  page.response.status = status;
  page.response.headers.add("x-amz-request-id", id);
  page.response.headers.add("x-amz-id-2", state_->host_id);
  page.response.headers.add("content-type", "application/xml");
  XmlWriter xml("Error", {});
  xml.element("Code", code_of_http(status)).element("Message", why);
  xml.element("RequestId", id).element("HostId", state_->host_id);
  page.body = xml.take();
  return page;
}

io::Task<void> Door::handle(http::Exchange& exchange) {
  TimePoint began = state_->clock.now();
  const std::optional<http::Request> hoisted = with_hoisted_headers(exchange.request());
  Call call{.door = *state_,
            .exchange = exchange,
            .request = hoisted ? *hoisted : exchange.request(),
            .request_id = make_request_id(state_->random)};
  Result<void> outcome = co_await serve(call);
  if (!outcome && !exchange.responded()) {
    auto sent = co_await reply_error(call, outcome.error());
    (void)sent;  // the client is gone: nobody is left to tell
  }
  record(call, outcome, began);
  co_await log_access(call, began);
}

}  // namespace archipel::door::s3
