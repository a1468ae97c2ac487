#include "k8s/manifest.h"

#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

#include "base/fs.h"
#include "base/strings.h"
#include "codec/json.h"
#include "codec/yaml.h"

namespace sallyport::k8s {
namespace {

// --- The case files of testdata/ (see the README there) ----------------------------------------

struct Expected {
  codec::Mark mark;
  std::string path;  // empty for none
  std::string text;  // a part of the message
};

struct Case {
  std::string title;
  std::string objects;  // after "|" in the title
  std::string text;
  std::vector<Expected> errors;
};

const std::map<std::string, std::string>& macros() {
  static const std::map<std::string, std::string> kMacros = [] {
    std::map<std::string, std::string> out;
    auto add = [&](const char* name, const char* version, const char* kind) {
      out[name] =
          std::string("apiVersion: ") + version + "\nkind: " + kind + "\nmetadata: {name: x}\n";
    };
    add("%pod", "v1", "Pod");
    add("%svc", "v1", "Service");
    add("%cm", "v1", "ConfigMap");
    add("%secret", "v1", "Secret");
    add("%deploy", "apps/v1", "Deployment");
    add("%sts", "apps/v1", "StatefulSet");
    add("%job", "batch/v1", "Job");
    add("%np", "networking.k8s.io/v1", "NetworkPolicy");
    add("%cnp", "policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy");
    add("%ap", "security.istio.io/v1", "AuthorizationPolicy");
    add("%pa", "security.istio.io/v1", "PeerAuthentication");
    add("%ra", "security.istio.io/v1", "RequestAuthentication");
    return out;
  }();
  return kMacros;
}

std::string expand_line(const std::string& line) {
  auto macro = macros().find(line);
  if (macro != macros().end()) return macro->second;
  if (!line.starts_with("%repeat ")) return line + "\n";
  size_t space = line.find(' ', 8);
  int count = parse_number<int>(std::string_view(line).substr(8, space - 8)).value_or(0);
  std::string out;
  for (int i = 1; i <= count; ++i) {
    std::string text = line.substr(space + 1);
    text.replace(text.find('#'), 1, std::to_string(i));
    out += "  " + text + "\n";
  }
  return out;
}

// Takes the marks (@@) out of the text and gives their places to the expectations.
void place(Case& c, const std::vector<bool>& same_place) {
  std::vector<codec::Mark> marks;
  std::string text;
  codec::Mark at{1, 1};
  for (size_t i = 0; i < c.text.size(); ++i) {
    if (c.text.compare(i, 2, "@@") == 0) {
      marks.push_back(at);
      ++i;
      continue;
    }
    text += c.text[i];
    at = c.text[i] == '\n' ? codec::Mark{at.line + 1, 1} : codec::Mark{at.line, at.column + 1};
  }
  c.text = text;
  size_t next = 0;
  for (size_t i = 0; i < c.errors.size(); ++i) {
    if (!same_place[i] && next < marks.size()) ++next;
    if (next == 0) throw std::runtime_error(c.title + ": no mark");
    c.errors[i].mark = marks[next - 1];
  }
  size_t wanted = static_cast<size_t>(std::count(same_place.begin(), same_place.end(), false));
  if (wanted != marks.size())
    throw std::runtime_error(c.title + ": " + std::to_string(marks.size()) + " marks for " +
                             std::to_string(wanted) + " places");
}

std::vector<Case> read_cases(const std::string& name) {
  std::string path = std::string(SALLYPORT_SOURCE_DIR) + "/src/k8s/testdata/" + name;
  auto data = read_file(path);
  if (!data) throw std::runtime_error(data.error().message);
  std::vector<Case> cases;
  std::vector<bool> same_place;
  auto finish = [&] {
    if (!cases.empty()) place(cases.back(), same_place);
    same_place.clear();
  };
  std::vector<std::string> lines = split(*data, '\n');
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    bool last_of_case = i + 1 == lines.size() || lines[i + 1].starts_with("### ");
    if (line.starts_with("### ")) {
      finish();
      std::vector<std::string> parts = split(line.substr(4), '|');
      cases.push_back({std::string(trim(parts[0])),
                       parts.size() > 1 ? std::string(trim(parts[1])) : "",
                       "",
                       {}});
    } else if (line.starts_with("! ") || line.starts_with("!= ")) {
      same_place.push_back(line[1] == '=');
      std::string rest(trim(line.substr(2)));
      size_t bar = rest.find(" | ");
      std::string field = rest.substr(0, bar);
      cases.back().errors.push_back({{}, field == "-" ? "" : field, rest.substr(bar + 3)});
    } else if (!(line.empty() && last_of_case)) {
      cases.back().text += expand_line(line);
    }
  }
  finish();
  return cases;
}

std::string show(const Manifest& manifest) {
  std::string out;
  for (const Diagnostic& d : manifest.diagnostics) out += "  " + d.to_string() + "\n";
  return out;
}

void check_invalid(const Case& c) {
  SCOPED_TRACE(c.title + "\n" + c.text.substr(0, 2000));
  ASSERT_FALSE(c.errors.empty());
  Manifest manifest = parse_manifest(c.text, "f.yaml");
  EXPECT_FALSE(manifest.ok());
  ASSERT_EQ(manifest.diagnostics.size(), c.errors.size()) << show(manifest);
  for (size_t i = 0; i < c.errors.size(); ++i) {
    const Diagnostic& got = manifest.diagnostics[i];
    EXPECT_EQ(got.origin.file, "f.yaml");
    EXPECT_EQ(got.origin.mark.line, c.errors[i].mark.line) << show(manifest);
    EXPECT_EQ(got.origin.mark.column, c.errors[i].mark.column) << show(manifest);
    EXPECT_EQ(got.field_path, c.errors[i].path) << show(manifest);
    EXPECT_NE(got.message.find(c.errors[i].text), std::string::npos)
        << "wanted: " << c.errors[i].text << "\n"
        << show(manifest);
  }
}

class Invalid : public testing::TestWithParam<const char*> {};

TEST_P(Invalid, EveryErrorIsAtItsExactPlace) {
  for (const Case& c : read_cases(GetParam())) check_invalid(c);
}

INSTANTIATE_TEST_SUITE_P(Manifests, Invalid,
                         testing::Values("invalid_yaml.txt", "invalid_objects.txt",
                                         "invalid_policy.txt", "invalid_pods.txt",
                                         "invalid_workloads.txt", "invalid_istio.txt"));

TEST(Manifest, TheCaseFilesAreLarge) {
  size_t count = 0;
  for (const char* name : {"invalid_yaml.txt", "invalid_objects.txt", "invalid_policy.txt",
                           "invalid_pods.txt", "invalid_workloads.txt"})
    count += read_cases(name).size();
  EXPECT_GE(count, 200u);
  EXPECT_GE(read_cases("invalid_istio.txt").size(), 60u);
}

TEST(Manifest, ValidOnesAreReadWithoutDiagnostics) {
  for (const Case& c : read_cases("valid.txt")) {
    SCOPED_TRACE(c.title);
    Manifest manifest = parse_manifest(c.text, "f.yaml");
    EXPECT_TRUE(manifest.diagnostics.empty()) << show(manifest);
    EXPECT_EQ(std::to_string(manifest.objects.size()), c.objects);
  }
}

TEST(Manifest, InvalidObjectsAreLeftOutAndOthersKept) {
  Manifest manifest = parse_manifest(
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: A}\n---\n"
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n",
      "f.yaml");
  EXPECT_FALSE(manifest.ok());
  ASSERT_EQ(manifest.objects.size(), 1u);
  EXPECT_EQ(base_of(manifest.objects[0]).meta.name, "b");
  EXPECT_EQ(base_of(manifest.objects[0]).origin.mark.line, 5);
  EXPECT_EQ(manifest.diagnostics[0].to_string(),
            "f.yaml:3:18: Namespace/A: metadata.name: \"A\": expected lower-case letters, digits "
            "and \"-\", with a letter or digit at both ends");
}

TEST(Manifest, HugeTextsAreRefusedAtOnce) {
  std::string text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: \"";
  text += std::string((16 << 20) + 1, 'x') + "\"\n";
  Manifest manifest = parse_manifest(text, "f.yaml");
  ASSERT_EQ(manifest.diagnostics.size(), 1u);
  EXPECT_EQ(manifest.diagnostics[0].to_string(),
            "f.yaml:1:1: larger than 16777216 bytes; split the file");
  EXPECT_TRUE(manifest.objects.empty());

  // Below the limit of a file and above that of the API server.
  text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: ";
  text += std::string((1 << 20) + 1, 'x') + "\n";
  manifest = parse_manifest(text, "f.yaml");
  ASSERT_EQ(manifest.diagnostics.size(), 1u);
  EXPECT_EQ(manifest.diagnostics[0].to_string(),
            "f.yaml:5:3: ConfigMap/default/a: data: data of 1048577 bytes, expected at most "
            "1048576");
}

TEST(Manifest, TheListOfMistakesIsBounded) {
  std::string text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n";
  for (int i = 0; i < 5000; ++i) text.append("  k").append(std::to_string(i)).append(": 1\n");
  Manifest manifest = parse_manifest(text, "f.yaml");
  EXPECT_EQ(manifest.diagnostics.size(), 1001u);
  EXPECT_NE(manifest.diagnostics.back().message.find("not listed"), std::string::npos);
  EXPECT_TRUE(manifest.objects.empty());
}

TEST(Manifest, JsonFilesHaveMarksToo) {
  Manifest manifest = parse_manifest(
      "{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"Namespace\",\n"
      "  \"metadata\": {\"name\": \"a\", \"labels\": {\"x\": true}}\n}\n",
      "f.json");
  ASSERT_EQ(manifest.diagnostics.size(), 1u);
  EXPECT_EQ(manifest.diagnostics[0].to_string(),
            "f.json:4:45: Namespace/a: metadata.labels.x: expected a string, got the boolean true; "
            "put it in quotes if it is meant as text");
  manifest = parse_manifest("{\"a\": 1,}", "f.json");
  ASSERT_EQ(manifest.diagnostics.size(), 1u);
  EXPECT_EQ(manifest.diagnostics[0].origin.mark.column, 9);
}

// The property that the fuzz target checks, on its committed corpus, in every test run.
TEST(Manifest, WhatIsReadFromTheFuzzCorpusIsWrittenAndReadAgain) {
  const std::string dir = std::string(SALLYPORT_SOURCE_DIR) + "/fuzz/corpus/yaml_objects";
  auto names = list_dir(dir);
  ASSERT_TRUE(names) << names.error().message;
  size_t objects = 0;
  for (const std::string& name : *names) {
    auto text = read_file(join({dir, name}, "/"));
    ASSERT_TRUE(text) << name;
    Manifest manifest = parse_manifest(*text, name);
    for (const Diagnostic& d : manifest.diagnostics) EXPECT_GT(d.origin.mark.line, 0) << name;
    for (const AnyObject& any : manifest.objects) {
      ++objects;
      const std::string json = codec::write_json(*base_of(any).raw);
      Manifest again = parse_manifest(codec::write_yaml(*base_of(any).raw), "again.yaml");
      ASSERT_EQ(again.objects.size(), 1u) << name << "\n" << show(again);
      EXPECT_EQ(codec::write_json(*base_of(again.objects[0]).raw), json) << name;
    }
  }
  EXPECT_GE(objects, 28u);
}

}  // namespace
}  // namespace sallyport::k8s
