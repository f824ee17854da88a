// COPY: the streams are shared and their data keys wrapped again for the new version, so the cost does not depend on the size.
//
// The source must still be the version that was read when the commit is built: a version that was replaced meanwhile may have doomed
// its streams. The copy then starts again from the new one, a few times.
#include "store/env.h"
#include "store/keys.h"
#include "store/versions.h"
#include "store/wrap.h"

namespace archipel::store {
namespace {

constexpr int kCopyAttemptsMax = 5;
constexpr std::string_view kSourceMoved =
    "source moved";  // detail of build()'s error, never seen outside this file

struct CopyPlan {
  std::string source_place, source_bytes;  // key and value of the source in the view
  std::string bucket, key, owner;
  Conditions conditions;
  VersionRecord version;
};

Result<void> build_copy(const CopyPlan& plan, const index::View& view, ObjectInfo& made,
                        std::vector<index::Mutation>& out) {
  VersionRecord version = plan.version;
  ASSIGN_OR_RETURN(VersionEdit edit,
                   VersionEdit::begin(view, plan.bucket, plan.owner, version.info.modified_ms));
  ASSIGN_OR_RETURN(std::optional<std::string> source, view.get(plan.source_place));
  if (!source || *source != plan.source_bytes)
    return fail(Code::unavailable, "the source changed while it was copied", std::string(kSourceMoved));
  RETURN_IF_ERROR(edit.check_conditions(plan.key, plan.conditions));
  for (const Slice& slice : version.slices) edit.references().add(slice);
  RETURN_IF_ERROR(edit.place(plan.key, version));
  RETURN_IF_ERROR(edit.finish(out));
  made = std::move(version.info);
  return {};
}

// Reads the source and makes the new version of it. Blocks; on a worker.
Result<std::shared_ptr<const CopyPlan>> plan_copy(Env& env, const CopyRequest& request, const Bucket& from,
                                                  const Bucket& to) {
  auto plan = std::make_shared<CopyPlan>();
  std::shared_ptr<const index::Snapshot> snapshot = env.kv.snapshot();
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> found,
                   find_version(SnapshotView(*snapshot), request.source_bucket, request.source_key,
                                request.source_version, Depth::all));
  if (!found) return request.source_version ? no_such_version() : no_such_key();
  if (found->record.info.delete_marker) {
    if (!request.source_version) return no_such_key();
    return fail(Code::invalid, "the source of a copy is a delete marker", "InvalidRequest");
  }
  plan->source_place = std::move(found->at);
  plan->source_bytes = std::move(found->bytes);
  plan->bucket = request.bucket;
  plan->key = request.key;
  plan->owner = to.info.owner;
  plan->conditions = request.conditions;

  const VersionRecord source = std::move(found->record);
  RETURN_IF_ERROR(check_copy_conditions(request.source_conditions, source.info));
  VersionRecord& version = plan->version;
  version = source;
  version.version_id = env.random.bytes<16>();
  version.info.modified_ms = env.clock.unix_ms();
  version.info.attributes = request.attributes;
  if (!request.replace_tags) version.info.attributes.tags = source.info.attributes.tags;
  version.info.encryption = request.encryption;
  if (request.replace_metadata) {
    version.info.headers = request.headers;
    version.info.metadata = request.metadata;
  }
  for (uint32_t part = 0; part < version.slices.size(); ++part) {
    KeyScope old_scope{from.info.owner, request.source_bucket, source.version_id, part};
    KeyScope new_scope{to.info.owner, request.bucket, version.version_id, part};
    ASSIGN_OR_RETURN(crypto::Secret32 data_key, unwrap(source.slices[part], env.keys, old_scope));
    wrap_into(version.slices[part], env.keys, to.kek_slot, new_scope, data_key, env.random);
  }
  return std::shared_ptr<const CopyPlan>(std::move(plan));
}

io::Task<Result<ObjectInfo>> copy_once(Env& env, const CopyRequest& request, const Bucket& from,
                                       const Bucket& to) {
  auto make_plan = [&] { return plan_copy(env, request, from, to); };
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const CopyPlan> plan, co_await env.workers.run(make_plan));
  auto made = std::make_shared<ObjectInfo>();
  index::Intent intent;
  intent.build = [plan, made](const index::View& view, const std::vector<index::SmallLocation>&,
                              std::vector<index::Mutation>& out) {
    return build_copy(*plan, view, *made, out);
  };
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  if (!committed) co_return fail(committed.error());
  co_return std::move(*made);
}

}  // namespace

io::Task<Result<ObjectInfo>> copy_object(Env& env, CopyRequest request) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> to, find_bucket(env, request.bucket));
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> from, find_bucket(env, request.source_bucket));
  CO_RETURN_IF_ERROR(check_object_key(request.key));
  CO_RETURN_IF_ERROR(check_object_key(request.source_key));
  if (request.replace_metadata) CO_RETURN_IF_ERROR(check_metadata(request.headers, request.metadata));
  CO_RETURN_IF_ERROR(check_attributes(request.attributes));
  CO_RETURN_IF_ERROR(check_lockable(request.attributes, to->info.object_lock));
  if (!request.replace_metadata && !request.source_version && request.bucket == request.source_bucket &&
      request.key == request.source_key)
    co_return fail(
        Code::invalid,
        "an object is copied onto itself only with new metadata (x-amz-metadata-directive: REPLACE)",
        "InvalidRequest");
  // Streams are shared within one tenant only.
  if (to->info.owner != from->info.owner)
    co_return fail(Code::denied, "the source belongs to another account", "AccessDenied");

  for (int attempt = 0; attempt < kCopyAttemptsMax; ++attempt) {
    Result<ObjectInfo> copied = co_await copy_once(env, request, *from, *to);
    if (copied || copied.error().detail != kSourceMoved) co_return copied;
  }
  co_return fail(Code::unavailable, "the source keeps being replaced; try again later", "SlowDown");
}

}  // namespace archipel::store
