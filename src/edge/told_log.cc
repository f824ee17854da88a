#include "edge/told_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "edge/crc_seal.h"

namespace archipel::edge {
namespace told {
namespace {

constexpr std::string_view kMagic = "ARCHEDGT";
constexpr uint8_t kVersion = 1;
constexpr size_t kHeadBytes = 32, kEarlierBytes = 32, kRecordHeadBytes = 12;

// The record at the beginning of `bytes`; nothing: it is not whole.
std::optional<std::string_view> record_at(ByteView bytes, uint64_t number) {
  Reader in(bytes);
  const uint32_t size = in.u32();
  if (in.u64() != number || !in.ok() || size > kRecordBytesMax) return std::nullopt;
  const size_t whole = kRecordHeadBytes + size + kCrcBytes;
  if (bytes.size() < whole || !has_good_crc(bytes.first(whole))) return std::nullopt;
  return as_text(bytes.subspan(kRecordHeadBytes, size));
}

// Whether a whole record with a number from `number` on lies anywhere in `bytes`: then what is in front of it was not cut off.
bool any_record_in(ByteView bytes, uint64_t number) {
  for (; bytes.size() >= kRecordHeadBytes + kCrcBytes; bytes = bytes.subspan(1)) {
    Reader in(bytes);
    const uint32_t size = in.u32();
    const uint64_t found = in.u64();
    if (size > kRecordBytesMax || found < number || found - number > 2 * ToldLog::kRecordsMax) continue;
    if (record_at(bytes, found)) return true;
  }
  return false;
}

}  // namespace

void append_record(std::string& out, uint64_t number, std::string_view record) {
  const size_t from = out.size();
  Writer(out).u32(static_cast<uint32_t>(record.size())).u64(number).raw(record);
  seal_with_crc(out, from);
}

std::string encode(const State& state) {
  std::string out;
  Writer(out).raw(kMagic).u8(kVersion).u8(static_cast<uint8_t>(state.was.size())).u16(0).u32(0);
  Writer(out).u64(state.id).u64(state.before);
  for (const EarlierStart& one : state.was) Writer(out).u64(one.id).u64(one.same).u64(one.until).u64(one.at);
  seal_with_crc(out, 0);
  uint64_t number = state.before;
  for (const std::string& record : state.records) append_record(out, ++number, record);
  return out;
}

Result<State> decode(ByteView bytes) {
  auto bad = [] { return fail(Code::corrupt, "the log of purges for other edges is damaged"); };
  Reader in(bytes);
  const std::string_view magic = as_text(in.raw(kMagic.size()));
  const uint8_t version = in.u8(), earlier = in.u8();
  const size_t head = kHeadBytes + earlier * kEarlierBytes + kCrcBytes;
  if (magic != kMagic || earlier > PurgesHeard::kEarlierMax || bytes.size() < head ||
      !has_good_crc(bytes.first(head)))
    return bad();
  if (version != kVersion)
    return fail(Code::unsupported,
                fmt::format("the log of purges for other edges has version {}, and this program knows {}",
                            version, kVersion));
  if (in.u16() != 0 || in.u32() != 0) return bad();
  State out;
  out.id = in.u64();
  out.before = in.u64();
  for (uint8_t i = 0; i < earlier; ++i) {
    EarlierStart one;
    one.id = in.u64();
    one.same = in.u64();
    one.until = in.u64();
    one.at = in.u64();
    out.was.push_back(one);
  }
  if (out.before > UINT64_MAX / 4) return bad();
  ByteView rest = bytes.subspan(head);
  while (!rest.empty()) {
    const auto record = record_at(rest, out.latest() + 1);
    if (!record && any_record_in(rest, out.latest() + 1)) return bad();
    if (!record) break;
    out.records.emplace_back(*record);
    rest = rest.subspan(kRecordHeadBytes + record->size() + kCrcBytes);
  }
  return out;
}

}  // namespace told

// --- in memory ------------------------------------------------------------------------------------------------------------

uint64_t ToldLog::id() const {
  std::lock_guard lock(mutex_);
  return state_.id;
}

std::vector<EarlierStart> ToldLog::was() const {
  std::lock_guard lock(mutex_);
  return state_.was;
}

uint64_t ToldLog::latest() const {
  std::lock_guard lock(mutex_);
  return state_.latest();
}

// Nothing was added or adopted yet.
bool ToldLog::is_fresh() const {
  std::lock_guard lock(mutex_);
  return state_.latest() == 0 && state_.was.empty() && !of_;
}

bool ToldLog::attached() const {
  std::lock_guard lock(mutex_);
  return open_;
}

void ToldLog::push_locked(std::string record) {
  bytes_ += record.size();
  state_.records.push_back(std::move(record));
  while (state_.records.size() > kRecordsMax || (bytes_ > kBytesMax && state_.records.size() > 1)) {
    bytes_ -= state_.records.front().size();
    state_.records.pop_front();
    ++state_.before;
  }
}

// Nobody has heard of what comes before, and nobody will: it is lost to all.
void ToldLog::forget_all_locked() {
  state_.before = state_.latest() + 1;
  state_.records.clear();
  state_.was.clear();
  bytes_ = 0;
}

uint64_t ToldLog::add(std::string record) {
  CHECK(record.size() <= told::kRecordBytesMax);
  std::unique_lock lock(mutex_);
  const uint64_t number = state_.latest() + 1;
  if (open_ && !anew_) {
    told::append_record(waiting_, number, record);
    // The disk is far behind: the whole is shorter than all that changed.
    if (waiting_.size() > kBytesMax) {
      waiting_.clear();
      anew_ = true;
    }
  }
  push_locked(std::move(record));
  if (!open_ || std::exchange(writing_, true)) return number;
  io::Workers& workers = *workers_;
  lock.unlock();
  workers.submit([this] { write_often(); });
  return number;
}

ToldLog::Run ToldLog::read(uint64_t after, size_t records_max, size_t bytes_max) const {
  std::lock_guard lock(mutex_);
  Run out;
  out.lost = after < state_.before;
  out.first = std::max(after, state_.before) + 1;
  size_t bytes = 0;
  for (uint64_t number = out.first; number <= state_.latest() && out.records.size() < records_max; ++number) {
    const std::string& record = state_.records[number - state_.before - 1];
    bytes += record.size();
    if (!out.records.empty() && bytes > bytes_max) break;
    out.records.push_back(record);
  }
  return out;
}

// --- the file -------------------------------------------------------------------------------------------------------------

// What a start before this one told is this one's, with the same numbers. Nothing was added yet.
void ToldLog::adopt_locked(told::State&& before, bool still_running) {
  const EarlierStart last{before.id, before.latest(), before.latest(), before.latest()};
  if (still_running) of_ = before.id;
  state_.was = std::move(before.was);
  state_.was.insert(state_.was.begin(), last);
  if (state_.was.size() > PurgesHeard::kEarlierMax) state_.was.resize(PurgesHeard::kEarlierMax);
  state_.before = before.before;
  state_.records.clear();
  bytes_ = 0;
  for (std::string& record : before.records) push_locked(std::move(record));
}

// What another process told while this one already did: told again, with our numbers.
void ToldLog::take_later_locked(told::State&& later) {
  auto known = std::ranges::find(state_.was, later.id, &EarlierStart::id);
  const bool same = of_ == later.id && known != state_.was.end();
  const uint64_t from = same ? known->until : 0;
  if (from < later.before) return forget_all_locked();
  for (uint64_t number = from + 1; number <= later.latest(); ++number)
    push_locked(std::move(later.records[number - later.before - 1]));
  const EarlierStart merged{later.id, same ? known->same : 0, later.latest(), state_.latest()};
  if (same)
    *known = merged;
  else
    state_.was.insert(state_.was.begin(), merged);
  if (state_.was.size() > PurgesHeard::kEarlierMax) state_.was.resize(PurgesHeard::kEarlierMax);
}

Result<void> ToldLog::attach(std::shared_ptr<DiskFiles> files, io::Workers& workers) {
  std::lock_guard file_lock(file_mutex_);
  auto held = files->lock();
  if (!held && held.error().code != Code::exists) return fail(held.error());
  const bool fresh = is_fresh();
  if (!held && !fresh) return fail(held.error());
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, files->read_whole(kName));
  Result<told::State> found = fail(Code::not_found, "nothing was told yet");
  if (bytes) found = told::decode(as_bytes(*bytes));
  if (!found && found.error().code == Code::unsupported) return fail(found.error());
  {
    std::lock_guard lock(mutex_);
    if (!held) {
      if (found && state_.latest() == 0) adopt_locked(std::move(*found), true);
      return fail(held.error());
    }
    open_ = true;
    if (found && fresh && state_.latest() == 0)
      adopt_locked(std::move(*found), false);
    else if (found)
      take_later_locked(std::move(*found));
    else if (found.error().code == Code::corrupt)
      forget_all_locked();
  }
  if (!found && found.error().code == Code::corrupt)
    log::warn("edge.purges.forgotten", {{"where", files->where()},
                                        {"reason", found.error().message},
                                        {"done", "other edges let go all that they have stored"}});
  files_ = std::move(files);
  lock_ = std::move(*held);
  workers_ = &workers;
  // A disk that is full now may take it later: sync() tries again, and says how it went.
  if (Result<void> done = write_anew(); !done)
    log::warn("edge.purges.not_written", {{"reason", done.error().message}});
  return {};
}

// The file as the memory has it. What is added from here on is appended.
Result<void> ToldLog::write_anew() {
  std::string whole;
  uint64_t latest = 0;
  {
    std::lock_guard lock(mutex_);
    whole = told::encode(state_);
    latest = state_.latest();
    waiting_.clear();
    anew_ = false;
  }
  file_.reset();
  RETURN_IF_ERROR(files_->write_whole(kName, as_bytes(whole)));
  ASSIGN_OR_RETURN(file_, files_->open_log(kName));
  appended_to_ = synced_to_ = latest;
  appended_records_ = appended_bytes_ = 0;
  return {};
}

Result<void> ToldLog::write_what_waits() {
  std::string bytes;
  uint64_t latest = 0;
  bool anew = false;
  {
    std::lock_guard lock(mutex_);
    anew = anew_ || file_ == nullptr;
    if (!anew) bytes.swap(waiting_);
    latest = state_.latest();
  }
  // After a failure its rest may be in the middle of the file.
  const size_t records = static_cast<size_t>(latest - appended_to_);
  if (anew || appended_records_ + records > 2 * kRecordsMax || appended_bytes_ + bytes.size() > 2 * kBytesMax)
    return write_anew();
  if (bytes.empty()) return {};
  if (Result<void> done = file_->append(as_bytes(bytes)); !done) {
    file_.reset();
    return done;
  }
  appended_to_ = latest;
  appended_records_ += records;
  appended_bytes_ += bytes.size();
  return {};
}

void ToldLog::write_often() {
  bool failed = false;
  for (;;) {
    {
      std::lock_guard file_lock(file_mutex_);
      if (files_ != nullptr)
        if (Result<void> done = write_what_waits(); !done && !std::exchange(failed, true))
          log::warn("edge.purges.not_written", {{"reason", done.error().message}});
    }
    // What could not be written is, with the next that is added.
    std::lock_guard lock(mutex_);
    if (!failed && open_ && (!waiting_.empty() || anew_)) continue;
    writing_ = false;
    written_.notify_all();
    return;
  }
}

Result<void> ToldLog::sync(uint64_t number) {
  std::lock_guard file_lock(file_mutex_);
  if (files_ == nullptr)
    return fail(Code::unavailable, "what other edges have to hear is kept in memory alone");
  if (synced_to_ >= number) return {};
  RETURN_IF_ERROR(write_what_waits());
  if (synced_to_ >= number) return {};
  if (Result<void> done = file_->sync(); !done) {
    file_.reset();
    return done;
  }
  synced_to_ = appended_to_;
  return {};
}

void ToldLog::release() {
  {
    std::lock_guard file_lock(file_mutex_);
    {
      std::lock_guard lock(mutex_);
      open_ = false;
    }
    if (files_ != nullptr)
      if (Result<void> done = write_what_waits(); !done)
        log::warn("edge.purges.not_written", {{"reason", done.error().message}});
    file_.reset();
    files_.reset();
    lock_.reset();
  }
  std::unique_lock lock(mutex_);
  written_.wait(lock, [this] { return !writing_; });
}

}  // namespace archipel::edge
