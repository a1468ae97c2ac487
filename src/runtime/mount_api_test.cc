#include "runtime/mount_api.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"

namespace sallyport::runtime {
namespace {

class MountApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sallyport-root-XXXXXX";
    ASSERT_TRUE(::mkdtemp(pattern));
    dir_ = pattern;
    ASSERT_TRUE(make_dirs(dir_ + "/real/below"));
    ASSERT_EQ(::symlink("/real", (dir_ + "/link").c_str()), 0);
    ASSERT_EQ(::symlink("../../../../etc", (dir_ + "/escape").c_str()), 0);
    ASSERT_TRUE(write_file_atomic(dir_ + "/real/file", "x"));
    root_ = Fd(::open(dir_.c_str(), O_PATH | O_CLOEXEC));
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(dir_)); }
  std::string dir_;
  Fd root_;
};

TEST_F(MountApiTest, LinksResolveInsideTheRoot) {
  auto fd = open_in_root(root_.get(), "/link/below");
  EXPECT_TRUE(fd);
  EXPECT_FALSE(open_in_root(root_.get(), "/escape/passwd")) << "there is no /etc in this root";
  EXPECT_FALSE(open_in_root(root_.get(), "/../../../../../etc/passwd"));
}

TEST_F(MountApiTest, MakesWhatIsMissing) {
  EXPECT_TRUE(ensure_in_root(root_.get(), "/link/new/dir", true));
  struct stat st{};
  ASSERT_EQ(::stat((dir_ + "/real/new/dir").c_str(), &st), 0);
  EXPECT_TRUE(S_ISDIR(st.st_mode));
  EXPECT_TRUE(ensure_in_root(root_.get(), "/a/file", false));
  ASSERT_EQ(::stat((dir_ + "/a/file").c_str(), &st), 0);
  EXPECT_TRUE(S_ISREG(st.st_mode));
  EXPECT_FALSE(ensure_in_root(root_.get(), "/real/file", true)) << "a file is no directory";
  EXPECT_FALSE(ensure_in_root(root_.get(), "/real", false));
  EXPECT_FALSE(ensure_in_root(root_.get(), "/real/file/below", true));
  EXPECT_FALSE(ensure_in_root(root_.get(), "/a/../../b", true));
}

TEST_F(MountApiTest, BeneathFollowsNoLink) {
  EXPECT_TRUE(open_beneath(root_.get(), "real/below"));
  EXPECT_FALSE(open_beneath(root_.get(), "link/below"));
  EXPECT_FALSE(open_beneath(root_.get(), "/etc"));
  EXPECT_FALSE(open_beneath(root_.get(), "../x"));
}

TEST_F(MountApiTest, SaysWhyAFilesystemIsRefused) {
  auto fs = make_filesystem("tmpfs", {{"size", "many"}}, 0);
  ASSERT_FALSE(fs);
  EXPECT_NE(fs.error().message.find("size=many"), std::string::npos) << fs.error().message;
  EXPECT_FALSE(make_filesystem("no-such-type", {}, 0));
}

TEST_F(MountApiTest, SwitchesTheRootInANamespaceOfItsOwn) {
  pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    auto work = [&]() -> Status {
      if (::unshare(CLONE_NEWNS) != 0) return fail_errno("unshare");
      if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        return fail_errno("mount");
      SP_TRY(Fd fs, make_filesystem("tmpfs", {{"size", "1m"}}, MOUNT_ATTR_NODEV));
      SP_CHECK_OK(attach_mount(fs.get(), dir_));
      SP_TRY(Fd other, clone_mount(dir_));
      SP_CHECK_OK(set_mount_attributes(other.get(), MOUNT_ATTR_RDONLY));
      SP_CHECK_OK(make_dirs(dir_ + "/ro"));
      SP_CHECK_OK(attach_mount(other.get(), dir_ + "/ro"));
      SP_CHECK_OK(switch_root(dir_));
      if (exists("/etc") || !exists("/ro/ro")) return fail(Code::kInternal, "not the new root");
      if (::mkdir("/ro/x", 0700) == 0 || errno != EROFS) return fail(Code::kInternal, "writable");
      return {};
    };
    ::_exit(work() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(exists(dir_ + "/real")) << "outside nothing has changed";
}

}  // namespace
}  // namespace sallyport::runtime
