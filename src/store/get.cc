// GET and HEAD: one read of the view, then pieces of at most 1 MiB, each verified before it is handed out, one read ahead.
#include <algorithm>

#include "store/env.h"
#include "store/keys.h"
#include "store/wrap.h"

namespace archipel::store {
namespace {

using extent::kSegmentPlain;
using extent::kSegmentSealed;
using extent::kTagBytes;

struct Found {
  std::shared_ptr<const Bucket> bucket;
  VersionRecord version;
};

io::Task<Result<Found>> find_object(Env& env, std::string bucket, std::string key, Depth depth) {
  Found found;
  CO_ASSIGN_OR_RETURN(found.bucket, find_bucket(env, bucket));
  CO_RETURN_IF_ERROR(check_object_key(key));
  auto look = [&]() -> Result<VersionRecord> {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, env.kv.snapshot()->get(object_key(bucket, key)));
    if (!bytes) return no_such_key();
    return decode_version(*bytes, depth);
  };
  CO_ASSIGN_OR_RETURN(found.version, co_await env.workers.run(look));
  co_return found;
}

// Segments [first, first + count) of one slice: what one read fetches.
struct Piece {
  size_t slice = 0;
  uint64_t first = 0, count = 0;
  size_t skip = 0, length = 0;  // of its plaintext, what the range asks for
};

// The state of a GET. Shared with a read-ahead that may outlive the reader; only one fetch runs at a time.
class Source {
 public:
  Source(Env& env, Found found, std::string bucket_name, ByteRange range)
      : env_(env),
        found_(std::move(found)),
        bucket_name_(std::move(bucket_name)),
        at_(range.first),
        left_(range.length) {}

  const ObjectInfo& info() const { return found_.version.info; }
  bool at_end() const { return left_ == 0; }

  // Checks the key of the first slice, so that a wrong one is refused before any answer begins; takes memory for large reads.
  io::Task<Result<void>> open();
  // The next piece; not at the end. After an error every further call is an error.
  static io::Task<Result<Buffer>> fetch(std::shared_ptr<Source> self);

 private:
  Piece plan() const;
  Result<void> use_slice(size_t slice);
  io::Task<Result<std::vector<Buffer>>> read_sealed(Piece piece);
  Result<Buffer> open_segments(const Piece& piece, const std::vector<Buffer>& sealed);

  Env& env_;
  const Found found_;
  const std::string bucket_name_;
  uint64_t at_, left_;  // of the object's plaintext
  uint64_t piece_segments_ = kPieceSegmentsMax;
  size_t opened_slice_ = SIZE_MAX;
  std::unique_ptr<crypto::StreamOpener> opener_;
  Budget::Ticket ticket_;
};

io::Task<Result<void>> Source::open() {
  if (left_ == 0) co_return Result<void>();
  CO_RETURN_IF_ERROR(use_slice(plan().slice));
  if (left_ <= kSmallBytesMax) co_return Result<void>();
  // Whole stripes, so that every island is asked for as much. Two pieces, each sealed and open, are in memory at most.
  uint64_t k = static_cast<uint64_t>(env_.coder.code().k);
  uint64_t stripes = std::max<uint64_t>(kPieceSegmentsMax / k, 1);
  uint64_t want = stripes * k;
  constexpr uint64_t kBytesPerSegment = uint64_t{4} * kSegmentSealed;
  Result<Budget::Ticket> ticket = co_await env_.budget.acquire(kBytesPerSegment, want * kBytesPerSegment);
  if (!ticket) co_return fail(ticket.error());
  ticket_ = std::move(*ticket);
  piece_segments_ = ticket_.bytes() >= want * kBytesPerSegment ? want : 1;
  co_return Result<void>();
}

Piece Source::plan() const {
  Piece piece;
  uint64_t start = at_;  // within the slice
  const std::vector<Slice>& slices = found_.version.slices;
  while (start >= slices[piece.slice].stream.length) start -= slices[piece.slice++].stream.length;
  const Slice& slice = slices[piece.slice];
  uint64_t end = std::min(start + left_, slice.stream.length);
  piece.first = start / kSegmentPlain;
  uint64_t limit = (end + kSegmentPlain - 1) / kSegmentPlain;
  limit = std::min(limit, piece.first + piece_segments_);
  for (const ExtentRun& run : slice.storage.extents)
    if (piece.first >= run.first_segment && piece.first < run.first_segment + run.segments)
      limit = std::min(limit, run.first_segment + run.segments);
  piece.count = limit - piece.first;
  piece.skip = start - piece.first * kSegmentPlain;
  piece.length = std::min(end, limit * kSegmentPlain) - start;
  return piece;
}

Result<void> Source::use_slice(size_t index) {
  if (opened_slice_ == index) return {};
  const Slice& slice = found_.version.slices[index];
  KeyScope scope{found_.bucket->info.owner, bucket_name_, found_.version.version_id,
                 static_cast<uint32_t>(index)};
  ASSIGN_OR_RETURN(crypto::Secret32 data_key, unwrap(slice, env_.keys, scope));
  ASSIGN_OR_RETURN(opener_, crypto::StreamOpener::create(slice.stream, data_key));
  opened_slice_ = index;
  return {};
}

// One read per run of bytes that lie together: one for a piece of an extent, and usually one for a small body.
io::Task<Result<std::vector<Buffer>>> Source::read_sealed(Piece piece) {
  const Slice& slice = found_.version.slices[piece.slice];
  Deadline deadline = env_.clock.now() + kReadDeadline;
  std::vector<Buffer> sealed;
  if (!slice.storage.extents.empty()) {
    auto run = std::find_if(slice.storage.extents.begin(), slice.storage.extents.end(),
                            [&](const ExtentRun& r) { return piece.first < r.first_segment + r.segments; });
    uint64_t offset = (piece.first - run->first_segment) * kSegmentSealed;
    uint64_t length = sealed_bytes(slice.stream, piece.first, piece.count);
    CO_ASSIGN_OR_RETURN(Buffer bytes, co_await env_.reader.read(run->ref, offset, length, deadline));
    sealed.push_back(std::move(bytes));
    co_return sealed;
  }
  const std::vector<index::SmallLocation>& small = slice.storage.small;
  for (uint64_t i = piece.first; i < piece.first + piece.count;) {
    const index::SmallLocation& first = small[i];
    uint64_t length = 0;
    for (; i < piece.first + piece.count; ++i) {
      bool together = small[i].section.id == first.section.id &&
                      small[i].section.attempt == first.section.attempt &&
                      small[i].offset == first.offset + length;
      if (!together) break;
      length += small[i].length;
    }
    CO_ASSIGN_OR_RETURN(Buffer bytes,
                        co_await env_.reader.read(first.section, first.offset, length, deadline));
    sealed.push_back(std::move(bytes));
  }
  co_return sealed;
}

// Opens whole segments and cuts the range out of them.
Result<Buffer> Source::open_segments(const Piece& piece, const std::vector<Buffer>& sealed) {
  const crypto::StreamInfo& stream = found_.version.slices[piece.slice].stream;
  uint64_t plain_bytes = sealed_bytes(stream, piece.first, piece.count) - piece.count * kTagBytes;
  Buffer plain(plain_bytes);
  size_t out = 0, block = 0, in = 0;
  for (uint64_t segment = piece.first; segment < piece.first + piece.count; ++segment) {
    if (block < sealed.size() && in == sealed[block].size()) ++block, in = 0;
    size_t bytes = segment_bytes(stream, segment);
    if (block == sealed.size() || sealed[block].size() - in < bytes + kTagBytes)
      return fail(Code::corrupt, "fewer bytes were read of an object than its record says", "InternalError");
    ByteView view = sealed[block].view().subspan(in, bytes + kTagBytes);
    RETURN_IF_ERROR(opener_->open(segment, view, plain.span().subspan(out, bytes)));
    in += bytes + kTagBytes;
    out += bytes;
  }
  if (piece.skip > 0) std::memmove(plain.data(), plain.data() + piece.skip, piece.length);
  plain.resize_within(piece.length);
  return plain;
}

io::Task<Result<Buffer>> Source::fetch(std::shared_ptr<Source> self) {
  Piece piece = self->plan();
  CO_RETURN_IF_ERROR(self->use_slice(piece.slice));
  CO_ASSIGN_OR_RETURN(std::vector<Buffer> sealed, co_await self->read_sealed(piece));
  auto open = [&] { return self->open_segments(piece, sealed); };
  Result<Buffer> plain;
  size_t sealed_total = 0;
  for (const Buffer& block : sealed) sealed_total += block.size();
  if (sealed_total <= kInlineOpenBytesMax)
    plain = open();
  else
    plain = co_await self->env_.workers.run(open);
  if (!plain) co_return plain;
  self->at_ += piece.length;
  self->left_ -= piece.length;
  co_return plain;
}

class Reader final : public ObjectReader {
 public:
  Reader(Env& env, std::shared_ptr<Source> source) : env_(env), source_(std::move(source)) {}
  ~Reader() override {
    if (ahead_ && !ahead_->done()) env_.background.spawn(finish(std::move(*ahead_)));
  }

  const ObjectInfo& info() const override { return source_->info(); }

  io::Task<Result<Buffer>> read() override {
    CO_RETURN_IF_ERROR(failed_);
    if (!ahead_) {
      if (source_->at_end()) co_return Buffer();
      ahead_.emplace(Source::fetch(source_));
    }
    Result<Buffer> piece = co_await std::move(*ahead_);
    ahead_.reset();
    if (!piece) {
      failed_ = fail(with_s3_code(piece.error()));
      co_return fail(failed_.error());
    }
    if (!source_->at_end()) ahead_.emplace(Source::fetch(source_));
    co_return piece;
  }

 private:
  static io::Task<void> finish(io::Task<Result<Buffer>> task) { co_await std::move(task); }

  Env& env_;
  std::shared_ptr<Source> source_;
  std::optional<io::Task<Result<Buffer>>> ahead_;
  Result<void> failed_;
};

}  // namespace

io::Task<Result<Store::Opened>> get_object(Env& env, std::string bucket, std::string key,
                                           std::optional<Store::Range> range, Conditions conditions) {
  CO_ASSIGN_OR_RETURN(Found found, co_await find_object(env, bucket, std::move(key), Depth::all));
  CO_RETURN_IF_ERROR(check_read_conditions(conditions, found.version.info));
  CO_ASSIGN_OR_RETURN(ByteRange bytes, resolve_range(range, found.version.info.size));
  auto source = std::make_shared<Source>(env, std::move(found), std::move(bucket), bytes);
  CO_RETURN_IF_ERROR(co_await source->open());
  Store::Opened opened;
  opened.first = bytes.first;
  opened.length = bytes.length;
  opened.reader = std::make_unique<Reader>(env, std::move(source));
  co_return opened;
}

io::Task<Result<ObjectInfo>> head_object(Env& env, std::string bucket, std::string key,
                                         Conditions conditions) {
  CO_ASSIGN_OR_RETURN(Found found, co_await find_object(env, std::move(bucket), std::move(key), Depth::info));
  CO_RETURN_IF_ERROR(check_read_conditions(conditions, found.version.info));
  co_return found.version.info;
}

}  // namespace archipel::store
