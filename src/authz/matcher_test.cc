// What the compiled matcher owes beyond equality (property_test.cc): no allocation, a cost that
// does not grow with the number of policies, and a life of its own.
#include "authz/matcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <random>

#include "authz/evaluator.h"
#include "authz/random_policies.h"
#include "authz/rule_index.h"

namespace {
std::atomic<uint64_t> allocations{0};
}

// Every allocation of the test program is counted. Pairs with the operators below.
void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace sallyport::authz {
namespace {

using namespace testing;
using enum AuthorizationAction;

struct Random {
  std::mt19937_64 engine;
  int between(int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(engine);
  }
};

TEST(Matcher, DecidesWithoutAllocation) {
  uint64_t before = allocations;
  (void)std::make_unique<int>(1);
  ASSERT_EQ(allocations - before, 1u) << "the counter counts";
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random{std::mt19937_64(seed)};
    RandomPolicies policies(random);
    const world::World world = policies.world(30);
    const MatcherPtr matcher = compile(world, policies.pod());
    for (int i = 0; i < 10; ++i) {
      const auto question = policies.question();
      before = allocations;
      (void)matcher->decide(question->connection, question->facts());
      ASSERT_EQ(allocations - before, 0u) << "seed " << seed;
    }
  }
}

TEST(Matcher, OutlivesTheWorld) {
  MatcherPtr matcher;
  {
    const world::World world =
        world_of({policy("inference", "a-rather-long-name-of-a-policy", kDeny, {{}})});
    matcher = compile(world, workload());
  }
  const Decision d = matcher->decide(connection(), nullptr);
  EXPECT_EQ(d.policy.text(), "inference/a-rather-long-name-of-a-policy");
}

TEST(Matcher, KnowsWhetherRequestsMatter) {
  auto reads = [](k8s::AuthorizationRule rule, AuthorizationAction action = kAllow) {
    return compile(world_of({policy("inference", "p", action, {std::move(rule)})}), workload())
        ->reads_requests();
  };
  EXPECT_FALSE(compile(world_of({}), workload())->reads_requests());
  EXPECT_FALSE(reads(when("source.principal", {{"*"}, {}})));
  EXPECT_FALSE(reads(when("source.ip", {{"198.18.0.1"}, {}})));
  EXPECT_FALSE(reads(when("destination.port", {{"80"}, {}})));
  EXPECT_TRUE(reads(when("remote.ip", {{"198.18.0.1"}, {}})));
  EXPECT_TRUE(reads(when("request.headers[x]", {{"*"}, {}})));
  EXPECT_TRUE(reads(when("request.headers[x]", {{"*"}, {}}), kAudit));
  k8s::AuthorizationOperation get;
  get.methods.values = {"GET"};
  EXPECT_TRUE(reads(to(get), kDeny));
}

// As many policies as one likes, of the common shapes: a caller, methods and paths each.
std::vector<k8s::AuthorizationPolicy> many(int count) {
  std::vector<k8s::AuthorizationPolicy> out;
  for (int i = 0; i < count; ++i) {
    const std::string n = std::to_string(i);
    k8s::AuthorizationRule rule;
    rule.from.emplace_back();
    // Half of them share the caller, the other half the path.
    rule.from[0].principals.values = {i % 2 == 0 ? "cluster.local/ns/api-gateway/sa/gateway-sa"
                                                 : "cluster.local/ns/team-" + n + "/sa/app"};
    rule.to.emplace_back();
    rule.to[0].methods.values = {"POST"};
    if (i % 2 == 1)
      rule.to[0].paths.values = {"/v1/completions"};
    else if (i % 4 == 0)
      rule.to[0].paths.values = {"/v1/tenants/" + n + "/*"};
    else
      rule.to[0].paths.values = {"/v1/jobs/" + n, "/v1/jobs/" + n + "/{*}"};
    out.push_back(policy("inference", "p" + n, i % 3 == 0 ? kDeny : kAllow, {std::move(rule)}));
  }
  return out;
}

TEST(RuleIndex, CandidatesDoNotGrowWithThePolicies) {
  for (int count : {100, 5000}) {
    const auto policies = many(count);
    std::vector<RuleClauses> clauses;
    for (const auto& each : policies) clauses.push_back(clauses_of(each.rules[0]).value());
    const ValueContext context{"cluster.local", false, "inference"};
    std::vector<RuleIndex::Entry> entries;
    for (const auto& each : clauses) entries.push_back({&each, &context});
    const RuleIndex index(entries);
    auto candidates = [&](const ConnectionFacts& c, const RequestFacts& r) {
      size_t out = 0;
      index.candidates(Subject(c, &r), [&](std::span<const uint32_t> ids) { out += ids.size(); });
      return out;
    };
    EXPECT_EQ(candidates(connection(), request("/v1/completions")), 0u) << count;
    EXPECT_EQ(candidates(connection(), request("/v1/tenants/40/x")), 1u) << count;
    EXPECT_EQ(candidates(connection(), request("/v1/jobs/42/x")), 1u) << count;
    EXPECT_EQ(candidates(connection("cluster.local/ns/team-51/sa/app"), request("/v1/completions")),
              1u)
        << count;
  }
}

TEST(Matcher, ManyPoliciesOfTheCommonShapes) {
  const world::World world = world_of(many(400));
  const MatcherPtr matcher = compile(world, workload());
  int allowed = 0, denied = 0;
  for (int i = 0; i < 400; i += 17) {
    const std::string n = std::to_string(i);
    const std::string caller = "cluster.local/ns/team-" + n + "/sa/app";
    for (const std::string& path : {std::string("/v1/completions"), "/v1/tenants/" + n + "/x",
                                    "/v1/jobs/" + n, "/v1/jobs/" + n + "/x"}) {
      const RequestFacts r = request(path);
      for (const ConnectionFacts& c : {connection(), connection(caller)}) {
        const Decision d = matcher->decide(c, &r);
        ASSERT_EQ(d, evaluate(world, workload(), c, &r)) << path;
        allowed += d.reason == Reason::kRuleAllows ? 1 : 0;
        denied += d.reason == Reason::kRuleDenies ? 1 : 0;
      }
    }
  }
  EXPECT_GE(allowed, 15);
  EXPECT_GE(denied, 8);
}

}  // namespace
}  // namespace sallyport::authz
