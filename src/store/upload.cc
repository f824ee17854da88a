#include "store/upload.h"

#include <algorithm>

namespace archipel::store {
namespace {

using extent::kSegmentPlain;
using extent::kSegmentSealed;
using extent::kTagBytes;

constexpr uint64_t kPressedExtentBytes = 1u
                                         << 20;  // plaintext of an extent while memory is short (protocol §3)

constexpr size_t kPieceBytesMax = kPieceSegmentsMax * kSegmentPlain;

uint64_t segments_of(uint64_t bytes) {
  return (bytes + kSegmentPlain - 1) / kSegmentPlain;
}

}  // namespace

// An extent on its way: the memory, and the budget that pays for it until the last PUT is done.
struct Upload::Sending {
  std::unique_ptr<extent::ExtentBuilder> builder;
  Budget::Ticket ticket;
  struct Parcel {
    extent::CodedExtent coded;
    Budget::Ticket ticket;
  };
};

Upload::Upload(Env& env, BodySource& body, std::optional<uint64_t> length)
    : env_(env), body_(body), length_(length), hashing_(!body.brings_md5()), sealer_(env.random) {}

std::vector<extent::ExtentRef> Upload::begun() const {
  std::vector<extent::ExtentRef> refs;
  refs.reserve(extents_.size());
  for (const ExtentRun& run : extents_) refs.push_back(run.ref);
  return refs;
}

Slice Upload::slice() const {
  Slice slice;
  slice.stream = sealer_.info(total_);
  slice.stream.length = total_;
  slice.stream.segments = segments_of(total_);
  slice.storage.extents = extents_;
  return slice;
}

// Whatever happens, nothing that was started is still running afterwards.
io::Task<Result<void>> Upload::run() {
  Result<void> read = co_await read_all();
  Result<void> worked = co_await settle_work();
  Result<void> sent = co_await settle(send_work_);
  if (!read) co_return read;
  if (!worked) co_return worked;
  if (!sent) co_return sent;
  finish_etag();
  co_return Result<void>();
}

io::Task<Result<void>> Upload::read_all() {
  CO_RETURN_IF_ERROR(co_await admit_extent());
  size_t carried = 0;
  for (;;) {
    if (planned_segments_ == extent_segments_) CO_RETURN_IF_ERROR(co_await admit_extent());
    // One byte more than the piece tells whether its last segment is the stream's final one. It begins the next piece.
    size_t piece = std::min(extent_segments_ - planned_segments_, kPieceSegmentsMax) * kSegmentPlain;
    if (length_) piece = std::min<uint64_t>(piece, std::max<uint64_t>(*length_ - total_, 1));
    Result<size_t> filled = co_await fill(carried, piece + 1);
    Result<void> worked = co_await settle_work();
    if (!filled) co_return fail(filled.error());
    if (!worked) co_return worked;

    Buffer& plain = pieces_[turn_];
    bool final = *filled <= piece;
    size_t bytes = std::min(*filled, piece);
    total_ += bytes;
    CO_RETURN_IF_ERROR(check_size(final));
    if (final && next_segment_ == 0 && bytes <= kSmallBytesMax) {
      Result<void> sealed = co_await seal_small(bytes);
      co_return sealed;
    }
    // The extent before this one may have been sealed to its end by the work just settled.
    if (builder_ && planned_segments_ == 0) CO_RETURN_IF_ERROR(co_await close_extent());
    if (!builder_) CO_RETURN_IF_ERROR(co_await open_extent());
    ByteView view(plain.data(), bytes);
    uint64_t first = next_segment_;
    next_segment_ += segments_of(bytes);
    planned_segments_ += segments_of(bytes);
    if (hashing_) hash_work_.emplace(hash_piece(view));
    seal_work_.emplace(seal_piece(view, first, final));
    if (final) break;
    turn_ = 1 - turn_;
    if (pieces_[turn_].size() < kPieceBytesMax + 1) pieces_[turn_] = Buffer(kPieceBytesMax + 1);
    pieces_[turn_].data()[0] = plain.data()[piece];
    carried = 1;
  }
  CO_RETURN_IF_ERROR(co_await settle_work());
  Result<void> closed = co_await close_extent();
  co_return closed;
}

// Reads into the current piece until it holds `want` bytes or the body ends; returns what it holds.
io::Task<Result<size_t>> Upload::fill(size_t have, size_t want) {
  Buffer& buffer = pieces_[turn_];
  if (buffer.size() < want) {
    CHECK(have == 0);
    buffer = Buffer(want);
  }
  while (have < want) {
    Result<size_t> got = co_await body_.read(MutableBytes(buffer.data() + have, want - have));
    if (!got) co_return fail(with_s3_code(got.error()));
    if (*got == 0) break;
    have += *got;
  }
  co_return have;
}

Result<void> Upload::check_size(bool ended) const {
  if (total_ > kObjectBytesMax)
    return fail(Code::limit, "an object of one PUT has at most 5 GiB", "EntityTooLarge");
  if (length_ && (total_ > *length_ || (ended ? total_ != *length_ : total_ == *length_)))
    return fail(Code::invalid, "the body has another length than was announced", "InvalidRequest");
  return {};
}

uint64_t Upload::stripes_to_segments(uint64_t plain_bytes) const {
  uint64_t k = static_cast<uint64_t>(env_.coder.code().k);
  return std::max<uint64_t>(plain_bytes / kSegmentPlain / k, 1) * k;
}

// Bytes of memory for an extent of so many segments: its shards, and the two pieces that pass through.
uint64_t Upload::extent_cost(uint64_t segments) const {
  erasure::Code code = env_.coder.code();
  uint64_t stripes = (segments + static_cast<uint64_t>(code.k) - 1) / static_cast<uint64_t>(code.k);
  uint64_t pieces = 2 * std::min(segments, kPieceSegmentsMax) * kSegmentPlain;
  return stripes * static_cast<uint64_t>(code.n) * (kSegmentSealed + kTagBytes) + pieces;
}

// Memory for what comes next: the next extent, or a small body. Holding a full extent while waiting for the next could stop everyone
// for ever; so that extent is sent first, unless there is memory at once.
io::Task<Result<void>> Upload::admit_extent() {
  uint64_t want = stripes_to_segments(env_.options.extent_plain_bytes);
  uint64_t least = std::min(want, stripes_to_segments(kPressedExtentBytes));
  if (length_) {
    uint64_t left = std::max<uint64_t>(segments_of(*length_ - std::min(total_, *length_)), 1);
    want = std::min(want, left);
    least = std::min(least, left);
  }
  bool small = length_ && *length_ <= kSmallBytesMax;
  uint64_t want_bytes = small ? 3 * (*length_ + kTagBytes)
                              : extent_cost(want);  // small: the piece, sealed, and the journal's copy
  uint64_t least_bytes = small ? want_bytes : extent_cost(least);

  std::optional<Budget::Ticket> ticket = env_.budget.try_acquire(Budget::Use::write, least_bytes, want_bytes);
  if (!ticket) {
    CO_RETURN_IF_ERROR(co_await settle_work());
    if (builder_) CO_RETURN_IF_ERROR(co_await close_extent());
    Result<Budget::Ticket> waited = co_await env_.budget.acquire(Budget::Use::write, least_bytes, want_bytes,
                                                                 env_.clock.now() + kMemoryDeadline);
    if (!waited) co_return fail(waited.error());
    ticket.emplace(std::move(*waited));
  }
  extent_segments_ = ticket->bytes() >= want_bytes ? want : least;
  planned_segments_ = 0;
  if (builder_)
    next_ticket_ = std::move(*ticket);
  else
    ticket_ = std::move(*ticket);
  co_return Result<void>();
}

io::Task<Result<void>> Upload::open_extent() {
  extent::ExtentRef ref;
  if (extents_.empty()) pin_ = env_.pins->begin_write(env_.committer.applied().epoch);
  CO_ASSIGN_OR_RETURN(index::NewExtent fresh, co_await env_.committer.allocate_extent());
  ref.id = fresh.id;
  ref.attempt = fresh.attempt;
  ref.geometry.code = env_.coder.code();
  ref.geometry.cell_bytes = kSegmentSealed;
  ref.geometry.length = extent_segments_ * kSegmentSealed;
  if (length_) {
    uint64_t left = *length_ - next_segment_ * kSegmentPlain;
    uint64_t plain = std::min(left, extent_segments_ * kSegmentPlain);
    ref.geometry.length = plain + segments_of(plain) * kTagBytes;
  }
  builder_ = std::make_unique<extent::ExtentBuilder>(env_.keys, env_.coder, ref);
  extents_.push_back({ref, next_segment_, 0});
  co_return Result<void>();
}

// Starts sending the full extent, when the one before it has been sent.
io::Task<Result<void>> Upload::close_extent() {
  CO_RETURN_IF_ERROR(co_await settle(send_work_));
  auto sending = std::make_unique<Sending>();
  sending->builder = std::move(builder_);
  sending->ticket = std::move(ticket_);
  ticket_ = std::move(next_ticket_);
  send_work_.emplace(send(std::move(sending), extents_.size() - 1));
  co_return Result<void>();
}

io::Task<Result<void>> Upload::send(std::unique_ptr<Sending> sending, size_t run) {
  auto parcel = std::make_shared<Sending::Parcel>();
  parcel->ticket = std::move(sending->ticket);
  const extent::ExtentRef ref = extents_[run].ref;
  std::vector<std::string> names;
  names.reserve(env_.placement->islands.size());
  for (int shard = 0; shard < ref.geometry.code.n; ++shard)
    names.push_back(
        extent::shard_name(env_.keys, env_.placement->islands[static_cast<size_t>(shard)]->id(), ref, shard));
  auto finish = [&] {
    parcel->coded = sending->builder->finish(names);
    sending->builder.reset();
    return true;
  };
  co_await env_.workers.run(finish);

  std::vector<extent::Fanout::Blob> blobs;
  blobs.reserve(names.size());
  for (size_t shard = 0; shard < names.size(); ++shard)
    blobs.push_back({std::move(names[shard]), {parcel->coded.shards[shard]}});
  extents_[run].ref = parcel->coded.ref;
  extents_[run].segments = parcel->coded.ref.geometry.cells();
  std::shared_ptr<const void> keep_alive = std::move(parcel);
  Result<uint32_t> confirmed =
      co_await env_.fanout.put(env_.placement, std::move(blobs), std::move(keep_alive), env_.ack);
  if (!confirmed) co_return fail(confirmed.error());
  extents_[run].ref.confirmed = *confirmed;
  co_return Result<void>();
}

io::Task<Result<void>> Upload::settle(std::optional<io::Task<Result<void>>>& work) {
  if (!work) co_return Result<void>();
  Result<void> result = co_await std::move(*work);
  work.reset();
  co_return result;
}

io::Task<Result<void>> Upload::settle_work() {
  Result<void> hashed = co_await settle(hash_work_);
  Result<void> sealed = co_await settle(seal_work_);
  if (!hashed) co_return hashed;
  co_return sealed;
}

io::Task<Result<void>> Upload::hash_piece(ByteView plain) {
  auto hash = [&] {
    md5_.update(plain);
    return true;
  };
  co_await env_.workers.run(hash);
  co_return Result<void>();
}

io::Task<Result<void>> Upload::seal_piece(ByteView plain, uint64_t first_segment, bool final) {
  auto seal = [&] {
    uint64_t segment = first_segment;
    for (size_t at = 0; at < plain.size(); at += kSegmentPlain, ++segment) {
      ByteView part = plain.subspan(at, std::min<size_t>(kSegmentPlain, plain.size() - at));
      bool last = final && at + part.size() == plain.size();
      MutableBytes cell = builder_->next_cell();
      sealer_.seal(segment, last, part, cell.first(part.size() + kTagBytes));
      builder_->commit(part.size() + kTagBytes);
    }
    return true;
  };
  co_await env_.workers.run(seal);
  co_return Result<void>();
}

io::Task<Result<void>> Upload::seal_small(size_t bytes) {
  ByteView plain(pieces_[turn_].data(), bytes);
  auto seal = [&] {
    if (hashing_) md5_.update(plain);
    for (size_t at = 0; at < bytes; at += kSegmentPlain) {
      ByteView part = plain.subspan(at, std::min<size_t>(kSegmentPlain, bytes - at));
      Buffer& sealed = small_.emplace_back(part.size() + kTagBytes);
      sealer_.seal(at / kSegmentPlain, at + part.size() == bytes, part, sealed.span());
    }
    return true;
  };
  if (bytes <= kInlineSealBytesMax)
    seal();
  else
    co_await env_.workers.run(seal);
  co_return Result<void>();
}

void Upload::finish_etag() {
  std::optional<std::string> brought = body_.md5();
  if (brought && brought->size() == 16) {
    etag_ = hex(as_bytes(*brought));
    return;
  }
  CHECK(hashing_);
  etag_ = hex(md5_.finish());
}

}  // namespace archipel::store
