// The pump: stores a body as it comes, for those who read it meanwhile and those who come later.
#include <algorithm>

#include "edge/serve_internal.h"

namespace archipel::edge {

void FrontImpl::land(Landing landing) {
  // With its length known, a body of several slices is found while it comes: who finds it reads on from the flight.
  landing.early = landing.entry->length && *landing.entry->length > kSliceBytes;
  if (landing.whole) shared_->flights.enlist(landing.entry->id, landing.flight);
  if (landing.early) publish(landing, nullptr);
  if (landing.flight->phase() == Flight::Phase::asking) landing.flight->stream(landing.entry, 0);
  scope_.spawn(pump(std::move(landing)));
}

// From here on others find it.
void FrontImpl::publish(const Landing& landing, SliceRef first) {
  if (landing.names.empty()) {
    cache().put(landing.key, landing.entry, std::move(first));
    return;
  }
  auto known = cache().variants(landing.primary_key, landing.primary);
  auto variants = std::make_shared<Variants>();
  variants->key = landing.primary;
  variants->names.push_back(landing.names);
  if (known)
    for (const std::vector<std::string>& names : known->names)
      if (names != landing.names && variants->names.size() < kVarySetsMax) variants->names.push_back(names);
  // What was stored when it did not vary yet would be found first.
  cache().erase(landing.primary_key);
  cache().put(landing.key, landing.entry, std::move(first));
  cache().set_variants(landing.primary_key, std::move(variants));
}

// One look for memory, and a pause. False: it has taken too long.
io::Task<bool> FrontImpl::room_for_a_window(FlightRef flight, TimePoint until) {
  if (loop_.now() >= until) co_return false;
  flight->starve(true);
  if (shared_->memory->may_look(loop_.now())) shared_->flights.shed(kWindowSlices * kSliceBytes, loop_.now());
  co_await io::sleep_until(loop_.now() + kRoomPause);
  flight->starve(false);
  co_return true;
}

io::Task<void> FrontImpl::pump(Landing landing) {
  const uint64_t id = landing.entry->id;
  const uint64_t stored_max = landing.site->cache().object_bytes_max;
  std::optional<uint64_t> left = landing.length;
  uint64_t received = 0;
  SliceRef first;
  std::optional<Error> error;
  bool stored = true;
  TimePoint starving_until{};  // while there is no memory
  // What leaves the window may leave the tiers, too, before a slow client has read it. Then it is asked for again, if it can be.
  const bool again =
      landing.entry->ranges || landing.length.value_or(kWholeBody) <= kWindowSlices * kSliceBytes;
  while (landing.skip > 0 && !error) {
    Buffer unwanted(static_cast<size_t>(std::min<uint64_t>(landing.skip, kCopyBytes)));
    auto got = co_await landing.fetch->read(unwanted.span());
    if (!got)
      error = got.error();
    else if (*got == 0)
      error = {Code::io, "the origin's response is shorter than it said", {}};
    else
      landing.skip -= *got;
  }
  while (!error) {
    const Flight::Going going{left, stored, again};
    const Flight::Pace pace = landing.flight->pace(going);
    if (pace == Flight::Pace::wait) {
      co_await landing.flight->paced(going);
      continue;
    }
    const bool shed = landing.flight->phase() == Flight::Phase::failed;
    if (pace == Flight::Pace::abandon && (shed || left != std::optional<uint64_t>(0))) {
      error = {Code::cancelled, "nobody waits for the rest of the body", {}};
      break;
    }
    MutableBytes room = landing.flight->room(left);
    if (room.empty()) {
      if (starving_until == TimePoint{}) starving_until = loop_.now() + kRoomPatience;
      const bool patient = co_await room_for_a_window(landing.flight, starving_until);
      if (!patient) error = {Code::limit, "there is no memory for so many slow readers", {}};
      continue;
    }
    starving_until = {};
    auto got = co_await landing.fetch->read(room);
    if (!got) {
      error = got.error();
      break;
    }
    if (*got == 0) {
      if (left.value_or(0) != 0) error = {Code::io, "the origin's response is shorter than it said", {}};
      break;
    }
    if (left && *got > *left) {
      error = {Code::invalid, "the origin's response is longer than it said", {}};
      break;
    }
    received += *got;
    if (left) *left -= *got;
    if (stored && landing.whole && received > stored_max) {
      // Its length was not known. Those who read it get it; nobody else joins.
      stored = false;
      shared_->flights.forget(landing.flight_key, landing.flight);
    }
    SliceRef sealed = landing.flight->commit(*got, id);
    if (!sealed || !stored) continue;
    if (sealed->index == 0 && landing.entry->length == std::optional<uint64_t>(kSliceBytes))
      first = std::move(sealed);
    else
      cache().put_slice(std::move(sealed));
  }
  if (!error) {
    SliceRef last = landing.flight->seal(id);
    if (!landing.entry->length) {
      auto known = std::make_shared<Entry>(*landing.entry);
      known->length = received;
      known->write_h2_head();
      known->ranges = known->status == 200 && serves_ranges(known->headers, received);
      landing.entry = std::move(known);
    }
    if (stored && landing.early) {
      if (last) cache().put_slice(std::move(last));
    } else if (stored) {
      if (last && last->index == 0)
        first = std::move(last);
      else if (last)
        cache().put_slice(std::move(last));
      publish(landing, std::move(first));
    }
    landing.flight->finish(landing.entry);
  } else {
    // What can be had slice by slice stays; what cannot would break off in the middle again.
    if (landing.early && !landing.entry->ranges) cache().erase(landing.key);
    landing.flight->fail(std::move(*error));
  }
  shared_->flights.forget(landing.flight_key, landing.flight);
  shared_->flights.delist(id, landing.flight);
}

}  // namespace archipel::edge
