#include "edge/purge_log.h"

#include <algorithm>
#include <map>

#include "edge/crc_seal.h"

namespace archipel::edge {
namespace {

constexpr std::string_view kMagic = "ARCHEDGP";
constexpr uint8_t kVersion = 2, kVersionWithoutHeard = 1;
constexpr size_t kHeaderBytes = 64, kPurgeBytes = 40;

std::optional<Purge> decode_purge(ByteView bytes) {
  if (!has_good_crc(bytes)) return std::nullopt;
  Reader in(bytes);
  Purge out;
  out.number = in.u64();
  const uint8_t scope = in.u8(), soft = in.u8();
  if (in.u16() != 0 || scope < 1 || scope > static_cast<uint8_t>(PurgeScope::heard) || soft > 1)
    return std::nullopt;
  out.scope = static_cast<PurgeScope>(scope);
  out.soft = soft == 1;
  out.prefix_bytes = in.u32();
  out.what.high = in.u64();
  out.what.low = in.u64();
  if (in.u32() != 0 || out.number == 0 || out.prefix_bytes > kKeyBytesMax) return std::nullopt;
  return out;
}

}  // namespace

void append_purge(std::string& out, const Purge& purge) {
  const size_t from = out.size();
  Writer w(out);
  w.u64(purge.number).u8(static_cast<uint8_t>(purge.scope)).u8(purge.soft).u16(0).u32(purge.prefix_bytes);
  w.u64(purge.what.high).u64(purge.what.low);
  pad_and_seal(out, from, kPurgeBytes);
}

std::string encode_purge_log(const disk::CacheId& id, const PurgeBook::Snapshot& snapshot) {
  std::string out;
  out.reserve(kHeaderBytes + snapshot.purges.size() * kPurgeBytes);
  Writer(out).raw(kMagic).u8(kVersion).raw(id);
  Writer(out).u64(snapshot.latest).u64(snapshot.forgotten_hard).u64(snapshot.forgotten_soft);
  pad_and_seal(out, 0, kHeaderBytes);
  for (const Purge& purge : snapshot.purges) append_purge(out, purge);
  for (const HeardMark& mark : snapshot.heard) append_purge(out, heard_line(mark, false));
  return out;
}

std::optional<PurgeBook::Snapshot> decode_purge_log(ByteView bytes, const disk::CacheId& id) {
  if (bytes.size() < kHeaderBytes || !has_good_crc(bytes.first(kHeaderBytes))) return std::nullopt;
  Reader in(bytes);
  const bool ours = as_text(in.raw(kMagic.size())) == kMagic;
  const uint8_t version = in.u8();
  if (!ours || (version != kVersion && version != kVersionWithoutHeard)) return std::nullopt;
  if (!std::ranges::equal(in.raw(id.size()), id)) return std::nullopt;
  PurgeBook::Snapshot out;
  out.latest = in.u64();
  out.forgotten_hard = in.u64();
  out.forgotten_soft = in.u64();
  if (!std::ranges::all_of(bytes.subspan(57, 3), [](uint8_t b) { return b == 0; })) return std::nullopt;
  if (std::max(out.forgotten_hard, out.forgotten_soft) > out.latest) return std::nullopt;
  std::map<uint64_t, HeardMark> heard;
  bool ended = false;
  for (ByteView rest = bytes.subspan(kHeaderBytes); rest.size() >= kPurgeBytes;
       rest = rest.subspan(kPurgeBytes)) {
    std::optional<Purge> purge = decode_purge(rest.first(kPurgeBytes));
    if (!purge) ended = true;
    // Whole records after a broken one: it was no cut end.
    if (purge && ended) return std::nullopt;
    if (!purge) continue;
    if (purge->scope != PurgeScope::heard)
      out.purges.push_back(*purge);
    else if (purge->soft)
      heard.erase(purge->what.high);
    else
      heard[purge->what.high] = {purge->what.high, purge->what.low, purge->number};
  }
  for (const auto& [start, mark] : heard) out.heard.push_back(mark);
  for (const Purge& purge : out.purges) out.latest = std::max(out.latest, purge.number);
  return out;
}

Result<std::unique_ptr<PurgeLog>> PurgeLog::open(DiskFiles& files, const disk::CacheId& id, PurgeBook& book) {
  std::unique_ptr<PurgeLog> log(new PurgeLog(files, id, book));
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, files.read_whole(kName));
  if (!bytes) return fail(Code::corrupt, "the log of purges in " + files.where() + " is missing");
  std::optional<PurgeBook::Snapshot> snapshot = decode_purge_log(as_bytes(*bytes), id);
  if (!snapshot) return fail(Code::corrupt, "the log of purges in " + files.where() + " is damaged");
  book.restore(*snapshot);
  // Without an end that was cut off, which the next record would hide behind.
  RETURN_IF_ERROR(log->rewrite());
  return log;
}

Result<void> PurgeLog::append(const std::vector<Purge>& purges, bool sync) {
  if (broken_) return rewrite();  // the book has them already
  std::string bytes;
  for (const Purge& purge : purges) append_purge(bytes, purge);
  Result<void> done = file_->append(as_bytes(bytes));
  appended_ += purges.size();
  if (done && sync) done = file_->sync();
  if (!done) broken_ = true;
  return done;
}

Result<void> PurgeLog::rewrite() {
  broken_ = true;
  RETURN_IF_ERROR(files_.write_whole(kName, as_bytes(encode_purge_log(id_, book_.snapshot()))));
  ASSIGN_OR_RETURN(file_, files_.open_log(kName));
  appended_ = 0;
  broken_ = false;
  return {};
}

}  // namespace archipel::edge
