// Manifests as people write them, through the real decoder, to pods, references and a world.
#include "k8s/manifest.h"

#include <gtest/gtest.h>

#include "codec/yaml.h"
#include "workload/expand.h"
#include "workload/offline_world.h"
#include "workload/references.h"

namespace sallyport::workload {
namespace {

constexpr char kText[] = R"(apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
      annotations:
        note: text
    spec:
      containers:
        - name: main
          image: debian
          command: [sleep, "100"]
          ports:
            - name: http
              containerPort: 8080
          env:
            - name: TOKEN
              valueFrom:
                secretKeyRef:
                  name: keys
                  key: token
---
apiVersion: batch/v1
kind: Job
metadata:
  name: load
  namespace: shop
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: debian
          command: ["true"]
)";

std::vector<k8s::AnyObject> objects(std::string_view text) {
  k8s::Manifest manifest = k8s::parse_manifest(text, "shop.yaml");
  for (const k8s::Diagnostic& diagnostic : manifest.diagnostics)
    EXPECT_NE(diagnostic.severity, k8s::Diagnostic::Severity::kError) << diagnostic.to_string();
  return manifest.objects;
}

TEST(WorkloadManifest, ExpandsToPodsWithTheirTemplate) {
  const auto pods = expand(objects(kText));
  ASSERT_TRUE(pods.has_value()) << pods.error().message;
  ASSERT_EQ(pods->size(), 3u);
  EXPECT_EQ((*pods)[0]->meta.name, "load-0");
  const k8s::Pod& web = *(*pods)[1];
  EXPECT_EQ(web.spec.containers.at(0).command, (std::vector<std::string>{"sleep", "100"}));
  EXPECT_EQ((*web.raw)["spec"]["containers"].items().at(0)["image"].as_string(), "debian");
  EXPECT_EQ((*web.raw)["metadata"]["annotations"]["note"].as_string(), "text");
}

TEST(WorkloadManifest, APrintedPodIsAValidManifestOfTheSameSpec) {
  const auto pods = expand(objects(kText));
  ASSERT_TRUE(pods.has_value());
  for (const PodPtr& pod : *pods) {
    const auto again = objects(codec::write_yaml(*pod->raw));
    ASSERT_EQ(again.size(), 1u);
    const auto* read = std::get_if<k8s::Pod>(&again[0]);
    ASSERT_NE(read, nullptr);
    EXPECT_EQ(spec_hash(*read), spec_hash(*pod));
    EXPECT_EQ(read->meta.labels, pod->meta.labels);
    EXPECT_EQ(controller_of(*read), controller_of(*pod));
  }
}

TEST(WorkloadManifest, CommentsPositionsAndLabelsDoNotChangeTheSpec) {
  std::string other = "# a comment that moves everything down\n\n" + std::string(kText);
  const size_t note = other.find("note: text");
  other.replace(note, 10, "note: more");
  const auto before = expand(objects(kText));
  const auto after = expand(objects(other));
  ASSERT_TRUE(before.has_value() && after.has_value());
  for (size_t i = 0; i < before->size(); ++i) {
    EXPECT_EQ((*before)[i]->meta.name, (*after)[i]->meta.name);
    EXPECT_EQ(spec_hash(*(*before)[i]), spec_hash(*(*after)[i]));
  }
  other.replace(other.find("\"100\""), 5, "\"200\"");
  const auto changed = expand(objects(other));
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ((*before)[0]->meta.name, (*changed)[0]->meta.name);  // the Job
  EXPECT_NE((*before)[1]->meta.name, (*changed)[1]->meta.name);
  EXPECT_NE((*before)[2]->meta.name, (*changed)[2]->meta.name);
}

TEST(WorkloadManifest, MissingReferencesAreNamedWhereTheyStand) {
  const auto all = objects(kText);
  const auto pods = expand(all);
  ASSERT_TRUE(pods.has_value());
  EXPECT_TRUE(resolve_refs(*(*pods)[0], all).has_value());
  const auto references = resolve_refs(*(*pods)[1], all);
  ASSERT_FALSE(references.has_value());
  ASSERT_EQ(references.error().size(), 1u);
  const k8s::Diagnostic& error = references.error()[0];
  EXPECT_EQ(error.origin.file, "shop.yaml");
  EXPECT_EQ(error.origin.mark.line, 29) << error.to_string();
  EXPECT_EQ(error.field_path, "spec.containers[0].env[0].valueFrom.secretKeyRef.name");
}

TEST(WorkloadManifest, PodsOfOfflineWorldsHavePortsAndAddresses) {
  const auto world = world_from_manifests(objects(kText));
  ASSERT_TRUE(world.has_value());
  ASSERT_EQ(world->endpoints.size(), 3u);
  EXPECT_EQ(world->endpoints[1].ports.at(0).name, "http");
  EXPECT_EQ(world->endpoints[1].ips.size(), 2u);
}

}  // namespace
}  // namespace sallyport::workload
