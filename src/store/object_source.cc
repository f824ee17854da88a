// Reading an object's bytes: pieces of at most 1 MiB, each verified before it is handed out, one read ahead; slice after slice, or part
// after part of a part set.
#include "store/object_source.h"

#include <algorithm>

#include "store/upload_records.h"
#include "store/wrap.h"

namespace archipel::store {
namespace {

using extent::kSegmentPlain;
using extent::kSegmentSealed;
using extent::kTagBytes;

constexpr uint64_t kBytesPerSegment = uint64_t{2} * kSegmentSealed;  // of memory: sealed and open

std::vector<ExtentKey> extents_of(const Slice& slice) {
  std::vector<ExtentKey> out;
  for (const ExtentRun& run : slice.storage.extents) out.push_back(key_of(run.ref));
  for (const index::SmallLocation& location : slice.storage.small) out.push_back(key_of(location.section));
  return out;
}

// Segments [first, first + count) of one slice: what one read fetches.
struct Piece {
  uint64_t first = 0, count = 0;
  size_t skip = 0, length = 0;  // of its plaintext, what the range asks for
};

// Segments [first, first + count) of one slice that lie together in one extent, and their place in the plaintext of a piece.
struct Stretch {
  extent::ExtentRef ref;
  uint64_t offset = 0, length = 0;
  uint64_t first = 0, count = 0;
  size_t out = 0;
};

// A piece and the memory it lies in; none of the budget's for small reads.
struct Fetched {
  Buffer plain;
  Budget::Ticket ticket;
};

// The state of a GET. Shared with a read-ahead that may outlive the reader; only one fetch runs at a time.
class Source {
 public:
  Source(Env& env, OpenObject object, ByteRange range)
      : env_(env), object_(std::move(object)), at_(range.first), left_(range.length) {}

  const ObjectInfo& info() const { return object_.version.info; }
  bool at_end() const { return left_ == 0; }

  // Checks the key of the first slice, so that a wrong one is refused before any answer begins.
  io::Task<Result<void>> open();
  // Memory for the next piece: at once, or nothing.
  std::optional<Budget::Ticket> try_admit();
  // The same, but waits.
  io::Task<Result<Budget::Ticket>> admit();
  // The next piece, as large as the ticket allows; not at the end. After an error every further call is an error.
  static io::Task<Result<Fetched>> fetch(std::shared_ptr<Source> self, Budget::Ticket ticket);

 private:
  // The slice, or the part of a part set, that is being read.
  struct Current {
    size_t index = 0;
    uint64_t base = 0;  // where it begins in the object
    Slice slice;
    std::unique_ptr<crypto::StreamOpener> opener;  // null: not there yet
    Pins::Reader pin;                              // of a part: what its record names
  };

  // What memory a whole piece takes; 0 = none is asked for.
  uint64_t want_bytes() const;
  uint64_t length_of(size_t index) const;
  // Makes the slice that at_ lies in the current one. Reads the view for a part of a set.
  io::Task<Result<void>> reach();
  io::Task<Result<PartRecord>> read_part(std::string key);
  Result<void> use(Current next, const KeyScope& scope);
  Piece plan(uint64_t segments_max) const;
  std::vector<Stretch> stretches(const Piece& piece) const;
  bool open_segments(const Stretch& part, std::span<const ByteView> runs, MutableBytes plain);

  Env& env_;
  const OpenObject object_;
  uint64_t at_, left_;  // of the object's plaintext
  bool small_ = false;
  Current current_;
};

io::Task<Result<void>> Source::open() {
  small_ = left_ <= kSmallBytesMax;
  if (left_ == 0) co_return Result<void>();
  Result<void> reached = co_await reach();
  co_return reached;
}

uint64_t Source::length_of(size_t index) const {
  const VersionRecord& version = object_.version;
  return version.part_set ? version.parts[index].size : version.slices[index].stream.length;
}

io::Task<Result<void>> Source::reach() {
  Current next;
  next.index = current_.index;
  next.base = current_.base;
  while (at_ - next.base >= length_of(next.index)) next.base += length_of(next.index++);
  if (current_.opener && next.index == current_.index) co_return Result<void>();
  const VersionRecord& version = object_.version;
  KeyScope scope{object_.bucket->info.owner,
                 object_.bucket_name,
                 version.version_id,
                 static_cast<uint32_t>(next.index),
                 false,
                 object_.customer_key.get()};
  if (!version.part_set) {
    next.slice = version.slices[next.index];
    co_return use(std::move(next), scope);
  }
  // The set is held, so its parts are there; where a part lies may change until it is pinned itself.
  next.pin = env_.pins->begin_read();
  const PartRef& ref = version.parts[next.index];
  CO_ASSIGN_OR_RETURN(PartRecord part, co_await read_part(part_key(*version.part_set, ref.number)));
  if (part.size != ref.size || !part.slice)
    co_return fail(Code::corrupt, "a part of an object is not what its version says", "InternalError");
  next.slice = std::move(*part.slice);
  next.pin.hold(extents_of(next.slice));
  KeyScope part_scope{scope.tenant, scope.bucket, *version.part_set, ref.number, true, scope.customer};
  co_return use(std::move(next), part_scope);
}

io::Task<Result<PartRecord>> Source::read_part(std::string key) {
  auto decode = [](const std::optional<std::string>& bytes) -> Result<PartRecord> {
    if (!bytes) return fail(Code::corrupt, "a part of an object is not in the view", "InternalError");
    return decode_part(*bytes);
  };
  std::optional<Result<index::Kv::Found>> known = env_.kv.try_get(key);
  if (known && *known && (!**known || (**known)->size() <= kInlineRecordBytesMax)) co_return decode(**known);
  auto look = [&]() -> Result<PartRecord> {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, env_.kv.snapshot()->get(key));
    return decode(bytes);
  };
  Result<PartRecord> part = co_await env_.workers.run(look);
  co_return part;
}

Result<void> Source::use(Current next, const KeyScope& scope) {
  ASSIGN_OR_RETURN(crypto::Secret32 data_key, unwrap(next.slice, env_.keys, scope));
  ASSIGN_OR_RETURN(next.opener, crypto::StreamOpener::create(next.slice.stream, data_key));
  current_ = std::move(next);
  return {};
}

// A piece sealed and open. Whole stripes, so that every island is asked for as much.
uint64_t Source::want_bytes() const {
  if (small_) return 0;
  const std::vector<ExtentRun>& extents = current_.slice.storage.extents;
  uint64_t k =
      extents.empty() ? kPieceSegmentsMax : static_cast<uint64_t>(extents.front().ref.geometry.code.k);
  uint64_t stripes = std::max<uint64_t>(kPieceSegmentsMax / k, 1);
  return std::min(stripes * k, left_ / kSegmentPlain + 2) * kBytesPerSegment;
}

std::optional<Budget::Ticket> Source::try_admit() {
  uint64_t want = want_bytes();
  if (want == 0) return Budget::Ticket();
  return env_.budget.try_acquire(Budget::Use::read, kBytesPerSegment, want);
}

io::Task<Result<Budget::Ticket>> Source::admit() {
  uint64_t want = want_bytes();
  if (want == 0) co_return Budget::Ticket();
  Result<Budget::Ticket> ticket = co_await env_.budget.acquire(Budget::Use::read, kBytesPerSegment, want,
                                                               env_.clock.now() + kMemoryDeadline);
  co_return ticket;
}

Piece Source::plan(uint64_t segments_max) const {
  Piece piece;
  const Slice& slice = current_.slice;
  uint64_t start = at_ - current_.base;
  uint64_t end = std::min(start + left_, slice.stream.length);
  piece.first = start / kSegmentPlain;
  uint64_t limit = (end + kSegmentPlain - 1) / kSegmentPlain;
  limit = std::min(limit, piece.first + segments_max);
  for (const ExtentRun& run : slice.storage.extents)
    if (piece.first >= run.first_segment && piece.first < run.first_segment + run.segments)
      limit = std::min(limit, run.first_segment + run.segments);
  piece.count = limit - piece.first;
  piece.skip = start - piece.first * kSegmentPlain;
  piece.length = std::min(end, limit * kSegmentPlain) - start;
  return piece;
}

// One for a piece of an extent, and usually one for a small body.
std::vector<Stretch> Source::stretches(const Piece& piece) const {
  const Slice& slice = current_.slice;
  std::vector<Stretch> out;
  if (!slice.storage.extents.empty()) {
    auto run = std::find_if(slice.storage.extents.begin(), slice.storage.extents.end(),
                            [&](const ExtentRun& r) { return piece.first < r.first_segment + r.segments; });
    uint64_t offset = (piece.first - run->first_segment) * kSegmentSealed;
    uint64_t length = sealed_bytes(slice.stream, piece.first, piece.count);
    out.push_back({run->ref, offset, length, piece.first, piece.count, 0});
    return out;
  }
  size_t plain_bytes = 0;
  for (uint64_t i = piece.first; i < piece.first + piece.count; ++i) {
    const index::SmallLocation& at = slice.storage.small[i];
    bool together = !out.empty() && at.section.id == out.back().ref.id &&
                    at.section.attempt == out.back().ref.attempt &&
                    at.offset == out.back().offset + out.back().length;
    if (!together) out.push_back({at.section, at.offset, 0, i, 0, plain_bytes});
    out.back().length += at.length;
    ++out.back().count;
    plain_bytes += segment_bytes(slice.stream, i);
  }
  return out;
}

// Sealed bytes that came in several runs, taken from the front; in one piece, without a copy if they lie in one run.
class Runs {
 public:
  explicit Runs(std::span<const ByteView> runs) : runs_(runs) {}

  // Valid until the next call; shorter than `size` if fewer are left.
  ByteView take(size_t size) {
    skip_empty();
    if (!runs_.empty() && runs_.front().size() - at_ >= size) {
      at_ += size;
      return runs_.front().subspan(at_ - size, size);
    }
    scratch_ = Buffer(size);
    size_t got = 0;
    for (; got < size && !runs_.empty(); skip_empty()) {
      ByteView some = runs_.front().subspan(at_, std::min(size - got, runs_.front().size() - at_));
      std::memcpy(scratch_.data() + got, some.data(), some.size());
      got += some.size();
      at_ += some.size();
    }
    return scratch_.view().first(got);
  }

 private:
  void skip_empty() {
    while (!runs_.empty() && at_ == runs_.front().size()) runs_ = runs_.subspan(1), at_ = 0;
  }
  std::span<const ByteView> runs_;
  size_t at_ = 0;
  Buffer scratch_;
};

// Opens whole segments into their place of `plain`. Everything that leaves this file has passed their tags here.
bool Source::open_segments(const Stretch& part, std::span<const ByteView> runs, MutableBytes plain) {
  const crypto::StreamInfo& stream = current_.slice.stream;
  Runs sealed(runs);
  size_t out = part.out;
  for (uint64_t segment = part.first; segment < part.first + part.count; ++segment) {
    size_t bytes = segment_bytes(stream, segment);
    ByteView view = sealed.take(bytes + kTagBytes);
    if (view.size() != bytes + kTagBytes) return false;
    Result<void> opened = current_.opener->open(segment, view, plain.subspan(out, bytes));
    if (!opened) return false;
    out += bytes;
  }
  return true;
}

io::Task<Result<Fetched>> Source::fetch(std::shared_ptr<Source> self, Budget::Ticket ticket) {
  CO_RETURN_IF_ERROR(co_await self->reach());
  Piece piece =
      self->plan(self->small_ ? kPieceSegmentsMax : std::max<uint64_t>(ticket.bytes() / kBytesPerSegment, 1));
  const crypto::StreamInfo& stream = self->current_.slice.stream;
  size_t plain_bytes = sealed_bytes(stream, piece.first, piece.count) - piece.count * kTagBytes;
  Deadline deadline = io::Loop::current()->now() + kReadDeadline;
  Buffer plain;
  std::vector<Stretch> stretches = self->stretches(piece);
  for (const Stretch& part : stretches) {
    auto open = [&self, &part, &plain, plain_bytes](std::span<const ByteView> runs) {
      if (plain.empty()) plain = Buffer(plain_bytes);  // not before there is something to put there
      return self->open_segments(part, runs, plain.span());
    };
    Result<void> read =
        co_await self->env_.reader.read_sealed(part.ref, part.offset, part.length, deadline, open);
    if (!read) co_return fail(read.error());
  }
  if (piece.skip > 0) std::memmove(plain.data(), plain.data() + piece.skip, piece.length);
  plain.resize_within(piece.length);
  self->at_ += piece.length;
  self->left_ -= piece.length;
  ticket.shrink(plain_bytes);  // what was sealed is gone
  co_return Fetched{std::move(plain), std::move(ticket)};
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
    handed_out_ = Budget::Ticket();
    if (!ahead_) {
      if (source_->at_end()) co_return Buffer();
      Result<Budget::Ticket> ticket = co_await source_->admit();
      if (!ticket) {
        failed_ = fail(ticket.error());
        co_return fail(failed_.error());
      }
      ahead_.emplace(Source::fetch(source_, std::move(*ticket)));
    }
    Result<Fetched> piece = co_await std::move(*ahead_);
    ahead_.reset();
    if (!piece) {
      failed_ = fail(with_s3_code(piece.error()));
      co_return fail(failed_.error());
    }
    handed_out_ = std::move(piece->ticket);
    // Nobody waits for memory to read ahead: the caller takes this piece first, however long that takes.
    if (!source_->at_end())
      if (std::optional<Budget::Ticket> more = source_->try_admit())
        ahead_.emplace(Source::fetch(source_, std::move(*more)));
    co_return std::move(piece->plain);
  }

 private:
  static io::Task<void> finish(io::Task<Result<Fetched>> task) { co_await std::move(task); }

  Env& env_;
  std::shared_ptr<Source> source_;
  Budget::Ticket handed_out_;  // of the piece the caller has, until it asks for the next
  std::optional<io::Task<Result<Fetched>>> ahead_;
  Result<void> failed_;
};

}  // namespace

void hold_object(Pins::Reader& pin, const VersionRecord& version) {
  std::vector<ExtentKey> extents;
  for (const Slice& slice : version.slices) {
    std::vector<ExtentKey> of_slice = extents_of(slice);
    extents.insert(extents.end(), of_slice.begin(), of_slice.end());
  }
  pin.hold(std::move(extents), version.part_set);
}

io::Task<Result<std::unique_ptr<ObjectReader>>> open_reader(Env& env, OpenObject object, ByteRange range) {
  auto source = std::make_shared<Source>(env, std::move(object), range);
  CO_RETURN_IF_ERROR(co_await source->open());
  co_return std::make_unique<Reader>(env, std::move(source));
}

}  // namespace archipel::store
