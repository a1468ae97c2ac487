#include "workload/references.h"

#include <gtest/gtest.h>

#include "workload/test_objects.h"

namespace sallyport::workload {
namespace {

using codec::Value;

k8s::ConfigMap config(const std::string& ns, const std::string& name) {
  k8s::ConfigMap result;
  test::name(result, "ConfigMap", ns, name);
  result.data = {{"key", "value"}};
  return result;
}

k8s::Secret secret(const std::string& ns, const std::string& name) {
  k8s::Secret result;
  test::name(result, "Secret", ns, name);
  result.data = {{"token", "s3cret"}};
  return result;
}

k8s::EnvVar env(k8s::EnvVar::From from, std::string name, std::string key, bool optional = false) {
  k8s::EnvVar var;
  var.name = "VAR";
  var.from = from;
  var.ref_name = std::move(name);
  var.ref_key = std::move(key);
  var.optional = optional;
  return var;
}

k8s::Volume volume(k8s::Volume::Kind kind, std::string source,
                   std::vector<k8s::KeyToPath> items = {}, bool optional = false) {
  k8s::Volume result;
  result.name = "v";
  result.kind = kind;
  result.source = std::move(source);
  result.items = std::move(items);
  result.optional = optional;
  return result;
}

TEST(References, CollectsEverythingNamed) {
  k8s::Pod pod = test::pod("ns", "p");
  k8s::Container init;
  init.env_from.push_back({true, "from-init", "", false});
  pod.spec.init_containers.push_back(init);
  pod.spec.containers[0].env = {env(k8s::EnvVar::From::kConfigMap, "env-map", "key"),
                                env(k8s::EnvVar::From::kField, "", "metadata.name")};
  pod.spec.volumes = {volume(k8s::Volume::Kind::kSecret, "mounted"),
                      volume(k8s::Volume::Kind::kEmptyDir, "")};
  const auto found = resolve_refs(
      pod, {config("ns", "env-map"), secret("ns", "from-init"), secret("ns", "mounted"),
            secret("ns", "unused"), config("other", "env-map")});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->config_maps.size(), 1u);
  EXPECT_EQ(found->config_maps.at("env-map").at("key"), "value");
  EXPECT_EQ(found->secrets.size(), 2u);
  EXPECT_TRUE(found->secrets.contains("from-init"));
  EXPECT_TRUE(found->secrets.contains("mounted"));
}

TEST(References, AnotherNamespacesObjectsDoNotCount) {
  k8s::Pod pod = test::pod("ns", "p");
  pod.spec.volumes = {volume(k8s::Volume::Kind::kSecret, "mounted")};
  const auto found = resolve_refs(pod, {secret("other", "mounted"), config("ns", "mounted")});
  ASSERT_FALSE(found.has_value());
  ASSERT_EQ(found.error().size(), 1u);
  EXPECT_EQ(found.error()[0].object, "Pod/ns/p");
  EXPECT_EQ(found.error()[0].field_path, "spec.volumes[0].secret.name");
  EXPECT_NE(found.error()[0].message.find("Secret \"mounted\" does not exist"), std::string::npos);
}

TEST(References, ErrorsPointAtTheField) {
  k8s::Pod pod = test::pod("ns", "p", 3);
  pod.spec.containers[0].env = {env(k8s::EnvVar::From::kConfigMap, "map", "absent"),
                                env(k8s::EnvVar::From::kSecret, "gone", "token")};
  Value key = Value::string("absent");
  key.mark = {12, 17};
  Value reference = Value::map();
  reference.set("key", key);
  Value from = Value::map();
  from.set("configMapKeyRef", reference);
  Value var = Value::map();
  var.set("valueFrom", from);
  Value raw = *pod.raw;
  Value list = Value::list();
  list.push(var);
  raw.find("spec")->find("containers")->items()[0].set("env", list);
  pod.raw = std::make_shared<const Value>(raw);

  const auto found = resolve_refs(pod, {config("ns", "map")});
  ASSERT_FALSE(found.has_value());
  ASSERT_EQ(found.error().size(), 2u);
  const k8s::Diagnostic& first = found.error()[0];
  EXPECT_EQ(first.origin.file, "test.yaml");
  EXPECT_EQ(first.origin.mark.line, 12);
  EXPECT_EQ(first.origin.mark.column, 17);
  EXPECT_EQ(first.field_path, "spec.containers[0].env[0].valueFrom.configMapKeyRef.key");
  EXPECT_NE(first.message.find("has no key \"absent\""), std::string::npos);
  // Where the manifest has no such node, the pod's own position stands in.
  EXPECT_EQ(found.error()[1].origin.mark.line, 3);
  EXPECT_EQ(found.error()[1].field_path, "spec.containers[0].env[1].valueFrom.secretKeyRef.name");
}

TEST(References, OptionalOnesMayBeMissing) {
  k8s::Pod pod = test::pod("ns", "p");
  pod.spec.containers[0].env = {env(k8s::EnvVar::From::kConfigMap, "map", "absent", true),
                                env(k8s::EnvVar::From::kSecret, "gone", "token", true)};
  pod.spec.containers[0].env_from = {{false, "gone", "", true}};
  pod.spec.volumes = {volume(k8s::Volume::Kind::kConfigMap, "gone", {{"k", "p", {}}}, true),
                      volume(k8s::Volume::Kind::kConfigMap, "map", {{"k", "p", {}}}, true)};
  const auto found = resolve_refs(pod, {config("ns", "map")});
  ASSERT_TRUE(found.has_value()) << found.error()[0].message;
  EXPECT_EQ(found->config_maps.size(), 1u);
  EXPECT_TRUE(found->secrets.empty());
}

TEST(References, VolumeItemsMustExist) {
  k8s::Pod pod = test::pod("ns", "p");
  pod.spec.volumes = {
      volume(k8s::Volume::Kind::kConfigMap, "map", {{"key", "a", {}}, {"absent", "b", {}}})};
  const auto found = resolve_refs(pod, {config("ns", "map")});
  ASSERT_FALSE(found.has_value());
  ASSERT_EQ(found.error().size(), 1u);
  EXPECT_EQ(found.error()[0].field_path, "spec.volumes[0].configMap.items[1].key");
}

}  // namespace
}  // namespace sallyport::workload
