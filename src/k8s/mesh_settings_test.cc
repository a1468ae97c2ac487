#include "k8s/mesh_settings.h"

#include <gtest/gtest.h>

namespace sallyport::k8s {
namespace {

struct Read {
  MeshSettings settings;
  std::vector<std::string> messages;  // "field: message", without the place
};

Read read(const std::string& mesh, const std::string& ns = "istio-system",
          const std::string& key = "mesh") {
  ConfigMap map;
  map.kind = "ConfigMap";
  map.meta.ns = ns;
  map.meta.name = "istio";
  map.data[key] = mesh;
  std::vector<Diagnostic> out;
  Read result{mesh_settings({ConfigMap{}, map}, out), {}};
  for (const Diagnostic& d : out) {
    EXPECT_EQ(d.object, "ConfigMap/" + ns + "/istio");
    result.messages.push_back(d.field_path + ": " +
                              (d.severity == Diagnostic::Severity::kWarning ? "warning: " : "") +
                              d.message);
  }
  return result;
}

TEST(MeshSettings, DefaultsWhereThereIsNoConfigMap) {
  MeshSettings defaults;
  EXPECT_EQ(defaults.trust_domain, "cluster.local");
  EXPECT_EQ(defaults.root_namespace, "istio-system");
  EXPECT_EQ(defaults.path_normalization, PathNormalization::kMergeSlashes);
  std::vector<Diagnostic> out;
  EXPECT_EQ(mesh_settings({}, out), defaults);
  for (const char* empty :
       {"", "# nothing\n", "{}", "---\n", "trustDomain:\ndefaultConfig: {}\n"}) {
    Read found = read(empty);
    EXPECT_EQ(found.settings, defaults) << empty;
    EXPECT_TRUE(found.messages.empty()) << empty;
  }
  // Elsewhere it is any ConfigMap.
  EXPECT_EQ(read("trustDomain: a", "default").settings, defaults);
  EXPECT_EQ(read("trustDomain: a", "istio-system", "meshNetworks").settings, defaults);
}

TEST(MeshSettings, EveryFieldThatIsRead) {
  Read found = read(R"(
trustDomain: corp.example
rootNamespace: mesh-root
pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}
accessLogFile: /dev/stdout
accessLogEncoding: JSON
accessLogFormat: '{"path": "%REQ(:PATH)%"}'
defaultConfig:
  gatewayTopology: {numTrustedProxies: 2}
)");
  EXPECT_TRUE(found.messages.empty()) << found.messages[0];
  EXPECT_EQ(found.settings.trust_domain, "corp.example");
  EXPECT_EQ(found.settings.root_namespace, "mesh-root");
  EXPECT_EQ(found.settings.path_normalization, PathNormalization::kDecodeAndMergeSlashes);
  EXPECT_EQ(found.settings.access_log_file, "/dev/stdout");
  EXPECT_TRUE(found.settings.access_log_json);
  EXPECT_EQ(found.settings.access_log_format, R"({"path": "%REQ(:PATH)%"})");
  EXPECT_EQ(found.settings.trusted_proxies, 2);
  // As text the format may be anything.
  EXPECT_EQ(
      read("accessLogFormat: '%PROTOCOL%'\naccessLogEncoding: TEXT").settings.access_log_format,
      "%PROTOCOL%");
}

TEST(MeshSettings, TheModesOfNormalization) {
  const std::pair<const char*, PathNormalization> kModes[] = {
      {"DEFAULT", PathNormalization::kMergeSlashes},
      {"NONE", PathNormalization::kNone},
      {"BASE", PathNormalization::kBase},
      {"MERGE_SLASHES", PathNormalization::kMergeSlashes},
      {"DECODE_AND_MERGE_SLASHES", PathNormalization::kDecodeAndMergeSlashes}};
  for (const auto& [name, mode] : kModes)
    EXPECT_EQ(read(std::string("pathNormalization: {normalization: ") + name + "}")
                  .settings.path_normalization,
              mode)
        << name;
}

TEST(MeshSettings, OneWarningNamesWhatIsNotRead) {
  Read found = read(R"(
enableTracing: true
trustDomain: a
trustDomainAliases: [b]
pathNormalization: {other: 1}
defaultConfig: {concurrency: 2, gatewayTopology: {forwardClientCertDetails: SANITIZE}}
)");
  ASSERT_EQ(found.messages.size(), 1u);
  EXPECT_EQ(found.messages[0],
            "data.mesh: warning: fields that are not read and have no effect: enableTracing, "
            "trustDomainAliases, pathNormalization.other, defaultConfig.concurrency, "
            "defaultConfig.gatewayTopology.forwardClientCertDetails");
  EXPECT_EQ(found.settings.trust_domain, "a");
}

TEST(MeshSettings, WrongValuesAreErrorsAndTheDefaultStays) {
  const std::pair<const char*, const char*> kCases[] = {
      {"trustDomain: 1",
       "data.mesh.trustDomain: expected a string, got a integer (line 1, column 14 of the text)"},
      {"trustDomain: \"\"",
       "data.mesh.trustDomain: \"\": expected 1 to 255 lower-case letters, digits, \".\", \"-\" "
       "and \"_\" (line 1, column 14 of the text)"},
      {"\nrootNamespace: a.b",
       "data.mesh.rootNamespace: \"a.b\": expected lower-case letters, digits and \"-\", with a "
       "letter or digit at both ends (line 2, column 16 of the text)"},
      {"pathNormalization: BASE",
       "data.mesh.pathNormalization: expected a map, got a string (line 1, column 20 of the text)"},
      {"pathNormalization: {normalization: base}",
       "data.mesh.pathNormalization.normalization: \"base\" is not supported, expected DEFAULT, "
       "NONE, BASE, MERGE_SLASHES or DECODE_AND_MERGE_SLASHES (line 1, column 36 of the text)"},
      {"accessLogFile: [a]",
       "data.mesh.accessLogFile: expected a string, got a list (line 1, column 16 of the text)"},
      {"accessLogEncoding: json",
       "data.mesh.accessLogEncoding: \"json\" is not supported, expected TEXT or JSON (line 1, "
       "column 20 of the text)"},
      {"defaultConfig: a",
       "data.mesh.defaultConfig: expected a map, got a string (line 1, column 16 of the text)"},
      {"defaultConfig: {gatewayTopology: 1}",
       "data.mesh.defaultConfig.gatewayTopology: expected a map, got a integer (line 1, column 34 "
       "of the text)"},
      {"defaultConfig: {gatewayTopology: {numTrustedProxies: -1}}",
       "data.mesh.defaultConfig.gatewayTopology.numTrustedProxies: expected a number from 0 to 100 "
       "(line 1, column 54 of the text)"},
      {"[a]",
       "data.mesh: expected one map, the fields of MeshConfig (line 1, column 1 of the text)"},
      {"a: 1\n---\nb: 2",
       "data.mesh: expected one map, the fields of MeshConfig (line 1, column 1 of the text)"}};
  for (const auto& [text, message] : kCases) {
    Read found = read(text);
    ASSERT_EQ(found.messages.size(), 1u) << text;
    EXPECT_EQ(found.messages[0], message);
    MeshSettings settings = found.settings;
    EXPECT_EQ(settings, MeshSettings{}) << text;
  }
  Read broken = read("a: [");
  ASSERT_EQ(broken.messages.size(), 1u);
  EXPECT_TRUE(broken.messages[0].starts_with("data.mesh: ")) << broken.messages[0];
  Read format = read("accessLogEncoding: JSON\naccessLogFormat: '%PROTOCOL%'");
  ASSERT_EQ(format.messages.size(), 1u);
  EXPECT_TRUE(format.messages[0].starts_with(
      "data.mesh.accessLogFormat: with accessLogEncoding JSON it must be a JSON object: "))
      << format.messages[0];
  EXPECT_EQ(format.settings.access_log_format, "");
}

}  // namespace
}  // namespace sallyport::k8s
