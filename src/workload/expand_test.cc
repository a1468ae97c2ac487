#include "workload/expand.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "workload/test_objects.h"

namespace sallyport::workload {
namespace {

using codec::Value;

std::vector<std::string> names(const Result<std::vector<PodPtr>>& pods) {
  std::vector<std::string> result;
  if (!pods) return {pods.error().message};
  for (const PodPtr& pod : *pods) result.push_back(pod->meta.ns + "/" + pod->meta.name);
  return result;
}

k8s::Job job(int completions, int parallelism = 1, int backoff = 6) {
  k8s::Job result;
  test::name(result, "Job", "ns", "load");
  result.completions = completions;
  result.parallelism = parallelism;
  result.backoff_limit = backoff;
  result.pod = test::pod_template("one", {{"app", "load"}});
  result.pod.spec.restart_policy = k8s::RestartPolicy::kNever;
  return result;
}

TEST(Expand, DeploymentGivesPodsAsAClusterDoes) {
  const auto pods = expand({test::deployment("ns", "web", 3, "one", {{"app", "web"}})});
  ASSERT_TRUE(pods.has_value());
  ASSERT_EQ(pods->size(), 3u);
  const k8s::Pod& pod = *pods->front();
  const std::string hash = pod.meta.labels.at("pod-template-hash");
  EXPECT_EQ(hash.size(), 10u);
  EXPECT_TRUE(pod.meta.name.starts_with("web-" + hash + "-"));
  EXPECT_EQ(pod.meta.name.size(), std::string("web-").size() + 10 + 1 + 5);
  EXPECT_EQ(pod.meta.labels.at("app"), "web");
  EXPECT_EQ(pod.meta.uid, "");
  EXPECT_EQ(pod.kind, "Pod");
  EXPECT_EQ(pod.origin.file, "test.yaml");
  EXPECT_EQ(pod.spec.containers.at(0).image, "one");
  EXPECT_EQ(controller_of(pod), "Deployment/web");
}

TEST(Expand, RawIsAWholePodManifest) {
  k8s::Deployment web = test::deployment("ns", "web", 1, "one", {{"app", "web"}});
  web.pod.annotations["note"] = "text";
  const auto pods = expand({web});
  const Value& raw = *pods->front()->raw;
  EXPECT_EQ(raw["apiVersion"].as_string(), "v1");
  EXPECT_EQ(raw["kind"].as_string(), "Pod");
  EXPECT_EQ(raw["metadata"]["name"].as_string(), pods->front()->meta.name);
  EXPECT_EQ(raw["metadata"]["namespace"].as_string(), "ns");
  EXPECT_EQ(raw["metadata"]["labels"]["app"].as_string(), "web");
  EXPECT_EQ(raw["metadata"]["annotations"]["note"].as_string(), "text");
  const Value& owner = raw["metadata"]["ownerReferences"].items().at(0);
  EXPECT_EQ(owner["uid"].as_string().size(), 36u);
  EXPECT_EQ(owner["apiVersion"].as_string(), "apps/v1");
  EXPECT_EQ(raw["spec"]["containers"].items().at(0)["image"].as_string(), "one");
}

TEST(Expand, UnchangedTemplatesKeepTheirNamesAndChangedOnesDoNot) {
  const auto before = names(expand({test::deployment("ns", "web", 2)}));
  EXPECT_EQ(before, names(expand({test::deployment("ns", "web", 2)})));

  // More replicas: the old ones stay.
  const auto more = names(expand({test::deployment("ns", "web", 5)}));
  ASSERT_EQ(more.size(), 5u);
  for (const std::string& name : before) EXPECT_EQ(std::count(more.begin(), more.end(), name), 1);

  // Other labels and annotations: in place.
  k8s::Deployment labelled = test::deployment("ns", "web", 2, "one", {{"tier", "new"}});
  labelled.pod.annotations["a"] = "b";
  EXPECT_EQ(before, names(expand({labelled})));

  for (const std::string& name : names(expand({test::deployment("ns", "web", 2, "two")})))
    EXPECT_EQ(std::count(before.begin(), before.end(), name), 0) << name;
}

TEST(Expand, LongDeploymentNamesAreCutToLabels) {
  const std::string base(100, 'a');
  const auto pods =
      expand({test::deployment("ns", base + "x", 2), test::deployment("ns", base + "y", 2)});
  ASSERT_TRUE(pods.has_value()) << pods.error().message;
  for (const PodPtr& pod : *pods) EXPECT_EQ(pod->meta.name.size(), 63u);
}

TEST(Expand, StatefulSet) {
  k8s::StatefulSet set;
  test::name(set, "StatefulSet", "data", "db");
  set.replicas = 2;
  set.service_name = "db-peers";
  set.pod = test::pod_template("one", {{"app", "db"}});
  const auto pods = expand({set});
  EXPECT_EQ(names(pods), (std::vector<std::string>{"data/db-0", "data/db-1"}));
  const k8s::Pod& pod = *pods->at(1);
  EXPECT_EQ(pod.meta.labels.at("statefulset.kubernetes.io/pod-name"), "db-1");
  EXPECT_EQ(pod.meta.labels.at("apps.kubernetes.io/pod-index"), "1");
  EXPECT_EQ(pod.spec.hostname, "db-1");
  EXPECT_EQ(pod.spec.subdomain, "db-peers");
  EXPECT_EQ((*pod.raw)["spec"]["hostname"].as_string(), "db-1");
  EXPECT_EQ((*pod.raw)["spec"]["subdomain"].as_string(), "db-peers");
  EXPECT_EQ(controller_of(pod), "StatefulSet/db");
}

TEST(Expand, JobWithoutPhasesGivesAllCompletions) {
  const auto pods = expand({job(3)});
  EXPECT_EQ(names(pods), (std::vector<std::string>{"ns/load-0", "ns/load-1", "ns/load-2"}));
  const k8s::Pod& pod = *pods->front();
  EXPECT_EQ(pod.meta.labels.at("job-name"), "load");
  EXPECT_EQ(pod.meta.labels.at("batch.kubernetes.io/job-name"), "load");
  EXPECT_EQ(pod.spec.restart_policy, k8s::RestartPolicy::kNever);
}

TEST(Expand, JobHonoursParallelism) {
  Phases phases;
  EXPECT_EQ(names(expand({job(3, 1)}, &phases)), (std::vector<std::string>{"ns/load-0"}));
  phases["ns/load-0"] = "Running";
  EXPECT_EQ(names(expand({job(3, 1)}, &phases)), (std::vector<std::string>{"ns/load-0"}));
  EXPECT_EQ(names(expand({job(3, 2)}, &phases)),
            (std::vector<std::string>{"ns/load-0", "ns/load-1"}));
  phases["ns/load-0"] = "Succeeded";
  EXPECT_EQ(names(expand({job(3, 1)}, &phases)),
            (std::vector<std::string>{"ns/load-0", "ns/load-1"}));
}

TEST(Expand, JobRetriesUntilTheBackoffLimit) {
  Phases phases{{"ns/load-0", "Failed"}};
  EXPECT_EQ(names(expand({job(1, 1, 1)}, &phases)),
            (std::vector<std::string>{"ns/load-0", "ns/load-0-r1"}));
  phases["ns/load-0-r1"] = "Failed";
  EXPECT_EQ(names(expand({job(1, 1, 1)}, &phases)),
            (std::vector<std::string>{"ns/load-0", "ns/load-0-r1"}));
  EXPECT_EQ(names(expand({job(1, 1, 0)}, &phases)), (std::vector<std::string>{"ns/load-0"}));
  // The limit counts the failures of all indices together.
  phases = {{"ns/load-0", "Failed"}, {"ns/load-1", "Failed"}};
  EXPECT_EQ(names(expand({job(3, 3, 1)}, &phases)),
            (std::vector<std::string>{"ns/load-0", "ns/load-1"}));
}

TEST(Expand, BarePodsAreKeptAndSorted) {
  const auto pods = expand({test::pod("b", "x"), test::pod("a", "y"), test::pod("a", "x")});
  EXPECT_EQ(names(pods), (std::vector<std::string>{"a/x", "a/y", "b/x"}));
  EXPECT_EQ(controller_of(*pods->front()), "");
}

TEST(Expand, RefusesTwoPodsOfOneName) {
  k8s::StatefulSet set;
  test::name(set, "StatefulSet", "ns", "db", 4);
  set.pod = test::pod_template("one");
  const auto pods = expand({set, test::pod("ns", "db-0", 9)});
  ASSERT_FALSE(pods.has_value());
  EXPECT_EQ(pods.error().code, Code::kConflict);
  EXPECT_NE(pods.error().message.find("test.yaml:9:1 (Pod)"), std::string::npos)
      << pods.error().message;
  EXPECT_NE(pods.error().message.find("test.yaml:4:1 (StatefulSet/db)"), std::string::npos);
  EXPECT_TRUE(expand({set, test::pod("other", "db-0")}).has_value());
}

TEST(Expand, RefusesMorePodsThanANodeCanHave) {
  const auto pods = expand({test::pod("ns", "a"), test::deployment("ns", "web", 2'000'000'000)});
  ASSERT_FALSE(pods.has_value());
  EXPECT_EQ(pods.error().code, Code::kExhausted);
  EXPECT_TRUE(pods.error().message.starts_with("test.yaml:1:1: Deployment/ns/web brings"))
      << pods.error().message;
}

TEST(Expand, SpecHashSeesTheSpecOnly) {
  const auto one = expand({test::deployment("ns", "web", 1, "one", {{"a", "b"}})});
  const auto labelled = expand({test::deployment("ns", "web", 1, "one", {{"a", "c"}})});
  const auto two = expand({test::deployment("ns", "web", 1, "two", {{"a", "b"}})});
  EXPECT_EQ(spec_hash(*one->front()), spec_hash(*labelled->front()));
  EXPECT_NE(spec_hash(*one->front()), spec_hash(*two->front()));
  EXPECT_EQ(spec_hash(k8s::Pod{}).size(), 16u);
}

}  // namespace
}  // namespace sallyport::workload
