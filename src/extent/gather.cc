#include "extent/gather.h"

#include <algorithm>
#include <optional>

namespace archipel::extent {

Gather::Gather(ExtentRef ref, uint64_t offset, uint64_t length, std::vector<int> order, size_t preferred)
    : ref_(ref), offset_(offset), length_(length), order_(std::move(order)), preferred_(preferred) {
  CHECK(length > 0 && offset + length <= ref_.geometry.length);
  CHECK(order_.size() == static_cast<size_t>(ref_.geometry.code.n) && preferred_ <= order_.size());
  first_cell_ = offset / ref_.geometry.cell_bytes;
  last_cell_ = (offset + length - 1) / ref_.geometry.cell_bytes;
}

bool Gather::needed(int shard, uint64_t stripe) const {
  const auto k = static_cast<uint64_t>(ref_.geometry.code.k);
  uint64_t c = stripe * k + static_cast<uint64_t>(shard);
  return static_cast<uint64_t>(shard) < k && c >= first_cell_ && c <= last_cell_;
}

std::vector<CellRun> Gather::first_runs() const {
  const auto k = static_cast<uint64_t>(ref_.geometry.code.k);
  std::vector<CellRun> runs;
  for (size_t i = 0; i < preferred_; ++i) {
    auto shard = static_cast<uint64_t>(order_[i]);
    if (shard >= k) continue;
    // Stripes s with first_cell_ <= s * k + shard <= last_cell_.
    if (last_cell_ < shard) continue;
    uint64_t first = first_cell_ <= shard ? 0 : (first_cell_ - shard + k - 1) / k;
    uint64_t last = (last_cell_ - shard) / k;
    if (first <= last) runs.push_back({order_[i], first, last});
  }
  return runs;
}

Fetch* Gather::add(CellRun run, TimePoint slow_at) {
  Fetch& fetch = fetches_.emplace_back();
  fetch.run = run;
  fetch.slow_at = slow_at;
  return &fetch;
}

bool Gather::on_course(TimePoint now) const {
  uint64_t cells = 0;
  for (const Fetch& fetch : fetches_) {
    bool well = fetch.pending ? now < fetch.slow_at
                              : std::find(fetch.good.begin(), fetch.good.end(), false) == fetch.good.end();
    if (!well || !needed(fetch.run.shard, fetch.run.first) || !needed(fetch.run.shard, fetch.run.last))
      return false;
    cells += fetch.run.last - fetch.run.first + 1;
  }
  // Exactly: the first runs do not overlap, and anything asked besides them would make it more.
  return cells == last_cell_ - first_cell_ + 1;
}

Gather::State Gather::state(int shard, uint64_t stripe, TimePoint now) const {
  if (ref_.geometry.cell_on_shard(stripe, shard) == 0) return State::good;
  State best = State::unasked;
  for (const Fetch& fetch : fetches_) {
    if (fetch.run.shard != shard) continue;
    // An island that gave no answer for some of a blob's cells is not asked for others.
    if (!fetch.pending && fetch.bytes.empty()) best = std::max(best, State::bad);
    if (stripe < fetch.run.first || stripe > fetch.run.last) continue;
    State here = State::bad;
    if (fetch.pending)
      here = now >= fetch.slow_at ? State::slow : State::pending;
    else if (fetch.good[stripe - fetch.run.first])
      here = State::good;
    best = std::max(best, here);
  }
  return best;
}

std::vector<CellRun> Gather::next_runs(TimePoint now, bool hedge) const {
  const Geometry& g = ref_.geometry;
  const auto k = static_cast<uint64_t>(g.code.k);
  std::vector<std::optional<CellRun>> by_shard(static_cast<size_t>(g.code.n));
  for (uint64_t stripe = first_cell_ / k; stripe <= last_cell_ / k; ++stripe) {
    int known = 0;
    bool wanting = false;
    std::vector<State> states;
    for (int shard = 0; shard < g.code.n; ++shard) {
      State s = state(shard, stripe, now);
      if (s == State::slow && !hedge) s = State::pending;
      states.push_back(s);
      if (s >= State::pending)
        ++known;
      else if (needed(shard, stripe))
        wanting = true;
    }
    if (!wanting) continue;
    for (int shard : order_) {
      if (known >= g.code.k) break;
      if (states[static_cast<size_t>(shard)] != State::unasked) continue;
      auto& run = by_shard[static_cast<size_t>(shard)];
      if (!run) run = CellRun{shard, stripe, stripe};
      run->last = stripe;
      ++known;
    }
  }
  std::vector<CellRun> runs;
  for (auto& run : by_shard) {
    if (run) runs.push_back(*run);
  }
  return runs;
}

const Fetch* Gather::good_fetch(int shard, uint64_t stripe) const {
  for (const Fetch& fetch : fetches_) {
    bool covers = fetch.run.shard == shard && stripe >= fetch.run.first && stripe <= fetch.run.last;
    if (covers && !fetch.pending && fetch.good[stripe - fetch.run.first]) return &fetch;
  }
  return nullptr;
}

std::vector<GoodCell> Gather::good_cells(uint64_t stripe) const {
  const Geometry& g = ref_.geometry;
  std::vector<GoodCell> good;
  for (int shard = 0; shard < g.code.n && good.size() < static_cast<size_t>(g.code.k); ++shard) {
    const Fetch* fetch = good_fetch(shard, stripe);
    if (fetch != nullptr)
      good.push_back({shard, cell_payload(g, fetch->run, fetch->bytes, stripe)});
    else if (g.cell_on_shard(stripe, shard) == 0)
      good.push_back({shard, {}});
  }
  return good;
}

bool Gather::stripe_complete(uint64_t stripe) const {
  bool direct = true;
  for (int shard = 0; shard < ref_.geometry.code.k; ++shard) {
    if (needed(shard, stripe) && good_fetch(shard, stripe) == nullptr) direct = false;
  }
  return direct || good_cells(stripe).size() >= static_cast<size_t>(ref_.geometry.code.k);
}

bool Gather::complete() const {
  const auto k = static_cast<uint64_t>(ref_.geometry.code.k);
  for (uint64_t stripe = first_cell_ / k; stripe <= last_cell_ / k; ++stripe) {
    if (!stripe_complete(stripe)) return false;
  }
  return true;
}

bool Gather::hopeless() const {
  const Geometry& g = ref_.geometry;
  const auto k = static_cast<uint64_t>(g.code.k);
  for (uint64_t stripe = first_cell_ / k; stripe <= last_cell_ / k; ++stripe) {
    if (stripe_complete(stripe)) continue;
    int possible = 0;
    bool needed_pending = false;
    for (int shard = 0; shard < g.code.n; ++shard) {
      State s = state(shard, stripe, TimePoint::max());
      if (s != State::bad) ++possible;
      if (needed(shard, stripe) && (s == State::bad || s == State::unasked)) needed_pending = true;
    }
    // Data cells alone suffice when all that are needed may still come, however few others there are.
    if (needed_pending && possible < g.code.k) return true;
  }
  return false;
}

TimePoint Gather::next_slow_at(TimePoint now) const {
  TimePoint next = kNoDeadline;
  for (const Fetch& fetch : fetches_) {
    if (fetch.pending && fetch.slow_at > now) next = std::min(next, fetch.slow_at);
  }
  return next;
}

bool Gather::any_pending() const {
  return std::any_of(fetches_.begin(), fetches_.end(), [](const Fetch& f) { return f.pending; });
}

Gather::Slice Gather::slice(uint64_t c) const {
  uint64_t start = c * ref_.geometry.cell_bytes;
  uint64_t end = start + ref_.geometry.data_cell_bytes(c);
  uint64_t from = std::max(start, offset_), to = std::min(end, offset_ + length_);
  return {from - offset_, from - start, to - from};
}

Gather::Assembly Gather::assembly() const {
  const Geometry& g = ref_.geometry;
  const auto k = static_cast<uint64_t>(g.code.k);
  Assembly out;
  for (uint64_t c = first_cell_; c <= last_cell_; ++c) {
    uint64_t stripe = c / k;
    int shard = static_cast<int>(c % k);
    const Fetch* fetch = good_fetch(shard, stripe);
    if (fetch != nullptr) {
      Slice s = slice(c);
      out.copies.push_back({s.to, cell_payload(g, fetch->run, fetch->bytes, stripe).subspan(s.from, s.size)});
      continue;
    }
    if (out.rebuilds.empty() || out.rebuilds.back().stripe != stripe)
      out.rebuilds.push_back({stripe, good_cells(stripe), {}});
    out.rebuilds.back().wanted.push_back(shard);
  }
  return out;
}

Buffer Gather::assemble(const Assembly& assembly, const erasure::Coder* coder) const {
  const Geometry& g = ref_.geometry;
  Buffer out(length_);
  for (const auto& copy : assembly.copies)
    std::memcpy(out.data() + copy.to, copy.from.data(), copy.from.size());
  for (const auto& rebuild : assembly.rebuilds) {
    CHECK(coder != nullptr);
    std::vector<Buffer> cells = rebuild_cells(*coder, g, rebuild.stripe, rebuild.good, rebuild.wanted);
    for (size_t i = 0; i < cells.size(); ++i) {
      Slice s =
          slice(rebuild.stripe * static_cast<uint64_t>(g.code.k) + static_cast<uint64_t>(rebuild.wanted[i]));
      std::memcpy(out.data() + s.to, cells[i].data() + s.from, s.size);
    }
  }
  return out;
}

Gather::Shortage Gather::shortage() const {
  const Geometry& g = ref_.geometry;
  const auto k = static_cast<uint64_t>(g.code.k);
  for (uint64_t stripe = first_cell_ / k; stripe <= last_cell_ / k; ++stripe) {
    if (stripe_complete(stripe)) continue;
    Shortage out{stripe, static_cast<int>(good_cells(stripe).size()), 0};
    for (const Fetch& fetch : fetches_) {
      bool covers = stripe >= fetch.run.first && stripe <= fetch.run.last;
      if (covers && !fetch.pending && fetch.lied && !fetch.good[stripe - fetch.run.first]) ++out.lies;
    }
    return out;
  }
  return {};
}

}  // namespace archipel::extent
