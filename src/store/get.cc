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

constexpr uint64_t kBytesPerSegment = uint64_t{2} * kSegmentSealed;  // of memory: sealed and open

struct Found {
  Pins::Reader pin;  // Depth::all: of every extent that the version names
  std::shared_ptr<const Bucket> bucket;
  VersionRecord version;
};

std::vector<ExtentKey> extents_of(const VersionRecord& version) {
  std::vector<ExtentKey> out;
  for (const Slice& slice : version.slices) {
    for (const ExtentRun& run : slice.storage.extents) out.push_back(key_of(run.ref));
    for (const index::SmallLocation& location : slice.storage.small) out.push_back(key_of(location.section));
  }
  return out;
}

io::Task<Result<Found>> find_object(Env& env, std::string bucket, std::string key, Depth depth) {
  Found found;
  CO_ASSIGN_OR_RETURN(found.bucket, find_bucket(env, bucket));
  CO_RETURN_IF_ERROR(check_object_key(key));
  if (depth == Depth::all) found.pin = env.pins->begin_read();
  std::string at = object_key(bucket, key);
  // The read's moment is this one: what was acknowledged before it is seen, and a record is read whole.
  std::optional<Result<index::Kv::Found>> known = env.kv.try_get(at);
  if (known && *known && (!**known || (**known)->size() <= kInlineRecordBytesMax)) {
    if (!**known) co_return no_such_key();
    CO_ASSIGN_OR_RETURN(found.version, decode_version(***known, depth));
    if (depth == Depth::all) found.pin.hold(extents_of(found.version));
    co_return found;
  }
  auto look = [&]() -> Result<VersionRecord> {
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, env.kv.snapshot()->get(at));
    if (!bytes) return no_such_key();
    return decode_version(*bytes, depth);
  };
  CO_ASSIGN_OR_RETURN(found.version, co_await env.workers.run(look));
  if (depth == Depth::all) found.pin.hold(extents_of(found.version));
  co_return found;
}

// Segments [first, first + count) of one slice: what one read fetches.
struct Piece {
  size_t slice = 0;
  uint64_t first = 0, count = 0;
  size_t skip = 0, length = 0;  // of its plaintext, what the range asks for
};

// Segments [first, first + count) of one slice that lie together in one extent, and their place in the plaintext of a piece.
struct Part {
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
  Source(Env& env, Found found, std::string bucket_name, ByteRange range)
      : env_(env),
        found_(std::move(found)),
        bucket_name_(std::move(bucket_name)),
        at_(range.first),
        left_(range.length) {}

  const ObjectInfo& info() const { return found_.version.info; }
  bool at_end() const { return left_ == 0; }

  // Checks the key of the first slice, so that a wrong one is refused before any answer begins.
  Result<void> open();
  // Memory for the next piece: at once, or nothing.
  std::optional<Budget::Ticket> try_admit();
  // The same, but waits.
  io::Task<Result<Budget::Ticket>> admit();
  // The next piece, as large as the ticket allows; not at the end. After an error every further call is an error.
  static io::Task<Result<Fetched>> fetch(std::shared_ptr<Source> self, Budget::Ticket ticket);

 private:
  // What memory a whole piece takes; 0 = none is asked for.
  uint64_t want_bytes() const;
  Piece plan(uint64_t segments_max) const;
  Result<void> use_slice(size_t slice);
  std::vector<Part> parts(const Piece& piece) const;
  bool open_segments(const Part& part, std::span<const ByteView> runs, MutableBytes plain);

  Env& env_;
  const Found found_;
  const std::string bucket_name_;
  uint64_t at_, left_;  // of the object's plaintext
  bool small_ = false;
  size_t opened_slice_ = SIZE_MAX;
  std::unique_ptr<crypto::StreamOpener> opener_;
};

Result<void> Source::open() {
  small_ = left_ <= kSmallBytesMax;
  if (left_ == 0) return {};
  return use_slice(plan(1).slice);
}

// A piece sealed and open. Whole stripes, so that every island is asked for as much.
uint64_t Source::want_bytes() const {
  if (small_) return 0;
  uint64_t k = static_cast<uint64_t>(env_.coder.code().k);
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
  uint64_t start = at_;  // within the slice
  const std::vector<Slice>& slices = found_.version.slices;
  while (start >= slices[piece.slice].stream.length) start -= slices[piece.slice++].stream.length;
  const Slice& slice = slices[piece.slice];
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

// One for a piece of an extent, and usually one for a small body.
std::vector<Part> Source::parts(const Piece& piece) const {
  const Slice& slice = found_.version.slices[piece.slice];
  std::vector<Part> out;
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
bool Source::open_segments(const Part& part, std::span<const ByteView> runs, MutableBytes plain) {
  const crypto::StreamInfo& stream = found_.version.slices[opened_slice_].stream;
  Runs sealed(runs);
  size_t out = part.out;
  for (uint64_t segment = part.first; segment < part.first + part.count; ++segment) {
    size_t bytes = segment_bytes(stream, segment);
    ByteView view = sealed.take(bytes + kTagBytes);
    if (view.size() != bytes + kTagBytes) return false;
    Result<void> opened = opener_->open(segment, view, plain.subspan(out, bytes));
    if (!opened) return false;
    out += bytes;
  }
  return true;
}

io::Task<Result<Fetched>> Source::fetch(std::shared_ptr<Source> self, Budget::Ticket ticket) {
  Piece piece =
      self->plan(self->small_ ? kPieceSegmentsMax : std::max<uint64_t>(ticket.bytes() / kBytesPerSegment, 1));
  CO_RETURN_IF_ERROR(self->use_slice(piece.slice));
  const crypto::StreamInfo& stream = self->found_.version.slices[piece.slice].stream;
  size_t plain_bytes = sealed_bytes(stream, piece.first, piece.count) - piece.count * kTagBytes;
  Deadline deadline = io::Loop::current()->now() + kReadDeadline;
  Buffer plain;
  std::vector<Part> parts = self->parts(piece);
  for (const Part& part : parts) {
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

io::Task<Result<Store::Opened>> get_object(Env& env, std::string bucket, std::string key,
                                           std::optional<Store::Range> range, Conditions conditions) {
  CO_ASSIGN_OR_RETURN(Found found, co_await find_object(env, bucket, std::move(key), Depth::all));
  CO_RETURN_IF_ERROR(check_read_conditions(conditions, found.version.info));
  CO_ASSIGN_OR_RETURN(ByteRange bytes, resolve_range(range, found.version.info.size));
  auto source = std::make_shared<Source>(env, std::move(found), std::move(bucket), bytes);
  CO_RETURN_IF_ERROR(source->open());
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
