#include "edge/purge_order.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "base/bytes.h"
#include "base/json.h"

namespace archipel::edge {

Result<PurgeOrder> parse_purge_order(std::string_view json, bool from_edge) {
  auto bad = [](std::string_view what) {
    return fail(
        Code::invalid,
        fmt::format("{}; send a JSON object such as {{\"url\": \"https://www.example.org/a.css\"}}, with "
                    "url, prefix, tag (and site) or site, and maybe \"soft\": true",
                    what));
  };
  simdjson::dom::parser parser;
  simdjson::padded_string padded(json);
  simdjson::dom::object object;
  if (parser.parse(padded).get(object) != simdjson::SUCCESS) return bad("the body is no JSON object");
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
