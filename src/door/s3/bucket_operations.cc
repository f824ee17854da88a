#include <algorithm>
#include <charconv>

#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/list_token.h"
#include "door/s3/xml.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

constexpr size_t kMaxBucketsMax = 10'000;  // S3 limit of max-buckets

// A page of ListBuckets; without max-buckets it is the whole.
struct BucketsQuery {
  size_t max = SIZE_MAX;
  std::string prefix, after;  // after: exclusive
};

Result<BucketsQuery> read_buckets_query(const Target& target) {
  BucketsQuery out;
  out.prefix = target.value("prefix");
  if (const http::QueryParam* max = target.param("max-buckets"); max != nullptr && !max->value.empty()) {
    const std::string& text = max->value;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.max);
    if (error != std::errc{} || end != text.data() + text.size() || out.max == 0 || out.max > kMaxBucketsMax)
      return refuse("InvalidArgument", "max-buckets must be an integer between 1 and 10000.");
  }
  if (const http::QueryParam* token = target.param("continuation-token");
      token != nullptr && !token->value.empty()) {
    auto after = open_token(token->value);
    if (!after) return refuse("InvalidArgument", "The continuation token provided is incorrect");
    out.after = std::move(*after);
  }
  return out;
}

// Takes what the query does not ask for out of `buckets`, and returns the token of the next page, if there is one.
std::optional<std::string> cut_page(const BucketsQuery& query, std::vector<store::BucketInfo>& buckets) {
  std::erase_if(buckets, [&](const store::BucketInfo& b) {
    return !b.name.starts_with(query.prefix) || b.name <= query.after;
  });
  std::ranges::sort(buckets, {}, &store::BucketInfo::name);
  if (buckets.size() <= query.max) return std::nullopt;
  buckets.resize(query.max);
  return make_token(buckets.back().name);
}

}  // namespace

io::Task<Result<void>> list_buckets(Call& call) {
  CO_ASSIGN_OR_RETURN(BucketsQuery query, read_buckets_query(call.target));
  auto buckets = co_await call.door.store.list_buckets(call.account_id());
  if (!buckets) co_return std::unexpected(std::move(buckets).error());
  auto next = cut_page(query, *buckets);
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
  xml.close();
  if (next) xml.element("ContinuationToken", *next);
  if (!query.prefix.empty()) xml.element("Prefix", query.prefix);
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
