#include "index/chain_reader.h"

#include <algorithm>

#include "base/log.h"
#include "extent/decode.h"
#include "island/health.h"
#include "island/marker.h"

namespace archipel::index {
namespace {

constexpr Duration kMarkerDeadline = std::chrono::seconds(10);
constexpr Duration kReadDeadline = std::chrono::seconds(20);
constexpr uint64_t kFirstRead = 64u << 10;  // holds most records whole

// What is wrong with one island is said of that island and stays with it: no provider can keep the others from going on. Only "no marker"
// makes it lost; a damaged or a foreign one proves nothing, neither presence nor absence.
IslandSeen judge_marker(const crypto::Keyring& keys, const std::string& id, const Result<Buffer>& bytes) {
  IslandSeen seen;
  if (!bytes) {
    seen.state = bytes.error().code == Code::not_found ? IslandSeen::State::lost : IslandSeen::State::silent;
    seen.reason = bytes.error().message;
    return seen;
  }
  Result<island::Incarnation> incarnation = fail(Code::corrupt, "island " + id + ": its marker is empty");
  if (!bytes->empty()) incarnation = island::verify_marker(keys, id, *bytes);
  if (incarnation) {
    seen.state = IslandSeen::State::present;
    seen.incarnation = *incarnation;
    return seen;
  }
  seen.state = IslandSeen::State::silent;
  seen.refused = true;
  seen.reason = incarnation.error().message;
  log::error("island.marker_refused",
             {{"island", id}, {"reason", seen.reason}, {"consequence", "the island takes no part"}});
  return seen;
}

io::Task<void> read_marker_into(const crypto::Keyring* keys, island::Island* island, Deadline deadline,
                                IslandSeen* out) {
  Result<Buffer> bytes = co_await island->read_marker(deadline);
  *out = judge_marker(*keys, island->id(), bytes);
}

}  // namespace

io::Task<std::vector<IslandSeen>> read_markers(const crypto::Keyring& keys,
                                               const extent::Placement& placement, io::Loop& home) {
  std::vector<IslandSeen> seen(placement.islands.size());
  io::TaskScope scope;
  const Deadline deadline = home.now() + kMarkerDeadline;
  for (size_t i = 0; i < seen.size(); ++i) {
    scope.spawn(read_marker_into(&keys, placement.islands[i].get(), deadline, &seen[i]));
  }
  co_await scope.join();
  co_return seen;
}

int Poll::holders() const {
  return static_cast<int>(
      std::ranges::count_if(heard, [](const Heard& h) { return h.answer == Heard::Answer::found; }));
}

const OpenedBlob* Poll::any() const {
  for (const Heard& h : heard) {
    if (h.blob) return &*h.blob;
  }
  return nullptr;
}

bool Poll::forked() const {
  const OpenedBlob* first = any();
  return std::ranges::any_of(
      heard, [&](const Heard& h) { return h.blob && h.blob->sealed.hash != first->sealed.hash; });
}

ChainReader::ChainReader(const crypto::Keyring& keys, const erasure::Coder& coder,
                         const extent::Placement& placement, io::Workers& workers, io::Loop& home,
                         std::vector<IslandSeen> seen)
    : keys_(keys),
      coder_(coder),
      placement_(placement),
      workers_(workers),
      home_(home),
      seen_(std::move(seen)) {}

void ChainReader::call_wrong(size_t shard, const Name& name, std::string reason, Heard& heard) const {
  constexpr const char* kKinds[] = {"commit", "open", "claim"};
  island::Island& island = *placement_.islands[shard];
  island.health().count_wrong_cells(1);
  log::error("island.lied", {{"island", island.id()},
                             {"blob", kKinds[static_cast<size_t>(name.kind) - 1]},
                             {"epoch", name.epoch},
                             {"seq", name.seq},
                             {"reason", reason}});
  heard.answer = Heard::Answer::wrong;
  heard.reason = std::move(reason);
}

Heard ChainReader::examine(size_t shard, const Name& name, const std::string& blob_name,
                           ByteView bytes) const {
  Heard heard;
  Result<OpenedBlob> opened =
      open_blob(keys_, placement_.islands[shard]->id(), blob_name, name.kind, name.epoch, name.seq, bytes);
  if (!opened) {
    call_wrong(shard, name, opened.error().message, heard);
    return heard;
  }
  const extent::Geometry& section = opened->sealed.header.section;
  if (section.length > 0 && section.code != coder_.code()) {
    call_wrong(shard, name, "its section has another code than the journal", heard);
    return heard;
  }
  heard.answer = Heard::Answer::found;
  heard.blob = std::move(*opened);
  return heard;
}

// Reads a first piece, learns from the header how long the rest is, and reads that. What the header says is believed only for the length.
io::Task<void> ChainReader::read_one(const ChainReader* self, size_t shard, Name name, bool with_cells,
                                     Heard* out) {
  if (self->seen_[shard].state != IslandSeen::State::present) {
    out->reason = self->seen_[shard].reason;
    co_return;
  }
  island::Island& island = *self->placement_.islands[shard];
  const std::string blob_name =
      index::blob_name(self->keys_, island.id(), name.kind, name.epoch, name.open, name.seq);
  const Deadline deadline = self->home_.now() + kReadDeadline;
  Result<Buffer> first = co_await island.get(blob_name, 0, kFirstRead, deadline);
  if (!first) {
    out->answer = first.error().code == Code::not_found ? Heard::Answer::absent : Heard::Answer::silent;
    out->reason = first.error().message;
    co_return;
  }
  Result<Header> header = peek_header(self->keys_, island.id(), blob_name, *first);
  if (!header) {
    self->call_wrong(shard, name, header.error().message, *out);
    co_return;
  }
  uint64_t length = kHeaderBytes + header->record_bytes;
  if (with_cells) length += header->section.shard_bytes(static_cast<int>(shard));
  if (length > first->size() && first->size() == kFirstRead) {
    Result<Buffer> rest = co_await island.get(blob_name, kFirstRead, length - kFirstRead, deadline);
    if (!rest) {
      out->reason = rest.error().message;
      // There a moment ago: an island that says both lies.
      if (rest.error().code == Code::not_found) self->call_wrong(shard, name, out->reason, *out);
      co_return;
    }
    Buffer whole(first->size() + rest->size());
    std::memcpy(whole.data(), first->data(), first->size());
    if (!rest->empty()) std::memcpy(whole.data() + first->size(), rest->data(), rest->size());
    first = std::move(whole);
  }
  *out = self->examine(shard, name, blob_name, *first);
  if (with_cells && out->blob) {
    const size_t at = std::min(out->blob->cells_at, first->size());
    out->cells = Buffer::copy_of(first->view().subspan(at));
  }
}

io::Task<std::optional<OpenedBlob>> ChainReader::find(Name name) {
  const size_t n = placement_.islands.size();
  for (size_t i = 0; i < n; ++i) {
    Heard heard;
    // Spread over the islands, so that a long replay reads from all of them.
    co_await read_one(this, (name.seq + i) % n, name, false, &heard);
    if (heard.blob) co_return std::move(heard.blob);
  }
  co_return std::nullopt;
}

io::Task<void> ChainReader::find_into(ChainReader* self, Name name, std::optional<OpenedBlob>* out) {
  *out = co_await self->find(name);
}

io::Task<std::vector<std::optional<OpenedBlob>>> ChainReader::find_window(Name name, int count) {
  std::vector<std::optional<OpenedBlob>> found(static_cast<size_t>(count));
  io::TaskScope scope;
  for (std::optional<OpenedBlob>& slot : found) {
    scope.spawn(find_into(this, name, &slot));
    ++name.seq;
  }
  co_await scope.join();
  co_return found;
}

io::Task<Poll> ChainReader::poll(Name name) {
  Poll poll;
  poll.heard.resize(placement_.islands.size());
  io::TaskScope scope;
  const bool with_cells = name.kind == BlobKind::commit;
  for (size_t i = 0; i < poll.heard.size(); ++i)
    scope.spawn(read_one(this, i, name, with_cells, &poll.heard[i]));
  co_await scope.join();
  if (with_cells && poll.any() != nullptr) {
    bool checked = co_await workers_.run([this, &name, &poll] {
      check_cells(name, poll);
      return true;
    });
    CHECK(checked);
  }
  co_return poll;
}

// A shard counts as found only if all of its cells hold. The section is decoded, so that "k data shards" means that it can be read.
void ChainReader::check_cells(const Name& name, Poll& poll) const {
  const OpenedBlob& blob = *poll.any();
  const extent::ExtentRef ref = section_ref(blob.sealed.header, name.open);
  if (ref.geometry.length == 0) {
    poll.section = Buffer();
    return;
  }
  extent::CellTagger tagger(keys_, ref);
  const extent::CellRun all{0, 0, ref.geometry.stripes() - 1};
  std::vector<std::optional<ByteView>> cells(poll.heard.size());
  for (size_t i = 0; i < poll.heard.size(); ++i) {
    Heard& heard = poll.heard[i];
    if (!heard.blob) continue;
    extent::CellRun run = all;
    run.shard = static_cast<int>(i);
    std::vector<bool> good = extent::verify_run(tagger, ref.geometry, run, heard.cells);
    if (std::ranges::all_of(good, [](bool g) { return g; })) {
      cells[i] = heard.cells.view();
    } else {
      call_wrong(i, name, "cells of its shard fail their tags", heard);
    }
  }
  Result<Record> record = decode_record(blob.plain);
  Result<Buffer> section = extent::decode_extent(keys_, coder_, ref, cells);
  if (record && section && crypto::blake2b_256(*section) == record->section_digest)
    poll.section = std::move(*section);
}

Counts ChainReader::count(const Poll& poll, const EpochOpen& judged, bool counted_only) const {
  Counts counts;
  for (size_t i = 0; i < poll.heard.size(); ++i) {
    const RosterEntry& entry = judged.roster[i];
    if (counted_only && entry.state != RosterEntry::State::counted) continue;
    ++counts.members;
    const IslandSeen& seen = seen_[i];
    if (seen.state == IslandSeen::State::lost) {
      ++counts.lost;
    } else if (poll.heard[i].answer == Heard::Answer::absent) {
      ++(seen.incarnation == entry.incarnation ? counts.absent : counts.lost);
    }
  }
  return counts;
}

std::string ChainReader::unheard(const Poll& poll) const {
  std::string out;
  for (size_t i = 0; i < poll.heard.size(); ++i) {
    const Heard& heard = poll.heard[i];
    if (heard.answer == Heard::Answer::found || heard.answer == Heard::Answer::absent) continue;
    if (!out.empty()) out += ", ";
    out += placement_.islands[i]->id() + " (" + heard.reason + ")";
  }
  return out.empty() ? "none: every island answered" : out;
}

}  // namespace archipel::index
