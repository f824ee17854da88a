#include "edge/purge_order.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "base/bytes.h"
#include "base/json.h"

namespace archipel::edge {

namespace {

std::unexpected<Error> bad(std::string_view what) {
  return fail(
      Code::invalid,
      fmt::format("{}; send a JSON object such as {{\"url\": \"https://www.example.org/a.css\"}}, with "
                  "url, prefix, tag (and site) or site, and maybe \"soft\": true",
                  what));
}

Result<PurgeOrder> order_of(const simdjson::dom::element& element, bool from_edge) {
  simdjson::dom::object object;
  if (element.get(object) != simdjson::SUCCESS) return bad("the order is no JSON object");
  PurgeOrder order;
  for (auto [key, value] : object) {
    std::string* text = key == "url"                   ? &order.url
                        : key == "prefix"              ? &order.prefix
                        : key == "tag"                 ? &order.tag
                        : key == "site"                ? &order.site
                        : from_edge && key == "key"    ? &order.key
                        : from_edge && key == "origin" ? &order.origin
                        : from_edge && key == "group"  ? &order.group
                                                       : nullptr;
    std::string_view word;
    bool truth = false;
    if (text != nullptr && value.get(word) == simdjson::SUCCESS && !word.empty() && text->empty())
      *text = word;
    else if (key == "soft" && value.get(truth) == simdjson::SUCCESS)
      order.soft = truth;
    else
      return bad(fmt::format("'{}' is unknown or has a wrong value", std::string_view(key)));
  }
  if (!order.key.empty()) {
    std::optional<std::string> bytes = unhex(order.key);
    if (!bytes) return bad("'key' is not hexadecimal");
    order.key = std::move(*bytes);
  }
  const int kinds = int{!order.url.empty()} + int{!order.prefix.empty()} + int{!order.tag.empty()} +
                    int{!order.key.empty()} + int{!order.group.empty()};
  if (kinds > 1 || (kinds == 0 && order.site.empty())) return bad("say one thing to purge");
  if (!order.site.empty() && kinds == 1 && order.tag.empty()) return bad("`site` goes with `tag`, or alone");
  if (order.origin.empty() != order.group.empty()) return bad("`origin` goes with `group`");
  return order;
}

bool read_id(simdjson::dom::object object, uint64_t& id) {
  std::string_view text;
  if (object["id"].get(text) != simdjson::SUCCESS) return false;
  const std::optional<std::string> bytes = unhex(text);
  if (!bytes || bytes->size() != 8) return false;
  id = Reader(as_bytes(*bytes)).u64();
  return true;
}

bool read_was(simdjson::dom::object object, std::vector<EarlierStart>& out) {
  simdjson::dom::element found;
  if (object["was"].get(found) != simdjson::SUCCESS) return true;
  simdjson::dom::array list;
  if (found.get(list) != simdjson::SUCCESS || list.size() > PurgesHeard::kEarlierMax) return false;
  for (const simdjson::dom::element one : list) {
    simdjson::dom::object fields;
    EarlierStart was;
    if (one.get(fields) != simdjson::SUCCESS || !read_id(fields, was.id) ||
        fields["same"].get(was.same) != simdjson::SUCCESS ||
        fields["until"].get(was.until) != simdjson::SUCCESS || fields["at"].get(was.at) != simdjson::SUCCESS)
      return false;
    out.push_back(was);
  }
  return true;
}

}  // namespace

Result<PurgeOrder> parse_purge_order(std::string_view json, bool from_edge) {
  simdjson::dom::parser parser;
  simdjson::padded_string padded(json);
  simdjson::dom::element element;
  if (parser.parse(padded).get(element) != simdjson::SUCCESS) return bad("the body is no JSON object");
  return order_of(element, from_edge);
}

Result<PurgeBatch> parse_purge_batch(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::padded_string padded(json);
  simdjson::dom::object object;
  simdjson::dom::array records;
  std::string_view name;
  PurgeBatch out;
  PurgesHeard::Batch& head = out.head;
  if (parser.parse(padded).get(object) != simdjson::SUCCESS ||
      object["edge"].get(name) != simdjson::SUCCESS || !read_id(object, head.id) ||
      !read_was(object, head.was) || object["first"].get(head.first) != simdjson::SUCCESS ||
      object["lost"].get(head.lost) != simdjson::SUCCESS ||
      object["records"].get(records) != simdjson::SUCCESS || head.first == 0 || head.first > UINT64_MAX / 2)
    return fail(Code::invalid, "that is no list of what was purged");
  head.name = name;
  for (const simdjson::dom::element record : records) out.orders.push_back(order_of(record, true));
  head.count = out.orders.size();
  return out;
}

std::string purge_batch_begin(const PurgesHeard::Batch& head) {
  JsonWriter name;
  name.text(head.name);
  std::string was;
  for (const EarlierStart& one : head.was)
    was += fmt::format("{}{{\"id\":\"{:016x}\",\"same\":{},\"until\":{},\"at\":{}}}", was.empty() ? "" : ",",
                       one.id, one.same, one.until, one.at);
  return fmt::format("{{\"edge\":{},\"id\":\"{:016x}\",\"was\":[{}],\"first\":{},\"lost\":{},\"records\":[",
                     name.str(), head.id, was, head.first, head.lost);
}

std::string heard_json(uint64_t heard) {
  return fmt::format("{{\"heard\":{}}}", heard);
}

std::optional<uint64_t> parse_heard(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::padded_string padded(json);
  simdjson::dom::object object;
  uint64_t heard = 0;
  if (parser.parse(padded).get(object) != simdjson::SUCCESS ||
      object["heard"].get(heard) != simdjson::SUCCESS)
    return std::nullopt;
  return heard;
}

std::string purge_order_json(const PurgeOrder& order) {
  JsonWriter out;
  out.begin_object();
  for (auto [key, value] : {std::pair{"url", &order.url},
                            {"prefix", &order.prefix},
                            {"tag", &order.tag},
                            {"site", &order.site},
                            {"origin", &order.origin},
                            {"group", &order.group}})
    if (!value->empty()) out.key(key).text(*value);
  if (!order.key.empty()) out.key("key").text(hex(as_bytes(order.key)));
  if (order.soft) out.key("soft").boolean(true);
  return out.end_object().str();
}

}  // namespace archipel::edge
