// Reading an object that was found: from a version record to verified bytes.
#pragma once

#include "store/env.h"

namespace archipel::store {

// An object that is about to be read. The pin was begun before the view was looked at, and holds what the version names (hold_object).
struct OpenObject {
  Pins::Reader pin;
  std::shared_ptr<const Bucket> bucket;
  std::string bucket_name;
  VersionRecord version;  // Depth::all
  std::shared_ptr<const CustomerKey> customer_key =
      nullptr;  // SSE-C; checked against the version's commitment
};

// What a request names, found and held; with Depth::all it can be opened. A marker only if `what` wants to see them. Errors: as Store::get();
// InvalidRequest when the customer's key is missing or wrong.
io::Task<Result<OpenObject>> find_object(Env& env, const HeadRequest& what, Depth depth);

// As Store::object_parts().
io::Task<Result<ObjectParts>> object_parts(Env& env, HeadRequest request, uint32_t after, size_t max_parts);

// Pins all that reading the version may need: its extents, or its part set.
void hold_object(Pins::Reader& pin, const VersionRecord& version);

// `range` lies within the object. The key of the first piece is checked before this returns, so that a wrong one is refused before any
// answer begins. `env` outlives the reader.
io::Task<Result<std::unique_ptr<ObjectReader>>> open_reader(Env& env, OpenObject object, ByteRange range);

}  // namespace archipel::store
