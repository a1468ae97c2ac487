#include "runtime/env.h"

#include <gtest/gtest.h>

namespace sallyport::runtime {
namespace {

class EnvTest : public ::testing::Test {
 protected:
  void SetUp() override {
    pod_->meta.name = "web-0";
    pod_->meta.ns = "space";
    pod_->meta.uid = "u-1";
    pod_->meta.labels = {{"app", "web"}, {"a.b/c", "deep"}};
    pod_->meta.annotations = {{"note", "text"}};
    pod_->spec.service_account = "robot";
    request_.pod = pod_;
    request_.hostname = "web-0";
    request_.node_name = "node1";
    request_.node_ip = *Ip::parse("198.18.0.1");
    request_.pod_ips = {*Ip::parse("198.18.0.9"), *Ip::parse("fd00::9")};
    request_.config_maps["c"] = {{"key", "from map"}, {"other", "2"}, {"bad=name", "x"}};
    request_.secrets["s"] = {{"key", "from secret"}};
  }
  static k8s::EnvVar value(const std::string& name, const std::string& text) {
    k8s::EnvVar var;
    var.name = name;
    var.value = text;
    return var;
  }
  static k8s::EnvVar from(const std::string& name, k8s::EnvVar::From kind, const std::string& ref,
                          const std::string& key, bool optional = false) {
    k8s::EnvVar var;
    var.name = name;
    var.from = kind;
    var.ref_name = ref;
    var.ref_key = key;
    var.optional = optional;
    return var;
  }
  std::string get(const std::string& name) {
    auto env = container_env(request_, container_);
    if (!env) return "error: " + env.error().message;
    const std::string* found = find_env(*env, name);
    return found ? *found : "(unset)";
  }
  std::shared_ptr<k8s::Pod> pod_ = std::make_shared<k8s::Pod>();
  PodRequest request_;
  k8s::Container container_;
};

TEST_F(EnvTest, ExpandsReferences) {
  std::string word = "W";
  auto lookup = [&](const std::string& name) { return name == "A" ? &word : nullptr; };
  // The cases of Kubernetes's documentation of `command`, and malformed ones.
  const std::pair<const char*, const char*> kCases[] = {
      {"$(A)", "W"},         {"x$(A)y$(A)", "xWyW"}, {"$(B)", "$(B)"},
      {"$$(A)", "$(A)"},     {"$$$(A)", "$W"},       {"$$$$(A)", "$$(A)"},
      {"$(A", "$(A"},        {"$A", "$A"},           {"$", "$"},
      {"$$", "$"},           {"$()", "$()"},         {"a$", "a$"},
      {"$($(A))", "$($(A))"}};
  for (const auto& [text, expected] : kCases)
    EXPECT_EQ(expand_references(text, lookup), expected) << text;
}

TEST_F(EnvTest, LaterEntriesSeeEarlierOnesAndReplaceThem) {
  container_.env = {value("A", "1"), value("B", "$(A)-$(C)"), value("C", "3"),
                    value("A", "$(A)$(C)")};
  EXPECT_EQ(get("B"), "1-$(C)");
  EXPECT_EQ(get("A"), "13");
  EXPECT_EQ(get("HOSTNAME"), "web-0");
  container_.env = {value("PATH", "/only")};
  EXPECT_EQ(get("PATH"), "/only");
}

TEST_F(EnvTest, FieldReferences) {
  const std::pair<const char*, const char*> kCases[] = {{"metadata.name", "web-0"},
                                                        {"metadata.namespace", "space"},
                                                        {"metadata.uid", "u-1"},
                                                        {"metadata.labels['app']", "web"},
                                                        {"metadata.labels['a.b/c']", "deep"},
                                                        {"metadata.labels['none']", ""},
                                                        {"metadata.annotations['note']", "text"},
                                                        {"spec.nodeName", "node1"},
                                                        {"spec.serviceAccountName", "robot"},
                                                        {"status.podIP", "198.18.0.9"},
                                                        {"status.podIPs", "198.18.0.9,fd00::9"},
                                                        {"status.hostIP", "198.18.0.1"}};
  for (const auto& [path, expected] : kCases) {
    container_.env = {from("X", k8s::EnvVar::From::kField, "", path)};
    EXPECT_EQ(get("X"), expected) << path;
  }
  for (const char* path :
       {"metadata.labels", "metadata.labels['']", "spec.secret", "", "metadata.labels[app]"}) {
    container_.env = {from("X", k8s::EnvVar::From::kField, "", path)};
    EXPECT_TRUE(get("X").starts_with("error: env X: fieldRef ")) << path;
  }
}

TEST_F(EnvTest, KeysOfConfigMapsAndSecrets) {
  using From = k8s::EnvVar::From;
  container_.env = {from("A", From::kConfigMap, "c", "key"), from("B", From::kSecret, "s", "key"),
                    from("C", From::kSecret, "none", "key", true),
                    from("D", From::kConfigMap, "c", "none", true)};
  EXPECT_EQ(get("A"), "from map");
  EXPECT_EQ(get("B"), "from secret");
  EXPECT_EQ(get("C"), "(unset)");
  EXPECT_EQ(get("D"), "(unset)");
  container_.env = {from("A", From::kSecret, "none", "key")};
  EXPECT_EQ(get("A"), "error: env A: Secret none does not exist");
  container_.env = {from("A", From::kConfigMap, "c", "none")};
  EXPECT_EQ(get("A"), "error: env A: ConfigMap c has no key none");
  container_.env = {value("A", std::string("x\0y", 3))};
  EXPECT_EQ(get("A"), "error: env A: the value has a NUL byte");
}

TEST_F(EnvTest, EnvFromWithPrefixAndPrecedence) {
  container_.env_from = {
      {false, "c", "P_", false}, {true, "s", "", false}, {true, "none", "", true}};
  container_.env = {value("P_other", "own")};
  EXPECT_EQ(get("P_key"), "from map");
  EXPECT_EQ(get("key"), "from secret");
  EXPECT_EQ(get("P_other"), "own") << "env wins over envFrom";
  EXPECT_EQ(get("P_bad=name"), "(unset)");
  container_.env_from = {{true, "none", "", false}};
  EXPECT_EQ(get("X"), "error: envFrom: Secret none does not exist");
}

}  // namespace
}  // namespace sallyport::runtime
