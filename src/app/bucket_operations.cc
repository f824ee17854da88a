#include "app/bucket_operations.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "app/inventory.h"
#include "app/json.h"
#include "app/placements.h"

namespace archipel::app {
namespace {

using Lines = std::vector<std::string>;

struct Operation {
  store::Store& store;
  const IdentityFields fields;
  Lines lines = {};

  std::string field(const std::string& name) const {
    auto found = fields.find(name);
    return found == fields.end() ? std::string() : found->second;
  }
  void say(const JsonObject& object, std::string text) {
    lines.push_back(field("json") == "1" ? object.str() : std::move(text));
  }
};

std::string limit_text(uint64_t limit) {
  return limit == 0 ? "no limit" : std::to_string(limit);
}

std::string_view versioning_text(store::Versioning versioning) {
  switch (versioning) {
    case store::Versioning::never:
      return "never";
    case store::Versioning::enabled:
      return "enabled";
    case store::Versioning::suspended:
      return "suspended";
  }
  return "never";
}

// What is there and what may be there.
void add_usage(JsonObject& out, const store::Usage& usage, const store::Quota& quota) {
  out.number("bytes", static_cast<int64_t>(usage.bytes));
  out.number("versions", static_cast<int64_t>(usage.versions));
  out.number("quota_bytes", static_cast<int64_t>(quota.bytes));
  out.number("quota_versions", static_cast<int64_t>(quota.versions));
}

Result<store::BucketPlacement> placement_of(const store::BucketInfo& info) {
  if (!info.configs) return store::BucketPlacement();
  auto document = info.configs->find(std::string(store::kPlacementDocument));
  if (document == info.configs->end()) return store::BucketPlacement();
  return store::decode_bucket_placement(document->second);
}

// What the bucket follows, and where that leads: "eu-only: any 2 of 4, on a, b, c, d".
std::string placing_text(const Operation& op, const store::BucketPlacement& asked) {
  auto placements = op.store.placements();
  if (!placements) return "-";
  auto placed = placements->resolve(asked);
  if (!placed) return placed.error().message;
  const erasure::Code code = (*placed)->coder.code();
  return fmt::format("{}: any {} of {} shards, on {}", (*placed)->policy, code.k, code.n,
                     fmt::join(ids_of(*(*placed)->islands), ", "));
}

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

// The quota that the fields ask for, on top of what holds. nullopt: they ask for no change.
Result<std::optional<store::Quota>> asked_quota(const Operation& op, store::Quota now) {
  const std::string bytes = op.field("bytes"), versions = op.field("versions");
  if (bytes.empty() && versions.empty()) return std::optional<store::Quota>();
  if (!bytes.empty()) {
    std::optional<uint64_t> size = parse_size(bytes);
    if (!size) return fail(Code::invalid, fmt::format("'{}' is no size; such as 500MiB, 10GiB or 0", bytes));
    now.bytes = *size;
  }
  if (!versions.empty()) {
    std::optional<uint64_t> count = parse_size(versions);
    if (!count || versions.find('i') != std::string::npos)
      return fail(Code::invalid, fmt::format("'{}' is no number of versions", versions));
    now.versions = *count;
  }
  return std::optional(now);
}

io::Task<Result<store::Account>> find_owner(Operation* op) {
  const std::string wanted = op->field("account");
  auto accounts = co_await op->store.list_accounts();
  if (!accounts) co_return fail(std::move(accounts).error());
  for (store::Account& account : *accounts)
    if (account.id == wanted || account.display_name == wanted || iam::account_number(account.id) == wanted)
      co_return std::move(account);
  co_return fail(Code::not_found, fmt::format("there is no account '{}'", wanted));
}

io::Task<Result<void>> tell_bucket(Operation* op, store::BucketInfo info, bool whole) {
  auto usage = co_await op->store.bucket_usage(info.name);
  if (!usage) co_return fail(std::move(usage).error());
  JsonObject line;
  line.text("bucket", info.name).text("owner", info.owner);
  line.text("versioning", versioning_text(info.versioning));
  line.text("object_lock", info.object_lock ? "enabled" : "off");
  add_usage(line, *usage, info.quota);
  std::string configured;
  if (info.configs)
    for (const auto& [name, document] : *info.configs) configured += (configured.empty() ? "" : " ") + name;
  line.text("configured", configured);
  CO_ASSIGN_OR_RETURN(store::BucketPlacement asked, placement_of(info));
  const auto placements = op->store.placements();
  const std::string follows = placements ? policy_of(asked, *placements) : asked.policy;
  line.text("policy", follows).text("data_class", asked.data_class);
  std::string text = fmt::format("{:<40} {:>16} bytes {:>12} versions  {} {}", info.name, usage->bytes,
                                 usage->versions, or_dash(follows), or_dash(asked.data_class));
  if (whole)
    text += fmt::format("\npolicy       {}\ndata class   {}", placing_text(*op, asked),
                        or_dash(asked.data_class));
  if (whole)
    text += fmt::format(
        "\nowner        {}\nversioning   {}\nobject lock  {}\nquota        {} bytes, {} versions\nconfigured "
        "  {}",
        info.owner, versioning_text(info.versioning), info.object_lock ? "enabled" : "off",
        limit_text(info.quota.bytes), limit_text(info.quota.versions), configured.empty() ? "-" : configured);
  op->say(line, std::move(text));
  co_return Result<void>{};
}

io::Task<Result<void>> bucket_list(Operation* op) {
  std::vector<std::string> owners;
  if (!op->field("account").empty()) {
    auto owner = co_await find_owner(op);
    if (!owner) co_return fail(std::move(owner).error());
    owners.push_back(owner->id);
  } else {
    auto accounts = co_await op->store.list_accounts();
    if (!accounts) co_return fail(std::move(accounts).error());
    for (const store::Account& account : *accounts) owners.push_back(account.id);
    std::ranges::sort(owners);
    owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
  }
  std::vector<std::string> names;
  for (const std::string& owner : owners) {
    auto buckets = co_await op->store.list_buckets(owner);
    if (!buckets) co_return fail(std::move(buckets).error());
    for (const store::BucketInfo& listed : *buckets) names.push_back(listed.name);
  }
  std::ranges::sort(names);
  for (const std::string& name : names) {
    auto info = co_await op->store.head_bucket(name);
    if (!info) continue;  // deleted meanwhile
    Result<void> told = co_await tell_bucket(op, std::move(*info), false);
    if (!told) co_return told;
  }
  co_return Result<void>{};
}

io::Task<Result<void>> bucket_show(Operation* op) {
  auto info = co_await op->store.head_bucket(op->field("bucket"));
  if (!info) co_return fail(std::move(info).error());
  Result<void> told = co_await tell_bucket(op, std::move(*info), true);
  co_return told;
}

io::Task<Result<void>> bucket_quota(Operation* op) {
  const std::string name = op->field("bucket");
  auto info = co_await op->store.head_bucket(name);
  if (!info) co_return fail(std::move(info).error());
  CO_ASSIGN_OR_RETURN(std::optional<store::Quota> quota, asked_quota(*op, info->quota));
  if (quota) {
    store::BucketChange change;
    change.quota = quota;
    info = co_await op->store.configure_bucket(name, std::move(change));
    if (!info) co_return fail(std::move(info).error());
  }
  Result<void> told = co_await tell_bucket(op, std::move(*info), true);
  co_return told;
}

io::Task<Result<void>> bucket_place(Operation* op) {
  const std::string name = op->field("bucket");
  auto info = co_await op->store.head_bucket(name);
  if (!info) co_return fail(std::move(info).error());
  CO_ASSIGN_OR_RETURN(store::BucketPlacement asked, placement_of(*info));
  const bool policy = op->fields.contains("policy"), data_class = op->fields.contains("class");
  if (policy) asked.policy = op->field("policy");
  if (data_class) asked.data_class = op->field("class");
  if (data_class && !policy) asked.policy.clear();
  if (policy || data_class) {
    info = co_await op->store.place_bucket(name, std::move(asked));
    if (!info) co_return fail(std::move(info).error());
  }
  Result<void> told = co_await tell_bucket(op, std::move(*info), true);
  co_return told;
}

// What the cloud keeps, for `archipel exposure`: counts alone.
io::Task<Result<void>> inventory(Operation* op) {
  auto kept = co_await op->store.inventory();
  if (!kept) co_return fail(std::move(kept).error());
  const auto placements = op->store.placements();
  if (!placements) co_return fail(Code::unsupported, "this store places nothing");
  op->lines = inventory_lines(inventory_of(*kept, *placements));
  co_return Result<void>{};
}

io::Task<Result<void>> account_quota(Operation* op) {
  auto owner = co_await find_owner(op);
  if (!owner) co_return fail(std::move(owner).error());
  auto known = co_await op->store.account_usage(owner->id);
  if (!known) co_return fail(std::move(known).error());
  CO_ASSIGN_OR_RETURN(std::optional<store::Quota> quota, asked_quota(*op, known->second));
  if (quota) {
    Result<void> set = co_await op->store.set_account_quota(owner->id, *quota);
    if (!set) co_return set;
    known->second = *quota;
  }
  JsonObject line;
  line.text("account", owner->display_name).text("id", owner->id);
  add_usage(line, known->first, known->second);
  op->say(line, fmt::format("{}: {} bytes, {} versions; quota {} bytes, {} versions", owner->display_name,
                            known->first.bytes, known->first.versions, limit_text(known->second.bytes),
                            limit_text(known->second.versions)));
  co_return Result<void>{};
}

struct Row {
  std::string_view name;
  io::Task<Result<void>> (*run)(Operation*);
};
constexpr Row kOperations[] = {{"bucket list", bucket_list},   {"bucket show", bucket_show},
                               {"bucket quota", bucket_quota}, {"bucket place", bucket_place},
                               {"inventory", inventory},       {"account quota", account_quota}};

const Row* find_row(const IdentityFields& fields) {
  auto op = fields.find("op");
  if (op == fields.end()) return nullptr;
  const auto* row = std::ranges::find(kOperations, op->second, &Row::name);
  return row == std::end(kOperations) ? nullptr : row;
}

}  // namespace

std::optional<uint64_t> parse_size(std::string_view text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  static constexpr std::string_view kUnits[] = {"", "KiB", "MiB", "GiB", "TiB"};
  const auto* known = std::ranges::find(kUnits, unit);
  if (known == std::end(kUnits)) return std::nullopt;
  const auto shift = static_cast<unsigned>(10 * (known - std::begin(kUnits)));
  if (number > (static_cast<uint64_t>(INT64_MAX) >> shift)) return std::nullopt;
  return number << shift;
}

bool is_bucket_operation(const IdentityFields& fields) {
  return find_row(fields) != nullptr;
}

io::Task<Result<std::vector<std::string>>> run_bucket_operation(store::Store& store, IdentityFields fields) {
  const Row* row = find_row(fields);
  if (row == nullptr) co_return fail(Code::invalid, "there is no such operation on buckets");
  Operation op{store, std::move(fields)};
  Result<void> done = co_await row->run(&op);
  if (!done) co_return fail(std::move(done).error());
  co_return std::move(op.lines);
}

}  // namespace archipel::app
