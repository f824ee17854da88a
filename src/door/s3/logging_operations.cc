// Server access logging: its configuration, and the record of a request that has been answered.
#include "door/s3/access.h"
#include "door/s3/access_log.h"
#include "door/s3/access_record.h"
#include "door/s3/bucket_handlers.h"
#include "door/s3/errors.h"
#include "door/s3/xml.h"

namespace archipel::door::s3 {

io::Task<Result<void>> get_bucket_logging(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  std::string document(config_of(*bucket, "logging"));
  if (document.empty()) document = write_logging(std::nullopt);
  auto sent = co_await reply_xml(call, std::move(document));
  co_return sent;
}

io::Task<Result<void>> put_bucket_logging(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto document = co_await read_request_document(call, kBucketDocumentBytesMax, "MalformedXML");
  if (!document) co_return std::unexpected(std::move(document).error());
  CO_ASSIGN_OR_RETURN(std::optional<LoggingTarget> to, parse_logging(document->text));
  store::BucketChange change;
  std::optional<std::string>& stored = change.configs["logging"];
  if (to) {
    if (call.door.options.access_log == nullptr)
      co_return refuse("NotImplemented", "This gateway keeps no access logs.");
    auto target = co_await call.door.store.head_bucket(to->bucket);
    if (!target && target.error().code == Code::not_found)
      co_return refuse("InvalidTargetBucketForLogging", "The target bucket for logging does not exist");
    if (!target) co_return std::unexpected(std::move(target).error());
    CO_RETURN_IF_ERROR(may_deliver_logs(*to, *target, *bucket));
    stored = write_logging(to);
  }
  auto done = co_await configure(call, std::move(change), 200);
  co_return done;
}

// "127.0.0.1" of "127.0.0.1:51234", "::1" of "[::1]:51234".
static std::string ip_of(std::string_view peer) {
  peer = peer.substr(0, peer.rfind(':'));
  if (peer.starts_with('[') && peer.ends_with(']')) peer = peer.substr(1, peer.size() - 2);
  return std::string(peer);
}

static AccessRecord describe(const Call& call, const store::BucketInfo& bucket, UnixMs at_ms,
                             int64_t total_ms) {
  const http::Headers& headers = call.request.headers;
  AccessRecord out;
  out.bucket_owner = bucket.owner;
  out.bucket = bucket.name;
  out.at_ms = at_ms;
  out.remote_ip = ip_of(call.request.peer);
  // As S3 writes it: an account by its canonical id, a user or role by its name, nobody as "-".
  const Identity& who = call.identity;
  if (who.account && !who.anonymous())
    out.requester = who.principal.kind == iam::Principal::Kind::root || who.principal.arn().empty()
                        ? who.account->id
                        : who.principal.arn();
  out.request_id = call.request_id;
  out.operation = call.operation;
  out.key = call.target.key;
  out.method = call.request.method;
  out.target = call.request.target;
  out.minor_version = call.request.minor_version;
  out.status = call.status;
  out.error_code = call.error_code;
  out.bytes_sent = call.head() ? 0 : call.bytes_out;
  out.object_size = call.object_size;
  out.total_ms = total_ms;
  out.referer = headers.get("referer");
  out.user_agent = headers.get("user-agent");
  out.version = call.target.value("versionId");
  out.host_id = call.door.host_id;
  using Method = Identity::Method;
  if (who.method != Method::anonymous) out.signature = who.v2 ? "SigV2" : "SigV4";
  if (who.method == Method::header) out.auth_type = "AuthHeader";
  if (who.method == Method::query) out.auth_type = "QueryString";
  out.host = headers.get("host");
  return out;
}

io::Task<void> log_access(Call& call, TimePoint began) {
  const std::shared_ptr<AccessLog>& log = call.door.options.access_log;
  if (log == nullptr || call.target.bucket.empty() || call.status == 0) co_return;
  auto bucket = co_await call.door.store.head_bucket(call.target.bucket);
  if (!bucket || !bucket->configs || !bucket->configs->contains("logging")) co_return;
  auto settings = settings_of(call, *bucket);
  if (!settings->logging || !*settings->logging) co_return;
  auto total = std::chrono::duration_cast<std::chrono::milliseconds>(call.door.clock.now() - began).count();
  UnixMs at_ms = call.door.clock.unix_ms() - total;
  log->append(**settings->logging, *bucket, write_access_record(describe(call, *bucket, at_ms, total)),
              at_ms);
}

}  // namespace archipel::door::s3
