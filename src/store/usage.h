// Usage: how much buckets and accounts keep, exactly, and what they may keep.
//
// A version counts as one, with its plaintext bytes; so does a delete marker, without any, and a part of an unfinished upload. The counters
// (y/b/, y/a/) change in the same commit as what they count. A bucket or account of an older release has none: nothing is counted for
// it until somebody asks, who then counts with count_usage(). With a bucket's counter go its tallies (tallies.h): what of it lies where.
#pragma once

#include "index/committer.h"
#include "store/records.h"

namespace archipel::store {

// What one build() changes in one bucket. One per build() and bucket.
class UsageChange {
 public:
  UsageChange(const index::View& view, std::string bucket, std::string owner, const Quota& quota)
      : view_(view), bucket_(std::move(bucket)), owner_(std::move(owner)), quota_(quota) {}

  // What a client stores: refused by finish() if bucket or account would keep more than they may, and more than before.
  void add(uint64_t bytes, uint64_t versions = 1) {
    checked_ = true;
    change(static_cast<int64_t>(bytes), static_cast<int64_t>(versions));
  }
  // What is never refused: delete markers, which are on the way to keeping less.
  void add_marker() { change(0, 1); }
  void drop(uint64_t bytes, uint64_t versions = 1) {
    change(-static_cast<int64_t>(bytes), -static_cast<int64_t>(versions));
  }
  // What begins or ends to be referred to by a version or part of the bucket. Does nothing where there are no tallies.
  TallyChange& tallies() { return tallies_; }
  // The parts of a set go with its upload or version. Errors: those of the view.
  Result<void> drop_set_tallies(const std::array<uint8_t, 16>& set);
  // Writes the counters. QuotaExceeded.
  Result<void> finish(std::vector<index::Mutation>& out) const;

 private:
  void change(int64_t bytes, int64_t versions) {
    bytes_ += bytes;
    versions_ += versions;
  }
  Result<void> apply(std::string key, const Quota* bucket_quota, std::vector<index::Mutation>& out) const;
  bool counts_nothing() const { return bytes_ == 0 && versions_ == 0; }
  Result<void> check(const Usage& after, const Quota& limit, std::string_view whose) const;

  const index::View& view_;
  const std::string bucket_, owner_;
  const Quota quota_;
  bool checked_ = false;
  int64_t bytes_ = 0, versions_ = 0;
  TallyChange tallies_;
};

// Nothing: nobody counts it yet.
Result<std::optional<UsageRecord>> read_usage(const index::View& view, std::string_view usage_key);

// Counts what is there: a scan of the whole bucket, or of all buckets of the owner. Blocks; on a worker.
Result<Usage> count_usage(const index::View& view, const std::string& bucket);
Result<Usage> count_owner_usage(const index::View& view, const std::string& owner);

}  // namespace archipel::store
