#include "standalone/flow_log.h"

#include <gtest/gtest.h>

#include "k8s/manifest.h"

namespace sallyport::standalone {
namespace {

constexpr char kWorld[] = R"(
apiVersion: v1
kind: Namespace
metadata: {name: a}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: a, labels: {app: client}}
spec: {containers: [{name: c, image: i}]}
status: {phase: Running, podIPs: [{ip: 198.18.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: a, labels: {app: server}}
spec: {containers: [{name: c, image: i}]}
status: {phase: Running, podIPs: [{ip: 198.18.0.2}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: guard, namespace: a}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}], ports: [{port: 80}]}]
)";

class FlowLogTest : public testing::Test {
 protected:
  void SetUp() override {
    k8s::Manifest manifest = k8s::parse_manifest(kWorld, "world.yaml");
    ASSERT_TRUE(manifest.ok());
    world_ = world::from_objects(manifest.objects);
    for (size_t i = 0; i < world_.endpoints.size(); ++i)
      world_.endpoints[i].id = static_cast<uint32_t>(i + 1);
    compiled_ = policy::compile(world_, rules_);
    log_.learn(world_);
  }

  gate::FlowEvent event(bool allow) {
    gate::FlowEvent e;
    e.kind = allow ? gate::FlowEvent::Kind::kNew : gate::FlowEvent::Kind::kDenied;
    e.allow = allow;
    e.source = *Ip::parse("198.18.0.1");
    e.destination = *Ip::parse("198.18.0.2");
    e.source_port = 40000;
    e.destination_port = 80;
    e.protocol = 6;
    e.source_endpoint = 1;
    e.destination_endpoint = 2;
    auto answer = compiled_.decide(e.source, e.destination, 6, 80);
    e.egress_rule = answer.egress_rule;
    e.ingress_rule = answer.ingress_rule;
    return e;
  }

  world::World world_;
  policy::RuleRegistry rules_;
  policy::Compiled compiled_;
  FlowLog log_{4};
  WallTime now_ = std::chrono::system_clock::now();
};

TEST_F(FlowLogTest, DeniedFlowNamesIsolatingPolicyAndNearestRule) {
  log_.add(event(false), now_, &world_, rules_);
  auto records = log_.last({}, 10);
  ASSERT_EQ(records.size(), 1U);
  const codec::Value& r = *records[0];
  EXPECT_EQ(r["schema"].as_string(), kFlowSchema);
  EXPECT_EQ(r["verdict"].as_string(), "denied");
  EXPECT_EQ(r["source"]["pod"].as_string(), "client");
  EXPECT_EQ(r["destination"]["port"].as_int(), 80);
  ASSERT_EQ(r["ingress"]["isolatedBy"].items().size(), 1U);
  EXPECT_EQ(r["ingress"]["isolatedBy"].items()[0].as_string(), "a/guard");
  EXPECT_EQ(r["ingress"]["nearest"]["policy"].as_string(), "a/guard");
  EXPECT_NE(r["ingress"]["nearest"]["why"].as_string().find("app"), std::string::npos);
  EXPECT_EQ(r["egress"]["verdict"].as_string(), "allow");
}

TEST_F(FlowLogTest, NamesOutliveTheirPodAndRulesTheirPolicy) {
  world::World empty;
  empty.finish();
  log_.learn(empty);
  log_.add(event(false), now_, &empty, rules_);
  const codec::Value& r = *log_.last({}, 1)[0];
  EXPECT_EQ(r["destination"]["pod"].as_string(), "server");
  EXPECT_EQ(r["ingress"]["policy"].as_string(), "a/guard");
}

TEST_F(FlowLogTest, KeepsTheNewestAndFilters) {
  for (int i = 0; i < 6; ++i) log_.add(event(i % 2 == 0), now_, &world_, rules_);
  EXPECT_EQ(log_.last({}, 100).size(), 4U);
  FlowFilter denied;
  denied.verdict = "denied";
  EXPECT_EQ(log_.last(denied, 100).size(), 2U);
  FlowFilter from;
  from.from = "a/";
  EXPECT_EQ(log_.last(from, 100).size(), 4U);
  from.from = "a/server";
  EXPECT_EQ(log_.last(from, 100).size(), 0U);
  from.from = "198.18.0.1";
  EXPECT_EQ(log_.last(from, 1).size(), 1U);
  FlowFilter since;
  since.since = now_ + std::chrono::seconds(1);
  EXPECT_EQ(log_.last(since, 100).size(), 0U);
  EXPECT_EQ(log_.counts().by_kind.at("denied"), 3U);
}

TEST_F(FlowLogTest, FollowersHearUntilTheyLeave) {
  int heard = 0;
  uint64_t id = log_.follow([&](const codec::Value&, WallTime) { ++heard; });
  log_.add(event(true), now_, &world_, rules_);
  log_.unfollow(id);
  log_.add(event(true), now_, &world_, rules_);
  EXPECT_EQ(heard, 1);
}

}  // namespace
}  // namespace sallyport::standalone
