#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/xml.h"
#include "http/date.h"

namespace archipel::door::s3 {

io::Task<Result<void>> list_buckets(Call& call) {
  auto buckets = co_await call.door.store.list_buckets(call.account_id());
  if (!buckets) co_return std::unexpected(std::move(buckets).error());
  XmlWriter xml("ListAllMyBucketsResult");
  xml.open("Owner")
      .element("ID", call.account_id())
      .element("DisplayName", call.identity.account->display_name)
      .close();
  xml.open("Buckets");
  for (const store::BucketInfo& b : *buckets)
    xml.open("Bucket")
        .element("Name", b.name)
        .element("CreationDate", http::format_iso_extended(b.created_ms))
        .close();
  auto sent = co_await reply_xml(call, xml.take());
  co_return sent;
}

io::Task<Result<void>> create_bucket(Call& call) {
  auto document = co_await read_request_document(call, kBucketDocumentBytesMax, "MalformedXML");
  if (!document) co_return std::unexpected(std::move(document).error());
  if (!document->text.empty()) {
    auto location = parse_create_bucket(document->text);
    if (!location) co_return std::unexpected(std::move(location).error());
    // Clients name the region that they sign for; any is accepted there, so it is here.
    if (!location->empty() && *location != call.door.options.region && *location != call.identity.region)
      co_return refuse("InvalidLocationConstraint",
                       "The specified location constraint is not valid: this service is in " +
                           call.door.options.region + ".");
  }
  auto created = co_await call.door.store.create_bucket(call.target.bucket, call.account_id());
  if (!created) co_return std::unexpected(std::move(created).error());
  http::Response response = make_response(call, 200);
  response.headers.add("location", "/" + call.target.bucket);
  auto sent = co_await reply(call, std::move(response));
  co_return sent;
}

io::Task<Result<void>> head_bucket(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  http::Response response = make_response(call, 200);
  response.headers.add("x-amz-bucket-region", call.door.options.region);
  auto sent = co_await reply(call, std::move(response));
  co_return sent;
}

io::Task<Result<void>> delete_bucket(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto deleted = co_await call.door.store.delete_bucket(call.target.bucket);
  if (!deleted) co_return deleted;
  auto sent = co_await reply(call, make_response(call, 204));
  co_return sent;
}

io::Task<Result<void>> get_bucket_location(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  XmlWriter xml("LocationConstraint");
  if (call.door.options.region != "us-east-1")
    xml.text(call.door.options.region);  // S3: us-east-1 is the empty constraint
  auto sent = co_await reply_xml(call, xml.take());
  co_return sent;
}

}  // namespace archipel::door::s3
