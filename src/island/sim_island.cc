#include "island/sim_island.h"

#include <algorithm>

namespace archipel::island {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kDelayMax = seconds(8);
constexpr Duration kReorderMax = milliseconds(400);
constexpr Duration kSlowDiskMax = seconds(40);
constexpr Duration kPatience = seconds(60);  // of callers that name no deadline
constexpr Duration kDeadPause =
    milliseconds(1);  // so that a dead process does not go in circles at one moment
constexpr Duration kStaleFor = seconds(30);
constexpr uint64_t kMarkerLiesOneOf = 8;  // lies about the marker are told more seldom: they end a start

constexpr std::array<std::string_view, kFaults> kNames = {
    "delay",    "lose_request", "lose_reply", "reorder",    "partition", "down",     "throttle", "slow_disk",
    "no_space", "io_error",     "torn_write", "lost_fsync", "forget",    "bit_rot",  "flip",     "truncate",
    "foreign",  "stale",        "hide",       "invent",     "wipe",      "roll_back"};

}  // namespace

std::string_view to_string(Fault fault) {
  return kNames[static_cast<size_t>(fault)];
}

SimPlace::SimPlace(io::SimLoop& loop, std::string id, uint64_t seed)
    : loop_(loop),
      id_(std::move(id)),
      dice_(seed),
      round_trip_half_(dice_.between(microseconds(100), milliseconds(6))) {}

void SimPlace::set(Fault fault, uint32_t per_mille) {
  rates_[static_cast<size_t>(fault)] = per_mille;
}

void SimPlace::heal() {
  for (size_t i = 0; i < kFaults; ++i) {
    if (!is_lie(static_cast<Fault>(i))) rates_[i] = 0;
  }
}

void SimPlace::stop_lying() {
  for (size_t i = 0; i < kFaults; ++i) {
    if (is_lie(static_cast<Fault>(i))) rates_[i] = 0;
  }
}

void SimPlace::wipe() {
  count_one(Fault::wipe);
  blobs_.clear();
  before_.clear();
  forgettable_.clear();
  marker_.reset();
}

void SimPlace::remember() {
  memory_ = Memory{blobs_, marker_};
}

void SimPlace::roll_back() {
  if (!memory_) return;
  count_one(Fault::roll_back);
  blobs_ = memory_->blobs;
  marker_ = memory_->marker;
  forgettable_.clear();
}

void SimPlace::power_cut() {
  for (const BlobName& name : forgettable_) {
    if (blobs_.erase(name) > 0) count_one(Fault::lost_fsync);
  }
  forgettable_.clear();
}

void SimPlace::rot(size_t bits) {
  for (size_t i = 0; i < bits && !blobs_.empty(); ++i) {
    auto blob = std::next(blobs_.begin(), static_cast<std::ptrdiff_t>(dice_.pick(blobs_.size())));
    if (blob->second.empty()) continue;
    char& byte = blob->second[dice_.pick(blob->second.size())];
    byte = static_cast<char>(static_cast<uint8_t>(byte) ^ (1u << dice_.pick(8)));
    count_one(Fault::bit_rot);
  }
}

uint64_t SimPlace::bytes() const {
  uint64_t sum = 0;
  for (const auto& [name, bytes] : blobs_) sum += bytes.size();
  return sum;
}

bool SimPlace::happens(Fault fault) {
  const uint32_t rate = rates_[static_cast<size_t>(fault)];
  if (rate == 0 || !dice_.chance(rate, 1000)) return false;
  count_one(fault);
  return true;
}

Duration SimPlace::travel() {
  Duration way = dice_.between(round_trip_half_ / 2, round_trip_half_);
  if (happens(Fault::delay)) way += dice_.between(Duration(0), kDelayMax);
  if (happens(Fault::reorder)) way += dice_.between(Duration(0), kReorderMax);
  return way;
}

std::unexpected<Error> SimPlace::error(Code code, std::string_view what) const {
  return fail(code, "island " + id_ + ": " + std::string(what));
}

Result<void> SimPlace::admit() {
  if (happens(Fault::down)) return error(Code::unavailable, "connection refused");
  if (happens(Fault::throttle)) return error(Code::throttled, "asks to slow down");
  if (happens(Fault::io_error)) return error(Code::io, "input/output error");
  return {};
}

// What an operation on blobs may assume.
void SimPlace::settle(const BlobName& name) {
  if (rate(Fault::stale) > 0) stored_at_[name] = loop_.now();
  if (rate(Fault::lost_fsync) > 0) forgettable_.push_back(name);
}

Result<void> SimPlace::put(const BlobName& name, std::string bytes) {
  RETURN_IF_ERROR(admit());
  if (!marker_) return error(Code::unavailable, "lost, it has no marker");
  if (bytes.size() > kBlobBytesMax) return error(Code::limit, "blob too large");
  if (blobs_.contains(name)) return error(Code::exists, "blob exists");
  if (happens(Fault::no_space)) return error(Code::unavailable, "no space left");
  if (happens(Fault::forget)) return {};
  if (happens(Fault::torn_write)) {
    bytes.resize(dice_.pick(bytes.size() + 1));
    blobs_.emplace(name, std::move(bytes));
    return error(Code::io, "input/output error in the middle of a blob");
  }
  blobs_.emplace(name, std::move(bytes));
  settle(name);
  if (after_put) after_put(name);
  return {};
}

Result<void> SimPlace::overwrite(const BlobName& name, std::string bytes) {
  RETURN_IF_ERROR(admit());
  if (!marker_) return error(Code::unavailable, "lost, it has no marker");
  if (happens(Fault::no_space)) return error(Code::unavailable, "no space left");
  if (happens(Fault::forget)) return {};
  std::string& slot = blobs_[name];
  before_[name] = std::exchange(slot, std::move(bytes));
  settle(name);
  if (after_put) after_put(name);
  return {};
}

// The blob as this answer shows it.
Result<const std::string*> SimPlace::find(const BlobName& name) {
  RETURN_IF_ERROR(admit());
  if (!marker_) return error(Code::unavailable, "lost, it has no marker");
  auto found = blobs_.find(name);
  if (found == blobs_.end()) return error(Code::not_found, "no such blob");
  if (happens(Fault::hide)) return error(Code::not_found, "no such blob");
  auto stored = stored_at_.find(name);
  if (stored != stored_at_.end() && loop_.now() - stored->second < kStaleFor && happens(Fault::stale)) {
    auto before = before_.find(name);
    if (before == before_.end() || before->second.empty()) return error(Code::not_found, "no such blob");
    ++wrong_answers_;
    return &before->second;
  }
  return &found->second;
}

Buffer SimPlace::answer(const std::string& bytes, uint64_t offset, uint64_t length) {
  const std::string* from = &bytes;
  if (!blobs_.empty() && happens(Fault::foreign)) {
    from = &std::next(blobs_.begin(), static_cast<std::ptrdiff_t>(dice_.pick(blobs_.size())))->second;
  }
  ByteView all = as_bytes(*from);
  all = all.subspan(std::min<uint64_t>(offset, all.size()));
  all = all.first(std::min<uint64_t>(length, all.size()));
  Buffer out = Buffer::copy_of(all);
  if (!out.empty() && happens(Fault::flip))
    out.data()[dice_.pick(out.size())] ^= static_cast<uint8_t>(1u << dice_.pick(8));
  if (!out.empty() && happens(Fault::truncate)) out.resize_within(dice_.pick(out.size()));
  ByteView truth = as_bytes(bytes);
  truth = truth.subspan(std::min<uint64_t>(offset, truth.size()));
  truth = truth.first(std::min<uint64_t>(length, truth.size()));
  if (!std::ranges::equal(truth, out.view())) ++wrong_answers_;
  return out;
}

Result<Buffer> SimPlace::get(const BlobName& name, uint64_t offset, uint64_t length) {
  ASSIGN_OR_RETURN(const std::string* bytes, find(name));
  return answer(*bytes, offset, length);
}

Result<uint64_t> SimPlace::size(const BlobName& name) {
  ASSIGN_OR_RETURN(const std::string* bytes, find(name));
  if (!bytes->empty() && happens(Fault::truncate)) return uint64_t{dice_.pick(bytes->size())};
  return uint64_t{bytes->size()};
}

Result<void> SimPlace::remove(const BlobName& name) {
  RETURN_IF_ERROR(admit());
  if (!marker_) return error(Code::unavailable, "lost, it has no marker");
  if (blobs_.contains(name) && happens(Fault::forget)) return {};
  blobs_.erase(name);
  before_.erase(name);
  return {};
}

Result<std::vector<BlobName>> SimPlace::list() {
  RETURN_IF_ERROR(admit());
  if (!marker_) return error(Code::unavailable, "lost, it has no marker");
  std::vector<BlobName> names;
  names.reserve(blobs_.size());
  for (const auto& [name, bytes] : blobs_) {
    if (!happens(Fault::hide)) names.push_back(name);
  }
  if (happens(Fault::invent)) {
    std::string bytes;
    for (int i = 0; i < 20; ++i) bytes.push_back(static_cast<char>(dice_.pick(256)));
    names.push_back(hex(as_bytes(bytes)));
  }
  return names;
}

Result<Buffer> SimPlace::read_marker() {
  RETURN_IF_ERROR(admit());
  if (!marker_) return error(Code::not_found, "no marker");
  if (!dice_.chance(1, kMarkerLiesOneOf)) return Buffer::copy_of(as_bytes(*marker_));
  if (happens(Fault::hide)) return error(Code::not_found, "no marker");
  return answer(*marker_, 0, marker_->size());
}

Result<void> SimPlace::write_marker(std::string bytes) {
  RETURN_IF_ERROR(admit());
  if (marker_) return error(Code::exists, "it has a marker already");
  marker_ = std::move(bytes);
  return {};
}

// Suspends the caller until the reply or the deadline.
template <class T>
struct SimIsland::Waiting {
  std::shared_ptr<Call<T>> call;
  TimePoint until;
  bool await_ready() const noexcept { return call->answer.has_value(); }
  void await_suspend(std::coroutine_handle<> self) {
    call->caller = self;
    call->timer =
        io::Loop::current()->run_at(until, [c = call] { std::exchange(c->caller, nullptr).resume(); });
  }
  void await_resume() const noexcept {}
};

template <class T>
void SimIsland::reply(SimPlace& place, std::shared_ptr<Call<T>> call, Result<T> result) {
  if (place.happens(Fault::lose_reply) || place.happens(Fault::partition)) return;
  io::SimLoop& loop = place.loop_;
  loop.run_at(loop.now() + place.travel(), [&loop, c = std::move(call), r = std::move(result)]() mutable {
    if (!c->caller) return;  // has given up
    loop.cancel(c->timer);
    c->answer.emplace(std::move(r));
    std::exchange(c->caller, nullptr).resume();
  });
}

template <class T, class Work>
void SimIsland::carry_out(std::shared_ptr<SimPlace> place, std::shared_ptr<Call<T>> call, Work work) {
  Result<T> result = work(*place);
  reply<T>(*place, std::move(call), std::move(result));
}

template <class T, class Work>
void SimIsland::send(std::shared_ptr<SimPlace> place, std::shared_ptr<const bool> alive,
                     std::shared_ptr<Call<T>> call, Work work) {
  if (place->happens(Fault::lose_request)) return;
  io::SimLoop& loop = place->loop_;
  const TimePoint arrives = loop.now() + place->travel();
  loop.run_at(arrives, [p = std::move(place), a = std::move(alive), c = std::move(call),
                        w = std::move(work)]() mutable {
    if (p->happens(Fault::partition)) return;
    // Its sender died meanwhile: half of what was sent had not left the machine, and some of it arrives when nobody thinks of it any more.
    if (!*a && p->dice_.chance(1, 2)) return;
    const bool late = !*a && p->dice_.chance(1, 4);
    if (!late && !p->happens(Fault::slow_disk)) return carry_out<T>(std::move(p), std::move(c), std::move(w));
    io::SimLoop& l = p->loop_;
    const TimePoint done = l.now() + p->dice_.between(Duration(0), kSlowDiskMax);
    l.run_at(done, [q = std::move(p), d = std::move(c), x = std::move(w)]() mutable {
      carry_out<T>(std::move(q), std::move(d), std::move(x));
    });
  });
}

template <class T, class Work>
io::Task<Result<T>> SimIsland::call(Work work, Deadline deadline) {
  io::Loop& loop = *io::Loop::current();
  if (!*alive_) {
    co_await io::sleep_until(loop.now() + kDeadPause);
    co_return fail(Code::unavailable, "island " + id() + ": this process is dead");
  }
  auto under_way = std::make_shared<Call<T>>();
  send<T>(place_, alive_, under_way, std::move(work));
  co_await Waiting<T>{under_way, std::min(deadline, loop.now() + kPatience)};
  if (!under_way->answer) co_return fail(Code::timeout, "island " + id() + ": no answer by the deadline");
  co_return std::move(*under_way->answer);
}

io::Task<Result<void>> SimIsland::put(BlobName name, std::span<const ByteView> parts, Deadline deadline) {
  std::string bytes;
  size_t size = 0;
  for (ByteView part : parts) size += part.size();
  bytes.reserve(size);
  for (ByteView part : parts) bytes.append(as_text(part));
  auto work = [n = std::move(name), b = std::move(bytes)](SimPlace& place) mutable {
    return place.put(n, std::move(b));
  };
  return call<void>(std::move(work), deadline);
}

io::Task<Result<void>> SimIsland::overwrite(BlobName name, ByteView bytes, Deadline deadline) {
  auto work = [n = std::move(name), b = std::string(as_text(bytes))](SimPlace& place) mutable {
    return place.overwrite(n, std::move(b));
  };
  return call<void>(std::move(work), deadline);
}

io::Task<Result<Buffer>> SimIsland::get(BlobName name, uint64_t offset, uint64_t length, Deadline deadline) {
  auto work = [n = std::move(name), offset, length](SimPlace& place) { return place.get(n, offset, length); };
  return call<Buffer>(std::move(work), deadline);
}

io::Task<Result<uint64_t>> SimIsland::size(BlobName name, Deadline deadline) {
  auto work = [n = std::move(name)](SimPlace& place) { return place.size(n); };
  return call<uint64_t>(std::move(work), deadline);
}

io::Task<Result<void>> SimIsland::remove(BlobName name, Deadline deadline) {
  auto work = [n = std::move(name)](SimPlace& place) { return place.remove(n); };
  return call<void>(std::move(work), deadline);
}

io::Task<Result<std::vector<BlobName>>> SimIsland::list(Deadline deadline) {
  auto work = [](SimPlace& place) { return place.list(); };
  return call<std::vector<BlobName>>(std::move(work), deadline);
}

io::Task<Result<Buffer>> SimIsland::read_marker(Deadline deadline) {
  auto work = [](SimPlace& place) { return place.read_marker(); };
  return call<Buffer>(std::move(work), deadline);
}

io::Task<Result<void>> SimIsland::write_marker(ByteView bytes, Deadline deadline) {
  auto work = [b = std::string(as_text(bytes))](SimPlace& place) mutable {
    return place.write_marker(std::move(b));
  };
  return call<void>(std::move(work), deadline);
}

}  // namespace archipel::island
