#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "k8s/manifest.h"

namespace sallyport::k8s {
namespace {

class Load : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sallyport-load-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(dir_)); }

  void write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(write_file_atomic(dir_ + "/" + name, text));
  }
  static std::string namespace_text(const std::string& name) {
    return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + "}\n";
  }

  std::string dir_;
};

TEST_F(Load, ReadsADirectoryInOrderAndSkipsHiddenNames) {
  ASSERT_TRUE(make_dirs(dir_ + "/sub/deeper"));
  ASSERT_TRUE(make_dirs(dir_ + "/.git"));
  write("b.yaml", namespace_text("b"));
  write("a.yml", namespace_text("a"));
  write("sub/deeper/c.json", R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"c"}})");
  write(".hidden.yaml", "nonsense: [");
  write(".git/x.yaml", "nonsense: [");
  write("README.md", "no manifest");
  ASSERT_EQ(::symlink("/", (dir_ + "/root").c_str()), 0);
  ASSERT_EQ(::mkfifo((dir_ + "/pipe.yaml").c_str(), 0600), 0);
  Manifest manifest = load_manifest(dir_ + "/");
  EXPECT_TRUE(manifest.diagnostics.empty());
  ASSERT_EQ(manifest.objects.size(), 3u);
  EXPECT_EQ(base_of(manifest.objects[0]).meta.name, "a");
  EXPECT_EQ(base_of(manifest.objects[1]).meta.name, "b");
  EXPECT_EQ(base_of(manifest.objects[2]).meta.name, "c");
  EXPECT_EQ(base_of(manifest.objects[2]).origin.file, dir_ + "/sub/deeper/c.json");
}

TEST_F(Load, ACacheGivesWhatTheFilesSayNow) {
  ManifestCache cache;
  auto names = [&] {
    Manifest manifest = load_manifest(dir_, &cache);
    Manifest fresh = load_manifest(dir_);
    EXPECT_EQ(manifest.diagnostics.size(), fresh.diagnostics.size());
    std::string text;
    for (const AnyObject& object : manifest.objects) text += base_of(object).meta.name + " ";
    std::string expected;
    for (const AnyObject& object : fresh.objects) expected += base_of(object).meta.name + " ";
    EXPECT_EQ(text, expected);
    return text;
  };
  write("a.yaml", namespace_text("one"));
  write("b.yaml", namespace_text("two"));
  EXPECT_EQ(names(), "one two ");
  EXPECT_EQ(names(), "one two ");
  // Of the same length, so that only the text tells.
  write("a.yaml", namespace_text("six"));
  EXPECT_EQ(names(), "six two ");
  write("b.yaml", namespace_text("two") + "x: [");
  EXPECT_EQ(names(), "six ");
  EXPECT_EQ(names(), "six ");
  write("b.yaml", namespace_text("two"));
  write("c.yaml", namespace_text("two"));
  EXPECT_FALSE(load_manifest(dir_, &cache).ok()) << "a duplicate between cached files";
  ASSERT_EQ(::unlink((dir_ + "/b.yaml").c_str()), 0);
  EXPECT_EQ(names(), "six two ");
  EXPECT_EQ(cache.files.size(), 2u);
}

TEST_F(Load, DuplicatesAreErrorsAtTheSecond) {
  write("a.yaml", "# one\n" + namespace_text("x"));
  write("b.yaml", namespace_text("z") + "---\n" + namespace_text("x"));
  Manifest manifest = load_manifest(dir_);
  EXPECT_FALSE(manifest.ok());
  ASSERT_EQ(manifest.diagnostics.size(), 1u);
  EXPECT_EQ(manifest.diagnostics[0].to_string(),
            dir_ + "/b.yaml:5:1: Namespace/x: is defined a second time; the first is at " + dir_ +
                "/a.yaml:2:1");
  EXPECT_EQ(manifest.objects.size(), 2u);
}

TEST_F(Load, OneNameInTwoNamespacesOrKindsIsNoDuplicate) {
  write("a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: b}\n---\n"
        "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n");
  EXPECT_TRUE(load_manifest(dir_).ok());
}

TEST_F(Load, WhatIsMissingIsAnError) {
  Manifest manifest = load_manifest(dir_ + "/none");
  ASSERT_EQ(manifest.diagnostics.size(), 1u);
  EXPECT_EQ(manifest.diagnostics[0].to_string(),
            dir_ + "/none: cannot be read: No such file or directory");
  manifest = load_manifest(dir_);
  ASSERT_EQ(manifest.diagnostics.size(), 1u);
  EXPECT_NE(manifest.diagnostics[0].message.find("no manifest here"), std::string::npos);
  ASSERT_EQ(::symlink("nowhere", (dir_ + "/broken.yaml").c_str()), 0);
  manifest = load_manifest(dir_);
  ASSERT_EQ(manifest.diagnostics.size(), 1u);
  EXPECT_EQ(manifest.diagnostics[0].to_string(), dir_ + "/broken.yaml: No such file or directory");
}

TEST_F(Load, OneBrokenFileDoesNotHideTheOthers) {
  write("a.yaml", "a: [");
  write("b.yaml", namespace_text("B"));
  write("c.yaml", namespace_text("c"));
  Manifest manifest = load_manifest(dir_);
  EXPECT_EQ(manifest.diagnostics.size(), 2u);
  EXPECT_EQ(manifest.objects.size(), 1u);
}

}  // namespace
}  // namespace sallyport::k8s
