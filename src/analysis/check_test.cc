#include "analysis/check.h"

#include <gtest/gtest.h>

#include "base/fs.h"
#include "codec/json.h"

namespace sallyport::analysis {
namespace {

class Check : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sallyport-check-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(dir_)); }

  std::string write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(write_file_atomic(dir_ + "/" + name, text));
    return dir_ + "/" + name;
  }

  std::string dir_;
};

TEST_F(Check, GoodManifestsHaveNothingToSay) {
  CheckReport report =
      check(write("a.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"));
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.objects, 1u);
  EXPECT_EQ(check_text(report), "");
  EXPECT_EQ(codec::write_json(*codec::parse_json(check_json(report))),
            R"({"schema":"sallyport.dev/check/v1alpha1","ok":true,"objects":1,"errors":0,)"
            R"("diagnostics":[]})");
}

TEST_F(Check, OneLinePerError) {
  std::string file = write("a.yaml",
                           "apiVersion: v1\nkind: Namespace\nmetadata: {name: A}\n---\n"
                           "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
                           "metadata: {name: np, namespace: web}\n"
                           "spec: {podSelector: {}, ingress: [{ports: [{port: 0}]}]}\n");
  CheckReport report = check(dir_);
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.errors(), 2u);
  EXPECT_EQ(check_text(report),
            file +
                ":3:18: Namespace/A: metadata.name: \"A\": expected lower-case letters, digits and "
                "\"-\", with a letter or digit at both ends\n" +
                file +
                ":8:51: NetworkPolicy/web/np: spec.ingress[0].ports[0].port: 0 is out of range, "
                "expected 1 to 65535\n");
  auto json = codec::parse_json(check_json(report));
  ASSERT_TRUE(json);
  const codec::Value& second = (*json)["diagnostics"].items()[1];
  EXPECT_EQ(second["severity"].as_string(), "error");
  EXPECT_EQ(second["line"].as_int(), 8);
  EXPECT_EQ(second["column"].as_int(), 51);
  EXPECT_EQ(second["object"].as_string(), "NetworkPolicy/web/np");
  EXPECT_EQ(second["field"].as_string(), "spec.ingress[0].ports[0].port");
}

TEST_F(Check, WhatTheNodeRefusesIsStillValid) {
  CheckReport report = check(write("a.yaml",
                                   "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
                                   "spec: {hostNetwork: true, containers: [{name: c, image: i}]}"
                                   "\n---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
                                   "metadata: {name: c}\n"));
  EXPECT_TRUE(report.ok());
  ASSERT_EQ(report.diagnostics.size(), 1u);
  EXPECT_NE(check_text(report).find("warning: only the metadata of this kind was checked"),
            std::string::npos);
}

TEST_F(Check, MeshSettingsAndLintsAreNamed) {
  std::string file = write("a.yaml",
                           "apiVersion: v1\nkind: ConfigMap\n"
                           "metadata: {name: istio, namespace: istio-system}\n"
                           "data: {mesh: \"enableTracing: true\"}\n---\n"
                           "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
                           "metadata: {name: a}\n"
                           "spec: {rules: [{to: [{operation: {notPaths: [/a]}}]}]}\n");
  CheckReport report = check(file);
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(check_text(report),
            file +
                ":4:14: ConfigMap/istio-system/istio: data.mesh: warning: fields that are not read "
                "and have no effect: enableTracing\n" +
                file +
                ":9:45: AuthorizationPolicy/default/a: spec.rules[0].to[0].operation.notPaths: "
                "warning: allows everything that is not named; better name what is allowed\n");
}

TEST_F(Check, WhatUpRefusesOfIstiosKindsIsStillValid) {
  CheckReport report = check(
      write("a.yaml",
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\n"
            "spec: {action: CUSTOM, provider: {name: opa}, rules: [{}]}\n---\n"
            "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: a}\n"
            "spec: {jwtRules: [{issuer: a, jwksUri: \"https://a\", fromParams: [t]}]}\n"));
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.objects, 2u);
}

}  // namespace
}  // namespace sallyport::analysis
