#include "runtime/process_runtime.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>

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

TEST_F(ProcessRuntimeTest, RestartsWithBackOffAndCounts) {
  std::string uid = launch(request({shell("echo run; exit 1")}, k8s::RestartPolicy::kAlways));
  ASSERT_TRUE(wait_for([&] { return state(uid).containers[0].restarts >= 3; })) << describe(uid);
  EXPECT_TRUE(log(uid).starts_with("run\nrun\nrun\n"));
  // 0, 50, 100, 200 ms, ...: it waits longer and longer, and says so.
  EXPECT_TRUE(wait_for([&] { return state(uid).containers[0].reason == "CrashLoopBackOff"; }));
  EXPECT_EQ(state(uid).containers[0].last_reason, "Error");
  EXPECT_EQ(state(uid).phase, "Running");
  EXPECT_FALSE(state(uid).ready());
}

TEST_F(ProcessRuntimeTest, InitContainersRunFirstAndInOrder) {
  PodRequest made = request({shell("cat /data/order", "main")});
  pod_->spec.volumes.resize(1);
  pod_->spec.volumes[0].name = "data";
  for (const char* name : {"one", "two"}) {
    k8s::Container init = shell(std::string("sleep 0.1; echo ") + name + " >> /data/order", name);
    init.volume_mounts = {{"data", "/data", "", false}};
    pod_->spec.init_containers.push_back(init);
  }
  pod_->spec.containers[0].volume_mounts = {{"data", "/data", "", false}};
  EXPECT_EQ(output(made), "one\ntwo\n");
}

TEST_F(ProcessRuntimeTest, ReportsChangesOnce) {
  launch(request({shell("sleep 0.3; exit 0")}));
  std::vector<std::string> phases;
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < end &&
         (phases.empty() || phases.back() != "Succeeded")) {
    pollfd event{runtime_->event_fd(), POLLIN, 0};
    ::poll(&event, 1, 100);
    runtime_->poll([&](const PodState& now) {
      if (phases.empty() || phases.back() != now.phase) phases.push_back(now.phase);
      if (now.phase == "Running" && now.containers[0].phase == ContainerState::Phase::kRunning) {
        EXPECT_TRUE(now.ready());
        EXPECT_TRUE(process_start_time(now.containers[0].pid)) << "a pid of the host";
      }
    });
  }
  ASSERT_FALSE(phases.empty());
  EXPECT_EQ(phases.back(), "Succeeded");
  int more = 0;
  for (int i = 0; i < 5; ++i) runtime_->poll([&](const PodState&) { ++more; });
  EXPECT_EQ(more, 0) << "nothing changed";
}

TEST_F(ProcessRuntimeTest, LeftoversOfAContainerEndWithIt) {
  std::string uid = launch(
      request({shell("setsid sleep 1000 & setsid sh -c 'sleep 1000 & sleep 1000' & sleep 0.2"),
               shell("exec sleep 1000", "other")}));  // a shell may keep a child otherwise
  ASSERT_TRUE(wait_for([&] {
    return state(uid).containers[0].phase == ContainerState::Phase::kTerminated;
  })) << describe(uid);
  // Only the other container's process is left below the shim: with it and the shim, sh, ls, grep.
  std::string seen;
  EXPECT_TRUE(wait_for([&] {
    int pipe_ends[2];
    if (::pipe2(pipe_ends, O_CLOEXEC) != 0) return false;
    Fd read_end(pipe_ends[0]);
    Fd write_end(pipe_ends[1]);
    auto status = runtime_->exec(uid, "other", {"sh", "-c", "ls /proc | grep '^[0-9]'"}, 0,
                                 write_end.get(), 2);
    char text[256] = {};
    if (!status || ::read(read_end.get(), text, sizeof text - 1) <= 0) {
      seen = status ? "nothing" : status.error().message;
      return false;
    }
    seen = text;
    return std::count(seen.begin(), seen.end(), '\n') == 5;
  })) << seen
      << describe(uid);
}

TEST_F(ProcessRuntimeTest, AKilledShimIsAFailedPod) {
  auto sandbox = runtime_->create(request({shell("sleep 1000")}));
  ASSERT_TRUE(sandbox);
  uids_.push_back(sandbox->uid);
  ASSERT_TRUE(runtime_->start(sandbox->uid));
  ASSERT_TRUE(wait_for([&] { return state(sandbox->uid).ready(); }));
  ASSERT_EQ(::kill(sandbox->shim, SIGKILL), 0);
  EXPECT_TRUE(wait_phase(sandbox->uid, "Failed"));
  EXPECT_EQ(state(sandbox->uid).containers[0].reason, "Error: the pod's shim has ended");
  EXPECT_TRUE(runtime_->stop(sandbox->uid, 1));
  EXPECT_FALSE(runtime_->start(sandbox->uid));
}

TEST_F(ProcessRuntimeTest, RefusesWhatItCannotName) {
  PodRequest made = request({shell("true")});
  for (const char* uid : {"", ".", "..", "a/b", "../../etc"}) {
    pod_->meta.uid = uid;
    EXPECT_FALSE(runtime_->create(made)) << uid;
  }
  pod_->meta.uid = "fine";
  pod_->spec.containers[0].name = "../x";
  EXPECT_FALSE(runtime_->create(made));
  EXPECT_EQ(list_dir(state_dir_ + "/pods")->size(), 0u);
  EXPECT_EQ(runtime_->start("absent").error().code, Code::kNotFound);
  EXPECT_EQ(runtime_->stop("absent", 1).error().code, Code::kNotFound);
}

TEST_F(ProcessRuntimeTest, AddressesMayComeBeforeTheStart) {
  PodRequest made = request({shell("echo $IP; grep -c 198.18.7.7 /etc/hosts")});
  k8s::EnvVar ip;
  ip.name = "IP";
  ip.from = k8s::EnvVar::From::kField;
  ip.ref_key = "status.podIPs";
  pod_->spec.containers[0].env = {ip};
  auto sandbox = runtime_->create(made);
  ASSERT_TRUE(sandbox);
  uids_.push_back(sandbox->uid);
  runtime_->set_pod_ips(sandbox->uid, {*Ip::parse("198.18.7.7"), *Ip::parse("fd00::77")});
  ASSERT_TRUE(runtime_->start(sandbox->uid));
  ASSERT_TRUE(wait_phase(sandbox->uid, "Succeeded"));
  EXPECT_EQ(log(sandbox->uid), "198.18.7.7,fd00::77\n1\n");
}

}  // namespace
}  // namespace sallyport::runtime
