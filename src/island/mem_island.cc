#include "island/mem_island.h"

namespace archipel::island {

MemIsland::MemIsland(std::string id, bool joined) : id_(std::move(id)) {
  if (joined) marker_ = "joined";
}

io::Task<Result<void>> MemIsland::admit(Op op, Deadline deadline) {
  while (held_.contains(op)) {
    ++waiting_;
    bool in_time = co_await released_.wait(deadline);
    --waiting_;
    if (!in_time) co_return fail(Code::timeout, "island " + id_ + ": no answer by the deadline");
  }
  if (down_) co_return fail(Code::unavailable, "island " + id_ + ": down");
  auto it = failures_.find(op);
  if (it == failures_.end()) co_return Result<void>{};
  Error error = it->second.first;
  if (--it->second.second <= 0) failures_.erase(it);
  co_return fail(std::move(error));
}

Result<void> MemIsland::need_marker() const {
  if (!marker_) return fail(Code::unavailable, "island " + id_ + ": lost, it has no marker");
  return {};
}

io::Task<Result<void>> MemIsland::put(BlobName name, std::span<const ByteView> parts, Deadline deadline) {
  ++counts_.puts;
  CO_RETURN_IF_ERROR(co_await admit(Op::put, deadline));
  CO_RETURN_IF_ERROR(need_marker());
  std::string bytes;
  for (ByteView part : parts) bytes.append(as_text(part));
  if (bytes.size() > kBlobBytesMax) co_return fail(Code::limit, "island " + id_ + ": blob too large");
  bool fresh = blobs_.emplace(name, std::move(bytes)).second;
  if (!fresh) co_return fail(Code::exists, "island " + id_ + ": blob exists");
  if (lost_replies_ > 0) {
    --lost_replies_;
    co_return fail(Code::timeout, "island " + id_ + ": reply lost");
  }
  if (after_put) after_put(name);
  co_return Result<void>{};
}

io::Task<Result<void>> MemIsland::overwrite(BlobName name, ByteView bytes, Deadline deadline) {
  ++counts_.overwrites;
  CO_RETURN_IF_ERROR(co_await admit(Op::overwrite, deadline));
  CO_RETURN_IF_ERROR(need_marker());
  blobs_[name] = std::string(as_text(bytes));
  if (after_overwrite) after_overwrite(name);
  co_return Result<void>{};
}

io::Task<Result<Buffer>> MemIsland::get(BlobName name, uint64_t offset, uint64_t length, Deadline deadline) {
  ++counts_.gets;
  CO_RETURN_IF_ERROR(co_await admit(Op::get, deadline));
  CO_RETURN_IF_ERROR(need_marker());
  auto it = blobs_.find(name);
  if (it == blobs_.end()) co_return fail(Code::not_found, "island " + id_ + ": no such blob");
  ByteView bytes = as_bytes(it->second);
  bytes = bytes.subspan(std::min<uint64_t>(offset, bytes.size()));
  bytes = bytes.first(std::min<uint64_t>(length, bytes.size()));
  Buffer answer = Buffer::copy_of(bytes);
  if (tamper_get) tamper_get(name, offset, answer);
  counts_.get_bytes += answer.size();
  co_return answer;
}

io::Task<Result<uint64_t>> MemIsland::size(BlobName name, Deadline deadline) {
  CO_RETURN_IF_ERROR(co_await admit(Op::size, deadline));
  CO_RETURN_IF_ERROR(need_marker());
  auto it = blobs_.find(name);
  if (it == blobs_.end()) co_return fail(Code::not_found, "island " + id_ + ": no such blob");
  co_return uint64_t{it->second.size()};
}

io::Task<Result<void>> MemIsland::remove(BlobName name, Deadline deadline) {
  ++counts_.removes;
  CO_RETURN_IF_ERROR(co_await admit(Op::remove, deadline));
  CO_RETURN_IF_ERROR(need_marker());
  blobs_.erase(name);
  co_return Result<void>{};
}

io::Task<Result<std::vector<BlobName>>> MemIsland::list(Deadline deadline) {
  CO_RETURN_IF_ERROR(co_await admit(Op::list, deadline));
  CO_RETURN_IF_ERROR(need_marker());
  std::vector<BlobName> names;
  names.reserve(blobs_.size());
  for (const auto& [name, bytes] : blobs_) names.push_back(name);
  co_return names;
}

io::Task<Result<Buffer>> MemIsland::read_marker(Deadline deadline) {
  CO_RETURN_IF_ERROR(co_await admit(Op::read_marker, deadline));
  if (!marker_) co_return fail(Code::not_found, "island " + id_ + ": no marker");
  co_return Buffer::copy_of(as_bytes(*marker_));
}

io::Task<Result<void>> MemIsland::write_marker(ByteView bytes, Deadline deadline) {
  CO_RETURN_IF_ERROR(co_await admit(Op::write_marker, deadline));
  if (marker_) co_return fail(Code::exists, "island " + id_ + ": it has a marker already");
  marker_ = std::string(as_text(bytes));
  co_return Result<void>{};
}

void MemIsland::fail_next(Op op, Error error, int times) {
  if (times <= 0)
    failures_.erase(op);
  else
    failures_.insert_or_assign(op, std::pair(std::move(error), times));
}

void MemIsland::release(Op op) {
  held_.erase(op);
  released_.notify_all();
}

void MemIsland::flip(const BlobName& name, size_t offset, uint8_t mask) {
  auto it = blobs_.find(name);
  CHECK(it != blobs_.end() && offset < it->second.size());
  it->second[offset] = static_cast<char>(static_cast<uint8_t>(it->second[offset]) ^ mask);
}

void MemIsland::wipe() {
  blobs_.clear();
  marker_.reset();
}

}  // namespace archipel::island
