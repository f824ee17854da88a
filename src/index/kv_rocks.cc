// The Kv on RocksDB, set up for small machines. WAL on and not synced: a crash of the process loses nothing that was
// written, a crash of the machine may, and the journal then brings it back.
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <mutex>

#include "index/kv.h"

namespace archipel::index {
namespace {

constexpr size_t kWriteBufferBytes = 64u << 20;
constexpr int kWriteBuffersMax = 2;
constexpr size_t kBlockCacheBytes = 128u << 20;
constexpr double kBloomBitsPerKey = 10;
constexpr int kOpenFilesMax = 256;
constexpr size_t kInfoLogBytesMax = 1u << 20;
constexpr size_t kInfoLogsKept = 2;

Error error_of(const rocksdb::Status& status, std::string_view what) {
  Code code = status.IsCorruption() ? Code::corrupt : status.IsNoSpace() ? Code::unavailable : Code::io;
  return {
      code,
      std::string(what) + ": " + status.ToString() +
          (code == Code::corrupt ? "; delete the index directory, it will be rebuilt from the journal" : ""),
      {}};
}

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}
std::string_view text(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

class RocksSnapshot final : public Snapshot {
 public:
  explicit RocksSnapshot(std::shared_ptr<rocksdb::DB> db)
      : db_(std::move(db)), snapshot_(db_->GetSnapshot()) {}
  ~RocksSnapshot() override { db_->ReleaseSnapshot(snapshot_); }
  RocksSnapshot(const RocksSnapshot&) = delete;
  RocksSnapshot& operator=(const RocksSnapshot&) = delete;

  Result<std::optional<std::string>> get(std::string_view key) const override {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    std::string value;
    rocksdb::Status status = db_->Get(options, slice(key), &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return fail(error_of(status, "reading the index"));
    return value;
  }

  Result<void> scan(std::string_view from, std::string_view to, const Visitor& visit) const override {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    rocksdb::Slice end = slice(to);
    if (!to.empty()) options.iterate_upper_bound = &end;
    // Who goes through everything, as a snapshot of the journal does, must not take the cache from those who read objects.
    options.fill_cache = !to.empty();
    std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options));
    std::string seek_to;
    for (at->Seek(slice(from)); at->Valid();) {
      seek_to.clear();
      if (!visit(text(at->key()), text(at->value()), &seek_to)) return {};
      if (seek_to.empty()) {
        at->Next();
        continue;
      }
      if (std::string_view(seek_to) <= text(at->key())) {
        return fail(Code::internal, "a scan was asked to go back to an earlier key");
      }
      at->Seek(seek_to);
    }
    if (!at->status().ok()) return fail(error_of(at->status(), "scanning the index"));
    return {};
  }

 private:
  std::shared_ptr<rocksdb::DB> db_;  // a snapshot may outlive its Kv's owner
  const rocksdb::Snapshot* snapshot_;
};

rocksdb::Options tuned_options();

// Every run becomes a file of its own, made beside the others on as many threads as add() is called on; finish() hands them all to the
// database in one atomic step, which puts them where nothing has to be merged.
class RocksLoad final : public BulkLoad {
 public:
  explicit RocksLoad(std::shared_ptr<rocksdb::DB> db) : db_(std::move(db)), dir_(db_->GetName() + "/load") {}
  ~RocksLoad() override { clear(); }

  Result<void> clear() {
    std::error_code error;
    std::filesystem::remove_all(dir_, error);
    if (error) return fail_errno(error.value(), "deleting " + dir_);
    return {};
  }
  Result<void> begin() {
    RETURN_IF_ERROR(clear());
    if (mkdir(dir_.c_str(), 0700) != 0) return fail_errno(errno, "making " + dir_);
    return {};
  }

  Result<void> add(Run run) override {
    std::string path;
    {
      std::lock_guard lock(mutex_);
      path = dir_ + "/" + std::to_string(files_.size()) + ".sst";
      files_.push_back(path);
    }
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options_);
    rocksdb::Status status = writer.Open(path);
    for (size_t i = 0; i < run.size() && status.ok(); ++i)
      status = writer.Put(slice(run[i].first), slice(run[i].second));
    if (status.ok()) status = writer.Finish();
    if (!status.ok()) return fail(error_of(status, "loading the index"));
    return {};
  }

  Result<void> finish() override {
    rocksdb::IngestExternalFileOptions how;
    how.move_files = true;
    how.snapshot_consistency = false;
    rocksdb::Status status = db_->IngestExternalFile(files_, how);
    if (!status.ok()) return fail(error_of(status, "loading the index"));
    return {};
  }

 private:
  std::shared_ptr<rocksdb::DB> db_;
  std::string dir_;
  rocksdb::Options options_ = tuned_options();
  std::mutex mutex_;
  std::vector<std::string> files_;
};

class RocksKv final : public Kv {
 public:
  explicit RocksKv(std::shared_ptr<rocksdb::DB> db) : db_(std::move(db)) {}

  std::shared_ptr<const Snapshot> snapshot() const override { return std::make_shared<RocksSnapshot>(db_); }

  std::optional<Result<Found>> try_get(std::string_view key) const override {
    rocksdb::ReadOptions options;
    options.read_tier = rocksdb::kBlockCacheTier;
    rocksdb::PinnableSlice value;
    rocksdb::Status status = db_->Get(options, db_->DefaultColumnFamily(), slice(key), &value);
    if (status.IsNotFound()) return Found{};
    // Incomplete: a block would have to be read. Any other trouble is told better by who may wait and try in earnest.
    if (!status.ok()) return std::nullopt;
    return Found(value.ToString());
  }

  Result<void> write(const std::vector<Mutation>& mutations) override {
    rocksdb::WriteBatch batch;
    for (const Mutation& mutation : mutations) {
      if (mutation.value) {
        batch.Put(mutation.key, *mutation.value);
      } else {
        batch.Delete(mutation.key);
      }
    }
    rocksdb::WriteOptions options;
    options.sync = false;
    rocksdb::Status status = db_->Write(options, &batch);
    if (!status.ok()) return fail(error_of(status, "writing the index"));
    return {};
  }

  Result<std::unique_ptr<BulkLoad>> bulk_load() override {
    auto load = std::make_unique<RocksLoad>(db_);
    RETURN_IF_ERROR(load->begin());
    return load;
  }

 private:
  std::shared_ptr<rocksdb::DB> db_;
};

rocksdb::Options tuned_options() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = kWriteBufferBytes;
  options.max_write_buffer_number = kWriteBuffersMax;
  options.max_open_files = kOpenFilesMax;
  options.max_background_jobs = 2;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.max_log_file_size = kInfoLogBytesMax;
  options.keep_log_file_num = kInfoLogsKept;
  options.bytes_per_sync = 1u << 20;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

Result<std::unique_ptr<Kv>> open_rocks_kv(const std::string& path) {
  // Key names lie here in the clear (LIST needs their order): nobody else may look.
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno(errno, "making " + path);
  rocksdb::DB* raw = nullptr;
  rocksdb::Status status = rocksdb::DB::Open(tuned_options(), path, &raw);
  if (!status.ok()) return fail(error_of(status, "opening the index " + path));
  return std::make_unique<RocksKv>(std::shared_ptr<rocksdb::DB>(raw));
}

}  // namespace archipel::index
