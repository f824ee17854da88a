#include "door/s3/post_policy.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "door/s3/errors.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

std::unexpected<Error> invalid(std::string_view why) {
  return refuse("InvalidPolicyDocument", "Invalid Policy: " + std::string(why));
}

std::unexpected<Error> denied(std::string_view why) {
  return refuse("AccessDenied", "Invalid according to Policy: " + std::string(why));
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

// Neither covered by conditions nor in need of it.
bool exempt(std::string_view field) {
  static constexpr std::string_view kExempt[] = {"file", "policy", "signature", "x-amz-signature",
                                                 "awsaccesskeyid"};
  // A checksum is its sender's promise about the file, and lets nobody do more.
  if (field.starts_with("x-amz-checksum-")) return true;
  return field.starts_with("x-ignore-") || std::ranges::find(kExempt, field) != std::end(kExempt);
}

struct Checker {
  const FormFields& fields;
  std::string_view bucket;
  PostLimits limits{};
  std::set<std::string, std::less<>> covered{};

  const std::string* value_of(const std::string& name, std::string& bucket_text) const {
    auto it = fields.find(name);
    if (name == "bucket") {
      bucket_text = bucket;
      return &bucket_text;
    }
    return it == fields.end() ? nullptr : &it->second;
  }

  Result<void> equal(const std::string& name, std::string_view wanted) {
    std::string bucket_text;
    const std::string* value = value_of(name, bucket_text);
    covered.insert(name);
    if (value == nullptr || *value != wanted)
      return denied("Policy Condition failed: [\"eq\", \"$" + name + "\", \"" + std::string(wanted) + "\"]");
    return {};
  }

  Result<void> begins(const std::string& name, std::string_view wanted) {
    std::string bucket_text;
    const std::string* value = value_of(name, bucket_text);
    covered.insert(name);
    // An absent field is an empty one here; a list of content types is judged item by item.
    std::string_view rest = value == nullptr ? std::string_view{} : std::string_view(*value);
    bool list = name == "content-type";
    while (true) {
      size_t comma = list ? rest.find(',') : std::string_view::npos;
      if (!rest.substr(0, comma).starts_with(wanted))
        return denied("Policy Condition failed: [\"starts-with\", \"$" + name + "\", \"" +
                      std::string(wanted) + "\"]");
      if (comma == std::string_view::npos) return {};
      rest.remove_prefix(comma + 1);
    }
  }

  static Result<uint64_t> bound(const element& value) {
    int64_t number = 0;
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS) {
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc{} || end != text.data() + text.size()) number = -1;
    } else if (value.get(number) != simdjson::SUCCESS) {
      number = -1;
    }
    if (number < 0) return invalid("Invalid content-length-range: expecting two numbers of bytes.");
    return static_cast<uint64_t>(number);
  }

  Result<void> range(const array& parts) {
    ASSIGN_OR_RETURN(uint64_t from, bound(parts.at(1).value_unsafe()));
    ASSIGN_OR_RETURN(uint64_t to, bound(parts.at(2).value_unsafe()));
    if (from > to) return invalid("Invalid content-length-range: it is empty.");
    limits.bytes_min = std::max(limits.bytes_min, from);
    limits.bytes_max = std::min(limits.bytes_max, to);
    return {};
  }

  Result<void> check_list(const array& parts) {
    std::string_view how, name, wanted;
    if (parts.size() != 3 || parts.at(0).get(how) != simdjson::SUCCESS)
      return invalid("Invalid Condition: a list has an operator and two arguments.");
    std::string operation = lower(how);
    if (operation == "content-length-range") return range(parts);
    if (parts.at(1).get(name) != simdjson::SUCCESS || parts.at(2).get(wanted) != simdjson::SUCCESS ||
        !name.starts_with('$'))
      return invalid("Invalid Condition: expecting \"$field\" and a string.");
    if (operation == "eq") return equal(lower(name.substr(1)), wanted);
    if (operation == "starts-with") return begins(lower(name.substr(1)), wanted);
    return invalid("Invalid Condition: unknown operation.");
  }

  Result<void> check(const element& condition) {
    array parts;
    object members;
    if (condition.get(parts) == simdjson::SUCCESS) return check_list(parts);
    if (condition.get(members) != simdjson::SUCCESS)
      return invalid("Invalid Condition: expecting a list or an object.");
    if (members.size() != 1) return invalid("Invalid Simple-Condition: expecting one member.");
    for (auto [name, value] : members) {
      std::string_view wanted;
      if (value.get(wanted) != simdjson::SUCCESS)
        return invalid("Invalid Simple-Condition: value must be a string.");
      RETURN_IF_ERROR(equal(lower(name), wanted));
    }
    return {};
  }
};

std::optional<UnixMs> parse_expiration(std::string_view text) {
  return http::parse_iso_extended(text);
}

}  // namespace

Result<PostLimits> check_post_policy(std::string_view json, const FormFields& fields, std::string_view bucket,
                                     UnixMs now) {
  simdjson::dom::parser parser;
  if (parser.allocate(json.size(), kPostDepthMax) != simdjson::SUCCESS) return invalid("too large.");
  object root;
  if (parser.parse(simdjson::padded_string(json)).get(root) != simdjson::SUCCESS)
    return invalid("Invalid JSON.");
  // Names are exact here: "EXPIRATION" is no expiration.
  std::string_view expiration;
  array conditions;
  for (auto [name, value] : root) {
    if (name != "expiration" && name != "conditions")
      return invalid("Unexpected: '" + std::string(name.substr(0, 64)) + "'.");
  }
  if (root["expiration"].get(expiration) != simdjson::SUCCESS) return invalid("Policy missing expiration.");
  if (root["conditions"].get(conditions) != simdjson::SUCCESS) return invalid("Policy missing conditions.");
  auto expires = parse_expiration(expiration);
  if (!expires) return invalid("Invalid 'expiration' value.");
  if (conditions.size() == 0 || conditions.size() > kPostConditionsMax)
    return invalid("it has no conditions, or too many.");
  if (now >= *expires) return denied("Policy expired.");
  Checker checker{fields, bucket};
  for (element condition : conditions) RETURN_IF_ERROR(checker.check(condition));
  if (!checker.covered.contains("bucket")) return denied("Extra input fields: bucket");
  for (const auto& [name, value] : fields)
    if (!exempt(name) && !checker.covered.contains(name)) return denied("Extra input fields: " + name);
  return checker.limits;
}

}  // namespace archipel::door::s3
