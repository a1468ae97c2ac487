#include "k8s/selector.h"

#include <gtest/gtest.h>

namespace sallyport::k8s {
namespace {

using Op = LabelRequirement::Op;

TEST(Selector, OperatorsAndAbsentKeys) {
  const Labels labels{{"app", "web"}, {"tier", ""}};
  EXPECT_TRUE(matches(LabelRequirement{"app", Op::kIn, {"db", "web"}}, labels));
  EXPECT_FALSE(matches(LabelRequirement{"app", Op::kIn, {"db"}}, labels));
  EXPECT_FALSE(matches(LabelRequirement{"none", Op::kIn, {"db"}}, labels));
  EXPECT_FALSE(matches(LabelRequirement{"app", Op::kNotIn, {"web"}}, labels));
  EXPECT_TRUE(matches(LabelRequirement{"app", Op::kNotIn, {"db"}}, labels));
  EXPECT_TRUE(matches(LabelRequirement{"none", Op::kNotIn, {"db"}}, labels));
  EXPECT_TRUE(matches(LabelRequirement{"tier", Op::kExists, {}}, labels));
  EXPECT_FALSE(matches(LabelRequirement{"none", Op::kExists, {}}, labels));
  EXPECT_FALSE(matches(LabelRequirement{"tier", Op::kDoesNotExist, {}}, labels));
  EXPECT_TRUE(matches(LabelRequirement{"none", Op::kDoesNotExist, {}}, labels));
}

TEST(Selector, AllPartsMustMatch) {
  LabelSelector selector;
  EXPECT_TRUE(matches(selector, {}));
  selector.match_labels = {{"app", "web"}};
  selector.match_expressions = {{"env", Op::kNotIn, {"prod"}}};
  EXPECT_TRUE(matches(selector, {{"app", "web"}}));
  EXPECT_FALSE(matches(selector, {{"app", "web"}, {"env", "prod"}}));
  EXPECT_FALSE(matches(selector, {{"env", "dev"}}));
  EXPECT_EQ(to_string(selector), "app=web,env notin (prod)");
  EXPECT_EQ(to_string(LabelSelector{}), "<all>");
}

}  // namespace
}  // namespace sallyport::k8s
