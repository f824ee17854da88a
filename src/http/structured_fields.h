// Structured field values (RFC 8941, RFC 9651): strict parsers of items, lists and dictionaries, and the writer of what we send. Pure functions.
//
// A value that does not parse whole is as good as absent: the parsers return nullopt. Several lines of one field are joined by ", " first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "http/message.h"

namespace archipel::http::sf {

struct Token {
  std::string text;
  bool operator==(const Token&) const = default;
};
struct Bytes {
  std::string bytes;
  bool operator==(const Bytes&) const = default;
};
struct Date {
  int64_t seconds = 0;
  bool operator==(const Date&) const = default;
};
// Integer, decimal (in thousandths), string, token, byte sequence, boolean, date. A display string is kept as the string it decodes to.
struct Decimal {
  int64_t thousandths = 0;
  bool operator==(const Decimal&) const = default;
};
using Bare = std::variant<int64_t, Decimal, std::string, Token, Bytes, bool, Date>;
using Parameters =
    std::vector<std::pair<std::string, Bare>>;  // a key comes once: the last value, at the first's place

struct Item {
  Bare value = true;
  Parameters parameters;
};
struct Member {
  bool inner_list = false;
  Item item;                // unless inner_list
  std::vector<Item> items;  // of the inner list; its parameters are item.parameters
};
using List = std::vector<Member>;
using Dictionary = std::vector<std::pair<std::string, Member>>;  // as Parameters

inline constexpr size_t kMembersMax = 1024;      // of a list or dictionary; RFC 9651 wants that many
inline constexpr size_t kInnerMembersMax = 256;  // of an inner list, and parameters of an item

std::optional<Item> parse_item(std::string_view text);
std::optional<List> parse_list(std::string_view text);
std::optional<Dictionary> parse_dictionary(std::string_view text);

// Joins the lines of a field. nullopt if there is none.
std::optional<std::string> joined(const Headers& headers, std::string_view name);

const Bare* find(const Parameters& parameters, std::string_view key);
const Member* find(const Dictionary& dictionary, std::string_view key);

// "\"…\"" with escapes; characters that a string cannot hold become '?'.
std::string write_string(std::string_view text);
bool is_token(std::string_view text);
bool is_key(std::string_view text);

}  // namespace archipel::http::sf
