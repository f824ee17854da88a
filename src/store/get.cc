// GET and HEAD: one read of the view, then the bytes (object_source.h).
#include "store/env.h"
#include "store/keys.h"
#include "store/object_source.h"

namespace archipel::store {
namespace {

using Found = OpenObject;

io::Task<Result<Found>> find_object(Env& env, std::string bucket, std::string key, Depth depth) {
  Found found;
  CO_ASSIGN_OR_RETURN(found.bucket, find_bucket(env, bucket));
  found.bucket_name = bucket;
  CO_RETURN_IF_ERROR(check_object_key(key));
  if (depth == Depth::all) found.pin = env.pins->begin_read();
  std::string at = object_key(bucket, key);
  // The read's moment is this one: what was acknowledged before it is seen, and a record is read whole.
  std::optional<Result<index::Kv::Found>> known = env.kv.try_get(at);
  if (known && *known && (!**known || (**known)->size() <= kInlineRecordBytesMax)) {
    if (!**known) co_return no_such_key();
    CO_ASSIGN_OR_RETURN(found.version, decode_version(***known, depth));
    if (depth == Depth::all) hold_object(found.pin, found.version);
    co_return found;
  }
  auto look = [&]() -> Result<VersionRecord> {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, env.kv.snapshot()->get(at));
    if (!bytes) return no_such_key();
    return decode_version(*bytes, depth);
  };
  CO_ASSIGN_OR_RETURN(found.version, co_await env.workers.run(look));
  if (depth == Depth::all) hold_object(found.pin, found.version);
  co_return found;
}

}  // namespace

io::Task<Result<Store::Opened>> get_object(Env& env, std::string bucket, std::string key,
                                           std::optional<Store::Range> range, Conditions conditions) {
  CO_ASSIGN_OR_RETURN(Found found, co_await find_object(env, std::move(bucket), std::move(key), Depth::all));
  CO_RETURN_IF_ERROR(check_read_conditions(conditions, found.version.info));
  CO_ASSIGN_OR_RETURN(ByteRange bytes, resolve_range(range, found.version.info.size));
  Store::Opened opened;
  opened.first = bytes.first;
  opened.length = bytes.length;
  CO_ASSIGN_OR_RETURN(opened.reader, co_await open_reader(env, std::move(found), bytes));
  co_return opened;
}

io::Task<Result<ObjectInfo>> head_object(Env& env, std::string bucket, std::string key,
                                         Conditions conditions) {
  CO_ASSIGN_OR_RETURN(Found found, co_await find_object(env, std::move(bucket), std::move(key), Depth::info));
  CO_RETURN_IF_ERROR(check_read_conditions(conditions, found.version.info));
  co_return found.version.info;
}

}  // namespace archipel::store
