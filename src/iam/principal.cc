#include "iam/principal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace archipel::iam {

std::string account_number(std::string_view account) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : account) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return fmt::format("{:012}", hash % 1'000'000'000'000u);
}

bool is_account_id(std::string_view text) {
  return text.size() == 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_account_number(std::string_view text) {
  return text.size() == 12 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("_+=,.@-").contains(c);
  });
}

std::string Principal::arn() const {
  switch (kind) {
    case Kind::root:
      return fmt::format("arn:aws:iam::{}:root", account_number(account));
    case Kind::user:
      return fmt::format("arn:aws:iam::{}:user/{}", account_number(account), name);
    case Kind::role_session:
      return fmt::format("arn:aws:sts::{}:assumed-role/{}/{}", account_number(account), name, session);
    case Kind::anonymous:
    case Kind::service:
      break;
  }
  return {};
}

std::string Principal::user_id() const {
  switch (kind) {
    case Kind::root:
      return account_number(account);
    case Kind::user:
      return account_number(account) + ':' + name;
    case Kind::role_session:
      return name + ':' + session;
    case Kind::anonymous:
      return "anonymous";
    case Kind::service:
      break;
  }
  return name;
}

}  // namespace archipel::iam
