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

// Pins all that reading the version may need: its extents, or its part set.
void hold_object(Pins::Reader& pin, const VersionRecord& version);

// `range` lies within the object. The key of the first piece is checked before this returns, so that a wrong one is refused before any
// answer begins. `env` outlives the reader.
io::Task<Result<std::unique_ptr<ObjectReader>>> open_reader(Env& env, OpenObject object, ByteRange range);

}  // namespace archipel::store
