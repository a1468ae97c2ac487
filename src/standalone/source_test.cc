#include "standalone/source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/fd.h"

namespace sallyport::standalone {
namespace {

namespace fs = std::filesystem;

constexpr char kNamespace[] = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";

class FakeClock : public Clock {
 public:
  [[nodiscard]] Monotonic now() const override { return now_; }
  [[nodiscard]] WallTime wall() const override { return {}; }
  void advance(std::chrono::milliseconds by) { now_ += by; }

 private:
  Monotonic now_{std::chrono::hours(1)};
};

class DirectorySourceTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sallyport-source-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    parent_ = name;
    dir_ = parent_ / "manifests";
    fs::create_directory(dir_);
    write(dir_ / "a.yaml", kNamespace);
    auto opened = watch_directory(dir_, clock_);
    ASSERT_TRUE(opened);
    source_ = std::move(*opened);
    ASSERT_EQ(source_->load().objects.size(), 1U);
    EXPECT_FALSE(source_->take_changes());
  }
  void TearDown() override { fs::remove_all(parent_); }
  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

  FakeClock clock_;
  fs::path parent_, dir_;
  std::unique_ptr<Source> source_;
};

TEST_F(DirectorySourceTest, WholeFilesThatComeChangeAndGoAreChanges) {
  write(dir_ / "b.yaml", kNamespace);
  EXPECT_TRUE(source_->take_changes());
  EXPECT_FALSE(source_->unsettled());
  write(dir_ / ".a.new", kNamespace);
  EXPECT_FALSE(source_->take_changes()) << "hidden files are not read";
  fs::rename(dir_ / ".a.new", dir_ / "a.yaml");
  EXPECT_TRUE(source_->take_changes());
  fs::remove(dir_ / "b.yaml");
  EXPECT_TRUE(source_->take_changes());
  fs::create_symlink("a.yaml", dir_ / "c.yaml");
  EXPECT_TRUE(source_->take_changes());
  EXPECT_FALSE(source_->unsettled());
}

TEST_F(DirectorySourceTest, AFileThatIsBeingWrittenIsWaitedFor) {
  Fd file(::open((dir_ / "a.yaml").c_str(), O_WRONLY | O_TRUNC));
  EXPECT_FALSE(source_->take_changes()) << "emptied, but not done";
  EXPECT_TRUE(source_->unsettled());
  ASSERT_EQ(::write(file.get(), "x", 1), 1);
  EXPECT_FALSE(source_->take_changes());
  file.reset();
  EXPECT_TRUE(source_->take_changes());
  EXPECT_FALSE(source_->unsettled());
}

TEST_F(DirectorySourceTest, AFileThatNobodyClosesIsNotWaitedForWithoutEnd) {
  Fd file(::open((dir_ / "b.yaml").c_str(), O_WRONLY | O_CREAT, 0600));
  EXPECT_FALSE(source_->take_changes());
  EXPECT_TRUE(source_->unsettled());
  clock_.advance(std::chrono::milliseconds(3001));
  EXPECT_FALSE(source_->unsettled());
}

TEST_F(DirectorySourceTest, NewDirectoriesAreWatchedToo) {
  fs::create_directory(dir_ / "more");
  EXPECT_TRUE(source_->take_changes());
  EXPECT_TRUE(source_->unsettled()) << "it is being filled";
  clock_.advance(std::chrono::milliseconds(201));
  EXPECT_FALSE(source_->unsettled());
  source_->load();
  write(dir_ / "more" / "b.yaml", kNamespace);
  EXPECT_TRUE(source_->take_changes());
}

TEST_F(DirectorySourceTest, ADirectoryThatGoesAndComesBackIsFollowed) {
  fs::rename(dir_, parent_ / "old");
  EXPECT_TRUE(source_->take_changes());
  EXPECT_FALSE(source_->load().ok()) << "no directory is an error, not an empty set";
  EXPECT_FALSE(source_->take_changes());
  write(parent_ / "old" / "a.yaml", kNamespace);
  EXPECT_FALSE(source_->take_changes()) << "the old one is not watched any more";
  fs::create_directory(dir_);
  write(dir_ / "a.yaml", kNamespace);
  EXPECT_TRUE(source_->take_changes());
  EXPECT_EQ(source_->load().objects.size(), 1U);
  EXPECT_FALSE(source_->take_changes());
}

}  // namespace
}  // namespace sallyport::standalone
