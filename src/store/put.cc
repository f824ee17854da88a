// PUT: refuse cheaply, seal the body, then one commit that checks again and makes it visible.
#include "store/commit_body.h"
#include "store/keys.h"
#include "store/sse.h"
#include "store/upload.h"
#include "store/versions.h"
#include "store/wrap.h"

namespace archipel::store {
namespace {

// Everything build() needs; immutable once made, so that build() may run again.
struct Plan {
  std::string bucket, key, owner;
  std::optional<std::string> placement;          // the bucket's, when the body was begun
  std::shared_ptr<const PlacementClass> placed;  // and what its policy said then
  Conditions conditions;
  VersionRecord version;  // of a small body without its locations, which only the record's builder knows
};

Result<void> build_put(const Env& env, const Plan& plan, const index::View& view,
                       const std::vector<index::SmallLocation>& locations, ObjectInfo& made,
                       std::vector<index::Mutation>& out) {
  VersionRecord version = plan.version;
  ASSIGN_OR_RETURN(VersionEdit edit,
                   VersionEdit::begin(view, plan.bucket, plan.owner, version.info.modified_ms));
  RETURN_IF_ERROR(check_placed(env, view, plan.bucket, plan.placement, *plan.placed));
  RETURN_IF_ERROR(edit.check_conditions(plan.key, plan.conditions));
  if (!locations.empty()) version.slices.front().storage.small = locations;
  for (const Slice& slice : version.slices) edit.references().create(slice);
  RETURN_IF_ERROR(edit.place(plan.key, version));
  RETURN_IF_ERROR(edit.finish(out));
  made = std::move(version.info);
  return {};
}

// The cheap refusal before the body is read. Without conditions the directory already said everything.
io::Task<Result<void>> check_early(Env& env, const PutRequest& request, const Bucket& bucket) {
  const bool quota = bucket.info.quota.bytes > 0 || bucket.info.quota.versions > 0;
  if (request.conditions.empty() && !quota) co_return Result<void>();
  auto look = [&]() -> Result<void> {
    std::shared_ptr<const index::Snapshot> snapshot = env.kv.snapshot();
    SnapshotView view(*snapshot);
    ASSIGN_OR_RETURN(VersionEdit edit,
                     VersionEdit::begin(view, request.bucket, bucket.info.owner, env.clock.unix_ms()));
    RETURN_IF_ERROR(edit.check_conditions(request.key, request.conditions));
    if (!quota || bucket.info.versioning != Versioning::enabled) return {};
    std::vector<index::Mutation> nothing;
    edit.usage().add(request.length.value_or(0));
    return edit.usage().finish(nothing);
  };
  Result<void> checked = co_await env.workers.run(look);
  co_return checked;
}

}  // namespace

io::Task<Result<ObjectInfo>> put_object(Env& env, PutRequest request, BodySource& body) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env, request.bucket));
  CO_RETURN_IF_ERROR(check_object_key(request.key));
  CO_RETURN_IF_ERROR(check_metadata(request.headers, request.metadata));
  CO_RETURN_IF_ERROR(check_new_encryption(request.encryption, request.customer_key.get()));
  CO_RETURN_IF_ERROR(check_attributes(request.attributes));
  CO_RETURN_IF_ERROR(check_lockable(request.attributes, bucket->info.object_lock));
  if (request.length && *request.length > kObjectBytesMax)
    co_return fail(Code::limit, "an object of one PUT has at most 5 GiB", "EntityTooLarge");
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const PlacementClass> placed, bucket_class(env, *bucket));
  CO_RETURN_IF_ERROR(co_await check_early(env, request, *bucket));

  Upload upload(env, body, request.length, placed);
  Result<void> uploaded = co_await upload.run();
  if (!uploaded) {
    give_up_body(env, upload);
    co_return fail(uploaded.error());
  }

  auto plan = std::make_shared<Plan>();
  VersionRecord& version = plan->version;
  version.version_id = env.random.bytes<16>();
  version.info.size = upload.size();
  version.info.etag = upload.etag();
  version.info.modified_ms = env.clock.unix_ms();
  version.info.headers = std::move(request.headers);
  version.info.metadata = std::move(request.metadata);
  version.info.checksum = body.checksum();
  version.info.attributes = std::move(request.attributes);
  version.info.encryption = std::move(request.encryption);
  if (request.customer_key) {
    version.key_commitment = commit_to_key(*request.customer_key, env.random);
    version.info.encryption.name.clear();  // the MD5 of the key is not kept
  }
  if (upload.size() > 0) {
    version.slices.push_back(upload.slice());
    KeyScope scope{bucket->info.owner,        request.bucket, version.version_id, 0, false,
                   request.customer_key.get()};
    wrap_into(version.slices.front(), env.keys, bucket->kek_slot, scope, upload.data_key(), env.random);
  }
  plan->bucket = std::move(request.bucket);
  plan->key = std::move(request.key);
  plan->owner = bucket->info.owner;
  plan->placement = placement_document(*bucket);
  plan->placed = std::move(placed);
  plan->conditions = std::move(request.conditions);

  // From here on nothing the client does can stop the commit: this coroutine awaits it to the end.
  // build() may run again; what the last run made of it is what was committed.
  auto made = std::make_shared<ObjectInfo>();
  const UnixMs now_ms = version.info.modified_ms;
  index::Intent intent;
  intent.build = [&env, plan = std::shared_ptr<const Plan>(std::move(plan)), made](
                     const index::View& view, const std::vector<index::SmallLocation>& locations,
                     std::vector<index::Mutation>& out) {
    return build_put(env, *plan, view, locations, *made, out);
  };
  CO_RETURN_IF_ERROR(co_await commit_body(env, upload, std::move(intent), now_ms));
  if (request.customer_key) made->encryption.name = request.customer_key->md5;
  co_return std::move(*made);
}

}  // namespace archipel::store
