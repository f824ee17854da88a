#include "sim/plan.h"

#include <algorithm>

#include "io/sim/sim_loop.h"

namespace archipel::sim {
namespace {

using io::Dice;
using island::Fault;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint32_t kSmallMax = 131072;

uint32_t pick_size(Dice& dice, bool large_bodies) {
  const uint64_t kind = dice.pick(1000);
  if (kind < 30) return 0;
  const uint64_t large = large_bodies ? 120 : 12;
  if (kind < 30 + large) return kSmallMax + 1 + static_cast<uint32_t>(dice.pick(300'000));
  if (kind < 70 + large) {
    static constexpr uint32_t kEdges[] = {65535, 65536, 65537, 131071, 131072, 131073};
    return kEdges[dice.pick(std::size(kEdges))];
  }
  if (kind < 110 + large) return static_cast<uint32_t>(dice.pick(70'000));
  return 8 + static_cast<uint32_t>(dice.pick(400));
}

Op::Kind pick_kind(Dice& dice) {
  const uint64_t kind = dice.pick(100);
  if (kind < 3) return Op::Kind::create_bucket;
  if (kind < 5) return Op::Kind::delete_bucket;
  if (kind < 42) return Op::Kind::put;
  if (kind < 62) return Op::Kind::get;
  if (kind < 68) return Op::Kind::head;
  if (kind < 76) return Op::Kind::list;
  if (kind < 88) return Op::Kind::remove;
  return Op::Kind::copy;
}

Op::Condition pick_condition(Dice& dice, Op::Kind kind) {
  if (kind == Op::Kind::put && dice.chance(1, 3)) {
    static constexpr Op::Condition kOf[] = {Op::Condition::absent, Op::Condition::absent,
                                            Op::Condition::last_seen, Op::Condition::last_seen,
                                            Op::Condition::never};
    return kOf[dice.pick(std::size(kOf))];
  }
  if ((kind == Op::Kind::get || kind == Op::Kind::head) && dice.chance(1, 6))
    return dice.chance(1, 2) ? Op::Condition::last_seen : Op::Condition::not_last_seen;
  return Op::Condition::none;
}

Op make_op(Dice& dice, uint32_t number, int clients, bool large_bodies, uint64_t hot_keys) {
  Op op{};
  op.kind = pick_kind(dice);
  op.number = number;
  op.client = static_cast<uint8_t>(dice.pick(static_cast<uint64_t>(clients)));
  op.bucket = static_cast<uint8_t>(dice.chance(3, 4) ? 0 : dice.pick(kBuckets));
  op.key = static_cast<uint8_t>(dice.pick(hot_keys));
  op.to_bucket = static_cast<uint8_t>(dice.chance(3, 4) ? 0 : dice.pick(kBuckets));
  op.to_key = static_cast<uint8_t>(dice.pick(hot_keys));
  op.condition = pick_condition(dice, op.kind);
  op.size = op.kind == Op::Kind::list ? static_cast<uint32_t>(dice.chance(1, 2) ? 1000 : 1 + dice.pick(4))
                                      : pick_size(dice, large_bodies);
  op.flag = op.kind == Op::Kind::put ? dice.chance(1, 40) : dice.chance(1, 3);
  // The last bucket goes more easily than the first, in which nearly everything happens.
  if (op.kind == Op::Kind::delete_bucket) op.bucket = static_cast<uint8_t>(1 + dice.pick(kBuckets - 1));
  op.salt = dice.u64();
  op.think = dice.chance(1, 2) ? Duration(0) : dice.between(Duration(0), milliseconds(40));
  return op;
}

Duration how_long(Dice& dice) {
  return dice.chance(1, 4) ? dice.between(seconds(1), seconds(20))
                           : dice.between(milliseconds(20), seconds(2));
}

Happening honest_fault(Dice& dice, int islands) {
  static constexpr Fault kKinds[] = {
      Fault::delay, Fault::lose_request, Fault::lose_reply, Fault::reorder,  Fault::partition,
      Fault::down,  Fault::throttle,     Fault::slow_disk,  Fault::no_space, Fault::io_error};
  Happening h{};
  h.kind = Happening::Kind::fault;
  h.island = static_cast<uint8_t>(dice.pick(static_cast<uint64_t>(islands)));
  h.fault = kKinds[dice.pick(std::size(kKinds))];
  static constexpr uint32_t kRates[] = {30, 200, 500, 1000};
  h.per_mille = kRates[dice.pick(std::size(kRates))];
  // What lasts is what happens to nearly everything: less would be noise, not an outage.
  if (h.fault == Fault::partition || h.fault == Fault::down) h.per_mille = 1000;
  h.lasts = how_long(dice);
  return h;
}

Happening lie(Dice& dice, uint8_t liar) {
  static constexpr Fault kKinds[] = {Fault::lost_fsync, Fault::forget,  Fault::flip,
                                     Fault::truncate,   Fault::foreign, Fault::stale,
                                     Fault::hide,       Fault::invent,  Fault::torn_write};
  Happening h{};
  h.kind = Happening::Kind::fault;
  h.island = liar;
  h.fault = kKinds[dice.pick(std::size(kKinds))];
  static constexpr uint32_t kRates[] = {50, 300, 1000};
  h.per_mille = kRates[dice.pick(std::size(kRates))];
  h.lasts = dice.chance(1, 3) ? Duration::max() : how_long(dice);  // to the end, or for a while
  return h;
}

Happening crash(Dice& dice, bool plug_pulled) {
  Happening h{};
  h.kind = plug_pulled ? Happening::Kind::crash : Happening::Kind::restart;
  h.where = static_cast<Happening::Where>(dice.pick(3));
  static constexpr uint64_t kRanges[] = {600, 12, 40};
  h.count = 1 + dice.pick(kRanges[static_cast<size_t>(h.where)]);
  h.machine = plug_pulled && dice.chance(1, 3);
  h.again = plug_pulled && dice.chance(1, 2) ? static_cast<int>(1 + dice.pick(3)) : 0;
  static constexpr Happening::Loss kLosses[] = {
      Happening::Loss::none, Happening::Loss::none, Happening::Loss::none, Happening::Loss::none,
      Happening::Loss::view, Happening::Loss::view, Happening::Loss::dir,  Happening::Loss::damaged_view};
  h.loss = kLosses[dice.pick(std::size(kLosses))];
  h.lasts = dice.chance(1, 3) ? dice.between(Duration(0), seconds(40)) : Duration(0);  // until the next start
  return h;
}

// So many islands at once that nothing can be acknowledged, for long enough now and then that a commit misses its deadline.
void add_outage(Dice& dice, Plan& plan, size_t ops) {
  const int n = plan.code.n, fewest = n - plan.code.w() + 1;
  int left = fewest + static_cast<int>(dice.pick(static_cast<uint64_t>(n - fewest + 1)));
  Happening h{};
  h.kind = Happening::Kind::fault;
  h.at_op = static_cast<uint32_t>(dice.pick(ops));
  h.fault = dice.chance(1, 2) ? Fault::partition : Fault::no_space;
  h.per_mille = 1000;
  const Duration about = dice.chance(1, 3) ? seconds(40) : seconds(3);
  const auto first = dice.pick(static_cast<uint64_t>(n));
  for (uint64_t i = 0; left > 0; ++i, --left) {
    h.island = static_cast<uint8_t>((first + i) % static_cast<uint64_t>(n));
    h.lasts = about + dice.between(Duration(0), seconds(3));
    plan.happenings.push_back(h);
  }
}

void add_lies(Dice& dice, Plan& plan, size_t ops, const auto& add) {
  const auto liar = static_cast<uint8_t>(plan.liar);
  for (uint64_t n = 1 + dice.pick(3); n > 0; --n) add(lie(dice, liar));
  Happening event{};
  event.island = liar;
  switch (dice.pick(5)) {
    case 0:
      event.kind = Happening::Kind::wipe;
      add(event);
      break;
    case 1:
      event.kind = Happening::Kind::rot;
      event.count = 1 + dice.pick(200);
      add(event);
      break;
    case 2: {
      event.kind = Happening::Kind::remember;
      add(event);
      event.kind = Happening::Kind::roll_back;
      event.at_op = plan.happenings.back().at_op + static_cast<uint32_t>(1 + dice.pick(ops / 2));
      plan.happenings.push_back(event);
      break;
    }
    default:
      break;
  }
  event.kind = Happening::Kind::power_cut;
  add(event);
}

// In every fourth history somebody copies DIR while a gateway runs, and after a later end puts the copy back: an old backup, a disk set back to
// a snapshot. With dice of its own, so that what else happens under a seed does not depend on it.
void add_old_dir(uint64_t seed, Plan& plan, size_t ops) {
  Dice dice(seed ^ 0x01d'd12'c0f1e5u);
  if (!dice.chance(1, 4)) return;
  Happening copy{};
  copy.kind = Happening::Kind::copy_dir;
  copy.at_op = static_cast<uint32_t>(dice.pick(ops));
  bool used = false;
  for (Happening& h : plan.happenings) {
    const bool end = h.kind == Happening::Kind::crash || h.kind == Happening::Kind::restart;
    if (!end || h.loss != Happening::Loss::none || h.at_op < copy.at_op) continue;
    h.loss = Happening::Loss::old_dir;
    h.elsewhere = dice.chance(1, 3);
    used = true;
  }
  if (used) plan.happenings.push_back(copy);
}

// Clients that are slow in the middle of something: epochs close and collectors run while they hold what they have begun. With dice of its own.
void add_pauses(uint64_t seed, Plan& plan) {
  Dice dice(seed ^ 0x51'0e'c11e'47u);
  for (Op& op : plan.ops) {
    const bool body = op.kind == Op::Kind::put && op.size > 0;
    const bool large = body && op.size > kSmallMax;
    if (!large && !body && op.kind != Op::Kind::get) continue;
    if (!dice.chance(1, large ? 2 : 16)) continue;
    op.pause =
        dice.chance(1, 3) ? dice.between(seconds(2), seconds(40)) : dice.between(milliseconds(1), seconds(2));
  }
  if (dice.chance(1, 4)) plan.metadata_bytes = 1500;
}

// With dice of its own, so that what else happens under a seed does not depend on it.
Placed make_placed(uint64_t seed, erasure::Code journal) {
  Dice dice(seed ^ 0xb0d1e5'0f'c1a55e5u);
  static constexpr erasure::Code kCodes[] = {{4, 2}, {5, 3}, {6, 3}};
  Placed placed;
  do placed.code = kCodes[dice.pick(std::size(kCodes))];
  while (placed.code.n > journal.n);
  std::vector<uint8_t> islands;
  for (int i = 0; i < journal.n; ++i) islands.push_back(static_cast<uint8_t>(i));
  placed.homes.clear();
  for (int i = 0; i < placed.code.n; ++i) {
    const auto at = static_cast<std::ptrdiff_t>(dice.pick(islands.size()));
    placed.homes.push_back(islands[static_cast<size_t>(at)]);
    islands.erase(islands.begin() + at);
  }
  placed.in_commits = dice.chance(1, 4);
  for (bool& bucket : placed.buckets) bucket = dice.chance(1, 2);
  return placed;
}

}  // namespace

std::string bucket_name(size_t bucket) {
  return "bucket-" + std::to_string(bucket);
}
std::string owner_of(size_t bucket) {
  return std::string(64, bucket + 1 == kBuckets ? 'b' : 'a');
}
const std::string& key_name(size_t key) {
  static const std::string kNames[kKeys] = {"a", "a/b", "a/c/d", "a0", "b/", "b/\xc3\xa9", "c", "z"};
  return kNames[key];
}

std::string to_string(Op::Kind kind) {
  static constexpr const char* kNames[kOpKinds] = {"create_bucket", "delete_bucket", "put",    "get",
                                                   "head",          "list",          "remove", "copy"};
  return kNames[static_cast<size_t>(kind)];
}

std::string describe(const Op& op) {
  static constexpr const char* kConditions[] = {"", " if-absent", " if-last-seen", " if-never",
                                                " if-not-last-seen"};
  std::string out = "op " + std::to_string(op.number) + " client " + std::to_string(op.client) + ": " +
                    to_string(op.kind) + " " + bucket_name(op.bucket);
  const bool keyed =
      op.kind != Op::Kind::create_bucket && op.kind != Op::Kind::delete_bucket && op.kind != Op::Kind::list;
  if (keyed) out += "/" + key_name(op.key);
  if (op.kind == Op::Kind::put) out += " of " + std::to_string(op.size) + " bytes";
  if (op.kind == Op::Kind::put && op.flag) out += ", breaking off";
  if (op.kind == Op::Kind::get && op.flag) out += " (range)";
  if (op.kind == Op::Kind::list) out += " by " + std::to_string(op.size) + (op.flag ? " with delimiter" : "");
  if (op.kind == Op::Kind::copy) out += " to " + bucket_name(op.to_bucket) + "/" + key_name(op.to_key);
  return out + kConditions[static_cast<size_t>(op.condition)];
}

std::string describe(const Happening& h) {
  static constexpr const char* kKinds[] = {"fault",    "crash",     "restart",   "wipe",       "rot",
                                           "remember", "roll_back", "power_cut", "clock_step", "copy of DIR"};
  static constexpr const char* kWhere[] = {"turns", "disk writes", "blobs"};
  static constexpr const char* kLosses[] = {"", ", index lost", ", index damaged", ", DIR lost",
                                            ", DIR set back"};
  std::string out = "at op " + std::to_string(h.at_op) + ": " + kKinds[static_cast<size_t>(h.kind)];
  auto ms = std::chrono::duration_cast<milliseconds>(h.lasts).count();
  if (h.kind == Happening::Kind::fault) {
    out += " " + std::string(island::to_string(h.fault)) + " " + std::to_string(h.per_mille) +
           " per mille on island-" + std::to_string(h.island) +
           (h.lasts == Duration::max() ? " to the end" : " for " + std::to_string(ms) + " ms");
  } else if (h.kind == Happening::Kind::crash || h.kind == Happening::Kind::restart) {
    if (h.kind == Happening::Kind::crash)
      out += std::string(" of the ") + (h.machine ? "machine" : "process") + " after " +
             std::to_string(h.count) + " " + kWhere[static_cast<size_t>(h.where)];
    out += std::string(kLosses[static_cast<size_t>(h.loss)]) + (h.elsewhere ? " elsewhere" : "") +
           ", down for " + std::to_string(ms) + " ms";
  } else if (h.kind != Happening::Kind::clock_step && h.kind != Happening::Kind::copy_dir) {
    out += " on island-" + std::to_string(h.island);
  }
  return out;
}

std::string describe(const Placed& placed) {
  std::string out =
      "placed: " + std::to_string(placed.code.k) + " of " + std::to_string(placed.code.n) + " on islands";
  for (uint8_t home : placed.homes) out += " " + std::to_string(home);
  out += placed.in_commits ? ", small bodies in commits; buckets" : "; buckets";
  for (size_t i = 0; i < kBuckets; ++i)
    if (placed.buckets[i]) out += " " + bucket_name(i);
  return out;
}

Plan make_plan(uint64_t seed, size_t ops) {
  Dice dice(seed ^ 0x5eed'0f'a'71a'2026u);
  Plan plan;
  plan.seed = seed;
  static constexpr erasure::Code kCodes[] = {{4, 2}, {5, 3}, {6, 3}};
  plan.code = kCodes[dice.pick(std::size(kCodes))];
  plan.placed = make_placed(seed, plan.code);
  plan.in_flight = static_cast<int>(dice.chance(1, 2) ? 2 : 1 + dice.pick(8));
  plan.clients = static_cast<int>(1 + dice.pick(6));
  plan.liar = dice.chance(3, 4) ? static_cast<int>(dice.pick(static_cast<uint64_t>(plan.code.n))) : -1;
  plan.lies_at_end = dice.chance(1, 2);
  plan.calm = plan.liar >= 0 && dice.chance(1, 3);
  plan.liar_wiped = plan.liar >= 0 && dice.chance(1, 2);
  plan.rejoin_wiped = dice.chance(2, 3);
  plan.slow_soft = dice.chance(1, 4);
  plan.extent_plain = static_cast<uint64_t>(plan.code.k) * 65536 * (1 + dice.pick(2));
  // In every second history the background is busy all the time.
  const bool busy = dice.chance(1, 2);
  plan.collect_every =
      busy ? dice.between(milliseconds(200), seconds(5)) : dice.between(seconds(10), seconds(40));
  plan.grace = dice.chance(1, 2) ? Duration(0) : dice.between(milliseconds(1), seconds(5));
  plan.delete_again = dice.between(seconds(1), seconds(20));
  plan.truncation_delay = dice.chance(1, 2) ? Duration(0) : dice.between(milliseconds(1), seconds(20));
  plan.compact_every =
      busy ? dice.between(milliseconds(500), seconds(10)) : dice.between(seconds(10), seconds(40));
  plan.snapshot_commits = busy ? 2 + dice.pick(40) : 40 + dice.pick(100);
  plan.slot_commits = 1 + dice.pick(30);
  plan.live_percent_max = dice.chance(1, 2) ? 50 : 99;
  plan.scrub = dice.chance(1, 2);
  plan.scrub_tick = dice.between(milliseconds(20), seconds(1));
  const bool large = dice.chance(1, 8);
  const uint64_t keys = dice.chance(1, 2) ? 3 : kKeys;
  for (size_t i = 0; i < ops; ++i)
    plan.ops.push_back(make_op(dice, static_cast<uint32_t>(i), plan.clients, large, keys));

  auto add = [&](Happening h) {
    h.at_op = static_cast<uint32_t>(dice.pick(ops));
    plan.happenings.push_back(h);
  };
  add(crash(dice, true));
  for (uint64_t n = dice.pick(3); n > 0; --n) add(crash(dice, dice.chance(4, 5)));
  for (uint64_t n = plan.calm ? 0 : 1 + dice.pick(5); n > 0; --n) add(honest_fault(dice, plan.code.n));
  if (!plan.calm && dice.chance(1, 3)) add_outage(dice, plan, ops);
  if (plan.liar >= 0) add_lies(dice, plan, ops, add);
  if (dice.chance(1, 4)) {
    Happening step{};
    step.kind = Happening::Kind::clock_step;
    step.count = dice.u64();
    add(step);
  }
  add_old_dir(seed, plan, ops);
  add_pauses(seed, plan);
  // Stable without the library's temporary buffer.
  std::vector<Happening> sorted;
  for (const Happening& h : plan.happenings) {
    auto at = std::upper_bound(sorted.begin(), sorted.end(), h,
                               [](const Happening& x, const Happening& y) { return x.at_op < y.at_op; });
    sorted.insert(at, h);
  }
  plan.happenings = std::move(sorted);
  return plan;
}

}  // namespace archipel::sim
