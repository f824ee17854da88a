// Toml: a configuration file as a tree of our own, every value with the line and column where it stands. The parser is inside toml.cc.
//
// TomlTable walks one table: it hands out the keys that are asked for, checks their types, and finish() names a key that nobody asked for: a typo
// never becomes a default. All errors are `invalid`, "file:line:column: what". Values only; not thread-safe.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace archipel {

inline constexpr size_t kTomlDepthMax = 64;  // of nested tables and arrays

struct TomlEntry;

struct TomlValue {
  enum class Kind : uint8_t { table, array, text, integer, real, truth, date, time } kind = Kind::table;
  uint32_t line = 0, column = 0;  // from 1
  std::string text;               // Kind::text; date: "2026-11-22"; time: empty, nobody needs one
  int64_t integer = 0;
  double real = 0;
  bool truth = false;
  std::vector<TomlValue> items;    // array
  std::vector<TomlEntry> entries;  // table, in the order of the file

  bool is(Kind k) const { return kind == k; }
  const TomlValue* get(std::string_view key) const;  // of a table
};

struct TomlEntry {
  std::string key;
  uint32_t line = 0, column = 0;  // of the key
  TomlValue value;
};

// `file`: for messages only. invalid: not TOML.
Result<TomlValue> parse_toml(std::string_view text, const std::string& file);

class TomlTable {
 public:
  // `file` and `table` outlive it. `name`: for messages, such as "[[island]]".
  TomlTable(const std::string& file, const TomlValue& table, std::string name)
      : file_(file), table_(table), name_(std::move(name)) {}

  std::string where(const TomlValue& at) const;  // "file:12:3"
  std::string where() const { return where(table_); }
  std::unexpected<Error> error(const TomlValue& at, const std::string& what) const;
  std::unexpected<Error> error(const std::string& what) const { return error(table_, what); }

  // Null: the key is not there. Marks it as known.
  const TomlValue* take(std::string_view key);
  // These leave `out` alone if the key is not there, unless it is `required`. A text is not empty and holds no NUL.
  Result<void> text(std::string_view key, std::string& out, bool required = false);
  Result<void> texts(std::string_view key, std::vector<std::string>& out, size_t count_max);
  Result<void> number(std::string_view key, int& out, int64_t min, int64_t max);
  Result<void> truth(std::string_view key, bool& out);

  const std::string& file() const { return file_; }
  const std::string& name() const { return name_; }
  const TomlValue& value() const { return table_; }
  Result<void> finish() const;

 private:
  const std::string& file_;
  const TomlValue& table_;
  std::string name_;
  std::set<std::string, std::less<>> seen_;
};

}  // namespace archipel
