// For the runtime's tests: a runtime with a state directory and cgroups of its own, and pods in a
// few lines. Everything that it made is removed at the end.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/strings.h"
#include "runtime/pod_runtime.h"

namespace sallyport::runtime {

inline k8s::Container shell(const std::string& script, const std::string& name = "main") {
  k8s::Container container;
  container.name = name;
  container.command = {"/bin/sh", "-c", script};
  return container;
}

class RuntimeFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    static int count = 0;
    id_ = "sallyport-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
    state_dir_ = "/run/" + id_;
    open_runtime();
  }

  void TearDown() override {
    for (const std::string& uid : uids_) EXPECT_TRUE(runtime_->remove(uid));
    runtime_.reset();
    EXPECT_TRUE(remove_tree(state_dir_));
    for (const char* hierarchy : {"memory", "cpu", "pids", "unified", "."})
      EXPECT_FALSE(exists(std::string("/sys/fs/cgroup/") + hierarchy + "/" + id_));
  }

  void open_runtime() {
    PodRuntime::Options options;
    options.state_dir = state_dir_;
    options.cgroup_name = id_;
    std::string self = std::filesystem::read_symlink("/proc/self/exe");
    options.self_exe = self.substr(0, self.rfind('/')) + "/runtime_test_shim";
    options.restart_backoff_ms = 50;
    auto opened = PodRuntime::open(options);
    ASSERT_TRUE(opened) << opened.error().message;
    runtime_ = std::move(*opened);
  }

  PodRequest request(std::vector<k8s::Container> containers,
                     k8s::RestartPolicy policy = k8s::RestartPolicy::kNever) {
    pod_ = std::make_shared<k8s::Pod>();
    pod_->meta.name = "pod" + std::to_string(uids_.size() + 1);
    pod_->meta.ns = "space";
    pod_->meta.uid = "uid-" + std::to_string(uids_.size() + 1);
    pod_->spec.containers = std::move(containers);
    pod_->spec.restart_policy = policy;
    PodRequest made;
    made.pod = pod_;
    made.hostname = pod_->meta.name;
    made.node_name = "node1";
    made.node_ip = *Ip::parse("198.18.0.1");
    made.pod_ips = {*Ip::parse("198.18.0.9"), *Ip::parse("fd00::9")};
    made.dns_servers = {"198.19.0.10"};
    made.dns_searches = {"space.svc.cluster.local", "svc.cluster.local", "cluster.local"};
    return made;
  }

  std::string launch(const PodRequest& made) {
    auto sandbox = runtime_->create(made);
    EXPECT_TRUE(sandbox) << sandbox.error().message;
    if (!sandbox) return "";
    uids_.push_back(sandbox->uid);
    Status started = runtime_->start(sandbox->uid);
    EXPECT_TRUE(started) << started.error().message;
    return sandbox->uid;
  }

  PodState state(const std::string& uid) {
    auto found = runtime_->state(uid);
    EXPECT_TRUE(found) << found.error().message;
    return found ? *found : PodState{};
  }

  bool wait_for(const std::function<bool()>& condition, int milliseconds = 15'000) {
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    while (std::chrono::steady_clock::now() < end) {
      runtime_->poll([](const PodState&) {});
      if (condition()) return true;
      pollfd event{runtime_->event_fd(), POLLIN, 0};
      ::poll(&event, 1, 20);
    }
    return condition();
  }

  bool wait_phase(const std::string& uid, const std::string& phase) {
    bool reached = wait_for([&] { return state(uid).phase == phase; });
    EXPECT_TRUE(reached) << describe(uid);
    return reached;
  }

  std::string describe(const std::string& uid) {
    PodState now = state(uid);
    std::string text = now.phase;
    for (const ContainerState& c : now.containers)
      text += "\n  " + c.name + ": " + c.reason + " / " + c.last_reason + ", exit " +
              std::to_string(c.exit_code) + ", restarts " + std::to_string(c.restarts) + "\n" +
              log(uid, c.name);
    return text + read_file(state_dir_ + "/pods/" + uid + "/shim.log").value_or("");
  }

  // The output of a container without time stamps.
  std::string log(const std::string& uid, const std::string& container = "main") {
    std::string out;
    for (const std::string& line :
         split(read_file(runtime_->log_path(uid, container)).value_or(""), '\n')) {
      size_t at = line.find(" F ");
      if (at != std::string::npos) out += line.substr(at + 3) + "\n";
    }
    return out;
  }

  // Runs one container to its end and gives its output.
  std::string output(const PodRequest& made) {
    std::string uid = launch(made);
    wait_for([&] {
      std::string phase = state(uid).phase;
      return phase == "Succeeded" || phase == "Failed";
    });
    EXPECT_EQ(state(uid).phase, "Succeeded") << describe(uid);
    return log(uid);
  }
  std::string output(const k8s::Container& container) { return output(request({container})); }

  std::string id_, state_dir_;
  std::unique_ptr<PodRuntime> runtime_;
  std::shared_ptr<k8s::Pod> pod_;  // of the last request, still changeable
  std::vector<std::string> uids_;
};

}  // namespace sallyport::runtime
