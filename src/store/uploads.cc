// Uploads under way: begun, found, listed, aborted.
#include "store/uploads.h"

#include <algorithm>

#include "store/keys.h"
#include "store/part_sets.h"
#include "store/sse.h"
#include "store/versions.h"

namespace archipel::store {
namespace {

UploadInfo upload_info(std::string_view key, const UploadId& id, const UploadRecord& record) {
  UploadInfo info;
  info.key = key;
  info.id = upload_text(id);
  info.initiated_ms = record.initiated_ms;
  info.initiator = record.initiator;
  info.owner = record.attributes.owner;
  info.checksum = record.checksum;
  info.composite = record.composite;
  info.encryption.kind = record.encryption;
  if (record.encryption == Encryption::Kind::sse_kms) info.encryption.name = record.encryption_data;
  return info;
}

UploadId new_upload_id(Env& env, UnixMs now_ms) {
  std::string text;
  std::array<uint8_t, 8> random = env.random.bytes<8>();
  Writer(text).u64(static_cast<uint64_t>(now_ms)).raw(ByteView(random));
  UploadId id{};
  std::copy_n(text.begin(), id.size(), id.begin());
  return id;
}

Result<void> check_new_upload(const CreateUpload& request) {
  using Kind = Checksum::Kind;
  RETURN_IF_ERROR(check_object_key(request.key));
  RETURN_IF_ERROR(check_metadata(request.headers, request.metadata));
  RETURN_IF_ERROR(check_attributes(request.attributes));
  RETURN_IF_ERROR(check_new_encryption(request.encryption, request.customer_key.get()));
  bool hash = request.checksum == Kind::sha1 || request.checksum == Kind::sha256;
  bool possible = request.composite ? request.checksum != Kind::crc64nvme : !hash;
  if (possible || request.checksum == Kind::none) return {};
  return fail(Code::invalid, "this checksum algorithm cannot be used with this checksum type",
              "InvalidRequest");
}

// The p/ record of an upload and its set's are there, or neither.
Result<void> build_abort(const std::string& bucket, const std::string& owner, const std::string& place,
                         const UploadId& id, UnixMs now_ms, const index::View& view,
                         std::vector<index::Mutation>& out) {
  ASSIGN_OR_RETURN(VersionEdit edit, VersionEdit::begin(view, bucket, owner, now_ms));
  ASSIGN_OR_RETURN(std::optional<std::string> upload, view.get(place));
  if (!upload) return no_such_upload();
  out.push_back({place, std::nullopt});
  RETURN_IF_ERROR(drop_open_set(id, view, &edit.usage(), out));
  return edit.finish(out);
}

class UploadLister {
 public:
  UploadLister(const ListUploadsRequest& request, size_t uploads_max)
      : request_(request), prefix_(uploads_prefix(request.bucket)), uploads_max_(uploads_max) {}

  // Where the first page begins, or one after the markers.
  std::string from() const {
    std::string first = prefix_ + request_.prefix;
    if (request_.key_marker.empty()) return first;
    std::string marked = prefix_ + request_.key_marker;
    bool after_common = request_.key_marker.starts_with(request_.prefix) &&
                        common_prefix_of(request_.key_marker) == request_.key_marker;
    std::optional<UploadId> id = parse_upload_id(request_.upload_marker);
    if (after_common)
      marked = after_prefix(marked);
    else if (id)
      marked = upload_key(request_.bucket, request_.key_marker, *id).append(1, '\0');
    else
      marked.append(1, '\x01');  // after NUL: behind all uploads of that key
    return std::max(first, marked);
  }
  std::string to() const { return after_prefix(prefix_ + request_.prefix); }

  bool visit(std::string_view view_key, std::string_view value, std::string* seek_to) {
    std::optional<UploadPlace> place = upload_place_of(view_key, prefix_.size());
    if (!place) {
      outcome_ = fail(Code::corrupt,
                      "the view holds a damaged upload key; delete the index directory, it will be rebuilt",
                      "InternalError");
      return false;
    }
    if (found_.uploads.size() + found_.common_prefixes.size() == uploads_max_) {
      found_.truncated = true;
      return false;
    }
    if (std::optional<std::string_view> common = common_prefix_of(place->key)) {
      found_.common_prefixes.emplace_back(*common);
      found_.next_key = *common;
      found_.next_upload.clear();
      *seek_to = after_prefix(prefix_ + found_.next_key);
      return true;
    }
    Result<UploadRecord> record = decode_upload(value);
    if (!record) {
      outcome_ = fail(record.error());
      return false;
    }
    found_.uploads.push_back(upload_info(place->key, place->id, *record));
    found_.next_key = place->key;
    found_.next_upload = found_.uploads.back().id;
    return true;
  }

  Result<ListUploadsResult> finish() {
    RETURN_IF_ERROR(outcome_);
    if (!found_.truncated) found_.next_key.clear(), found_.next_upload.clear();
    return std::move(found_);
  }

 private:
  std::optional<std::string_view> common_prefix_of(std::string_view key) const {
    if (request_.delimiter.empty()) return std::nullopt;
    size_t at = key.find(request_.delimiter, request_.prefix.size());
    if (at == std::string_view::npos) return std::nullopt;
    return key.substr(0, at + request_.delimiter.size());
  }

  const ListUploadsRequest& request_;
  const std::string prefix_;
  const size_t uploads_max_;
  ListUploadsResult found_;
  Result<void> outcome_;
};

Result<ListPartsResult> read_parts(const index::Snapshot& snapshot, std::string_view bucket,
                                   std::string_view key, const std::string& upload, uint32_t after,
                                   size_t max_parts) {
  ASSIGN_OR_RETURN(UploadRecord record, read_upload(snapshot, bucket, key, upload));
  UploadId id = *parse_upload_id(upload);
  ListPartsResult result;
  result.upload = upload_info(key, id, record);
  Result<void> outcome;
  auto visit = [&](std::string_view view_key, std::string_view value, std::string*) {
    if (result.parts.size() == max_parts) {
      result.truncated = max_parts > 0;
      return false;
    }
    std::optional<uint32_t> number = part_number_of(view_key);
    Result<PartRecord> part = decode_part(value, false);
    if (!part) {
      outcome = fail(part.error());
      return false;
    }
    result.parts.push_back(part_info(number.value_or(0), *part));
    result.next = result.parts.back().number;
    return true;
  };
  if (after < kPartNumberMax)
    RETURN_IF_ERROR(snapshot.scan(part_key(id, after + 1), part_key(id, kPartNumberMax + 1), visit));
  RETURN_IF_ERROR(outcome);
  return result;
}

}  // namespace

std::unexpected<Error> no_such_upload() {
  return fail(
      Code::not_found,
      "the specified multipart upload does not exist; the upload id may be invalid, or the upload may "
      "have been aborted or completed",
      "NoSuchUpload");
}

Result<UploadRecord> read_upload(const index::Snapshot& snapshot, std::string_view bucket,
                                 std::string_view key, const std::string& upload) {
  std::optional<UploadId> id = parse_upload_id(upload);
  if (!id) return no_such_upload();
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, snapshot.get(upload_key(bucket, key, *id)));
  if (!bytes) return no_such_upload();
  return decode_upload(*bytes);
}

PartInfo part_info(uint32_t number, const PartRecord& record) {
  return {number, record.size, hex(record.md5), record.modified_ms, record.checksum};
}

io::Task<Result<UploadInfo>> create_upload(Env& env, CreateUpload request) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env, request.bucket));
  CO_RETURN_IF_ERROR(check_new_upload(request));
  CO_RETURN_IF_ERROR(check_lockable(request.attributes, bucket->info.object_lock));
  CO_RETURN_IF_ERROR(bucket_class(env, *bucket));
  UploadRecord record;
  record.initiated_ms = env.clock.unix_ms();
  record.initiator = std::move(request.initiator);
  record.headers = std::move(request.headers);
  record.metadata = std::move(request.metadata);
  record.attributes = std::move(request.attributes);
  record.checksum = request.checksum;
  record.composite = request.composite && request.checksum != Checksum::Kind::none;
  record.encryption = request.encryption.kind;
  if (request.customer_key) record.encryption_data = commit_to_key(*request.customer_key, env.random);
  if (record.encryption == Encryption::Kind::sse_kms) record.encryption_data = request.encryption.name;

  const UploadId id = new_upload_id(env, record.initiated_ms);
  UploadInfo info = upload_info(request.key, id, record);
  if (request.customer_key) info.encryption.name = request.customer_key->md5;
  index::Intent intent;
  intent.build = [name = request.bucket, owner = bucket->info.owner,
                  place = upload_key(request.bucket, request.key, id), set = part_set_key(id),
                  value = encode(record)](const index::View& view, const std::vector<index::SmallLocation>&,
                                          std::vector<index::Mutation>& out) -> Result<void> {
    RETURN_IF_ERROR(check_bucket_unchanged(view, name, owner));
    out.push_back({place, value});
    PartSetRecord empty;
    empty.bucket = name;
    empty.tallies.emplace();
    out.push_back({set, encode(empty)});
    return {};
  };
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  if (!committed) co_return fail(committed.error());
  co_return info;
}

io::Task<Result<UploadInfo>> find_upload(Env& env, std::string bucket, std::string key, std::string upload) {
  CO_RETURN_IF_ERROR(find_bucket(env, bucket));
  auto look = [&]() -> Result<UploadInfo> {
    ASSIGN_OR_RETURN(UploadRecord record, read_upload(*env.kv.snapshot(), bucket, key, upload));
    return upload_info(key, *parse_upload_id(upload), record);
  };
  Result<UploadInfo> info = co_await env.workers.run(look);
  co_return info;
}

io::Task<Result<void>> abort_upload(Env& env, std::string bucket, std::string key, std::string upload) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> known, find_bucket(env, bucket));
  std::optional<UploadId> id = parse_upload_id(upload);
  if (!id) co_return no_such_upload();
  index::Intent intent;
  intent.build = [bucket, owner = known->info.owner, place = upload_key(bucket, key, *id), id = *id,
                  now_ms = env.clock.unix_ms()](const index::View& view,
                                                const std::vector<index::SmallLocation>&,
                                                std::vector<index::Mutation>& out) {
    return build_abort(bucket, owner, place, id, now_ms, view, out);
  };
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  if (!committed) co_return fail(committed.error());
  co_return Result<void>();
}

io::Task<Result<ListUploadsResult>> list_uploads(Env& env, ListUploadsRequest request) {
  CO_RETURN_IF_ERROR(find_bucket(env, request.bucket));
  size_t uploads_max = std::min(request.max_uploads, kListKeysMax);
  if (uploads_max == 0 || request.prefix.find('\0') != std::string::npos) co_return ListUploadsResult{};
  auto scan = [&]() -> Result<ListUploadsResult> {
    UploadLister lister(request, uploads_max);
    std::string from = lister.from(), to = lister.to();
    auto visit = [&](std::string_view key, std::string_view value, std::string* seek_to) {
      return lister.visit(key, value, seek_to);
    };
    if (from < to) RETURN_IF_ERROR(env.kv.snapshot()->scan(from, to, visit));
    return lister.finish();
  };
  Result<ListUploadsResult> result = co_await env.workers.run(scan);
  co_return result;
}

io::Task<Result<ListPartsResult>> list_parts(Env& env, std::string bucket, std::string key,
                                             std::string upload, uint32_t after, size_t max_parts) {
  CO_RETURN_IF_ERROR(find_bucket(env, bucket));
  max_parts = std::min(max_parts, kListKeysMax);
  auto scan = [&] { return read_parts(*env.kv.snapshot(), bucket, key, upload, after, max_parts); };
  Result<ListPartsResult> result = co_await env.workers.run(scan);
  co_return result;
}

}  // namespace archipel::store
