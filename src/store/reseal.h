// Reading an object to write it again: what cannot share streams is sealed anew (another tenant, another encryption, a part of a copy).
#pragma once

#include "store/env.h"

namespace archipel::store {

// A body that is another object's bytes. What breaks off the reading breaks off the body. `reader` must outlive it.
class ReaderBody final : public BodySource {
 public:
  explicit ReaderBody(ObjectReader& reader) : reader_(reader) {}
  io::Task<Result<size_t>> read(MutableBytes out) override;

 private:
  ObjectReader& reader_;
  Buffer piece_;
  size_t used_ = 0;  // of the piece
};

// The source of a copy, opened: `range` both inclusive and within it (InvalidRange), conditions judged as those of a copy's source.
struct CopySource {
  std::string bucket, key;
  VersionName version;
  Conditions conditions;
  std::optional<std::pair<uint64_t, uint64_t>> range;
  std::shared_ptr<const CustomerKey> customer_key;
};
std::unexpected<Error> source_too_large();  // InvalidRequest
// source_too_large() if more than 5 GiB would be read, as AWS says.
io::Task<Result<Store::Opened>> open_source(Env& env, CopySource source);

io::Task<Result<PartInfo>> copy_part(Env& env, CopyPartRequest request);

}  // namespace archipel::store
