// The compiled matcher answers as the evaluator does, on worlds and questions in which every field,
// form and key occurs.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "authz/evaluator.h"
#include "authz/matcher.h"
#include "authz/random_policies.h"

namespace sallyport::authz {
namespace {

struct Random {
  std::mt19937_64 engine;
  int between(int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(engine);
  }
};

std::string show(const Decision& d) {
  return std::string(d.allow ? "allow" : "deny") + " (" + std::string(to_string(d.reason)) + ") " +
         d.policy.text() + "[" + std::to_string(d.rule) + "] audit " + d.audit_policy.text() + "[" +
         std::to_string(d.audit_rule) + "] dry " + (d.dry_run_deny ? "deny " : "allow ") +
         d.dry_run_policy.text();
}

TEST(MatcherProperty, EqualsTheEvaluator) {
  std::map<Reason, int> reasons;
  int asked = 0, audited = 0, dry_changes = 0, tcp = 0;
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    Random random{std::mt19937_64(seed)};
    testing::RandomPolicies policies(random);
    const world::World world = policies.world(seed % 10 == 0 ? 60 : 7);
    const world::Endpoint pod = policies.pod();
    const MatcherPtr matcher = compile(world, pod);
    for (int i = 0; i < 20; ++i) {
      const auto question = policies.question();
      const Decision expected = evaluate(world, pod, question->connection, question->facts());
      const Decision got = matcher->decide(question->connection, question->facts());
      ASSERT_EQ(got, expected) << "seed " << seed << " question " << i << "\n got " << show(got)
                               << "\nwant " << show(expected);
      if (!matcher->reads_requests())
        ASSERT_EQ(matcher->decide(question->connection, nullptr), got) << "seed " << seed;
      ++asked;
      ++reasons[got.reason];
      audited += got.audited ? 1 : 0;
      tcp += question->http ? 0 : 1;
      dry_changes += !got.dry_run_policy.empty() && got.dry_run_deny == got.allow ? 1 : 0;
    }
  }
  // Nothing is proved by questions that never get far.
  EXPECT_GE(asked, 40'000);
  for (Reason reason : {Reason::kNoPolicy, Reason::kRuleAllows, Reason::kRuleDenies,
                        Reason::kNoAllowMatches, Reason::kUnenforceable})
    EXPECT_GE(reasons[reason], 1000) << to_string(reason);
  EXPECT_GE(audited, 1000);
  EXPECT_GE(dry_changes, 500);
  EXPECT_GE(tcp, 5000);
}

}  // namespace
}  // namespace sallyport::authz
