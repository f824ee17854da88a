#include "door/s3/sts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "door/s3/errors.h"
#include "door/s3/xml.h"
#include "http/date.h"

namespace archipel::door::s3 {
namespace {

constexpr std::string_view kNamespace = "https://sts.amazonaws.com/doc/2011-06-15/";
constexpr std::string_view kVersion = "2011-06-15";

using Caller = std::shared_ptr<const store::Account>;

struct StsError {
  std::string_view code;
  int status;
};
constexpr StsError kErrors[] = {
    {"AccessDenied", 403},
    {"ExpiredToken", 403},
    {"IncompleteSignature", 400},
    {"InvalidAction", 400},
    {"InvalidClientTokenId", 403},
    {"MalformedPolicyDocument", 400},
    {"MissingAction", 400},
    {"MissingAuthenticationToken", 403},
    {"MissingParameter", 400},
    {"NoSuchEntity", 404},
    {"RequestExpired", 400},
    {"SignatureDoesNotMatch", 403},
    {"SlowDown", 503},
    {"ValidationError", 400},
    {"RequestEntityTooLarge", 413},
};

std::unexpected<Error> no(std::string_view code, std::string message) {
  return fail(Code::invalid, std::move(message), std::string(code));
}

// What S3's room says of a signature, in the words of STS.
std::unexpected<Error> translated(const Error& error) {
  const std::string& code = error.detail;
  if (code == "InvalidAccessKeyId" || code == "InvalidToken")
    return no("InvalidClientTokenId", "The security token included in the request is invalid.");
  if (code == "ExpiredToken")
    return no("ExpiredToken", "The security token included in the request is expired");
  if (code == "MalformedPolicy") return no("MalformedPolicyDocument", error.message);
  return no("IncompleteSignature", error.message);
}

// One request of STS. On the loop of its connection.
class Sts {
 public:
  explicit Sts(Call& call) : call_(call) {}

  io::Task<Result<std::string>> run();

 private:
  io::Task<Result<std::string>> read_body();
  Result<void> parse(std::string_view body);
  Result<void> authenticate(std::string_view body);
  Result<Caller> find_caller(const std::string& access_key) const;
  Result<std::string> field(const std::string& name) const;
  Result<UnixMs> expiry(int64_t seconds, int64_t seconds_max) const;
  iam::Request request_for(std::string action, std::string resource) const;

  std::string get_caller_identity();
  Result<std::string> get_session_token();
  io::Task<Result<std::string>> assume_role();
  io::Task<Result<std::shared_ptr<const store::Role>>> find_role(std::string arn);
  Result<void> may_assume(const store::Role& role, const std::string& arn) const;
  void write_credentials(XmlWriter& xml, const store::SessionGrant& grant, UnixMs expires_ms) const;
  XmlWriter begin(std::string_view action) const;
  std::string end(XmlWriter& xml) const;

  Call& call_;
  std::optional<DocumentBudget::Ticket> ticket_;
  std::map<std::string, std::string> fields_;
  Caller caller_;
};

io::Task<Result<std::string>> Sts::read_body() {
  ticket_ = call_.door.documents.try_acquire(kStsBodyBytesMax);
  if (!ticket_) co_return no("SlowDown", "Please reduce your request rate.");
  std::string out;
  for (;;) {
    Buffer piece(kStsBodyBytesMax);
    Result<size_t> got = co_await call_.exchange.read_body(piece.span());
    if (!got) co_return fail(std::move(got).error());
    if (*got == 0) co_return out;
    out += as_text(piece.view().first(*got));
    if (out.size() > kStsBodyBytesMax) co_return no("RequestEntityTooLarge", "The request is too large.");
  }
}

Result<void> Sts::parse(std::string_view body) {
  auto pairs = http::parse_query(body);
  if (!pairs) return no("ValidationError", "The body is no form.");
  for (http::QueryParam& pair : *pairs)
    if (!fields_.emplace(pair.name, std::move(pair.value)).second)
      return no("ValidationError", "The parameter " + pair.name.substr(0, 64) + " is given twice.");
  ASSIGN_OR_RETURN(std::string version, field("Version"));
  if (version != kVersion) return no("InvalidAction", "The version must be 2011-06-15.");
  return {};
}

Result<std::string> Sts::field(const std::string& name) const {
  auto found = fields_.find(name);
  if (found == fields_.end() || found->second.empty())
    return no(name == "Action" ? "MissingAction" : "MissingParameter",
              "The request must contain the parameter " + name + ".");
  return found->second;
}

Result<Caller> Sts::find_caller(const std::string& access_key) const {
  const std::string* token = call_.request.headers.find("x-amz-security-token");
  if (token != nullptr) return call_.door.store.open_session(*token, access_key);
  Caller caller = call_.door.store.find_account(access_key);
  if (!caller) return refuse("InvalidAccessKeyId");
  return caller;
}

// SigV4 for the service "sts", over the hash of the body.
Result<void> Sts::authenticate(std::string_view body) {
  const http::Headers& headers = call_.request.headers;
  if (headers.count("authorization") != 1)
    return no("MissingAuthenticationToken", "Request is missing Authentication Token");
  auto authorization = parse_authorization(headers.get("authorization"), "sts");
  if (!authorization) return translated(authorization.error());
  for (std::string_view name : {"host", "x-amz-security-token"})
    if (headers.find(name) != nullptr &&
        std::ranges::find(authorization->signed_headers, name) == authorization->signed_headers.end())
      return no("IncompleteSignature", fmt::format("The header {} must be signed.", name));
  for (std::string_view name : {"host", "x-amz-date", "x-amz-security-token"})
    if (headers.count(name) > 1)
      return no("IncompleteSignature", fmt::format("The header {} is given twice.", name));
  const UnixMs now = call_.door.clock.unix_ms();
  const std::string* date = headers.find("x-amz-date");
  auto when = date == nullptr ? std::nullopt : http::parse_iso_basic(*date);
  if (!when || date->substr(0, 8) != authorization->date)
    return no("IncompleteSignature",
              "The X-Amz-Date header must give the date of the Credential, as 20260102T030405Z.");
  if (std::abs(now - *when) > std::chrono::duration_cast<std::chrono::milliseconds>(kSkewMax).count())
    return no("RequestExpired", "The request's time is too far from the server's.");
  auto caller = find_caller(authorization->access_key);
  if (!caller) return translated(caller.error());
  const std::string hash = hex(crypto::sha256(as_bytes(body)));
  auto canonical = canonical_request(call_.request, call_.target.query, *authorization, hash);
  if (!canonical) return no("IncompleteSignature", "A signed header is not there.");
  const std::string to_sign = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", *date, authorization->scope(),
                                          hex(crypto::sha256(as_bytes(*canonical))));
  crypto::Secret32 key = derive_signing_key((*caller)->secret_key, authorization->date, authorization->region,
                                            authorization->service);
  if (!crypto::constant_time_equal(as_bytes(sign(key, to_sign)), as_bytes(authorization->signature)))
    return no("SignatureDoesNotMatch",
              "The request signature we calculated does not match the signature you provided. Check your AWS "
              "Secret Access Key and signing method.");
  caller_ = std::move(*caller);
  return {};
}

iam::Request Sts::request_for(std::string action, std::string resource) const {
  iam::Request request{caller_->principal(), std::move(action), std::move(resource), {}};
  request.context.add_principal(request.principal);
  request.context.add_time(call_.door.clock.unix_ms());
  std::string peer = call_.request.peer;  // "address:port", "[address]:port"
  peer.resize(std::min(peer.rfind(':'), peer.size()));
  if (peer.starts_with('[') && peer.ends_with(']')) peer = peer.substr(1, peer.size() - 2);
  request.context.add("aws:SourceIp", std::move(peer));
  return request;
}

Result<UnixMs> Sts::expiry(int64_t seconds, int64_t seconds_max) const {
  if (auto found = fields_.find("DurationSeconds"); found != fields_.end()) {
    const std::string& text = found->second;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size() || seconds < kSessionSecondsMin ||
        seconds > seconds_max)
      return no("ValidationError", fmt::format("DurationSeconds must be a number from {} to {}.",
                                               kSessionSecondsMin, seconds_max));
  }
  return call_.door.clock.unix_ms() + seconds * 1000;
}

XmlWriter Sts::begin(std::string_view action) const {
  XmlWriter xml(fmt::format("{}Response", action), kNamespace);
  xml.open(fmt::format("{}Result", action));
  return xml;
}

std::string Sts::end(XmlWriter& xml) const {
  xml.close().open("ResponseMetadata").element("RequestId", call_.request_id).close();
  return xml.take();
}

void Sts::write_credentials(XmlWriter& xml, const store::SessionGrant& grant, UnixMs expires_ms) const {
  xml.open("Credentials")
      .element("AccessKeyId", grant.access_key)
      .element("SecretAccessKey", grant.secret_key);
  xml.element("SessionToken", grant.token)
      .element("Expiration", http::format_iso_extended(expires_ms / 1000 * 1000))
      .close();
}

std::string Sts::get_caller_identity() {
  const iam::Principal who = caller_->principal();
  XmlWriter xml = begin("GetCallerIdentity");
  xml.element("Arn", who.arn()).element("UserId", who.user_id());
  xml.element("Account", iam::account_number(who.account));
  return end(xml);
}

// The caller for a while. It needs no permission; what the session may do is what the caller may do.
Result<std::string> Sts::get_session_token() {
  if (!caller_->issuer.empty())
    return no("AccessDenied", "Cannot call GetSessionToken with session credentials");
  for (const char* unknown : {"SerialNumber", "TokenCode"})
    if (fields_.contains(unknown))
      return no("ValidationError", fmt::format("{} is not offered: there are no MFA devices here.", unknown));
  const bool root = caller_->root();
  ASSIGN_OR_RETURN(UnixMs expires_ms, expiry(root ? kRootSecondsMax : 12 * 3600,
                                             root ? kRootSecondsMax : kSessionTokenSecondsMax));
  store::SessionRequest session;
  session.caller = caller_;
  session.expires_ms = expires_ms;
  ASSIGN_OR_RETURN(store::SessionGrant grant, call_.door.store.make_session(session));
  XmlWriter xml = begin("GetSessionToken");
  write_credentials(xml, grant, expires_ms);
  return end(xml);
}

// arn:aws:iam::<number or id>:role/<name>; nullptr if there is none.
io::Task<Result<std::shared_ptr<const store::Role>>> Sts::find_role(std::string arn) {
  const size_t account_at = arn.find("::"), name_at = arn.find(":role/");
  if (!arn.starts_with("arn:aws") || account_at == std::string::npos || name_at == std::string::npos ||
      name_at < account_at + 2)
    co_return no("ValidationError", "RoleArn must be like arn:aws:iam::123456789012:role/name.");
  const std::string account = arn.substr(account_at + 2, name_at - account_at - 2);
  const std::string name = arn.substr(name_at + 6);
  auto accounts = co_await call_.door.store.list_accounts();
  if (!accounts) co_return fail(std::move(accounts).error());
  for (const store::Account& known : *accounts)
    if (known.id == account || iam::account_number(known.id) == account)
      co_return call_.door.store.find_role(known.id, name);
  co_return std::shared_ptr<const store::Role>();
}

// The role's trust must allow the caller; and the caller's own policies must, unless the trust names it and not just its account.
Result<void> Sts::may_assume(const store::Role& role, const std::string& arn) const {
  const iam::Request request = request_for("sts:AssumeRole", arn);
  iam::Grounds grounds;
  grounds.identity = caller_->policies;
  grounds.session = caller_->session_policy.get();
  grounds.resource = role.who.get();
  grounds.owner = role.account;
  const bool trusted = role.who && iam::evaluate(*role.who, request) == iam::Effect::allow;
  if (trusted && iam::authorize(request, grounds) == iam::Effect::allow) return {};
  return no("AccessDenied",
            fmt::format("User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
                        request.principal.arn(), arn));
}

io::Task<Result<std::string>> Sts::assume_role() {
  CO_ASSIGN_OR_RETURN(std::string arn, field("RoleArn"));
  CO_ASSIGN_OR_RETURN(std::string name, field("RoleSessionName"));
  if (!iam::is_name(name) || name.size() < 2)
    co_return no("ValidationError", "RoleSessionName must be 2 to 64 of A-Z a-z 0-9 _ + = , . @ -");
  for (const auto& [parameter, value] : fields_)
    if (parameter.starts_with("PolicyArns") || parameter.starts_with("Tags") || parameter == "ExternalId" ||
        parameter == "SerialNumber" || parameter == "TokenCode" || parameter == "SourceIdentity")
      co_return no("ValidationError", parameter.substr(0, 64) + " is not offered.");
  auto role = co_await find_role(arn);
  if (!role) co_return fail(std::move(role).error());
  // A role that does not exist is refused as one that may not be assumed: names are nobody else's business.
  store::Role nothing;
  const store::Role& wanted = *role ? **role : nothing;
  if (*role) arn = fmt::format("arn:aws:iam::{}:role/{}", iam::account_number(wanted.account), wanted.name);
  CO_RETURN_IF_ERROR(may_assume(wanted, arn));
  CO_ASSIGN_OR_RETURN(UnixMs expires_ms,
                      expiry(3600, caller_->role.empty() ? kRoleSecondsMax : kRootSecondsMax));
  store::SessionRequest session;
  session.caller = caller_;
  session.role = *role;
  session.session = name;
  if (auto policy = fields_.find("Policy"); policy != fields_.end()) session.policy = policy->second;
  session.expires_ms = expires_ms;
  auto grant = call_.door.store.make_session(session);
  if (!grant) co_return translated(grant.error());
  const iam::Principal who = iam::Principal::role_session(wanted.account, wanted.name, name);
  XmlWriter xml = begin("AssumeRole");
  write_credentials(xml, *grant, expires_ms);
  xml.open("AssumedRoleUser").element("AssumedRoleId", who.user_id()).element("Arn", who.arn()).close();
  xml.element("PackedPolicySize", session.policy.size() * 100 / iam::kSessionPolicyBytesMax);
  co_return end(xml);
}

io::Task<Result<std::string>> Sts::run() {
  auto body = co_await read_body();
  if (!body) co_return body;
  CO_RETURN_IF_ERROR(authenticate(*body));
  CO_RETURN_IF_ERROR(parse(*body));
  CO_ASSIGN_OR_RETURN(std::string action, field("Action"));
  if (action == "GetCallerIdentity") co_return get_caller_identity();
  if (action == "GetSessionToken") co_return get_session_token();
  if (action == "AssumeRole") {
    auto assumed = co_await assume_role();
    co_return assumed;
  }
  co_return no("InvalidAction",
               "Could not find operation " + action.substr(0, 64) + " for version 2011-06-15");
}

io::Task<Result<void>> answer(Call& call, int status, std::string document) {
  http::Response response;
  response.status = call.status = status;
  response.headers.add("x-amzn-requestid", call.request_id);
  response.headers.add("content-type", "text/xml");
  Result<void> sent = co_await reply(call, std::move(response), std::move(document));
  co_return sent;
}

}  // namespace

bool is_sts(const http::Request& request, const Target& target) {
  return request.method == "POST" && target.bucket.empty() &&
         request.headers.get("content-type").starts_with("application/x-www-form-urlencoded");
}

io::Task<Result<void>> serve_sts(Call& call) {
  call.operation = Operation::sts;
  Sts sts(call);
  Result<std::string> document = co_await sts.run();
  if (document) {
    auto sent = co_await answer(call, 200, std::move(*document));
    co_return sent;
  }
  const Error& error = document.error();
  const auto row = std::ranges::find(kErrors, std::string_view(error.detail), &StsError::code);
  // What is no error of STS is ours, or the connection's.
  const bool ours = row == std::end(kErrors);
  const int status = ours ? 500 : row->status;
  call.error_code = ours ? "InternalFailure" : row->code;
  XmlWriter xml("ErrorResponse", kNamespace);
  xml.open("Error").element("Type", status < 500 ? "Sender" : "Receiver").element("Code", call.error_code);
  xml.element("Message",
              std::string_view(ours ? "The request processing has failed because of an unknown error."
                                    : error.message));
  xml.close().element("RequestId", call.request_id);
  auto sent = co_await answer(call, status, xml.take());
  co_return sent;
}

}  // namespace archipel::door::s3
