// Probes of real pods, from a namespace other than the test's own.
#include "runtime/probe_engine.h"

#include "runtime/runtime_fixture.h"

namespace sallyport::runtime {
namespace {

class ProbeEngineTest : public RuntimeFixture {
 protected:
  static k8s::Probe quick(k8s::Probe::Kind kind) {
    k8s::Probe probe;
    probe.kind = kind;
    probe.port.number = 8080;
    probe.period_seconds = 1;
    probe.timeout_seconds = 2;
    probe.failure_threshold = 1;
    return probe;
  }
  // A web server on the pod's loopback; probes start inside the same namespace.
  static k8s::Container server() {
    k8s::Container container = shell(
        "mkdir /tmp/www; echo started; exec python3 -m http.server -d /tmp/www 8080 2>/dev/null");
    container.ports = {{"web", 8080, k8s::Protocol::kTcp}};
    return container;
  }
  std::string launch_in_own_netns(PodRequest made) {
    made.pod_ips = {*Ip::parse("127.0.0.1")};
    auto sandbox = runtime_->create(made);
    EXPECT_TRUE(sandbox) << sandbox.error().message;
    uids_.push_back(sandbox->uid);
    runtime_->set_probe_netns(sandbox->netns.get());
    EXPECT_TRUE(runtime_->start(sandbox->uid));
    return sandbox->uid;
  }
  int in_pod(const std::string& uid, const std::string& script) {
    return runtime_->exec(uid, "main", {"sh", "-c", script}, 0, 1, 2).value_or(-1);
  }
  const ContainerState& main(const std::string& uid) {
    last_ = state(uid);
    return last_.containers[0];
  }
  PodState last_;
};

TEST_F(ProbeEngineTest, HttpReadinessFollowsTheServer) {
  PodRequest made = request({server()}, k8s::RestartPolicy::kAlways);
  k8s::Probe probe = quick(k8s::Probe::Kind::kHttpGet);
  probe.port = {0, "web"};
  probe.path = "/ready";
  pod_->spec.containers[0].readiness_probe = probe;
  std::string uid = launch_in_own_netns(made);
  ASSERT_TRUE(wait_for([&] { return log(uid) == "started\n"; })) << describe(uid);
  EXPECT_FALSE(wait_for([&] { return main(uid).ready; }, 1500)) << "404";
  EXPECT_TRUE(main(uid).started);
  ASSERT_EQ(in_pod(uid, "echo ok > /tmp/www/ready"), 0);
  EXPECT_TRUE(wait_for([&] { return main(uid).ready; }));
  EXPECT_TRUE(state(uid).ready());
  ASSERT_EQ(in_pod(uid, "rm /tmp/www/ready"), 0);
  EXPECT_TRUE(wait_for([&] { return !main(uid).ready; }));
  EXPECT_EQ(main(uid).restarts, 0);
}

TEST_F(ProbeEngineTest, FailedLivenessRestartsTheContainer) {
  PodRequest made = request({server()}, k8s::RestartPolicy::kAlways);
  k8s::Probe probe = quick(k8s::Probe::Kind::kExec);
  probe.command = {"test", "!", "-e", "/tmp/www/dead"};
  pod_->spec.containers[0].liveness_probe = probe;
  pod_->spec.termination_grace_seconds = 1;
  std::string uid = launch_in_own_netns(made);
  ASSERT_TRUE(wait_for([&] { return main(uid).ready; })) << describe(uid);
  EXPECT_FALSE(wait_for([&] { return main(uid).restarts > 0; }, 1500));
  ASSERT_TRUE(wait_for([&] { return in_pod(uid, "touch /tmp/www/dead") == 0; }));
  EXPECT_TRUE(wait_for([&] { return main(uid).restarts == 1; })) << describe(uid);
  EXPECT_EQ(main(uid).last_reason, "Error: liveness probe failed: the command exited with 1");
  EXPECT_TRUE(wait_for([&] { return main(uid).ready; })) << "a fresh root: the mark is gone";
}

TEST_F(ProbeEngineTest, StartupThenTcpReadinessAndTimeouts) {
  PodRequest made = request({server()}, k8s::RestartPolicy::kAlways);
  k8s::Probe startup = quick(k8s::Probe::Kind::kExec);
  startup.command = {"sh", "-c", "test -e /tmp/www/up || sleep 60"};
  startup.timeout_seconds = 1;
  startup.failure_threshold = 100;
  pod_->spec.containers[0].startup_probe = startup;
  pod_->spec.containers[0].readiness_probe = quick(k8s::Probe::Kind::kTcpSocket);
  std::string uid = launch_in_own_netns(made);
  ASSERT_TRUE(wait_for([&] { return log(uid) == "started\n"; })) << describe(uid);
  EXPECT_FALSE(wait_for([&] { return main(uid).started; }, 2500)) << "each try times out";
  EXPECT_FALSE(main(uid).ready);
  ASSERT_EQ(in_pod(uid, "touch /tmp/www/up"), 0);
  EXPECT_TRUE(wait_for([&] { return main(uid).started && main(uid).ready; }));
  // The commands that timed out were ended.
  EXPECT_EQ(in_pod(uid, "grep -lz '^60' /proc/[0-9]*/cmdline"), 1);
}

TEST_F(ProbeEngineTest, TakingOverKeepsReadyPodsReady) {
  PodRequest made = request({server()}, k8s::RestartPolicy::kAlways);
  k8s::Probe probe = quick(k8s::Probe::Kind::kTcpSocket);
  probe.initial_delay_seconds = 1;
  pod_->spec.containers[0].readiness_probe = probe;
  std::string uid = launch_in_own_netns(made);
  ASSERT_TRUE(wait_for([&] { return main(uid).ready; })) << describe(uid);
  runtime_.reset();
  open_runtime();
  std::vector<Sandbox> found = runtime_->recover();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(state(uid).ready()) << "before any new probe";
  runtime_->set_probe_netns(found[0].netns.get());
  runtime_->set_pod_ips(uid, {*Ip::parse("127.0.0.1")});
  EXPECT_FALSE(wait_for([&] { return !main(uid).ready; }, 2500));
  ASSERT_EQ(in_pod(uid, "kill $(pgrep -o -f 'http[.]server')"), 0);
  EXPECT_TRUE(wait_for([&] { return main(uid).restarts == 1 && main(uid).ready; }));
}

}  // namespace
}  // namespace sallyport::runtime
