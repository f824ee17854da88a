// Batch: builds one commit out of many intents (protocol §2). Runs on a worker, one batch at a time, in commit order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "index/blob_set.h"
#include "index/overlay.h"

namespace archipel::index {

// A guess at what an intent takes of a record is held below this: one large request says nothing about the small ones after it.
inline constexpr size_t kRecordBytesPerIntentMax = 4096;

// What the record being built stands on.
struct BatchContext {
  const crypto::Keyring& keys;
  const erasure::Coder& coder;
  const extent::Placement& placement;
  Random& random;
  const Kv& kv;
  std::vector<std::shared_ptr<const Layer>> in_flight = {};  // oldest first
  uint64_t epoch = 0, seq = 0;
  OpenBits open{};
  Digest32 prev_hash{};
  UnixMs commit_ms = 0;
  std::vector<Record::Confirmed> confirmed = {};
  size_t record_bytes_per_intent = 0;  // what earlier batches took: a guess
};

struct BatchIntent {
  const Intent* intent = nullptr;
  bool internal = false;  // the index's own: may change keys under "m/"
};

struct BatchOutcome {
  enum class Kind {
    accepted,
    refused,
    deferred
  } kind = Kind::accepted;  // deferred: the record was full; try again in the next
  Error error;              // of a refusal
};

struct BuiltBatch {
  std::vector<BatchOutcome> outcomes;    // of each intent
  std::shared_ptr<const BlobSet> blobs;  // null if no intent was accepted: nothing is sent
  std::shared_ptr<const Layer> layer;    // what the next batch's view sees
  std::vector<Mutation> mutations;       // to apply
  size_t record_bytes = 0;
  size_t accepted = 0;
};

// Calls every intent's build(), usually once. Errors mean a bug or a broken index; nothing was sent.
Result<BuiltBatch> build_batch(const BatchContext& context, const std::vector<BatchIntent>& intents);

}  // namespace archipel::index
