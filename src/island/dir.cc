#include "island/dir.h"

#include "island/dir_ops.h"

namespace archipel::island {
namespace {

// Up to here copying out of the page cache takes less of the loop's time than the way to a worker and back.
constexpr uint64_t kTryBytesMax = 128u << 10;

class DirIsland : public Island {
 public:
  DirIsland(std::string id, std::string path, LaneLimits limits)
      : id_(std::move(id)), ops_(std::make_shared<DirOps>(id_, std::move(path))), lane_(id_, limits) {}

  const std::string& id() const override { return id_; }

  io::Task<Result<void>> put(BlobName name, std::span<const ByteView> parts, Deadline deadline) override {
    auto bytes = std::make_shared<LentBytes>(parts);
    if (bytes->size() > kBlobBytesMax)
      co_return fail(Code::limit,
                     "island " + id_ + ": blob of " + std::to_string(bytes->size()) + " bytes is too large");
    auto job = [ops = ops_, name = std::move(name), bytes] { return ops->put(name, *bytes); };
    auto result = co_await lane_.run(deadline, std::move(job));
    bytes->withdraw();  // the call may still be under way
    co_return result;
  }

  io::Task<Result<void>> overwrite(BlobName name, ByteView bytes, Deadline deadline) override {
    auto job = [ops = ops_, name = std::move(name), own = Buffer::copy_of(bytes)] {
      return ops->overwrite(name, own);
    };
    auto result = co_await lane_.run(deadline, std::move(job));
    co_return result;
  }

  io::Task<Result<Buffer>> get(BlobName name, uint64_t offset, uint64_t length, Deadline deadline) override {
    if (length <= kTryBytesMax && io::Loop::current()->now() < deadline) {
      std::optional<Buffer> cached = ops_->try_get(name, offset, length);
      if (cached) co_return std::move(*cached);
    }
    auto job = [ops = ops_, name = std::move(name), offset, length] {
      return ops->get(name, offset, length);
    };
    auto result = co_await lane_.run(deadline, std::move(job));
    co_return result;
  }

  io::Task<Result<uint64_t>> size(BlobName name, Deadline deadline) override {
    auto job = [ops = ops_, name = std::move(name)] { return ops->size(name); };
    auto result = co_await lane_.run(deadline, std::move(job));
    co_return result;
  }

  io::Task<Result<void>> remove(BlobName name, Deadline deadline) override {
    auto job = [ops = ops_, name = std::move(name)] { return ops->remove(name); };
    auto result = co_await lane_.run(deadline, std::move(job));
    co_return result;
  }

  io::Task<Result<std::vector<BlobName>>> list(Deadline deadline) override {
    auto job = [ops = ops_] { return ops->list(); };
    auto result = co_await lane_.run(deadline, std::move(job));
    co_return result;
  }

  io::Task<Result<Buffer>> read_marker(Deadline deadline) override {
    auto job = [ops = ops_] { return ops->read_marker(); };
    auto result = co_await lane_.run(deadline, std::move(job));
    co_return result;
  }

  io::Task<Result<void>> write_marker(ByteView bytes, Deadline deadline) override {
    auto job = [ops = ops_, own = Buffer::copy_of(bytes)] { return ops->write_marker(own); };
    auto result = co_await lane_.run(deadline, std::move(job));
    co_return result;
  }

 private:
  std::string id_;
  std::shared_ptr<DirOps> ops_;  // shared with calls that are left behind
  Lane lane_;
};

}  // namespace

std::unique_ptr<Island> make_dir_island(std::string id, std::string path, LaneLimits limits) {
  return std::make_unique<DirIsland>(std::move(id), std::move(path), limits);
}

}  // namespace archipel::island
