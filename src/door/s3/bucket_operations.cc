#include <algorithm>
#include <charconv>

#include "door/s3/bucket_documents.h"
#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/list_token.h"
#include "door/s3/xml.h"
#include "http/date.h"
#include "store/placements.h"

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

constexpr std::string_view kPolicyHeader = "x-archipel-placement";
constexpr std::string_view kClassHeader = "x-archipel-data-class";

// Where the bucket's bodies are to go: by header, or by "REGION:POLICY" in place of the region. Whether there is such a policy is the store's to say.
static Result<void> read_placement(const Call& call, std::string_view in_location, store::CreateBucket& out) {
  if (const std::string* policy = call.request.headers.find(kPolicyHeader)) out.policy = *policy;
  if (const std::string* data_class = call.request.headers.find(kClassHeader)) out.data_class = *data_class;
  if (in_location.empty()) return {};
  if (!out.policy.empty() && out.policy != in_location)
    return refuse("InvalidArgument",
                  "The location constraint and x-archipel-placement name different placement policies.");
  out.policy = in_location;
  return {};
}

// What the request asks the new bucket to be, apart from its name.
static Result<store::CreateBucket> read_create(const Call& call, std::string_view document) {
  store::CreateBucket out;
  out.name = call.target.bucket;
  out.owner = call.account_id();
  if (const std::string* lock = call.request.headers.find("x-amz-bucket-object-lock-enabled")) {
    bool yes = *lock == "true" || *lock == "True" || *lock == "TRUE";
    bool no = *lock == "false" || *lock == "False" || *lock == "FALSE";
    if (!yes && !no)
      return refuse("InvalidArgument", "x-amz-bucket-object-lock-enabled must be true or false.");
    out.object_lock = yes;
  }
  ASSIGN_OR_RETURN(out.configs, initial_access(call));
  NewBucket asked;
  if (!document.empty()) {
    ASSIGN_OR_RETURN(asked, parse_new_bucket(document));
  }
  const std::string region = asked.location.substr(0, asked.location.find(':'));
  const std::string policy = asked.location.substr(std::min(region.size() + 1, asked.location.size()));
  RETURN_IF_ERROR(read_placement(call, policy, out));
  // Clients name the region that they sign for; any is accepted there, so it is here.
  if (!region.empty() && region != call.door.options.region && region != call.identity.region)
    return refuse("InvalidLocationConstraint",
                  "The specified location constraint is not valid: this service is in " +
                      call.door.options.region + ".");
  if (!asked.tags.empty()) out.configs["tagging"] = write_bucket_tagging(asked.tags);
  return out;
}

// In S3's oldest region, a bucket that the caller owns may be created again, with 200 and no effect; the clients that know no other region rely
// on it. With other settings than the bucket has it is refused even there: 200 would say that they hold.
static io::Task<Result<void>> create_again(Call& call, store::CreateBucket asked, Error refusal) {
  if (call.identity.region != "us-east-1") co_return fail(std::move(refusal));
  auto bucket = co_await call.door.store.head_bucket(asked.name);
  if (!bucket) co_return fail(std::move(refusal));
  auto config = [](const store::BucketConfigs* all, const std::string& name) {
    if (all == nullptr) return std::string();
    auto found = all->find(name);
    return found == all->end() ? std::string() : found->second;
  };
  for (const std::string name : {"acl", "ownership"})
    if (config(&asked.configs, name) != config(bucket->configs.get(), name))
      co_return refuse("BucketAlreadyExists",
                       "The bucket exists already, and you own it; its access differs.");
  const bool placed = !asked.policy.empty() || !asked.data_class.empty();
  if (config(bucket->configs.get(), std::string(store::kPlacementDocument)) !=
      (placed ? encode(store::BucketPlacement{asked.policy, asked.data_class}) : ""))
    co_return refuse("BucketAlreadyExists",
                     "The bucket exists already, and you own it; its placement differs.");
  if (asked.object_lock != bucket->object_lock)
    co_return refuse("BucketAlreadyExists",
                     "The bucket exists already, and you own it; its Object Lock differs.");
  co_return Result<void>{};
}

io::Task<Result<void>> create_bucket(Call& call) {
  auto document = co_await read_request_document(call, kBucketDocumentBytesMax, "MalformedXML");
  if (!document) co_return std::unexpected(std::move(document).error());
  CO_ASSIGN_OR_RETURN(store::CreateBucket request, read_create(call, document->text));
  store::CreateBucket asked = request;
  auto created = co_await call.door.store.create_bucket(std::move(request));
  if (!created && s3_error_of(created.error()).code == "BucketAlreadyOwnedByYou")
    created = co_await create_again(call, std::move(asked), std::move(created).error());
  if (!created && created.error().detail == "PlacementRefused")
    co_return refuse("InvalidLocationConstraint", created.error().message);
  if (!created) co_return std::unexpected(std::move(created).error());
  http::Response response = make_response(call, 200);
  response.headers.add("location", "/" + call.target.bucket);
  auto sent = co_await reply(call, std::move(response));
  co_return sent;
}

// Where the bucket's bodies go, if it says so.
static void add_placement(const store::BucketInfo& bucket, http::Headers& out) {
  if (!bucket.configs) return;
  auto document = bucket.configs->find(std::string(store::kPlacementDocument));
  if (document == bucket.configs->end()) return;
  auto placement = store::decode_bucket_placement(document->second);
  if (!placement) return;
  if (!placement->policy.empty()) out.add(std::string(kPolicyHeader), placement->policy);
  if (!placement->data_class.empty()) out.add(std::string(kClassHeader), placement->data_class);
}

io::Task<Result<void>> head_bucket(Call& call) {
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  http::Response response = make_response(call, 200);
  response.headers.add("x-amz-bucket-region", call.door.options.region);
  response.headers.add("x-amz-access-point-alias", "false");
  if (bucket->owner == call.account_id()) add_placement(*bucket, response.headers);
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
