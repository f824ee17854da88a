// What was seen, as events of the oracle and as lines of a trace.
#include "sim/history_impl.h"

namespace archipel::sim {
namespace {

constexpr size_t kViolationsMax = 8;

}  // namespace

Meaning meaning(const Error& error) {
  static const std::set<std::string> kUnclear = {"ServiceUnavailable", "SlowDown", "InternalError", ""};
  return kUnclear.contains(error.detail) ? Meaning::unclear : Meaning::refused;
}

thread_local History* History::running_ = nullptr;

void History::violation(std::string text) {
  if (violations_.size() < kViolationsMax) violations_.push_back(std::move(text));
  note("VIOLATION " + violations_.back());
}

void History::note(const std::string& text) {
  if (!trace_) return;
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(world_.loop.now().time_since_epoch() -
                                                                  std::chrono::hours(1));
  fmt::print("{:>9} ms  {}\n", ms.count(), text);
  std::fflush(stdout);
}

void History::said(const Op& op, const std::string& what) {
  if (trace_) note(fmt::format("  op {} [{}]: {}", op.number, oracle_.now(), what));
}

void History::on_log(log::Level level, std::string_view name, log::Fields fields) {
  History* self = running_;
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

}  // namespace archipel::sim
