#include "iam/policy.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace archipel::iam {
namespace {

using testing::HasSubstr;

const std::string kOwner(64, 'a'), kOther(64, 'b');

std::string statement(std::string_view rest) {
  return fmt::format(R"({{"Version":"2012-10-17","Statement":[{{{}}}]}})", rest);
}

std::shared_ptr<const Policy> parse(std::string_view json, PolicyKind kind = PolicyKind::resource) {
  auto policy = parse_policy(json, kind);
  EXPECT_TRUE(policy) << (policy ? "" : policy.error().message) << "\n" << json;
  return policy ? *policy : nullptr;
}

std::string why_not(std::string_view json, PolicyKind kind = PolicyKind::resource) {
  auto policy = parse_policy(json, kind);
  EXPECT_FALSE(policy) << json;
  if (policy) return "parsed";
  EXPECT_EQ(policy.error().code, Code::invalid);
  EXPECT_EQ(policy.error().detail, "MalformedPolicy");
  return policy.error().message;
}

Request request(Principal principal, std::string action = "s3:GetObject",
                std::string resource = "arn:aws:s3:::box/key") {
  Request out{std::move(principal), std::move(action), std::move(resource), {}};
  out.context.add_principal(out.principal);
  return out;
}

Effect ask(std::string_view rest, const Request& asked, PolicyKind kind = PolicyKind::resource) {
  auto policy = parse(statement(rest), kind);
  return policy == nullptr ? Effect::none : evaluate(*policy, asked);
}

// An Allow for everyone on everything, under a condition.
Effect under(std::string_view condition, std::vector<std::pair<std::string, std::string>> context) {
  Request asked = request(Principal::anonymous());
  for (auto& [key, value] : context) asked.context.add(key, value);
  return ask(fmt::format(R"("Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*","Condition":{})",
                         condition),
             asked);
}

constexpr std::string_view kAllowAll = R"("Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*")";

TEST(ParsePolicy, RefusesWhatItDoesNotUnderstandAndSaysWhere) {
  EXPECT_THAT(why_not("{"), HasSubstr("invalid Json"));
  EXPECT_THAT(why_not("[]"), HasSubstr("must be an object"));
  EXPECT_THAT(why_not(R"({"Version":"2012-10-17"})"), HasSubstr("Statement"));
  EXPECT_THAT(why_not(R"({"Version":"2012-10-18","Statement":[]})"), HasSubstr("version"));
  EXPECT_THAT(why_not(R"({"Version":"2012-10-17","Statement":[]})"), HasSubstr("empty"));
  EXPECT_THAT(why_not(R"({"Version":"2012-10-17","Statement":[],"Extra":1})"), HasSubstr("\"Extra\""));
  EXPECT_THAT(why_not(statement(fmt::format(R"({},"Effects":"Deny")", kAllowAll))), HasSubstr("\"Effects\""));
  EXPECT_THAT(why_not(statement(fmt::format(R"({},"Effect":"Deny")", kAllowAll))), HasSubstr("twice"));
  EXPECT_THAT(why_not(statement(fmt::format(R"({},"Sid":"here","NotAction":"s3:*")", kAllowAll))),
              HasSubstr("statement 1 (Sid \"here\")"));
  EXPECT_THAT(why_not(statement(R"("Effect":"allow","Principal":"*","Action":"s3:*","Resource":"*")")),
              HasSubstr("Effect"));
  EXPECT_THAT(why_not(statement(R"("Principal":"*","Action":"s3:*","Resource":"*")")), HasSubstr("Effect"));
  EXPECT_THAT(why_not(statement(R"("Effect":"Allow","Action":"s3:*","Resource":"*")")),
              HasSubstr("Principal"));
  EXPECT_THAT(why_not(statement(R"("Effect":"Allow","Principal":"*","Resource":"*")")), HasSubstr("Action"));
  EXPECT_THAT(why_not(statement(R"("Effect":"Allow","Principal":"*","Action":"s3:*")")),
              HasSubstr("Resource"));
  EXPECT_THAT(why_not(statement(R"("Effect":"Allow","Principal":"*","Action":[],"Resource":"*")")),
              HasSubstr("empty"));
  EXPECT_THAT(
      why_not(statement(R"("Effect":"Allow","Principal":"*","Action":"s3:GetObjekt","Resource":"*")")),
      HasSubstr("invalid action"));
  EXPECT_THAT(why_not(statement(R"("Effect":"Allow","Principal":"*","Action":"GetObject","Resource":"*")")),
              HasSubstr("invalid action"));
  EXPECT_THAT(why_not(statement(R"("Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"box/key")")),
              HasSubstr("invalid resource"));
  EXPECT_THAT(
      why_not(statement(R"("Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:sqs:::q")")),
      HasSubstr("invalid resource"));
  EXPECT_THAT(
      why_not(statement(R"("Effect":"Allow","Principal":{"AWS":"nobody"},"Action":"s3:*","Resource":"*")")),
      HasSubstr("Invalid principal"));
  EXPECT_THAT(
      why_not(statement(R"("Effect":"Allow","Principal":{"Google":"x"},"Action":"s3:*","Resource":"*")")),
      HasSubstr("\"Google\""));
  EXPECT_THAT(
      why_not(statement(
          R"("Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:user/*"},"Action":"s3:*","Resource":"*")")),
      HasSubstr("Invalid principal"));
  EXPECT_THAT(
      why_not(statement(
          R"("Effect":"Allow","NotPrincipal":{"AWS":"arn:aws:iam::t:root"},"Action":"s3:*","Resource":"*")")),
      HasSubstr("NotPrincipal"));
  EXPECT_THAT(why_not(statement(kAllowAll), PolicyKind::identity), HasSubstr("no place"));
}

TEST(ParsePolicy, RefusesBadConditions) {
  auto condition = [](std::string_view text) {
    return why_not(statement(fmt::format(R"({},"Condition":{})", kAllowAll, text)));
  };
  EXPECT_THAT(condition(R"({"StringEqual":{"aws:UserAgent":"x"}})"), HasSubstr("operator"));
  EXPECT_THAT(condition(R"({"NullIfExists":{"aws:UserAgent":"true"}})"), HasSubstr("operator"));
  EXPECT_THAT(condition(R"({"ForAnyValue:ForAllValues:StringLike":{"aws:UserAgent":"true"}})"),
              HasSubstr("operator"));
  EXPECT_THAT(condition(R"({"StringEquals":{"aws:Nonsense":"x"}})"), HasSubstr("condition key"));
  EXPECT_THAT(condition(R"({"StringEquals":{"aws:UserAgent":[]}})"), HasSubstr("empty"));
  EXPECT_THAT(condition(R"({"StringEquals":{}})"), HasSubstr("no key"));
  EXPECT_THAT(condition(R"({"StringEquals":"x"})"), HasSubstr("object"));
  EXPECT_THAT(condition(R"({"StringEquals":{"aws:UserAgent":null}})"), HasSubstr("string"));
  EXPECT_THAT(condition(R"({"NumericLessThan":{"s3:max-keys":"ten"}})"), HasSubstr("number"));
  EXPECT_THAT(condition(R"({"DateLessThan":{"aws:CurrentTime":"yesterday"}})"), HasSubstr("date"));
  EXPECT_THAT(condition(R"({"Bool":{"aws:SecureTransport":"yes"}})"), HasSubstr("true or false"));
  EXPECT_THAT(condition(R"({"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}})"), HasSubstr("address"));
  EXPECT_THAT(condition(R"({"IpAddress":{"aws:SourceIp":"10.0.0"}})"), HasSubstr("address"));
  EXPECT_THAT(condition(R"({"ArnLike":{"aws:SourceArn":"bucket"}})"), HasSubstr("ARN"));
  EXPECT_THAT(condition(R"({"BinaryEquals":{"aws:UserAgent":"=="}})"), HasSubstr("base64"));
  EXPECT_THAT(condition(R"({"StringEquals":{"aws:UserAgent":"${aws:username"}})"), HasSubstr("variable"));
}

TEST(ParsePolicy, HoldsItsLimits) {
  std::string many = R"({"Version":"2012-10-17","Statement":[)";
  for (size_t i = 0; i <= kStatementsMax; ++i)
    many += std::string(i == 0 ? "" : ",") +
            R"({"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"})";
  EXPECT_THAT(why_not(many + "]}"), HasSubstr("statements"));
  EXPECT_THAT(why_not(std::string(kResourcePolicyBytesMax + 1, ' ')), HasSubstr("bytes"));
  EXPECT_THAT(why_not(statement(kAllowAll) + std::string(kResourcePolicyBytesMax, ' ')), HasSubstr("bytes"));
  EXPECT_THAT(why_not(std::string(1000, '[')), HasSubstr("invalid Json"));
  std::string resources;
  for (size_t i = 0; i <= kVariablesMax; ++i)
    resources += fmt::format(R"({}"arn:aws:s3:::box/${{s3:prefix}}")", i == 0 ? "" : ",");
  EXPECT_THAT(
      why_not(statement(R"("Effect":"Deny","Principal":"*","Action":"s3:*","Resource":[)" + resources + "]")),
      HasSubstr("variables"));
}

TEST(Evaluate, DenyWinsWhereverItStands) {
  const std::string json =
      R"({"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:Get*","Resource":"*"},)"
      R"({"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]})";
  EXPECT_EQ(evaluate(*parse(json), request(Principal::root(kOwner))), Effect::deny);
  EXPECT_EQ(evaluate(*parse(json), request(Principal::root(kOwner), "s3:PutObject")), Effect::allow);
}

TEST(Evaluate, ActionsIgnoreCaseAndResourcesDoNot) {
  auto says = [](std::string_view action, std::string_view resource) {
    return ask(
        fmt::format(R"("Effect":"Allow","Principal":"*","Action":"{}","Resource":"{}")", action, resource),
        request(Principal::anonymous()));
  };
  EXPECT_EQ(says("S3:getobject", "arn:aws:s3:::box/key"), Effect::allow);
  EXPECT_EQ(says("s3:Get*", "arn:aws:s3:::box/KEY"), Effect::none);
  EXPECT_EQ(says("s3:Get?bject", "arn:aws:s3:::box/k?y"), Effect::allow);
  EXPECT_EQ(says("s3:*", "arn:aws-cn:s3:::box/*"), Effect::allow);
  EXPECT_EQ(says("*", "arn:aws:s3::*:box/key"), Effect::allow);
  EXPECT_EQ(says("s3:*", "arn:aws:s3::tenant:box/key"), Effect::none);
  EXPECT_EQ(says("s3:*", "arn:aws:s3:::box"), Effect::none);
  EXPECT_EQ(says("s3:*", "arn:aws:s3:::*"), Effect::allow);
}

TEST(Evaluate, NotActionAndNotResourceAreTheOthers) {
  EXPECT_EQ(ask(R"("Effect":"Allow","Principal":"*","NotAction":"s3:PutObject","Resource":"*")",
                request(Principal::anonymous())),
            Effect::allow);
  EXPECT_EQ(ask(R"("Effect":"Allow","Principal":"*","NotAction":["s3:Put*","s3:Get*"],"Resource":"*")",
                request(Principal::anonymous())),
            Effect::none);
  EXPECT_EQ(
      ask(R"("Effect":"Deny","Principal":"*","Action":"s3:*","NotResource":"arn:aws:s3:::box/public/*")",
          request(Principal::anonymous())),
      Effect::deny);
  EXPECT_EQ(ask(R"("Effect":"Deny","Principal":"*","Action":"s3:*","NotResource":"arn:aws:s3:::box/k*")",
                request(Principal::anonymous())),
            Effect::none);
}

TEST(Evaluate, QuestionMarkIsOneCharacterHoweverManyBytes) {
  auto says = [](std::string_view pattern) {
    return ask(
        fmt::format(R"("Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::box/{}")",
                    pattern),
        request(Principal::anonymous(), "s3:GetObject", "arn:aws:s3:::box/\u00e9t\u00e9"));
  };
  EXPECT_EQ(says("?t?"), Effect::allow);
  EXPECT_EQ(says("*?"), Effect::allow);
  EXPECT_EQ(says("??t?"), Effect::none);
}

TEST(Evaluate, PrincipalsAreNamedInEveryFormOfTheirAccount) {
  const std::string number = account_number(kOwner);
  auto says = [](const std::string& principal, const Principal& who) {
    return ask(fmt::format(R"("Effect":"Allow","Principal":{},"Action":"s3:*","Resource":"*")", principal),
               request(who));
  };
  for (const std::string& account : {kOwner, number, "arn:aws:iam::" + number + ":root",
                                     "arn:aws:iam::" + kOwner + ":root", "arn:aws:iam:::user/" + kOwner}) {
    const std::string principal = fmt::format(R"({{"AWS":"{}"}})", account);
    EXPECT_EQ(says(principal, Principal::root(kOwner)), Effect::allow) << account;
    EXPECT_EQ(says(principal, Principal::user(kOwner, "ann")), Effect::allow) << account;
    EXPECT_EQ(says(principal, Principal::root(kOther)), Effect::none) << account;
    EXPECT_EQ(says(principal, Principal::anonymous()), Effect::none) << account;
  }
  EXPECT_EQ(says(fmt::format(R"({{"CanonicalUser":"{}"}})", kOwner), Principal::root(kOwner)), Effect::allow);
  const std::string ann = fmt::format(R"({{"AWS":["arn:aws:iam::{}:user/ann"]}})", number);
  EXPECT_EQ(says(ann, Principal::user(kOwner, "ann")), Effect::allow);
  EXPECT_EQ(says(ann, Principal::user(kOwner, "bob")), Effect::none);
  EXPECT_EQ(says(ann, Principal::user(kOther, "ann")), Effect::none);
  EXPECT_EQ(says(ann, Principal::root(kOwner)), Effect::none);
  const std::string role = fmt::format(R"({{"AWS":"arn:aws:iam::{}:role/backup"}})", number);
  EXPECT_EQ(says(role, Principal::role_session(kOwner, "backup", "s1")), Effect::allow);
  EXPECT_EQ(says(role, Principal::user(kOwner, "backup")), Effect::none);
  const std::string session = fmt::format(R"({{"AWS":"arn:aws:sts::{}:assumed-role/backup/s1"}})", number);
  EXPECT_EQ(says(session, Principal::role_session(kOwner, "backup", "s1")), Effect::allow);
  EXPECT_EQ(says(session, Principal::role_session(kOwner, "backup", "s2")), Effect::none);
  EXPECT_EQ(says(R"({"AWS":"arn:aws:iam::tenant1:root"})", Principal::root(kOwner)), Effect::none);
  EXPECT_EQ(says(R"("*")", Principal::anonymous()), Effect::allow);
  EXPECT_EQ(says(R"({"AWS":"*"})", Principal::anonymous()), Effect::allow);
  EXPECT_EQ(says(R"({"Service":"logging.s3.amazonaws.com"})", Principal::service("logging.s3.amazonaws.com")),
            Effect::allow);
  EXPECT_EQ(says(R"({"Service":"logging.s3.amazonaws.com"})", Principal::root(kOwner)), Effect::none);
}

TEST(Evaluate, NotPrincipalSparesOnlyWhoIsNamed) {
  auto says = [](const Principal& who) {
    return ask(
        fmt::format(
            R"("Effect":"Deny","NotPrincipal":{{"AWS":["arn:aws:iam::{0}:root","arn:aws:iam::{0}:user/ann"]}},)"
            R"("Action":"s3:*","Resource":"*")",
            account_number(kOwner)),
        request(who));
  };
  EXPECT_EQ(says(Principal::root(kOwner)), Effect::none);
  EXPECT_EQ(says(Principal::user(kOwner, "ann")), Effect::none);
  EXPECT_EQ(says(Principal::user(kOwner, "bob")), Effect::deny);
  EXPECT_EQ(says(Principal::root(kOther)), Effect::deny);
  EXPECT_EQ(says(Principal::anonymous()), Effect::deny);
}

TEST(Evaluate, VariablesStandForTheirValuesAndNeverForWildcards) {
  constexpr std::string_view kHome =
      R"("Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*")";
  auto at = [](const Principal& who, std::string key) {
    return request(who, "s3:GetObject", "arn:aws:s3:::home/" + key);
  };
  EXPECT_EQ(ask(kHome, at(Principal::user(kOwner, "ann"), "ann/x"), PolicyKind::identity), Effect::allow);
  EXPECT_EQ(ask(kHome, at(Principal::user(kOwner, "ann"), "bob/x"), PolicyKind::identity), Effect::none);
  EXPECT_EQ(ask(kHome, at(Principal::root(kOwner), "/x"), PolicyKind::identity), Effect::none)
      << "no such variable";
  Request tricky = request(Principal::anonymous(), "s3:ListBucket", "arn:aws:s3:::box/anything");
  tricky.context.add("s3:prefix", "*");
  constexpr std::string_view kPrefix =
      R"("Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::box/${s3:prefix}")";
  EXPECT_EQ(ask(kPrefix, tricky), Effect::none);
  tricky.resource = "arn:aws:s3:::box/*";
  EXPECT_EQ(ask(kPrefix, tricky), Effect::allow);
  tricky.resource = "arn:aws:s3:::box/*?$";
  EXPECT_EQ(
      ask(R"("Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::box/${*}${?}${$}")",
          tricky),
      Effect::allow);
  tricky.resource = "arn:aws:s3:::box/guest";
  EXPECT_EQ(
      ask(R"("Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::box/${aws:username, 'guest'}")",
          tricky),
      Effect::allow);
}

TEST(Evaluate, OldVersionsHaveNoVariables) {
  auto policy = parse(
      R"({"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::box/${aws:username}"}})");
  EXPECT_EQ(
      evaluate(*policy, request(Principal::user(kOwner, "ann"), "s3:GetObject", "arn:aws:s3:::box/ann")),
      Effect::none);
  EXPECT_EQ(
      evaluate(*policy, request(Principal::anonymous(), "s3:GetObject", "arn:aws:s3:::box/${aws:username}")),
      Effect::allow);
}

TEST(Evaluate, VariablesWithoutAValueCountAgainstTheCaller) {
  auto says = [](std::string_view effect, std::string_view rest) {
    return ask(fmt::format(R"("Effect":"{}","Principal":"*","Action":"s3:*",{})", effect, rest),
               request(Principal::root(kOwner)));
  };
  constexpr std::string_view kNot = R"("NotResource":"arn:aws:s3:::box/${aws:username}")";
  EXPECT_EQ(says("Allow", kNot), Effect::none);
  EXPECT_EQ(says("Deny", kNot), Effect::deny);
  constexpr std::string_view kNotEquals =
      R"("Resource":"*","Condition":{"StringNotEquals":{"aws:userid":"${aws:username}"}})";
  EXPECT_EQ(says("Allow", kNotEquals), Effect::none);
  EXPECT_EQ(says("Deny", kNotEquals), Effect::deny);
}

TEST(Conditions, CompareTextNumbersDatesTruthBytesAndAddresses) {
  struct Case {
    std::string_view condition, key, value;
    bool holds;
  };
  const Case cases[] = {
      {R"({"StringEquals":{"s3:prefix":["a","b*"]}})", "s3:prefix", "b*", true},
      {R"({"StringEquals":{"s3:prefix":["a","b*"]}})", "s3:prefix", "bx", false},
      {R"({"StringNotEquals":{"s3:prefix":["a","b"]}})", "s3:prefix", "b", false},
      {R"({"StringNotEquals":{"s3:prefix":["a","b"]}})", "s3:prefix", "c", true},
      {R"({"StringEqualsIgnoreCase":{"S3:Prefix":"ABC"}})", "s3:PREFIX", "aBc", true},
      {R"({"StringNotEqualsIgnoreCase":{"s3:prefix":"ABC"}})", "s3:prefix", "aBc", false},
      {R"({"StringLike":{"s3:prefix":"pub*/?"}})", "s3:prefix", "public/x", true},
      {R"({"StringLike":{"s3:prefix":"pub*/?"}})", "s3:prefix", "public/", false},
      {R"({"StringNotLike":{"s3:prefix":"pub*"}})", "s3:prefix", "private", true},
      {R"({"NumericEquals":{"s3:max-keys":10}})", "s3:max-keys", "10.0", true},
      {R"({"NumericNotEquals":{"s3:max-keys":"10"}})", "s3:max-keys", "10", false},
      {R"({"NumericLessThan":{"s3:max-keys":"10"}})", "s3:max-keys", "9", true},
      {R"({"NumericLessThan":{"s3:max-keys":"10"}})", "s3:max-keys", "10", false},
      {R"({"NumericLessThanEquals":{"s3:max-keys":"10"}})", "s3:max-keys", "10", true},
      {R"({"NumericGreaterThan":{"s3:max-keys":"-1.5"}})", "s3:max-keys", "-1", true},
      {R"({"NumericGreaterThanEquals":{"s3:max-keys":"2"}})", "s3:max-keys", "1", false},
      {R"({"NumericEquals":{"s3:max-keys":"10"}})", "s3:max-keys", "ten", false},
      {R"({"DateLessThan":{"aws:CurrentTime":"2026-11-22T04:00:00Z"}})", "aws:CurrentTime",
       "2026-11-22T03:59:59Z", true},
      {R"({"DateGreaterThan":{"aws:CurrentTime":"2026-11-22T05:00:00+02:00"}})", "aws:CurrentTime",
       "2026-11-22T03:00:01Z", true},
      {R"({"DateEquals":{"aws:CurrentTime":"1970-01-02"}})", "aws:CurrentTime", "86400", true},
      {R"({"DateNotEquals":{"aws:EpochTime":86400}})", "aws:EpochTime", "1970-01-02T00:00:00Z", false},
      {R"({"DateLessThanEquals":{"aws:CurrentTime":"2024-02-29"}})", "aws:CurrentTime",
       "2024-02-29T00:00:00.500Z", false},
      {R"({"DateGreaterThanEquals":{"aws:CurrentTime":"2024-02-29"}})", "aws:CurrentTime",
       "2024-02-29T00:00:00Z", true},
      {R"({"Bool":{"aws:SecureTransport":true}})", "aws:SecureTransport", "True", true},
      {R"({"Bool":{"aws:SecureTransport":"false"}})", "aws:SecureTransport", "true", false},
      {R"({"BinaryEquals":{"s3:prefix":"QUJD"}})", "s3:prefix", "QUJD", true},
      {R"({"IpAddress":{"aws:SourceIp":["10.0.0.0/8","2001:db8::/33"]}})", "aws:SourceIp", "10.200.1.1",
       true},
      {R"({"IpAddress":{"aws:SourceIp":["10.0.0.0/8","2001:db8::/33"]}})", "aws:SourceIp", "2001:db8:7fff::1",
       true},
      {R"({"IpAddress":{"aws:SourceIp":["10.0.0.0/8","2001:db8::/33"]}})", "aws:SourceIp", "2001:db8:8000::1",
       false},
      {R"({"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}})", "aws:SourceIp", "::ffff:10.1.2.3", true},
      {R"({"IpAddress":{"aws:SourceIp":"203.0.113.7"}})", "aws:SourceIp", "203.0.113.6", false},
      {R"({"IpAddress":{"aws:SourceIp":"::/0"}})", "aws:SourceIp", "not an address", false},
      {R"({"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}})", "aws:SourceIp", "11.0.0.1", true},
      {R"({"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}})", "aws:SourceIp", "10.0.0.1", false},
      {R"({"ArnLike":{"aws:SourceArn":"arn:aws:s3:*:*:log-*"}})", "aws:SourceArn", "arn:aws:s3:::log-1",
       true},
      {R"({"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::log-*"}})", "aws:SourceArn", "arn:aws:s3:::data",
       false},
      {R"({"ArnNotLike":{"aws:SourceArn":"arn:aws:s3:::log-*"}})", "aws:SourceArn", "arn:aws:s3:::data",
       true},
      {R"({"ArnNotEquals":{"aws:SourceArn":"arn:aws:s3:::log-*"}})", "aws:SourceArn", "arn:aws:s3:::log-",
       false},
      {R"({"Null":{"s3:prefix":"false"}})", "s3:prefix", "", true},
      {R"({"Null":{"s3:prefix":true}})", "s3:prefix", "x", false},
      {R"({"StringEquals":{"s3:ExistingObjectTag/Level":"top"}})", "s3:existingobjecttag/Level", "top", true},
      {R"({"StringEquals":{"s3:ExistingObjectTag/Level":"top"}})", "s3:ExistingObjectTag/level", "top",
       false},
  };
  for (const Case& c : cases)
    EXPECT_EQ(under(c.condition, {{std::string(c.key), std::string(c.value)}}),
              c.holds ? Effect::allow : Effect::none)
        << c.condition << " on " << c.value;
}

TEST(Conditions, WithoutTheKeyOnlyNegatedAndIfExistsHold) {
  EXPECT_EQ(under(R"({"StringEquals":{"s3:prefix":""}})", {}), Effect::none);
  EXPECT_EQ(under(R"({"StringLike":{"s3:prefix":"*"}})", {}), Effect::none);
  EXPECT_EQ(under(R"({"Bool":{"aws:SecureTransport":"false"}})", {}), Effect::none);
  EXPECT_EQ(under(R"({"NumericLessThan":{"s3:max-keys":"10"}})", {}), Effect::none);
  EXPECT_EQ(under(R"({"IpAddress":{"aws:SourceIp":"::/0"}})", {}), Effect::none);
  EXPECT_EQ(under(R"({"StringEqualsIfExists":{"s3:prefix":"x"}})", {}), Effect::allow);
  EXPECT_EQ(under(R"({"StringEqualsIfExists":{"s3:prefix":"x"}})", {{"s3:prefix", "y"}}), Effect::none);
  EXPECT_EQ(under(R"({"StringNotEquals":{"s3:prefix":"x"}})", {}), Effect::allow);
  EXPECT_EQ(under(R"({"NotIpAddress":{"aws:SourceIp":"::/0"}})", {}), Effect::allow);
  EXPECT_EQ(under(R"({"Null":{"s3:prefix":"true"}})", {}), Effect::allow);
  EXPECT_EQ(under(R"({"Null":{"s3:prefix":"false"}})", {}), Effect::none);
}

TEST(Conditions, SetsAskForAnyOrForAllValues) {
  const std::vector<std::pair<std::string, std::string>> two = {{"s3:RequestObjectTagKeys", "a"},
                                                                {"s3:RequestObjectTagKeys", "b"}};
  EXPECT_EQ(under(R"({"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a","b","c"]}})", two),
            Effect::allow);
  EXPECT_EQ(under(R"({"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a"]}})", two), Effect::none);
  EXPECT_EQ(under(R"({"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a"]}})", {}), Effect::allow);
  EXPECT_EQ(under(R"({"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["b"]}})", two), Effect::allow);
  EXPECT_EQ(under(R"({"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["c"]}})", two), Effect::none);
  EXPECT_EQ(under(R"({"ForAnyValue:StringNotEquals":{"s3:RequestObjectTagKeys":["a"]}})", two),
            Effect::allow);
  EXPECT_EQ(under(R"({"ForAllValues:StringNotEquals":{"s3:RequestObjectTagKeys":["a"]}})", two),
            Effect::none);
  EXPECT_EQ(under(R"({"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["b"]}})", {}), Effect::none);
  EXPECT_EQ(under(R"({"ForAnyValue:StringLikeIfExists":{"s3:RequestObjectTagKeys":["b"]}})", {}),
            Effect::allow);
}

TEST(Conditions, AllOfThemMustHold) {
  constexpr std::string_view kTwo =
      R"({"StringEquals":{"s3:prefix":"p","s3:delimiter":"/"},"NumericLessThan":{"s3:max-keys":5}})";
  EXPECT_EQ(under(kTwo, {{"s3:prefix", "p"}, {"s3:delimiter", "/"}, {"s3:max-keys", "1"}}), Effect::allow);
  EXPECT_EQ(under(kTwo, {{"s3:prefix", "p"}, {"s3:delimiter", "/"}, {"s3:max-keys", "9"}}), Effect::none);
  EXPECT_EQ(under(kTwo, {{"s3:prefix", "p"}, {"s3:max-keys", "1"}}), Effect::none);
}

TEST(Conditions, MoreValuesThanTheLimitSatisfyNoForAllValues) {
  std::vector<std::pair<std::string, std::string>> many(kContextValuesMax + 1,
                                                        {"s3:RequestObjectTagKeys", "a"});
  EXPECT_EQ(under(R"({"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":"a"}})", many), Effect::none);
}

TEST(ConditionKeys, OnlyDocumentedHeadersBecomeOne) {
  EXPECT_EQ(condition_key_of_header("x-amz-acl"), "s3:x-amz-acl");
  EXPECT_EQ(condition_key_of_header("x-amz-object-lock-mode"), "s3:object-lock-mode");
  for (std::string_view hostile :
       {"aws:sourceip", "s3:prefix", "x-forwarded-for", "sourceip", "x-amz-meta-acl", "username"})
    EXPECT_FALSE(condition_key_of_header(hostile)) << hostile;
}

TEST(Authorize, FollowsTheRuleOfGrounds) {
  const auto allow =
      parse(statement(R"("Effect":"Allow","Action":"s3:*","Resource":"*")"), PolicyKind::identity);
  const auto deny =
      parse(statement(R"("Effect":"Deny","Action":"s3:*","Resource":"*")"), PolicyKind::identity);
  const auto put_only =
      parse(statement(R"("Effect":"Allow","Action":"s3:PutObject","Resource":"*")"), PolicyKind::session);
  const auto everyone = parse(statement(kAllowAll));
  auto grant = [](const std::string& who) {
    return parse(statement(
        fmt::format(R"("Effect":"Allow","Principal":{{"AWS":"{}"}},"Action":"s3:*","Resource":"*")", who)));
  };
  const auto to_owner = grant(kOwner), to_other = grant(kOther);
  const auto to_ann = grant("arn:aws:iam::" + account_number(kOwner) + ":user/ann");
  const auto never = parse(statement(R"("Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*")"));
  const std::vector<std::shared_ptr<const Policy>> none, allowing = {allow}, denying = {allow, deny};

  const Request root = request(Principal::root(kOwner)), ann = request(Principal::user(kOwner, "ann"));
  const Request stranger = request(Principal::root(kOther)), theirs = request(Principal::user(kOther, "eve"));
  const Request anyone = request(Principal::anonymous());
  auto verdict = [&](const Request& who, const std::vector<std::shared_ptr<const Policy>>& identity,
                     const Policy* resource, bool acl = false, const Policy* session = nullptr) {
    return authorize(
        who,
        {.identity = identity, .session = session, .resource = resource, .owner = kOwner, .acl_allows = acl});
  };
  EXPECT_EQ(verdict(root, none, nullptr), Effect::allow);
  EXPECT_EQ(verdict(root, none, never.get()), Effect::deny);
  EXPECT_EQ(verdict(ann, none, nullptr), Effect::none);
  EXPECT_EQ(verdict(ann, allowing, nullptr), Effect::allow);
  EXPECT_EQ(verdict(ann, denying, to_ann.get()), Effect::deny);
  EXPECT_EQ(verdict(ann, none, to_ann.get()), Effect::allow);
  EXPECT_EQ(verdict(ann, none, to_owner.get()), Effect::none)
      << "what an account may do is not what each of its users may do";
  EXPECT_EQ(verdict(ann, none, everyone.get()), Effect::allow);
  EXPECT_EQ(verdict(ann, none, nullptr, true), Effect::none);
  EXPECT_EQ(verdict(stranger, none, nullptr), Effect::none);
  EXPECT_EQ(verdict(stranger, none, to_other.get()), Effect::allow);
  EXPECT_EQ(verdict(stranger, none, nullptr, true), Effect::allow);
  EXPECT_EQ(verdict(theirs, none, to_other.get()), Effect::none);
  EXPECT_EQ(verdict(theirs, allowing, to_other.get()), Effect::allow);
  EXPECT_EQ(verdict(theirs, allowing, nullptr), Effect::none) << "nobody grants himself what others own";
  EXPECT_EQ(verdict(anyone, none, nullptr), Effect::none);
  EXPECT_EQ(verdict(anyone, none, everyone.get()), Effect::allow);
  EXPECT_EQ(verdict(anyone, allowing, nullptr), Effect::none);
  EXPECT_EQ(verdict(anyone, none, nullptr, true), Effect::allow);
  EXPECT_EQ(verdict(root, none, nullptr, false, put_only.get()), Effect::none)
      << "a session can do less, never more";
}

TEST(IsPublic, MeansEveryoneWithoutAConditionThatFixesWho) {
  auto with = [](std::string_view condition) {
    return is_public(*parse(statement(fmt::format(R"({},"Condition":{})", kAllowAll, condition))));
  };
  EXPECT_TRUE(is_public(*parse(statement(kAllowAll))));
  EXPECT_FALSE(
      is_public(*parse(statement(R"("Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*")"))));
  EXPECT_FALSE(is_public(*parse(statement(
      R"("Effect":"Allow","Principal":{"AWS":"arn:aws:iam::tenant1:root"},"Action":"s3:*","Resource":"*")"))));
  EXPECT_FALSE(with(R"({"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}})"));
  EXPECT_TRUE(with(R"({"IpAddress":{"aws:SourceIp":"0.0.0.0/1"}})"));
  EXPECT_TRUE(with(R"({"IpAddress":{"aws:SourceIp":["10.0.0.0/8","::/0"]}})"));
  EXPECT_TRUE(with(R"({"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}})"));
  EXPECT_TRUE(with(R"({"StringLike":{"aws:Referer":"https://example.com/*"}})"));
  EXPECT_FALSE(with(R"({"StringEquals":{"aws:PrincipalAccount":"123456789012"}})"));
  EXPECT_TRUE(with(R"({"StringLike":{"aws:PrincipalAccount":"1*"}})"));
  EXPECT_TRUE(with(R"({"StringEqualsIfExists":{"aws:PrincipalAccount":"123456789012"}})"));
}

TEST(NamesOnlyBucket, RefusesDocumentsAboutOthers) {
  auto names = [](std::string_view resource) {
    return names_only_bucket(
        *parse(statement(
            fmt::format(R"("Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"{}")", resource))),
        "box");
  };
  for (std::string_view ours : {"*", "arn:aws:s3:::box", "arn:aws:s3:::box/*", "arn:aws:s3:::*",
                                "arn:aws:s3:::b*", "arn:aws:s3:::b?x/k", "arn:aws:s3:::box/${aws:username}"})
    EXPECT_TRUE(names(ours)) << ours;
  for (std::string_view others :
       {"arn:aws:s3:::boxes", "arn:aws:s3:::boxes/*", "arn:aws:s3:::bo", "arn:aws:s3:::c*"})
    EXPECT_FALSE(names(others)) << others;
}

TEST(Principals, HaveArnsAndNumbers) {
  EXPECT_EQ(account_number(kOwner).size(), 12u);
  EXPECT_NE(account_number(kOwner), account_number(kOther));
  EXPECT_TRUE(is_account_number(account_number(kOwner)));
  EXPECT_EQ(Principal::user(kOwner, "ann").arn(), "arn:aws:iam::" + account_number(kOwner) + ":user/ann");
  EXPECT_EQ(Principal::role_session(kOwner, "r", "s").arn(),
            "arn:aws:sts::" + account_number(kOwner) + ":assumed-role/r/s");
  EXPECT_FALSE(is_name("a/b"));
  EXPECT_FALSE(is_name(""));
  EXPECT_FALSE(is_name(std::string(65, 'a')));
  EXPECT_TRUE(is_name("ann.b@example.com"));
}

}  // namespace
}  // namespace archipel::iam
