// What a file of facts says is kept.

#include <fmt/format.h>

#include <algorithm>

#include "exposure/facts_loader.h"

namespace archipel::exposure {
namespace {

constexpr size_t kHoldingsMax = 4096;
constexpr int64_t kBytesMax = 1'000'000'000'000'000'000;  // a billion GB; 16 times as much still fits 64 bits
constexpr int64_t kObjectsMax = 1'000'000'000'000'000;
constexpr size_t kBucketMax = 63;

Result<void> amount(TomlTable& t, std::string_view key, int64_t max, uint64_t& out) {
  const TomlValue* at = t.take(key);
  if (at == nullptr) return t.error(fmt::format("{} needs the key `{}`: a whole number", t.name(), key));
  if (!at->is(TomlValue::Kind::integer) || at->integer < 0 || at->integer > max)
    return t.error(*at, fmt::format("`{}` must be a whole number from 0 to {}", key, max));
  out = static_cast<uint64_t>(at->integer);
  return {};
}

}  // namespace

Result<void> FactsLoader::holdings(TomlTable& root) {
  return each(root, "holding", kHoldingsMax, true, [&](TomlTable& t) -> Result<void> {
    Holding made;
    RETURN_IF_ERROR(holding(t, made));
    out_.holdings.push_back(std::move(made));
    return {};
  });
}

Result<void> FactsLoader::holding(TomlTable& t, Holding& out) const {
  RETURN_IF_ERROR(free_text(t, "bucket", out.bucket, true));
  if (out.bucket.size() > kBucketMax)
    return t.error(*t.take("bucket"), fmt::format("`bucket` has at most {} bytes", kBucketMax));
  RETURN_IF_ERROR(free_text(t, "class", out.data_class));
  RETURN_IF_ERROR(t.text("policy", out.policy, true));
  const auto placing = std::ranges::find(out_.facts.placings, out.policy, &Placing::policy);
  if (placing == out_.facts.placings.end())
    return t.error(*t.take("policy"), fmt::format("there is no [policy.{}]", out.policy));
  out.code = placing->code;
  out.islands = placing->islands;
  RETURN_IF_ERROR(amount(t, "objects", kObjectsMax, out.objects));
  RETURN_IF_ERROR(amount(t, "bytes", kBytesMax, out.bytes));
  const auto n = static_cast<uint64_t>(out.code.n), k = static_cast<uint64_t>(out.code.k);
  out.stored_bytes = (out.bytes * n + k - 1) / k;
  std::vector<std::string> unconfirmed;
  RETURN_IF_ERROR(t.texts("unconfirmed", unconfirmed, kShardsMax));
  for (size_t i = 0; i < unconfirmed.size(); ++i) {
    const auto at = std::ranges::find(out.islands, unconfirmed[i]);
    if (at == out.islands.end())
      return t.error(t.take("unconfirmed")->items[i],
                     fmt::format("policy \"{}\" has no shard on \"{}\"", out.policy, unconfirmed[i]));
    out.confirmed &= ~(1u << (at - out.islands.begin()));
  }
  return {};
}

}  // namespace archipel::exposure
