#include <gtest/gtest.h>

#include "policy/compiled.h"

namespace sallyport::policy {
namespace {

RuleInfo info(const std::string& policy, int rule) {
  return {0, Direction::kIngress, Reason::kRule, Action::kAllow, policy, rule, {}};
}

RuleInfo deny(std::vector<std::string> isolating) {
  RuleInfo out{0, Direction::kEgress, Reason::kImplicitDeny, Action::kDeny, isolating[0], -1, {}};
  out.isolated_by = std::move(isolating);
  return out;
}

TEST(RuleRegistry, TheSameRuleKeepsItsIdAndAChangedOneGetsANewOne) {
  RuleRegistry rules;
  RuleId a = rules.intern(info("n/a", 0), 1);
  EXPECT_EQ(a, 1U);
  EXPECT_EQ(rules.intern(info("n/a", 0), 1), a);
  EXPECT_NE(rules.intern(info("n/a", 0), 2), a);
  EXPECT_NE(rules.intern(info("n/a", 1), 1), a);
  RuleInfo other = info("n/a", 0);
  other.direction = Direction::kEgress;
  EXPECT_NE(rules.intern(other, 1), a);
  EXPECT_NE(rules.intern(deny({"n/a"}), 0), rules.intern(deny({"n/a", "n/b"}), 0));
  EXPECT_EQ(rules.find(a)->policy, "n/a");
  EXPECT_EQ(rules.find(a)->id, a);
  EXPECT_EQ(rules.find(0), nullptr);
  EXPECT_EQ(rules.find(999), nullptr);
}

TEST(RuleRegistry, SavesAndLoads) {
  RuleRegistry rules;
  RuleId a = rules.intern(info("n/odd\tname\\\n", 0), 0xffffffffffffffffULL);
  RuleId b = rules.intern(deny({"n/a", "n/b"}), 0);
  std::string text;
  rules.save(text);
  RuleRegistry loaded;
  Status status = loaded.load(text);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(loaded.next(), rules.next());
  EXPECT_EQ(loaded.find(a)->policy, "n/odd\tname\\\n");
  EXPECT_EQ(loaded.find(b)->isolated_by, (std::vector<std::string>{"n/a", "n/b"}));
  EXPECT_EQ(loaded.intern(deny({"n/a", "n/b"}), 0), b);
  EXPECT_EQ(loaded.intern(info("n/odd\tname\\\n", 0), 0xffffffffffffffffULL), a);
  EXPECT_EQ(loaded.intern(info("n/new", 0), 0), b + 1);
  std::string again;
  RuleRegistry second;
  ASSERT_TRUE(second.load(text));
  second.save(again);
  EXPECT_EQ(again, text);
}

TEST(RuleRegistry, LoadIsStrictAndChangesNothingOnError) {
  RuleRegistry rules;
  rules.intern(info("n/a", 0), 7);
  std::string good;
  rules.save(good);
  ASSERT_EQ(good, "sallyport-rules 1 2 1\n1\t1\t0\t1\t0\t7\t0\tn/a\n");
  const std::string head = "sallyport-rules 1 2 1\n";
  const std::vector<std::string> bad = {
      "",
      "sallyport-rules 1 2 1",                              // no line end
      "sallyport-rules 2 2 1\n1\t1\t0\t1\t0\t7\t0\tn/a\n",  // another version
      "sallyport-rules 1 0 0\n",                            // ids begin at 1
      "sallyport-rules 1 4294967295 0\n",                   // no ids left
      "sallyport-rules 1 2 2\n1\t1\t0\t1\t0\t7\t0\tn/a\n",  // one line is missing
      "sallyport-rules 1 2 1\n",                            // the same
      head + "1\t1\t0\t1\t0\t7\t0\tn/a",                    // cut off
      head + "0\t1\t0\t1\t0\t7\t0\tn/a\n",                  // id 0
      head + "2\t1\t0\t1\t0\t7\t0\tn/a\n",                  // id not below NEXT
      head + "1\t2\t0\t1\t0\t7\t0\tn/a\n",                  // direction
      head + "1\t1\t9\t1\t0\t7\t0\tn/a\n",                  // reason
      head + "1\t1\t0\t2\t0\t7\t0\tn/a\n",                  // action
      head + "1\t1\t0\t1\t-2\t7\t0\tn/a\n",                 // rule
      head + "1\t1\t0\t1\t0\tx\t0\tn/a\n",                  // hash
      head + "1\t1\t0\t1\t0\t7\t1\tn/a\n",                  // one policy is missing
      head + "1\t1\t0\t1\t0\t7\t0\tn/a\tn/b\n",             // one too many
      head + "1\t1\t0\t1\t0\t7\t0\tn\\qa\n",                // escape
      head + "1\t1\t0\t1\t0\t7\t0\tn/a\\\n",                // half an escape
      head + "1\t1\t0\t1\t0\t7\n",                          // too short
      "sallyport-rules 1 3 2\n1\t1\t0\t1\t0\t7\t0\tn/a\n1\t1\t0\t1\t1\t7\t0\tn/a\n",  // id twice
      "sallyport-rules 1 3 2\n1\t1\t0\t1\t0\t7\t0\tn/a\n2\t1\t0\t1\t0\t7\t0\tn/a\n",  // rule twice
  };
  for (const std::string& text : bad) {
    RuleRegistry loaded;
    RuleId kept = loaded.intern(info("n/kept", 0), 0);
    Status status = loaded.load(text);
    ASSERT_FALSE(status) << text;
    EXPECT_EQ(status.error().code, Code::kInvalid);
    EXPECT_EQ(loaded.intern(info("n/kept", 0), 0), kept);
    EXPECT_EQ(loaded.next(), kept + 1);
  }
}

TEST(RuleRegistry, TrimForgetsOnlyWhatIsLongUnusedAndNeverGivesAnIdAgain) {
  RuleRegistry rules;
  rules.begin();
  for (int i = 0; i < 30000; ++i) rules.intern(info("n/a", i), 0);
  rules.trim();
  EXPECT_EQ(rules.size(), 30000U);
  rules.begin();
  RuleId used = rules.intern(info("n/a", 0), 0);
  rules.trim();
  EXPECT_EQ(used, 1U);
  EXPECT_NE(rules.find(used), nullptr);
  EXPECT_LT(rules.size(), 10100U);
  EXPECT_EQ(rules.find(2), nullptr);
  EXPECT_NE(rules.find(30000), nullptr);
  EXPECT_EQ(rules.intern(info("n/a", 1), 0), 30001U);
}

}  // namespace
}  // namespace sallyport::policy
