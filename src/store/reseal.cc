#include "store/reseal.h"

#include <algorithm>

#include "store/uploads.h"

namespace archipel::store {

io::Task<Result<size_t>> ReaderBody::read(MutableBytes out) {
  if (used_ == piece_.size()) {
    CO_ASSIGN_OR_RETURN(piece_, co_await reader_.read());
    used_ = 0;
  }
  size_t size = std::min(out.size(), piece_.size() - used_);
  if (size > 0) std::memcpy(out.data(), piece_.data() + used_, size);
  used_ += size;
  co_return size;
}

std::unexpected<Error> source_too_large() {
  return fail(Code::invalid,
              "the copy source is larger than the maximum allowable size for a copy source: 5368709120",
              "InvalidRequest");
}

io::Task<Result<Store::Opened>> open_source(Env& env, CopySource source) {
  Store::GetRequest request;
  request.what.bucket = std::move(source.bucket);
  request.what.key = std::move(source.key);
  request.what.version = std::move(source.version);
  request.what.customer_key = std::move(source.customer_key);
  const bool named = request.what.version.has_value();
  if (source.range) request.range = Store::Range{source.range->first, source.range->second};
  Result<Store::Opened> opened = co_await get_object(env, std::move(request));
  // AWS: what names a delete marker as a source is a bad request, not a method that is not allowed.
  if (!opened && named && opened.error().detail == "MethodNotAllowed")
    co_return fail(Code::invalid, "the source of a copy is a delete marker", "InvalidRequest");
  if (!opened) co_return fail(opened.error());
  const ObjectInfo& info = opened->reader->info();
  CO_RETURN_IF_ERROR(check_copy_conditions(source.conditions, info));
  if (source.range && source.range->second >= info.size)
    co_return fail(Code::invalid, "the range is not within the source", "InvalidRange");
  if (opened->length > kObjectBytesMax) co_return source_too_large();
  co_return std::move(*opened);
}

io::Task<Result<PartInfo>> copy_part(Env& env, CopyPartRequest request) {
  CopySource source{std::move(request.source_bucket),
                    std::move(request.source_key),
                    std::move(request.source_version),
                    std::move(request.source_conditions),
                    request.range,
                    std::move(request.source_customer_key)};
  CO_ASSIGN_OR_RETURN(Store::Opened opened, co_await open_source(env, std::move(source)));
  ReaderBody body(*opened.reader);
  request.part.length = opened.length;
  Result<PartInfo> part = co_await put_part(env, std::move(request.part), body);
  co_return part;
}

}  // namespace archipel::store
