// ListObjectVersions: current objects and all others are two ranges of the view; each is scanned for one page, with what lies under a
// common prefix jumped over, and the two are merged. So the work is that of twice the page, whatever the bucket holds.
#include "store/env.h"
#include "store/keys.h"
#include "store/list_rules.h"
#include "store/versions.h"

namespace archipel::store {
namespace {

// One line of a page: a version of a key, or a common prefix.
struct Line {
  std::string name;
  bool current = false;
  uint64_t order = 0;
  std::optional<ListEntry> entry;  // nothing: a common prefix
  std::string marker = {};         // what names this version in a request for the next page

  auto place() const { return std::tuple(std::string_view(name), !current, ~order); }
};

// Where a page begins: after a key with all its versions, after a common prefix, or within the versions of a key.
struct Start {
  std::string after;                    // key or common prefix; empty: at the beginning
  bool prefix = false;                  // `after` is a common prefix
  std::optional<uint64_t> within = {};  // versions of `after` with a lower order come next
};

class Scanner {
 public:
  Scanner(const ListVersionsRequest& request, const Start& start, size_t lines_max)
      : request_(request), start_(start), lines_max_(lines_max) {}

  Result<void> scan(const index::Snapshot& snapshot, bool current) {
    current_ = current;
    lines_ = 0;
    base_ = current ? objects_prefix(request_.bucket) : versions_prefix(request_.bucket);
    const std::string from = std::max(base_ + request_.prefix, first());
    const std::string to = after_prefix(base_ + request_.prefix);
    if (from >= to) return {};
    RETURN_IF_ERROR(
        snapshot.scan(from, to, [&](std::string_view key, std::string_view value, std::string* seek_to) {
          return visit(key, value, seek_to);
        }));
    return std::move(outcome_);
  }

  std::vector<Line> take() { return std::move(found_); }

 private:
  std::string first() const {
    if (start_.after.empty()) return base_;
    if (start_.prefix) return after_prefix(base_ + start_.after);
    if (!start_.within || *start_.within == 0) return base_ + start_.after + '\x01';
    std::string place = base_ + start_.after + '\0';
    if (!current_) Writer(place).u64(~(*start_.within - 1));
    return place;
  }

  bool visit(std::string_view view_key, std::string_view value, std::string* seek_to) {
    std::string_view key;
    if (!key_of_place(view_key, key)) {
      outcome_ = fail(Code::corrupt, "the view holds a damaged object key; delete the index directory",
                      "InternalError");
      return false;
    }
    if (lines_ == lines_max_) return false;
    if (std::optional<std::string_view> prefix = common_prefix_of(request_, key)) {
      found_.push_back({std::string(*prefix), false, 0, std::nullopt});
      ++lines_;
      *seek_to = after_prefix(base_ + std::string(*prefix));
      return true;
    }
    Result<VersionRecord> version = decode_version(value, Depth::listing);
    if (!version) {
      outcome_ = fail(version.error());
      return false;
    }
    if (start_.within && key == start_.after && version->order >= *start_.within) return true;
    version->info.latest = current_;
    Line line{std::string(key), current_, version->order, ListEntry{std::string(key), {}}};
    line.marker = version->info.version;
    line.entry->info = std::move(version->info);
    found_.push_back(std::move(line));
    ++lines_;
    return true;
  }

  bool key_of_place(std::string_view view_key, std::string_view& key) const {
    if (current_) {
      std::optional<std::string_view> found = object_key_of(view_key, base_.size());
      key = found.value_or("");
      return found.has_value();
    }
    std::optional<VersionPlace> found = version_place_of(view_key, base_.size());
    if (found) key = found->key;
    return found.has_value();
  }

  const ListVersionsRequest& request_;
  const Start& start_;
  const size_t lines_max_;
  bool current_ = false;
  size_t lines_ = 0;
  std::string base_;
  std::vector<Line> found_;
  Result<void> outcome_;
};

Result<Start> find_start(const index::Snapshot& snapshot, const ListVersionsRequest& request) {
  Start start{request.key_marker};
  if (request.key_marker.empty()) return start;
  start.prefix = request.key_marker.starts_with(request.prefix) &&
                 common_prefix_of(request, request.key_marker) == request.key_marker;
  if (start.prefix || request.version_marker.empty()) return start;
  ASSIGN_OR_RETURN(VersionText name, parse_version(request.version_marker));
  start.within = name.order;
  if (!name.null) return start;
  ASSIGN_OR_RETURN(std::optional<PlacedVersion> null_version,
                   find_version(SnapshotView(snapshot), request.bucket, request.key_marker,
                                request.version_marker, Depth::listing));
  // The null version went meanwhile: better some versions twice than some never.
  start.within = null_version ? null_version->record.order : UINT64_MAX;
  return start;
}

// Without an object under o/ the newest under v/ is the latest; it is only asked about for the first line of a key.
Result<void> mark_latest(const index::Snapshot& snapshot, const std::string& bucket,
                         std::vector<Line>& lines) {
  for (size_t i = 0; i < lines.size(); ++i) {
    Line& line = lines[i];
    if (!line.entry || line.current || !line.entry->info.delete_marker) continue;
    if (i > 0 && lines[i - 1].entry && lines[i - 1].name == line.name) continue;
    ASSIGN_OR_RETURN(std::optional<PlacedVersion> latest,
                     find_version(SnapshotView(snapshot), bucket, line.name, std::nullopt, Depth::listing));
    line.entry->info.latest = latest && !latest->current && latest->record.order == line.order;
  }
  return {};
}

Result<ListVersionsResult> scan_versions(const index::Snapshot& snapshot, const ListVersionsRequest& request,
                                         size_t keys_max) {
  ASSIGN_OR_RETURN(Start start, find_start(snapshot, request));
  Scanner scanner(request, start, keys_max + 1);
  RETURN_IF_ERROR(scanner.scan(snapshot, true));
  RETURN_IF_ERROR(scanner.scan(snapshot, false));
  std::vector<Line> lines = scanner.take();
  std::ranges::sort(lines, {}, &Line::place);
  // A common prefix that both ranges have.
  auto same_prefix = [](const Line& a, const Line& b) { return !a.entry && !b.entry && a.name == b.name; };
  lines.erase(std::unique(lines.begin(), lines.end(), same_prefix), lines.end());

  ListVersionsResult result;
  result.truncated = lines.size() > keys_max;
  if (result.truncated) {
    lines.resize(keys_max);
    result.next_key = lines.back().name;
    result.next_version = lines.back().marker;
  }
  RETURN_IF_ERROR(mark_latest(snapshot, request.bucket, lines));
  for (Line& line : lines) {
    if (line.entry)
      result.entries.push_back(std::move(*line.entry));
    else
      result.common_prefixes.push_back(std::move(line.name));
  }
  return result;
}

}  // namespace

io::Task<Result<ListVersionsResult>> list_versions(Env& env, ListVersionsRequest request) {
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const Bucket> bucket, find_bucket(env, request.bucket));
  const size_t keys_max = std::min(request.max_keys, kListKeysMax);
  // No key holds a NUL; in the view it ends a key, so such names must not reach the scan.
  if (keys_max == 0 || request.prefix.find('\0') != std::string::npos) co_return ListVersionsResult{};
  if (request.key_marker.find('\0') != std::string::npos)
    co_return fail(Code::invalid, "an object key holds no NUL", "InvalidArgument");
  auto scan = [&] { return scan_versions(*env.kv.snapshot(), request, keys_max); };
  Result<ListVersionsResult> result = co_await env.workers.run(scan);
  co_return result;
}

}  // namespace archipel::store
