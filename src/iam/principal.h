// Principal: who sends a request, and the names that policies have for it.
//
// An account has a canonical id (64 lower-case hexadecimal digits). ARNs want twelve digits: the account's number, computed from the id.
// Names are [A-Za-z0-9_+=,.@-]{1,64}. Pure functions; thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace archipel::iam {

inline constexpr size_t kNameBytesMax = 64;  // of a user, role or session (IAM's limit)

struct Principal {
  enum class Kind { anonymous, root, user, role_session, service } kind = Kind::anonymous;
  std::string account;  // canonical id; empty for anonymous and service
  std::string name;     // of the user, role or service ("logging.s3.amazonaws.com")
  std::string session;  // of a role session

  static Principal anonymous() { return {}; }
  static Principal root(std::string account) { return {Kind::root, std::move(account), {}, {}}; }
  static Principal user(std::string account, std::string name) {
    return {Kind::user, std::move(account), std::move(name), {}};
  }
  static Principal role_session(std::string account, std::string role, std::string session) {
    return {Kind::role_session, std::move(account), std::move(role), std::move(session)};
  }
  static Principal service(std::string name) { return {Kind::service, {}, std::move(name), {}}; }

  // arn:aws:iam::<number>:root, …:user/NAME, arn:aws:sts::<number>:assumed-role/ROLE/SESSION; empty for anonymous and service.
  std::string arn() const;
  // aws:userid: the number, NAME's "<number>:NAME", "ROLE:SESSION".
  std::string user_id() const;
};

// Twelve decimal digits: FNV-1a (64 bits) of the id's text, modulo 10^12. Two ids may share one; who makes accounts refuses that.
std::string account_number(std::string_view account);
bool is_account_id(std::string_view text);      // 64 lower-case hexadecimal digits
bool is_account_number(std::string_view text);  // 12 decimal digits
bool is_name(std::string_view text);            // a name of a user, role or session

}  // namespace archipel::iam
