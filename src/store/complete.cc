// complete_upload: the parts become an object that refers to their set. What is asked is checked against one state of the view; the commit
// then only asks whether any part has changed since, so that it costs the same however many there are.
#include <algorithm>

#include "store/keys.h"
#include "store/part_sets.h"
#include "store/sse.h"
#include "store/summing_body.h"
#include "store/uploads.h"
#include "store/versions.h"

namespace archipel::store {
namespace {

constexpr int kCompleteAttemptsMax = 8;
constexpr uint64_t kMultipartBytesMax = 5ull << 40;  // S3 limit
constexpr std::string_view kPartsMoved =
    "parts moved";  // detail of build()'s error, never seen outside this file

std::unexpected<Error> invalid_part() {
  return fail(
      Code::invalid,
      "one or more of the specified parts could not be found; the part may not have been uploaded, or "
      "the specified entity tag may not match the part's entity tag",
      "InvalidPart");
}

struct CompletePlan {
  std::string bucket, key, owner, upload_place;
  UploadId id{};
  Conditions conditions;
  uint64_t changes = 0;  // of the set, as of the state that was checked
  std::vector<uint32_t> left_out;
  PartSetRecord set;      // as it will be
  VersionRecord version;  // but for what placing it decides
};

// What a plan comes to: an object to place, or the answer that was given before.
struct Planned {
  std::shared_ptr<const CompletePlan> plan;
  std::optional<ObjectInfo> answered;
};

crypto::Digest32 digest_of(const std::vector<CompleteUpload::Part>& parts) {
  std::string text;
  Writer writer(text);
  for (const CompleteUpload::Part& part : parts) writer.u32(part.number).bytes(part.etag);
  return crypto::sha256(as_bytes(text));
}

Result<void> check_list(const std::vector<CompleteUpload::Part>& parts) {
  if (parts.empty()) return fail(Code::invalid, "a completed upload has one part at least", "MalformedXML");
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0 && parts[i].number <= parts[i - 1].number)
      return fail(Code::invalid,
                  "the list of parts was not in ascending order; parts must be ordered by part number",
                  "InvalidPartOrder");
    if (parts[i].number < 1 || parts[i].number > kPartNumberMax) return invalid_part();
  }
  return {};
}

// The listed parts as they are, and the numbers of the others.
class Listed {
 public:
  Listed(const CompleteUpload& request, Checksum::Kind kind, bool composite)
      : request_(request), kind_(kind), composite_(composite), sum_(kind) {}

  Result<void> take(uint32_t number, const PartRecord& part) {
    if (at_ == request_.parts.size() || request_.parts[at_].number != number) {
      left_out.push_back(number);
      return {};
    }
    const CompleteUpload::Part& asked = request_.parts[at_++];
    if (asked.etag != hex(part.md5)) return invalid_part();
    const bool other_sum =
        asked.checksum.kind != part.checksum.kind || asked.checksum.value != part.checksum.value;
    if (asked.checksum.kind != Checksum::Kind::none && other_sum) return invalid_part();
    too_small_ = too_small_ || (part.size < kPartBytesMin && at_ < request_.parts.size());
    md5_.update(ByteView(part.md5));
    RETURN_IF_ERROR(add_checksum(part));
    bytes += part.size;
    refs.push_back({number, part.size, {}});
    return {};
  }

  Result<void> finish() {
    if (at_ < request_.parts.size()) return invalid_part();
    if (too_small_)
      return fail(Code::invalid, "a part other than the last is smaller than 5 MiB", "EntityTooSmall");
    if (bytes > kMultipartBytesMax) return fail(Code::limit, "an object has at most 5 TiB", "EntityTooLarge");
    if (request_.size && *request_.size != bytes)
      return fail(Code::invalid, "the parts do not add up to the size that was given for the object",
                  "InvalidRequest");
    etag = hex(md5_.finish()) + "-" + std::to_string(refs.size());
    if (kind_ != Checksum::Kind::none) checksum = composite_ ? sum_.value() : whole_;
    checksum.composite = composite_ && kind_ != Checksum::Kind::none;
    return check_checksum();
  }

  uint64_t bytes = 0;
  std::vector<PartRef> refs;
  std::vector<uint32_t> left_out;
  std::string etag;
  Checksum checksum;

 private:
  Result<void> add_checksum(const PartRecord& part) {
    if (kind_ == Checksum::Kind::none) return {};
    if (part.checksum.kind != kind_)
      return fail(Code::invalid, "the parts were uploaded without checksums of this algorithm",
                  "InvalidRequest");
    if (composite_)
      sum_.update(as_bytes(part.checksum.value));
    else
      whole_ = refs.empty() ? part.checksum : combine_checksums(whole_, part.checksum, part.size);
    return {};
  }

  Result<void> check_checksum() const {
    const Checksum& said = request_.checksum;
    if (said.kind == Checksum::Kind::none) return {};
    if (said.kind != checksum.kind)
      return fail(Code::invalid, "the object's checksum is of another algorithm than its upload's",
                  "InvalidRequest");
    if (said.composite == checksum.composite && said.value == checksum.value) return {};
    return fail(Code::invalid, "the checksum that was given does not match that of the completed object",
                "BadDigest");
  }

  const CompleteUpload& request_;
  const Checksum::Kind kind_;
  const bool composite_;
  size_t at_ = 0;
  bool too_small_ = false;
  crypto::Md5 md5_;
  ChecksumSum sum_;
  Checksum whole_;
};

Result<void> read_listed(const index::Snapshot& view, const UploadId& id, Listed& listed) {
  Result<void> outcome;
  auto visit = [&](std::string_view key, std::string_view value, std::string*) {
    Result<PartRecord> part = decode_part(value, false);
    outcome = part ? listed.take(part_number_of(key).value_or(0), *part) : fail(part.error());
    return outcome.has_value();
  };
  RETURN_IF_ERROR(view.scan(part_key(id, 1), part_key(id, kPartNumberMax + 1), visit));
  RETURN_IF_ERROR(outcome);
  return listed.finish();
}

// The same request again, after it has succeeded: its object, as long as it is there.
Result<ObjectInfo> answer_again(const index::Snapshot& view, const CompleteUpload& request,
                                const UploadId& id) {
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(part_set_key(id)));
  if (!bytes) return no_such_upload();
  ASSIGN_OR_RETURN(PartSetRecord set, decode_part_set(*bytes));
  const std::optional<CompletedSet>& done = set.completed;
  const bool same = done && done->bucket == request.bucket && done->key == request.key &&
                    done->request == digest_of(request.parts);
  if (!same) return no_such_upload();
  for (bool current : {true, false}) {
    std::string place = current ? object_key(request.bucket, request.key)
                                : version_key(request.bucket, request.key, done->order);
    ASSIGN_OR_RETURN(std::optional<std::string> found, view.get(place));
    if (!found) continue;
    ASSIGN_OR_RETURN(VersionRecord version, decode_version(*found, Depth::info));
    if (version.version_id != done->version_id) continue;
    version.info.latest = current;
    return version.info;
  }
  return no_such_upload();
}

// Checks everything against one state of the view. Blocks; on a worker.
Result<Planned> plan_complete(Env& env, const CompleteUpload& request, const UploadId& id,
                              const Bucket& bucket) {
  std::shared_ptr<const index::Snapshot> view = env.kv.snapshot();
  auto plan = std::make_shared<CompletePlan>();
  plan->bucket = request.bucket;
  plan->key = request.key;
  plan->owner = bucket.info.owner;
  plan->upload_place = upload_key(request.bucket, request.key, id);
  plan->id = id;
  plan->conditions = request.conditions;
  ASSIGN_OR_RETURN(std::optional<std::string> upload_bytes, view->get(plan->upload_place));
  if (!upload_bytes) {
    ASSIGN_OR_RETURN(ObjectInfo info, answer_again(*view, request, id));
    return Planned{nullptr, std::move(info)};
  }
  ASSIGN_OR_RETURN(UploadRecord upload, decode_upload(*upload_bytes));
  if (request.customer_key)
    RETURN_IF_ERROR(
        check_customer_key(upload.encryption, upload.encryption_data, request.customer_key.get()));
  ASSIGN_OR_RETURN(std::optional<std::string> set_bytes, view->get(part_set_key(id)));
  if (!set_bytes) return no_such_upload();
  ASSIGN_OR_RETURN(plan->set, decode_part_set(*set_bytes));
  plan->changes = plan->set.changes;

  const bool asked = upload.checksum != Checksum::Kind::none;
  const Checksum::Kind kind = asked ? upload.checksum : request.checksum.kind;
  const bool hash = kind == Checksum::Kind::sha1 || kind == Checksum::Kind::sha256;
  Listed listed(request, kind, asked ? upload.composite : request.checksum.composite || hash);
  RETURN_IF_ERROR(read_listed(*view, id, listed));

  VersionRecord& version = plan->version;
  version.version_id = env.random.bytes<16>();
  version.info.size = listed.bytes;
  version.info.etag = listed.etag;
  version.info.modified_ms = env.clock.unix_ms();
  version.info.headers = std::move(upload.headers);
  version.info.metadata = std::move(upload.metadata);
  version.info.checksum = listed.checksum;
  version.info.attributes = std::move(upload.attributes);
  version.info.encryption.kind = upload.encryption;
  if (upload.encryption == Encryption::Kind::sse_c)
    version.key_commitment = std::move(upload.encryption_data);
  else
    version.info.encryption.name = std::move(upload.encryption_data);
  version.info.parts = static_cast<uint32_t>(listed.refs.size());
  version.part_set = id;
  version.parts = std::move(listed.refs);
  plan->left_out = std::move(listed.left_out);
  plan->set.parts = version.info.parts;
  plan->set.bytes = listed.bytes;
  plan->set.completed =
      CompletedSet{request.bucket, request.key, version.version_id, 0, digest_of(request.parts)};
  return Planned{std::move(plan), std::nullopt};
}

Result<void> build_complete(const CompletePlan& plan, const index::View& view, ObjectInfo& made,
                            std::vector<index::Mutation>& out) {
  ASSIGN_OR_RETURN(std::optional<std::string> upload, view.get(plan.upload_place));
  ASSIGN_OR_RETURN(std::optional<std::string> set_bytes, view.get(part_set_key(plan.id)));
  const std::unexpected<Error> moved =
      fail(Code::unavailable, "the upload changed while it was completed", std::string(kPartsMoved));
  if (!upload || !set_bytes) return moved;
  ASSIGN_OR_RETURN(PartSetRecord before, decode_part_set(*set_bytes));
  if (before.changes != plan.changes || before.completed) return moved;

  VersionRecord version = plan.version;
  ASSIGN_OR_RETURN(VersionEdit edit,
                   VersionEdit::begin(view, plan.bucket, plan.owner, version.info.modified_ms));
  RETURN_IF_ERROR(edit.check_conditions(plan.key, plan.conditions));
  // What the parts were counted as, the object is from now on.
  edit.usage().drop(before.bytes, before.parts);
  RETURN_IF_ERROR(edit.place(plan.key, version));
  TallyChange left_out;
  for (uint32_t number : plan.left_out) {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(part_key(plan.id, number)));
    if (!bytes) continue;
    ASSIGN_OR_RETURN(PartRecord part, decode_part(*bytes));
    if (!part.slice) continue;
    left_out.drop(*part.slice);
    edit.usage().tallies().drop(*part.slice);
  }
  RETURN_IF_ERROR(edit.finish(out));
  PartSetRecord set = plan.set;
  set.completed->order = version.order;
  set.tallies = std::move(before.tallies);
  if (set.tallies) left_out.apply(*set.tallies);
  out.push_back({plan.upload_place, std::nullopt});
  out.push_back({part_set_key(plan.id), encode(set)});
  if (!plan.left_out.empty()) out.push_back(drop_set(plan.id, plan.left_out));
  made = std::move(version.info);
  return {};
}

io::Task<Result<ObjectInfo>> commit_complete(Env& env, std::shared_ptr<const CompletePlan> plan) {
  auto made = std::make_shared<ObjectInfo>();  // build() may run again; the last run counts
  index::Intent intent;
  intent.build = [plan, made](const index::View& view, const std::vector<index::SmallLocation>&,
                              std::vector<index::Mutation>& out) {
    return build_complete(*plan, view, *made, out);
  };
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  if (!committed) co_return fail(committed.error());
  co_return std::move(*made);
}

}  // namespace

io::Task<Result<ObjectInfo>> complete_upload(Env& env, CompleteUpload request) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env, request.bucket));
  CO_RETURN_IF_ERROR(check_object_key(request.key));
  std::optional<UploadId> id = parse_upload_id(request.upload);
  if (!id) co_return no_such_upload();
  CO_RETURN_IF_ERROR(check_list(request.parts));
  CO_RETURN_IF_ERROR(bucket_class(env, *bucket));  // its parts lie where they were written to
  for (int attempt = 0; attempt < kCompleteAttemptsMax; ++attempt) {
    auto make_plan = [&] { return plan_complete(env, request, *id, *bucket); };
    CO_ASSIGN_OR_RETURN(Planned planned, co_await env.workers.run(make_plan));
    Result<ObjectInfo> info;
    if (planned.answered)
      info = std::move(*planned.answered);
    else
      info = co_await commit_complete(env, planned.plan);
    if (!info && info.error().detail == kPartsMoved) continue;
    if (info && request.customer_key) info->encryption.name = request.customer_key->md5;
    co_return info;
  }
  co_return fail(Code::throttled, "parts of the upload keep being replaced; try again later", "SlowDown");
}

}  // namespace archipel::store
