// Versions of a key: where they lie, and what one commit does to them (docs/formats/view.md).
//
// The current object of a key is under o/, everything else of it under v/, newest first. VersionEdit keeps that true through every change:
// a new version retires or replaces the one before, a removal brings the newest that is left back to o/ if it is an object. Whatever
// removes or replaces a version passes its Object Lock here, whoever asks.
#pragma once

#include "store/references.h"
#include "store/rules.h"
#include "store/staged_view.h"
#include "store/usage.h"

namespace archipel::store {

struct PlacedVersion {
  std::string at;     // its key in the view
  std::string bytes;  // its record
  VersionRecord record;
  bool current = false;  // under o/
};

// The version that a client names; without a name the latest, which may be a delete marker. Nothing if there is none. InvalidArgument: the
// name cannot be one. Blocks; on a worker.
Result<std::optional<PlacedVersion>> find_version(const index::View& view, std::string_view bucket,
                                                  std::string_view key, const VersionName& name, Depth depth);
// The newest under v/.
Result<std::optional<PlacedVersion>> find_newest_noncurrent(const index::View& view, std::string_view bucket,
                                                            std::string_view key, Depth depth);

// One per build() and bucket.
class VersionEdit {
 public:
  // As check_bucket_unchanged. `now_ms` is the time of the request: it stamps orders and judges retention.
  static Result<VersionEdit> begin(const index::View& view, std::string bucket, std::string owner,
                                   UnixMs now_ms);

  const BucketRecord& bucket() const { return record_; }
  // With what this edit has done so far.
  const index::View& view() const { return *staged_; }
  References& references() { return references_; }
  UsageChange& usage() { return usage_; }

  Result<std::optional<PlacedVersion>> find(const std::string& key, const VersionName& name,
                                            Depth depth) const;
  // The object that conditions of a write are judged on; a delete marker is none.
  Result<void> check_conditions(const std::string& key, const Conditions& conditions) const;

  // Makes an object the current version of its key: fills in `order`, `null` and the name that clients see. References of its slices are
  // the caller's. Errors: AccessDenied (it would replace a null version that is locked), InvalidRequest (it is to be locked, in a
  // bucket without object lock).
  Result<void> place(const std::string& key, VersionRecord& version);

  // One item of a DeleteObjects. `marker_id`: of the marker that may have to be placed. An error leaves the edit as it was.
  Result<void> remove(const DeleteItem& item, bool bypass_governance, const VersionId& marker_id,
                      const std::string& owner, DeleteOutcome& outcome);

  // Writes a version again, with other attributes.
  void rewrite(const PlacedVersion& version) { staged_->set(version.at, encode(version.record)); }

  // Writes everything. Call last, once.
  Result<void> finish(std::vector<index::Mutation>& out);

 private:
  VersionEdit(const index::View& view, std::string bucket, BucketRecord record, UnixMs now_ms);

  Result<std::optional<PlacedVersion>> find_null(const std::string& key,
                                                 const std::optional<PlacedVersion>& current) const;
  uint64_t order_after(const std::optional<PlacedVersion>& newest) const;
  Result<uint64_t> next_order(const std::string& key, const std::optional<PlacedVersion>& current) const;
  Result<void> drop(const std::string& key, const PlacedVersion& version, bool bypass_governance);
  Result<void> make_room(const std::string& key, const std::optional<PlacedVersion>& current);
  void retire(const std::string& key, const PlacedVersion& current);
  Result<void> remove_latest(const DeleteItem& item, const VersionId& marker_id, const std::string& owner,
                             bool bypass_governance, DeleteOutcome& outcome);
  Result<void> remove_named(const DeleteItem& item, bool bypass_governance, DeleteOutcome& outcome);
  Result<void> check_item(const DeleteItem& item, const PlacedVersion& judged) const;
  Result<void> promote(const std::string& key);

  std::string name_;
  BucketRecord record_;
  UnixMs now_ms_;
  std::unique_ptr<StagedView> staged_;
  References references_;
  UsageChange usage_;
  Result<void> broken_;  // a half-done change: nothing may be written
};

}  // namespace archipel::store
