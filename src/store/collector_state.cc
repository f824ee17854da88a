#include "store/collector_state.h"

#include <algorithm>

#include "base/bytes.h"
#include "store/keys.h"

namespace archipel::store {
namespace {

using index::CommitPosition;

constexpr uint8_t kFormat = 1;

std::unexpected<Error> corrupt() {
  return fail(Code::corrupt,
              "the view holds a damaged record of collection; delete the index directory, it will be rebuilt",
              "InternalError");
}

void write_position(Writer& writer, const CommitPosition& position) {
  writer.varint(position.epoch).varint(position.seq);
}

CommitPosition read_position(Reader& reader) {
  CommitPosition position;
  position.epoch = reader.varint();
  position.seq = reader.varint();
  return position;
}

void write_sweep(Writer& writer, const Sweep& sweep) {
  writer.u8(static_cast<uint8_t>(sweep.below.size()));
  for (const CommitPosition& position : sweep.below) write_position(writer, position);
}

bool read_sweep(Reader& reader, Sweep& sweep) {
  size_t islands = reader.u8();
  if (!reader.ok() || islands > kSweepIslandsMax) return false;
  for (size_t i = 0; i < islands; ++i) sweep.below.push_back(read_position(reader));
  return reader.ok();
}

std::string collect_key(std::string_view name) {
  return std::string(kCollectPrefix).append(name);
}

}  // namespace

CommitPosition Sweep::lowest() const {
  return below.empty() ? CommitPosition{} : *std::ranges::min_element(below);
}

CommitPosition Sweep::highest() const {
  return below.empty() ? CommitPosition{} : *std::ranges::max_element(below);
}

std::string commit_sweep_key() {
  return collect_key("commits");
}

std::string collector_time_key() {
  return collect_key("time");
}

std::string encode(const EpochSweep& state) {
  std::string out;
  Writer writer(out);
  writer.u8(kFormat).u8(static_cast<uint8_t>(state.stage)).u64(static_cast<uint64_t>(state.since_ms));
  write_sweep(writer, state.sweep);
  return out;
}

Result<EpochSweep> decode_epoch_sweep(std::string_view bytes) {
  Reader reader(bytes);
  EpochSweep state;
  uint8_t format = reader.u8();
  uint8_t stage = reader.u8();
  state.since_ms = static_cast<UnixMs>(reader.u64());
  if (format != kFormat || stage < 1 || stage > 4 || !read_sweep(reader, state.sweep) || !reader.done())
    return corrupt();
  state.stage = static_cast<EpochSweep::Stage>(stage);
  return state;
}

std::string encode(const CommitSweep& state) {
  std::string out;
  Writer writer(out);
  writer.u8(kFormat);
  write_sweep(writer, state.first);
  write_position(writer, state.mark);
  writer.u64(static_cast<uint64_t>(state.marked_ms));
  write_sweep(writer, state.second);
  return out;
}

Result<CommitSweep> decode_commit_sweep(std::string_view bytes) {
  Reader reader(bytes);
  CommitSweep state;
  if (reader.u8() != kFormat || !read_sweep(reader, state.first)) return corrupt();
  state.mark = read_position(reader);
  state.marked_ms = static_cast<UnixMs>(reader.u64());
  if (!read_sweep(reader, state.second) || !reader.done()) return corrupt();
  return state;
}

std::string encode_time(UnixMs ms) {
  std::string out;
  Writer(out).u8(kFormat).u64(static_cast<uint64_t>(ms));
  return out;
}

Result<UnixMs> decode_time(std::string_view bytes) {
  Reader reader(bytes);
  uint8_t format = reader.u8();
  auto ms = static_cast<UnixMs>(reader.u64());
  if (format != kFormat || !reader.done()) return corrupt();
  return ms;
}

}  // namespace archipel::store
