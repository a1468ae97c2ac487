#include "standalone/manifests.h"

#include <gtest/gtest.h>

#include "standalone/builtin.h"

namespace sallyport::standalone {
namespace {

constexpr char kPod[] = R"(
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: NS}
spec:
  serviceAccountName: SA
  containers:
    - name: c
      image: i
      command: [/usr/bin/true]
      env: [{name: X, valueFrom: {configMapKeyRef: {name: CM, key: k}}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: here}
data: {k: v}
)";

auto accept(std::string text, std::initializer_list<std::pair<std::string, std::string>> swaps) {
  for (const auto& [from, to] : swaps)
    for (size_t at; (at = text.find(from)) != std::string::npos;) text.replace(at, from.size(), to);
  return accept_manifests(k8s::parse_manifest(text, "m.yaml"), node::default_ranges(), false);
}

TEST(Manifests, BuiltInObjectsAreAdded) {
  auto accepted = accept(kPod, {{"NS", "default"}, {"SA", "default"}, {"CM", "here"}});
  ASSERT_TRUE(accepted) << accepted.error()[0].to_string();
  ASSERT_EQ(accepted->desired.size(), 2U);
  EXPECT_EQ(accepted->desired[0]->meta.name, "p");
  EXPECT_TRUE(is_builtin_dns(*accepted->desired[1]));
  EXPECT_FALSE(is_builtin_dns(*accepted->desired[0]));
}

TEST(Manifests, ALabelDoesNotMakeAPodBuiltIn) {
  auto accepted = accept(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {sallyport.dev/builtin: dns}}\n"
      "spec: {containers: [{name: c, image: i, command: [/usr/bin/true]}]}\n",
      {});
  ASSERT_TRUE(accepted);
  EXPECT_FALSE(is_builtin_dns(*accepted->desired[0]));
}

TEST(Manifests, WhatIsNamedMustExist) {
  for (const auto& [ns, sa, cm, part] :
       std::vector<std::tuple<std::string, std::string, std::string, std::string>>{
           {"nowhere", "default", "here", "namespace \"nowhere\""},
           {"default", "nobody", "here", "service account \"nobody\""},
           {"default", "default", "nothing", "nothing"}}) {
    auto accepted = accept(kPod, {{"NS", ns}, {"SA", sa}, {"CM", cm}});
    ASSERT_FALSE(accepted);
    std::string all;
    for (const k8s::Diagnostic& d : accepted.error()) all += d.to_string() + "\n";
    EXPECT_NE(all.find(part), std::string::npos) << all;
    EXPECT_NE(all.find("m.yaml:"), std::string::npos) << all;
  }
}

TEST(Manifests, ServicesWithImpossibleAddressesAreRefused) {
  for (const auto& [address, part] : std::vector<std::pair<std::string, std::string>>{
           {"198.19.0.10", "belongs to Service"}, {"203.0.113.1", "is no Service address"}}) {
    auto accepted = accept(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"
        "spec: {clusterIP: ADDRESS, ports: [{port: 80}]}\n",
        {{"ADDRESS", address}});
    ASSERT_FALSE(accepted) << address;
    EXPECT_NE(accepted.error().front().to_string().find(part), std::string::npos)
        << accepted.error().front().to_string();
  }
}

}  // namespace
}  // namespace sallyport::standalone
