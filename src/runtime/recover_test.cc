// Pods outlive the node process: taking them over, and cleaning up after those that did not.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>

#include "runtime/runtime_fixture.h"

namespace sallyport::runtime {
namespace {

class RecoverTest : public RuntimeFixture {
 protected:
  // Does `work` with the runtime in a process of its own, which is then killed as by kill -9.
  void in_killed_node(const std::function<bool()>& work) {
    runtime_.reset();
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    pid_t node = ::fork();
    ASSERT_GE(node, 0);
    if (node == 0) {
      open_runtime();
      char answer = work() ? 'y' : 'n';
      if (::write(ends[1], &answer, 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    ::close(ends[1]);
    char answer = 0;
    EXPECT_EQ(::read(ends[0], &answer, 1), 1);
    EXPECT_EQ(answer, 'y');
    ::close(ends[0]);
    ASSERT_EQ(::kill(node, SIGKILL), 0);
    ::waitpid(node, nullptr, 0);
  }
};

TEST_F(RecoverTest, TakesOverRunningPods) {
  in_killed_node([&] {
    std::string uid =
        launch(request({shell("n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done")}));
    return wait_for([&] { return state(uid).ready() && !log(uid).empty(); });
  });
  uids_ = {"uid-1"};
  open_runtime();
  std::string before = log("uid-1");
  std::vector<Sandbox> found = runtime_->recover();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].uid, "uid-1");
  EXPECT_EQ(*process_start_time(found[0].shim), found[0].shim_start_time);
  EXPECT_TRUE(found[0].netns);
  EXPECT_TRUE(wait_for([&] { return log("uid-1").size() > before.size() + 10; })) << "it went on";
  EXPECT_TRUE(state("uid-1").ready());
  EXPECT_EQ(state("uid-1").containers[0].restarts, 0);
  EXPECT_EQ(*runtime_->exec("uid-1", "main", {"true"}, 0, 1, 2), 0);
  ASSERT_TRUE(runtime_->stop("uid-1", 0));
  EXPECT_TRUE(wait_phase("uid-1", "Failed"));
}

TEST_F(RecoverTest, RestartsGoOnWithoutANode) {
  in_killed_node([&] {
    launch(request({shell("echo run; sleep 0.05; exit 1")}, k8s::RestartPolicy::kAlways));
    return true;
  });
  uids_ = {"uid-1"};
  open_runtime();
  ::usleep(600'000);
  ASSERT_EQ(runtime_->recover().size(), 1u);
  EXPECT_GE(state("uid-1").containers[0].restarts, 2);
}

TEST_F(RecoverTest, APodThatWasMadeButNotStartedCanStillStart) {
  in_killed_node([&] {
    PodRequest made = request({shell("cat /v/k")});
    made.secrets["s"] = {{"k", "kept\n"}};
    pod_->spec.volumes.resize(1);
    pod_->spec.volumes[0].name = "v";
    pod_->spec.volumes[0].kind = k8s::Volume::Kind::kSecret;
    pod_->spec.volumes[0].source = "s";
    pod_->spec.containers[0].volume_mounts = {{"v", "/v", "", true}};
    return runtime_->create(made).has_value();
  });
  uids_ = {"uid-1"};
  open_runtime();
  ASSERT_EQ(runtime_->recover().size(), 1u);
  EXPECT_EQ(state("uid-1").phase, "Pending");
  ASSERT_TRUE(runtime_->start("uid-1"));
  EXPECT_TRUE(wait_phase("uid-1", "Succeeded"));
  EXPECT_EQ(log("uid-1"), "kept\n");
}

TEST_F(RecoverTest, CleansUpAfterDeadPods) {
  pid_t shim = 0;
  in_killed_node([&] {
    std::string uid = launch(request({shell("sleep 1000")}));
    return wait_for([&] { return state(uid).ready(); });
  });
  auto text = read_file(state_dir_ + "/pods/uid-1/shim.json");
  ASSERT_TRUE(text);
  size_t at = text->find("\"pid\":");
  shim = std::atoi(text->c_str() + at + 6);
  ASSERT_GT(shim, 1);
  ASSERT_EQ(::kill(shim, SIGKILL), 0);
  for (int i = 0; i < 500 && process_start_time(shim); ++i) ::usleep(10'000);
  // Half-made pods: an empty directory, one with rubbish, a cgroup without a directory.
  ASSERT_TRUE(make_dirs(state_dir_ + "/pods/empty"));
  ASSERT_TRUE(
      write_file_atomic(state_dir_ + "/pods/empty/shim.json", "{\"pid\":1,\"startTime\":1}"));
  ASSERT_TRUE(make_dirs(state_dir_ + "/pods/rubbish"));
  ASSERT_TRUE(write_file_atomic(state_dir_ + "/pods/rubbish/shim.json", "\xff{"));
  open_runtime();
  EXPECT_EQ(runtime_->recover().size(), 0u);
  EXPECT_EQ(list_dir(state_dir_ + "/pods")->size(), 0u);
  EXPECT_FALSE(runtime_->state("uid-1"));
}

TEST_F(RecoverTest, ANodeThatDiesWhileItMakesAPodLeavesNoShim) {
  // The shim is bound to its maker until it waits on its socket; many short lives hit that window.
  for (int i = 0; i < 10; ++i) {
    runtime_.reset();
    pid_t node = ::fork();
    ASSERT_GE(node, 0);
    if (node == 0) {
      open_runtime();
      (void)runtime_->create(request({shell("sleep 1000")}));
      while (true) ::pause();
    }
    ::usleep(static_cast<useconds_t>(2000 * i));
    ASSERT_EQ(::kill(node, SIGKILL), 0);
    ::waitpid(node, nullptr, 0);
    open_runtime();
    for (const Sandbox& box : runtime_->recover()) {
      EXPECT_TRUE(process_start_time(box.shim));
      EXPECT_TRUE(runtime_->remove(box.uid));
    }
    EXPECT_EQ(list_dir(state_dir_ + "/pods")->size(), 0u);
  }
}

TEST_F(RecoverTest, NothingIsLeftOver) {
  auto count = [this] {
    std::string text;
    // Others may mount meanwhile: only what names this test's directory counts.
    for (const std::string& line : split(*read_file("/proc/self/mountinfo"), '\n'))
      if (line.find(id_) != std::string::npos) text += line + "\n";
    text += " fds " + std::to_string(list_dir("/proc/self/fd")->size());
    for (const char* hierarchy : {"memory", "cpu", "pids", "unified"}) {
      auto names = list_dir(std::string("/sys/fs/cgroup/") + hierarchy);
      if (!names) continue;
      text += std::string(" ") + hierarchy + " ";
      text +=
          std::to_string(std::count_if(names->begin(), names->end(), [](const std::string& name) {
            return name.starts_with("sallyport-test-" + std::to_string(::getpid()));
          }));
    }
    return text;
  };
  auto children = [] {
    std::string pid = std::to_string(::getpid());
    return *read_file("/proc/" + pid + "/task/" + pid + "/children");
  };
  std::string before = count(), children_before = children();
  std::vector<double> times;
  for (int i = 0; i < 30; ++i) {
    uids_.clear();
    auto begin = std::chrono::steady_clock::now();
    auto sandbox = runtime_->create(request({shell("sleep 1000 & sleep 1000")}));
    ASSERT_TRUE(sandbox) << sandbox.error().message;
    ASSERT_TRUE(runtime_->start(sandbox->uid));
    ASSERT_TRUE(runtime_->remove(sandbox->uid));
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
            .count());
  }
  std::sort(times.begin(), times.end());
  RecordProperty("median_ms", std::to_string(times[times.size() / 2]));
  EXPECT_EQ(count(), before);
  EXPECT_EQ(children(), children_before);
}

}  // namespace
}  // namespace sallyport::runtime
