// Answers from stored responses, and from those that are being stored: conditions, ranges, bodies.
#include <algorithm>
#include <array>

#include "edge/merge.h"
#include "edge/serve_internal.h"

namespace archipel::edge {
namespace {

// The fields that this answer has and the stored response has not. Their texts live here.
class Extra {
 public:
  void age(int64_t ms) {
    age_ = std::to_string(std::max<int64_t>(0, ms) / 1000);
    add("age", age_);
  }
  void status(const std::string& name, const CacheStatus& status) {
    if (name.empty()) return;
    status_ = write_cache_status(name, status);
    add("cache-status", status_);
  }
  void range(std::string text) {
    range_ = std::move(text);
    add("content-range", range_);
  }
  std::span<const http::FieldView> fields() const { return {fields_.data(), count_}; }

 private:
  void add(std::string_view name, std::string_view value) { fields_[count_++] = {name, value}; }
  std::array<http::FieldView, 3> fields_;
  size_t count_ = 0;
  std::string age_, status_, range_;
};

}  // namespace

io::Task<bool> FrontImpl::has_start(Job& job, Source& source) {
  const Entry& entry = *source.entry;
  if (job.head || entry.length == std::optional<uint64_t>(0)) co_return true;
  uint64_t offset = 0;
  if (job.range && entry.length) {
    Wanted wanted = resolve(*job.range, *entry.length);
    if (wanted.kind == Wanted::Kind::none) co_return true;
    if (wanted.kind == Wanted::Kind::ranges) offset = wanted.ranges.front().first;
  }
  const uint32_t index = static_cast<uint32_t>(offset / kSliceBytes);
  if ((index == 0 && source.first) || entry.ranges) co_return true;
  SliceRef hot = cache().slice_hot(entry, index);
  if (!hot) {
    FlightRef flight = shared_->flights.by_entry(entry.id);
    if (flight && flight->enter(wanted_end(job.range, entry.length))) {
      source.flight = std::move(flight);
      co_return true;
    }
    SliceRef cold = co_await cache().slice(source.entry, index);
    hot = std::move(cold);
  }
  if (!hot) co_return false;
  if (index == 0) source.first = std::move(hot);
  co_return true;
}

io::Task<void> FrontImpl::respond(Job& job, Source& source, CacheStatus status, const Judgement& judged,
                                  bool from_store) {
  const Entry& entry = *source.entry;
  const http::Headers& request = job.request->headers;
  Extra extra;
  if (from_store || judged.age >= 1000) extra.age(judged.age);
  extra.status(job.policy().status_name, status);
  const Validators validators = validators_of(entry);
  http::StoredResponse head{.status = entry.status,
                            .headers = source.headers ? &*source.headers : &entry.headers,
                            .h1_head = source.headers ? std::string_view{} : entry.h1_head,
                            .extra = {},
                            .date = entry.headers.get("date"),
                            .length = entry.length,
                            .h2_head = source.headers ? std::string_view{} : entry.h2_fields()};

  if (entry.status == 200 && is_not_modified(request, validators, now())) {
    const http::Headers fields = not_modified_headers(entry.headers);
    head = {.status = 304,
            .headers = &fields,
            .h1_head = {},
            .extra = extra.fields(),
            .date = head.date,
            .length = std::nullopt};
    job.served.status = 304;
    auto sent = co_await job.exchange.respond_stored(head, {});
    job.served.complete = sent.has_value();
    co_return;
  }
  Wanted wanted;
  if (job.range && entry.status == 200 && entry.length && range_still_counts(request, validators, now()))
    wanted = resolve(*job.range, *entry.length);
  if (wanted.kind == Wanted::Kind::none) {
    extra.range("bytes */" + std::to_string(*entry.length));
    const http::Headers fields = not_modified_headers(entry.headers);
    head = {.status = 416,
            .headers = &fields,
            .h1_head = {},
            .extra = extra.fields(),
            .date = head.date,
            .length = 0};
    job.served.status = 416;
    auto sent = co_await job.exchange.respond_stored(head, {});
    job.served.complete = sent.has_value();
    co_return;
  }
  if (wanted.ranges.size() > 1) {
    std::vector<http::FieldView> fields(extra.fields().begin(), extra.fields().end());
    co_await respond_parts(job, source, std::move(fields), std::move(wanted.ranges));
    co_return;
  }
  if (wanted.kind == Wanted::Kind::ranges) {
    const ByteRange range = wanted.ranges.front();
    extra.range(write_content_range(range, *entry.length));
    head.status = 206;
    head.h1_head = head.h2_head = {};
    head.length = range.size();
    head.extra = extra.fields();
    co_await respond_body(job, source, head, range, false);
    co_return;
  }
  head.extra = extra.fields();
  const uint64_t length = entry.length.value_or(kWholeBody);
  co_await respond_body(job, source, head, {0, length - 1}, true);
}

// `range` is what of the body is sent; its end is open where the length is not known.
io::Task<void> FrontImpl::respond_body(Job& job, Source& source, const http::StoredResponse& head,
                                       ByteRange range, bool whole) {
  job.served.status = head.status;
  const bool empty = whole && head.length == std::optional<uint64_t>(0);
  if (job.head || empty) {
    auto sent = co_await job.exchange.respond_stored(head, {});
    job.served.complete = sent.has_value();
    co_return;
  }
  Pins::Pin pin;
  if (source.first && head.length && range.last < source.first->bytes.size() &&
      pins_.hold(pin, source.first, job.exchange, loop_.now())) {
    const std::array<ByteView, 1> body{source.first->bytes.view().subspan(static_cast<size_t>(range.first),
                                                                          static_cast<size_t>(range.size()))};
    auto sent = co_await job.exchange.respond_stored(head, body);
    job.served.complete = sent.has_value();
    if (sent) job.served.body_bytes = body[0].size();
    co_return;
  }
  auto started = co_await job.exchange.start_stored(head);
  if (!started) co_return;
  const uint64_t end = head.length ? range.last + 1 : kWholeBody;
  auto sent = co_await send_range(job, source, range.first, end);
  if (!sent) co_return;  // the connection is reset: what is short must not look whole
  auto finished = co_await job.exchange.finish();
  job.served.complete = finished.has_value();
}

io::Task<void> FrontImpl::respond_parts(Job& job, Source& source, std::vector<http::FieldView> extra,
                                        std::vector<ByteRange> ranges) {
  const Entry& entry = *source.entry;
  const std::string boundary = "archipel-" + hex(as_bytes(std::to_string(shared_->random.u64())));
  const std::string_view type = entry.headers.get("content-type");
  std::vector<std::string> heads;
  uint64_t length = 0;
  for (const ByteRange& range : ranges) {
    heads.push_back((heads.empty() ? "" : "\r\n") + part_head(boundary, type, range, *entry.length));
    length += heads.back().size() + range.size();
  }
  const std::string tail = "\r\n--" + boundary + "--\r\n";
  length += tail.size();
  http::Headers headers = entry.headers;
  headers.set("content-type", "multipart/byteranges; boundary=" + boundary);
  http::StoredResponse head{.status = 206,
                            .headers = &headers,
                            .h1_head = {},
                            .extra = extra,
                            .date = entry.headers.get("date"),
                            .length = length};
  // Many small ranges say less with more bytes than the whole: that is what is sent then.
  if (length >= *entry.length) {
    head = {.status = 200,
            .headers = &entry.headers,
            .h1_head = entry.h1_head,
            .extra = extra,
            .date = head.date,
            .length = entry.length,
            .h2_head = entry.h2_fields()};
    co_await respond_body(job, source, head, {0, *entry.length - 1}, true);
    co_return;
  }
  job.served.status = 206;
  auto started = co_await job.exchange.start_stored(head);
  if (!started) co_return;
  for (size_t i = 0; i < ranges.size(); i++) {
    auto written = co_await job.exchange.write(as_bytes(heads[i]));
    if (!written) co_return;
    auto sent = co_await send_range(job, source, ranges[i].first, ranges[i].last + 1);
    if (!sent) co_return;
  }
  auto written = co_await job.exchange.write(as_bytes(tail));
  if (!written) co_return;
  auto finished = co_await job.exchange.finish();
  job.served.complete = finished.has_value();
}

io::Task<Result<uint64_t>> FrontImpl::send_range(Job& job, Source& source, uint64_t first, uint64_t end) {
  uint64_t offset = first;
  Pins::Pin pin;
  while (offset < end) {
    auto piece = co_await next_piece(job, source, offset);
    if (!piece) co_return fail(piece.error());
    if (piece->kind == Flight::Piece::Kind::end) break;
    if (!pins_.hold(pin, piece->hold, job.exchange, loop_.now())) {
      // Nothing is held while others are waited for.
      piece->hold = nullptr;
      source.first = nullptr;
      const bool room = co_await room_for_a_pin();
      if (!room) co_return fail(Code::limit, "there is no memory for so many slow readers");
      continue;
    }
    const size_t n = static_cast<size_t>(std::min<uint64_t>(piece->bytes.size(), end - offset));
    auto written = co_await job.exchange.write(piece->bytes.first(n));
    if (!written) co_return fail(written.error());
    offset += n;
    job.served.body_bytes += n;
  }
  if (end != kWholeBody && offset < end) co_return fail(Code::io, "the body ended early");
  co_return offset - first;
}

io::Task<bool> FrontImpl::room_for_a_pin() {
  const TimePoint until = loop_.now() + kRoomPatience;
  while (!shared_->memory->has_room_for_a_pin()) {
    pins_.end_slow(loop_.now());
    if (loop_.now() >= until) co_return false;
    co_await io::sleep_until(loop_.now() + kRoomPause);
  }
  co_return true;
}

io::Task<Result<Flight::Piece>> FrontImpl::next_piece(const Ask& ask, Source& source, uint64_t offset) {
  using Kind = Flight::Piece::Kind;
  const uint32_t index = static_cast<uint32_t>(offset / kSliceBytes);
  const size_t within = static_cast<size_t>(offset % kSliceBytes);
  // From a flight while it has what is wanted; then, or behind it, from the tiers; then from the origin, slice by slice.
  for (int attempt = 0; attempt < kRoundsMax;) {
    if (index == 0 && source.first && within < source.first->bytes.size()) {
      Flight::Piece piece{Kind::bytes, source.first, source.first->bytes.view().subspan(within)};
      co_return piece;
    }
    if (source.flight) {
      Flight::Piece piece = source.flight->read(offset);
      const bool early_end =
          piece.kind == Kind::end && source.entry->length && offset < *source.entry->length;
      if (piece.kind == Kind::later) {
        co_await source.flight->beyond(offset);
        continue;
      }
      if (piece.kind == Kind::bytes || (piece.kind == Kind::end && !early_end)) co_return piece;
      if (piece.kind == Kind::failed && !source.entry->ranges) co_return fail(source.flight->error());
      source.leave();
    }
    attempt++;
    SliceRef slice = cache().slice_hot(*source.entry, index);
    if (!slice && index == 0) {
      // A body of one slice lies with its entry.
      Found again = cache().find_hot(cache().key_of(source.entry->key), source.entry->key);
      if (again.entry && again.entry->id == source.entry->id) slice = std::move(again.first);
    }
    if (!slice) {
      FlightRef flight = shared_->flights.by_entry(source.entry->id);
      if (flight && flight->enter(kWholeBody)) {
        Flight::Piece piece = flight->read(offset);
        if (piece.kind == Kind::bytes || piece.kind == Kind::later) {
          source.flight = std::move(flight);
          continue;
        }
        flight->leave();
      }
      SliceRef cold = co_await cache().slice(source.entry, index);
      slice = std::move(cold);
    }
    if (slice && within < slice->bytes.size()) {
      Flight::Piece piece{Kind::bytes, slice, slice->bytes.view().subspan(within)};
      co_return piece;
    }
    if (!source.entry->ranges || !source.entry->length) break;
    auto fetched = co_await fetch_slice(ask, source.entry, index);
    if (!fetched) co_return fail(fetched.error());
    source.flight = std::move(*fetched);
    source.fetched += std::min(kSliceBytes, *source.entry->length - offset / kSliceBytes * kSliceBytes);
  }
  co_return fail(Code::unavailable, "a part of the stored body is gone, and the origin serves no ranges");
}

}  // namespace archipel::edge
