// LIST: one range scan of the view. With a delimiter, what lies under a common prefix is jumped over, so the work is that of what is
// returned: at most max_keys + 1 stops, whatever the bucket holds.
#include "store/env.h"
#include "store/keys.h"
#include "store/list_rules.h"

namespace archipel::store {
namespace {

// Where the scan begins: after `start_after`, and after everything under it if it is a common prefix of an earlier page.
std::string first_place(const ListRequest& request) {
  std::string objects = objects_prefix(request.bucket);
  std::string from = objects + request.prefix;
  if (request.start_after.empty()) return from;
  bool resumes_after_prefix = request.start_after.starts_with(request.prefix) &&
                              common_prefix_of(request, request.start_after) == request.start_after;
  std::string after = resumes_after_prefix ? after_prefix(objects + request.start_after)
                                           : after_object(request.bucket, request.start_after);
  return std::max(from, after);
}

class Lister {
 public:
  Lister(const ListRequest& request, size_t keys_max)
      : request_(request), objects_(objects_prefix(request.bucket)), keys_max_(keys_max) {}

  bool visit(std::string_view view_key, std::string_view value, std::string* seek_to) {
    std::optional<std::string_view> key = object_key_of(view_key, objects_.size());
    if (!key) {
      outcome_ = fail(Code::corrupt,
                      "the view holds a damaged object key; delete the index directory, it will be rebuilt",
                      "InternalError");
      return false;
    }
    if (found_.entries.size() + found_.common_prefixes.size() == keys_max_) {
      found_.truncated = true;
      return false;
    }
    if (std::optional<std::string_view> prefix = common_prefix_of(request_, *key)) {
      found_.common_prefixes.emplace_back(*prefix);
      found_.next = *prefix;
      *seek_to = after_prefix(objects_ + found_.next);
      return true;
    }
    Result<VersionRecord> version = decode_version(value, Depth::listing);
    if (!version) {
      outcome_ = fail(version.error());
      return false;
    }
    found_.entries.push_back({std::string(*key), std::move(version->info)});
    found_.next = *key;
    return true;
  }

  Result<ListResult> finish() {
    RETURN_IF_ERROR(outcome_);
    if (!found_.truncated) found_.next.clear();
    return std::move(found_);
  }

 private:
  const ListRequest& request_;
  const std::string objects_;
  const size_t keys_max_;
  ListResult found_;
  Result<void> outcome_;
};

Result<ListResult> scan_objects(const index::Snapshot& snapshot, const ListRequest& request,
                                size_t keys_max) {
  std::string from = first_place(request);
  std::string to = after_prefix(objects_prefix(request.bucket) + request.prefix);
  Lister lister(request, keys_max);
  if (from < to) {
    RETURN_IF_ERROR(
        snapshot.scan(from, to, [&](std::string_view key, std::string_view value, std::string* seek_to) {
          return lister.visit(key, value, seek_to);
        }));
  }
  return lister.finish();
}

}  // namespace

io::Task<Result<ListResult>> list_objects(Env& env, ListRequest request) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env, request.bucket));
  size_t keys_max = std::min(request.max_keys, kListKeysMax);
  // No key holds a NUL; in the view it ends a key, so such a prefix must not reach the scan.
  if (keys_max == 0 || request.prefix.find('\0') != std::string::npos) co_return ListResult{};
  auto scan = [&] { return scan_objects(*env.kv.snapshot(), request, keys_max); };
  Result<ListResult> result = co_await env.workers.run(scan);
  co_return result;
}

}  // namespace archipel::store
