// The patrol: everything is looked at once in its time, within its rate, over restarts.
#include <algorithm>

#include "base/log.h"
#include "store/scrubber_impl.h"

namespace archipel::store {
namespace {

const std::string kPlaceFile = "scrub";  // in DIR

}  // namespace

std::string ScrubberImpl::encode_place(const Place& place) {
  std::string out;
  Writer(out)
      .raw("archipel-scrub 1\n")
      .u8(place.under_way ? 1 : 0)
      .u8(place.next.kind)
      .u64(place.next.epoch)
      .u64(place.next.number)
      .u64(static_cast<uint64_t>(place.began_ms));
  return out;
}

// A place is a convenience: what cannot be read is none.
ScrubberImpl::Place ScrubberImpl::decode_place(const std::optional<std::string>& bytes) {
  Place place;
  if (!bytes) return place;
  Reader reader(*bytes);
  const bool ours = as_text(reader.raw(17)) == "archipel-scrub 1\n";
  place.under_way = reader.u8() == 1;
  place.next.kind = reader.u8();
  place.next.epoch = reader.u64();
  place.next.number = reader.u64();
  place.began_ms = static_cast<UnixMs>(reader.u64());
  return ours && reader.done() ? place : Place{};
}

io::Task<void> ScrubberImpl::keep_place(Place place) {
  if (files_ == nullptr) co_return;
  auto write = [this, bytes = encode_place(place)] {
    return files_->write_atomically(kPlaceFile, as_bytes(bytes));
  };
  Result<void> written = co_await p_.workers.run(write);
  if (!written) log::warn("scrub.place_not_kept", {{"reason", written.error().message}});
}

io::Task<void> ScrubberImpl::patrol(ScrubberImpl* self) {
  const auto pass_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(self->options_.pass_every).count();
  Place place;
  if (self->files_ != nullptr) {
    auto read = [self] { return self->files_->read(kPlaceFile); };
    Result<std::optional<std::string>> bytes = co_await self->p_.workers.run(read);
    if (bytes) place = decode_place(*bytes);
  }
  ScrubReport report = self->empty_report();
  TimePoint kept = self->p_.home.now();
  while (!self->closing_) {
    const UnixMs now_ms = self->p_.clock.unix_ms();
    // A pass that began in the future began by a clock that has been set back since: nobody waits for that day.
    const bool due = place.under_way || now_ms < place.began_ms || now_ms >= place.began_ms + pass_ms;
    if (!due || self->passing_ || !self->p_.committer.open()) {
      co_await self->sleep(self->options_.tick);
      continue;
    }
    if (!place.under_way) {
      place = {true, {}, now_ms};
      report = self->empty_report();
    }
    Result<Targets> targets = co_await self->page(place.next, kScrubAtOnce);
    if (!targets) {
      co_await self->sleep(self->options_.retry_after);
      continue;
    }
    std::vector<Repairer::Work> works;
    for (const ScrubTarget& target : *targets) works.push_back({target, 0, true});
    std::vector<Repairer::Outcome> outcomes = co_await self->process_all(works, self->patrol_pace_);
    if (self->closing_) break;
    for (size_t i = 0; i < outcomes.size(); ++i) {
      add(report, works[i].target, outcomes[i]);
      if (!outcomes[i].whole())
        log::warn("scrub.unrepaired", {{"what", works[i].target.describe()}, {"reason", outcomes[i].failed}});
      place.next = after(works[i].target);
    }
    if (targets->size() < kScrubAtOnce) {
      place = {false, {}, place.began_ms};
      scrub_meters().passes.add();
      scrub_meters().unrepaired.set(static_cast<int64_t>(report.unrepaired));
      scrub_meters().last_pass.set(self->p_.clock.unix_ms() / 1000);
      log::info(
          "scrub.pass_done",
          {{"items", report.items}, {"repaired", report.repaired()}, {"unrepaired", report.unrepaired}});
    }
    if (place.under_way && self->p_.home.now() < kept + self->options_.save_every) continue;
    kept = self->p_.home.now();
    co_await self->keep_place(place);
  }
  if (place.under_way) co_await self->keep_place(place);
}

}  // namespace archipel::store
