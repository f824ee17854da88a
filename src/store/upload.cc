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

// A piece that takes longer to arrive comes from a slow client (330 KB/s): it must not keep an extent's memory waiting.
constexpr Duration kQuickPiece = std::chrono::seconds(3);
// A slow upload cuts its pieces short when memory is short, down to one segment; but the list of its extents must stay small.
constexpr size_t kShortExtentsMax = 256;

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

Upload::Upload(Env& env, BodySource& body, std::optional<uint64_t> length,
               std::shared_ptr<const PlacementClass> placed)
    : env_(env),
      body_(body),
      length_(length),
      placed_(std::move(placed)),
      hashing_(!body.brings_md5()),
      sealer_(env.random) {}

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
  for (;;) {
    if (fast_ && planned_segments_ == extent_segments_) CO_RETURN_IF_ERROR(co_await admit_extent());
    // One byte more than the piece tells whether its last segment is the stream's final one. It begins the next piece.
    size_t piece = fast_ ? std::min(extent_segments_ - planned_segments_, kPieceSegmentsMax) * kSegmentPlain
                         : staged_segments_max() * kSegmentPlain;
    if (length_) piece = std::min<uint64_t>(piece, std::max<uint64_t>(*length_ - total_, 1));
    const TimePoint began = env_.clock.now();
    Result<bool> ended = co_await fill(piece + 1);
    const bool quick = env_.clock.now() - began <= kQuickPiece;
    Result<void> worked = co_await settle_work();
    if (!ended) co_return fail(ended.error());
    if (!worked) co_return worked;

    Buffer& plain = pieces_[turn_];
    const bool final = *ended;
    size_t bytes = have_ > piece ? piece : have_;
    if (!final && have_ <= piece) bytes = (have_ - 1) / kSegmentPlain * kSegmentPlain;  // cut short
    total_ += bytes;
    CO_RETURN_IF_ERROR(check_size(final));
    const bool small = bytes == 0 || (bytes <= kSmallBytesMax && placed_->in_commits);
    if (final && next_segment_ == 0 && small) {
      Result<void> sealed = co_await seal_small(bytes);
      co_return sealed;
    }
    if (bytes == 0) {  // the client turned slow before it sent one segment of the piece
      CO_RETURN_IF_ERROR(co_await turn_slow(0));
      continue;
    }
    const bool more = quick && !final;
    if (!fast_) CO_RETURN_IF_ERROR(co_await admit_piece(bytes, more));
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
    if (!fast_)
      CO_RETURN_IF_ERROR(co_await send_piece());
    else if (!quick)
      CO_RETURN_IF_ERROR(co_await turn_slow(bytes));
    else
      carry(bytes);
  }
  CO_RETURN_IF_ERROR(co_await settle_work());
  Result<void> closed = co_await close_extent();
  co_return closed;
}

// Reads into the current piece until it holds `want` bytes or the body ends (true), or what it holds must do: memory or time is up.
io::Task<Result<bool>> Upload::fill(size_t want) {
  const TimePoint began = env_.clock.now();
  while (have_ < want) {
    if (have_ == pieces_[turn_].size() || have_ == 0) {
      Result<bool> room = co_await make_room(want);
      if (!room) co_return fail(room.error());
      if (!*room) co_return false;
    }
    Buffer& buffer = pieces_[turn_];
    const size_t end = std::min(want, buffer.size());
    Result<size_t> got = co_await body_.read(MutableBytes(buffer.data() + have_, end - have_));
    if (!got) co_return fail(with_s3_code(got.error()));
    if (*got == 0) co_return true;
    have_ += *got;
    if (fast_ && env_.clock.now() - began > kQuickPiece) break;
  }
  co_return false;
}

// Gives the current piece, which is full, more room. False: no memory now, but there is something to go on with.
io::Task<Result<bool>> Upload::make_room(size_t want) {
  Buffer& buffer = pieces_[turn_];
  if (fast_) {
    if (buffer.size() < want) buffer = Buffer(want);  // nothing is in it: a fast upload's pieces do not grow
    co_return true;
  }
  const size_t segment = kSegmentPlain + 1;
  const size_t stripe = static_cast<size_t>(placed_->coder.code().k) * kSegmentPlain + 1;
  size_t size = std::min(want, buffer.size() < segment ? segment : buffer.size() < stripe ? stripe : want);
  if (buffer.size() >= size) co_return true;
  if (arriving_.bytes() == 0) {
    CO_ASSIGN_OR_RETURN(arriving_, co_await env_.budget.acquire(Budget::Use::arrive, size, size,
                                                                env_.clock.now() + kMemoryDeadline));
  } else if (!arriving_.try_grow(size)) {
    if (have_ > kSegmentPlain && extents_.size() < kShortExtentsMax) co_return false;
    // Too little to seal: what is held is given back first, on paper, so that nobody waits for more while he keeps something.
    arriving_.shrink(0);
    CO_ASSIGN_OR_RETURN(arriving_, co_await env_.budget.acquire(Budget::Use::arrive, size, size,
                                                                env_.clock.now() + kMemoryDeadline));
  }
  Buffer larger(size);
  if (have_ > 0) std::memcpy(larger.data(), buffer.data(), have_);
  buffer = std::move(larger);
  co_return true;
}

// What lies behind the first `sealed` bytes of the piece, one byte as a rule, begins the next one.
void Upload::carry(size_t sealed) {
  const Buffer& plain = pieces_[turn_];
  turn_ = 1 - turn_;
  if (pieces_[turn_].size() < kPieceBytesMax + 1) pieces_[turn_] = Buffer(kPieceBytesMax + 1);
  have_ -= sealed;
  std::memcpy(pieces_[turn_].data(), plain.data() + sealed, have_);
}

// A slow upload's piece is on its way at once, and what is behind it waits in as little memory as the first byte did.
io::Task<Result<void>> Upload::send_piece() {
  const size_t sealed = static_cast<size_t>(planned_segments_) * kSegmentPlain;
  CO_RETURN_IF_ERROR(co_await settle_work());
  CO_RETURN_IF_ERROR(co_await close_extent());
  extent_segments_ = planned_segments_ = 0;
  have_ -= sealed;
  Buffer rest(std::max<size_t>(have_, std::min<size_t>(pieces_[turn_].size(), kSegmentPlain + 1)));
  std::memcpy(rest.data(), pieces_[turn_].data() + sealed, have_);
  pieces_[turn_] = std::move(rest);
  pieces_[1 - turn_] = Buffer();
  arriving_.shrink(pieces_[turn_].size());
  co_return Result<void>();
}

// The client of a fast upload turned slow: the extent that fills is sent as it is, and its memory freed.
io::Task<Result<void>> Upload::turn_slow(size_t sealed) {
  CO_RETURN_IF_ERROR(co_await settle_work());
  if (builder_) CO_RETURN_IF_ERROR(co_await close_extent());
  ticket_ = Budget::Ticket();
  next_ticket_ = Budget::Ticket();
  extent_segments_ = planned_segments_ = 0;
  fast_ = false;
  have_ -= sealed;
  Buffer rest(kSegmentPlain + 1);
  std::memcpy(rest.data(), pieces_[turn_].data() + sealed, have_);
  pieces_[turn_] = std::move(rest);
  pieces_[1 - turn_] = Buffer();
  CO_ASSIGN_OR_RETURN(
      arriving_, co_await env_.budget.acquire(Budget::Use::arrive, pieces_[turn_].size(),
                                              pieces_[turn_].size(), env_.clock.now() + kMemoryDeadline));
  co_return Result<void>();
}

Result<void> Upload::check_size(bool ended) const {
  if (total_ > kObjectBytesMax)
    return fail(Code::limit, "an object of one PUT has at most 5 GiB", "EntityTooLarge");
  if (length_ && (total_ > *length_ || (ended ? total_ != *length_ : total_ == *length_)))
    return fail(Code::invalid, "the body has another length than was announced", "InvalidRequest");
  return {};
}

uint64_t Upload::stripes_to_segments(uint64_t plain_bytes) const {
  uint64_t k = static_cast<uint64_t>(placed_->coder.code().k);
  return std::max<uint64_t>(plain_bytes / kSegmentPlain / k, 1) * k;
}

// A slow upload's piece: whole stripes, and no more than an extent takes.
uint64_t Upload::staged_segments_max() const {
  return std::min(stripes_to_segments(env_.options.extent_plain_bytes),
                  stripes_to_segments(kPressedExtentBytes));
}

// Bytes of memory for the shards of an extent of so many segments.
uint64_t Upload::coded_bytes(uint64_t segments) const {
  erasure::Code code = placed_->coder.code();
  uint64_t stripes = (segments + static_cast<uint64_t>(code.k) - 1) / static_cast<uint64_t>(code.k);
  return stripes * static_cast<uint64_t>(code.n) * (kSegmentSealed + kTagBytes);
}

// The same, with the two pieces that pass through.
uint64_t Upload::extent_cost(uint64_t segments) const {
  return coded_bytes(segments) + 2 * std::min(segments, kPieceSegmentsMax) * kSegmentPlain;
}

// Memory for the next extent of a fast upload, before its bytes are read.
io::Task<Result<void>> Upload::admit_extent() {
  uint64_t want = stripes_to_segments(env_.options.extent_plain_bytes);
  uint64_t least = std::min(want, stripes_to_segments(kPressedExtentBytes));
  if (length_) {
    uint64_t left = std::max<uint64_t>(segments_of(*length_ - std::min(total_, *length_)), 1);
    want = std::min(want, left);
    least = std::min(least, left);
  }
  Budget::Ticket ticket;
  CO_RETURN_IF_ERROR(co_await admit(extent_cost(least), extent_cost(want), ticket));
  extent_segments_ = ticket.bytes() >= extent_cost(want) ? want : least;
  planned_segments_ = 0;
  if (builder_)
    next_ticket_ = std::move(ticket);
  else
    ticket_ = std::move(ticket);
  co_return Result<void>();
}

// Memory for the extent that begins with `bytes` which are here: just for them, or, if they came quickly, for what will follow, too.
io::Task<Result<void>> Upload::admit_piece(size_t bytes, bool quick) {
  CHECK(!builder_);
  const uint64_t here = segments_of(bytes);
  uint64_t want = quick ? stripes_to_segments(env_.options.extent_plain_bytes) : here;
  if (length_) want = std::min(want, segments_of(*length_ - std::min(total_ - bytes, *length_)));
  want = std::max(want, here);
  const uint64_t want_bytes = quick ? extent_cost(want) : coded_bytes(here);
  CO_RETURN_IF_ERROR(co_await admit(coded_bytes(here), want_bytes, ticket_));
  fast_ = quick && ticket_.bytes() >= want_bytes;
  extent_segments_ = fast_ ? want : here;
  planned_segments_ = 0;
  if (fast_) arriving_ = Budget::Ticket();  // the extent's ticket pays for pieces
  co_return Result<void>();
}

// Holding a full extent while waiting for the next could stop everyone for ever; so that extent is sent first, unless there is memory at
// once.
io::Task<Result<void>> Upload::admit(uint64_t least_bytes, uint64_t want_bytes, Budget::Ticket& ticket) {
  std::optional<Budget::Ticket> now = env_.budget.try_acquire(Budget::Use::write, least_bytes, want_bytes);
  if (now) {
    ticket = std::move(*now);
    co_return Result<void>();
  }
  CO_RETURN_IF_ERROR(co_await settle_work());
  if (builder_) CO_RETURN_IF_ERROR(co_await close_extent());
  CO_ASSIGN_OR_RETURN(ticket, co_await env_.budget.acquire(Budget::Use::write, least_bytes, want_bytes,
                                                           env_.clock.now() + kMemoryDeadline));
  co_return Result<void>();
}

io::Task<Result<void>> Upload::open_extent() {
  extent::ExtentRef ref;
  if (extents_.empty()) pin_ = env_.pins->begin_write(env_.committer.applied().epoch);
  CO_ASSIGN_OR_RETURN(index::NewExtent fresh, co_await env_.committer.allocate_extent());
  ref.id = fresh.id;
  ref.attempt = fresh.attempt;
  ref.geometry.code = placed_->coder.code();
  ref.homes = placed_->homes;
  ref.geometry.cell_bytes = kSegmentSealed;
  ref.geometry.length = extent_segments_ * kSegmentSealed;
  if (length_) {
    uint64_t left = *length_ - next_segment_ * kSegmentPlain;
    uint64_t plain = std::min(left, extent_segments_ * kSegmentPlain);
    ref.geometry.length = plain + segments_of(plain) * kTagBytes;
  }
  builder_ = std::make_unique<extent::ExtentBuilder>(env_.keys, placed_->coder, ref);
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
  names.reserve(placed_->islands->islands.size());
  for (int shard = 0; shard < ref.geometry.code.n; ++shard)
    names.push_back(extent::shard_name(env_.keys, placed_->islands->islands[static_cast<size_t>(shard)]->id(),
                                       ref, shard));
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
      co_await env_.fanout.put(placed_->islands, std::move(blobs), std::move(keep_alive), placed_->ack);
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
  // Sealed, and the journal's copy.
  if (bytes > 0)
    CO_RETURN_IF_ERROR(co_await admit(2 * (bytes + kTagBytes), 2 * (bytes + kTagBytes), ticket_));
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
