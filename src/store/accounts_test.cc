// Accounts, users, roles, keys and sessions, over a whole store.
#include "store/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/identity_records.h"
#include "store/keys.h"
#include "store/store_fixture.h"

namespace archipel::store {
namespace {

constexpr std::string_view kReadAll = R"({"Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}})";
constexpr std::string_view kTrustAnyone =
    R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}})";

template <class T>
std::string outcome(const Result<T>& result) {
  return result ? "ok" : result.error().detail;
}

io::Task<bool> make_account(StoreRig& rig, std::string id, std::string name) {
  Account account{std::move(id), name, "ROOT" + name, "secret of " + name};
  account.email = name + "@example.com";
  account.created_ms = 1000;
  Result<void> made = co_await rig.store->put_account(std::move(account));
  EXPECT_EQ(outcome(made), "ok");
  co_return made.has_value();
}

io::Task<std::string> add_key(StoreRig& rig, std::string account, std::string user, std::string key) {
  Account record{std::move(account), "", std::move(key), "secret of a key"};
  record.user = std::move(user);
  Result<void> made = co_await rig.store->put_account(std::move(record));
  co_return outcome(made);
}

io::Task<bool> make_ann(StoreRig& rig) {
  bool account = co_await make_account(rig, kAlice, "Alice");
  if (!account) co_return false;
  Result<void> user = co_await rig.store->put_user({kAlice, "ann", 5, {{"read", std::string(kReadAll)}}});
  EXPECT_EQ(outcome(user), "ok");
  std::string key = co_await add_key(rig, kAlice, "ann", "ANN1");
  EXPECT_EQ(key, "ok");
  co_return user.has_value();
}

TEST(Users, HaveKeysAndPoliciesThatSurviveARestart) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      bool made = co_await make_ann(rig);
      CO_ASSERT_TRUE(made);
      for (bool restart : {false, true}) {
        if (restart) {
          bool restarted = co_await rig.restart(true);
          CO_ASSERT_TRUE(restarted);
        }
        auto ann = rig.store->find_account("ANN1");
        CO_ASSERT_TRUE(ann);
        EXPECT_EQ(ann->user, "ann");
        EXPECT_EQ(ann->display_name, "Alice");
        EXPECT_EQ(ann->principal().arn(), "arn:aws:iam::" + iam::account_number(kAlice) + ":user/ann");
        CO_ASSERT_TRUE(ann->policies.size() == 1);
        iam::Request get{ann->principal(), "s3:GetObject", "arn:aws:s3:::b/k", {}};
        EXPECT_EQ(iam::evaluate(*ann->policies[0], get), iam::Effect::allow);
        CO_ASSERT_TRUE(rig.store->find_owner(kAlice));
        EXPECT_EQ(rig.store->find_owner(kAlice)->access_key, "ROOTAlice");
        EXPECT_TRUE(rig.store->find_owner_by_email("aLICE@example.com"));
        EXPECT_FALSE(rig.store->find_owner_by_email("nobody@example.com"));
        EXPECT_EQ(rig.store->list_users(kAlice).size(), 1u);
        EXPECT_EQ(rig.store->list_users(kBob).size(), 0u);
        Result<std::vector<Account>> accounts = co_await rig.store->list_accounts();
        CO_ASSERT_TRUE(accounts);
        EXPECT_EQ(accounts->size(), 1u) << "a user is no account";
      }
    }
  };
  with_store(&Body::go);
}

TEST(Users, HaveAtMostTwoKeysAndLoseThemAllAtOnce) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      bool made = co_await make_ann(rig);
      CO_ASSERT_TRUE(made);
      std::string second = co_await add_key(rig, kAlice, "ann", "ANN2");
      EXPECT_EQ(second, "ok");
      std::string third = co_await add_key(rig, kAlice, "ann", "ANN3");
      EXPECT_EQ(third, "LimitExceeded");
      std::string nobody = co_await add_key(rig, kAlice, "nobody", "X1");
      EXPECT_EQ(nobody, "NoSuchEntity");
      std::string taken = co_await add_key(rig, kAlice, "ann", "ROOTAlice");
      EXPECT_EQ(taken, "InvalidRequest") << "a key never passes to somebody else";
      Result<void> removed = co_await rig.store->remove_key("ANN2");
      EXPECT_EQ(outcome(removed), "ok");
      EXPECT_FALSE(rig.store->find_account("ANN2"));
      removed = co_await rig.store->remove_key("ANN2");
      EXPECT_EQ(outcome(removed), "NoSuchEntity");
      removed = co_await rig.store->remove_key("ROOTAlice");
      EXPECT_EQ(outcome(removed), "InvalidRequest");
      removed = co_await rig.store->remove_user(kAlice, "ann");
      EXPECT_EQ(outcome(removed), "ok");
      EXPECT_FALSE(rig.store->find_account("ANN1"));
      EXPECT_TRUE(rig.store->find_account("ROOTAlice"));
      EXPECT_EQ(rig.count("i/"), 0u);
    }
  };
  with_store(&Body::go);
}

TEST(Users, KeepTheirKeysWhenTheRootGetsAnother) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      bool made = co_await make_ann(rig);
      CO_ASSERT_TRUE(made);
      Result<void> replaced = co_await rig.store->put_account({kAlice, "Alice", "NEWROOT", "s"});
      EXPECT_EQ(outcome(replaced), "ok");
      EXPECT_FALSE(rig.store->find_account("ROOTAlice"));
      EXPECT_TRUE(rig.store->find_account("ANN1"));
    }
  };
  with_store(&Body::go);
}

TEST(Users, WhoseKeyIsNotActiveAreNotFound) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      bool made = co_await make_ann(rig);
      CO_ASSERT_TRUE(made);
      Account key = *rig.store->find_account("ANN1");
      key.active = false;
      Result<void> put = co_await rig.store->put_account(key);
      EXPECT_EQ(outcome(put), "ok");
      EXPECT_FALSE(rig.store->find_account("ANN1"));
      CO_ASSERT_TRUE(rig.store->list_keys(kAlice, "ann").size() == 1);
      EXPECT_FALSE(rig.store->list_keys(kAlice, "ann")[0].active);
    }
  };
  with_store(&Body::go);
}

TEST(Accounts, HaveNamesAndMailOfTheirOwn) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      bool made = co_await make_account(rig, kAlice, "Alice");
      CO_ASSERT_TRUE(made);
      Result<void> same = co_await rig.store->put_account({kBob, "Alice", "BOB", "s"});
      EXPECT_EQ(outcome(same), "EntityAlreadyExists");
      Account bob{kBob, "Bob", "BOB", "s"};
      bob.email = "Alice@example.com";
      same = co_await rig.store->put_account(bob);
      EXPECT_EQ(outcome(same), "EntityAlreadyExists");
    }
  };
  with_store(&Body::go);
}

TEST(Accounts, GoWithAllTheyHaveButNotWhileTheyOwnBuckets) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      bool made = co_await make_ann(rig);
      CO_ASSERT_TRUE(made);
      made = co_await make_account(rig, kBob, "Bob");
      CO_ASSERT_TRUE(made);
      Result<void> bucket = co_await rig.store->create_bucket("alices", kAlice);
      EXPECT_EQ(outcome(bucket), "ok");
      Result<void> removed = co_await rig.store->remove_account(kAlice);
      EXPECT_EQ(outcome(removed), "DeleteConflict");
      EXPECT_TRUE(rig.store->find_account("ANN1"));
      bucket = co_await rig.store->delete_bucket("alices");
      EXPECT_EQ(outcome(bucket), "ok");
      removed = co_await rig.store->remove_account(kAlice);
      EXPECT_EQ(outcome(removed), "ok");
      EXPECT_EQ(rig.count("a/"), 1u);
      EXPECT_EQ(rig.count("i/"), 0u);
      EXPECT_TRUE(rig.store->find_account("ROOTBob"));
      removed = co_await rig.store->remove_account(kAlice);
      EXPECT_EQ(outcome(removed), "NoSuchEntity");
    }
  };
  with_store(&Body::go);
}

TEST(Users, AreRefusedPoliciesThatCannotBeRead) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      bool made = co_await make_ann(rig);
      CO_ASSERT_TRUE(made);
      Result<void> put = co_await rig.store->put_user({kAlice, "ann", 5, {{"bad", "{}"}}});
      EXPECT_EQ(outcome(put), "MalformedPolicy");
      put = co_await rig.store->put_user({kAlice, "a/n", 5, {}});
      EXPECT_EQ(outcome(put), "InvalidRequest");
      put = co_await rig.store->put_user({kBob, "ann", 5, {}});
      EXPECT_EQ(outcome(put), "NoSuchEntity");
    }
  };
  with_store(&Body::go);
}

TEST(Policies, ThatCannotBeReadAnyMoreDenyEverything) {
  Policies parsed = parse_policies({{"a", std::string(kReadAll)}, {"b", "{\"Statement\":[]}"}});
  ASSERT_EQ(parsed.size(), 2u);
  iam::Request get{iam::Principal::user(kAlice, "ann"), "s3:GetObject", "arn:aws:s3:::b/k", {}};
  EXPECT_EQ(iam::evaluate_all(parsed, get), iam::Effect::deny);
}

SessionGrant grant_of(StoreRig& rig, SessionRequest request) {
  Result<SessionGrant> grant = rig.store->make_session(request);
  EXPECT_EQ(outcome(grant), "ok");
  return grant ? *grant : SessionGrant{};
}

TEST(Sessions, StandForWhoAskedUntilTheyExpire) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      bool made = co_await make_ann(rig);
      CO_ASSERT_TRUE(made);
      const UnixMs end = rig.clock.unix_ms() + 1000;
      SessionGrant grant = grant_of(rig, {.caller = rig.store->find_account("ANN1"), .expires_ms = end});
      auto opened = rig.store->open_session(grant.token, grant.access_key);
      CO_ASSERT_TRUE(opened);
      EXPECT_EQ((*opened)->secret_key, grant.secret_key);
      EXPECT_EQ((*opened)->user, "ann");
      EXPECT_EQ((*opened)->policies.size(), 1u);
      EXPECT_FALSE((*opened)->session_policy);
      EXPECT_EQ(outcome(rig.store->open_session(grant.token, "ANN1")), "InvalidToken");
      EXPECT_EQ(outcome(rig.store->open_session("nonsense", grant.access_key)), "InvalidToken");
      for (size_t at = 0; at < grant.token.size(); at += 7) {
        std::string changed = grant.token;
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        EXPECT_EQ(outcome(rig.store->open_session(changed, grant.access_key)), "InvalidToken") << at;
      }
      SessionGrant past =
          grant_of(rig, {.caller = rig.store->find_account("ANN1"), .expires_ms = rig.clock.unix_ms()});
      EXPECT_EQ(outcome(rig.store->open_session(past.token, past.access_key)), "ExpiredToken");
      bool restarted = co_await rig.restart(true);
      CO_ASSERT_TRUE(restarted);
      EXPECT_EQ(outcome(rig.store->open_session(grant.token, grant.access_key)), "ok");
      Result<void> removed = co_await rig.store->remove_key("ANN1");
      EXPECT_EQ(outcome(removed), "ok");
      EXPECT_EQ(outcome(rig.store->open_session(grant.token, grant.access_key)), "InvalidToken");
    }
  };
  with_store(&Body::go);
}

TEST(Sessions, OfARoleHaveItsPoliciesAndTheirOwn) {
  struct Body {
    static io::Task<void> go(StoreRig& rig) {
      bool made = co_await make_ann(rig);
      CO_ASSERT_TRUE(made);
      Role role{.account = kAlice,
                .name = "backup",
                .created_ms = 7,
                .trust = std::string(kTrustAnyone),
                .policies = {{"read", std::string(kReadAll)}}};
      Result<void> put = co_await rig.store->put_role(role);
      EXPECT_EQ(outcome(put), "ok");
      role.trust = "{}";
      put = co_await rig.store->put_role(role);
      EXPECT_EQ(outcome(put), "MalformedPolicy");
      SessionRequest request{.caller = rig.store->find_account("ANN1"),
                             .role = rig.store->find_role(kAlice, "backup"),
                             .session = "night",
                             .policy = std::string(kReadAll),
                             .expires_ms = rig.clock.unix_ms() + 1000};
      CO_ASSERT_TRUE(request.role);
      EXPECT_TRUE(request.role->who);
      SessionGrant grant = grant_of(rig, request);
      auto opened = rig.store->open_session(grant.token, grant.access_key);
      CO_ASSERT_TRUE(opened);
      EXPECT_EQ((*opened)->principal().arn(),
                "arn:aws:sts::" + iam::account_number(kAlice) + ":assumed-role/backup/night");
      EXPECT_EQ((*opened)->policies.size(), 1u);
      EXPECT_TRUE((*opened)->session_policy);
      request.policy = "{";
      EXPECT_EQ(outcome(rig.store->make_session(request)), "MalformedPolicy");
      put = co_await rig.store->remove_role(kAlice, "backup");
      EXPECT_EQ(outcome(put), "ok");
      EXPECT_EQ(outcome(rig.store->open_session(grant.token, grant.access_key)), "InvalidToken");
    }
  };
  with_store(&Body::go);
}

TEST(IdentityRecords, RefuseEveryCutAndEveryChangeOfAKey) {
  auto random = seeded_random(6);
  auto keys = crypto::Keyring::generate(*random);
  Account ann{kAlice, "", "ANN1", "secret-of-ann"};
  ann.user = "ann";
  ann.created_ms = 77;
  const std::string record = encode(ann, *keys, *random);
  EXPECT_EQ(record.front(), 2);
  auto back = decode_account(record, "ANN1", *keys);
  ASSERT_TRUE(back) << back.error().describe();
  EXPECT_EQ(back->user, "ann");
  EXPECT_EQ(back->created_ms, 77);
  for (size_t at = 0; at < record.size(); ++at) {
    std::string changed = record;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(decode_account(changed, "ANN1", *keys)) << at;
    EXPECT_FALSE(decode_account(record.substr(0, at), "ANN1", *keys)) << at;
  }
  const std::string user = encode(User{kAlice, "ann", 1, {{"p", "x"}}});
  EXPECT_TRUE(decode_user(user_key(kAlice, "ann"), user));
  EXPECT_FALSE(decode_user(role_key(kAlice, "ann"), user));
  EXPECT_FALSE(decode_role(role_key(kAlice, "ann"), user));
  for (size_t size = 0; size < user.size(); ++size)
    EXPECT_FALSE(decode_user(user_key(kAlice, "ann"), user.substr(0, size)));
}

}  // namespace
}  // namespace archipel::store
