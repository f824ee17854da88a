#include "sim/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "base/log.h"
#include "crypto/hash.h"
#include "io/sync.h"
#include "sim/oracle.h"
#include "sim/world.h"

namespace archipel::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kTurnsMax = 6'000'000;  // of a history; usual are some ten thousand
constexpr int kStartsBeforeHealing = 6;    // refused in a row, until the network is mended
constexpr Duration kStartPause = seconds(4);
constexpr Duration kOpenPause = milliseconds(300);  // between two looks whether a journal is open
constexpr int kClientWaits = 10;                    // of kOpenPause, before a client tries although it is not
constexpr Duration kQuiet = seconds(45);            // after healing, until everything that was late has come
constexpr int kOpenWaits = 150;   // of kStartPause, until a closed journal must be open again
constexpr int kScrubRounds = 12;  // of the scrubber, until everything must be whole
constexpr size_t kViolationsMax = 8;

// A body in memory that arrives in pieces, and may break off.
class Body final : public store::BodySource {
 public:
  Body(const std::string& bytes, size_t piece, bool breaks) : bytes_(bytes), piece_(piece), breaks_(breaks) {}
  io::Task<Result<size_t>> read(MutableBytes out) override {
    size_t size = std::min({out.size(), piece_, bytes_.size() - at_});
    if (breaks_ && (size == 0 || at_ + size > bytes_.size() / 2))
      co_return fail(Code::invalid, "the body does not match its checksum", "BadDigest");
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), size, out.begin());
    at_ += size;
    if (at_ < bytes_.size()) co_await io::sleep_until(io::Loop::current()->now());
    co_return size;
  }

 private:
  const std::string& bytes_;
  const size_t piece_;
  const bool breaks_;
  size_t at_ = 0;
};

std::string content_of(uint64_t seed, const Op& op) {
  std::string out(op.size, '\0');
  io::Dice dice(seed * 1'000'003 + op.number);
  for (size_t i = 0; i < out.size(); i += 8) {
    const uint64_t v = dice.u64();
    std::memcpy(out.data() + i, &v, std::min<size_t>(8, out.size() - i));
  }
  return out;
}

std::string etag_of(const std::string& bytes) {
  crypto::Md5 md5;
  md5.update(as_bytes(bytes));
  return hex(md5.finish());
}

// How an answer is to be understood.
enum class Meaning { done, refused, unclear };
Meaning meaning(const Error& error) {
  static const std::set<std::string> kUnclear = {"ServiceUnavailable", "SlowDown", "InternalError", ""};
  return kUnclear.contains(error.detail) ? Meaning::unclear : Meaning::refused;
}

class History {
 public:
  History(const Plan& plan, bool trace) : plan_(plan), trace_(trace), world_(plan) {}
  Outcome run();

 private:
  using Pid = uint64_t;

  static io::Task<bool> live(History* self);
  static io::Task<void> operate(History* self);
  static io::Task<void> settle_when_open(History* self, std::shared_ptr<Process> process);
  static io::Task<void> reap(std::shared_ptr<Process> process);
  static io::Task<void> client(History* self, int number);
  static io::Task<void> fade(History* self, Happening h);
  io::Task<std::shared_ptr<Process>> running();
  io::Task<bool> begin_process();
  io::Task<void> audit(std::string when);
  io::Task<void> audit_bucket(std::shared_ptr<Process> p, size_t bucket, std::string when);
  io::Task<void> audit_versions(std::shared_ptr<Process> p, std::string name, std::string when);
  io::Task<bool> settle_down(std::string when);
  io::Task<void> lose_another();
  io::Task<bool> mend_everything();

  io::Task<void> perform(Op op, std::shared_ptr<Process> p);
  io::Task<void> create_bucket(Op op, std::shared_ptr<Process> p);
  io::Task<void> delete_bucket(Op op, std::shared_ptr<Process> p);
  io::Task<void> put(Op op, std::shared_ptr<Process> p);
  io::Task<void> get(Op op, std::shared_ptr<Process> p);
  io::Task<void> head(Op op, std::shared_ptr<Process> p);
  io::Task<void> list(Op op, std::shared_ptr<Process> p);
  io::Task<bool> list_page(Op op, std::shared_ptr<Process> p, store::ListRequest& request);
  io::Task<void> remove(Op op, std::shared_ptr<Process> p);
  io::Task<void> copy(Op op, std::shared_ptr<Process> p);

  void happen(const Happening& h);
  void arm(const Happening& h);
  void disarm();
  void pull_plug();
  void crash_now(Happening::Loss loss);
  Happening crash_of_next_start();
  void unread(const Op& op, Process& p, const std::string& why);
  void lose(Happening::Loss loss);
  void blame(const std::string& island);
  static void on_log(log::Level level, std::string_view name, log::Fields fields);

  void violation(std::string text);
  void note(const std::string& text);
  void said(const Op& op, const std::string& what);
  void count(const Op& op, size_t column) { ++stats_.ops[static_cast<size_t>(op.kind)][column]; }

  // Bookkeeping of events. `begin` makes an event that is open and uncertain; the others close it.
  Oracle::Ref begin(Register& where, Event event, const Op& op, Moment from, Pid process);
  void observe(Register& where, Event event, const Op& op, Moment from);
  void bucket_seen(const Op& op, size_t bucket, bool there, Moment from);
  void settle(Pid before);
  void read_is(const Op& op, size_t bucket, size_t key, const std::string& etag, Moment from);
  static std::vector<Value> contents_of(const Register& past);
  void guess_copies();

  const Plan& plan_;
  const bool trace_;
  World world_;
  Oracle oracle_;
  Stats stats_;
  std::vector<std::string> violations_;
  std::map<std::string, std::string> contents_;         // by ETag
  std::map<std::string, std::string> last_seen_;        // by bucket and key: the ETag of the last answer
  std::vector<std::pair<Pid, Oracle::Ref>> unsettled_;  // uncertain, by the process that was asked
  std::vector<std::pair<Oracle::Ref, const Register*>> unknown_copies_;

  std::shared_ptr<Process> current_;   // that serves
  std::shared_ptr<Process> starting_;  // or is about to
  io::Event changed_;
  bool finished_ = false, stop_wanted_ = false;
  Happening ending_{};              // how the current process ends: what is lost, how long it is down
  std::optional<Happening> armed_;  // the plug to be pulled, or the stop that is wanted
  uint64_t armed_serial_ = 0;
  bool pulled_ = false;
  std::vector<Happening> queue_;  // plugs to pull when the one before is done
  size_t next_happening_ = 0;
  uint32_t begun_ = 0;
  int refused_in_row_ = 0;
  std::string refusal_;
  Code refusal_code_ = Code::internal;
  io::TaskScope clients_, background_;
};

thread_local History* current_history = nullptr;

// ---------------------------------------------------------------------------------------------------------------------- reports

void History::violation(std::string text) {
  if (violations_.size() < kViolationsMax) violations_.push_back(std::move(text));
  note("VIOLATION " + violations_.back());
}

void History::note(const std::string& text) {
  if (!trace_) return;
  auto ms =
      std::chrono::duration_cast<milliseconds>(world_.loop.now().time_since_epoch() - std::chrono::hours(1));
  fmt::print("{:>9} ms  {}\n", ms.count(), text);
  std::fflush(stdout);
}

void History::said(const Op& op, const std::string& what) {
  if (trace_) note(fmt::format("  op {} [{}]: {}", op.number, oracle_.now(), what));
}

void History::on_log(log::Level level, std::string_view name, log::Fields fields) {
  History* self = current_history;
  if (self == nullptr) return;
  if (self->trace_) {
    std::string line = fmt::format("    log {} {}", static_cast<int>(level), name);
    for (const log::Field& field : fields) line += fmt::format(" {}={}", field.key, field.value);
    self->note(line);
  }
  if (name == "journal.open") {
    ++self->stats_.epochs;
    for (const log::Field& field : fields)
      self->stats_.starts_from_snapshots += field.key == "snapshot" && field.value != "0";
  }
  if (name == "journal.snapshot") ++self->stats_.snapshots;
  if (name == "island.lied") {
    std::string island;
    // A put that is slow to be confirmed may be collected before its spot check: here all goes faster than a put's deadline, and nowhere else.
    bool spot_check = false;
    for (const log::Field& field : fields) {
      if (field.key == "island") island = field.value;
      spot_check = spot_check || (field.key == "found_by" && field.value.starts_with("spot check"));
    }
    if (!spot_check) self->blame(island);
  }
}

// Somebody was called a liar.
void History::blame(const std::string& island) {
  ++stats_.lies_named;
  if (plan_.liar >= 0 && island == world_.places[static_cast<size_t>(plan_.liar)]->id()) return;
  violation("an honest island is called a liar: " + island);
}

// ---------------------------------------------------------------------------------------------------------------------- events

Oracle::Ref History::begin(Register& where, Event event, const Op& op, Moment from, Pid process) {
  event.certain = false;
  event.from = from;
  event.op = op.number;
  Oracle::Ref ref = Oracle::add(where, std::move(event));
  unsettled_.emplace_back(process, ref);
  return ref;
}

void History::observe(Register& where, Event event, const Op& op, Moment from) {
  event.from = from;
  event.to = oracle_.tick();
  event.op = op.number;
  Oracle::add(where, std::move(event));
}

// What was asked of processes before `before` happens now or never.
void History::settle(Pid before) {
  const Moment now = oracle_.tick();
  std::erase_if(unsettled_, [&](std::pair<Pid, Oracle::Ref>& entry) {
    if (entry.first >= before) return false;
    if (entry.second->to == kNever) entry.second->to = now;
    return true;
  });
}

void History::bucket_seen(const Op& op, size_t bucket, bool there, Moment from) {
  Event event;
  event.value = there ? kUnread : kAbsent;
  observe(oracle_.bucket(bucket_name(bucket)), event, op, from);
}

void History::read_is(const Op& op, size_t bucket, size_t key, const std::string& etag, Moment from) {
  Event event;
  event.value = oracle_.value_of(etag);
  observe(oracle_.key(bucket_name(bucket), key_name(key)), event, op, from);
  last_seen_[bucket_name(bucket) + "/" + key_name(key)] = etag;
}

// Everything that a key can ever have held.
std::vector<Value> History::contents_of(const Register& past) {
  std::set<Value> out;
  for (const Event& event : past.events) {
    if (event.kind != Event::Kind::write) continue;
    if (event.candidates.empty() && event.value != kAbsent) out.insert(event.value);
    out.insert(event.candidates.begin(), event.candidates.end());
  }
  return {out.begin(), out.end()};
}

// A copy whose outcome is unknown wrote something that its source held, which may itself have come by such a copy.
void History::guess_copies() {
  for (bool more = true; more;) {
    more = false;
    for (auto& [ref, source] : unknown_copies_) {
      std::vector<Value> candidates = contents_of(*source);
      if (std::find(candidates.begin(), candidates.end(), kUnread) == candidates.end())
        candidates.push_back(kUnread);
      more = more || candidates.size() > ref->candidates.size();
      ref->candidates = std::move(candidates);
    }
  }
}

// -------------------------------------------------------------------------------------------------------------- what goes wrong

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
  }
}

// -------------------------------------------------------------------------------------------------------------------- processes

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

// ---------------------------------------------------------------------------------------------------------------------- clients

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
    if (!process->alive()) process = co_await self->running();
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

io::Task<void> History::create_bucket(Op op, std::shared_ptr<Process> p) {
  const std::string name = bucket_name(op.bucket);
  Register& past = oracle_.bucket(name);
  Event event;
  event.kind = Event::Kind::write;
  event.value = kUnread;
  event.condition = Event::Condition::absent;
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Oracle::Ref ref = begin(past, event, op, from, p->number());
  store::CreateBucket request{name, owner_of(op.bucket), is_versioned(plan_.seed, op.bucket), {}};
  if (plan_.placed.buckets[op.bucket] != (op.salt % 2 == 1)) request.policy = kPlacedPolicy;
  Result<void> done = co_await p->store().create_bucket(std::move(request));
  if (!p->alive()) {
    count(op, 3);
    co_return;
  }
  said(op, done ? "ok" : done.error().detail + " " + done.error().message);
  if (done) {
    count(op, 0);
    ref->certain = true;
    ref->to = oracle_.tick();
  } else if (meaning(done.error()) == Meaning::refused && fresh) {
    count(op, 1);
    ref->kind = Event::Kind::read;
    ref->condition = Event::Condition::none;
    ref->certain = true;
    ref->to = oracle_.tick();
    if (done.error().detail != "BucketAlreadyOwnedByYou")
      violation(fmt::format("op {}: create_bucket answers {}", op.number, done.error().detail));
  } else {
    count(op, 2);
  }
}

io::Task<void> History::delete_bucket(Op op, std::shared_ptr<Process> p) {
  const std::string name = bucket_name(op.bucket);
  Register& past = oracle_.bucket(name);
  Event event;
  event.kind = Event::Kind::write;
  event.value = kAbsent;
  event.condition = Event::Condition::present;
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Oracle::Ref ref = begin(past, event, op, from, p->number());
  Result<void> done = co_await p->store().delete_bucket(name);
  if (!p->alive()) {
    count(op, 3);
    co_return;
  }
  said(op, done ? "ok" : done.error().detail + " " + done.error().message);
  if (!done && (meaning(done.error()) == Meaning::unclear || !fresh)) {
    count(op, 2);
    co_return;
  }
  count(op, done ? 0 : 1);
  ref->certain = true;
  ref->to = oracle_.tick();
  if (done) {
    for (size_t key = 0; key < kKeys; ++key) {
      Event empty;
      observe(oracle_.key(name, key_name(key)), empty, op, from);
    }
    co_return;
  }
  ref->kind = Event::Kind::read;
  ref->condition = Event::Condition::none;
  ref->value = done.error().detail == "NoSuchBucket" ? kAbsent : kUnread;
  if (done.error().detail != "NoSuchBucket" && done.error().detail != "BucketNotEmpty")
    violation(fmt::format("op {}: delete_bucket answers {}", op.number, done.error().detail));
}

io::Task<void> History::put(Op op, std::shared_ptr<Process> p) {
  const std::string name = bucket_name(op.bucket), key = key_name(op.key);
  const std::string bytes = content_of(plan_.seed, op);
  const std::string etag = etag_of(bytes);
  contents_.emplace(etag, bytes);
  store::PutRequest request;
  request.bucket = name;
  request.key = key;
  request.metadata["op"] = std::to_string(op.number);
  if (op.salt % 2 == 0) request.length = bytes.size();
  Event event;
  event.kind = Event::Kind::write;
  event.value = oracle_.value_of(etag);
  const std::string seen = last_seen_[name + "/" + key];
  switch (op.condition) {
    case Op::Condition::absent:
      request.conditions.if_none_match = {"*"};
      event.condition = Event::Condition::absent;
      break;
    case Op::Condition::last_seen:
    case Op::Condition::not_last_seen:
    case Op::Condition::never: {
      const std::string wanted =
          seen.empty() || op.condition == Op::Condition::never ? std::string(32, '0') : seen;
      request.conditions.if_match = {wanted};
      event.condition = Event::Condition::is;
      event.of = oracle_.value_of(wanted);
      break;
    }
    case Op::Condition::none:
      break;
  }
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Register& past = oracle_.key(name, key);
  Oracle::Ref ref = begin(past, event, op, from, p->number());
  Body body(bytes, 1 + static_cast<size_t>(op.salt >> 8) % 200'000, op.flag);
  Result<store::ObjectInfo> done = co_await p->store().put(std::move(request), body);
  if (!p->alive()) {
    count(op, 3);
    co_return;
  }
  said(op, done ? "ok v" + std::to_string(event.value) : done.error().detail + " " + done.error().message);
  if (!done && (meaning(done.error()) == Meaning::unclear || !fresh)) {
    count(op, 2);
    co_return;
  }
  count(op, done ? 0 : 1);
  ref->certain = true;
  ref->to = oracle_.tick();
  if (done) {
    if (op.flag) violation(fmt::format("op {}: a body that broke off was stored", op.number));
    if (done->etag != etag || done->size != bytes.size())
      violation(fmt::format("op {}: the answer to a put names another content", op.number));
    last_seen_[name + "/" + key] = etag;
    if (fresh) bucket_seen(op, op.bucket, true, from);
    co_return;
  }
  const std::string& code = done.error().detail;
  ref->kind = Event::Kind::refuse;
  ref->condition = Event::Condition::none;
  if (code == "NoSuchBucket") {
    if (fresh) bucket_seen(op, op.bucket, false, from);
  } else if (code == "NoSuchKey") {
    ref->condition = Event::Condition::absent;
  } else if (code == "PreconditionFailed") {
    ref->condition =
        event.condition == Event::Condition::absent ? Event::Condition::present : Event::Condition::is_not;
  } else if (code != "BadDigest" || !op.flag) {
    violation(fmt::format("op {}: put answers {}", op.number, code));
  }
}

io::Task<void> History::get(Op op, std::shared_ptr<Process> p) {
  const std::string name = bucket_name(op.bucket), key = key_name(op.key);
  store::Conditions conditions;
  const std::string seen = last_seen_[name + "/" + key];
  if (op.condition == Op::Condition::last_seen && !seen.empty()) conditions.if_match = {seen};
  if (op.condition == Op::Condition::not_last_seen && !seen.empty()) conditions.if_none_match = {seen};
  std::optional<store::Store::Range> range;
  if (op.flag && conditions.empty()) {
    range.emplace();
    if (op.salt % 4 != 0) range->first = (op.salt >> 8) % 500 * (op.salt % 16 == 1 ? 400 : 1);
    if (op.salt % 4 != 1) range->last = range->first.value_or(0) + (op.salt >> 24) % 70'000 + 1;
  }
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Result<store::Store::Opened> opened = co_await p->store().get(name, key, range, conditions);
  std::string bytes;
  std::optional<Error> broken;
  if (opened && p->alive()) {
    for (;;) {
      Result<Buffer> piece = co_await opened->reader->read();
      if (!piece) broken = piece.error();
      if (!piece || piece->empty()) break;
      bytes.append(as_text(*piece));
    }
  }
  if (!p->alive()) {
    count(op, 3);
    co_return;
  }
  if (!opened) {
    said(op, opened.error().detail + " " + opened.error().message);
    if (meaning(opened.error()) == Meaning::unclear) {
      count(op, 2);
      unread(op, *p, opened.error().message);
      co_return;
    }
    count(op, 1);
    const std::string& code = opened.error().detail;
    Register& past = oracle_.key(name, key);
    Event event;
    event.kind = Event::Kind::refuse;
    if (code == "NoSuchBucket") {
      if (fresh) bucket_seen(op, op.bucket, false, from);
    } else if (code == "NoSuchKey") {
      if (fresh) bucket_seen(op, op.bucket, true, from);
      if (fresh) read_is(op, op.bucket, op.key, "", from);
    } else if (code == "PreconditionFailed" && !conditions.if_match.empty()) {
      event.condition = Event::Condition::is_not;
      event.of = oracle_.value_of(seen);
      if (fresh) observe(past, event, op, from);
    } else if (code == "NotModified" && !conditions.if_none_match.empty()) {
      event.condition = Event::Condition::is;
      event.of = oracle_.value_of(seen);
      if (fresh) observe(past, event, op, from);
    } else if (code == "InvalidRange" && range) {
      event.condition = Event::Condition::present;
      if (fresh) observe(past, event, op, from);
    } else {
      violation(fmt::format("op {}: get answers {}", op.number, code));
    }
    co_return;
  }
  const store::ObjectInfo& info = opened->reader->info();
  if (fresh) bucket_seen(op, op.bucket, true, from);
  if (fresh) read_is(op, op.bucket, op.key, info.etag, from);
  said(op, fmt::format("v{}, {} bytes{}", oracle_.value_of(info.etag), bytes.size(),
                       broken ? ", broken off: " + broken->message : ""));
  auto content = contents_.find(info.etag);
  if (content == contents_.end()) {
    violation(fmt::format("op {}: get shows content that nobody ever put", op.number));
    co_return;
  }
  const std::string& whole = content->second;
  if (info.size != whole.size() || opened->first + opened->length > whole.size()) {
    violation(fmt::format("op {}: get shows {} bytes instead of {}", op.number, info.size, whole.size()));
    co_return;
  }
  std::string expected = whole.substr(opened->first, opened->length);
  if (broken) {
    count(op, 2);
    unread(op, *p, broken->message);
    if (!expected.starts_with(bytes))
      violation(fmt::format("op {}: wrong bytes before a get broke off", op.number));
    co_return;
  }
  count(op, 0);
  if (!range && opened->length != whole.size())
    violation(fmt::format("op {}: a get without range yields a part", op.number));
  if (bytes != expected) violation(fmt::format("op {}: wrong bytes", op.number));
}

// A read failed. With every island well but one, none may.
void History::unread(const Op& op, Process& p, const std::string& why) {
  if (plan_.calm && p.open())
    violation(fmt::format("op {}: not readable although all islands but one are well: {}", op.number, why));
}

io::Task<void> History::head(Op op, std::shared_ptr<Process> p) {
  const std::string name = bucket_name(op.bucket), key = key_name(op.key);
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Result<store::ObjectInfo> info = co_await p->store().head(name, key, {});
  if (!p->alive()) {
    count(op, 3);
    co_return;
  }
  said(op, info ? fmt::format("v{}", oracle_.value_of(info->etag)) : info.error().detail);
  if (info) {
    count(op, 0);
    if (fresh) read_is(op, op.bucket, op.key, info->etag, from);
    auto content = contents_.find(info->etag);
    if (content == contents_.end() || content->second.size() != info->size)
      violation(fmt::format("op {}: head shows what nobody ever put", op.number));
  } else if (info.error().detail == "NoSuchBucket") {
    count(op, 1);
    if (fresh) bucket_seen(op, op.bucket, false, from);
  } else if (info.error().detail == "NoSuchKey") {
    count(op, 1);
    if (fresh) read_is(op, op.bucket, op.key, "", from);
  } else {
    count(op, 2);
    if (meaning(info.error()) == Meaning::refused)
      violation(fmt::format("op {}: head answers {}", op.number, info.error().detail));
  }
}

io::Task<void> History::list(Op op, std::shared_ptr<Process> p) {
  static const std::string kPrefixes[] = {"", "", "", "a", "a/", "b", "b/", "x"};
  store::ListRequest request;
  request.bucket = bucket_name(op.bucket);
  request.prefix = kPrefixes[op.salt % std::size(kPrefixes)];
  if (op.flag) request.delimiter = "/";
  request.max_keys = op.size;
  for (size_t page = 0; page <= kKeys; ++page) {
    bool more = co_await list_page(op, p, request);
    if (!more) co_return;
  }
  violation(fmt::format("op {}: a listing that does not end", op.number));
}

io::Task<bool> History::list_page(Op op, std::shared_ptr<Process> p, store::ListRequest& request) {
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Result<store::ListResult> got = co_await p->store().list(request);
  if (!p->alive()) {
    count(op, 3);
    co_return false;
  }
  if (!got) {
    said(op, got.error().detail + " " + got.error().message);
    const bool missing = got.error().detail == "NoSuchBucket";
    count(op, missing ? 1 : 2);
    if (missing)
      if (fresh) bucket_seen(op, op.bucket, false, from);
    if (!missing && meaning(got.error()) == Meaning::refused)
      violation(fmt::format("op {}: list answers {}", op.number, got.error().detail));
    co_return false;
  }
  count(op, 0);
  said(op, fmt::format("{} keys, {} prefixes{}", got->entries.size(), got->common_prefixes.size(),
                       got->truncated ? ", truncated" : ""));
  if (got->entries.size() + got->common_prefixes.size() > request.max_keys)
    violation(fmt::format("op {}: a page of too many keys", op.number));
  size_t matched = 0;
  for (size_t k = 0; k < kKeys; ++k) {
    const std::string& key = key_name(k);
    if (!key.starts_with(request.prefix) || key <= request.start_after) continue;
    if (got->truncated && key > got->next && !key.starts_with(got->next)) continue;  // on a later page
    auto entry = std::find_if(got->entries.begin(), got->entries.end(),
                              [&](const store::ListEntry& e) { return e.key == key; });
    const bool shown = entry != got->entries.end();
    matched += shown;
    size_t at =
        request.delimiter.empty() ? std::string::npos : key.find(request.delimiter, request.prefix.size());
    if (at != std::string::npos) {
      const std::string rolled = key.substr(0, at + 1);
      const bool known = rolled == request.start_after ||
                         std::count(got->common_prefixes.begin(), got->common_prefixes.end(), rolled) > 0;
      if (shown) violation(fmt::format("op {}: a key is listed that its prefix stands for", op.number));
      if (fresh && !known && !(got->truncated && rolled > got->next)) read_is(op, op.bucket, k, "", from);
      continue;
    }
    if (got->truncated && key > got->next) continue;
    if (fresh) read_is(op, op.bucket, k, shown ? entry->info.etag : "", from);
    if (shown && contents_.contains(entry->info.etag) &&
        contents_[entry->info.etag].size() != entry->info.size)
      violation(fmt::format("op {}: a listing shows a wrong size", op.number));
  }
  if (matched != got->entries.size())
    violation(fmt::format("op {}: a listing has keys that do not belong there", op.number));
  if (!std::is_sorted(got->entries.begin(), got->entries.end(),
                      [](const store::ListEntry& a, const store::ListEntry& b) { return a.key < b.key; }))
    violation(fmt::format("op {}: a listing out of order", op.number));
  request.start_after = got->next;
  co_return got->truncated;
}

io::Task<void> History::remove(Op op, std::shared_ptr<Process> p) {
  const std::string name = bucket_name(op.bucket);
  std::set<size_t> chosen{op.key};
  for (uint64_t salt = op.salt; salt % 4 == 0 && chosen.size() < 4; salt /= 4)
    chosen.insert((salt >> 8) % kKeys);
  std::vector<std::string> keys;
  std::vector<Oracle::Ref> refs;
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  for (size_t key : chosen) {
    Event event;
    event.kind = Event::Kind::write;
    event.value = kAbsent;
    keys.push_back(key_name(key));
    refs.push_back(begin(oracle_.key(name, key_name(key)), event, op, from, p->number()));
  }
  Result<std::vector<store::DeleteOutcome>> done = co_await p->store().remove(name, keys);
  if (!p->alive()) {
    count(op, 3);
    co_return;
  }
  said(op, done ? "ok" : done.error().detail);
  if (!done) {
    const bool missing = done.error().detail == "NoSuchBucket" && fresh;
    count(op, missing ? 1 : 2);
    if (missing) {
      bucket_seen(op, op.bucket, false, from);
      for (Oracle::Ref& ref : refs) {
        ref->kind = Event::Kind::refuse;
        ref->certain = true;
        ref->to = oracle_.tick();
      }
    }
    co_return;
  }
  if (done->size() != refs.size()) {
    violation(fmt::format("op {}: a delete answers for {} of {} keys", op.number, done->size(), refs.size()));
    co_return;
  }
  size_t unclear = 0;
  for (size_t i = 0; i < refs.size(); ++i) {
    const Result<void>& outcome = (*done)[i].result;
    if (outcome) {
      refs[i]->certain = true;
      refs[i]->to = oracle_.tick();
      last_seen_[name + "/" + keys[i]].clear();
    } else if (outcome.error().detail == "NoSuchBucket" && fresh) {
      refs[i]->kind = Event::Kind::refuse;
      refs[i]->certain = true;
      refs[i]->to = oracle_.tick();
      if (fresh) bucket_seen(op, op.bucket, false, from);
    } else {
      ++unclear;
      said(op, (*done)[i].key + ": " + outcome.error().message);
      if (meaning(outcome.error()) == Meaning::refused && fresh)
        violation(fmt::format("op {}: delete answers {}", op.number, outcome.error().detail));
    }
  }
  count(op, unclear > 0 ? 2 : 0);
}

io::Task<void> History::copy(Op op, std::shared_ptr<Process> p) {
  store::CopyRequest request;
  request.source_bucket = bucket_name(op.bucket);
  request.source_key = key_name(op.key);
  request.bucket = bucket_name(op.to_bucket);
  request.key = key_name(op.to_key);
  const bool itself = request.bucket == request.source_bucket && request.key == request.source_key;
  request.replace_metadata = op.flag || itself;
  request.metadata["op"] = std::to_string(op.number);
  Register& source = oracle_.key(request.source_bucket, request.source_key);
  Register& target = oracle_.key(request.bucket, request.key);
  Event event;
  event.kind = Event::Kind::write;
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Oracle::Ref ref = begin(target, event, op, from, p->number());
  const std::string from_bucket = request.source_bucket, to_bucket = request.bucket;
  Result<store::ObjectInfo> done = co_await p->store().copy(std::move(request));
  const bool known = p->alive() && (done || (meaning(done.error()) == Meaning::refused && fresh));
  if (!known) {
    count(op, p->alive() ? 2 : 3);
    if (p->alive()) said(op, done.error().detail + " " + done.error().message);
    unknown_copies_.emplace_back(ref, &source);
    co_return;
  }
  said(op, done ? fmt::format("ok v{}", oracle_.value_of(done->etag)) : done.error().detail);
  count(op, done ? 0 : 1);
  ref->certain = true;
  ref->to = oracle_.tick();
  if (done) {
    ref->value = oracle_.value_of(done->etag);
    if (fresh) read_is(op, op.bucket, op.key, done->etag, from);
    last_seen_[bucket_name(op.to_bucket) + "/" + key_name(op.to_key)] = done->etag;
    co_return;
  }
  ref->kind = Event::Kind::refuse;
  const std::string& code = done.error().detail;
  if (code == "NoSuchKey") {
    if (fresh) read_is(op, op.bucket, op.key, "", from);
  } else if (code != "NoSuchBucket" && code != "PreconditionFailed") {
    violation(fmt::format("op {}: copy answers {}", op.number, code));
  }
}

// -------------------------------------------------------------------------------------------------------------------- the end

// Everything is mended but for what the liar is: the gateway must come up and open its journal.
io::Task<bool> History::settle_down(std::string when) {
  for (int waits = 0; !current_ || !current_->open(); ++waits) {
    const std::string why = current_ ? current_->closed_because() : refusal_;
    if (waits == kOpenWaits / 3) {
      // A lie about the one copy that decides is no proof of anything: the protocol waits for the island to speak true.
      ++stats_.settled_by_honesty;
      note("the liar speaks true from now on");
      if (plan_.liar < 0)
        violation(when + ": with every island honest and well, the journal does not open: " + why);
      for (auto& place : world_.places) place->stop_lying();
    }
    if (waits == 2 * kOpenWaits / 3 && plan_.liar >= 0) {
      note("the liar is declared lost");
      ++stats_.settled_by_wipe;
      world_.places[static_cast<size_t>(plan_.liar)]->wipe();
    }
    if (waits >= kOpenWaits) {
      violation(when + ": the journal does not open although all islands but one are well: " + why);
      co_return false;
    }
    co_await io::sleep_until(world_.loop.now() + kStartPause);
  }
  co_return true;
}

io::Task<void> History::audit(std::string when) {
  bool ready = co_await settle_down(when);
  if (!ready) co_return;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    std::shared_ptr<Process> p = co_await running();
    Process::Use use(*p);
    co_await audit_bucket(p, bucket, when);
  }
  if (!current_ || !current_->open()) co_return;
  Process::Extents extents = current_->extents();
  stats_.placed_extents += extents.placed;
  stats_.other_extents += extents.elsewhere;
  for (std::string& stray : extents.strays) violation(when + ": " + stray);
}

io::Task<void> History::audit_bucket(std::shared_ptr<Process> p, size_t bucket, std::string when) {
  Op op{};
  op.number = static_cast<uint32_t>(plan_.ops.size());
  op.bucket = static_cast<uint8_t>(bucket);
  op.kind = Op::Kind::list;
  op.size = 1000;
  co_await list(op, p);
  op.kind = Op::Kind::get;
  for (size_t key = 0; key < kKeys; ++key) {
    op.key = static_cast<uint8_t>(key);
    const uint64_t unclear = stats_.ops[static_cast<size_t>(Op::Kind::get)][2];
    co_await get(op, p);
    if (stats_.ops[static_cast<size_t>(Op::Kind::get)][2] != unclear)
      violation(when + ": " + bucket_name(bucket) + "/" + key_name(key) +
                " cannot be read although all islands but one are well");
  }
  if (is_versioned(plan_.seed, bucket)) co_await audit_versions(p, bucket_name(bucket), when);
}

// Every version that is listed is some body that was put, whole; and what the bucket is said to keep is what it keeps.
io::Task<void> History::audit_versions(std::shared_ptr<Process> p, std::string name, std::string when) {
  store::ListVersionsRequest page{name, "", "", "", "", 7};
  store::Usage listed;
  for (bool more = true; more;) {
    Result<store::ListVersionsResult> got = co_await p->store().list_versions(page);
    if (!got || !p->alive()) co_return;
    for (const store::ListEntry& entry : got->entries) {
      ++listed.versions;
      listed.bytes += entry.info.size;
      if (entry.info.delete_marker) continue;
      store::Store::GetRequest request;
      request.what.bucket = name;
      request.what.key = entry.key;
      request.what.version = entry.info.version;
      Result<store::Store::Opened> opened = co_await p->store().get(std::move(request));
      std::string bytes;
      bool whole = opened.has_value();
      while (whole) {
        Result<Buffer> piece = co_await opened->reader->read();
        whole = piece.has_value();
        if (!whole || piece->empty()) break;
        bytes.append(as_text(*piece));
      }
      if (!p->alive()) co_return;
      const auto known = contents_.find(entry.info.etag);
      if (!whole || known == contents_.end() || known->second != bytes)
        violation(when + ": version " + entry.info.version + " of " + name + "/" + entry.key +
                  (whole ? " has bytes that nobody put" : " cannot be read"));
    }
    more = got->truncated;
    page.key_marker = got->next_key;
    page.version_marker = got->next_version;
  }
  Result<store::Usage> usage = co_await p->store().bucket_usage(name);
  if (!usage || !p->alive()) co_return;
  if (usage->bytes != listed.bytes || usage->versions != listed.versions)
    violation(fmt::format("{}: {} is said to keep {} bytes in {} versions, and keeps {} in {}", when, name,
                          usage->bytes, usage->versions, listed.bytes, listed.versions));
}

// Passes of the scrubber until one finds everything whole.
io::Task<bool> History::mend_everything() {
  std::string left;
  for (int round = 0; round < kScrubRounds; ++round) {
    std::shared_ptr<Process> process = co_await running();
    Process::Use use(*process);
    Result<store::ScrubReport> report = co_await process->scrub();
    if (report && report->whole()) co_return true;
    left = report ? (report->failures.empty() ? "?" : report->failures.front()) : report.error().message;
    note("not whole yet: " + left);
    co_await io::sleep_until(world_.loop.now() + kStartPause);
  }
  violation("all islands are well, and yet not everything can be mended: " + left);
  co_return false;
}

// With everything mended, what is promised holds anew: another island may be wiped, and DIR with it.
io::Task<void> History::lose_another() {
  for (auto& place : world_.places) place->stop_lying();
  for (auto& place : world_.places) {
    if (!place->marker()) co_return;  // lost for good, since wiped islands are not rejoined here
  }
  bool ready = co_await settle_down("before mending");
  if (!ready) co_return;
  bool whole = co_await mend_everything();
  if (!whole) co_return;
  ++stats_.second_losses;
  const size_t n = world_.places.size();
  const size_t other = (static_cast<size_t>(plan_.liar + 1) + world_.dice.pick(n - 1)) % n;
  note("--- everything is mended; " + world_.places[other]->id() + " is wiped");
  world_.places[other]->wipe();
  co_await audit("after mending and the loss of another island");
  if (!violations_.empty()) co_return;
  crash_now(Happening::Loss::dir);
  co_await audit("after mending and the loss of another island and DIR");
}

// The machine, at once.
void History::crash_now(Happening::Loss loss) {
  Happening last{};
  last.kind = Happening::Kind::crash;
  last.machine = true;
  last.loss = loss;
  disarm();
  armed_ = last;
  pull_plug();
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
  current_history = this;
  log::set_sink(on_log);
  world_.loop.set_turns_max(kTurnsMax);
  std::optional<bool> done = io::run_sim(world_.loop, [this] { return live(this); });
  current_history = nullptr;
  stats_.histories = 1;
  stats_.turns = world_.loop.turns();
  stats_.virtual_ms = static_cast<uint64_t>(
      std::chrono::duration_cast<milliseconds>(world_.loop.now().time_since_epoch() - std::chrono::hours(1))
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

}  // namespace

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
