// STS over a whole store: who gets temporary keys, and what is refused in its words.
#include "door/s3/sts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "door/s3/testing/client.h"
#include "http/date.h"
#include "store/store_fixture.h"

namespace archipel::door::s3::testing {
namespace {

using store::kAlice;
using store::kBob;
using store::StoreRig;
using ::testing::HasSubstr;

struct Key {
  std::string access_key, secret_key, token = {};
};
const Key kRoot{"ROOTKEY", "secret of the root"}, kAnn{"ANNKEY", "secret of ann"},
    kBobRoot{"BOBKEY", "secret of bob"};

std::string role_arn(const std::string& name) {
  return "arn:aws:iam::" + iam::account_number(kAlice) + ":role/" + name;
}

// A cloud with accounts Alice and Bob, a user ann of Alice, and a door.
struct Cloud {
  explicit Cloud(StoreRig& the_rig)
      : rig(the_rig),
        random(seeded_random(3)),
        door(Options{}, *the_rig.store, the_rig.clock, nullptr, *random) {}

  io::Task<void> furnish(std::string ann_policy) {
    Result<void> done =
        co_await rig.store->put_account({kAlice, "Alice", kRoot.access_key, kRoot.secret_key});
    EXPECT_TRUE(done);
    done = co_await rig.store->put_account({kBob, "Bob", kBobRoot.access_key, kBobRoot.secret_key});
    EXPECT_TRUE(done);
    store::User ann{kAlice, "ann", 1};
    if (!ann_policy.empty()) ann.policies["policy"] = std::move(ann_policy);
    done = co_await rig.store->put_user(ann);
    EXPECT_TRUE(done);
    store::Account key{kAlice, "", kAnn.access_key, kAnn.secret_key};
    key.user = "ann";
    done = co_await rig.store->put_account(key);
    EXPECT_TRUE(done);
  }
  io::Task<void> make_role(std::string name, std::string principal) {
    store::Role role{.account = kAlice,
                     .name = std::move(name),
                     .created_ms = 1,
                     .trust = R"({"Statement":{"Effect":"Allow","Principal":)" + principal +
                              R"(,"Action":"sts:AssumeRole"}})"};
    Result<void> done = co_await rig.store->put_role(role);
    EXPECT_TRUE(done);
  }

  // Signs as the SDKs do: the body's hash, and no x-amz-content-sha256. `spoil` may change the request after that.
  io::Task<Answer> ask(Key key, std::string form, std::function<void(FakeExchange&)> spoil = {}) {
    FakeExchange exchange;
    exchange.in.method = "POST";
    exchange.in.target = "/";
    exchange.body = form + "&Version=2011-06-15";
    const std::string stamp = http::format_iso_basic(rig.clock.unix_ms()), day = stamp.substr(0, 8);
    http::Headers& headers = exchange.in.headers;
    headers.add("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    headers.add("host", "127.0.0.1:9000");
    headers.add("x-amz-date", stamp);
    std::string names = "content-type;host;x-amz-date";
    std::string lines =
        "content-type:application/x-www-form-urlencoded; charset=utf-8\nhost:127.0.0.1:9000\nx-amz-date:" +
        stamp + "\n";
    if (!key.token.empty()) {
      headers.add("x-amz-security-token", key.token);
      names += ";x-amz-security-token";
      lines += "x-amz-security-token:" + key.token + "\n";
    }
    const std::string scope = day + "/us-east-1/sts/aws4_request";
    const std::string canonical = "POST\n/\n\n" + lines + "\n" + names + "\n" + Signer::digest(exchange.body);
    const std::string to_sign =
        "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + Signer::digest(canonical);
    auto mac = &Signer::mac;
    const std::string derived =
        mac(mac(mac(mac("AWS4" + key.secret_key, day), "us-east-1"), "sts"), "aws4_request");
    headers.add("authorization", "AWS4-HMAC-SHA256 Credential=" + key.access_key + "/" + scope +
                                     ", SignedHeaders=" + names +
                                     ", Signature=" + hex(as_bytes(mac(derived, to_sign))));
    if (spoil) spoil(exchange);
    co_await door.handle(exchange);
    co_return Answer{exchange.status(), exchange.out.headers, exchange.sent,
                     exchange.finished, exchange.body_read,   exchange.announced};
  }
  static Key key_in(const Answer& answer) {
    return {answer.element("AccessKeyId"), answer.element("SecretAccessKey"), answer.element("SessionToken")};
  }

  StoreRig& rig;
  std::unique_ptr<Random> random;
  Door door;
};

void unsign(FakeExchange& exchange) {
  http::Headers kept;
  for (const auto& [name, value] : exchange.in.headers)
    if (name != "authorization") kept.add(name, value);
  exchange.in.headers = std::move(kept);
}

TEST(Sts, SaysWhoAsks) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      Cloud cloud(rig);
      co_await cloud.furnish({});
      Answer answer = co_await cloud.ask(kAnn, "Action=GetCallerIdentity");
      EXPECT_EQ(answer.status, 200) << answer.body;
      EXPECT_EQ(answer.element("Account"), iam::account_number(kAlice));
      EXPECT_EQ(answer.element("Arn"), "arn:aws:iam::" + iam::account_number(kAlice) + ":user/ann");
      EXPECT_THAT(answer.body, HasSubstr("xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\""));
      answer = co_await cloud.ask(kRoot, "Action=GetCallerIdentity");
      EXPECT_EQ(answer.element("Arn"), "arn:aws:iam::" + iam::account_number(kAlice) + ":root");
    }
  };
  store::with_store(&Body::go);
}

TEST(Sts, RefusesWhatIsNotSignedAsItMust) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      Cloud cloud(rig);
      co_await cloud.furnish({});
      const std::string who = "Action=GetCallerIdentity";
      Answer answer = co_await cloud.ask({kAnn.access_key, "wrong"}, who);
      EXPECT_EQ(answer.code(), "SignatureDoesNotMatch");
      EXPECT_EQ(answer.status, 403);
      EXPECT_EQ(answer.element("Type"), "Sender");
      answer = co_await cloud.ask({"NOBODY", "x"}, who);
      EXPECT_EQ(answer.code(), "InvalidClientTokenId");
      answer = co_await cloud.ask({kAnn.access_key, kAnn.secret_key, "nonsense"}, who);
      EXPECT_EQ(answer.code(), "InvalidClientTokenId");
      answer = co_await cloud.ask(kAnn, who, [](FakeExchange& e) { e.body += "&Extra=1"; });
      EXPECT_EQ(answer.code(), "SignatureDoesNotMatch");
      answer = co_await cloud.ask(kAnn, who,
                                  [](FakeExchange& e) { e.in.headers.add("x-amz-security-token", "t"); });
      EXPECT_EQ(answer.code(), "IncompleteSignature");
      answer = co_await cloud.ask(
          kAnn, who, [](FakeExchange& e) { e.in.headers.set("x-amz-date", "20200101T000000Z"); });
      EXPECT_EQ(answer.code(), "IncompleteSignature");
      answer = co_await cloud.ask(kAnn, who, unsign);
      EXPECT_EQ(answer.code(), "MissingAuthenticationToken");
      answer = co_await cloud.ask(kAnn, who + "&A=" + std::string(kStsBodyBytesMax, 'a'));
      EXPECT_EQ(answer.status, 413);
      answer = co_await cloud.ask(kAnn, "Action=GetFederationToken");
      EXPECT_EQ(answer.code(), "InvalidAction");
      answer = co_await cloud.ask(kAnn, "Action=GetCallerIdentity&Action=GetSessionToken");
      EXPECT_EQ(answer.code(), "ValidationError");
      answer = co_await cloud.ask(kAnn, "Nothing=1");
      EXPECT_EQ(answer.code(), "MissingAction");
    }
  };
  store::with_store(&Body::go);
}

TEST(Sts, GivesASessionToWhoHasAKeyOfItsOwn) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      Cloud cloud(rig);
      co_await cloud.furnish({});
      Answer answer = co_await cloud.ask(kAnn, "Action=GetSessionToken&DurationSeconds=900");
      EXPECT_EQ(answer.status, 200) << answer.body;
      const Key session = Cloud::key_in(answer);
      EXPECT_EQ(answer.element("Expiration"),
                http::format_iso_extended((rig.clock.unix_ms() + 900'000) / 1000 * 1000));
      answer = co_await cloud.ask(session, "Action=GetCallerIdentity");
      EXPECT_THAT(answer.element("Arn"), HasSubstr(":user/ann"));
      answer = co_await cloud.ask(session, "Action=GetSessionToken");
      EXPECT_EQ(answer.code(), "AccessDenied");
      answer = co_await cloud.ask({session.access_key, session.secret_key}, "Action=GetCallerIdentity");
      EXPECT_EQ(answer.code(), "InvalidClientTokenId");
      for (std::string seconds : {"899", "129601", "x", "-1", "99999999999999999999"}) {
        answer = co_await cloud.ask(kAnn, "Action=GetSessionToken&DurationSeconds=" + seconds);
        EXPECT_EQ(answer.code(), "ValidationError") << seconds;
      }
      answer = co_await cloud.ask(kRoot, "Action=GetSessionToken&DurationSeconds=3601");
      EXPECT_EQ(answer.code(), "ValidationError") << "a root's session is short";
    }
  };
  store::with_store(&Body::go);
}

TEST(Sts, LetsARoleBeAssumedByWhoItTrustsAndWhoseAccountLetsIt) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      Cloud cloud(rig);
      co_await cloud.furnish(R"({"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":")" +
                             role_arn("allowed*") + "\"}}");
      const std::string account = R"({"AWS":")" + kAlice + "\"}";
      co_await cloud.make_role("byname",
                               R"({"AWS":"arn:aws:iam::)" + iam::account_number(kAlice) + R"(:user/ann"})");
      co_await cloud.make_role("allowed", account);
      co_await cloud.make_role("account", account);
      co_await cloud.make_role("allowed-to-bob", R"({"AWS":")" + kBob + "\"}");
      auto assume = [](const std::string& arn) {
        return "Action=AssumeRole&RoleSessionName=night&RoleArn=" + http::uri_encode(arn);
      };
      Answer answer = co_await cloud.ask(kAnn, assume(role_arn("byname")));
      EXPECT_EQ(answer.status, 200) << answer.body;
      EXPECT_THAT(answer.element("Arn"), HasSubstr(":assumed-role/byname/night"));
      const Key session = Cloud::key_in(answer);
      answer = co_await cloud.ask(session, "Action=GetCallerIdentity");
      EXPECT_THAT(answer.element("Arn"), HasSubstr(":assumed-role/byname/night"));
      answer = co_await cloud.ask(kAnn, assume(role_arn("allowed")));
      EXPECT_EQ(answer.status, 200) << answer.body;
      for (std::string refused : {"account", "allowed-to-bob", "none"}) {
        answer = co_await cloud.ask(kAnn, assume(role_arn(refused)));
        EXPECT_EQ(answer.code(), "AccessDenied") << refused;
      }
      answer = co_await cloud.ask(kBobRoot, assume(role_arn("allowed-to-bob")));
      EXPECT_EQ(answer.status, 200) << answer.body;
      answer = co_await cloud.ask(kBobRoot, assume(role_arn("account")));
      EXPECT_EQ(answer.code(), "AccessDenied");
      answer = co_await cloud.ask(kAnn, assume("role/byname"));
      EXPECT_EQ(answer.code(), "ValidationError");
      answer = co_await cloud.ask(kAnn, assume(role_arn("byname")) + "&ExternalId=1");
      EXPECT_EQ(answer.code(), "ValidationError");
      answer = co_await cloud.ask(kAnn, assume(role_arn("byname")) + "&Policy=%7B");
      EXPECT_EQ(answer.code(), "MalformedPolicyDocument");
    }
  };
  store::with_store(&Body::go);
}

}  // namespace
}  // namespace archipel::door::s3::testing
