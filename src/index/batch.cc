#include "index/batch.h"

#include <algorithm>
#include <span>

#include "crypto/aead.h"
#include "index/pack.h"

namespace archipel::index {
namespace {

constexpr size_t kRecordBytesTarget = 4u << 20;  // a record at least this long takes no more intents
constexpr size_t kRecordFixedBytes = 512;  // hashes, masks and the index's own mutations, with room to spare
constexpr size_t kRoomUnit = 256;
constexpr size_t kRoomSlack = 4096;  // zeros that are not worth another pass
constexpr size_t kPlainBytesMax = kRecordBytesMax - crypto::kTagBytes;
constexpr int kPassesMax = 6;

using Intents = std::span<const BatchIntent>;

size_t mutation_bytes(const std::vector<Mutation>& mutations) {
  constexpr size_t kFraming = 16;
  size_t bytes = 0;
  for (const Mutation& m : mutations) bytes += m.key.size() + (m.value ? m.value->size() : 0) + kFraming;
  return bytes;
}

size_t round_up(size_t bytes) {
  return (bytes + kRoomUnit - 1) / kRoomUnit * kRoomUnit;
}

// The section's bytes, in one buffer: segments where the packing puts them, and random bytes between. They reach islands as they are, and
// must not show where a segment ends (P1).
Buffer fill_section(Random& random, Intents intents, const Packing& packing) {
  Buffer section(packing.geometry.length);
  size_t at = 0, number = 0;
  for (const BatchIntent& item : intents) {
    for (const Buffer& segment : item.intent->small) {
      const size_t offset = packing.offsets[number++];
      if (offset > at) random.fill(section.span().subspan(at, offset - at));
      std::memcpy(section.data() + offset, segment.data(), segment.size());
      at = offset + segment.size();
    }
  }
  CHECK(at == section.size());
  return section;
}

bool touches_own_keys(const std::vector<Mutation>& mutations) {
  for (const Mutation& m : mutations) {
    if (m.key.starts_with(kOwnPrefix) && !settles_debt(m)) return true;
  }
  return false;
}

// One try at the record, with the section's place taken to be behind `room` bytes of record.
struct Pass {
  std::vector<BatchOutcome> outcomes;
  Record record;
  Layer layer;
  size_t accepted = 0;
};

Pass run_builds(const BatchContext& context, Intents intents, const Packing& packing, const Header& header) {
  Pass pass;
  LayeredView view(context.kv.snapshot(), context.in_flight);
  size_t bytes = 0, number = 0;
  bool full = false;
  for (const BatchIntent& item : intents) {
    std::vector<SmallLocation> locations;
    locations.reserve(item.intent->small.size());
    for (const Buffer& segment : item.intent->small) {
      locations.push_back({section_ref(header, context.open), packing.offsets[number++], segment.size()});
    }
    if (full) {
      pass.outcomes.push_back({BatchOutcome::Kind::deferred, {}});
      continue;
    }
    std::vector<Mutation> mutations;
    Result<void> built = item.intent->build(view, locations, mutations);
    const size_t more = mutation_bytes(mutations);
    if (built && !item.internal && touches_own_keys(mutations))
      built = fail(Code::internal, "an intent changes the journal's own keys");
    if (built && more + kRecordFixedBytes + crypto::kTagBytes > kRecordBytesMax) {
      built = fail(Code::limit, "one request changes more of the index than a commit can hold; split it");
    }
    if (!built) {
      pass.outcomes.push_back({BatchOutcome::Kind::refused, std::move(built).error()});
      continue;
    }
    if (pass.accepted > 0 && bytes + more > kRecordBytesTarget) {
      full = true;
      pass.outcomes.push_back({BatchOutcome::Kind::deferred, {}});
      continue;
    }
    bytes += more;
    view.add(mutations);
    pass.outcomes.push_back({BatchOutcome::Kind::accepted, {}});
    ++pass.accepted;
  }
  pass.layer = view.take();
  // Of each key what the last intent made of it: many that share a counter cost the record one mutation, not one each.
  pass.record.mutations.reserve(pass.layer.size());
  for (const auto& [key, value] : pass.layer) pass.record.mutations.push_back({key, value});
  return pass;
}

// The room for a record before it is known: never more than a full record needs, whatever earlier ones took.
size_t guess_room(const BatchContext& context, Intents intents) {
  const size_t per_intent = std::min(context.record_bytes_per_intent, kRecordBytesPerIntentMax);
  return round_up(std::min(kRecordFixedBytes + per_intent * intents.size(), kRecordBytesTarget));
}

// A commit of these intents. limit: the record would be too large.
Result<BuiltBatch> build_all(const BatchContext& context, Intents intents) {
  std::vector<uint32_t> sizes;
  for (const BatchIntent& item : intents) {
    for (const Buffer& segment : item.intent->small) sizes.push_back(static_cast<uint32_t>(segment.size()));
  }
  Packing packing = pack(context.coder.code(), sizes);
  Buffer section = fill_section(context.random, intents, packing);

  Header header;
  header.kind = BlobKind::commit;
  header.epoch = context.epoch;
  header.seq = context.seq;
  context.random.fill(header.salt);
  header.section = packing.geometry;
  if (!section.empty()) context.random.fill(header.attempt);

  // Mutations hold the place of the section, which lies behind the record, whose length depends on the mutations. So the record gets a room
  // that is guessed first and corrected after a pass that did not fit, or that left far too much; what is left of it is zeros inside the seal.
  size_t room = guess_room(context, intents);
  bool may_shrink = true;
  for (int number = 0; number < kPassesMax; ++number) {
    header.record_bytes = static_cast<uint32_t>(room + crypto::kTagBytes);
    Pass pass = run_builds(context, intents, packing, header);
    BuiltBatch out;
    out.outcomes = std::move(pass.outcomes);
    if (pass.accepted == 0) return out;
    pass.record.prev_hash = context.prev_hash;
    pass.record.epoch = context.epoch;
    pass.record.seq = context.seq;
    pass.record.commit_ms = context.commit_ms;
    pass.record.section_digest = crypto::blake2b_256(section);
    pass.record.confirmed = context.confirmed;
    std::string plain = encode_record(pass.record, 0);
    out.record_bytes = plain.size();
    if (plain.size() > kPlainBytesMax) {
      return fail(Code::limit, "one request changes more of the index than a commit can hold; split it");
    }
    if (!section.empty()) {
      const size_t fitting = std::min(round_up(plain.size() + plain.size() / 64), kPlainBytesMax);
      const bool wasteful = may_shrink && room > fitting + fitting / 2 + kRoomSlack;
      if (plain.size() > room || wasteful) {
        may_shrink = false;  // once, so that growing always comes to an end
        room = fitting;
        continue;
      }
      plain.resize(room, '\0');
    }
    Sealed sealed = seal(context.keys, header, as_bytes(plain));
    out.mutations = mutations_of(pass.record, sealed.hash, context.open, context.coder.code().n);
    out.layer = std::make_shared<const Layer>(std::move(pass.layer));
    out.accepted = pass.accepted;
    ASSIGN_OR_RETURN(out.blobs, make_blob_set(context.keys, context.coder, context.placement, context.open,
                                              std::move(sealed), section));
    return out;
  }
  return fail(Code::internal, "the intents of a commit do not settle: their build functions are not pure");
}

}  // namespace

// What is too large together is halved until it fits: only an intent that is too large alone is refused, and nobody with it.
Result<BuiltBatch> build_batch(const BatchContext& context, const std::vector<BatchIntent>& intents) {
  size_t count = intents.size();
  Result<BuiltBatch> built = build_all(context, intents);
  while (!built && built.error().code == Code::limit && count > 1) {
    count /= 2;
    built = build_all(context, Intents(intents).first(count));
  }
  if (!built && built.error().code == Code::limit) {
    BuiltBatch alone;
    alone.outcomes.push_back({BatchOutcome::Kind::refused, built.error()});
    built = std::move(alone);
  }
  if (!built) return built;
  built->outcomes.resize(intents.size(), {BatchOutcome::Kind::deferred, {}});
  return built;
}

}  // namespace archipel::index
