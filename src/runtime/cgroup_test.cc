#include "runtime/cgroup.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/strings.h"

namespace sallyport::runtime {
namespace {

constexpr const char* kHybrid =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    "rubbish\n\n1 2 3 - cgroup\n";

TEST(CgroupTest, FindsHierarchies) {
  CgroupMounts mounts = parse_cgroup_mounts(kHybrid);
  EXPECT_EQ(mounts.v2, "/sys/fs/cgroup/unified");
  EXPECT_EQ(mounts.v1, (std::map<std::string, std::string>{{"cpu", "/sys/fs/cgroup/cpu,cpuacct"},
                                                           {"memory", "/sys/fs/cgroup/memory"}}));
  EXPECT_TRUE(parse_cgroup_mounts("").v2.empty());
}

// A directory in place of a hierarchy: what is written where.
class CgroupTree : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sallyport-cgroup-XXXXXX";
    ASSERT_TRUE(::mkdtemp(pattern));
    root_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(root_)); }
  void files(const std::string& dir, const std::vector<std::string>& names) {
    ASSERT_TRUE(make_dirs(root_ + dir));
    for (const std::string& name : names)
      ASSERT_TRUE(write_file_atomic(join({root_ + dir, name}, "/"), "", 0600));
  }
  std::string content(const std::string& path) {
    return read_file(root_ + path).value_or("(none)");
  }
  std::string root_;
};

TEST_F(CgroupTree, Version2) {
  files("/base", {"cgroup.subtree_control"});
  files("/base/uid", {"cgroup.subtree_control", "pids.max"});
  files("/base/uid/c", {"cgroup.procs", "cgroup.kill", "memory.max", "memory.swap.max",
                        "memory.events", "cpu.max", "pids.max"});
  Cgroups cgroups("base", {{}, root_, {"memory", "cpu", "pids"}});
  auto dir = cgroups.make_pod("uid");
  ASSERT_TRUE(dir) << dir.error().message;
  EXPECT_TRUE(*dir);
  EXPECT_EQ(content("/base/uid/pids.max"), "8192");
  auto made = cgroups.make_container("uid", "c", {64 << 20, 250, 40});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->procs.size(), 1u);
  EXPECT_TRUE(made->oom);
  EXPECT_TRUE(made->kill);
  EXPECT_EQ(content("/base/uid/c/memory.max"), "67108864");
  EXPECT_EQ(content("/base/uid/c/memory.swap.max"), "0");
  EXPECT_EQ(content("/base/uid/c/cpu.max"), "25000 100000");
  EXPECT_EQ(content("/base/uid/c/pids.max"), "40");
  EXPECT_EQ(cgroups.pods(), std::vector<std::string>{"uid"});
}

TEST_F(CgroupTree, Version1) {
  files("/memory/base/uid/c", {"cgroup.procs", "memory.limit_in_bytes",
                               "memory.memsw.limit_in_bytes", "memory.oom_control"});
  files("/cpu/base/uid/c", {"cgroup.procs", "cpu.cfs_period_us", "cpu.cfs_quota_us"});
  Cgroups cgroups("base", {{{"memory", root_ + "/memory"}, {"cpu", root_ + "/cpu"}}, "", {}});
  auto dir = cgroups.make_pod("uid");
  ASSERT_TRUE(dir) << dir.error().message;
  EXPECT_FALSE(*dir) << "no version 2 directory to start in";
  auto made = cgroups.make_container("uid", "c", {1 << 20, 1, {}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->procs.size(), 2u);
  EXPECT_EQ(content("/memory/base/uid/c/memory.limit_in_bytes"), "1048576");
  EXPECT_EQ(content("/memory/base/uid/c/memory.memsw.limit_in_bytes"), "1048576");
  EXPECT_EQ(content("/cpu/base/uid/c/cpu.cfs_quota_us"), "1000") << "the kernel's least quota";
}

TEST_F(CgroupTree, ALimitWithoutItsControllerIsRefused) {
  files("/memory/base/uid/c", {"cgroup.procs", "memory.oom_control"});
  Cgroups cgroups("base", {{{"memory", root_ + "/memory"}}, "", {}});
  ASSERT_TRUE(cgroups.make_pod("uid"));
  EXPECT_TRUE(cgroups.make_container("uid", "c", {}));
  auto made = cgroups.make_container("uid", "c", {{}, 500, {}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "resources.limits: this host has no cgroup controller \"cpu\"");
}

TEST_F(CgroupTree, RemovesAPodAndTheBaseWithTheLast) {
  Cgroups cgroups("base", {{{"memory", root_ + "/memory"}}, "", {}});
  files("/memory", {});
  ASSERT_TRUE(cgroups.make_pod("a"));
  ASSERT_TRUE(cgroups.make_pod("b"));
  ASSERT_TRUE(make_dirs(root_ + "/memory/base/a/c"));
  EXPECT_TRUE(cgroups.remove_pod("a"));
  EXPECT_EQ(cgroups.pods(), std::vector<std::string>{"b"});
  EXPECT_TRUE(cgroups.remove_pod("a")) << "missing is fine";
  EXPECT_TRUE(cgroups.remove_pod("b"));
  EXPECT_FALSE(exists(root_ + "/memory/base"));
}

}  // namespace
}  // namespace sallyport::runtime
