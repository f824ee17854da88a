// GET and HEAD: one read of the view, then the bytes (object_source.h).
#include "store/env.h"
#include "store/keys.h"
#include "store/object_source.h"
#include "store/part_sets.h"
#include "store/sse.h"
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

// SSE-C: who asks for more than attributes brings the key. Its MD5 is not stored; the one that was brought is the one.
Result<void> check_key(const HeadRequest& what, VersionRecord& version) {
  if (what.attributes_only || version.info.delete_marker) return {};
  RETURN_IF_ERROR(
      check_customer_key(version.info.encryption.kind, version.key_commitment, what.customer_key.get()));
  if (what.customer_key) version.info.encryption.name = what.customer_key->md5;
  return {};
}

}  // namespace

io::Task<Result<OpenObject>> find_object(Env& env, const HeadRequest& what, Depth depth) {
  OpenObject found;
  CO_ASSIGN_OR_RETURN(found.bucket, find_bucket(env, what.bucket));
  found.bucket_name = what.bucket;
  found.customer_key = what.customer_key;
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
  CO_RETURN_IF_ERROR(check_key(what, found.version));
  co_return found;
}

io::Task<Result<Store::Opened>> get_object(Env& env, Store::GetRequest request) {
  const HeadRequest& what = request.what;
  CO_ASSIGN_OR_RETURN(OpenObject found, co_await find_object(env, what, Depth::all));
  if (found.version.info.delete_marker) co_return no_such_key();
  CO_RETURN_IF_ERROR(check_read_conditions(what.conditions, found.version.info));
  Result<ByteRange> bytes = what.part ? range_of_part(found.version, *what.part)
                                      : resolve_range(request.range, found.version.info.size);
  if (!bytes) co_return fail(bytes.error());
  Store::Opened opened;
  opened.first = bytes->first;
  opened.length = bytes->length;
  CO_ASSIGN_OR_RETURN(opened.reader, co_await open_reader(env, std::move(found), *bytes));
  co_return opened;
}

io::Task<Result<ObjectInfo>> head_object(Env& env, HeadRequest request) {
  const Depth depth = request.part ? Depth::all : Depth::info;
  CO_ASSIGN_OR_RETURN(OpenObject found, co_await find_object(env, request, depth));
  if (found.version.info.delete_marker) co_return found.version.info;
  if (request.attributes_only) co_return found.version.info;
  CO_RETURN_IF_ERROR(check_read_conditions(request.conditions, found.version.info));
  if (request.part) CO_RETURN_IF_ERROR(range_of_part(found.version, *request.part));
  co_return found.version.info;
}

io::Task<Result<ObjectParts>> object_parts(Env& env, HeadRequest request, uint32_t after, size_t max_parts) {
  CO_ASSIGN_OR_RETURN(OpenObject found, co_await find_object(env, request, Depth::all));
  CO_RETURN_IF_ERROR(check_read_conditions(request.conditions, found.version.info));
  auto read = [&] { return read_object_parts(*env.kv.snapshot(), found.version, after, max_parts); };
  Result<ObjectParts> parts = co_await env.workers.run(read);
  co_return parts;
}

}  // namespace archipel::store
