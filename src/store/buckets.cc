// Buckets: created, deleted when empty, listed by owner. A bucket never changes hands, so its owner is the tenant of its keys.
#include "store/env.h"
#include "store/keys.h"
#include "store/wrap.h"

namespace archipel::store {
namespace {

constexpr size_t kOwnerBytesMax = 128;

Result<size_t> count_buckets(const index::View& view, const std::string& owner) {
  std::string from = owner_prefix(owner);
  size_t count = 0;
  RETURN_IF_ERROR(view.scan(from, after_prefix(from), [&](std::string_view, std::string_view) {
    return ++count < kBucketsPerOwnerMax;
  }));
  return count;
}

Result<void> build_create(const std::string& name, const BucketRecord& record, const index::View& view,
                          std::vector<index::Mutation>& out) {
  std::string key = bucket_key(name);
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(key));
  if (bytes) {
    ASSIGN_OR_RETURN(BucketRecord known, decode_bucket(*bytes));
    if (known.owner == record.owner)
      return fail(Code::exists, "you own a bucket of this name already", "BucketAlreadyOwnedByYou");
    return fail(Code::exists, "another account has a bucket of this name; choose another",
                "BucketAlreadyExists");
  }
  ASSIGN_OR_RETURN(size_t owned, count_buckets(view, record.owner));
  if (owned >= kBucketsPerOwnerMax)
    return fail(Code::limit, "an account has at most 1,000 buckets", "TooManyBuckets");
  RETURN_IF_ERROR(ensure_kek_slot(view, record.owner, out));
  out.push_back({std::move(key), encode(record)});
  out.push_back({owner_key(record.owner, name), std::string()});
  return {};
}

Result<void> build_delete(const std::string& name, const index::View& view,
                          std::vector<index::Mutation>& out) {
  std::string key = bucket_key(name);
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(key));
  if (!bytes) return no_such_bucket();
  ASSIGN_OR_RETURN(BucketRecord record, decode_bucket(*bytes));
  bool empty = true;
  std::string from = objects_prefix(name);
  RETURN_IF_ERROR(
      view.scan(from, after_prefix(from), [&](std::string_view, std::string_view) { return empty = false; }));
  if (!empty)
    return fail(Code::precondition, "the bucket holds objects; delete them first", "BucketNotEmpty");
  out.push_back({std::move(key), std::nullopt});
  out.push_back({owner_key(record.owner, name), std::nullopt});
  return {};
}

io::Task<Result<void>> commit_bucket(Env& env, std::string name, index::Intent intent) {
  Result<index::CommitPosition> committed = co_await env.committer.commit(std::move(intent));
  // Refreshed even after an error: its outcome may be unknown.
  auto refresh = [&] { return env.directory.refresh_bucket(name); };
  Result<void> refreshed = co_await env.workers.run(refresh);
  if (!committed) co_return fail(committed.error());
  co_return refreshed;
}

Result<std::vector<BucketInfo>> read_buckets(const index::Snapshot& snapshot, const std::string& owner) {
  std::string from = owner_prefix(owner);
  std::vector<BucketInfo> buckets;
  RETURN_IF_ERROR(
      snapshot.scan(from, after_prefix(from), [&](std::string_view key, std::string_view, std::string*) {
        BucketInfo& bucket = buckets.emplace_back();
        bucket.name = key.substr(from.size());
        bucket.owner = owner;
        return buckets.size() < kBucketsPerOwnerMax;
      }));
  for (BucketInfo& bucket : buckets) {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, snapshot.get(bucket_key(bucket.name)));
    if (!bytes)
      return fail(Code::corrupt, "the view lists a bucket that is not there; delete the index directory",
                  "InternalError");
    ASSIGN_OR_RETURN(BucketRecord record, decode_bucket(*bytes));
    bucket.created_ms = record.created_ms;
  }
  return buckets;
}

}  // namespace

Result<void> check_bucket_unchanged(const index::View& view, std::string_view bucket,
                                    std::string_view owner) {
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, view.get(bucket_key(bucket)));
  if (!bytes) return no_such_bucket();
  ASSIGN_OR_RETURN(BucketRecord record, decode_bucket(*bytes));
  if (record.owner != owner) return no_such_bucket();
  return {};
}

io::Task<Result<void>> create_bucket(Env& env, std::string name, std::string owner) {
  CO_RETURN_IF_ERROR(check_bucket_name(name));
  if (owner.empty() || owner.size() > kOwnerBytesMax || owner.find('\0') != std::string::npos)
    co_return fail(Code::invalid, "a bucket's owner is an account id", "InvalidRequest");
  BucketRecord record{owner, env.clock.unix_ms()};
  index::Intent intent;
  intent.build = [name, record](const index::View& view, const std::vector<index::SmallLocation>&,
                                std::vector<index::Mutation>& out) {
    return build_create(name, record, view, out);
  };
  Result<void> result = co_await commit_bucket(env, name, std::move(intent));
  co_return result;
}

io::Task<Result<void>> delete_bucket(Env& env, std::string name) {
  if (!check_bucket_name(name)) co_return no_such_bucket();
  index::Intent intent;
  intent.build = [name](const index::View& view, const std::vector<index::SmallLocation>&,
                        std::vector<index::Mutation>& out) { return build_delete(name, view, out); };
  Result<void> result = co_await commit_bucket(env, name, std::move(intent));
  co_return result;
}

io::Task<Result<std::vector<BucketInfo>>> list_buckets(Env& env, std::string owner) {
  auto read = [&] { return read_buckets(*env.kv.snapshot(), owner); };
  Result<std::vector<BucketInfo>> buckets = co_await env.workers.run(read);
  co_return buckets;
}

}  // namespace archipel::store
