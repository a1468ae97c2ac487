#include "policy/selector_index.h"

#include <gtest/gtest.h>

#include "k8s/selector.h"
#include "policy/random_world.h"

namespace sallyport::policy {
namespace {

using namespace testing;  // NOLINT: short words for worlds
using Ids = std::vector<uint32_t>;

TEST(SelectorIndex, FindsByNamespaceLabelAndExpression) {
  SelectorIndex index;
  using Op = k8s::LabelRequirement::Op;
  index.add(0, {"x", {}, everything()});
  index.add(1, {"y", {}, everything()});
  index.add(2, {"x", {}, labelled({{"app", "a"}, {"tier", "b"}})});
  index.add(3, {"", labelled({{"team", "red"}}), expression("app", Op::kIn, {"a", "a", "b"})});
  index.add(4, {"", everything(), expression("app", Op::kNotIn, {"a"})});
  auto match = [&](const std::string& ns, const k8s::Labels& ns_labels, const k8s::Labels& labels) {
    return index.match(index.in_namespace(ns, ns_labels), labels);
  };
  EXPECT_EQ(match("x", {{"team", "red"}}, {{"app", "a"}}), (Ids{0, 3}));
  EXPECT_EQ(match("x", {}, {{"app", "a"}, {"tier", "b"}}), (Ids{0, 2}));
  EXPECT_EQ(match("y", {{"team", "red"}}, {{"app", "b"}}), (Ids{1, 3, 4}));
  EXPECT_EQ(match("z", {}, {}), (Ids{4}));
}

TEST(SelectorIndex, EqualsAskingEachSelector) {
  size_t matches = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    RandomWorld random(seed, {.most_policies = 20});
    const world::World& world = random.world();
    SelectorIndex index;
    std::vector<PodSet> sets;
    for (const auto& policy : world.network_policies) {
      sets.push_back({policy->meta.ns, {}, policy->pod_selector});
      for (const auto& rule : policy->ingress)
        for (const auto& peer : rule.peers)
          if (peer.namespace_selector)
            sets.push_back(
                {"", *peer.namespace_selector, peer.pod_selector.value_or(k8s::LabelSelector{})});
    }
    for (uint32_t i = 0; i < sets.size(); ++i) index.add(i, sets[i]);
    for (const world::Endpoint& pod : world.endpoints) {
      const k8s::Labels& ns_labels = world.namespace_labels(pod.ns);
      Ids expected;
      for (uint32_t i = 0; i < sets.size(); ++i) {
        bool ns = sets[i].ns.empty() ? k8s::matches(sets[i].namespace_selector, ns_labels)
                                     : sets[i].ns == pod.ns;
        if (ns && k8s::matches(sets[i].pod_selector, pod.labels)) expected.push_back(i);
      }
      matches += expected.size();
      ASSERT_EQ(index.match(index.in_namespace(pod.ns, ns_labels), pod.labels), expected)
          << "seed " << seed << " " << pod.key();
    }
  }
  EXPECT_GT(matches, 1000U);
}

}  // namespace
}  // namespace sallyport::policy
