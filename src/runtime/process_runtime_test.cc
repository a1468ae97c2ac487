#include "runtime/process_runtime.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "runtime/runtime_fixture.h"

namespace sallyport::runtime {
namespace {

class ProcessRuntimeTest : public RuntimeFixture {};

TEST_F(ProcessRuntimeTest, NothingRunsBeforeStart) {
  auto sandbox = runtime_->create(request({shell("echo ran")}));
  ASSERT_TRUE(sandbox) << sandbox.error().message;
  uids_.push_back(sandbox->uid);
  EXPECT_GT(sandbox->shim, 1);
  EXPECT_TRUE(sandbox->netns);
  ::usleep(100'000);
  EXPECT_EQ(state(sandbox->uid).phase, "Pending");
  EXPECT_EQ(log(sandbox->uid), "");
  ASSERT_TRUE(runtime_->start(sandbox->uid));
  EXPECT_TRUE(wait_phase(sandbox->uid, "Succeeded"));
  EXPECT_EQ(log(sandbox->uid), "ran\n");
}

TEST_F(ProcessRuntimeTest, ReportsExitCodeAndSignal) {
  std::string uid = launch(request({shell("exit 7"), shell("kill -TERM $$$$", "other")}));
  ASSERT_TRUE(wait_phase(uid, "Failed"));
  PodState now = state(uid);
  EXPECT_EQ(now.containers[0].exit_code, 7);
  EXPECT_EQ(now.containers[0].signal, 0);
  EXPECT_EQ(now.containers[0].reason, "Error");
  EXPECT_EQ(now.containers[1].exit_code, 143);
  EXPECT_EQ(now.containers[1].signal, SIGTERM);
}

TEST_F(ProcessRuntimeTest, StopsWithTermAndThenKill) {
  std::string polite = launch(
      request({shell("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done")}));
  std::string stubborn =
      launch(request({shell("trap '' TERM; echo up; while :; do sleep 0.05; done")}));
  ASSERT_TRUE(wait_for([&] { return log(polite) == "up\n" && log(stubborn) == "up\n"; }))
      << describe(polite);
  auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(runtime_->stop(polite, 30));
  ASSERT_TRUE(runtime_->stop(stubborn, 1));
  ASSERT_TRUE(wait_phase(polite, "Failed"));
  EXPECT_EQ(state(polite).containers[0].exit_code, 3);
  EXPECT_EQ(log(polite), "up\nbye\n");
  ASSERT_TRUE(wait_phase(stubborn, "Failed"));
  EXPECT_EQ(state(stubborn).containers[0].signal, SIGKILL);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(900));
}

TEST_F(ProcessRuntimeTest, RemoveEndsEverythingAtOnce) {
  std::string uid = launch(request({shell("trap '' TERM; (sleep 1000 &) ; echo up; sleep 1000")}));
  ASSERT_TRUE(wait_for([&] { return log(uid) == "up\n"; })) << describe(uid);
  pid_t main = state(uid).containers[0].pid;
  ASSERT_GT(main, 1);
  ASSERT_TRUE(process_start_time(main));
  ASSERT_TRUE(runtime_->remove(uid));
  EXPECT_FALSE(process_start_time(main));
  EXPECT_FALSE(exists(state_dir_ + "/pods/" + uid));
  EXPECT_TRUE(runtime_->remove(uid)) << "a missing pod is fine";
  EXPECT_FALSE(runtime_->state(uid));
}

}  // namespace
}  // namespace sallyport::runtime
