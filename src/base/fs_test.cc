#include "base/fs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"

namespace sallyport {
namespace {

class Fs : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(make_dirs(dir_)); }
  void TearDown() override { ASSERT_TRUE(remove_tree(dir_)); }
  std::string dir_ = "/tmp/sallyport-fs-test-" + std::to_string(::getpid());
};

TEST_F(Fs, WritesAreWholeAndBounded) {
  ASSERT_TRUE(write_file_atomic(dir_ + "/a", "first", 0600));
  ASSERT_TRUE(write_file_atomic(dir_ + "/a", "second", 0644));
  EXPECT_EQ(*read_file(dir_ + "/a"), "second");
  struct stat st{};
  ASSERT_EQ(::stat((dir_ + "/a").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0644U);
  EXPECT_EQ(list_dir(dir_)->size(), 1U) << "no temporary file is left";
  EXPECT_EQ(read_file(dir_ + "/a", 5).error().code, Code::kExhausted);
  EXPECT_EQ(read_file(dir_ + "/none").error().os_errno, ENOENT);
}

TEST_F(Fs, TreesAreRemovedWithoutFollowingLinks) {
  ASSERT_TRUE(make_dirs(dir_ + "/x/y/z"));
  ASSERT_TRUE(write_file_atomic(dir_ + "/kept", "k"));
  ASSERT_EQ(::symlink((dir_ + "/kept").c_str(), (dir_ + "/x/y/link").c_str()), 0);
  ASSERT_TRUE(remove_tree(dir_ + "/x"));
  EXPECT_FALSE(exists(dir_ + "/x"));
  EXPECT_TRUE(exists(dir_ + "/kept"));
  EXPECT_TRUE(remove_tree(dir_ + "/x")) << "missing is fine";
}

TEST(Process, IsKnownByItsStartTime) {
  auto own = process_start_time(::getpid());
  ASSERT_TRUE(own);
  EXPECT_EQ(*own, *process_start_time(::getpid()));
  EXPECT_EQ(process_start_time(0).error().code, Code::kNotFound);
}

TEST(Strings, SplitJoinTrimAndNumbers) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(join({"a", "b"}, ", "), "a, b");
  EXPECT_EQ(trim("  x y\t\n"), "x y");
  EXPECT_EQ(trim(" \t"), "");
  EXPECT_EQ(parse_number<uint16_t>("65535"), 65535);
  for (const char* bad : {"", "65536", "-1", "1x", " 1"})
    EXPECT_FALSE(parse_number<uint16_t>(bad)) << bad;
  EXPECT_EQ(hex(0xab), "00000000000000ab");
}

TEST(Clock, Rfc3339) {
  WallTime time{std::chrono::microseconds(1'700'000'000'000'042)};
  EXPECT_EQ(rfc3339(time), "2023-11-14T22:13:20Z");
  EXPECT_EQ(rfc3339(time, true), "2023-11-14T22:13:20.000042Z");
}

}  // namespace
}  // namespace sallyport
