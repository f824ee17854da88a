#include "door/s3/bucket_handlers.h"
#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/new_object.h"
#include "door/s3/object_reads.h"
#include "http/date.h"

namespace archipel::door::s3 {

// A body up to this size leaves in one write with its head.
static constexpr uint64_t kInlineBodyBytesMax = 64u << 10;

static std::string content_range(uint64_t first, uint64_t length, uint64_t size) {
  return "bytes " + std::to_string(first) + '-' + std::to_string(first + length - 1) + '/' +
         std::to_string(size);
}

io::Task<Result<void>> refuse_read(Call& call, store::BucketInfo bucket, store::HeadRequest what,
                                   Error error) {
  std::string_view code = s3_error_of(error).code;
  bool marker =
      bucket.versioning != store::Versioning::never && (code == "NoSuchKey" || code == "MethodNotAllowed");
  if (code != "NotModified" && code != "InvalidRange" && !marker) co_return fail(std::move(error));
  what.conditions = {};
  what.part.reset();
  what.see_markers = true;
  auto info = co_await call.door.store.head(std::move(what));
  http::Headers extra;
  if (marker) {
    if (!info || !info->delete_marker) co_return fail(std::move(error));
    extra.add("x-amz-delete-marker", "true");
    add_version(bucket, info->version, extra);
    if (code == "MethodNotAllowed") extra.add("last-modified", http::format_http_date(info->modified_ms));
    auto told = co_await reply_error(call, error, std::move(extra));
    co_return told;
  }
  if (!info) co_return std::unexpected(std::move(info).error());
  if (code == "NotModified") {
    extra.add("etag", quoted(info->etag));
    extra.add("last-modified", http::format_http_date(info->modified_ms));
    if (auto it = info->headers.find("cache-control"); it != info->headers.end())
      extra.add(it->first, it->second);
    if (auto it = info->headers.find("expires"); it != info->headers.end()) extra.add(it->first, it->second);
  } else {
    extra.add("content-range", "bytes */" + std::to_string(info->size));
  }
  auto sent = co_await reply_error(call, error, std::move(extra));
  co_return sent;
}

// If-Range: the range counts only if this is the object that was meant (RFC 9110 §13.1.5).
static bool range_applies(const Call& call, const store::ObjectInfo& info) {
  const std::string* if_range = call.request.headers.find("if-range");
  if (if_range == nullptr) return true;
  if (if_range->starts_with('"')) return *if_range == quoted(info.etag);
  return *if_range == http::format_http_date(info.modified_ms);
}

struct OpenedPart {
  store::Store::Opened opened;
  bool partial = false;
};

// Opens what is to be sent. If-Range is judged by the version that was opened, never by another: a PUT may come in between. A range outside
// the object (416) counts only after that test.
static io::Task<Result<OpenedPart>> open_part(Call& call, store::HeadRequest what) {
  const http::Headers& headers = call.request.headers;
  auto range = parse_range(headers.get("range"));
  bool numbered = what.part.has_value();
  store::Store::GetRequest first{what, range};
  auto opened = co_await call.door.store.get(std::move(first));
  bool outside = !opened && s3_error_of(opened.error()).code == "InvalidRange";
  bool judged = range && headers.find("if-range") != nullptr && (opened || outside);
  if (!judged || (opened && range_applies(call, opened->reader->info()))) {
    if (!opened) co_return std::unexpected(std::move(opened).error());
    // A part without bytes has no range to be named by.
    bool partial = range.has_value() || (numbered && opened->length > 0);
    co_return OpenedPart{std::move(*opened), partial};
  }
  opened = fail(Code::internal, "the part is given up");  // gives its memory back first
  store::Store::GetRequest whole{std::move(what), std::nullopt};
  opened = co_await call.door.store.get(std::move(whole));
  if (!opened) co_return std::unexpected(std::move(opened).error());
  if (outside && range_applies(call, opened->reader->info())) {
    auto part = resolve_range(*range, opened->reader->info().size);
    if (!part) co_return std::unexpected(std::move(part).error());
  }
  co_return OpenedPart{std::move(*opened), false};
}

// What the answer says of one part of a multipart object: how many there are, and the part's own checksum.
static io::Task<Result<void>> describe_part(Call& call, store::HeadRequest what,
                                            const store::ObjectInfo& info, http::Headers& out) {
  if (info.parts == 0) co_return Result<void>{};
  out.add("x-amz-mp-parts-count", std::to_string(info.parts));
  if (!wants_checksum(call)) co_return Result<void>{};
  uint32_t before = what.part.value_or(1) - 1;
  what.version = info.version;  // what was opened, whatever is current now
  what.part.reset();
  what.conditions = {};
  auto page = co_await call.door.store.object_parts(std::move(what), before, 1);
  if (!page) co_return std::unexpected(std::move(page).error());
  if (page->parts.empty() || page->parts[0].checksum.kind == ChecksumKind::none) co_return Result<void>{};
  const store::Checksum& checksum = page->parts[0].checksum;
  out.add(std::string(checksum_header(checksum.kind)), checksum_text(checksum, 0));
  out.add("x-amz-checksum-type", std::string(checksum_type(info.checksum)));
  co_return Result<void>{};
}

// The head of an answer to GET or HEAD, without its length.
static io::Task<Result<http::Response>> describe(Call& call, const store::BucketInfo& bucket,
                                                 const store::HeadRequest& what,
                                                 const store::ObjectInfo& info, bool partial) {
  http::Response response = make_response(call, partial ? 206 : 200);
  add_version(bucket, info.version, response.headers);
  // One part of a multipart object has a checksum of its own; any other piece of an object has none.
  bool whole = !partial || (what.part && info.parts == 0);
  describe_object(info, wants_checksum(call) && whole, response.headers);
  add_expiration(call, bucket, call.target.key, info, response.headers);
  add_encryption(info.encryption, what.customer_key.get(), response.headers);
  if (what.part) {
    auto described = co_await describe_part(call, what, info, response.headers);
    if (!described) co_return std::unexpected(std::move(described).error());
  }
  CO_RETURN_IF_ERROR(override_headers(call, response.headers));
  co_return response;
}

static io::Task<Result<void>> send_object(Call& call, const store::BucketInfo& bucket,
                                          const store::HeadRequest& what, store::Store::Opened opened,
                                          bool partial) {
  const store::ObjectInfo& info = opened.reader->info();
  auto described = co_await describe(call, bucket, what, info, partial);
  if (!described) co_return std::unexpected(std::move(described).error());
  http::Response response = std::move(*described);
  if (partial) response.headers.add("content-range", content_range(opened.first, opened.length, info.size));
  if (opened.length <= kInlineBodyBytesMax) {
    std::string body;
    body.reserve(opened.length);
    while (body.size() < opened.length) {
      auto piece = co_await opened.reader->read();
      if (!piece) co_return std::unexpected(std::move(piece).error());
      if (piece->empty()) co_return fail(Code::internal, "a reader ended before its length");
      body.append(as_text(piece->view()));
    }
    auto sent = co_await reply(call, std::move(response), std::move(body));
    co_return sent;
  }
  // Before the head: an object that cannot be read gets an error the client can understand. Later only a reset can tell.
  auto piece = co_await opened.reader->read();
  if (!piece) co_return std::unexpected(std::move(piece).error());
  auto started = co_await call.exchange.start(std::move(response), opened.length);
  if (!started) co_return started;
  uint64_t left = opened.length;
  for (;;) {
    if (piece->empty() || piece->size() > left) co_return fail(Code::internal, "a reader's length was wrong");
    auto written = co_await call.exchange.write(piece->view());
    if (!written) co_return written;
    left -= piece->size();
    call.bytes_out += piece->size();
    if (left == 0) break;
    *piece = Buffer();  // read() may wait for memory, and counts this one as given back
    piece = co_await opened.reader->read();
    if (!piece) co_return std::unexpected(std::move(piece).error());
  }
  auto finished = co_await call.exchange.finish();
  co_return finished;
}

io::Task<Result<void>> get_object(Call& call) {
  CO_ASSIGN_OR_RETURN(store::HeadRequest what, read_head_request(call));
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto part = co_await open_part(call, what);
  if (part) CO_RETURN_IF_ERROR(confirm_read(call, part->opened.reader->info()));
  Result<void> done;
  if (!part) {
    done = co_await refuse_read(call, std::move(*bucket), std::move(what), std::move(part).error());
  } else {
    done = co_await send_object(call, *bucket, what, std::move(part->opened), part->partial);
  }
  co_return done;
}

// Which bytes of the object a HEAD speaks of; nothing: all.
static io::Task<Result<std::optional<std::pair<uint64_t, uint64_t>>>> piece_of_head(
    Call& call, const store::HeadRequest& what, const store::ObjectInfo& info) {
  std::optional<std::pair<uint64_t, uint64_t>> piece;
  if (what.part && info.parts > 0) {
    store::HeadRequest part = what;
    part.version = info.version;
    part.conditions = {};
    store::Store::GetRequest request{std::move(part), std::nullopt};
    auto opened =
        co_await call.door.store.get(std::move(request));  // says where the part lies; nothing of it is read
    if (!opened) co_return std::unexpected(std::move(opened).error());
    if (opened->length > 0) piece.emplace(opened->first, opened->length);
    co_return piece;
  }
  if (what.part && info.size > 0) piece.emplace(0, info.size);
  auto range = parse_range(call.request.headers.get("range"));
  if (!range || !range_applies(call, info)) co_return piece;
  CO_ASSIGN_OR_RETURN(piece, resolve_range(*range, info.size));
  co_return piece;
}

io::Task<Result<void>> head_object(Call& call) {
  CO_ASSIGN_OR_RETURN(store::HeadRequest what, read_head_request(call));
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto info = co_await call.door.store.head(what);
  if (!info) {
    auto refused = co_await refuse_read(call, std::move(*bucket), std::move(what), std::move(info).error());
    co_return refused;
  }
  CO_RETURN_IF_ERROR(confirm_read(call, *info));
  auto piece = co_await piece_of_head(call, what, *info);
  if (!piece) {
    auto refused = co_await refuse_read(call, std::move(*bucket), std::move(what), std::move(piece).error());
    co_return refused;
  }
  auto described = co_await describe(call, *bucket, what, *info, piece->has_value());
  if (!described) co_return std::unexpected(std::move(described).error());
  http::Response response = std::move(*described);
  uint64_t length = info->size;
  if (*piece) {
    length = (*piece)->second;
    response.headers.add("content-range", content_range((*piece)->first, length, info->size));
  }
  response.headers.set("content-length", std::to_string(length));
  auto sent = co_await reply(call, std::move(response));
  co_return sent;
}

// Refuses early, so that a client which waits for 100-continue sends no body in vain. The store decides again when it commits.
static io::Task<Result<void>> precheck(Call& call, const store::Conditions& conditions) {
  if (conditions.empty()) co_return Result<void>{};
  auto current = co_await call.door.store.head(call.target.bucket, call.target.key, store::Conditions{});
  if (!current && s3_error_of(current.error()).code != "NoSuchKey")
    co_return std::unexpected(std::move(current).error());
  co_return check_put_conditions(conditions, current ? &*current : nullptr);
}

Result<void> check_length(const Call& call) {
  const http::Headers& headers = call.request.headers;
  bool stated = headers.find("content-length") != nullptr || !call.exchange.body_length().has_value();
  if (!stated) return refuse("MissingContentLength");
  if (call.plan.length && *call.plan.length > store::kObjectBytesMax) return refuse("EntityTooLarge");
  return {};
}

io::Task<Result<void>> put_object(Call& call) {
  const http::Headers& headers = call.request.headers;
  CO_RETURN_IF_ERROR(check_length(call));
  store::PutRequest request;
  CO_ASSIGN_OR_RETURN(request.conditions, read_put_conditions(headers, call.door.clock.unix_ms()));
  CO_ASSIGN_OR_RETURN(NewObject object, read_new_object(call));
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  CO_RETURN_IF_ERROR(apply_bucket_defaults(call, *bucket, call.plan.has_integrity(), object));
  auto early = co_await precheck(call, request.conditions);
  if (!early) co_return early;
  request.bucket = call.target.bucket;
  request.key = call.target.key;
  fill(call, object, request);
  request.length = call.plan.length;
  if (call.plan.checksum == ChecksumKind::none) call.plan.computed = ChecksumKind::crc64nvme;
  RequestBody body(call.exchange, call.plan, call.identity, store::kObjectBytesMax, call.door.workers);
  auto stored = co_await call.door.store.put(std::move(request), body);
  call.bytes_in = body.bytes();
  if (body.failure()) {
    if (stored) co_return fail(Code::internal, "the store kept a body that failed its checks");
    co_return fail(*body.failure());
  }
  if (!stored) co_return std::unexpected(std::move(stored).error());
  http::Response response = make_response(call, 200);
  response.headers.add("etag", quoted(stored->etag));
  add_written_version(*bucket, stored->version, response.headers);
  add_checksum(stored->checksum, 0, response.headers);
  add_expiration(call, *bucket, call.target.key, *stored, response.headers);
  add_encryption(stored->encryption, object.encryption.customer_key.get(), response.headers);
  auto sent = co_await reply(call, std::move(response));
  co_return sent;
}

static Result<store::DeleteItem> read_delete_item(const Call& call) {
  const http::Headers& headers = call.request.headers;
  UnixMs now = call.door.clock.unix_ms();
  for (std::string_view name : {"if-none-match", "if-modified-since", "if-unmodified-since"})
    if (headers.find(name) != nullptr)
      return refuse("NotImplemented", "A DELETE takes If-Match, and no other condition of HTTP.");
  store::DeleteItem item;
  item.key = call.target.key;
  ASSIGN_OR_RETURN(item.version, read_version(call.target));
  item.conditions = read_conditions(headers, "", now);
  if (const std::string* size = headers.find("x-amz-if-match-size")) {
    item.if_size = parse_decimal(*size);
    if (!item.if_size) return refuse("InvalidArgument", "x-amz-if-match-size must be a decimal number.");
  }
  if (const std::string* time = headers.find("x-amz-if-match-last-modified-time")) {
    item.if_modified_ms = http::parse_http_date(*time, now);
    if (!item.if_modified_ms)
      return refuse("InvalidArgument", "x-amz-if-match-last-modified-time must be a date as HTTP writes it.");
  }
  return item;
}

io::Task<Result<void>> delete_object(Call& call) {
  store::RemoveRequest request;
  CO_ASSIGN_OR_RETURN(store::DeleteItem item, read_delete_item(call));
  bool named = item.version.has_value();
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  CO_ASSIGN_OR_RETURN(request.bypass_governance,
                      read_flag(call.request.headers, "x-amz-bypass-governance-retention"));
  std::string version = item.version.value_or("");
  request.bucket = call.target.bucket;
  request.owner = call.account_id();
  request.items.push_back(std::move(item));
  auto outcomes = co_await call.door.store.remove(std::move(request));
  if (!outcomes) co_return std::unexpected(std::move(outcomes).error());
  http::Response response = make_response(call, 204);
  for (store::DeleteOutcome& outcome : *outcomes) {
    if (!outcome.result && s3_error_of(outcome.result.error()).code != "NoSuchKey")
      co_return std::unexpected(std::move(outcome.result).error());
    if (outcome.delete_marker) response.headers.add("x-amz-delete-marker", "true");
    add_version(*bucket, named ? version : outcome.marker_version, response.headers);
  }
  auto sent = co_await reply(call, std::move(response));
  co_return sent;
}

}  // namespace archipel::door::s3
