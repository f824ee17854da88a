#include "store/pins.h"

#include "base/check.h"

namespace archipel::store {

Pins::~Pins() {
  CHECK(reads_.empty() && writers_.empty());
}

Pins::Reader& Pins::Reader::operator=(Reader&& o) noexcept {
  if (this != &o) {
    release();
    pins_ = std::exchange(o.pins_, nullptr);
    at_ = o.at_;
  }
  return *this;
}

void Pins::Reader::hold(std::vector<ExtentKey> extents, std::optional<PartSetId> set) {
  CHECK(pins_ != nullptr);
  std::lock_guard lock(pins_->mutex_);
  at_->held = std::move(extents);
  at_->set = set;
  at_->looking = false;
}

void Pins::Reader::release() {
  Pins* pins = std::exchange(pins_, nullptr);
  if (!pins) return;
  std::list<Read> gone;  // freed outside the lock
  std::lock_guard lock(pins->mutex_);
  gone.splice(gone.begin(), pins->reads_, at_);
}

Pins::Writer& Pins::Writer::operator=(Writer&& o) noexcept {
  if (this != &o) {
    release();
    pins_ = std::exchange(o.pins_, nullptr);
    epoch_ = o.epoch_;
  }
  return *this;
}

void Pins::Writer::release() {
  Pins* pins = std::exchange(pins_, nullptr);
  if (!pins) return;
  std::lock_guard lock(pins->mutex_);
  pins->writers_.erase(pins->writers_.find(epoch_));
}

Pins::Reader Pins::begin_read() {
  std::list<Read> fresh(1);
  std::lock_guard lock(mutex_);
  fresh.front().ticket = next_ticket_++;
  reads_.splice(reads_.end(), fresh);
  return Reader(this, std::prev(reads_.end()));
}

Pins::Writer Pins::begin_write(uint64_t epoch) {
  std::lock_guard lock(mutex_);
  writers_.insert(epoch);
  return Writer(this, epoch);
}

uint64_t Pins::ticket() const {
  std::lock_guard lock(mutex_);
  return next_ticket_;
}

bool Pins::looking_before(uint64_t ticket) const {
  std::lock_guard lock(mutex_);
  for (const Read& read : reads_) {
    if (read.ticket >= ticket) break;
    if (read.looking) return true;
  }
  return false;
}

std::set<ExtentKey> Pins::held() const {
  std::lock_guard lock(mutex_);
  std::set<ExtentKey> out;
  for (const Read& read : reads_) out.insert(read.held.begin(), read.held.end());
  return out;
}

std::set<PartSetId> Pins::held_sets() const {
  std::lock_guard lock(mutex_);
  std::set<PartSetId> out;
  for (const Read& read : reads_)
    if (read.set) out.insert(*read.set);
  return out;
}

std::optional<uint64_t> Pins::oldest_writer() const {
  std::lock_guard lock(mutex_);
  if (writers_.empty()) return std::nullopt;
  return *writers_.begin();
}

}  // namespace archipel::store
