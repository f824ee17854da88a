#include "island/dir.h"

#include "island/dir_ops.h"

namespace archipel::island {
namespace {

// Up to here copying out of the page cache takes less of the loop's time than the way to a worker and back.
constexpr uint64_t kTryBytesMax = 128u << 10;

Result<void> in_time(const std::string& id, Deadline deadline) {
  if (io::Loop::current()->now() < deadline) return {};
  return fail(Code::timeout, "island " + id + ": the deadline had passed before the operation could start");
}

class DirIsland : public Island {
 public:
  DirIsland(std::string id, std::string path, io::Workers& workers)
      : id_(std::move(id)), ops_(id_, std::move(path)), workers_(workers) {}

  const std::string& id() const override { return id_; }

  io::Task<Result<void>> put(BlobName name, std::span<const ByteView> parts, Deadline deadline) override {
    CO_RETURN_IF_ERROR(in_time(id_, deadline));
    size_t size = 0;
    for (ByteView part : parts) size += part.size();
    if (size > kBlobBytesMax)
      co_return fail(Code::limit,
                     "island " + id_ + ": blob of " + std::to_string(size) + " bytes is too large");
    auto job = [this, &name, parts] { return ops_.put(name, parts); };
    auto result = co_await workers_.run(std::move(job));
    co_return result;
  }

  io::Task<Result<void>> overwrite(BlobName name, ByteView bytes, Deadline deadline) override {
    CO_RETURN_IF_ERROR(in_time(id_, deadline));
    auto job = [this, &name, bytes] { return ops_.overwrite(name, bytes); };
    auto result = co_await workers_.run(std::move(job));
    co_return result;
  }

  io::Task<Result<Buffer>> get(BlobName name, uint64_t offset, uint64_t length, Deadline deadline) override {
    CO_RETURN_IF_ERROR(in_time(id_, deadline));
    if (length <= kTryBytesMax) {
      std::optional<Buffer> cached = ops_.try_get(name, offset, length);
      if (cached) co_return std::move(*cached);
    }
    auto job = [this, &name, offset, length] { return ops_.get(name, offset, length); };
    auto result = co_await workers_.run(std::move(job));
    co_return result;
  }

  io::Task<Result<uint64_t>> size(BlobName name, Deadline deadline) override {
    CO_RETURN_IF_ERROR(in_time(id_, deadline));
    auto job = [this, &name] { return ops_.size(name); };
    auto result = co_await workers_.run(std::move(job));
    co_return result;
  }

  io::Task<Result<void>> remove(BlobName name, Deadline deadline) override {
    CO_RETURN_IF_ERROR(in_time(id_, deadline));
    auto job = [this, &name] { return ops_.remove(name); };
    auto result = co_await workers_.run(std::move(job));
    co_return result;
  }

  io::Task<Result<std::vector<BlobName>>> list(Deadline deadline) override {
    CO_RETURN_IF_ERROR(in_time(id_, deadline));
    auto job = [this] { return ops_.list(); };
    auto result = co_await workers_.run(std::move(job));
    co_return result;
  }

  io::Task<Result<Buffer>> read_marker(Deadline deadline) override {
    CO_RETURN_IF_ERROR(in_time(id_, deadline));
    auto job = [this] { return ops_.read_marker(); };
    auto result = co_await workers_.run(std::move(job));
    co_return result;
  }

  io::Task<Result<void>> write_marker(ByteView bytes, Deadline deadline) override {
    CO_RETURN_IF_ERROR(in_time(id_, deadline));
    auto job = [this, bytes] { return ops_.write_marker(bytes); };
    auto result = co_await workers_.run(std::move(job));
    co_return result;
  }

 private:
  std::string id_;
  DirOps ops_;
  io::Workers& workers_;
};

}  // namespace

std::unique_ptr<Island> make_dir_island(std::string id, std::string path, io::Workers& workers) {
  return std::make_unique<DirIsland>(std::move(id), std::move(path), workers);
}

}  // namespace archipel::island
