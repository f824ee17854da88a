#include "app/inventory.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

#include "app/admin.h"
#include "app/gateway.h"
#include "app/identities.h"
#include "base/json.h"

namespace archipel::app {
namespace {

using exposure::Holding;
using exposure::Inventory;

constexpr const char* kForm = "op=inventory&json=1";

std::string holding_line(const Holding& holding) {
  std::vector<std::string> confirmed;
  for (size_t i = 0; i < holding.islands.size(); ++i)
    if (i >= 32 || (holding.confirmed >> i & 1) != 0) confirmed.push_back(holding.islands[i]);
  JsonWriter json;
  json.begin_object().key("bucket").text(holding.bucket).key("data_class").text(holding.data_class);
  json.key("policy").text(holding.policy);
  json.key("code").begin_array().number(holding.code.n).number(holding.code.k).end_array();
  json.key("islands").texts(holding.islands).key("confirmed").texts(confirmed);
  json.key("objects").number(holding.objects).key("bytes").number(holding.bytes);
  json.key("stored_bytes").number(holding.stored_bytes);
  json.key("in_commits").boolean(holding.in_commits).end_object();
  return json.str();
}

// Reads values of one line; what is missing or of another type makes the whole wrong.
struct LineReader {
  simdjson::dom::element root;
  bool good = true;

  template <class T>
  T value(simdjson::dom::element from) {
    T out{};
    good = good && from.get(out) == simdjson::SUCCESS;
    return out;
  }
  simdjson::dom::element at(const char* key) {
    simdjson::dom::element out;
    good = good && root[key].get(out) == simdjson::SUCCESS;
    return out;
  }
  std::string text(const char* key) {
    simdjson::dom::element from = at(key);
    return good ? std::string(value<std::string_view>(from)) : std::string();
  }
  uint64_t number(const char* key) {
    simdjson::dom::element from = at(key);
    return good ? value<uint64_t>(from) : 0;
  }
  bool boolean(const char* key) {
    simdjson::dom::element from = at(key);
    return good && value<bool>(from);
  }
  std::vector<std::string> texts(const char* key) {
    std::vector<std::string> out;
    simdjson::dom::element from = at(key);
    if (!good) return out;
    auto list = value<simdjson::dom::array>(from);
    if (!good) return out;
    for (simdjson::dom::element item : list) out.emplace_back(value<std::string_view>(item));
    return out;
  }
  exposure::Code code() {
    simdjson::dom::element from = at("code");
    std::vector<int64_t> pair;
    auto list = good ? value<simdjson::dom::array>(from) : simdjson::dom::array();
    if (!good) return {};
    for (simdjson::dom::element item : list) pair.push_back(value<int64_t>(item));
    good = good && pair.size() == 2 && pair[1] >= 1 && pair[0] >= pair[1] &&
           pair[0] <= static_cast<int64_t>(exposure::kShardsMax);
    return good ? exposure::Code{static_cast<int>(pair[0]), static_cast<int>(pair[1])} : exposure::Code{};
  }
};

Holding holding_of(LineReader& line) {
  Holding out;
  out.bucket = line.text("bucket");
  out.data_class = line.text("data_class");
  out.policy = line.text("policy");
  out.code = line.code();
  out.islands = line.texts("islands");
  std::vector<std::string> confirmed = line.texts("confirmed");
  line.good = line.good && out.islands.size() == static_cast<size_t>(out.code.n);
  out.confirmed = 0;
  for (size_t i = 0; line.good && i < out.islands.size(); ++i)
    if (std::ranges::find(confirmed, out.islands[i]) != confirmed.end()) out.confirmed |= 1u << i;
  out.objects = line.number("objects");
  out.bytes = line.number("bytes");
  out.stored_bytes = line.number("stored_bytes");
  out.in_commits = line.boolean("in_commits");
  return out;
}

io::Task<Result<void>> offline(store::Store* store, std::vector<std::string>* lines) {
  IdentityFields fields = {{"op", "inventory"}, {"json", "1"}};
  auto told = co_await run_identity_operation(*store, system_random(), system_clock(), std::move(fields));
  if (!told) co_return fail(std::move(told).error());
  *lines = std::move(*told);
  co_return Result<void>{};
}

}  // namespace

std::vector<std::string> inventory_lines(const Inventory& inventory) {
  JsonWriter journal;
  journal.begin_object().key("journal").texts(inventory.journal).end_object();
  std::vector<std::string> out = {journal.str()};
  for (const Holding& holding : inventory.holdings) out.push_back(holding_line(holding));
  return out;
}

Result<Inventory> parse_inventory(std::span<const std::string> lines) {
  if (lines.size() > kHoldingsMax)
    return fail(Code::limit, fmt::format("the gateway tells of more than {} holdings", kHoldingsMax));
  Inventory out;
  simdjson::dom::parser parser;
  for (size_t i = 0; i < lines.size(); ++i) {
    LineReader line;
    line.good = parser.parse(simdjson::padded_string(lines[i])).get(line.root) == simdjson::SUCCESS;
    if (i == 0)
      out.journal = line.texts("journal");
    else
      out.holdings.push_back(holding_of(line));
    if (!line.good)
      return fail(Code::invalid, fmt::format("line {} of the gateway's inventory is not one: {}", i + 1,
                                             lines[i].substr(0, 200)));
  }
  return out;
}

Result<Inventory> ask_inventory(const Config& config) {
  std::vector<std::string> lines;
  auto take = [&](std::string_view line) {
    if (lines.size() <= kHoldingsMax) lines.emplace_back(line);
  };
  Result<void> asked = ask_gateway(config.dir, "POST", "/identity", take, kForm);
  if (!asked && asked.error().code == Code::not_found) {
    GatewayOptions options;
    options.config = config;
    options.with_store = [&](store::Store& store) { return offline(&store, &lines); };
    asked = run_gateway(std::move(options), [](const Ready&) {});
  }
  if (!asked) return fail(std::move(asked).error());
  return parse_inventory(lines);
}

}  // namespace archipel::app
