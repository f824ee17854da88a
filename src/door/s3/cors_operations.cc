// CORS at work: what answers say to scripts of other origins, and preflights.
#include "door/s3/bucket_handlers.h"
#include "door/s3/errors.h"

namespace archipel::door::s3 {

io::Task<void> note_cors(Call& call) {
  std::optional<CorsQuestion> question = read_cors_question(call.request);
  if (!question || call.target.bucket.empty() || call.request.method == "OPTIONS") co_return;
  auto bucket = co_await call.door.store.head_bucket(call.target.bucket);
  if (!bucket || !bucket->configs) co_return;
  auto settings = settings_of(call, *bucket);
  if (!settings->cors || !*settings->cors) co_return;
  const CorsRule* rule = find_cors_rule(**settings->cors, *question);
  if (rule != nullptr) call.cors = cors_headers(*rule, *question, false);
}

// A preflight may ask for any object: whether it is there, and who may have it, is not said.
io::Task<Result<void>> preflight(Call& call) {
  if (call.target.bucket.empty()) co_return refuse("MethodNotAllowed");
  if (call.request.headers.get("origin").empty())
    co_return refuse("BadRequest", "Insufficient information. Origin request header needed.");
  if (call.request.headers.get("access-control-request-method").empty())
    co_return refuse("BadRequest",
                     "Insufficient information. Access-Control-Request-Method request header needed.");
  std::optional<CorsQuestion> question = read_cors_question(call.request);
  auto bucket = co_await call.door.store.head_bucket(call.target.bucket);
  if (!bucket && s3_error_of(bucket.error()).code == "NoSuchBucket")
    co_return refuse("AccessForbidden", "CORSResponse: Bucket not found");
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto settings = settings_of(call, *bucket);
  if (!settings->cors) co_return std::unexpected(settings->cors.error());
  if (!*settings->cors)
    co_return refuse("AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.");
  const CorsRule* rule = find_cors_rule(**settings->cors, *question);
  if (rule == nullptr)
    co_return refuse("AccessForbidden",
                     "CORSResponse: This CORS request is not allowed. This is usually because the evaluation "
                     "of Origin, request method / Access-Control-Request-Method or "
                     "Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.");
  call.cors = cors_headers(*rule, *question, true);
  auto sent = co_await reply(call, make_response(call, 200));
  co_return sent;
}

}  // namespace archipel::door::s3
