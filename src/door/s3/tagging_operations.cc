// GetObjectTagging, PutObjectTagging, DeleteObjectTagging.
#include "door/s3/access.h"
#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/object_headers.h"
#include "door/s3/tagging.h"

namespace archipel::door::s3 {

io::Task<Result<void>> get_object_tagging(Call& call) {
  CO_ASSIGN_OR_RETURN(store::HeadRequest what, attributes_of(call.target));
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto info = co_await call.door.store.head(std::move(what));
  if (!info) co_return std::unexpected(std::move(info).error());
  CO_RETURN_IF_ERROR(confirm_read(call, *info));
  http::Response response = make_response(call, 200);
  response.headers.add("content-type", "application/xml");
  add_version(*bucket, info->version, response.headers);
  auto sent = co_await reply(call, std::move(response), write_tagging(info->attributes.tags));
  co_return sent;
}

// Puts `tags` in place of those that are there.
static io::Task<Result<void>> set_tags(Call& call, store::BucketInfo bucket, TagMap tags, int status) {
  CO_ASSIGN_OR_RETURN(store::AttributeChange change, change_of(call.target));
  change.tags = std::move(tags);
  auto info = co_await call.door.store.change_attributes(std::move(change));
  if (!info) co_return std::unexpected(std::move(info).error());
  http::Response response = make_response(call, status);
  add_version(bucket, info->version, response.headers);
  auto sent = co_await reply(call, std::move(response));
  co_return sent;
}

io::Task<Result<void>> put_object_tagging(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto read = co_await read_request_document(call, kTaggingDocumentBytesMax, "MalformedXML");
  if (!read) co_return std::unexpected(std::move(read).error());
  CO_ASSIGN_OR_RETURN(TagMap tags, parse_tagging(read->text));
  std::map<std::string, std::vector<std::string>> asked;
  for (const auto& [key, value] : tags) {
    asked["s3:RequestObjectTag/" + key] = {value};
    asked["s3:RequestObjectTagKeys"].push_back(key);
  }
  CO_RETURN_IF_ERROR(authorize_with(call, asked));
  auto done = co_await set_tags(call, std::move(*bucket), std::move(tags), 200);
  co_return done;
}

io::Task<Result<void>> delete_object_tagging(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto done = co_await set_tags(call, std::move(*bucket), {}, 204);
  co_return done;
}

}  // namespace archipel::door::s3
