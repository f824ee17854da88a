// What goes wrong, and whoever starts gateways again.
#include "sim/history_impl.h"

namespace archipel::sim {
namespace {

constexpr int kStartsBeforeHealing = 6;  // refused in a row, until the network is mended

}  // namespace

void History::happen(const Happening& h) {
  note(describe(h));
  switch (h.kind) {
    case Happening::Kind::fault:
      world_.places[h.island]->set(h.fault, h.per_mille);
      if (h.lasts != Duration::max()) background_.spawn(fade(this, h));
      break;
    case Happening::Kind::crash:
    case Happening::Kind::restart:
      if (armed_)
        queue_.push_back(h);
      else
        arm(h);
      break;
    case Happening::Kind::wipe:
      world_.places[h.island]->wipe();
      break;
    case Happening::Kind::rot:
      world_.places[h.island]->rot(h.count);
      break;
    case Happening::Kind::remember:
      world_.places[h.island]->remember();
      break;
    case Happening::Kind::roll_back:
      world_.places[h.island]->roll_back();
      break;
    case Happening::Kind::power_cut:
      world_.places[h.island]->power_cut();
      break;
    case Happening::Kind::copy_dir:
      world_.disk.make_copy();
      break;
    case Happening::Kind::clock_step:
      world_.clock.step(static_cast<UnixMs>(h.count % 7'200'000) - 3'600'000);
      break;
  }
}

io::Task<void> History::fade(History* self, Happening h) {
  co_await io::sleep_until(self->world_.loop.now() + h.lasts);
  self->world_.places[h.island]->set(h.fault, 0);
}

// The plug will be pulled at some step from now on.
void History::arm(const Happening& h) {
  armed_ = h;
  const uint64_t serial = ++armed_serial_;
  if (h.kind == Happening::Kind::restart) {
    ending_ = h;
    stop_wanted_ = true;
    changed_.notify_all();
    return;
  }
  switch (h.where) {
    case Happening::Where::turn:
      world_.loop.at_turn(world_.loop.turns() + h.count, [this, serial] {
        if (serial == armed_serial_) pull_plug();
        return false;
      });
      break;
    case Happening::Where::disk_write:
      world_.disk.before_write = [this, at = world_.disk.writes() + h.count](uint64_t number) {
        if (number >= at) pull_plug();
      };
      break;
    case Happening::Where::blob: {
      auto left = std::make_shared<uint64_t>(h.count);
      for (auto& place : world_.places) {
        place->after_put = [this, left](const island::BlobName&) {
          if (*left > 0 && --*left == 0) pull_plug();
        };
      }
      break;
    }
  }
}

void History::disarm() {
  armed_.reset();
  stop_wanted_ = pulled_ = false;
  world_.disk.before_write = nullptr;
  for (auto& place : world_.places) place->after_put = nullptr;
}

void History::pull_plug() {
  std::shared_ptr<Process> victim = current_ ? current_ : starting_;
  if (!armed_ || pulled_ || !victim || !victim->alive()) return;
  pulled_ = true;
  ending_ = *armed_;
  note("plug pulled: " + describe(ending_));
  ++stats_.crashes[static_cast<size_t>(ending_.where)];
  stats_.machine_crashes += ending_.machine;
  stats_.crashes_in_start += !current_;
  victim->die();
  if (ending_.machine)
    world_.disk.machine_died();
  else
    world_.disk.process_died();
  current_ = nullptr;
  oracle_.tick();
  // Not from here: this may be in the middle of anything.
  world_.loop.post([this] { changed_.notify_all(); });
}

void History::lose(Happening::Loss loss) {
  switch (loss) {
    case Happening::Loss::none:
      break;
    case Happening::Loss::view:
      ++stats_.views_lost;
      world_.disk.lose_view();
      break;
    case Happening::Loss::damaged_view:
      ++stats_.views_damaged;
      world_.disk.damage_views();
      break;
    case Happening::Loss::dir:
      ++stats_.dirs_lost;
      world_.disk.lose_all();
      break;
    case Happening::Loss::old_dir:
      if (!world_.disk.has_copy()) break;
      ++stats_.dirs_set_back;
      world_.disk.restore_copy(ending_.elsewhere);
      break;
  }
}

io::Task<void> History::reap(std::shared_ptr<Process> process) {
  co_await process->close();
}

// While a start could not decide, what happened before is still open.
io::Task<void> History::settle_when_open(History* self, std::shared_ptr<Process> process) {
  Process::Use use(*process);
  bool read_only = false;
  while (process->alive() && !process->fresh()) {
    if (!read_only) self->note("read-only: " + process->closed_because());
    read_only = true;
    if (process != self->current_) break;  // about to close
    co_await io::sleep_until(self->world_.loop.now() + kOpenPause);
  }
  self->stats_.read_only += read_only;
  if (process->fresh()) self->world_.created = true;
  if (process->alive() && process->fresh()) self->settle(process->number());
}

// One start. True: it serves.
io::Task<bool> History::begin_process() {
  auto process = std::make_shared<Process>(world_);
  starting_ = process;
  ++stats_.starts;
  Result<void> started = co_await process->start();
  starting_ = nullptr;
  if (process->alive() && started) {
    note(fmt::format("process {} serves epoch {}", process->number(), process->journal().epoch));
    refused_in_row_ = 0;
    current_ = process;
    background_.spawn(settle_when_open(this, process));
    changed_.notify_all();
    co_return true;
  }
  if (process->alive()) {
    ++stats_.starts_refused;
    ++refused_in_row_;
    refusal_ = started.error().describe();
    refusal_code_ = started.error().code;
    note("start refused: " + refusal_);
    if (started.error().code == Code::corrupt) violation("a start was refused: " + refusal_);
    co_await process->close();
    process->die();
    world_.disk.process_died();
    if (refused_in_row_ >= kStartsBeforeHealing) world_.heal();
    co_await io::sleep_until(world_.loop.now() + kStartPause);
    co_return false;
  }
  background_.spawn(reap(process));
  co_return false;
}

// The person or the script that starts gateways, as long as the history lasts.
io::Task<void> History::operate(History* self) {
  while (!self->finished_) {
    if (!self->current_) {
      bool serves = co_await self->begin_process();
      if (!serves && !self->pulled_) continue;
    }
    std::shared_ptr<Process> process = self->current_;
    while (process && process->alive() && !self->stop_wanted_ && !self->finished_)
      co_await self->changed_.wait();
    if (process && !process->alive()) self->background_.spawn(reap(process));
    if (self->finished_) break;
    if (process && process->alive()) {
      self->note("clean stop");
      ++self->stats_.clean_restarts;
      self->current_ = nullptr;
      co_await process->close();
      process->die();
      self->world_.disk.process_died();
    }
    process = nullptr;
    self->disarm();
    self->lose(self->ending_.loss);
    co_await io::sleep_until(self->world_.loop.now() + self->ending_.lasts);
    if (self->ending_.again > 0) {
      self->arm(self->crash_of_next_start());
      continue;
    }
    if (self->queue_.empty()) continue;
    Happening next = self->queue_.front();
    self->queue_.erase(self->queue_.begin());
    self->arm(next);
  }
}

// As the last, but soon: in the middle of the start.
Happening History::crash_of_next_start() {
  Happening next = ending_;
  --next.again;
  next.lasts = Duration(0);
  next.loss = world_.dice.chance(1, 4) ? Happening::Loss::view : Happening::Loss::none;
  next.machine = world_.dice.chance(1, 3);
  next.where = static_cast<Happening::Where>(world_.dice.pick(3));
  static constexpr uint64_t kRanges[] = {250, 5, 15};
  next.count = 1 + world_.dice.pick(kRanges[static_cast<size_t>(next.where)]);
  return next;
}

io::Task<std::shared_ptr<Process>> History::running() {
  while (!current_) co_await changed_.wait();
  co_return current_;
}

}  // namespace archipel::sim
