#include "net/spawn.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "net/netns.h"
#include "net/test_support.h"

namespace sallyport::net {
namespace {

class SpawnTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = create_netns();
    ASSERT_TRUE(made);
    netns_ = std::move(*made);
    struct stat st{};
    ASSERT_EQ(::fstat(netns_.get(), &st), 0);
    name_ = "net:[" + std::to_string(st.st_ino) + "]\n";
  }
  Fd netns_;
  std::string name_;
};

TEST_F(SpawnTest, RunsInsideWithInputAndExitCode) {
  auto ran = run_in(netns_.get(), {"/bin/sh", "-c", "readlink /proc/self/ns/net; cat; exit 3"},
                    "some input");
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(ran->output, name_ + "some input");
  EXPECT_EQ(ran->status, 3);
  EXPECT_EQ(run_in(netns_.get(), {"/bin/sh", "-c", "kill -9 $$"}, "").value().status, 137);
}

TEST_F(SpawnTest, InheritsNothing) {
  auto ran = run_in(netns_.get(), {"/bin/sh", "-c", "ls /proc/$$/fd | tr '\\n' ' '; env"}, "");
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->output.substr(0, 6), "0 1 2 ") << ran->output;
  EXPECT_EQ(ran->output.find("HOME="), std::string::npos) << ran->output;
}

TEST_F(SpawnTest, LargeInputGoesThroughAndLargeOutputIsCut) {
  std::string big(3 << 20, 'x');
  auto counted = run_in(netns_.get(), {"/usr/bin/wc", "-c"}, big);
  ASSERT_TRUE(counted) << counted.error().message;
  EXPECT_EQ(counted->output, std::to_string(big.size()) + "\n");
  auto echoed = run_in(netns_.get(), {"/bin/cat"}, big);
  ASSERT_TRUE(echoed);
  EXPECT_EQ(echoed->output.size(), size_t{1} << 20);
}

TEST_F(SpawnTest, AReaderThatStopsEarlyDoesNotKillUs) {
  std::string big(1 << 20, 'x');
  auto ran = run_in(netns_.get(), {"/bin/true"}, big);
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(ran->status, 0);
}

TEST_F(SpawnTest, AProgramThatHangsIsEnded) {
  auto start = std::chrono::steady_clock::now();
  auto ran = run_in(netns_.get(), {"/bin/sleep", "30"}, "", 200);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, Code::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  // One that closes its output and goes on is no way around it.
  EXPECT_FALSE(run_in(netns_.get(), {"/bin/sh", "-c", "exec >&- 2>&-; sleep 30"}, "", 200));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child was left";
}

TEST_F(SpawnTest, AMissingProgramIsAnError) {
  auto ran = run_in(netns_.get(), {"/nowhere/program"}, "");
  ASSERT_FALSE(ran);
  EXPECT_NE(ran.error().message.find("/nowhere/program"), std::string::npos);
  EXPECT_FALSE(run_in(netns_.get(), {}, ""));
}

TEST_F(SpawnTest, ManyThreadsAtOnce) {
  auto before = open_descriptors();
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int j = 0; j < 5; ++j) {
        auto ran = run_in(netns_.get(), {"/bin/readlink", "/proc/self/ns/net"}, "");
        if (ran && ran->output == name_) ++good;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 40);
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(SpawnTest, AStartedProcessHasItsOwnSession) {
  auto pid = start_in(netns_.get(), {"/bin/sleep", "60"});
  ASSERT_TRUE(pid) << pid.error().message;
  EXPECT_EQ(::getsid(*pid), *pid);
  char target[64];
  ssize_t n =
      ::readlink(("/proc/" + std::to_string(*pid) + "/ns/net").c_str(), target, sizeof target);
  ASSERT_GT(n, 0);
  EXPECT_EQ(std::string(target, static_cast<size_t>(n)) + "\n", name_);
  ASSERT_EQ(::kill(*pid, SIGTERM), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(*pid, &status, 0), *pid);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

}  // namespace
}  // namespace sallyport::net
