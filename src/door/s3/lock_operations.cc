// Retention and legal hold of a version: GetObjectRetention, PutObjectRetention, GetObjectLegalHold, PutObjectLegalHold.
#include <algorithm>
#include <map>

#include "door/s3/access.h"
#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/lock_headers.h"
#include "door/s3/object_headers.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

io::Task<Result<store::BucketInfo>> open_locked_bucket(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (bucket && !bucket->object_lock)
    co_return refuse("InvalidRequest", "Bucket is missing Object Lock Configuration");
  co_return bucket;
}

io::Task<Result<store::Attributes>> read_attributes(Call& call) {
  CO_ASSIGN_OR_RETURN(store::HeadRequest what, attributes_of(call.target));
  auto bucket = co_await open_locked_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto info = co_await call.door.store.head(std::move(what));
  if (!info) co_return std::unexpected(std::move(info).error());
  CO_RETURN_IF_ERROR(confirm_read(call, *info));
  co_return std::move(info->attributes);
}

// S3 asks for an integrity header here too, but takes any request whose body is signed; so does this.
io::Task<Result<std::string>> read_lock_document(Call& call) {
  auto bucket = co_await open_locked_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto read = co_await read_request_document(call, kLockDocumentBytesMax, "MalformedXML");
  if (!read) co_return std::unexpected(std::move(read).error());
  co_return std::move(read->text);
}

// What a policy may ask of a retention. S3 counts the days that are left up to the next whole one.
std::map<std::string, std::vector<std::string>> asked_lock(const store::Retention& retention, UnixMs now) {
  if (retention.mode == store::Retention::Mode::none) return {};
  constexpr UnixMs kDayMs = 86'400'000;
  const bool compliance = retention.mode == store::Retention::Mode::compliance;
  const UnixMs left = std::max<UnixMs>(retention.until_ms - now, 0);
  return {{"s3:object-lock-mode", {compliance ? "COMPLIANCE" : "GOVERNANCE"}},
          {"s3:object-lock-retain-until-date", {http::format_iso_extended(retention.until_ms)}},
          {"s3:object-lock-remaining-retention-days", {std::to_string((left + kDayMs - 1) / kDayMs)}}};
}

io::Task<Result<void>> change(Call& call, store::AttributeChange asked) {
  auto info = co_await call.door.store.change_attributes(std::move(asked));
  if (!info) co_return std::unexpected(std::move(info).error());
  auto sent = co_await reply(call, make_response(call, 200));
  co_return sent;
}

}  // namespace

io::Task<Result<void>> get_object_retention(Call& call) {
  auto attributes = co_await read_attributes(call);
  if (!attributes) co_return std::unexpected(std::move(attributes).error());
  if (attributes->retention.mode == store::Retention::Mode::none)
    co_return refuse("NoSuchObjectLockConfiguration");
  auto sent = co_await reply_xml(call, write_retention(attributes->retention));
  co_return sent;
}

io::Task<Result<void>> get_object_legal_hold(Call& call) {
  auto attributes = co_await read_attributes(call);
  if (!attributes) co_return std::unexpected(std::move(attributes).error());
  auto sent = co_await reply_xml(call, write_legal_hold(attributes->legal_hold));
  co_return sent;
}

io::Task<Result<void>> put_object_retention(Call& call) {
  CO_ASSIGN_OR_RETURN(store::AttributeChange asked, change_of(call.target));
  auto document = co_await read_lock_document(call);
  if (!document) co_return std::unexpected(std::move(document).error());
  CO_ASSIGN_OR_RETURN(asked.retention, parse_retention(*document, call.door.clock.unix_ms()));
  CO_ASSIGN_OR_RETURN(asked.bypass_governance,
                      read_flag(call.request.headers, "x-amz-bypass-governance-retention"));
  CO_RETURN_IF_ERROR(authorize_with(call, asked_lock(*asked.retention, call.door.clock.unix_ms())));
  auto done = co_await change(call, std::move(asked));
  co_return done;
}

io::Task<Result<void>> put_object_legal_hold(Call& call) {
  CO_ASSIGN_OR_RETURN(store::AttributeChange asked, change_of(call.target));
  auto document = co_await read_lock_document(call);
  if (!document) co_return std::unexpected(std::move(document).error());
  CO_ASSIGN_OR_RETURN(asked.legal_hold, parse_legal_hold(*document));
  CO_RETURN_IF_ERROR(
      authorize_with(call, {{"s3:object-lock-legal-hold", {*asked.legal_hold ? "ON" : "OFF"}}}));
  auto done = co_await change(call, std::move(asked));
  co_return done;
}

}  // namespace archipel::door::s3
