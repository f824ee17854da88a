#include "store/sessions.h"

#include "crypto/aead.h"

namespace archipel::store {
namespace {

constexpr uint8_t kFormat = 1;
constexpr size_t kFieldBytesMax = 256;
const std::string kSessionsKey = "sessions";

std::string random_text(Random& random, size_t size, std::string_view alphabet) {
  CHECK(!alphabet.empty() && 256 % alphabet.size() == 0);
  std::string out(size, '\0');
  random.fill({reinterpret_cast<uint8_t*>(out.data()), size});
  for (char& c : out) c = alphabet[static_cast<uint8_t>(c) % alphabet.size()];
  return out;
}

std::string bound_to(std::string_view access_key) {
  std::string ad;
  Writer(ad).bytes("archipel session").u8(kFormat).bytes(access_key);
  return ad;
}

std::unexpected<Error> invalid() {
  return fail(Code::denied, "The provided token is malformed or otherwise invalid.", "InvalidToken");
}

// What the token says, and what it says to look up.
struct Contents {
  Account account;  // id, access_key, secret_key, user, role, session, issuer, expires_ms
  std::string policy;
};

std::string encode_contents(const Contents& c) {
  std::string out;
  const Account& a = c.account;
  Writer(out).bytes(a.secret_key).bytes(a.id).bytes(a.user).bytes(a.role).bytes(a.session).bytes(a.issuer);
  Writer(out).u64(static_cast<uint64_t>(a.expires_ms)).bytes(c.policy);
  return out;
}

bool decode_contents(std::string_view bytes, Contents& out) {
  Reader reader(bytes);
  Account& a = out.account;
  for (std::string* field : {&a.secret_key, &a.id, &a.user, &a.role, &a.session, &a.issuer})
    *field = reader.bytes(kFieldBytesMax);
  a.expires_ms = static_cast<UnixMs>(reader.u64());
  out.policy = reader.bytes(iam::kSessionPolicyBytesMax);
  return reader.done();
}

}  // namespace

Result<SessionGrant> seal_session(const SessionRequest& request, const crypto::Keyring& keys,
                                  Random& random) {
  if (!request.policy.empty()) {
    auto parsed = iam::parse_policy(request.policy, iam::PolicyKind::session);
    if (!parsed) return fail(std::move(parsed).error());
  }
  SessionGrant grant;
  grant.access_key = "ASIA" + random_text(random, 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
  grant.secret_key =
      random_text(random, 40, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
  Contents contents;
  Account& a = contents.account;
  a.secret_key = grant.secret_key;
  a.id = request.role ? request.role->account : request.caller->id;
  if (request.role) {
    a.role = request.role->name;
    a.session = request.session;
  } else {
    a.user = request.caller->user;
  }
  // Of a session that asks for another, the key that began it.
  a.issuer = request.caller->issuer.empty() ? request.caller->access_key : request.caller->issuer;
  a.expires_ms = request.expires_ms;
  contents.policy = request.policy;
  std::string plain = encode_contents(contents);

  crypto::Nonce nonce = random.bytes<crypto::kNonceBytes>();
  std::string sealed(plain.size() + crypto::kTagBytes, '\0');
  const std::string ad = bound_to(grant.access_key);
  crypto::Aead(keys.subkey(kSessionsKey), crypto::Aead::Use::seal)
      .seal(nonce, as_bytes(ad), as_bytes(plain), {reinterpret_cast<uint8_t*>(sealed.data()), sealed.size()});
  crypto::secure_clear(plain.data(), plain.size());
  std::string token;
  Writer(token).u8(kFormat).raw(ByteView(nonce)).raw(sealed);
  grant.token = base64(as_bytes(token));
  return grant;
}

Result<std::shared_ptr<const Account>> open_session(std::string_view token, std::string_view access_key,
                                                    const crypto::Keyring& keys, const Directory& directory,
                                                    UnixMs now) {
  if (token.size() > kTokenBytesMax || access_key.size() > kFieldBytesMax) return invalid();
  std::optional<std::string> bytes = unbase64(token);
  if (!bytes) return invalid();
  Reader reader(*bytes);
  const uint8_t format = reader.u8();
  crypto::Nonce nonce{};
  reader.fixed(nonce);
  ByteView sealed = reader.raw(reader.remaining());
  if (!reader.ok() || format != kFormat || sealed.size() < crypto::kTagBytes) return invalid();
  std::string plain(sealed.size() - crypto::kTagBytes, '\0');
  const std::string ad = bound_to(access_key);
  bool opened =
      crypto::Aead(keys.subkey(kSessionsKey), crypto::Aead::Use::open)
          .open(nonce, as_bytes(ad), sealed, {reinterpret_cast<uint8_t*>(plain.data()), plain.size()});
  Contents contents;
  if (!opened || !decode_contents(plain, contents)) return invalid();
  crypto::secure_clear(plain.data(), plain.size());

  auto session = std::make_shared<Account>(std::move(contents.account));
  if (now >= session->expires_ms)
    return fail(Code::denied, "The provided token has expired.", "ExpiredToken");
  // Who began it must still be there, and what it acts for too.
  std::shared_ptr<const Account> issuer = directory.account(session->issuer);
  std::shared_ptr<const Account> owner = directory.owner(session->id);
  if (!issuer || !owner) return invalid();
  if (!session->role.empty()) {
    std::shared_ptr<const Role> role = directory.role(session->id, session->role);
    if (!role) return invalid();
    session->policies = role->parsed;
  } else {
    if (issuer->id != session->id || issuer->user != session->user) return invalid();
    session->policies = issuer->policies;
  }
  if (!contents.policy.empty()) {
    auto parsed = iam::parse_policy(contents.policy, iam::PolicyKind::session);
    if (!parsed) return invalid();
    session->session_policy = std::move(*parsed);
  }
  session->access_key = access_key;
  session->display_name = owner->display_name;
  session->email = owner->email;
  session->created_ms = owner->created_ms;
  return std::shared_ptr<const Account>(std::move(session));
}

}  // namespace archipel::store
