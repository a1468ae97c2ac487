#include "admin/unix_socket.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace sallyport::admin {
namespace {

class UnixSocket : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sallyport-unix-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
};

TEST_F(UnixSocket, PathMustFit) {
  EXPECT_TRUE(unix_address(std::string(107, 'a')).has_value());
  EXPECT_FALSE(unix_address(std::string(108, 'a')).has_value());
  EXPECT_FALSE(unix_address("").has_value());
}

TEST_F(UnixSocket, ModeHoldsWhateverTheUmask) {
  const mode_t old = ::umask(0);
  auto listener = listen_unix(dir_ + "/s");
  ::umask(old);
  ASSERT_TRUE(listener.has_value());
  struct stat info{};
  ASSERT_EQ(::stat((dir_ + "/s").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(UnixSocket, NeverReplacesAFile) {
  std::ofstream(dir_ + "/s") << "precious";
  auto listener = listen_unix(dir_ + "/s");
  ASSERT_FALSE(listener.has_value());
  EXPECT_EQ(listener.error().code, Code::kConflict);
  EXPECT_EQ(std::filesystem::file_size(dir_ + "/s"), 8u);
}

TEST_F(UnixSocket, RemovesOnlyItsOwn) {
  auto first = listen_unix(dir_ + "/s");
  ASSERT_TRUE(first.has_value());
  unlink_if_same(dir_ + "/s", first->inode + 1);
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/s"));
  unlink_if_same(dir_ + "/s", first->inode);
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/s"));
}

TEST_F(UnixSocket, ConnectSaysWhenNobodyListens) {
  auto fd = connect_unix(dir_ + "/none");
  ASSERT_FALSE(fd.has_value());
  EXPECT_EQ(fd.error().code, Code::kNotFound);
  EXPECT_EQ(fd.error().message, "no node listens at " + dir_ + "/none");
}

}  // namespace
}  // namespace sallyport::admin
