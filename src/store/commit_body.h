// The commit that makes a body visible, whatever record names it.
#pragma once

#include "store/upload.h"

namespace archipel::store {

// Commits `intent` with the small segments of `upload`, whose run() succeeded. After an error its extents are given up, in the background;
// after a success shards that were not confirmed are owed from `now_ms` on. What the client does meanwhile stops nothing.
io::Task<Result<void>> commit_body(Env& env, Upload& upload, index::Intent intent, UnixMs now_ms);

// An upload whose run() failed: what it began is given up, in the background.
void give_up_body(Env& env, const Upload& upload);

}  // namespace archipel::store
