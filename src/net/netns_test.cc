#include "net/netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <stdexcept>

#include "base/fs.h"
#include "net/test_support.h"

namespace sallyport::net {
namespace {

ino_t inode_of(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 ? st.st_ino : 0;
}

ino_t inode_of(int fd) {
  struct stat st{};
  return ::fstat(fd, &st) == 0 ? st.st_ino : 0;
}

class NetnsTest : public ::testing::Test {
 protected:
  std::string dir_ = "/tmp/sallyport-netns-" + std::to_string(::getpid());
  void TearDown() override { ASSERT_TRUE(remove_tree(dir_)); }
};

TEST_F(NetnsTest, CreatesAnotherNamespaceAndStaysInItsOwn) {
  ino_t own = inode_of("/proc/self/ns/net");
  auto made = create_netns();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_NE(inode_of(made->get()), own);
  EXPECT_EQ(inode_of("/proc/self/ns/net"), own);
}

TEST_F(NetnsTest, LoopbackOfANewNamespaceAnswers) {
  auto made = create_netns();
  ASSERT_TRUE(made);
  auto socket = socket_in(made->get(), AF_INET, SOCK_STREAM, 0);
  ASSERT_TRUE(socket);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // Refused means that the packet came back; a loopback that is down says "unreachable".
  EXPECT_NE(::connect(socket->get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST_F(NetnsTest, WorkRunsInsideAndItsErrorComesBack) {
  auto made = create_netns();
  ASSERT_TRUE(made);
  ino_t seen = 0;
  ASSERT_TRUE(in_netns(made->get(), [&]() -> Status {
    seen = inode_of("/proc/thread-self/ns/net");
    return {};
  }));
  EXPECT_EQ(seen, inode_of(made->get()));
  Status failed = in_netns(made->get(), [] { return Status(fail(Code::kDenied, "no")); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "no");
  Status thrown = in_netns(made->get(), []() -> Status { throw std::runtime_error("thrown"); });
  ASSERT_FALSE(thrown);
  EXPECT_NE(thrown.error().message.find("thrown"), std::string::npos);
}

TEST_F(NetnsTest, EnteringSomethingElseFails) {
  Fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  bool ran = false;
  EXPECT_FALSE(in_netns(file.get(), [&]() -> Status {
    ran = true;
    return {};
  }));
  EXPECT_FALSE(ran);
}

TEST_F(NetnsTest, KeptNamespaceIsTheSameWhenOpenedAgain) {
  std::string path = dir_ + "/deep/node";
  auto made = create_netns();
  ASSERT_TRUE(made);
  ino_t inode = inode_of(made->get());
  Status kept = keep_netns(made->get(), path);
  ASSERT_TRUE(kept) << kept.error().message;
  made->reset();
  auto opened = open_netns(path);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(inode_of(opened->get()), inode);
  Status again = keep_netns(opened->get(), path);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kConflict);
  ASSERT_TRUE(drop_netns(path));
  EXPECT_FALSE(exists(path));
  EXPECT_TRUE(drop_netns(path)) << "a missing one is fine";
}

TEST_F(NetnsTest, AFileThatIsNoNamespaceIsRefusedAndCanBeDropped) {
  ASSERT_TRUE(make_dirs(dir_));
  std::string path = dir_ + "/stale";
  ASSERT_TRUE(write_file_atomic(path, ""));
  auto opened = open_netns(path);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kInvalid);
  auto wrong_kind = open_netns("/proc/self/ns/uts");
  ASSERT_FALSE(wrong_kind);
  EXPECT_EQ(wrong_kind.error().code, Code::kInvalid);
  auto missing = open_netns(dir_ + "/missing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_TRUE(drop_netns(path));
  EXPECT_FALSE(exists(path));
}

TEST_F(NetnsTest, LeavesNothingBehind) {
  auto descriptors = open_descriptors();
  auto mounted = mounts();
  for (int i = 0; i < 20; ++i) {
    auto made = create_netns();
    ASSERT_TRUE(made);
    ASSERT_TRUE(keep_netns(made->get(), dir_ + "/n"));
    auto socket = socket_in(made->get(), AF_INET6, SOCK_DGRAM, 0);
    ASSERT_TRUE(socket);
    EXPECT_NE(::fcntl(socket->get(), F_GETFD) & FD_CLOEXEC, 0);
    ASSERT_TRUE(drop_netns(dir_ + "/n"));
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(mounts(), mounted);
}

}  // namespace
}  // namespace sallyport::net
