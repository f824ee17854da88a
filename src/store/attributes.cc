// Tags, access control list, retention and legal hold of a version: written again in place, without a new version.
#include "store/env.h"
#include "store/versions.h"

namespace archipel::store {
namespace {

Result<void> apply(const AttributeChange& change, const BucketRecord& bucket, UnixMs now_ms,
                   Attributes& attributes) {
  if (change.retention || change.legal_hold) {
    if (!bucket.object_lock)
      return fail(Code::invalid, "the bucket has no object lock configuration", "InvalidRequest");
  }
  if (change.retention) {
    RETURN_IF_ERROR(
        check_retention_change(attributes.retention, *change.retention, now_ms, change.bypass_governance));
    attributes.retention = *change.retention;
  }
  if (change.legal_hold) attributes.legal_hold = *change.legal_hold;
  if (change.tags) attributes.tags = *change.tags;
  if (change.acl) attributes.acl = *change.acl;
  return check_attributes(attributes);
}

Result<void> build_change(const AttributeChange& change, const std::string& owner, UnixMs now_ms,
                          const index::View& view, ObjectInfo& made, std::vector<index::Mutation>& out) {
  ASSIGN_OR_RETURN(VersionEdit edit, VersionEdit::begin(view, change.bucket, owner, now_ms));
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> found, edit.find(change.key, change.version, Depth::all));
  const bool marker = found && found->record.info.delete_marker;
  if (marker && change.version)
    return fail(Code::invalid, "a delete marker carries no attributes", "MethodNotAllowed");
  if (!found || marker) return change.version ? no_such_version() : no_such_key();
  RETURN_IF_ERROR(apply(change, edit.bucket(), now_ms, found->record.info.attributes));
  edit.rewrite(*found);
  RETURN_IF_ERROR(edit.finish(out));
  made = std::move(found->record.info);
  return {};
}

}  // namespace

io::Task<Result<ObjectInfo>> change_attributes(Env& env, AttributeChange change) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env, change.bucket));
  CO_RETURN_IF_ERROR(check_object_key(change.key));
  // The last run of build() says what was committed.
  auto made = std::make_shared<ObjectInfo>();
  const UnixMs now_ms = env.clock.unix_ms();
  index::Intent intent;
  intent.build = [change = std::move(change), owner = bucket->info.owner, now_ms, made](
                     const index::View& view, const std::vector<index::SmallLocation>&,
                     std::vector<index::Mutation>& out) {
    return build_change(change, owner, now_ms, view, *made, out);
  };
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  if (!committed) co_return fail(committed.error());
  co_return std::move(*made);
}

}  // namespace archipel::store
