#include "sim/history.h"

#include "sim/history_impl.h"

namespace archipel::sim {
namespace {

constexpr uint64_t kTurnsMax = 6'000'000;  // of a history; usual are some ten thousand
constexpr int kClientWaits = 10;           // of kOpenPause, before a client tries although it is not
constexpr Duration kQuiet =
    std::chrono::seconds(45);  // after healing, until everything that was late has come

}  // namespace

io::Task<void> History::client(History* self, int number) {
  for (const Op& op : self->plan_.ops) {
    if (op.client != number) continue;
    if (op.think.count() > 0) co_await io::sleep_until(self->world_.loop.now() + op.think);
    ++self->begun_;
    while (self->next_happening_ < self->plan_.happenings.size() &&
           self->plan_.happenings[self->next_happening_].at_op < self->begun_)
      self->happen(self->plan_.happenings[self->next_happening_++]);
    std::shared_ptr<Process> process = co_await self->running();
    for (int waits = 0; waits < kClientWaits && process->alive() && !process->open(); ++waits)
      co_await io::sleep_until(self->world_.loop.now() + kOpenPause);
    // It died meanwhile, or began to stop: nobody reaches it any more, as after a server was drained.
    if (process != self->current_) process = co_await self->running();
    Process::Use use(*process);
    if (self->trace_)
      self->note(fmt::format("[{}] {} (process {})", self->oracle_.now(), describe(op), process->number()));
    co_await self->perform(op, process);
  }
}

io::Task<void> History::perform(Op op, std::shared_ptr<Process> p) {
  switch (op.kind) {
    case Op::Kind::create_bucket:
      return create_bucket(op, p);
    case Op::Kind::delete_bucket:
      return delete_bucket(op, p);
    case Op::Kind::put:
      return put(op, p);
    case Op::Kind::get:
      return get(op, p);
    case Op::Kind::head:
      return head(op, p);
    case Op::Kind::list:
      return list(op, p);
    case Op::Kind::remove:
      return remove(op, p);
    case Op::Kind::copy:
      return copy(op, p);
  }
  CHECK(false);
}

io::Task<bool> History::live(History* self) {
  io::TaskScope operators;
  operators.spawn(operate(self));
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    Op op{};
    op.number = static_cast<uint32_t>(self->plan_.ops.size());
    op.bucket = static_cast<uint8_t>(bucket);
    std::shared_ptr<Process> process = co_await self->running();
    Process::Use use(*process);
    co_await self->create_bucket(op, process);
  }
  for (int i = 0; i < self->plan_.clients; ++i) self->clients_.spawn(client(self, i));
  co_await self->clients_.join();

  self->note("--- all operations are over; what was wrong is mended");
  self->world_.heal();
  if (!self->plan_.lies_at_end)
    for (auto& place : self->world_.places) place->stop_lying();
  co_await io::sleep_until(self->world_.loop.now() + kQuiet);
  self->pull_plug();  // if it was not time for it yet
  co_await self->audit("at the end");

  self->note("--- the machine and DIR are lost");
  if (self->plan_.liar_wiped) self->world_.places[static_cast<size_t>(self->plan_.liar)]->wipe();
  self->crash_now(Happening::Loss::dir);
  if (self->violations_.empty()) co_await self->audit("after the loss of DIR");
  if (self->violations_.empty() && self->plan_.scrub) co_await self->lose_another();

  self->finished_ = true;
  self->changed_.notify_all();
  co_await operators.join();
  if (self->current_) {
    std::shared_ptr<Process> process = std::exchange(self->current_, nullptr);
    co_await process->close();
  }
  co_await self->background_.join();
  co_return true;
}

Outcome History::run() {
  running_ = this;
  log::set_sink(on_log);
  world_.loop.set_turns_max(kTurnsMax);
  std::optional<bool> done = io::run_sim(world_.loop, [this] { return live(this); });
  running_ = nullptr;
  stats_.histories = 1;
  stats_.turns = world_.loop.turns();
  stats_.virtual_ms = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                                world_.loop.now().time_since_epoch() - std::chrono::hours(1))
                                                .count());
  if (!done) {
    violation(world_.loop.end() == io::SimLoop::End::stalled ? "stalled: somebody waits for what never comes"
                                                             : "goes in circles");
  } else {
    guess_copies();
    for (std::string& text : oracle_.check()) violation(std::move(text));
  }
  stats_.events_checked = oracle_.events();
  stats_.registers_unchecked = oracle_.gave_up();
  stats_.doomed_deleted = world_.collected.doomed_deleted;
  stats_.orphans_deleted = world_.collected.orphans;
  stats_.commits_deleted = world_.collected.commits;
  stats_.deleted_twice = world_.collected.deleted_twice;
  stats_.shards_repaired = world_.shards_repaired;
  stats_.streams_moved = world_.compacted.streams;
  stats_.streams_left_behind = world_.compacted.left_behind;
  for (const auto& place : world_.places) {
    stats_.wrong_answers += place->wrong_answers();
    for (size_t f = 0; f < island::kFaults; ++f) {
      stats_.faults[f] += place->counts()[f];
      stats_.histories_with[f] += place->counts()[f] > 0;
    }
  }
  for (uint64_t& with : stats_.histories_with) with = with > 0;
  stats_.violations = !violations_.empty();
  return {std::move(violations_), !done, stats_};
}

void Stats::add(const Stats& o) {
  histories += o.histories;
  violations += o.violations;
  for (size_t i = 0; i < ops.size(); ++i)
    for (size_t j = 0; j < ops[i].size(); ++j) ops[i][j] += o.ops[i][j];
  for (size_t i = 0; i < faults.size(); ++i) faults[i] += o.faults[i];
  for (size_t i = 0; i < faults.size(); ++i) histories_with[i] += o.histories_with[i];
  for (size_t i = 0; i < crashes.size(); ++i) crashes[i] += o.crashes[i];
  machine_crashes += o.machine_crashes;
  clean_restarts += o.clean_restarts;
  crashes_in_start += o.crashes_in_start;
  views_lost += o.views_lost;
  views_damaged += o.views_damaged;
  dirs_lost += o.dirs_lost;
  dirs_set_back += o.dirs_set_back;
  starts += o.starts;
  starts_refused += o.starts_refused;
  settled_by_honesty += o.settled_by_honesty;
  settled_by_wipe += o.settled_by_wipe;
  epochs += o.epochs;
  wrong_answers += o.wrong_answers;
  wrong_cells_named += o.wrong_cells_named;
  lies_named += o.lies_named;
  events_checked += o.events_checked;
  registers_unchecked += o.registers_unchecked;
  read_only += o.read_only;
  doomed_deleted += o.doomed_deleted;
  orphans_deleted += o.orphans_deleted;
  commits_deleted += o.commits_deleted;
  deleted_twice += o.deleted_twice;
  snapshots += o.snapshots;
  starts_from_snapshots += o.starts_from_snapshots;
  streams_moved += o.streams_moved;
  placed_extents += o.placed_extents;
  other_extents += o.other_extents;
  shards_repaired += o.shards_repaired;
  second_losses += o.second_losses;
  streams_left_behind += o.streams_left_behind;
  turns += o.turns;
  virtual_ms += o.virtual_ms;
}

Outcome run_history(const Plan& plan, bool trace) {
  // On the heap: what a stalled history leaves behind points into it.
  auto history = std::make_unique<History>(plan, trace);
  Outcome outcome = history->run();
  if (outcome.left_in_the_middle) static_cast<void>(history.release());
  return outcome;
}

}  // namespace archipel::sim
