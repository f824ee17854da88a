// GET and HEAD: one read of the view, then the bytes (object_source.h).
#include "store/env.h"
#include "store/keys.h"
#include "store/object_source.h"
#include "store/versions.h"

namespace archipel::store {
namespace {

// The version that is asked for, or why there is none. Blocks; on a worker.
Result<VersionRecord> look_up(Env& env, const HeadRequest& what, Depth depth) {
  std::shared_ptr<const index::Snapshot> snapshot = env.kv.snapshot();
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> found,
                   find_version(SnapshotView(*snapshot), what.bucket, what.key, what.version, depth));
  if (!found) return what.version ? no_such_version() : no_such_key();
  if (!found->record.info.delete_marker || what.see_markers) return std::move(found->record);
  if (!what.version) return no_such_key();
  return fail(Code::invalid, "the version is a delete marker", "MethodNotAllowed");
}

io::Task<Result<OpenObject>> find_object(Env& env, const HeadRequest& what, Depth depth) {
  OpenObject found;
  CO_ASSIGN_OR_RETURN(found.bucket, find_bucket(env, what.bucket));
  found.bucket_name = what.bucket;
  CO_RETURN_IF_ERROR(check_object_key(what.key));
  if (depth == Depth::all) found.pin = env.pins->begin_read();
  // The read's moment is this one: what was acknowledged before it is seen, and a record is read whole.
  std::optional<Result<index::Kv::Found>> known;
  if (!what.version) known = env.kv.try_get(object_key(what.bucket, what.key));
  if (known && *known && !**known && !what.see_markers) co_return no_such_key();
  if (known && *known && **known && (**known)->size() <= kInlineRecordBytesMax) {
    CO_ASSIGN_OR_RETURN(found.version, decode_version(***known, depth));
  } else {
    auto look = [&]() -> Result<VersionRecord> { return look_up(env, what, depth); };
    CO_ASSIGN_OR_RETURN(found.version, co_await env.workers.run(look));
  }
  if (depth == Depth::all) hold_object(found.pin, found.version);
  co_return found;
}

}  // namespace

io::Task<Result<Store::Opened>> get_object(Env& env, Store::GetRequest request) {
  const HeadRequest& what = request.what;
  CO_ASSIGN_OR_RETURN(OpenObject found, co_await find_object(env, what, Depth::all));
  if (found.version.info.delete_marker) co_return no_such_key();
  CO_RETURN_IF_ERROR(check_read_conditions(what.conditions, found.version.info));
  CO_ASSIGN_OR_RETURN(ByteRange bytes, resolve_range(request.range, found.version.info.size));
  Store::Opened opened;
  opened.first = bytes.first;
  opened.length = bytes.length;
  CO_ASSIGN_OR_RETURN(opened.reader, co_await open_reader(env, std::move(found), bytes));
  co_return opened;
}

io::Task<Result<ObjectInfo>> head_object(Env& env, HeadRequest request) {
  CO_ASSIGN_OR_RETURN(OpenObject found, co_await find_object(env, request, Depth::info));
  if (!found.version.info.delete_marker)
    CO_RETURN_IF_ERROR(check_read_conditions(request.conditions, found.version.info));
  co_return found.version.info;
}

}  // namespace archipel::store
