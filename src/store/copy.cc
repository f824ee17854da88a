// COPY: within one tenant, one placement and without customers' keys the streams are shared and their data keys wrapped again for the new version, so
// that the cost does not depend on the size; parts of a multipart object become slices of the copy. Everything else is read and sealed anew.
//
// The source must still be the version that was read when the commit is built: a version that was replaced meanwhile may have doomed
// its streams. The copy then starts again from the new one, a few times.
#include "store/keys.h"
#include "store/part_sets.h"
#include "store/reseal.h"
#include "store/sse.h"
#include "store/summing_body.h"
#include "store/versions.h"
#include "store/wrap.h"

namespace archipel::store {
namespace {

constexpr int kCopyAttemptsMax = 5;
// Of part records that one commit takes over as slices: 5 GiB in parts of 5 MiB are 250 KiB.
constexpr size_t kSharedPartBytesMax = 1u << 20;
constexpr std::string_view kSourceMoved =
    "source moved";  // detail of build()'s error, never seen outside this file

struct CopyPlan {
  std::vector<std::pair<std::string, std::string>> source;  // keys and values of the view that it was made of
  std::string bucket, key, owner;
  std::optional<std::string> placement;          // of the destination
  std::shared_ptr<const PlacementClass> placed;  // and what its policy said, if the streams are shared
  Conditions conditions;
  VersionRecord version;
  bool shares = false;  // else the version has no slices yet: they are sealed anew
};

Result<void> build_copy(const Env& env, const CopyPlan& plan, const index::View& view, ObjectInfo& made,
                        std::vector<index::Mutation>& out) {
  VersionRecord version = plan.version;
  ASSIGN_OR_RETURN(VersionEdit edit,
                   VersionEdit::begin(view, plan.bucket, plan.owner, version.info.modified_ms));
  RETURN_IF_ERROR(check_placed(env, view, plan.bucket, plan.placement, *plan.placed));
  for (const auto& [place, bytes] : plan.source) {
    ASSIGN_OR_RETURN(std::optional<std::string> now, view.get(place));
    if (now != bytes)
      return fail(Code::unavailable, "the source changed while it was copied", std::string(kSourceMoved));
  }
  RETURN_IF_ERROR(edit.check_conditions(plan.key, plan.conditions));
  for (const Slice& slice : version.slices) edit.references().add(slice);
  RETURN_IF_ERROR(edit.place(plan.key, version));
  RETURN_IF_ERROR(edit.finish(out));
  made = std::move(version.info);
  return {};
}

// The checksum of the copy is the one that is asked for; unasked, the source's, if it is one of the bytes and not of parts.
Checksum::Kind checksum_kind(const CopyRequest& request, const ObjectInfo& source) {
  if (request.checksum != Checksum::Kind::none) return request.checksum;
  return source.checksum.composite ? Checksum::Kind::none : source.checksum.kind;
}

bool may_share(const CopyRequest& request, const VersionRecord& source, const Bucket& from,
               const Bucket& to) {
  using Kind = Encryption::Kind;
  if (from.info.owner != to.info.owner) return false;
  if (source.info.encryption.kind == Kind::sse_c || request.encryption.kind == Kind::sse_c) return false;
  const Checksum::Kind wanted = checksum_kind(request, source.info);
  return wanted == Checksum::Kind::none ||
         (wanted == source.info.checksum.kind && !source.info.checksum.composite);
}

Result<void> share(Env& env, const Slice& slice, const KeyScope& from, const KeyScope& to, int kek_slot,
                   std::vector<Slice>& out) {
  ASSIGN_OR_RETURN(crypto::Secret32 data_key, unwrap(slice, env.keys, from));
  out.push_back(slice);
  wrap_into(out.back(), env.keys, kek_slot, to, data_key, env.random);
  return {};
}

// Takes over the source's streams; false if its parts are too many for one commit, or any of it lies otherwise than a body that is written to
// the destination now would (whatever the source's bucket says: it may have followed another policy before).
Result<bool> share_streams(Env& env, const index::Snapshot& view, const CopyRequest& request,
                           const VersionRecord& source, const Bucket& from, const Bucket& to,
                           CopyPlan& plan) {
  VersionRecord& version = plan.version;
  ASSIGN_OR_RETURN(std::shared_ptr<const PlacementClass> placed, bucket_class(env, to));
  for (const Slice& slice : source.slices)
    if (!lies_as(slice, *placed)) return false;
  plan.placed = placed;
  auto scope_of_next = [&] {
    return KeyScope{to.info.owner, request.bucket, version.version_id,
                    static_cast<uint32_t>(version.slices.size())};
  };
  for (uint32_t i = 0; i < source.slices.size(); ++i) {
    KeyScope scope{from.info.owner, request.source_bucket, source.version_id, i};
    RETURN_IF_ERROR(share(env, source.slices[i], scope, scope_of_next(), to.kek_slot, version.slices));
  }
  size_t bytes = 0;
  for (const PartRef& ref : source.parts) {
    std::string place = part_key(*source.part_set, ref.number);
    ASSIGN_OR_RETURN(std::optional<std::string> value, view.get(place));
    if (!value)
      return fail(Code::unavailable, "the source changed while it was copied", std::string(kSourceMoved));
    ASSIGN_OR_RETURN(PartRecord part, decode_part(*value));
    bytes += value->size();
    if (bytes > kSharedPartBytesMax || (part.slice && !lies_as(*part.slice, *placed))) {
      version.slices.clear();
      return false;
    }
    plan.source.emplace_back(std::move(place), std::move(*value));
    if (!part.slice) continue;
    KeyScope scope{from.info.owner, request.source_bucket, *source.part_set, ref.number, true};
    RETURN_IF_ERROR(share(env, *part.slice, scope, scope_of_next(), to.kek_slot, version.slices));
  }
  return true;
}

Result<PlacedVersion> find_source(const index::Snapshot& view, const CopyRequest& request) {
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> found,
                   find_version(SnapshotView(view), request.source_bucket, request.source_key,
                                request.source_version, Depth::all));
  if (!found) return request.source_version ? no_such_version() : no_such_key();
  if (found->record.info.delete_marker) {
    if (!request.source_version) return no_such_key();
    return fail(Code::invalid, "the source of a copy is a delete marker", "InvalidRequest");
  }
  const ObjectInfo& info = found->record.info;
  RETURN_IF_ERROR(check_customer_key(info.encryption.kind, found->record.key_commitment,
                                     request.source_customer_key.get()));
  RETURN_IF_ERROR(check_copy_conditions(request.source_conditions, info));
  if (info.size > kObjectBytesMax) return source_too_large();
  return std::move(*found);
}

// Reads the source and makes the new version of it. Blocks; on a worker.
Result<std::shared_ptr<const CopyPlan>> plan_copy(Env& env, const CopyRequest& request, const Bucket& from,
                                                  const Bucket& to) {
  std::shared_ptr<const index::Snapshot> snapshot = env.kv.snapshot();
  ASSIGN_OR_RETURN(PlacedVersion found, find_source(*snapshot, request));
  auto plan = std::make_shared<CopyPlan>();
  const VersionRecord source = std::move(found.record);
  plan->source.emplace_back(std::move(found.at), std::move(found.bytes));
  plan->bucket = request.bucket;
  plan->key = request.key;
  plan->owner = to.info.owner;
  plan->placement = placement_document(to);
  plan->conditions = request.conditions;

  VersionRecord& version = plan->version;
  version.version_id = env.random.bytes<16>();
  version.info = source.info;
  version.info.parts = 0;
  version.info.modified_ms = env.clock.unix_ms();
  version.info.attributes = request.attributes;
  if (!request.replace_tags) version.info.attributes.tags = source.info.attributes.tags;
  version.info.encryption = request.encryption;
  if (version.info.checksum.composite) version.info.checksum = {};
  if (request.replace_metadata) {
    version.info.headers = request.headers;
    version.info.metadata = request.metadata;
  }
  if (may_share(request, source, from, to)) {
    ASSIGN_OR_RETURN(plan->shares, share_streams(env, *snapshot, request, source, from, to, *plan));
  }
  // What reads it anew must read this very version.
  version.info.version = source.info.version;
  return std::shared_ptr<const CopyPlan>(std::move(plan));
}

io::Task<Result<ObjectInfo>> commit_shared(Env& env, std::shared_ptr<const CopyPlan> plan) {
  auto made = std::make_shared<ObjectInfo>();
  index::Intent intent;
  intent.build = [&env, plan, made](const index::View& view, const std::vector<index::SmallLocation>&,
                                    std::vector<index::Mutation>& out) {
    return build_copy(env, *plan, view, *made, out);
  };
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  if (!committed) co_return fail(committed.error());
  co_return std::move(*made);
}

// The bytes go through this process: read, opened, and sealed under a key of the destination.
io::Task<Result<ObjectInfo>> copy_bytes(Env& env, const CopyRequest& request, const CopyPlan& plan) {
  const ObjectInfo& info = plan.version.info;
  CopySource source{request.source_bucket, request.source_key,         info.version, {},
                    std::nullopt,          request.source_customer_key};
  Result<Store::Opened> opened = co_await open_source(env, std::move(source));
  if (!opened && opened.error().detail == "NoSuchVersion" && !request.source_version)
    co_return fail(Code::unavailable, "the source changed while it was copied", std::string(kSourceMoved));
  if (!opened) co_return fail(opened.error());
  ReaderBody bytes(*opened->reader);
  SummingBody summing(bytes, checksum_kind(request, opened->reader->info()));
  PutRequest put;
  put.bucket = request.bucket;
  put.key = request.key;
  put.headers = info.headers;
  put.metadata = info.metadata;
  put.conditions = request.conditions;
  put.length = opened->length;
  put.attributes = info.attributes;
  put.encryption = request.encryption;
  put.customer_key = request.customer_key;
  Result<ObjectInfo> made = co_await put_object(env, std::move(put), summing);
  co_return made;
}

io::Task<Result<ObjectInfo>> copy_once(Env& env, const CopyRequest& request, const Bucket& from,
                                       const Bucket& to) {
  auto make_plan = [&] { return plan_copy(env, request, from, to); };
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const CopyPlan> plan, co_await env.workers.run(make_plan));
  if (plan->shares) {
    Result<ObjectInfo> shared = co_await commit_shared(env, std::move(plan));
    co_return shared;
  }
  Result<ObjectInfo> sealed = co_await copy_bytes(env, request, *plan);
  co_return sealed;
}

Result<void> check_request(const CopyRequest& request, const Bucket& to) {
  RETURN_IF_ERROR(check_object_key(request.key));
  RETURN_IF_ERROR(check_object_key(request.source_key));
  if (request.replace_metadata) RETURN_IF_ERROR(check_metadata(request.headers, request.metadata));
  RETURN_IF_ERROR(check_attributes(request.attributes));
  RETURN_IF_ERROR(check_lockable(request.attributes, to.info.object_lock));
  RETURN_IF_ERROR(check_new_encryption(request.encryption, request.customer_key.get()));
  const bool itself = request.bucket == request.source_bucket && request.key == request.source_key;
  const bool changes = request.replace_metadata || request.source_version ||
                       request.encryption.kind != Encryption::Kind::none || request.source_customer_key;
  if (!itself || changes) return {};
  return fail(
      Code::invalid,
      "this copy request is illegal because it is trying to copy an object to itself without changing "
      "the object's metadata, storage class, website redirect location or encryption attributes",
      "InvalidRequest");
}

}  // namespace

io::Task<Result<ObjectInfo>> copy_object(Env& env, CopyRequest request) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> to, find_bucket(env, request.bucket));
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> from, find_bucket(env, request.source_bucket));
  CO_RETURN_IF_ERROR(check_request(request, *to));
  CO_RETURN_IF_ERROR(bucket_class(env, *to));
  for (int attempt = 0; attempt < kCopyAttemptsMax; ++attempt) {
    Result<ObjectInfo> copied = co_await copy_once(env, request, *from, *to);
    if (copied || copied.error().detail != kSourceMoved) co_return copied;
  }
  co_return fail(Code::unavailable, "the source keeps being replaced; try again later", "SlowDown");
}

}  // namespace archipel::store
