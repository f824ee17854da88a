#include "exposure/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "exposure/engine_fixture.h"

namespace archipel::exposure {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kQuestions;
using testing::slow_holds;
using testing::slow_minimal;
using testing::some_structure;

constexpr int kUnits = 9;

RC_GTEST_PROP(Engine, FindsExactlyWhatTryingEveryCoalitionFinds, ()) {
  auto made = some_structure(kUnits);
  for (Question question : kQuestions) {
    auto found = minimal_coalitions(made.structure, question);
    RC_ASSERT(found.has_value());
    RC_ASSERT(*found == slow_minimal(made.structure, question, made.units));
  }
}

RC_GTEST_PROP(Engine, CanNeverDoLessTogether, ()) {
  auto made = some_structure(kUnits);
  Coalition all = (Coalition{1} << made.units) - 1;
  Coalition some = *rc::gen::arbitrary<Coalition>() & all, more = *rc::gen::arbitrary<Coalition>() & all;
  for (Question question : kQuestions) {
    RC_ASSERT(holds(made.structure, question, some) == slow_holds(made.structure, question, some));
    if (holds(made.structure, question, some)) RC_ASSERT(holds(made.structure, question, some | more));
  }
}

// The owner recovers with the help of a set of units that do not withhold: those sets and the cut coalitions are each other's hitting sets.
RC_GTEST_PROP(Engine, CutsAreTheHittingSetsOfRecoveries, ()) {
  auto made = some_structure(7);
  Coalition all = (Coalition{1} << made.units) - 1;
  auto recovers = [&](Coalition willing) {
    return !slow_holds(made.structure, Question::cut, all & ~willing);
  };
  std::vector<Coalition> recoveries;
  for (Coalition c = 0; c <= all; ++c) {
    if (!recovers(c)) continue;
    bool minimal = true;
    for (Coalition rest = c; rest != 0; rest &= rest - 1) minimal = minimal && !recovers(c & ~(rest & -rest));
    if (minimal) recoveries.push_back(c);
  }
  auto hits_all = [&](Coalition c) {
    return std::ranges::all_of(recoveries, [&](Coalition recovery) { return (recovery & c) != 0; });
  };
  std::set<Coalition> hitting;
  for (Coalition c = 0; c <= all; ++c) {
    bool minimal = hits_all(c);
    for (Coalition rest = c; rest != 0; rest &= rest - 1) minimal = minimal && !hits_all(c & ~(rest & -rest));
    if (minimal) hitting.insert(c);
  }
  auto cuts = minimal_coalitions(made.structure, Question::cut);
  RC_ASSERT(cuts.has_value());
  RC_ASSERT(std::set<Coalition>(cuts->begin(), cuts->end()) == hitting);
}

RC_GTEST_PROP(Engine, CertifiesWhyEachCoalitionIsMinimal, ()) {
  auto made = some_structure(kUnits);
  const Structure& s = made.structure;
  for (Question question : kQuestions) {
    auto found = minimal_coalitions(s, question);
    RC_ASSERT(found.has_value());
    for (Coalition c : *found) {
      Certificate certificate = certify(s, question, c);
      RC_ASSERT(!certificate.reason.empty());
      RC_ASSERT(certificate.alone.size() == static_cast<size_t>(std::popcount(c)));
      size_t member = 0;
      for (Coalition rest = c; rest != 0; rest &= rest - 1, ++member) {
        RC_ASSERT(!slow_holds(s, question, c & ~(rest & -rest)));
        const Positions& alone = certificate.alone[member];
        RC_ASSERT(alone.shards.size() + alone.keys.size() + alone.gateways.size() + alone.names.size() > 0u);
        for (int i : alone.shards) {
          Reach reach = s.shards[static_cast<size_t>(i)].reach;
          RC_ASSERT(((question == Question::read ? reach.read : reach.cut) & c) == (rest & -rest));
        }
      }
    }
  }
}

RC_GTEST_PROP(Engine, KnowsTheSmallestWithoutTheList, ()) {
  auto made = some_structure(kUnits);
  Coalition helped = *rc::gen::arbitrary<Coalition>() & ((Coalition{1} << made.units) - 1);
  for (Question question : kQuestions) {
    std::optional<int> alone, more;
    for (Coalition c : slow_minimal(made.structure, question, made.units)) {
      alone = std::min(alone.value_or(99), std::popcount(c));
      more = std::min(more.value_or(99), std::popcount(c & ~helped));
    }
    RC_ASSERT(least_coalition(made.structure, question).value() == alone);
    RC_ASSERT(least_coalition(made.structure, question, helped).value() == more);
  }
}

Structure each_its_own(int n, int k, int units_each) {
  Structure s;
  s.k = k;
  for (int i = 0; i < n; ++i) {
    Coalition own = ((Coalition{1} << units_each) - 1) << (i * units_each);
    s.shards.push_back({{own, own}, true});
  }
  return s;
}

TEST(Engine, EndsAmongManyUnits) {
  Structure s = each_its_own(9, 6, 3);  // 27 units, none like another's
  auto cut = minimal_coalitions(s, Question::cut);
  ASSERT_TRUE(cut) << cut.error().message;
  EXPECT_EQ(cut->size(), 126u * 81u);  // 4 of 9 islands, one of three each
  EXPECT_EQ(least_coalition(s, Question::read).value(), 6);
}

TEST(Engine, RefusesAListThatNobodyCouldRead) {
  Structure s = each_its_own(16, 9, 4);
  auto cut = minimal_coalitions(s, Question::cut);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, archipel::Code::limit);
  EXPECT_EQ(least_coalition(s, Question::cut).value(), 8);
}

TEST(Engine, FindsNobodyWhereNobodyReachesEnough) {
  Structure s;
  s.k = 2;
  s.shards = {{{1, 1}, true}, {{0, 0}, true}, {{0, 0}, true}};
  EXPECT_THAT(minimal_coalitions(s, Question::read).value(), IsEmpty());
  EXPECT_THAT(minimal_coalitions(s, Question::cut).value(), IsEmpty());
  EXPECT_EQ(least_coalition(s, Question::cut).value(), std::nullopt);
  EXPECT_THAT(minimal_coalitions(s, Question::degrade).value(), ElementsAre(1u));
}

TEST(Engine, CountsAnUnconfirmedShardAsLostButReadable) {
  Structure s = each_its_own(3, 2, 1);
  EXPECT_EQ(expose(s)->delta(), 2);
  s.shards[2].confirmed = false;
  auto answers = expose(s);
  ASSERT_TRUE(answers);
  EXPECT_THAT(answers->cut, ElementsAre(0b001u, 0b010u));
  EXPECT_THAT(answers->read, ElementsAre(0b011u, 0b101u, 0b110u));
  EXPECT_THAT(answers->degrade, ElementsAre(0u)) << "it is degraded as it is";
  s.shards[1].confirmed = false;
  EXPECT_EQ(expose(s)->delta(), 0) << "fewer than k are confirmed: it is cut without anybody's doing";
}

TEST(Engine, LetsAGatewayThatSeesPlaintextDecide) {
  Structure s = each_its_own(3, 3, 1);
  s.gateways = {{{0b1000, 0b1000}, false}, {{0b0010, 0b0010}, true}};
  auto answers = expose(s);
  ASSERT_TRUE(answers);
  EXPECT_THAT(answers->read, ElementsAre(0b0010u));
  EXPECT_THAT(answers->cut, ElementsAre(0b0001u, 0b0010u, 0b0100u)) << "not the gateways: there are two";
  EXPECT_EQ(certify(s, Question::read, 0b0010).reason, "gateway 1 sees plaintext");
}

}  // namespace
}  // namespace archipel::exposure
