#include "runtime/spawn.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "runtime/pod_runtime.h"

namespace sallyport::runtime {
namespace {

class SpawnTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sallyport-spawn-XXXXXX";
    ASSERT_TRUE(::mkdtemp(pattern));
    dir_ = pattern;
    plan_.uid = "u";
    plan_.hostname = "host";
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(dir_)); }
  std::string dir_;
  Plan plan_;
};

TEST_F(SpawnTest, AProgramThatIsNoShimIsAnError) {
  size_t before = list_dir("/proc/self/fd")->size();
  for (const char* program : {"/bin/false", "/no/such/program"}) {
    auto spawned = spawn_shim(program, plan_, dir_, -1);
    ASSERT_FALSE(spawned) << program;
    EXPECT_EQ(spawned.error().message, "the pod's shim ended at once (see shim.log)");
  }
  EXPECT_EQ(list_dir("/proc/self/fd")->size(), before);
  EXPECT_LT(::waitpid(-1, nullptr, WNOHANG), 0) << "no child is left";
}

TEST_F(SpawnTest, TheShimSaysWhatStoppedIt) {
  plan_.expose = {"/no/such/directory"};
  auto spawned =
      spawn_shim(std::string(SALLYPORT_BINARY_DIR) + "/runtime_test_shim", plan_, dir_, -1);
  ASSERT_FALSE(spawned);
  EXPECT_NE(spawned.error().message.find("expose /no/such/directory"), std::string::npos)
      << spawned.error().message;
  EXPECT_LT(::waitpid(-1, nullptr, WNOHANG), 0);
}

TEST(ShimMainTest, IsNotForPeople) {
  pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    char program[] = "sallyport", command[] = "shim";
    char* argv[] = {program, command, nullptr};
    ::_exit(shim_main(2, argv));
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 2);
}

}  // namespace
}  // namespace sallyport::runtime
