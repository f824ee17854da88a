#include "store/commit_body.h"

#include "store/give_up.h"
#include "store/repair_ledger.h"

namespace archipel::store {

void give_up_body(Env& env, const Upload& upload) {
  if (!upload.begun().empty()) env.background.spawn(give_up(env.committer, env.clock, upload.begun()));
}

io::Task<Result<void>> commit_body(Env& env, Upload& upload, index::Intent intent, UnixMs now_ms) {
  intent.small = upload.take_small();
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  if (!committed) {
    give_up_body(env, upload);
    co_return fail(committed.error());
  }
  if (env.options.ledger)
    for (const extent::ExtentRef& ref : upload.begun()) env.options.ledger->owe(ref, now_ms);
  co_return Result<void>();
}

}  // namespace archipel::store
