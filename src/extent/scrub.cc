#include "extent/scrub.h"

#include <algorithm>
#include <bit>

#include "base/log.h"
#include "base/metrics.h"
#include "extent/cells.h"
#include "extent/decode.h"
#include "island/health.h"

namespace archipel::extent {
namespace {

using island::Health;

metrics::Counter scrubbed_bytes{"archipel_scrub_bytes_total", "Bytes read from islands by scrub and repair"};

// What one read of a shard covers: the prefix (first piece only), and cells.
struct Piece {
  bool prefix = false;
  bool last = false;
  uint64_t first_stripe = 0, stripes = 0;
};

std::vector<Piece> pieces_of(const WorkItem& item) {
  const Geometry& g = item.ref.geometry;
  const uint64_t per_cell = uint64_t{g.cell_bytes} + kTagBytes;
  std::vector<Piece> pieces;
  uint64_t next = 0;
  do {
    Piece piece;
    piece.prefix = pieces.empty();
    piece.first_stripe = next;
    const uint64_t taken = piece.prefix ? item.first_cell_offset() : 0;
    const uint64_t room = taken < kScrubChunkBytes ? kScrubChunkBytes - taken : 0;
    const uint64_t least = piece.prefix ? 0 : 1;
    piece.stripes = std::min(std::max(room / per_cell, least), g.stripes() - next);
    next += piece.stripes;
    piece.last = next == g.stripes();
    pieces.push_back(piece);
  } while (next < g.stripes());
  return pieces;
}

CellRun run_of(const Piece& piece, int shard) {
  return {shard, piece.first_stripe, piece.first_stripe + piece.stripes - 1};
}

// Within the blob. The last piece asks for one byte more than there should be.
std::pair<uint64_t, uint64_t> range_of(const WorkItem& item, const Piece& piece, int shard) {
  const Geometry& g = item.ref.geometry;
  const uint64_t cells_at = item.first_cell_offset();
  const uint64_t from = piece.prefix ? 0 : cells_at + g.cell_offset(piece.first_stripe);
  uint64_t to = piece.stripes == 0
                    ? cells_at
                    : cells_at + g.cell_offset(piece.first_stripe) + run_bytes(g, run_of(piece, shard));
  if (piece.last) to = item.blob_bytes(shard) + 1;
  return {from, to - from};
}

bool prefix_holds(const CellKeys& keys, const WorkItem& item, int shard, ByteView bytes) {
  if (bytes.size() < item.first_cell_offset()) return false;
  const auto i = static_cast<size_t>(shard);
  ByteView header = bytes.first(kShardHeaderBytes);
  if (!item.journal()) return check_shard_header(keys, item.ref, shard, item.names[i], header).has_value();
  const WorkItem::Record& record = *item.record;
  return std::ranges::equal(header, ByteView(record.headers[i])) &&
         crypto::blake2b_256(bytes.subspan(kShardHeaderBytes, record.bytes)) == record.digest;
}

// What is wrong with a shard, for a person.
std::string describe(const ShardVerdict& verdict, bool length_good) {
  std::string text;
  if (!verdict.prefix_good) text = "header wrong";
  if (verdict.wrong_cells > 0) {
    text += (text.empty() ? "" : "; ") + std::to_string(verdict.wrong_cells) + " cells wrong (stripes";
    for (uint64_t stripe : verdict.wrong) text += " " + std::to_string(stripe);
    text += verdict.wrong_cells > verdict.wrong.size() ? " and more)" : ")";
  }
  if (!length_good) text += std::string(text.empty() ? "" : "; ") + "its length is wrong";
  return text;
}

struct Checked {
  bool prefix_good = true;
  std::vector<bool> cells;
};

Checked check_piece(const CellKeys& keys, const WorkItem& item, const Piece& piece, int shard,
                    ByteView bytes) {
  Checked out;
  if (piece.prefix) {
    out.prefix_good = prefix_holds(keys, item, shard, bytes);
    bytes = bytes.subspan(std::min<size_t>(bytes.size(), item.first_cell_offset()));
  }
  if (piece.stripes > 0) {
    CellTagger tagger(keys, item.ref);
    out.cells = verify_run(tagger, item.ref.geometry, run_of(piece, shard), bytes);
  }
  return out;
}

// Cells that a piece's answer made certain.
void take_in(ShardVerdict& verdict, const Piece& piece, const Checked& checked) {
  if (piece.prefix) verdict.prefix_good = checked.prefix_good;
  for (uint64_t i = 0; i < piece.stripes; ++i) {
    verdict.good_cells.push_back(checked.cells[i]);
    if (checked.cells[i]) continue;
    if (verdict.wrong.size() < kWrongNamed) verdict.wrong.push_back(piece.first_stripe + i);
    ++verdict.wrong_cells;
  }
}

void blame(const CellWork& work, const WorkItem& item, int shard, const ShardVerdict& verdict) {
  island::Island& island = *work.roster->islands[static_cast<size_t>(item.ref.home(shard))];
  island.health().count_wrong_cells(std::max<uint64_t>(verdict.wrong_cells, 1));
  log::error("island.lied", {{"island", island.id()},
                             {"epoch", item.ref.id.epoch},
                             {item.journal() ? "commit" : "extent", item.ref.id.counter},
                             {"shard", shard},
                             {"wrong_cells", verdict.wrong_cells},
                             {"found_by", "scrub"},
                             {"what", verdict.reason}});
}

io::Task<ShardVerdict> scrub_shard(const CellWork& work, const WorkItem& item, int shard, uint64_t* read) {
  ShardVerdict verdict;
  bool length_good = false;
  const std::vector<Piece> pieces = pieces_of(item);
  for (const Piece& piece : pieces) {
    auto [offset, length] = range_of(item, piece, shard);
    island::BlobName name = item.names[static_cast<size_t>(shard)];
    Result<Buffer> bytes = co_await read_piece(work, item.ref.home(shard), std::move(name), offset, length);
    if (!bytes) {
      verdict.state = bytes.error().code == Code::not_found ? ShardState::missing : ShardState::unreachable;
      verdict.reason = bytes.error().message;
      verdict.good_cells.clear();
      co_return verdict;
    }
    *read += bytes->size();
    Checked checked = co_await work.workers.run([&work, &item, &piece, shard, view = bytes->view()] {
      return check_piece(work.keys, item, piece, shard, view);
    });
    take_in(verdict, piece, checked);
    if (piece.last) length_good = bytes->size() + 1 == length;
  }
  verdict.reason = describe(verdict, length_good);
  verdict.state = verdict.reason.empty() ? ShardState::good : ShardState::wrong;
  if (verdict.state == ShardState::wrong) blame(work, item, shard, verdict);
  co_return verdict;
}

}  // namespace

std::string_view to_string(ShardState state) {
  switch (state) {
    case ShardState::good:
      return "good";
    case ShardState::missing:
      return "missing";
    case ShardState::wrong:
      return "wrong";
    case ShardState::unreachable:
      return "unreachable";
  }
  return "?";
}

int Verdict::count(ShardState state) const {
  return static_cast<int>(std::ranges::count(shards, state, &ShardVerdict::state));
}

uint32_t Verdict::broken() const {
  uint32_t mask = 0;
  for (size_t i = 0; i < shards.size(); ++i)
    if (shards[i].state == ShardState::missing || shards[i].state == ShardState::wrong) mask |= 1u << i;
  return mask;
}

uint32_t Verdict::good() const {
  uint32_t mask = 0;
  for (size_t i = 0; i < shards.size(); ++i)
    if (shards[i].state == ShardState::good) mask |= 1u << i;
  return mask;
}

std::string describe_faults(const Placement& roster, const ExtentRef& ref, const Verdict& verdict) {
  std::string text;
  for (size_t i = 0; i < verdict.shards.size(); ++i) {
    const ShardVerdict& shard = verdict.shards[i];
    if (shard.state == ShardState::good) continue;
    const island::Island& island = *roster.islands[static_cast<size_t>(ref.home(static_cast<int>(i)))];
    text += std::string(text.empty() ? "[island " : " [island ") + island.id() + ": " +
            std::string(to_string(shard.state));
    if (shard.state != ShardState::missing) text += ": " + shard.reason;
    text += "]";
  }
  return text;
}

io::Task<Result<Buffer>> read_piece(const CellWork& work, int place, island::BlobName name, uint64_t offset,
                                    uint64_t length) {
  island::Island& island = *work.roster->islands[static_cast<size_t>(place)];
  co_await work.pace.spend(length);
  if (work.pace.stopping()) co_return fail(Code::cancelled, "the work was stopped");
  TimePoint started = io::Loop::current()->now();
  const bool doubted = island.health().breaker_open();
  if (!island.health().worth_waiting(started))
    co_return fail(Code::unavailable, "island " + island.id() + ": it has not been answering");
  Result<Buffer> bytes = co_await island.get(std::move(name), offset, length, started + kScrubReadDeadline);
  TimePoint now = io::Loop::current()->now();
  // Long background reads say nothing about how fast a client is served: only failures count, and what ends them.
  if (doubted || !bytes)
    island.health().record(Health::Op::get, now, now - started, bytes ? bytes->size() : 0,
                           bytes ? nullptr : &bytes.error());
  if (bytes) scrubbed_bytes.add(static_cast<int64_t>(bytes->size()));
  if (bytes && bytes->size() > length)
    co_return fail(Code::corrupt, "island " + island.id() + ": more bytes than were asked for");
  co_return bytes;
}

io::Task<Verdict> scrub(CellWork work, std::shared_ptr<const WorkItem> item) {
  const auto n = static_cast<size_t>(item->n());
  CHECK(item->names.size() == n);
  CHECK(std::bit_width(item->ref.homes.mask(item->n())) <= work.roster->islands.size());
  std::vector<uint64_t> read(n, 0);
  std::vector<io::Task<ShardVerdict>> tasks;
  tasks.reserve(n);
  for (size_t i = 0; i < n; ++i) tasks.push_back(scrub_shard(work, *item, static_cast<int>(i), &read[i]));
  Verdict verdict;
  for (size_t i = 0; i < n; ++i) {
    ShardVerdict one = co_await std::move(tasks[i]);
    verdict.shards.push_back(std::move(one));
    verdict.bytes_read += read[i];
  }
  co_return verdict;
}

}  // namespace archipel::extent
